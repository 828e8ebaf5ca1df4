with measured as (
    -- a median of fewer than three durations says little
    select * from {{ ref('test_duration') }}
    where slowdown_us > 0 and recent_executions >= 3 and earlier_executions >= 3
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
    slowdown_us,
    recent_median_us,
    earlier_median_us,
    recent_executions,
    earlier_executions,
    row_number() over (
        partition by org, repository_id
        order by slowdown_us desc, test_id
    ) as place,
    as_of,
    repository_id
from measured
