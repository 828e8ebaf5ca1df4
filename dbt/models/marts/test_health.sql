with health_snapshot as (
    select * from {{ source('flakiness', 'health_snapshot') }}
),

current_scoring as (
    select * from {{ source('flakiness', 'current_scoring') }}
),

repository as (
    select * from {{ source('core', 'repository') }}
)

select
    health_snapshot.org,
    repository.full_name as repository,
    health_snapshot.suite,
    health_snapshot.classname,
    health_snapshot.name,
    health_snapshot.file,
    health_snapshot.variant,
    health_snapshot.test_key,
    health_snapshot.test_id,
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
    health_snapshot.prior_version,
    health_snapshot.repository_id
from health_snapshot
inner join current_scoring
    on
        health_snapshot.org = current_scoring.org
        and health_snapshot.repository_id = current_scoring.repository_id
        and health_snapshot.as_of = current_scoring.as_of
inner join repository
    on
        health_snapshot.org = repository.org
        and health_snapshot.repository_id = repository.repository_id
