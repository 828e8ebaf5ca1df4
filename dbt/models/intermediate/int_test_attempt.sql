with test_execution as (
    select * from {{ ref('stg_test_execution') }}
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
    from test_execution
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
