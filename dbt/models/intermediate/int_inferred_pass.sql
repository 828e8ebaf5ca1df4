with inferred_pass as (
    select * from {{ source('core', 'inferred_pass') }}
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
        inferred_pass.*,
        coalesce(alias.new_test_key, inferred_pass.test_key) as final_test_key
    from inferred_pass
    left join alias
        on
            inferred_pass.org = alias.org
            and inferred_pass.repository_id = alias.repository_id
            and inferred_pass.test_key = alias.old_test_key
),

joined as (
    select
        continued.org,
        continued.repository_id,
        continued.run_id,
        continued.run_attempt,
        continued.job_id,
        continued.final_test_key as test_key,
        continued.variant as base_variant,
        shared_variant.shared_known_at,
        run_attempt.code_version,
        run_attempt.is_default_branch,
        run_attempt.run_started_at,
        run_attempt.known_at,
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
),

rolled_up as (
    select
        org,
        repository_id,
        test_key,
        variant,
        run_id,
        run_attempt,
        min(base_variant) as base_variant,
        min(shared_known_at) as shared_known_at,
        min(code_version) as code_version,
        bool_or(is_default_branch) as is_default_branch,
        min(run_started_at) as run_started_at,
        min(known_at) as known_at,
        count(distinct job_id) as inferred_passes
    from joined
    group by org, repository_id, test_key, variant, run_id, run_attempt
)

select
    org,
    repository_id,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
    base_variant,
    shared_known_at,
    run_id,
    run_attempt,
    code_version,
    is_default_branch,
    run_started_at,
    known_at,
    inferred_passes
from rolled_up
