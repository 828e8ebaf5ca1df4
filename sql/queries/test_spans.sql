-- From where to where on the default branch each test of one repository was seen, under the name it was reported with.
-- Grain: one row per test. Parameters: $org, $repository_id; relation _position numbers the code versions.
select
    execution.test_key,
    min(execution.suite) as suite,
    min(execution.classname) as classname,
    min(execution.name) as name,
    min(execution.file) as file,
    min(_position.position) as first_position,
    max(_position.position) as last_position,
    count(distinct execution.run_id || '/' || cast(execution.run_attempt as varchar)) as run_attempts
from core.test_execution as execution
inner join staging.stg_run_attempt as attempt
    on
        execution.org = attempt.org
        and execution.repository_id = attempt.repository_id
        and execution.run_id = attempt.run_id
        and execution.run_attempt = attempt.run_attempt
inner join _position on attempt.code_version = _position.code_version
where execution.org = $org and execution.repository_id = $repository_id and attempt.is_default_branch
group by execution.test_key
order by execution.test_key
