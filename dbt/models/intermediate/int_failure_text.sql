-- The signatures of run attempts that have changed, and those whose newest failure was in one of them.
with changed_attempt as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from {{ ref('int_changed_attempt') }}
),

failure as (
    select * from {{ ref('int_reported_failure') }}
),

changed_signature as (
    select
        failure.org,
        failure.repository_id,
        failure.failure_signature
    from failure
    inner join changed_attempt
        on
            failure.org = changed_attempt.org
            and failure.repository_id = changed_attempt.repository_id
            and failure.run_id = changed_attempt.run_id
            and failure.run_attempt = changed_attempt.run_attempt
    union distinct
    select
        former.org,
        former.repository_id,
        former.failure_signature
    from {{ last_failure_texts() }} as former
    inner join changed_attempt
        on
            former.org = changed_attempt.org
            and former.repository_id = changed_attempt.repository_id
            and former.run_id = changed_attempt.run_id
            and former.run_attempt = changed_attempt.run_attempt
),

ranked as (
    select
        failure.org,
        failure.repository_id,
        failure.failure_signature,
        failure.failure_message,
        failure.run_id,
        failure.run_attempt,
        run_attempt.run_started_at,
        row_number() over (
            partition by failure.org, failure.repository_id, failure.failure_signature
            order by
                run_attempt.run_started_at desc, failure.run_id desc, failure.run_attempt desc,
                failure.report_id desc, failure.ordinal desc
        ) as recency
    from failure
    inner join changed_signature
        on
            failure.org = changed_signature.org
            and failure.repository_id = changed_signature.repository_id
            and failure.failure_signature = changed_signature.failure_signature
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            failure.org = run_attempt.org
            and failure.repository_id = run_attempt.repository_id
            and failure.run_id = run_attempt.run_id
            and failure.run_attempt = run_attempt.run_attempt
            and failure.run_day = run_attempt.run_day
)

select
    org,
    repository_id,
    failure_signature,
    failure_message,
    {{ words_of('failure_message') }} as words,
    run_id,
    run_attempt,
    run_started_at
from ranked
where recency = 1
