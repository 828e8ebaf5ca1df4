with test_name as (
    select * from {{ ref('int_test_name') }}
),

rolled_name as (
    select last_build.*
    from {{ left_by_last_build('int_rolled_name', 'select * from ' ~ ref('int_test_name')) }} as last_build
),

-- tests that go by another name now than when they were rolled up
changed_name as (
    select
        test_name.org,
        test_name.repository_id,
        test_name.reported_test_key,
        test_name.base_variant
    from test_name
    left join rolled_name
        on
            test_name.org = rolled_name.org
            and test_name.repository_id = rolled_name.repository_id
            and test_name.reported_test_key = rolled_name.reported_test_key
            and test_name.base_variant = rolled_name.base_variant
            and test_name.test_key = rolled_name.test_key
            and test_name.is_shared = rolled_name.is_shared
    where rolled_name.org is null
    union all
    select
        rolled_name.org,
        rolled_name.repository_id,
        rolled_name.reported_test_key,
        rolled_name.base_variant
    from rolled_name
    left join test_name
        on
            rolled_name.org = test_name.org
            and rolled_name.repository_id = test_name.repository_id
            and rolled_name.reported_test_key = test_name.reported_test_key
            and rolled_name.base_variant = test_name.base_variant
            and rolled_name.test_key = test_name.test_key
            and rolled_name.is_shared = test_name.is_shared
    where test_name.org is null
),

-- No run attempt that holds one of them was known earlier than this.
since as (
    select
        changed_name.org,
        changed_name.repository_id,
        min(first_sighting.known_at) as known_at
    from changed_name
    inner join {{ ref('int_first_sighting') }} as first_sighting
        on
            changed_name.org = first_sighting.org
            and changed_name.repository_id = first_sighting.repository_id
            and changed_name.reported_test_key = first_sighting.test_key
            and changed_name.base_variant = first_sighting.variant
    group by changed_name.org, changed_name.repository_id
)

select
    org,
    repository_id,
    code_version
from {{ ref('int_changed_attempt') }}
union distinct
select
    run_attempt.org,
    run_attempt.repository_id,
    run_attempt.code_version
from {{ ref('stg_run_attempt') }} as run_attempt
inner join since
    on
        run_attempt.org = since.org
        and run_attempt.repository_id = since.repository_id
        and run_attempt.known_at >= since.known_at
