-- What the statistics read of one repository, as known at one moment.
-- Grain: one row per test variant and run attempt. Parameters: $org, $repository_id, $as_of.
select
    org,
    repository_id,
    test_key,
    variant,
    test_id,
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
from intermediate.int_test_attempt
where org = $org and repository_id = $repository_id and known_at <= $as_of
order by test_key, variant, run_id, run_attempt
