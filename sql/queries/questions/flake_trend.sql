-- How does the flake rate develop, week by week?
-- Grain: one row per repository and week.
-- Columns:
--   repository: full name of the repository.
--   week_start: Monday (UTC) of the week.
--   flakes_per_million: flaky failures in a million executions.
--   flaky_failures: failures on code on which the test also passed.
--   executions: executions that count.
--   flaked_test_variants: test variants that flaked.
--   test_variants: all test variants.
--   flaked_run_attempts: run attempts in which a test flaked.
--   failed_run_attempts: run attempts that the provider calls failed.
--   run_attempts: all run attempts.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $weeks (integer, default 12): how many weeks, up to the newest.
with newest as (
    select max(week_start) as week_start
    from marts.flake_trend
)

select
    flake_trend.repository,
    flake_trend.week_start,
    case
        when flake_trend.executions = 0 then 0
        else cast(floor(flake_trend.flaky_failures * 1000000 / flake_trend.executions) as bigint)
    end as flakes_per_million,
    flake_trend.flaky_failures,
    flake_trend.executions,
    flake_trend.flaked_test_variants,
    flake_trend.test_variants,
    flake_trend.flaked_run_attempts,
    flake_trend.failed_run_attempts,
    flake_trend.run_attempts
from marts.flake_trend as flake_trend
cross join newest
where
    flake_trend.week_start > newest.week_start - 7 * cast($weeks as integer)
    and ($repository = '' or flake_trend.repository = $repository)
order by flake_trend.repository, flake_trend.week_start desc, flake_trend.org, flake_trend.repository_id
