with run_attempt as (
    select
        *,
        -- The Monday that begins the week in which the run attempt started, whatever the session's zone.
        cast(date_trunc('week', cast(run_started_at at time zone 'UTC' as date)) as date) as week_start
    from {{ ref('stg_run_attempt') }}
),

test_attempt as (
    select * from {{ ref('int_test_attempt') }}
),

-- On these code versions the test passed, too: its failures there are flakes.
mixed as (
    select
        org,
        repository_id,
        test_id,
        code_version
    from test_attempt
    group by org, repository_id, test_id, code_version
    having sum(failures) > 0 and sum(failures) < sum(executions)
),

run_week as (
    select
        org,
        repository_id,
        week_start,
        min(repository) as repository,
        count(*) as run_attempts,
        count(case when conclusion = 'failure' then 1 end) as failed_run_attempts
    from run_attempt
    group by org, repository_id, week_start
),

test_week as (
    select
        run_attempt.org,
        run_attempt.repository_id,
        run_attempt.week_start,
        count(distinct test_attempt.test_id) as test_variants,
        count(distinct case when test_attempt.failures > 0 then mixed.test_id end) as flaked_test_variants,
        count(
            distinct case
                when test_attempt.failures > 0 and mixed.test_id is not null
                    then test_attempt.run_id || '#' || test_attempt.run_attempt
            end
        ) as flaked_run_attempts,
        cast(sum(test_attempt.executions) as bigint) as executions,
        cast(sum(test_attempt.failures) as bigint) as failures,
        cast(sum(case when mixed.test_id is not null then test_attempt.failures else 0 end) as bigint)
            as flaky_failures
    from test_attempt
    inner join run_attempt
        on
            test_attempt.org = run_attempt.org
            and test_attempt.repository_id = run_attempt.repository_id
            and test_attempt.run_id = run_attempt.run_id
            and test_attempt.run_attempt = run_attempt.run_attempt
    left join mixed
        on
            test_attempt.org = mixed.org
            and test_attempt.repository_id = mixed.repository_id
            and test_attempt.test_id = mixed.test_id
            and test_attempt.code_version = mixed.code_version
    group by run_attempt.org, run_attempt.repository_id, run_attempt.week_start
)

select
    run_week.org,
    run_week.repository,
    run_week.week_start,
    run_week.run_attempts,
    run_week.failed_run_attempts,
    coalesce(test_week.flaked_run_attempts, 0) as flaked_run_attempts,
    coalesce(test_week.test_variants, 0) as test_variants,
    coalesce(test_week.flaked_test_variants, 0) as flaked_test_variants,
    coalesce(test_week.executions, 0) as executions,
    coalesce(test_week.failures, 0) as failures,
    coalesce(test_week.flaky_failures, 0) as flaky_failures,
    run_week.repository_id
from run_week
left join test_week
    on
        run_week.org = test_week.org
        and run_week.repository_id = test_week.repository_id
        and run_week.week_start = test_week.week_start
