-- The flakes that one repository's last scoring rests on.
-- Grain: one row per test variant and run attempt. Parameters: $org, $repository_id.
select
    flake_evidence.org,
    flake_evidence.repository_id,
    flake_evidence.test_key,
    flake_evidence.variant,
    flake_evidence.run_id,
    flake_evidence.run_attempt,
    flake_evidence.code_version,
    flake_evidence.known_at
from flakiness.flake_evidence
inner join flakiness.current_scoring
    on
        flake_evidence.org = current_scoring.org
        and flake_evidence.repository_id = current_scoring.repository_id
        and flake_evidence.as_of = current_scoring.as_of
where flake_evidence.org = $org and flake_evidence.repository_id = $repository_id
order by flake_evidence.test_key, flake_evidence.variant, flake_evidence.run_id, flake_evidence.run_attempt
