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

named as (
    select
        reported_test.org,
        reported_test.repository_id,
        reported_test.run_id,
        reported_test.run_attempt,
        reported_test.run_day,
        reported_test.variant as base_variant,
        test_name.shared_known_at,
        reported_test.suite,
        reported_test.classname,
        reported_test.name,
        reported_test.file,
        run_attempt.provider,
        run_attempt.code_version,
        run_attempt.is_default_branch,
        run_attempt.run_started_at,
        run_attempt.known_at,
        reported_test.executions,
        reported_test.failures,
        reported_test.skips,
        reported_test.unknown_durations,
        reported_test.total_us,
        reported_test.retry_us,
        joined_name.test_key is not null as is_joined,
        coalesce(test_name.test_key, reported_test.test_key) as test_key,
        {{ labelled_variant('reported_test.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ ref('int_reported_test') }} as reported_test
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            reported_test.org = run_attempt.org
            and reported_test.repository_id = run_attempt.repository_id
            and reported_test.run_id = run_attempt.run_id
            and reported_test.run_attempt = run_attempt.run_attempt
            and reported_test.run_day = run_attempt.run_day
    left join {{ ref('int_test_name') }} as test_name
        on
            reported_test.org = test_name.org
            and reported_test.repository_id = test_name.repository_id
            and reported_test.test_key = test_name.reported_test_key
            and reported_test.variant = test_name.base_variant
    left join joined_name
        on
            reported_test.org = joined_name.org
            and reported_test.repository_id = joined_name.repository_id
            and reported_test.test_key = joined_name.test_key
)

select
    org,
    repository_id,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
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
from named
where not is_joined
union all
select
    org,
    repository_id,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
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
from named
where is_joined
group by
    org, repository_id, test_key, variant, provider, run_id, run_attempt, run_day, code_version, is_default_branch,
    run_started_at, known_at
