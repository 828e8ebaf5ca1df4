with joined as (
    select
        inferred_pass.org,
        inferred_pass.repository_id,
        inferred_pass.run_id,
        inferred_pass.run_attempt,
        inferred_pass.job_id,
        inferred_pass.variant as base_variant,
        test_name.shared_known_at,
        run_attempt.code_version,
        run_attempt.is_default_branch,
        run_attempt.run_started_at,
        run_attempt.known_at,
        coalesce(test_name.test_key, inferred_pass.test_key) as test_key,
        {{ labelled_variant('inferred_pass.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ source('core', 'inferred_pass') }} as inferred_pass
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            inferred_pass.org = run_attempt.org
            and inferred_pass.repository_id = run_attempt.repository_id
            and inferred_pass.run_id = run_attempt.run_id
            and inferred_pass.run_attempt = run_attempt.run_attempt
    left join {{ ref('int_test_name') }} as test_name
        on
            inferred_pass.org = test_name.org
            and inferred_pass.repository_id = test_name.repository_id
            and inferred_pass.test_key = test_name.reported_test_key
            and inferred_pass.variant = test_name.base_variant
)

select
    org,
    repository_id,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
    min(base_variant) as base_variant,
    min(shared_known_at) as shared_known_at,
    run_id,
    run_attempt,
    code_version,
    is_default_branch,
    run_started_at,
    known_at,
    count(distinct job_id) as inferred_passes
from joined
group by
    org, repository_id, test_key, variant, run_id, run_attempt, code_version, is_default_branch, run_started_at,
    known_at
