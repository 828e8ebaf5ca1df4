-- depends_on: {{ ref('int_attempt_total') }}
-- depends_on: {{ ref('int_failure_text') }}
-- depends_on: {{ ref('int_reported_failure') }}
-- depends_on: {{ ref('int_rolled_name') }}
select
    run_attempt.org,
    run_attempt.repository_id,
    run_attempt.run_id,
    run_attempt.run_attempt,
    run_attempt.run_day,
    run_attempt.code_version,
    run_attempt.load_digest
from {{ ref('stg_run_attempt') }} as run_attempt
inner join {{ ref('int_changed_attempt') }} as changed_attempt
    on
        run_attempt.org = changed_attempt.org
        and run_attempt.repository_id = changed_attempt.repository_id
        and run_attempt.run_id = changed_attempt.run_id
        and run_attempt.run_attempt = changed_attempt.run_attempt
        and run_attempt.run_day = changed_attempt.run_day
        and run_attempt.code_version = changed_attempt.code_version
        and run_attempt.load_digest = changed_attempt.load_digest
