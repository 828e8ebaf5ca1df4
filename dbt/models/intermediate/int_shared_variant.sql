with test_execution as (
    select * from {{ source('core', 'test_execution') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

alias as (
    select * from {{ ref('stg_test_alias') }}
),

held as (
    select
        test_execution.org,
        test_execution.repository_id,
        coalesce(alias.new_test_key, test_execution.test_key) as test_key,
        test_execution.variant,
        run_attempt.workflow,
        min(run_attempt.known_at) as known_at
    from test_execution
    inner join run_attempt
        on
            test_execution.org = run_attempt.org
            and test_execution.repository_id = run_attempt.repository_id
            and test_execution.run_id = run_attempt.run_id
            and test_execution.run_attempt = run_attempt.run_attempt
    left join alias
        on
            test_execution.org = alias.org
            and test_execution.repository_id = alias.repository_id
            and test_execution.test_key = alias.old_test_key
    where run_attempt.workflow <> ''
    group by
        test_execution.org,
        test_execution.repository_id,
        coalesce(alias.new_test_key, test_execution.test_key),
        test_execution.variant,
        run_attempt.workflow
),

ranked as (
    select
        org,
        repository_id,
        test_key,
        variant,
        known_at,
        row_number() over (
            partition by org, repository_id, test_key, variant
            order by known_at, workflow
        ) as place
    from held
)

select
    org,
    repository_id,
    test_key,
    variant,
    known_at as shared_known_at
from ranked
where place = 2
