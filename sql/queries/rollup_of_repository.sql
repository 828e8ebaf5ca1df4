-- What the statistics read of one repository, as known at one moment.
-- Grain: one row per test variant and run attempt. Parameters: $org, $repository_id, $as_of, $opened_at (the window's
-- begin, which is not in it).
-- The workflow is a label of the variant only from when on a second workflow is known to hold the test.
-- Of what is older than the window, the statistics take when a test was first and last seen and last failed, and what
-- ran on code that also ran in the window. These rows are here, and no others, so that a scoring takes the memory of a
-- window, however long the history is.
with known as not materialized (
    select
        *,
        cast(cast($opened_at as timestamp with time zone) at time zone 'UTC' as date) as opening_day,
        case when shared_known_at > $as_of then base_variant else variant end as known_variant
    from intermediate.int_test_attempt
    where
        org = $org
        and repository_id = $repository_id
        and known_at <= $as_of
),

recent as not materialized (
    select *
    from known
    where run_day >= opening_day and run_started_at > $opened_at
),

older as not materialized (
    select *
    from known
    where run_day <= opening_day and run_started_at <= $opened_at
),

sighting as (
    select
        test_key,
        known_variant,
        min(run_started_at) as first_seen_at,
        max(run_started_at) as last_seen_at,
        max(case when failures > 0 then run_started_at end) as last_failed_at
    from older
    group by test_key, known_variant
),

recent_code as (
    select distinct code_version
    from recent
),

taken as (
    select recent.*
    from recent
    union all
    select older.*
    from older
    left join sighting
        on
            older.test_key = sighting.test_key
            and older.known_variant = sighting.known_variant
            and older.run_started_at in (sighting.first_seen_at, sighting.last_seen_at, sighting.last_failed_at)
    left join recent_code
        on older.code_version = recent_code.code_version
    where sighting.test_key is not null or recent_code.code_version is not null
)

select
    org,
    repository_id,
    test_key,
    known_variant as variant,
    test_key || '@' || known_variant as test_id,
    suite,
    classname,
    name,
    file,
    provider,
    run_id,
    run_attempt,
    code_version,
    is_default_branch,
    run_started_at,
    known_at,
    executions,
    failures,
    skips
from taken
order by test_key, known_variant, run_id, run_attempt
