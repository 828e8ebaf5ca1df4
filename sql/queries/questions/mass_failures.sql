-- In which run attempts did most tests fail at once, as when the infrastructure is down?
-- Grain: one row per run attempt.
-- Columns:
--   repository: full name of the repository.
--   run_id: the provider's id of the CI run.
--   run_attempt: attempt of the run, from 1.
--   run_started_at: start of the run attempt.
--   failed_test_variants: test variants that failed.
--   test_variants: test variants that were executed.
--   percent_failed: share of these that failed, in whole percent.
--   signatures: distinct failure signatures.
--   branch: head branch.
--   run_url: address of the run for people.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 30): how many days before `until` are looked at.
--   $percent (integer, default 20): least share of failed test variants, in percent.
--   $tests (integer, default 5): least number of failed test variants.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
)

select
    min(execution.repository) as repository,
    execution.run_id,
    execution.run_attempt,
    min(execution.run_started_at) as run_started_at,
    count(distinct case when execution.outcome <> 'passed' then execution.test_id end) as failed_test_variants,
    count(distinct execution.test_id) as test_variants,
    cast(
        floor(
            count(distinct case when execution.outcome <> 'passed' then execution.test_id end) * 100
            / count(distinct execution.test_id)
        ) as integer
    ) as percent_failed,
    count(distinct case when execution.failure_signature <> '' then execution.failure_signature end) as signatures,
    min(execution.branch) as branch,
    min(execution.run_url) as run_url
from marts.test_execution as execution
cross join period
where
    execution.outcome <> 'skipped'
    and execution.is_final
    and execution.run_started_at <= period.until
    and execution.run_started_at > period.until - cast($days as integer) * interval '1 day'
    and ($repository = '' or execution.repository = $repository)
group by execution.org, execution.repository_id, execution.run_id, execution.run_attempt
having
    count(distinct case when execution.outcome <> 'passed' then execution.test_id end) >= cast($tests as integer)
    and count(distinct case when execution.outcome <> 'passed' then execution.test_id end) * 100
    >= cast($percent as integer) * count(distinct execution.test_id)
order by
    failed_test_variants desc, run_started_at desc, repository, execution.run_id, execution.run_attempt,
    execution.org, execution.repository_id
