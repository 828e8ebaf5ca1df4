select
    org,
    repository_id,
    {{ week_start('run_day') }} as week_start
from {{ ref('int_changed_attempt') }}
union distinct
-- what is a flake in one week may rest on what the same code did in another
select
    run_attempt.org,
    run_attempt.repository_id,
    {{ week_start('run_attempt.run_day') }} as week_start
from {{ ref('stg_run_attempt') }} as run_attempt
inner join {{ ref('int_changed_code') }} as changed_code
    on
        run_attempt.org = changed_code.org
        and run_attempt.repository_id = changed_code.repository_id
        and run_attempt.code_version = changed_code.code_version
