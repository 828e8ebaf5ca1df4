-- The code versions of one repository's default branch in their order: by first start, ties bytewise.
-- Grain: one row per code version. Parameters: $org, $repository_id.
select
    code_version,
    min(head_sha) as head_sha,
    row_number() over (order by min(run_started_at), code_version) as position
from staging.stg_run_attempt
where org = $org and repository_id = $repository_id and is_default_branch
group by code_version
order by position
