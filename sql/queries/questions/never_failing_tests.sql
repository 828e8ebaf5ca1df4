-- Which tests never fail, outages of the infrastructure aside, and what do they cost?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   executions: executions in the window of the last scoring, skipped ones left out.
--   total_us: time of its executions in these days, in microseconds.
--   first_seen_at: start of the first run attempt it was seen in.
--   last_seen_at: start of the newest.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $executions (integer, default 20): how often a test must have been executed; fewer say little.
--   $days (integer, default 7): of how many days before the last scoring the time is.
with period as (
    select max(as_of) as until
    from flakiness.current_scoring
),

cost as (
    select
        test_attempt.org,
        test_attempt.repository_id,
        test_attempt.test_id,
        cast(sum(test_attempt.total_us) as bigint) as total_us
    from intermediate.int_test_attempt as test_attempt
    cross join period
    where
        test_attempt.run_started_at <= period.until
        and test_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
    group by test_attempt.org, test_attempt.repository_id, test_attempt.test_id
)

select
    health.repository,
    health.classname,
    health.name,
    health.variant,
    health.executions,
    coalesce(cost.total_us, 0) as total_us,
    health.first_seen_at,
    health.last_seen_at
from marts.test_health as health
left join cost
    on
        health.org = cost.org
        and health.repository_id = cost.repository_id
        and health.test_id = cost.test_id
where
    health.executions >= cast($executions as integer)
    and health.failures = health.infra_failures
    and ($repository = '' or health.repository = $repository)
order by
    total_us desc, health.repository, health.classname, health.name, health.variant, health.org, health.test_id
