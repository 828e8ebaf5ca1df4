-- The inferred passes of one repository, as known at one moment.
-- Grain: one row per test variant and run attempt. Parameters: $org, $repository_id, $as_of, $opened_at (the window's
-- begin, which is not in it; what is older counts nowhere).
-- The workflow is a label of the variant only from when on a second workflow is known to hold the test.
with known as (
    select
        *,
        case when shared_known_at > $as_of then base_variant else variant end as known_variant
    from intermediate.int_inferred_pass
    where
        org = $org
        and repository_id = $repository_id
        and known_at <= $as_of
        and run_started_at > $opened_at
)

select
    test_key,
    known_variant as variant,
    run_id,
    run_attempt,
    run_started_at,
    known_at,
    inferred_passes
from known
order by test_key, known_variant, run_id, run_attempt
