with source as (
    select * from {{ source('core', 'run_attempt') }}
),

repository as (
    select * from {{ source('core', 'repository') }}
),

renamed as (
    select
        source.org,
        source.provider,
        source.repository_id,
        repository.full_name as repository,
        source.workflow,
        source.run_id,
        source.run_attempt,
        source.event,
        source.status,
        source.conclusion,
        source.branch,
        source.head_sha,
        source.pr_number,
        source.run_url,
        source.run_started_at,
        {{ utc_date('source.run_started_at') }} as run_day,
        source.updated_at as known_at,
        source.is_partial,
        source.load_digest,
        coalesce(
            source.branch <> ''
            and source.branch = repository.default_branch
            and source.event not in ('', 'pull_request', 'pull_request_target')
            and source.head_repository_id in ('', source.repository_id),
            false
        ) as is_default_branch,
        -- Same code: the same head commit, and for pull requests the same run, whose merge base does not move.
        case
            when source.head_sha = '' then 'run:' || source.run_id
            when source.event in ('pull_request', 'pull_request_target')
                then source.head_sha || '#' || source.run_id
            else source.head_sha
        end as code_version
    from source
    inner join repository
        on
            source.org = repository.org
            and source.repository_id = repository.repository_id
)

select
    org,
    provider,
    repository_id,
    repository,
    workflow,
    run_id,
    run_attempt,
    event,
    status,
    conclusion,
    branch,
    head_sha,
    pr_number,
    run_url,
    run_started_at,
    run_day,
    known_at,
    is_partial,
    load_digest,
    is_default_branch,
    code_version
from renamed
