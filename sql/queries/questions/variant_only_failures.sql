-- Which tests fail on one variant only?
-- Grain: one row per test that ran in two or more variants and failed in one.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   failing_variant: the variant in which it failed.
--   failures: failures there.
--   executions: executions there.
--   passing_variants: the other variants, sorted, with commas between.
--   passing_executions: executions in these, all passed.
--   status: status in the failing variant at the last scoring; '' where it was not scored.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 30): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
),

-- only these can be in the answer
failed as (
    select distinct
        failure.org,
        failure.repository_id,
        failure.test_key
    from intermediate.int_test_failure as failure
    cross join period
    where
        failure.run_started_at <= period.until
        and failure.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or failure.repository = $repository)
),

by_variant as (
    select
        test_attempt.org,
        test_attempt.repository_id,
        test_attempt.test_key,
        test_attempt.variant,
        min(test_attempt.classname) as classname,
        min(test_attempt.name) as name,
        cast(sum(test_attempt.executions) as bigint) as executions,
        cast(sum(test_attempt.failures) as bigint) as failures
    from intermediate.int_test_attempt as test_attempt
    inner join failed
        on
            test_attempt.org = failed.org
            and test_attempt.repository_id = failed.repository_id
            and test_attempt.test_key = failed.test_key
    cross join period
    where
        test_attempt.executions > 0
        and test_attempt.run_started_at <= period.until
        and test_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
    group by test_attempt.org, test_attempt.repository_id, test_attempt.test_key, test_attempt.variant
),

test as (
    select
        org,
        repository_id,
        test_key,
        min(classname) as classname,
        min(name) as name,
        max(case when failures > 0 then variant end) as failing_variant,
        cast(sum(failures) as bigint) as failures,
        cast(sum(case when failures > 0 then executions end) as bigint) as executions,
        string_agg(case when failures = 0 then variant end, ',' order by variant) as passing_variants,
        cast(sum(case when failures = 0 then executions end) as bigint) as passing_executions
    from by_variant
    group by org, repository_id, test_key
    having count(case when failures > 0 then 1 end) = 1 and count(*) > 1
)

select
    repository.full_name as repository,
    test.classname,
    test.name,
    test.failing_variant,
    test.failures,
    test.executions,
    test.passing_variants,
    test.passing_executions,
    coalesce(health.status, '') as status
from test
inner join core.repository
    on
        test.org = repository.org
        and test.repository_id = repository.repository_id
left join marts.test_health as health
    on
        test.org = health.org
        and test.repository_id = health.repository_id
        and test.test_key = health.test_key
        and test.failing_variant = health.variant
order by test.failures desc, repository.full_name, test.classname, test.name, test.org, test.test_key
