with changed_attempt as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt,
        run_day
    from {{ ref('int_changed_attempt') }}
),

changed_key as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from changed_attempt
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

reported_test as (
    select * from {{ ref('int_reported_test') }}
),

former as (
    select
        first_sighting.org,
        first_sighting.repository_id,
        first_sighting.test_key,
        first_sighting.variant,
        first_sighting.workflow,
        first_sighting.known_at,
        first_sighting.run_id,
        first_sighting.run_attempt,
        changed_attempt.run_id is not null as is_lost
    from {{ last_sightings() }} as first_sighting
    left join changed_key as changed_attempt
        on
            first_sighting.org = changed_attempt.org
            and first_sighting.repository_id = changed_attempt.repository_id
            and first_sighting.run_id = changed_attempt.run_id
            and first_sighting.run_attempt = changed_attempt.run_attempt
),

sighting as (
    select
        reported_test.org,
        reported_test.repository_id,
        reported_test.test_key,
        reported_test.variant,
        run_attempt.workflow,
        run_attempt.known_at,
        run_attempt.run_id,
        run_attempt.run_attempt
    from reported_test
    inner join changed_attempt
        on
            reported_test.org = changed_attempt.org
            and reported_test.repository_id = changed_attempt.repository_id
            and reported_test.run_id = changed_attempt.run_id
            and reported_test.run_attempt = changed_attempt.run_attempt
            and reported_test.run_day = changed_attempt.run_day
    inner join run_attempt
        on
            reported_test.org = run_attempt.org
            and reported_test.repository_id = run_attempt.repository_id
            and reported_test.run_id = run_attempt.run_id
            and reported_test.run_attempt = run_attempt.run_attempt
            and reported_test.run_day = run_attempt.run_day
    -- so that the engine reads these days of the roll-up alone
    where {{ on_days_of(ref('int_changed_attempt'), 'reported_test.run_day') }}
    union all
    -- Where the first sighting was in a run attempt that has changed, the others count again. None of them was known
    -- earlier than that one, so it is enough to look from there on.
    select
        reported_test.org,
        reported_test.repository_id,
        reported_test.test_key,
        reported_test.variant,
        run_attempt.workflow,
        run_attempt.known_at,
        run_attempt.run_id,
        run_attempt.run_attempt
    from former
    inner join run_attempt
        on
            former.org = run_attempt.org
            and former.repository_id = run_attempt.repository_id
            and former.workflow = run_attempt.workflow
            and former.known_at <= run_attempt.known_at
    inner join reported_test
        on
            run_attempt.org = reported_test.org
            and run_attempt.repository_id = reported_test.repository_id
            and run_attempt.run_id = reported_test.run_id
            and run_attempt.run_attempt = reported_test.run_attempt
            and run_attempt.run_day = reported_test.run_day
            and former.test_key = reported_test.test_key
            and former.variant = reported_test.variant
    where former.is_lost and {{ since_lost_sighting('reported_test.run_day') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by org, repository_id, test_key, variant, workflow
            order by known_at, run_id, run_attempt
        ) as place
    from sighting
)

-- only what is new or comes before what was known
select
    ranked.org,
    ranked.repository_id,
    ranked.test_key,
    ranked.variant,
    ranked.workflow,
    ranked.known_at,
    ranked.run_id,
    ranked.run_attempt
from ranked
left join former
    on
        ranked.org = former.org
        and ranked.repository_id = former.repository_id
        and ranked.test_key = former.test_key
        and ranked.variant = former.variant
        and ranked.workflow = former.workflow
        and not former.is_lost
where
    ranked.place = 1
    and (
        former.run_id is null
        or ranked.known_at < former.known_at
        or (
            ranked.known_at = former.known_at
            and (
                ranked.run_id < former.run_id
                or (ranked.run_id = former.run_id and ranked.run_attempt < former.run_attempt)
            )
        )
    )
