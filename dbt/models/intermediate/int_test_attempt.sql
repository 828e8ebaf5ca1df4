with test_execution as (
    select * from {{ ref('stg_test_execution') }}
),

-- Executions of one test in one report that are no retries of each other are several tests of one name. Where one of
-- them failed for good, the plain passes beside it may all be another test's, and so prove nothing about the failure.
failed_report as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt,
        report_id,
        test_id
    from {{ ref('stg_test_execution') }}
    where is_final and outcome in ('failed', 'errored')
),

counted as (
    select test_execution.*
    from test_execution
    left join failed_report
        on
            test_execution.org = failed_report.org
            and test_execution.repository_id = failed_report.repository_id
            and test_execution.run_id = failed_report.run_id
            and test_execution.run_attempt = failed_report.run_attempt
            and test_execution.report_id = failed_report.report_id
            and test_execution.test_id = failed_report.test_id
    where
        failed_report.test_id is null
        or test_execution.outcome <> 'passed'
        or test_execution.retry_index > 0
        or not test_execution.is_final
),

rolled_up as (
    select
        org,
        repository_id,
        test_key,
        variant,
        run_id,
        run_attempt,
        min(test_id) as test_id,
        min(base_variant) as base_variant,
        min(shared_known_at) as shared_known_at,
        min(suite) as suite,
        min(classname) as classname,
        min(name) as name,
        min(file) as file,
        min(provider) as provider,
        min(code_version) as code_version,
        bool_or(is_default_branch) as is_default_branch,
        min(run_started_at) as run_started_at,
        min(known_at) as known_at,
        count(case when outcome <> 'skipped' then 1 end) as executions,
        count(case when outcome in ('failed', 'errored') then 1 end) as failures,
        count(case when outcome = 'skipped' then 1 end) as skips
    from counted
    group by org, repository_id, test_key, variant, run_id, run_attempt
)

select
    org,
    repository_id,
    test_key,
    variant,
    test_id,
    base_variant,
    shared_known_at,
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
from rolled_up
