-- Which tests never fail, outages of the infrastructure aside, and what do they cost?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   executions: executions in the window of the last scoring, skipped ones left out.
--   total_us: time of its executions, of all that are loaded, in microseconds.
--   first_seen_at: start of the first run attempt it was seen in.
--   last_seen_at: start of the newest.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $executions (integer, default 20): how often a test must have been executed; fewer say little.
with cost as (
    select
        org,
        repository_id,
        test_id,
        cast(coalesce(sum(duration_us), 0) as bigint) as total_us
    from marts.test_execution
    where $repository = '' or repository = $repository
    group by org, repository_id, test_id
)

select
    health.repository,
    health.classname,
    health.name,
    health.variant,
    health.executions,
    cost.total_us,
    health.first_seen_at,
    health.last_seen_at
from marts.test_health as health
inner join cost
    on
        health.org = cost.org
        and health.repository_id = cost.repository_id
        and health.test_id = cost.test_id
where
    health.executions >= cast($executions as integer)
    and health.failures = health.infra_failures
order by
    cost.total_us desc, health.repository, health.classname, health.name, health.variant, health.org, health.test_id
