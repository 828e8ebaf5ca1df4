-- What chosen tests were reported as.
-- Grain: one row per test. Parameters: none; relation _wanted names the tests.
select
    execution.org,
    execution.repository_id,
    execution.test_key,
    min(execution.suite) as suite,
    min(execution.classname) as classname,
    min(execution.name) as name,
    min(execution.file) as file
from core.test_execution as execution
inner join _wanted
    on
        execution.org = _wanted.org
        and execution.repository_id = _wanted.repository_id
        and execution.test_key = _wanted.test_key
group by execution.org, execution.repository_id, execution.test_key
order by execution.org, execution.repository_id, execution.test_key
