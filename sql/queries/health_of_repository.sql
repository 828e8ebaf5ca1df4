-- The scores of one repository's test variants at its last scoring.
-- Grain: one row per test variant. Parameters: $org, $repository_id.
select
    health_snapshot.org,
    health_snapshot.repository_id,
    health_snapshot.test_key,
    health_snapshot.test_id,
    health_snapshot.variant,
    health_snapshot.suite,
    health_snapshot.classname,
    health_snapshot.name,
    health_snapshot.file,
    health_snapshot.status,
    health_snapshot.p_flaky,
    health_snapshot.p_broken,
    health_snapshot.flake_rate,
    health_snapshot.flake_rate_low,
    health_snapshot.flake_rate_high,
    health_snapshot.executions,
    health_snapshot.failures,
    health_snapshot.same_commit_flips,
    health_snapshot.inferred_passes,
    health_snapshot.infra_failures,
    health_snapshot.clean_executions,
    health_snapshot.first_seen_at,
    health_snapshot.last_seen_at,
    health_snapshot.last_failed_at,
    health_snapshot.as_of,
    health_snapshot.prior_version
from flakiness.health_snapshot
inner join flakiness.current_scoring
    on
        health_snapshot.org = current_scoring.org
        and health_snapshot.repository_id = current_scoring.repository_id
        and health_snapshot.as_of = current_scoring.as_of
where health_snapshot.org = $org and health_snapshot.repository_id = $repository_id
order by health_snapshot.test_key, health_snapshot.variant
