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
told_rejection as (
    select * from rejected_artifact
    where run_id <> '' and reason_code not in ('run_not_completed', 'artifact_expired')
),

uploading_attempt as (
    select
        org,
        repository_id,
        run_id,
        run_attempt
    from report
    union distinct
    select
        org,
        repository_id,
        run_id,
        run_attempt
    from told_rejection
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
),

-- what is older is not looked at any further
shown_attempt as (
    select * from ranked
    where recency <= 50
),

shown_report as (
    select report.*
    from report
    inner join shown_attempt
        on
            report.org = shown_attempt.org
            and report.repository_id = shown_attempt.repository_id
            and report.run_id = shown_attempt.run_id
            and report.run_attempt = shown_attempt.run_attempt
),

shown_rejection as (
    select told_rejection.*
    from told_rejection
    inner join shown_attempt
        on
            told_rejection.org = shown_attempt.org
            and told_rejection.repository_id = shown_attempt.repository_id
            and told_rejection.run_id = shown_attempt.run_id
            and told_rejection.run_attempt = shown_attempt.run_attempt
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
    from shown_report
    union distinct
    select
        org,
        repository_id,
        run_id,
        run_attempt,
        artifact,
        path,
        digest
    from shown_rejection
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
    from shown_rejection
    union all
    select
        shown_report.org,
        shown_report.repository_id,
        shown_report.run_id,
        shown_report.run_attempt,
        shown_report.artifact,
        shown_report.path,
        shown_report.digest,
        report_issue.issue_code as reason_code,
        report_issue.issue || ' (' || report_issue.occurrences || ' of ' || shown_report.executions || ', first: '
        || report_issue.example || ')' as reason
    from shown_report
    inner join report_issue
        on
            shown_report.org = report_issue.org
            and shown_report.repository_id = report_issue.repository_id
            and shown_report.run_id = report_issue.run_id
            and shown_report.run_attempt = report_issue.run_attempt
            and shown_report.report_id = report_issue.report_id
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
        {{ joined_text('reason_code', "','", 'reason_code, reason') }} as reason_codes,
        {{ joined_text('reason', "'; '", 'reason_code, reason') }} as reasons
    from finding
    group by org, repository_id, run_id, run_attempt, artifact, path, digest
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
inner join shown_attempt as ranked
    on
        read_file.org = ranked.org
        and read_file.repository_id = ranked.repository_id
        and read_file.run_id = ranked.run_id
        and read_file.run_attempt = ranked.run_attempt
left join shown_report as report
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
