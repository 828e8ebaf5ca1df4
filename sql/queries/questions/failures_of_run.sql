-- Which tests failed together in a run, and which of them with the same failure?
-- Grain: one row per run attempt, test variant and failure signature.
-- Columns:
--   repository: full name of the repository.
--   run_attempt: attempt of the run, from 1.
--   failure_signature: fingerprint of the failure.
--   tests_with_signature: test variants of the run attempt that failed with it.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   failures: executions that failed.
--   passed_on_same_code: whether the test also passed on this code, in this run or another.
--   status: status at the last scoring; '' where it was not scored.
--   failure_message: message of the failure.
-- Parameters:
--   $run_id (text, required): the provider's id of the CI run.
--   $repository (text, default ''): only this repository, by its full name; '' for all.
with failure as (
    select
        org,
        repository_id,
        run_attempt,
        failure_signature,
        test_id,
        code_version,
        min(repository) as repository,
        min(classname) as classname,
        min(name) as name,
        min(variant) as variant,
        cast(sum(failures) as bigint) as failures,
        min(failure_message) as failure_message
    from intermediate.int_test_failure
    where
        run_id = $run_id
        and ($repository = '' or repository = $repository)
    group by org, repository_id, run_attempt, failure_signature, test_id, code_version
)

select
    failure.repository,
    failure.run_attempt,
    failure.failure_signature,
    count(*) over (
        partition by failure.org, failure.repository_id, failure.run_attempt, failure.failure_signature
    ) as tests_with_signature,
    failure.classname,
    failure.name,
    failure.variant,
    failure.failures,
    flaky_code.test_id is not null as passed_on_same_code,
    coalesce(health.status, '') as status,
    failure.failure_message
from failure
left join intermediate.int_flaky_code as flaky_code
    on
        failure.org = flaky_code.org
        and failure.repository_id = flaky_code.repository_id
        and failure.test_id = flaky_code.test_id
        and failure.code_version = flaky_code.code_version
left join marts.test_health as health
    on
        failure.org = health.org
        and failure.repository_id = health.repository_id
        and failure.test_id = health.test_id
order by
    failure.repository, failure.run_attempt, tests_with_signature desc, failure.failure_signature, failure.classname,
    failure.name, failure.variant, failure.org, failure.test_id
