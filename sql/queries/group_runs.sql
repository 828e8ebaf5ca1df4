-- On which code versions of the default branch each workflow, artifact and variant of one repository left reports.
-- Grain: one row per workflow, artifact, variant and code version.
-- Parameters: $org, $repository_id; relation _position as above.
with held as (
    select
        attempt.workflow,
        report.artifact,
        report.variant,
        _position.position,
        attempt.known_at,
        cast(sum(report.executions) as bigint) as executions
    from core.report as report
    inner join staging.stg_run_attempt as attempt
        on
            report.org = attempt.org
            and report.repository_id = attempt.repository_id
            and report.run_id = attempt.run_id
            and report.run_attempt = attempt.run_attempt
    inner join _position on attempt.code_version = _position.code_version
    where report.org = $org and report.repository_id = $repository_id and attempt.is_default_branch
    group by
        attempt.workflow, report.artifact, report.variant, _position.position, attempt.known_at, report.run_id,
        report.run_attempt
)

select
    workflow,
    artifact,
    variant,
    position,
    max(executions) as executions,
    min(known_at) as known_at
from held
group by workflow, artifact, variant, position
order by workflow, artifact, variant, position
