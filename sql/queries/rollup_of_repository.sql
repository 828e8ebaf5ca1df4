-- What the statistics read of one repository, as known at one moment.
-- Grain: one row per test variant and run attempt. Parameters: $org, $repository_id, $as_of.
-- The workflow is a label of the variant only from when on a second workflow is known to hold the test.
with known as (
    select
        *,
        case when shared_known_at > $as_of then base_variant else variant end as known_variant
    from intermediate.int_test_attempt
    where org = $org and repository_id = $repository_id and known_at <= $as_of
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
from known
order by test_key, known_variant, run_id, run_attempt
