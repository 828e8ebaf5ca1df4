with alias as (
    select * from {{ ref('stg_test_alias') }}
),

-- Under these names a run attempt may hold a test twice: as it was, and as it goes on.
joined_name as (
    select
        org,
        repository_id,
        old_test_key as test_key
    from alias
    union distinct
    select
        org,
        repository_id,
        new_test_key as test_key
    from alias
),

plain as (
    select named.*
    from {{ named_tests() }} as named
    left join joined_name
        on
            named.org = joined_name.org
            and named.repository_id = joined_name.repository_id
            and named.reported_test_key = joined_name.test_key
    where joined_name.test_key is null
),

joined as (
    select named.*
    from {{ named_tests() }} as named
    inner join joined_name
        on
            named.org = joined_name.org
            and named.repository_id = joined_name.repository_id
            and named.reported_test_key = joined_name.test_key
)

-- Without an alias the key is the reported one, as it stands in the table: what asks for some tests reads only these.
select
    org,
    repository_id,
    reported_test_key as test_key,
    variant,
    reported_test_key || '@' || variant as test_id,
    base_variant,
    shared_known_at,
    suite,
    classname,
    name,
    file,
    provider,
    run_id,
    run_attempt,
    run_day,
    code_version,
    is_default_branch,
    run_started_at,
    known_at,
    executions,
    failures,
    skips,
    unknown_durations,
    total_us,
    retry_us
from plain
union all
select
    org,
    repository_id,
    continued_test_key as test_key,
    variant,
    continued_test_key || '@' || variant as test_id,
    min(base_variant) as base_variant,
    min(shared_known_at) as shared_known_at,
    min(suite) as suite,
    min(classname) as classname,
    min(name) as name,
    min(file) as file,
    provider,
    run_id,
    run_attempt,
    run_day,
    code_version,
    is_default_branch,
    run_started_at,
    known_at,
    cast(sum(executions) as bigint) as executions,
    cast(sum(failures) as bigint) as failures,
    cast(sum(skips) as bigint) as skips,
    cast(sum(unknown_durations) as bigint) as unknown_durations,
    cast(sum(total_us) as bigint) as total_us,
    cast(sum(retry_us) as bigint) as retry_us
from joined
group by
    org, repository_id, continued_test_key, variant, provider, run_id, run_attempt, run_day, code_version,
    is_default_branch, run_started_at, known_at
