with test_execution as (
    select * from {{ source('core', 'test_execution') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

shared as (
    select
        test_execution.org,
        test_execution.repository_id,
        test_execution.test_key,
        test_execution.variant
    from test_execution
    inner join run_attempt
        on
            test_execution.org = run_attempt.org
            and test_execution.repository_id = run_attempt.repository_id
            and test_execution.run_id = run_attempt.run_id
            and test_execution.run_attempt = run_attempt.run_attempt
    where run_attempt.workflow <> ''
    group by test_execution.org, test_execution.repository_id, test_execution.test_key, test_execution.variant
    having count(distinct run_attempt.workflow) > 1
)

select
    org,
    repository_id,
    test_key,
    variant
from shared
