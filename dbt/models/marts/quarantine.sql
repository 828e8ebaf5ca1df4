with quarantine_event as (
    select * from {{ source('quarantine', 'quarantine_event') }}
),

current_scoring as (
    select * from {{ source('flakiness', 'current_scoring') }}
),

repository as (
    select * from {{ source('core', 'repository') }}
),

known as (
    select
        quarantine_event.org,
        repository.full_name as repository,
        quarantine_event.repository_id,
        quarantine_event.test_key,
        quarantine_event.test_id,
        quarantine_event.suite,
        quarantine_event.classname,
        quarantine_event.name,
        quarantine_event.file,
        quarantine_event.variant,
        quarantine_event.to_state as state,
        quarantine_event.reason,
        quarantine_event.flake_rate,
        quarantine_event.expires_at,
        quarantine_event.decision_id,
        quarantine_event.policy_version,
        current_scoring.as_of,
        max(
            case
                when quarantine_event.to_state = 'quarantined' and quarantine_event.from_state <> 'quarantined'
                    then quarantine_event.as_of
            end
        ) over (
            partition by quarantine_event.org, quarantine_event.repository_id, quarantine_event.test_id
        ) as quarantined_at,
        row_number() over (
            partition by quarantine_event.org, quarantine_event.repository_id, quarantine_event.test_id
            order by quarantine_event.as_of desc, quarantine_event.sequence desc
        ) as newest
    from quarantine_event
    inner join current_scoring
        on
            quarantine_event.org = current_scoring.org
            and quarantine_event.repository_id = current_scoring.repository_id
            and quarantine_event.as_of <= current_scoring.as_of
    inner join repository
        on
            quarantine_event.org = repository.org
            and quarantine_event.repository_id = repository.repository_id
)

select
    org,
    repository,
    test_key,
    test_id,
    suite,
    classname,
    name,
    file,
    variant,
    state,
    reason,
    flake_rate,
    quarantined_at,
    expires_at,
    '' as owner,
    decision_id,
    policy_version,
    as_of,
    repository_id
from known
where newest = 1 and state = 'quarantined' and expires_at > as_of
