with report as (
    select * from {{ source('core', 'report') }}
),

report_issue as (
    select * from {{ source('core', 'report_issue') }}
),

rejected_artifact as (
    select * from {{ source('core', 'rejected_artifact') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

-- a run that has not finished says nothing of its reports yet, and an artifact that expired nothing of its own
rejected as (
    select * from rejected_artifact
    where run_id <> '' and reason_code not in ('run_not_completed', 'artifact_expired')
),

read_file as (
    select
        org,
        repository_id,
        run_id,
        run_attempt,
        artifact,
        path,
        digest
    from report
    union
    select
        org,
        repository_id,
        run_id,
        run_attempt,
        artifact,
        path,
        digest
    from rejected
),

finding as (
    select
        org,
        repository_id,
        run_id,
        run_attempt,
        artifact,
        path,
        digest,
        reason_code,
        reason || case when detail = '' then '' else ' (' || detail || ')' end as reason
    from rejected
    union all
    select
        report.org,
        report.repository_id,
        report.run_id,
        report.run_attempt,
        report.artifact,
        report.path,
        report.digest,
        report_issue.issue_code as reason_code,
        report_issue.issue || ' (' || report_issue.occurrences || ' of ' || report.executions || ', first: '
        || report_issue.example || ')' as reason
    from report
    inner join report_issue
        on
            report.org = report_issue.org
            and report.repository_id = report_issue.repository_id
            and report.run_id = report_issue.run_id
            and report.run_attempt = report_issue.run_attempt
            and report.report_id = report_issue.report_id
),

told as (
    select
        org,
        repository_id,
        run_id,
        run_attempt,
        artifact,
        path,
        digest,
        string_agg(reason_code, ',' order by reason_code, reason) as reason_codes,
        string_agg(reason, '; ' order by reason_code, reason) as reasons
    from finding
    group by org, repository_id, run_id, run_attempt, artifact, path, digest
),

uploading_attempt as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from read_file
),

ranked as (
    select
        run_attempt.*,
        row_number() over (
            partition by run_attempt.org, run_attempt.repository_id
            order by run_attempt.run_started_at desc, run_attempt.run_id desc, run_attempt.run_attempt desc
        ) as recency
    from run_attempt
    inner join uploading_attempt
        on
            run_attempt.org = uploading_attempt.org
            and run_attempt.repository_id = uploading_attempt.repository_id
            and run_attempt.run_id = uploading_attempt.run_id
            and run_attempt.run_attempt = uploading_attempt.run_attempt
)

select
    ranked.org,
    ranked.repository,
    ranked.workflow,
    ranked.run_id,
    ranked.run_attempt,
    read_file.artifact,
    read_file.path,
    case
        when report.report_id is null then 'invalid'
        when told.reason_codes is not null then 'suboptimal'
        else 'valid'
    end as level,
    coalesce(told.reason_codes, '') as reason_codes,
    coalesce(told.reasons, '') as reasons,
    coalesce(report.dialect, '') as dialect,
    coalesce(report.executions, 0) as executions,
    coalesce(report.variant, '') as variant,
    coalesce(report.job_id, '') as job_id,
    ranked.run_started_at,
    ranked.run_url,
    ranked.recency,
    read_file.digest,
    ranked.repository_id
from read_file
inner join ranked
    on
        read_file.org = ranked.org
        and read_file.repository_id = ranked.repository_id
        and read_file.run_id = ranked.run_id
        and read_file.run_attempt = ranked.run_attempt
left join report
    on
        read_file.org = report.org
        and read_file.repository_id = report.repository_id
        and read_file.run_id = report.run_id
        and read_file.run_attempt = report.run_attempt
        and read_file.artifact = report.artifact
        and read_file.digest = report.digest
left join told
    on
        read_file.org = told.org
        and read_file.repository_id = told.repository_id
        and read_file.run_id = told.run_id
        and read_file.run_attempt = told.run_attempt
        and read_file.artifact = told.artifact
        and read_file.path = told.path
        and read_file.digest = told.digest
where ranked.recency <= 50
