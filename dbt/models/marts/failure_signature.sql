with failure as (
    select * from {{ ref('stg_test_execution') }}
    where failure_signature <> ''
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

ranked as (
    select
        failure.*,
        mixed.test_id is not null as is_flake,
        row_number() over (
            partition by failure.org, failure.repository_id, failure.failure_signature, failure.test_id
            order by
                failure.run_started_at desc, failure.run_id desc, failure.run_attempt desc, failure.report_id desc,
                failure.ordinal desc
        ) as recency
    from failure
    left join mixed
        on
            failure.org = mixed.org
            and failure.repository_id = mixed.repository_id
            and failure.test_id = mixed.test_id
            and failure.code_version = mixed.code_version
)

select
    org,
    min(repository) as repository,
    failure_signature,
    min(test_key) as test_key,
    test_id,
    min(variant) as variant,
    max(case when recency = 1 then suite end) as suite,
    max(case when recency = 1 then classname end) as classname,
    max(case when recency = 1 then name end) as name,
    max(case when recency = 1 then file end) as file,
    max(case when recency = 1 then failure_message end) as failure_message,
    count(*) as failures,
    count(case when is_flake then 1 end) as flaky_failures,
    count(distinct run_id || '#' || run_attempt) as run_attempts,
    min(run_started_at) as first_seen_at,
    max(run_started_at) as last_seen_at,
    max(case when recency = 1 then run_url end) as last_run_url,
    repository_id
from ranked
group by org, repository_id, failure_signature, test_id
