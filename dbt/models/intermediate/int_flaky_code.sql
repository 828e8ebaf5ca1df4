with named as (
    select
        failed_code.org,
        failed_code.repository_id,
        failed_code.code_version,
        failed_code.executions,
        failed_code.failures,
        coalesce(test_name.test_key, failed_code.test_key) as test_key,
        {{ labelled_variant('failed_code.variant', 'failed_code.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ ref('int_failed_code') }} as failed_code
    left join {{ ref('int_test_name') }} as test_name
        on
            failed_code.org = test_name.org
            and failed_code.repository_id = test_name.repository_id
            and failed_code.test_key = test_name.reported_test_key
            and failed_code.variant = test_name.base_variant
)

select
    org,
    repository_id,
    code_version,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
    cast(sum(executions) as bigint) as executions,
    cast(sum(failures) as bigint) as failures
from named
group by org, repository_id, code_version, test_key, variant
having sum(failures) > 0 and sum(failures) < sum(executions)
