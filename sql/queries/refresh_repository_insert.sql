-- Describe repositories from their run attempts: the latest full name, the default branch, first and last run.
-- Grain: one row per repository. Parameters: $default_branch ('' for none); relation _replaced as above.
-- Default branch: as declared last, else as configured, else main or master, whichever more of its
-- own runs (no pull requests) name.
insert into core.repository (
    org, repository_id, provider, full_name, default_branch, first_run_at, last_run_at
)
with attempt as (
    select a.*
    from core.run_attempt as a
    where a.repository_id in (select r.repository_id from _replaced as r)
),

named as (
    select
        org,
        repository_id,
        full_name,
        row_number() over (
            partition by org, repository_id
            order by run_started_at desc, run_id desc, run_attempt desc
        ) as newest
    from attempt
    where full_name <> ''
),

declared as (
    select
        org,
        repository_id,
        declared_default_branch,
        row_number() over (
            partition by org, repository_id
            order by run_started_at desc, run_id desc, run_attempt desc
        ) as newest
    from attempt
    where declared_default_branch <> ''
),

conventional as (
    select
        org,
        repository_id,
        branch,
        row_number() over (partition by org, repository_id order by count(*) desc, branch) as place
    from attempt
    where
        branch in ('main', 'master')
        and event not in ('pull_request', 'pull_request_target')
        and head_repository_id in ('', repository_id)
    group by org, repository_id, branch
),

described as (
    select
        org,
        repository_id,
        min(provider) as provider,
        min(run_started_at) as first_run_at,
        max(run_started_at) as last_run_at
    from attempt
    group by org, repository_id
)

select
    described.org,
    described.repository_id,
    described.provider,
    coalesce(named.full_name, '') as full_name,
    coalesce(
        declared.declared_default_branch, nullif($default_branch, ''), conventional.branch, ''
    ) as default_branch,
    described.first_run_at,
    described.last_run_at
from described
left join named
    on
        described.org = named.org
        and described.repository_id = named.repository_id
        and named.newest = 1
left join declared
    on
        described.org = declared.org
        and described.repository_id = declared.repository_id
        and declared.newest = 1
left join conventional
    on
        described.org = conventional.org
        and described.repository_id = conventional.repository_id
        and conventional.place = 1
