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

test_attempt as (
    select attempt.*
    from intermediate.int_test_attempt as attempt
    inner join staging.stg_run_attempt as run_attempt
        on
            attempt.org = run_attempt.org
            and attempt.repository_id = run_attempt.repository_id
            and attempt.run_id = run_attempt.run_id
            and attempt.run_attempt = run_attempt.run_attempt
    cross join period
    where
        attempt.run_started_at <= period.until
        and attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or run_attempt.repository = $repository)
),

test as (
    select
        org,
        repository_id,
        suite,
        variant,
        test_id,
        min(case when classname = '' then name else classname || ' ' || name end) as test,
        cast(sum(total_us) as bigint) as test_us,
        cast(sum(retry_us) as bigint) as retry_us,
        cast(sum(unknown_durations) as bigint) as unknown_durations
    from test_attempt
    group by org, repository_id, suite, variant, test_id
),

suite_attempt as (
    select distinct
        org,
        repository_id,
        suite,
        variant,
        run_id,
        run_attempt
    from test_attempt
),

suite_runs as (
    select
        org,
        repository_id,
        suite,
        variant,
        count(*) as run_attempts
    from suite_attempt
    group by org, repository_id, suite, variant
),

suite as (
    select
        org,
        repository_id,
        suite,
        variant,
        cast(sum(test_us) as bigint) as total_us,
        cast(sum(retry_us) as bigint) as retry_us,
        count(*) as test_variants,
        cast(sum(unknown_durations) as bigint) as unknown_durations
    from test
    group by org, repository_id, suite, variant
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
    repository.full_name as repository,
    suite.suite,
    suite.variant,
    cast(floor(suite.total_us / suite_runs.run_attempts) as bigint) as us_per_run_attempt,
    suite.total_us,
    suite_runs.run_attempts,
    suite.test_variants,
    suite.retry_us,
    ranked.test as slowest_test,
    ranked.test_us as slowest_test_us,
    suite.unknown_durations
from suite
inner join suite_runs
    on
        suite.org = suite_runs.org
        and suite.repository_id = suite_runs.repository_id
        and suite.suite = suite_runs.suite
        and suite.variant = suite_runs.variant
inner join ranked
    on
        suite.org = ranked.org
        and suite.repository_id = ranked.repository_id
        and suite.suite = ranked.suite
        and suite.variant = ranked.variant
        and ranked.slowness = 1
inner join core.repository
    on
        suite.org = repository.org
        and suite.repository_id = repository.repository_id
order by
    us_per_run_attempt desc, repository.full_name, suite.suite, suite.variant, suite.org, suite.repository_id
