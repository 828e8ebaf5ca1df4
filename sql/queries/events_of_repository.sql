-- Every decision on one repository.
-- Grain: one row per decision. Parameters: $org, $repository_id.
select
    decision_id,
    org,
    repository_id,
    test_key,
    variant,
    test_id,
    suite,
    classname,
    name,
    file,
    as_of,
    from_state,
    to_state,
    reason,
    actor,
    rationale,
    evidence,
    flake_rate,
    flake_rate_low,
    flake_rate_high,
    expires_at,
    policy_version,
    code_version
from quarantine.quarantine_event
where org = $org and repository_id = $repository_id
order by as_of, test_id, decision_id
