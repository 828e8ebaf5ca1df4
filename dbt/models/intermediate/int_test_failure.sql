with joined as (
    select
        reported_failure.org,
        reported_failure.repository_id,
        reported_failure.run_id,
        reported_failure.run_attempt,
        reported_failure.run_day,
        reported_failure.test_key as reported_test_key,
        reported_failure.variant as base_variant,
        reported_failure.failure_signature,
        reported_failure.suite,
        reported_failure.classname,
        reported_failure.name,
        reported_failure.file,
        reported_failure.report_id,
        reported_failure.ordinal,
        reported_failure.failure_message,
        reported_failure.failures,
        run_attempt.repository,
        run_attempt.code_version,
        run_attempt.run_started_at,
        run_attempt.known_at,
        run_attempt.run_url,
        coalesce(test_name.test_key, reported_failure.test_key) as test_key,
        {{ labelled_variant('reported_failure.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ ref('int_reported_failure') }} as reported_failure
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            reported_failure.org = run_attempt.org
            and reported_failure.repository_id = run_attempt.repository_id
            and reported_failure.run_id = run_attempt.run_id
            and reported_failure.run_attempt = run_attempt.run_attempt
            and reported_failure.run_day = run_attempt.run_day
    left join {{ ref('int_test_name') }} as test_name
        on
            reported_failure.org = test_name.org
            and reported_failure.repository_id = test_name.repository_id
            and reported_failure.test_key = test_name.reported_test_key
            and reported_failure.variant = test_name.base_variant
)

select
    org,
    repository_id,
    repository,
    test_key,
    variant,
    test_key || '@' || variant as test_id,
    reported_test_key,
    base_variant,
    failure_signature,
    suite,
    classname,
    name,
    file,
    run_id,
    run_attempt,
    run_day,
    report_id,
    ordinal,
    failure_message,
    failures,
    code_version,
    run_started_at,
    known_at,
    run_url
from joined
