with source as (
    select * from {{ source('core', 'test_execution') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

test_name as (
    select * from {{ ref('int_test_name') }}
),

joined as (
    select
        source.org,
        source.provider,
        source.repository_id,
        run_attempt.repository,
        run_attempt.workflow,
        source.run_id,
        source.run_attempt,
        source.job_id,
        source.artifact as artifact_id,
        source.report_id,
        source.ordinal,
        coalesce(test_name.test_key, source.test_key) as test_key,
        source.test_key as reported_test_key,
        source.suite,
        source.classname,
        source.name,
        source.file,
        source.outcome,
        source.retry_index,
        source.is_final,
        source.started_at,
        source.duration_us,
        run_attempt.event,
        run_attempt.pr_number,
        run_attempt.head_sha,
        run_attempt.branch,
        run_attempt.is_default_branch,
        run_attempt.code_version,
        run_attempt.run_started_at,
        run_attempt.run_day,
        run_attempt.known_at,
        source.variant as base_variant,
        test_name.shared_known_at,
        source.failure_message,
        source.failure_signature,
        run_attempt.run_url,
        {{ labelled_variant('source.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from source
    inner join run_attempt
        on
            source.org = run_attempt.org
            and source.repository_id = run_attempt.repository_id
            and source.run_id = run_attempt.run_id
            and source.run_attempt = run_attempt.run_attempt
    left join test_name
        on
            source.org = test_name.org
            and source.repository_id = test_name.repository_id
            and source.test_key = test_name.reported_test_key
            and source.variant = test_name.base_variant
)

select
    org,
    provider,
    repository_id,
    repository,
    workflow,
    run_id,
    run_attempt,
    job_id,
    artifact_id,
    report_id,
    ordinal,
    test_key,
    reported_test_key,
    test_key || '@' || variant as test_id,
    variant,
    base_variant,
    shared_known_at,
    suite,
    classname,
    name,
    file,
    outcome,
    retry_index,
    retry_index > 0 as is_rerun,
    is_final,
    started_at,
    duration_us,
    event,
    pr_number,
    head_sha,
    branch,
    is_default_branch,
    code_version,
    run_started_at,
    run_day,
    known_at,
    failure_message,
    failure_signature,
    run_url
from joined
