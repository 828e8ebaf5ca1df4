with run_attempt as (
    select attempt.*
    from {{ ref('stg_run_attempt') }} as attempt
    inner join {{ ref('int_changed_code') }} as changed_code
        on
            attempt.org = changed_code.org
            and attempt.repository_id = changed_code.repository_id
            and attempt.code_version = changed_code.code_version
),

test_name as (
    select * from {{ ref('int_test_name') }}
),

reported as (
    select
        reported_test.org,
        reported_test.repository_id,
        run_attempt.code_version,
        reported_test.test_key,
        reported_test.variant,
        run_attempt.workflow,
        cast(sum(reported_test.executions) as bigint) as executions,
        cast(sum(reported_test.failures) as bigint) as failures
    from {{ ref('int_reported_test') }} as reported_test
    inner join run_attempt
        on
            reported_test.org = run_attempt.org
            and reported_test.repository_id = run_attempt.repository_id
            and reported_test.run_id = run_attempt.run_id
            and reported_test.run_attempt = run_attempt.run_attempt
            and reported_test.run_day = run_attempt.run_day
    group by
        reported_test.org, reported_test.repository_id, run_attempt.code_version, reported_test.test_key,
        reported_test.variant, run_attempt.workflow
),

named as (
    select
        reported.*,
        coalesce(test_name.test_key, reported.test_key) as final_test_key
    from reported
    left join test_name
        on
            reported.org = test_name.org
            and reported.repository_id = test_name.repository_id
            and reported.test_key = test_name.reported_test_key
            and reported.variant = test_name.base_variant
),

failed as (
    select distinct
        org,
        repository_id,
        code_version,
        final_test_key,
        variant
    from named
    where failures > 0
)

select
    named.org,
    named.repository_id,
    named.code_version,
    named.test_key,
    named.variant,
    named.workflow,
    named.executions,
    named.failures
from named
inner join failed
    on
        named.org = failed.org
        and named.repository_id = failed.repository_id
        and named.code_version = failed.code_version
        and named.final_test_key = failed.final_test_key
        and named.variant = failed.variant
