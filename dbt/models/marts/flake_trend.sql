with run_week as (
    select
        org,
        repository_id,
        {{ week_start('run_day') }} as week_start,
        min(repository) as repository,
        count(*) as run_attempts,
        count(case when conclusion = 'failure' then 1 end) as failed_run_attempts
    from {{ ref('stg_run_attempt') }}
    group by org, repository_id, {{ week_start('run_day') }}
),

test_week as (
    select * from {{ ref('int_test_week') }}
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
