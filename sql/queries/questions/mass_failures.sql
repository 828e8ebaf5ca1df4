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
    run_attempt.repository,
    run_attempt.run_id,
    run_attempt.run_attempt,
    run_attempt.run_started_at,
    total.failed_test_variants,
    total.test_variants,
    cast(floor(total.failed_test_variants * 100 / total.test_variants) as integer) as percent_failed,
    total.signatures,
    run_attempt.branch,
    run_attempt.run_url
from intermediate.int_attempt_total as total
inner join staging.stg_run_attempt as run_attempt
    on
        total.org = run_attempt.org
        and total.repository_id = run_attempt.repository_id
        and total.run_id = run_attempt.run_id
        and total.run_attempt = run_attempt.run_attempt
        and total.run_day = run_attempt.run_day
cross join period
where
    run_attempt.run_started_at <= period.until
    and run_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
    and ($repository = '' or run_attempt.repository = $repository)
    and total.failed_test_variants >= cast($tests as integer)
    and total.failed_test_variants * 100 >= cast($percent as integer) * total.test_variants
order by
    total.failed_test_variants desc, run_attempt.run_started_at desc, run_attempt.repository, run_attempt.run_id,
    run_attempt.run_attempt, run_attempt.org, run_attempt.repository_id
