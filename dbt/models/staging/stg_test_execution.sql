with source as (
    select * from {{ source('core', 'test_execution') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

shared_variant as (
    select * from {{ ref('int_shared_variant') }}
),

alias as (
    select * from {{ ref('stg_test_alias') }}
),

continued as (
    select
        source.*,
        coalesce(alias.new_test_key, source.test_key) as final_test_key
    from source
    left join alias
        on
            source.org = alias.org
            and source.repository_id = alias.repository_id
            and source.test_key = alias.old_test_key
),

joined as (
    select
        continued.org,
        continued.provider,
        continued.repository_id,
        run_attempt.repository,
        run_attempt.workflow,
        continued.run_id,
        continued.run_attempt,
        continued.job_id,
        continued.artifact as artifact_id,
        continued.report_id,
        continued.ordinal,
        continued.final_test_key as test_key,
        continued.test_key as reported_test_key,
        continued.suite,
        continued.classname,
        continued.name,
        continued.file,
        continued.outcome,
        continued.retry_index,
        continued.is_final,
        continued.started_at,
        continued.duration_us,
        run_attempt.event,
        run_attempt.pr_number,
        run_attempt.head_sha,
        run_attempt.branch,
        run_attempt.is_default_branch,
        run_attempt.code_version,
        run_attempt.run_started_at,
        run_attempt.known_at,
        continued.variant as base_variant,
        shared_variant.shared_known_at,
        continued.failure_message,
        continued.failure_signature,
        run_attempt.run_url,
        {{ labelled_variant('continued.variant', 'run_attempt.workflow', 'shared_variant.test_key is not null') }}
            as variant
    from continued
    inner join run_attempt
        on
            continued.org = run_attempt.org
            and continued.repository_id = run_attempt.repository_id
            and continued.run_id = run_attempt.run_id
            and continued.run_attempt = run_attempt.run_attempt
    left join shared_variant
        on
            continued.org = shared_variant.org
            and continued.repository_id = shared_variant.repository_id
            and continued.final_test_key = shared_variant.test_key
            and continued.variant = shared_variant.variant
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
    known_at,
    failure_message,
    failure_signature,
    run_url
from joined
