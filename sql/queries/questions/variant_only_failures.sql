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

by_variant as (
    select
        execution.org,
        execution.repository_id,
        execution.test_key,
        execution.variant,
        min(execution.repository) as repository,
        min(execution.classname) as classname,
        min(execution.name) as name,
        count(*) as executions,
        count(case when execution.outcome <> 'passed' then 1 end) as failures
    from marts.test_execution as execution
    cross join period
    where
        execution.outcome <> 'skipped'
        and execution.run_started_at <= period.until
        and execution.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or execution.repository = $repository)
    group by execution.org, execution.repository_id, execution.test_key, execution.variant
),

test as (
    select
        org,
        repository_id,
        test_key,
        min(repository) as repository,
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
    test.repository,
    test.classname,
    test.name,
    test.failing_variant,
    test.failures,
    test.executions,
    test.passing_variants,
    test.passing_executions,
    coalesce(health.status, '') as status
from test
left join marts.test_health as health
    on
        test.org = health.org
        and test.repository_id = health.repository_id
        and test.test_key = health.test_key
        and test.failing_variant = health.variant
order by test.failures desc, test.repository, test.classname, test.name, test.org, test.test_key
