with measured as (
    select * from {{ ref('test_duration') }}
    where recent_executions > 0
)

select
    org,
    repository,
    test_key,
    test_id,
    variant,
    suite,
    classname,
    name,
    file,
    recent_median_us,
    recent_total_us,
    recent_executions,
    row_number() over (
        partition by org, repository_id
        order by recent_total_us desc, test_id
    ) as place,
    as_of,
    repository_id
from measured
