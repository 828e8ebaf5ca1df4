with ranked as (
    select
        failure.*,
        flaky_code.test_id is not null as is_flake,
        row_number() over (
            partition by failure.org, failure.repository_id, failure.failure_signature, failure.test_id
            order by
                failure.run_started_at desc, failure.run_id desc, failure.run_attempt desc, failure.report_id desc,
                failure.ordinal desc
        ) as recency
    from {{ ref('int_test_failure') }} as failure
    -- on these code versions the test passed, too: its failures there are flakes
    left join {{ ref('int_flaky_code') }} as flaky_code
        on
            failure.org = flaky_code.org
            and failure.repository_id = flaky_code.repository_id
            and failure.test_id = flaky_code.test_id
            and failure.code_version = flaky_code.code_version
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
    cast(sum(failures) as bigint) as failures,
    cast(sum(case when is_flake then failures else 0 end) as bigint) as flaky_failures,
    count(distinct run_id || '#' || run_attempt) as run_attempts,
    min(run_started_at) as first_seen_at,
    max(run_started_at) as last_seen_at,
    max(case when recency = 1 then run_url end) as last_run_url,
    repository_id
from ranked
group by org, repository_id, failure_signature, test_id
