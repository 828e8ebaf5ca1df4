-- Where on the default branch chosen tests were seen, and how they did there.
-- Grain: one row per test, workflow, artifact and variant.
-- Parameters: $org, $repository_id; relations _moved (tests with their first position) and _position as above.
select
    execution.test_key,
    attempt.workflow,
    execution.artifact,
    execution.variant,
    min(_position.position) as first_position,
    max(_position.position) as last_position,
    count(distinct _position.position) as positions,
    min(case when _position.position = _moved.first_position then attempt.known_at end) as first_known_at,
    count(case when execution.outcome <> 'skipped' then 1 end) as executions,
    count(case when execution.outcome in ('failed', 'errored') then 1 end) as failures,
    percentile_cont(0.5) within group (order by execution.duration_us) as median_duration_us
from core.test_execution as execution
inner join _moved on execution.test_key = _moved.test_key
inner join staging.stg_run_attempt as attempt
    on
        execution.org = attempt.org
        and execution.repository_id = attempt.repository_id
        and execution.run_id = attempt.run_id
        and execution.run_attempt = attempt.run_attempt
inner join _position on attempt.code_version = _position.code_version
where execution.org = $org and execution.repository_id = $repository_id and attempt.is_default_branch
group by execution.test_key, attempt.workflow, execution.artifact, execution.variant
order by execution.test_key, attempt.workflow, execution.artifact, execution.variant
