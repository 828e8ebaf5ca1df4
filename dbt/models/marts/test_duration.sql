with current_scoring as (
    select * from {{ source('flakiness', 'current_scoring') }}
),

-- Failures are left out: they end early, or only when their time is up. A day in an interval would be the session's,
-- which summer time makes longer or shorter: 7 days are 168 hours, 35 are 840.
passed as (
    select
        test_execution.*,
        test_execution.run_started_at > current_scoring.as_of - interval '168' hour as is_recent,
        current_scoring.as_of
    from {{ ref('stg_test_execution') }} as test_execution
    inner join current_scoring
        on
            test_execution.org = current_scoring.org
            and test_execution.repository_id = current_scoring.repository_id
    where
        test_execution.outcome = 'passed'
        and test_execution.duration_us is not null
        and test_execution.known_at <= current_scoring.as_of
        and test_execution.run_started_at > current_scoring.as_of - interval '840' hour
),

measured as (
    select
        org,
        repository_id,
        test_id,
        min(repository) as repository,
        min(test_key) as test_key,
        min(variant) as variant,
        min(suite) as suite,
        min(classname) as classname,
        min(name) as name,
        min(file) as file,
        min(as_of) as as_of,
        count(case when is_recent then 1 end) as recent_executions,
        count(case when not is_recent then 1 end) as earlier_executions,
        cast(coalesce(sum(case when is_recent then duration_us end), 0) as bigint) as recent_total_us,
        -- the discrete median is one of the durations, so it is exact
        percentile_disc(0.5) within group (order by case when is_recent then duration_us end) as recent_median_us,
        percentile_disc(0.5) within group (order by case when not is_recent then duration_us end)
            as earlier_median_us
    from passed
    group by org, repository_id, test_id
)

select
    org,
    repository,
    test_key,
    test_id,
    variant,
    suite,
    classname,
    name,
    file,
    recent_executions,
    earlier_executions,
    recent_median_us,
    earlier_median_us,
    recent_median_us - earlier_median_us as slowdown_us,
    recent_total_us,
    as_of,
    repository_id
from measured
