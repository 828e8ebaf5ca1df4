-- Infer the passes of one repository's jobs that succeeded without uploading a report.
-- Grain: one row per job that succeeded and test of its roster. Parameters: $org, $repository_id,
-- $roster_days, $roster_reports; relation _source_off names sources for whose run attempts nothing is inferred.
-- A job over time is its workflow and its name. Nothing that an attempt's roster rests on became known later than the
-- attempt itself, so an earlier `as_of` sees the same passes that it saw then.
insert into core.inferred_pass (org, repository_id, run_id, run_attempt, job_id, test_key, variant)
with attempt as (
    select
        run_id,
        run_attempt,
        workflow,
        status,
        run_started_at,
        updated_at,
        row_number() over (order by run_id, run_attempt) as attempt_number
    from core.run_attempt
    where org = $org and repository_id = $repository_id
),

-- Jobs of one name in one attempt (a matrix that hides its values) cannot be told apart by what they leave: they
-- count as one, under the id that artifacts are put down to, and only where all of them succeeded.
named_job as (
    select
        attempt.attempt_number,
        attempt.workflow,
        job.name,
        min(job.job_id) as job_id,
        bool_and(
            attempt.status = 'completed'
            and job.conclusion = 'success'
            -- a job from before its attempt was carried over from an earlier one, and did not run again
            and (job.started_at is null or job.started_at >= attempt.run_started_at)
        ) as has_succeeded
    from core.job
    inner join attempt
        on
            job.run_id = attempt.run_id
            and job.run_attempt = attempt.run_attempt
    where job.org = $org and job.repository_id = $repository_id and job.name <> ''
    group by attempt.attempt_number, attempt.workflow, job.name
),

job_report as (
    select
        report.report_id,
        report.artifact,
        report.is_whole,
        job.name,
        attempt.attempt_number,
        attempt.workflow,
        attempt.updated_at
    from core.report
    inner join core.job
        on
            report.org = job.org
            and report.repository_id = job.repository_id
            and report.run_id = job.run_id
            and report.run_attempt = job.run_attempt
            and report.job_id = job.job_id
    inner join attempt
        on
            report.run_id = attempt.run_id
            and report.run_attempt = attempt.run_attempt
    where report.org = $org and report.repository_id = $repository_id and job.name <> ''
),

job_artifact as (
    select
        workflow,
        name,
        artifact,
        min(updated_at) as known_at
    from job_report
    group by workflow, name, artifact
),

-- A damaged upload is an upload.
uploaded as (
    select
        attempt.attempt_number,
        upload.artifact
    from (
        select
            run_id,
            run_attempt,
            artifact
        from core.report
        where org = $org and repository_id = $repository_id
        union
        select
            run_id,
            run_attempt,
            artifact
        from core.rejected_artifact
        where org = $org and repository_id = $repository_id
    ) as upload
    inner join attempt
        on
            upload.run_id = attempt.run_id
            and upload.run_attempt = attempt.run_attempt
),

switched_off as (
    select attempt.attempt_number
    from core.raw_artifact
    inner join attempt
        on
            raw_artifact.run_id = attempt.run_id
            and raw_artifact.run_attempt = attempt.run_attempt
    where
        raw_artifact.org = $org
        and raw_artifact.repository_id = $repository_id
        and raw_artifact.kind in ('run', 'jobs')
        and raw_artifact.source in (select o.source from _source_off as o)
),

candidate as (
    select
        attempt.attempt_number,
        attempt.run_id,
        attempt.run_attempt,
        attempt.workflow,
        attempt.run_started_at,
        attempt.updated_at,
        named_job.name,
        named_job.job_id
    from named_job
    inner join attempt on named_job.attempt_number = attempt.attempt_number
    where
        named_job.has_succeeded
        and named_job.attempt_number not in (select s.attempt_number from switched_off as s)
        and not exists (
            select 1
            from job_artifact
            inner join uploaded on job_artifact.artifact = uploaded.artifact
            where
                job_artifact.workflow = named_job.workflow
                and job_artifact.name = named_job.name
                and job_artifact.known_at <= attempt.updated_at
                and uploaded.attempt_number = named_job.attempt_number
        )
),

-- Most tests of a job are told of by the same attempts. They share their fate, so it is worked out once for all.
told as (
    select
        job_report.workflow,
        job_report.name,
        test_execution.test_key,
        test_execution.variant,
        array_agg(distinct job_report.attempt_number order by job_report.attempt_number) as attempts
    from core.test_execution
    inner join job_report on test_execution.report_id = job_report.report_id
    inner join attempt
        on
            test_execution.run_id = attempt.run_id
            and test_execution.run_attempt = attempt.run_attempt
            and job_report.attempt_number = attempt.attempt_number
    where
        test_execution.org = $org
        and test_execution.repository_id = $repository_id
        and test_execution.outcome <> 'skipped'
        and job_report.is_whole
    group by job_report.workflow, job_report.name, test_execution.test_key, test_execution.variant
),

told_alike as (
    select distinct
        workflow,
        name,
        attempts,
        unnest(attempts) as attempt_number
    from told
),

rostered as (
    select
        candidate.run_id,
        candidate.run_attempt,
        candidate.job_id,
        candidate.workflow,
        candidate.name,
        told_alike.attempts
    from candidate
    inner join told_alike
        on
            candidate.workflow = told_alike.workflow
            and candidate.name = told_alike.name
    inner join attempt
        on
            told_alike.attempt_number = attempt.attempt_number
            and candidate.run_started_at > attempt.run_started_at
            and candidate.run_started_at - $roster_days * interval '1 day' <= attempt.run_started_at
            and candidate.updated_at >= attempt.updated_at
    group by
        candidate.run_id,
        candidate.run_attempt,
        candidate.job_id,
        candidate.workflow,
        candidate.name,
        told_alike.attempts
    having count(*) >= $roster_reports
)

select
    $org as org,
    $repository_id as repository_id,
    rostered.run_id,
    rostered.run_attempt,
    rostered.job_id,
    told.test_key,
    told.variant
from rostered
inner join told
    on
        rostered.workflow = told.workflow
        and rostered.name = told.name
        and rostered.attempts = told.attempts
