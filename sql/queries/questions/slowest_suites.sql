-- Which suites are slowest, and why: how much are retries, and which test takes most?
-- Grain: one row per repository, suite and variant.
-- Columns:
--   repository: full name of the repository.
--   suite: name of the suite.
--   variant: environment the test ran in; '' where there is one only.
--   us_per_run_attempt: time of its tests in a run attempt, on average, in microseconds.
--   total_us: time of its tests in all run attempts, in microseconds.
--   run_attempts: run attempts in which it ran.
--   test_variants: its test variants.
--   retry_us: time of retries, in microseconds.
--   slowest_test: class name and name of the test that took most time.
--   slowest_test_us: time of that test, in microseconds.
--   unknown_durations: executions without a duration, which count as nothing.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 7): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
),

execution as (
    select test_execution.*
    from marts.test_execution as test_execution
    cross join period
    where
        test_execution.run_started_at <= period.until
        and test_execution.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or test_execution.repository = $repository)
),

suite as (
    select
        org,
        repository_id,
        suite,
        variant,
        min(repository) as repository,
        cast(coalesce(sum(duration_us), 0) as bigint) as total_us,
        cast(coalesce(sum(case when is_rerun then duration_us end), 0) as bigint) as retry_us,
        count(distinct run_id || '#' || run_attempt) as run_attempts,
        count(distinct test_id) as test_variants,
        count(case when duration_us is null and outcome <> 'skipped' then 1 end) as unknown_durations
    from execution
    group by org, repository_id, suite, variant
),

test as (
    select
        org,
        repository_id,
        suite,
        variant,
        test_id,
        min(case when classname = '' then name else classname || ' ' || name end) as test,
        cast(coalesce(sum(duration_us), 0) as bigint) as test_us
    from execution
    group by org, repository_id, suite, variant, test_id
),

ranked as (
    select
        *,
        row_number() over (
            partition by org, repository_id, suite, variant
            order by test_us desc, test, test_id
        ) as slowness
    from test
)

select
    suite.repository,
    suite.suite,
    suite.variant,
    cast(floor(suite.total_us / suite.run_attempts) as bigint) as us_per_run_attempt,
    suite.total_us,
    suite.run_attempts,
    suite.test_variants,
    suite.retry_us,
    ranked.test as slowest_test,
    ranked.test_us as slowest_test_us,
    suite.unknown_durations
from suite
inner join ranked
    on
        suite.org = ranked.org
        and suite.repository_id = ranked.repository_id
        and suite.suite = ranked.suite
        and suite.variant = ranked.variant
        and ranked.slowness = 1
order by us_per_run_attempt desc, suite.repository, suite.suite, suite.variant, suite.org, suite.repository_id
