-- The failure signatures that were seen as flakes of each test variant, at one scoring.
-- Grain: one row per test variant and signature. Parameters: $org, $repository_id, $as_of.
select distinct
    evidence.test_key || '@' || evidence.variant as test_id,
    execution.failure_signature
from staging.stg_test_execution as execution
inner join flakiness.flake_evidence as evidence
    on
        execution.org = evidence.org
        and execution.repository_id = evidence.repository_id
        and execution.test_key = evidence.test_key
        and evidence.variant in (execution.variant, execution.base_variant)
        and execution.run_id = evidence.run_id
        and execution.run_attempt = evidence.run_attempt
where
    evidence.org = $org
    and evidence.repository_id = $repository_id
    and evidence.as_of = $as_of
    and execution.outcome in ('failed', 'errored')
    and execution.failure_signature <> ''
order by test_id, execution.failure_signature
