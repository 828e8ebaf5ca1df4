with raw_artifact as (
    select * from {{ source('core', 'raw_artifact') }}
),

rejected_artifact as (
    select * from {{ source('core', 'rejected_artifact') }}
),

run_attempt as (
    select * from {{ ref('stg_run_attempt') }}
),

-- A run attempt that two sources brought counts for each of them.
landed as (
    select
        org,
        repository_id,
        source,
        run_id,
        run_attempt,
        count(*) as files,
        cast(sum(size_bytes) as bigint) as size_bytes
    from raw_artifact
    group by org, repository_id, source, run_id, run_attempt
),

rejected as (
    select
        rejected_artifact.org,
        rejected_artifact.repository_id,
        rejected_artifact.source,
        min(run_attempt.repository) as repository,
        min(run_attempt.provider) as provider,
        count(*) as rejected_files
    from rejected_artifact
    left join run_attempt
        on
            rejected_artifact.org = run_attempt.org
            and rejected_artifact.repository_id = run_attempt.repository_id
            and rejected_artifact.run_id = run_attempt.run_id
            and rejected_artifact.run_attempt = run_attempt.run_attempt
    where rejected_artifact.reason_code <> 'run_not_completed'
    group by rejected_artifact.org, rejected_artifact.repository_id, rejected_artifact.source
),

counted as (
    select
        landed.org,
        landed.source,
        landed.repository_id,
        min(run_attempt.repository) as repository,
        min(run_attempt.provider) as provider,
        count(*) as run_attempts,
        cast(sum(landed.files) as bigint) as files,
        cast(sum(landed.size_bytes) as bigint) as size_bytes,
        min(run_attempt.run_started_at) as oldest_run_started_at,
        max(run_attempt.run_started_at) as newest_run_started_at,
        max(run_attempt.known_at) as newest_known_at
    from landed
    inner join run_attempt
        on
            landed.org = run_attempt.org
            and landed.repository_id = run_attempt.repository_id
            and landed.run_id = run_attempt.run_id
            and landed.run_attempt = run_attempt.run_attempt
    group by landed.org, landed.source, landed.repository_id
)

-- A source of which nothing could be kept is here, too: nobody else would tell of it.
select
    coalesce(counted.org, rejected.org) as org,
    coalesce(counted.source, rejected.source) as source,
    coalesce(counted.provider, rejected.provider, '') as provider,
    coalesce(counted.repository, rejected.repository, '') as repository,
    coalesce(counted.run_attempts, 0) as run_attempts,
    coalesce(counted.files, 0) as files,
    coalesce(counted.size_bytes, 0) as size_bytes,
    coalesce(rejected.rejected_files, 0) as rejected_files,
    counted.oldest_run_started_at,
    counted.newest_run_started_at,
    counted.newest_known_at,
    coalesce(counted.repository_id, rejected.repository_id) as repository_id
from counted
full outer join rejected
    on
        counted.org = rejected.org
        and counted.source = rejected.source
        and counted.repository_id = rejected.repository_id
