-- The worst findings: what is broken, then what is flaky, each by its rate.
-- Grain: one row per test variant. Parameters: $shown (how many at most of each status).
with ranked as (
    select
        repository,
        classname,
        name,
        variant,
        status,
        flake_rate,
        flake_rate_low,
        flake_rate_high,
        failures,
        executions,
        same_commit_flips,
        test_id,
        row_number() over (
            partition by status
            order by flake_rate desc, failures desc, test_id
        ) as place
    from marts.test_health
    where status in ('flaky', 'broken')
)

select
    repository,
    case when classname = '' then name else classname || ' ' || name end as test,
    variant,
    status,
    flake_rate,
    flake_rate_low,
    flake_rate_high,
    failures,
    executions,
    same_commit_flips
from ranked
where place <= $shown
order by status, place
