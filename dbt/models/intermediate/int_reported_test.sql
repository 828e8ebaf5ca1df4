with changed_attempt as (
    select * from {{ ref('int_changed_attempt') }}
),

run_attempt as (
    select
        attempt.org,
        attempt.repository_id,
        attempt.run_id,
        attempt.run_attempt,
        attempt.run_day
    from {{ ref('stg_run_attempt') }} as attempt
    inner join changed_attempt
        on
            attempt.org = changed_attempt.org
            and attempt.repository_id = changed_attempt.repository_id
            and attempt.run_id = changed_attempt.run_id
            and attempt.run_attempt = changed_attempt.run_attempt
            and attempt.run_day = changed_attempt.run_day
            and attempt.code_version = changed_attempt.code_version
),

test_execution as (
    select
        execution.*,
        run_attempt.run_day
    from {{ source('core', 'test_execution') }} as execution
    inner join run_attempt
        on
            execution.org = run_attempt.org
            and execution.repository_id = run_attempt.repository_id
            and execution.run_id = run_attempt.run_id
            and execution.run_attempt = run_attempt.run_attempt
),

-- Executions of one test in one report that are no retries of each other are several tests of one name. Where one of
-- them failed for good, the plain passes beside it may all be another test's, and so prove nothing about the failure.
failed_report as (
    select distinct
        execution.org,
        execution.repository_id,
        execution.run_id,
        execution.run_attempt,
        execution.report_id,
        execution.test_key,
        execution.variant
    from {{ source('core', 'test_execution') }} as execution
    inner join run_attempt
        on
            execution.org = run_attempt.org
            and execution.repository_id = run_attempt.repository_id
            and execution.run_id = run_attempt.run_id
            and execution.run_attempt = run_attempt.run_attempt
    where execution.is_final and execution.outcome in ('failed', 'errored')
),

weighed as (
    select
        test_execution.*,
        failed_report.test_key is null
        or test_execution.outcome <> 'passed'
        or test_execution.retry_index > 0
        or not test_execution.is_final as is_counted
    from test_execution
    left join failed_report
        on
            test_execution.org = failed_report.org
            and test_execution.repository_id = failed_report.repository_id
            and test_execution.run_id = failed_report.run_id
            and test_execution.run_attempt = failed_report.run_attempt
            and test_execution.report_id = failed_report.report_id
            and test_execution.test_key = failed_report.test_key
            and test_execution.variant = failed_report.variant
)

select
    org,
    repository_id,
    run_id,
    run_attempt,
    run_day,
    test_key,
    variant,
    min(suite) as suite,
    min(classname) as classname,
    min(name) as name,
    min(file) as file,
    count(case when is_counted and outcome <> 'skipped' then 1 end) as executions,
    count(case when outcome in ('failed', 'errored') then 1 end) as failures,
    count(case when outcome = 'skipped' then 1 end) as skips,
    count(case when outcome <> 'skipped' and duration_us is null then 1 end) as unknown_durations,
    cast(coalesce(sum(duration_us), 0) as bigint) as total_us,
    cast(coalesce(sum(case when retry_index > 0 then duration_us end), 0) as bigint) as retry_us
from weighed
group by org, repository_id, run_id, run_attempt, run_day, test_key, variant
-- rows of a day lie together, so that what asks for days finds them without reading others
order by run_day, run_id
