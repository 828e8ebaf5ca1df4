-- Which flakes do retries hide: tests that failed, were tried again, and passed?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   hidden_failures: failed tries that a passed retry of the same report made up for.
--   run_attempts: run attempts in which that happened.
--   retry_us: time of its retries in these run attempts, in microseconds.
--   last_hidden_at: start of the newest of these run attempts.
--   status: status at the last scoring; '' where it was not scored.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 30): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
),

hidden as (
    select
        failure.org,
        failure.repository_id,
        failure.test_id,
        failure.run_id,
        failure.run_attempt,
        failure.run_started_at,
        min(failure.repository) as repository,
        min(failure.classname) as classname,
        min(failure.name) as name,
        min(failure.variant) as variant,
        cast(sum(failure.hidden_failures) as bigint) as hidden_failures
    from intermediate.int_test_failure as failure
    cross join period
    where
        failure.hidden_failures > 0
        and failure.run_started_at <= period.until
        and failure.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or failure.repository = $repository)
    group by
        failure.org, failure.repository_id, failure.test_id, failure.run_id, failure.run_attempt,
        failure.run_started_at
),

retry as (
    select
        test_attempt.org,
        test_attempt.repository_id,
        test_attempt.test_id,
        test_attempt.run_id,
        test_attempt.run_attempt,
        test_attempt.retry_us
    from intermediate.int_test_attempt as test_attempt
    cross join period
    where
        test_attempt.retry_us > 0
        and test_attempt.run_started_at <= period.until
        and test_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
),

test as (
    select
        hidden.org,
        hidden.repository_id,
        hidden.test_id,
        min(hidden.repository) as repository,
        min(hidden.classname) as classname,
        min(hidden.name) as name,
        min(hidden.variant) as variant,
        cast(sum(hidden.hidden_failures) as bigint) as hidden_failures,
        count(*) as run_attempts,
        cast(coalesce(sum(retry.retry_us), 0) as bigint) as retry_us,
        max(hidden.run_started_at) as last_hidden_at
    from hidden
    left join retry
        on
            hidden.org = retry.org
            and hidden.repository_id = retry.repository_id
            and hidden.test_id = retry.test_id
            and hidden.run_id = retry.run_id
            and hidden.run_attempt = retry.run_attempt
    group by hidden.org, hidden.repository_id, hidden.test_id
)

select
    test.repository,
    test.classname,
    test.name,
    test.variant,
    test.hidden_failures,
    test.run_attempts,
    test.retry_us,
    test.last_hidden_at,
    coalesce(health.status, '') as status
from test
left join marts.test_health as health
    on
        test.org = health.org
        and test.repository_id = health.repository_id
        and test.test_id = health.test_id
order by
    test.hidden_failures desc, test.repository, test.classname, test.name, test.variant, test.org, test.test_id
