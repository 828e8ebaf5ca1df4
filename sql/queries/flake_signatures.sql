-- The failure signatures that were seen as flakes of each test variant, at one scoring.
-- Grain: one row per test variant and signature. Parameters: $org, $repository_id, $as_of.
select distinct
    evidence.test_key || '@' || evidence.variant as test_id,
    failure.failure_signature
from intermediate.int_test_failure as failure
inner join flakiness.flake_evidence as evidence
    on
        failure.org = evidence.org
        and failure.repository_id = evidence.repository_id
        and failure.test_key = evidence.test_key
        and evidence.variant in (failure.variant, failure.base_variant)
        and failure.run_id = evidence.run_id
        and failure.run_attempt = evidence.run_attempt
where
    evidence.org = $org
    and evidence.repository_id = $repository_id
    and evidence.as_of = $as_of
order by test_id, failure.failure_signature
