-- What did a pull request run into that was flaky?
-- Grain: one row per test variant that flaked, or that is called flaky and failed, in the pull request's runs.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   failed_run_attempts: run attempts of the pull request in which it failed.
--   passed_on_same_code: whether it also passed on code of the pull request on which it failed.
--   status: status at the last scoring; '' where it was not scored.
--   is_quarantined: whether it is quarantined.
--   last_failed_at: start of the newest of these run attempts.
--   last_run_url: its address for people.
-- Parameters:
--   $pull_request (integer, required): number of the pull request.
--   $repository (text, default ''): only this repository, by its full name; '' for all.
with failed as (
    select distinct
        run_attempt.*,
        failure.test_id,
        failure.classname,
        failure.name,
        failure.variant
    from intermediate.int_test_failure as failure
    inner join staging.stg_run_attempt as run_attempt
        on
            failure.org = run_attempt.org
            and failure.repository_id = run_attempt.repository_id
            and failure.run_id = run_attempt.run_id
            and failure.run_attempt = run_attempt.run_attempt
    where
        run_attempt.pr_number = cast($pull_request as integer)
        and ($repository = '' or run_attempt.repository = $repository)
),

ranked as (
    select
        failed.*,
        flaky_code.test_id is not null as has_passed,
        row_number() over (
            partition by failed.org, failed.repository_id, failed.test_id
            order by failed.run_started_at desc, failed.run_id desc, failed.run_attempt desc
        ) as recency
    from failed
    left join intermediate.int_flaky_code as flaky_code
        on
            failed.org = flaky_code.org
            and failed.repository_id = flaky_code.repository_id
            and failed.test_id = flaky_code.test_id
            and failed.code_version = flaky_code.code_version
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
        count(distinct run_id || '#' || run_attempt) as failed_run_attempts,
        bool_or(has_passed) as passed_on_same_code,
        max(run_started_at) as last_failed_at,
        max(case when recency = 1 then run_url end) as last_run_url
    from ranked
    group by org, repository_id, test_id
)

select
    test.repository,
    test.classname,
    test.name,
    test.variant,
    test.failed_run_attempts,
    test.passed_on_same_code,
    coalesce(health.status, '') as status,
    quarantine.test_id is not null as is_quarantined,
    test.last_failed_at,
    test.last_run_url
from test
left join marts.test_health as health
    on
        test.org = health.org
        and test.repository_id = health.repository_id
        and test.test_id = health.test_id
left join marts.quarantine as quarantine
    on
        test.org = quarantine.org
        and test.repository_id = quarantine.repository_id
        and test.test_id = quarantine.test_id
where test.passed_on_same_code or health.status = 'flaky'
order by
    test.failed_run_attempts desc, test.repository, test.classname, test.name, test.variant, test.org, test.test_id
