with run_attempt as (
    select
        attempt.org,
        attempt.repository_id,
        attempt.run_id,
        attempt.run_attempt,
        attempt.run_day,
        changed_week.week_start
    from {{ ref('stg_run_attempt') }} as attempt
    inner join {{ ref('int_changed_week') }} as changed_week
        on
            attempt.org = changed_week.org
            and attempt.repository_id = changed_week.repository_id
            and {{ week_start('attempt.run_day') }} = changed_week.week_start
)

select
    run_attempt.org,
    run_attempt.repository_id,
    run_attempt.week_start,
    count(distinct test_attempt.test_id) as test_variants,
    count(distinct case when test_attempt.failures > 0 then flaky_code.test_id end) as flaked_test_variants,
    count(
        distinct case
            when test_attempt.failures > 0 and flaky_code.test_id is not null
                then test_attempt.run_id || '#' || test_attempt.run_attempt
        end
    ) as flaked_run_attempts,
    cast(sum(test_attempt.executions) as bigint) as executions,
    cast(sum(test_attempt.failures) as bigint) as failures,
    cast(sum(case when flaky_code.test_id is not null then test_attempt.failures else 0 end) as bigint)
        as flaky_failures
from {{ ref('int_test_attempt') }} as test_attempt
inner join run_attempt
    on
        test_attempt.org = run_attempt.org
        and test_attempt.repository_id = run_attempt.repository_id
        and test_attempt.run_id = run_attempt.run_id
        and test_attempt.run_attempt = run_attempt.run_attempt
        and test_attempt.run_day = run_attempt.run_day
left join {{ ref('int_flaky_code') }} as flaky_code
    on
        test_attempt.org = flaky_code.org
        and test_attempt.repository_id = flaky_code.repository_id
        and test_attempt.test_id = flaky_code.test_id
        and test_attempt.code_version = flaky_code.code_version
-- so that the engine reads these days of the roll-up alone
where {{ on_weeks_of('test_attempt.run_day', ref('int_changed_week')) }}
group by run_attempt.org, run_attempt.repository_id, run_attempt.week_start
