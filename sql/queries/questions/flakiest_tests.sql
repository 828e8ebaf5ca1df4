-- Which tests flaked most, how many builds did they hold up, and how many minutes were run again for them?
-- Grain: one row per test variant that flaked.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   builds_held_up: failed run attempts in which it flaked, and no retry made up for it.
--   flaked_run_attempts: run attempts in which it failed on code on which it also passed.
--   rerun_us: job time of the next attempts of the builds that it held up, in microseconds; a build that two tests held
--     up counts for both.
--   retry_us: time of its own retries within reports, in microseconds.
--   status: status at the last scoring.
--   is_quarantined: whether it is quarantined.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 7): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
),

-- Where a retry of the same report passed, the build went on.
final_failure as (
    select distinct
        failure.org,
        failure.repository_id,
        failure.test_key,
        failure.variant,
        failure.run_id,
        failure.run_attempt
    from intermediate.int_test_failure as failure
    cross join period
    where
        failure.final_failures > 0
        and failure.run_started_at <= period.until
        and failure.run_started_at > period.until - cast($days as integer) * interval '1 day'
),

flake as (
    select
        flake_evidence.org,
        flake_evidence.repository_id,
        flake_evidence.test_key,
        flake_evidence.variant,
        flake_evidence.run_id,
        flake_evidence.run_attempt,
        run_attempt.conclusion = 'failure' and final_failure.run_id is not null as is_held_up
    from flakiness.flake_evidence
    inner join flakiness.current_scoring
        on
            flake_evidence.org = current_scoring.org
            and flake_evidence.repository_id = current_scoring.repository_id
            and flake_evidence.as_of = current_scoring.as_of
    inner join core.run_attempt
        on
            flake_evidence.org = run_attempt.org
            and flake_evidence.repository_id = run_attempt.repository_id
            and flake_evidence.run_id = run_attempt.run_id
            and flake_evidence.run_attempt = run_attempt.run_attempt
    left join final_failure
        on
            flake_evidence.org = final_failure.org
            and flake_evidence.repository_id = final_failure.repository_id
            and flake_evidence.test_key = final_failure.test_key
            and flake_evidence.variant = final_failure.variant
            and flake_evidence.run_id = final_failure.run_id
            and flake_evidence.run_attempt = final_failure.run_attempt
    cross join period
    where
        run_attempt.run_started_at <= period.until
        and run_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
),

-- A job from before its attempt was carried over from an earlier one, and did not run again.
attempt_cost as (
    select
        job.org,
        job.repository_id,
        job.run_id,
        job.run_attempt,
        cast(sum(cast(extract(epoch from (job.completed_at - job.started_at)) * 1000000 as bigint)) as bigint)
            as job_us
    from core.job
    inner join core.run_attempt
        on
            job.org = run_attempt.org
            and job.repository_id = run_attempt.repository_id
            and job.run_id = run_attempt.run_id
            and job.run_attempt = run_attempt.run_attempt
    where job.started_at >= run_attempt.run_started_at and job.completed_at >= job.started_at
    group by job.org, job.repository_id, job.run_id, job.run_attempt
),

retry as (
    select
        test_attempt.org,
        test_attempt.repository_id,
        test_attempt.test_key,
        test_attempt.variant,
        cast(sum(test_attempt.retry_us) as bigint) as retry_us
    from intermediate.int_test_attempt as test_attempt
    cross join period
    where
        test_attempt.retry_us > 0
        and test_attempt.run_started_at <= period.until
        and test_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
    group by test_attempt.org, test_attempt.repository_id, test_attempt.test_key, test_attempt.variant
),

cost as (
    select
        flake.org,
        flake.repository_id,
        flake.test_key,
        flake.variant,
        count(*) as flaked_run_attempts,
        count(case when flake.is_held_up then 1 end) as builds_held_up,
        cast(coalesce(sum(case when flake.is_held_up then attempt_cost.job_us end), 0) as bigint) as rerun_us
    from flake
    left join attempt_cost
        on
            flake.org = attempt_cost.org
            and flake.repository_id = attempt_cost.repository_id
            and flake.run_id = attempt_cost.run_id
            and flake.run_attempt + 1 = attempt_cost.run_attempt
    group by flake.org, flake.repository_id, flake.test_key, flake.variant
)

select
    health.repository,
    health.classname,
    health.name,
    health.variant,
    cost.builds_held_up,
    cost.flaked_run_attempts,
    cost.rerun_us,
    coalesce(retry.retry_us, 0) as retry_us,
    health.status,
    quarantine.test_id is not null as is_quarantined
from cost
inner join marts.test_health as health
    on
        cost.org = health.org
        and cost.repository_id = health.repository_id
        and cost.test_key = health.test_key
        and cost.variant = health.variant
left join retry
    on
        cost.org = retry.org
        and cost.repository_id = retry.repository_id
        and cost.test_key = retry.test_key
        and cost.variant = retry.variant
left join marts.quarantine as quarantine
    on
        cost.org = quarantine.org
        and cost.repository_id = quarantine.repository_id
        and health.test_id = quarantine.test_id
where $repository = '' or health.repository = $repository
order by
    cost.builds_held_up desc, cost.rerun_us desc, cost.flaked_run_attempts desc, health.repository, health.classname,
    health.name, health.variant, health.org, health.test_id
