with changed_attempt as (
    select * from {{ ref('int_changed_attempt') }}
),

run_attempt as (
    select
        attempt.org,
        attempt.repository_id,
        attempt.run_id,
        attempt.run_attempt,
        attempt.run_day
    from {{ ref('stg_run_attempt') }} as attempt
    inner join changed_attempt
        on
            attempt.org = changed_attempt.org
            and attempt.repository_id = changed_attempt.repository_id
            and attempt.run_id = changed_attempt.run_id
            and attempt.run_attempt = changed_attempt.run_attempt
            and attempt.run_day = changed_attempt.run_day
            and attempt.code_version = changed_attempt.code_version
),

-- Reports in which the last of a test's retries did not pass: what failed there before was not made up for.
unpassed as (
    select distinct
        execution.org,
        execution.repository_id,
        execution.run_id,
        execution.run_attempt,
        execution.report_id,
        execution.test_key,
        execution.variant
    from {{ source('core', 'test_execution') }} as execution
    inner join run_attempt
        on
            execution.org = run_attempt.org
            and execution.repository_id = run_attempt.repository_id
            and execution.run_id = run_attempt.run_id
            and execution.run_attempt = run_attempt.run_attempt
    where execution.is_final and execution.outcome <> 'passed'
),

failed as (
    select
        execution.*,
        run_attempt.run_day,
        not execution.is_final and unpassed.test_key is null as is_hidden
    from {{ source('core', 'test_execution') }} as execution
    inner join run_attempt
        on
            execution.org = run_attempt.org
            and execution.repository_id = run_attempt.repository_id
            and execution.run_id = run_attempt.run_id
            and execution.run_attempt = run_attempt.run_attempt
    left join unpassed
        on
            execution.org = unpassed.org
            and execution.repository_id = unpassed.repository_id
            and execution.run_id = unpassed.run_id
            and execution.run_attempt = unpassed.run_attempt
            and execution.report_id = unpassed.report_id
            and execution.test_key = unpassed.test_key
            and execution.variant = unpassed.variant
    where execution.failure_signature <> ''
),

ranked as (
    select
        execution.*,
        count(*) over (
            partition by
                execution.org, execution.repository_id, execution.run_id, execution.run_attempt, execution.test_key,
                execution.variant, execution.failure_signature
        ) as failures,
        count(case when execution.is_final then 1 end) over (
            partition by
                execution.org, execution.repository_id, execution.run_id, execution.run_attempt, execution.test_key,
                execution.variant, execution.failure_signature
        ) as final_failures,
        count(case when execution.is_hidden then 1 end) over (
            partition by
                execution.org, execution.repository_id, execution.run_id, execution.run_attempt, execution.test_key,
                execution.variant, execution.failure_signature
        ) as hidden_failures,
        row_number() over (
            partition by
                execution.org, execution.repository_id, execution.run_id, execution.run_attempt, execution.test_key,
                execution.variant, execution.failure_signature
            order by execution.report_id desc, execution.ordinal desc
        ) as recency
    from failed as execution
)

select
    org,
    repository_id,
    run_id,
    run_attempt,
    run_day,
    test_key,
    variant,
    failure_signature,
    suite,
    classname,
    name,
    file,
    report_id,
    ordinal,
    failure_message,
    failures,
    final_failures,
    hidden_failures
from ranked
where recency = 1
