-- Which runs leave reports: how many of a workflow's run attempts can be judged?
-- Grain: one row per repository and workflow.
-- Columns:
--   repository: full name of the repository.
--   workflow: name of the workflow; '' where not said.
--   run_attempts: completed run attempts.
--   with_reports: of these, those with a report that could be read.
--   with_rejected_only: those that left files of which none could be read.
--   without_files: those that left none.
--   with_inferred_passes: those for which passes were inferred.
--   newest_without_at: start of the newest without a readable report, or null.
--   newest_without_url: its address for people; '' where there is none.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 30): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
),

reported as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from core.report
),

rejected as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from core.rejected_artifact
),

inferred as (
    select distinct
        org,
        repository_id,
        run_id,
        run_attempt
    from core.inferred_pass
),

attempt as (
    select
        run_attempt.*,
        reported.run_id is not null as has_report,
        rejected.run_id is not null as has_rejected,
        inferred.run_id is not null as has_inferred,
        row_number() over (
            partition by run_attempt.org, run_attempt.repository_id, run_attempt.workflow
            order by
                case when reported.run_id is null then 0 else 1 end, run_attempt.run_started_at desc,
                run_attempt.run_id desc, run_attempt.run_attempt desc
        ) as place
    from staging.stg_run_attempt as run_attempt
    cross join period
    left join reported
        on
            run_attempt.org = reported.org
            and run_attempt.repository_id = reported.repository_id
            and run_attempt.run_id = reported.run_id
            and run_attempt.run_attempt = reported.run_attempt
    left join rejected
        on
            run_attempt.org = rejected.org
            and run_attempt.repository_id = rejected.repository_id
            and run_attempt.run_id = rejected.run_id
            and run_attempt.run_attempt = rejected.run_attempt
    left join inferred
        on
            run_attempt.org = inferred.org
            and run_attempt.repository_id = inferred.repository_id
            and run_attempt.run_id = inferred.run_id
            and run_attempt.run_attempt = inferred.run_attempt
    where
        run_attempt.status = 'completed'
        and run_attempt.run_started_at <= period.until
        and run_attempt.run_started_at > period.until - cast($days as integer) * interval '1 day'
        and ($repository = '' or run_attempt.repository = $repository)
)

select
    min(repository) as repository,
    workflow,
    count(*) as run_attempts,
    count(case when has_report then 1 end) as with_reports,
    count(case when has_rejected and not has_report then 1 end) as with_rejected_only,
    count(case when not has_rejected and not has_report then 1 end) as without_files,
    count(case when has_inferred then 1 end) as with_inferred_passes,
    max(case when not has_report then run_started_at end) as newest_without_at,
    coalesce(max(case when place = 1 and not has_report then run_url end), '') as newest_without_url
from attempt
group by org, repository_id, workflow
order by repository, workflow, org, repository_id
