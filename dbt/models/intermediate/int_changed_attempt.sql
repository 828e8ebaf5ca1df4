with run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

rolled as (
    select last_build.*
    from {{ left_by_last_build('int_rolled_attempt', 'select * from ' ~ ref('stg_run_attempt')) }} as last_build
),

-- what has to be rolled up
due as (
    select
        run_attempt.org,
        run_attempt.repository_id,
        run_attempt.run_id,
        run_attempt.run_attempt,
        run_attempt.run_day,
        run_attempt.code_version,
        run_attempt.load_digest
    from run_attempt
    left join rolled
        on
            run_attempt.org = rolled.org
            and run_attempt.repository_id = rolled.repository_id
            and run_attempt.run_id = rolled.run_id
            and run_attempt.run_attempt = rolled.run_attempt
            and run_attempt.run_day = rolled.run_day
            and run_attempt.code_version = rolled.code_version
            and run_attempt.load_digest = rolled.load_digest
    where rolled.run_id is null
),

-- what is rolled up and no longer so, under another day or code version than now
gone as (
    select
        rolled.org,
        rolled.repository_id,
        rolled.run_id,
        rolled.run_attempt,
        rolled.run_day,
        rolled.code_version,
        '' as load_digest
    from rolled
    left join run_attempt
        on
            rolled.org = run_attempt.org
            and rolled.repository_id = run_attempt.repository_id
            and rolled.run_id = run_attempt.run_id
            and rolled.run_attempt = run_attempt.run_attempt
            and rolled.run_day = run_attempt.run_day
            and rolled.code_version = run_attempt.code_version
    where run_attempt.run_id is null
)

select
    org,
    repository_id,
    run_id,
    run_attempt,
    run_day,
    code_version,
    load_digest
from due
union all
select
    org,
    repository_id,
    run_id,
    run_attempt,
    run_day,
    code_version,
    load_digest
from gone
