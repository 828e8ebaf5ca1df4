-- What has changed since a day: new tests, decisions, and statuses that are others than before?
-- Grain: one row per change.
-- Columns:
--   changed_at: when: the start of the first run attempt, the decision, or the last scoring.
--   change: `new test`, `decision` or `status`.
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   detail: what it was and is, or why.
-- Parameters:
--   $since (day, default none): the UTC day; none: three days before the last scoring, so Friday on a Monday.
--   $repository (text, default ''): only this repository, by its full name; '' for all.
with period as (
    select
        coalesce(
            cast(cast($since as date) as timestamp) at time zone 'UTC', max(as_of) - interval '3 days'
        ) as since,
        max(as_of) as until
    from flakiness.current_scoring
),

-- Of each repository the newest scoring from before the day.
earlier_scoring as (
    select
        health_snapshot.org,
        health_snapshot.repository_id,
        max(health_snapshot.as_of) as as_of
    from flakiness.health_snapshot
    cross join period
    where health_snapshot.as_of < period.since
    group by health_snapshot.org, health_snapshot.repository_id
),

earlier as (
    select
        health_snapshot.org,
        health_snapshot.repository_id,
        health_snapshot.test_id,
        health_snapshot.status
    from flakiness.health_snapshot
    inner join earlier_scoring
        on
            health_snapshot.org = earlier_scoring.org
            and health_snapshot.repository_id = earlier_scoring.repository_id
            and health_snapshot.as_of = earlier_scoring.as_of
),

change as (
    select
        health.first_seen_at as changed_at,
        'new test' as change,
        health.repository,
        health.classname,
        health.name,
        health.variant,
        health.status || ', ' || health.failures || ' of ' || health.executions || ' failed' as detail,
        health.org,
        health.test_id
    from marts.test_health as health
    cross join period
    where health.first_seen_at >= period.since
    union all
    select
        health.as_of as changed_at,
        'status' as change,
        health.repository,
        health.classname,
        health.name,
        health.variant,
        'was ' || earlier.status || ', is ' || health.status as detail,
        health.org,
        health.test_id
    from marts.test_health as health
    inner join earlier
        on
            health.org = earlier.org
            and health.repository_id = earlier.repository_id
            and health.test_id = earlier.test_id
            and health.status <> earlier.status
    union all
    select
        event.as_of as changed_at,
        'decision' as change,
        event.repository,
        event.classname,
        event.name,
        event.variant,
        event.to_state || ' by ' || event.actor || ': ' || event.rationale as detail,
        event.org,
        event.test_id
    from marts.quarantine_event as event
    cross join period
    where event.as_of >= period.since and event.as_of <= period.until
)

select
    changed_at,
    change,
    repository,
    classname,
    name,
    variant,
    detail
from change
where $repository = '' or repository = $repository
order by changed_at desc, change, repository, classname, name, variant, detail, org, test_id
