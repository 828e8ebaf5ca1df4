-- How good are the reports of each repository, and what is to mend?
-- Grain: one row per repository and reason code; '' for the reports with nothing to mend.
-- Columns:
--   repository: full name of the repository.
--   reason_codes: codes of what there is to mend; '' where nothing.
--   level: `valid`, `suboptimal` or `invalid`.
--   reports: report files of the newest 50 run attempts.
--   run_attempts: run attempts that they belong to.
--   newest_at: start of the newest of these.
--   example: artifact and path of a newest one.
--   example_reasons: what is to mend there, for a person.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
with ranked as (
    select
        *,
        row_number() over (
            partition by org, repository_id, level, reason_codes
            order by recency, artifact, path, digest
        ) as place
    from marts.report_health
    where $repository = '' or repository = $repository
)

select
    min(repository) as repository,
    reason_codes,
    level,
    count(*) as reports,
    count(distinct run_id || '#' || run_attempt) as run_attempts,
    max(run_started_at) as newest_at,
    max(case when place = 1 then case when artifact = '' then path else artifact || ' ' || path end end) as example,
    max(case when place = 1 then reasons end) as example_reasons
from ranked
group by org, repository_id, level, reason_codes
order by repository, level, reports desc, reason_codes, org, repository_id
