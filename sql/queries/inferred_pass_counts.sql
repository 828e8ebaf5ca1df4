-- How many passes were inferred, from how many runs of jobs, in how many repositories.
-- Grain: one row. Parameters: none.
with job_run as (
    select
        org,
        repository_id,
        count(*) as passes
    from core.inferred_pass
    group by org, repository_id, run_id, run_attempt, job_id
)

select
    coalesce(sum(passes), 0)::bigint as passes,
    count(*) as jobs,
    count(distinct org || ' ' || repository_id) as repositories
from job_run
