with joined as (
    select
        failure.org,
        failure.repository_id,
        failure.run_id,
        failure.run_attempt,
        failure.run_day,
        failure.test_key as reported_test_key,
        failure.variant as base_variant,
        failure.failure_signature,
        failure.suite,
        failure.classname,
        failure.name,
        failure.file,
        failure.report_id,
        failure.ordinal,
        failure.failure_message,
        failure.failures,
        run_attempt.repository,
        run_attempt.code_version,
        run_attempt.run_started_at,
        run_attempt.known_at,
        run_attempt.run_url,
        coalesce(test_name.test_key, failure.test_key) as test_key,
        {{ labelled_variant('failure.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ ref('int_reported_failure') }} as failure
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            failure.org = run_attempt.org
            and failure.repository_id = run_attempt.repository_id
            and failure.run_id = run_attempt.run_id
            and failure.run_attempt = run_attempt.run_attempt
            and failure.run_day = run_attempt.run_day
    left join {{ ref('int_test_name') }} as test_name
        on
            failure.org = test_name.org
            and failure.repository_id = test_name.repository_id
            and failure.test_key = test_name.reported_test_key
            and failure.variant = test_name.base_variant
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
