-- a run attempt that has moved to another code version is there twice
with changed_attempt as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt,
        run_day
    from {{ ref('int_changed_attempt') }}
),

executed as (
    select
        reported_test.org,
        reported_test.repository_id,
        reported_test.run_id,
        reported_test.run_attempt,
        reported_test.run_day,
        count(*) as test_variants
    from {{ ref('int_reported_test') }} as reported_test
    inner join changed_attempt
        on
            reported_test.org = changed_attempt.org
            and reported_test.repository_id = changed_attempt.repository_id
            and reported_test.run_id = changed_attempt.run_id
            and reported_test.run_attempt = changed_attempt.run_attempt
            and reported_test.run_day = changed_attempt.run_day
    where reported_test.executions > 0 or reported_test.failures > 0
    group by
        reported_test.org, reported_test.repository_id, reported_test.run_id, reported_test.run_attempt,
        reported_test.run_day
),

failed as (
    select
        failure.org,
        failure.repository_id,
        failure.run_id,
        failure.run_attempt,
        count(distinct failure.test_key || '@' || failure.variant) as failed_test_variants,
        count(distinct failure.failure_signature) as signatures
    from {{ ref('int_reported_failure') }} as failure
    inner join changed_attempt
        on
            failure.org = changed_attempt.org
            and failure.repository_id = changed_attempt.repository_id
            and failure.run_id = changed_attempt.run_id
            and failure.run_attempt = changed_attempt.run_attempt
            and failure.run_day = changed_attempt.run_day
    where failure.final_failures > 0
    group by failure.org, failure.repository_id, failure.run_id, failure.run_attempt
)

select
    executed.org,
    executed.repository_id,
    executed.run_id,
    executed.run_attempt,
    executed.run_day,
    executed.test_variants,
    coalesce(failed.failed_test_variants, 0) as failed_test_variants,
    coalesce(failed.signatures, 0) as signatures
from executed
left join failed
    on
        executed.org = failed.org
        and executed.repository_id = failed.repository_id
        and executed.run_id = failed.run_id
        and executed.run_attempt = failed.run_attempt
