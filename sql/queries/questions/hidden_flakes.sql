-- Which flakes do retries hide: tests that failed, were tried again, and passed?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   hidden_failures: failed tries that a passed retry of the same report made up for.
--   run_attempts: run attempts in which that happened.
--   retry_us: time of the retries, in microseconds.
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

execution as (
    select test_execution.*
    from marts.test_execution as test_execution
    cross join period
    where
        test_execution.run_started_at <= period.until
        and test_execution.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or test_execution.repository = $repository)
),

in_report as (
    select
        org,
        repository_id,
        test_id,
        run_id,
        run_attempt,
        report_id,
        min(repository) as repository,
        min(classname) as classname,
        min(name) as name,
        min(variant) as variant,
        min(run_started_at) as run_started_at,
        count(case when outcome in ('failed', 'errored') then 1 end) as failures,
        cast(coalesce(sum(case when is_rerun then duration_us end), 0) as bigint) as retry_us
    from execution
    group by org, repository_id, test_id, run_id, run_attempt, report_id
    having
        count(case when outcome in ('failed', 'errored') and not is_final then 1 end) > 0
        and count(case when is_final and outcome <> 'passed' then 1 end) = 0
),

test as (
    select
        org,
        repository_id,
        test_id,
        min(repository) as repository,
        min(classname) as classname,
        min(name) as name,
        min(variant) as variant,
        cast(sum(failures) as bigint) as hidden_failures,
        count(distinct run_id || '#' || run_attempt) as run_attempts,
        cast(sum(retry_us) as bigint) as retry_us,
        max(run_started_at) as last_hidden_at
    from in_report
    group by org, repository_id, test_id
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
