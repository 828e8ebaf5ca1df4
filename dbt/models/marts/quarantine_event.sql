with quarantine_event as (
    select * from {{ source('quarantine', 'quarantine_event') }}
),

repository as (
    select * from {{ source('core', 'repository') }}
)

select
    quarantine_event.decision_id,
    quarantine_event.org,
    coalesce(repository.full_name, quarantine_event.repository_id) as repository,
    quarantine_event.test_key,
    quarantine_event.test_id,
    quarantine_event.variant,
    quarantine_event.suite,
    quarantine_event.classname,
    quarantine_event.name,
    quarantine_event.file,
    quarantine_event.as_of,
    quarantine_event.sequence,
    quarantine_event.from_state,
    quarantine_event.to_state,
    quarantine_event.reason,
    quarantine_event.actor,
    quarantine_event.rationale,
    quarantine_event.evidence,
    quarantine_event.flake_rate,
    quarantine_event.flake_rate_low,
    quarantine_event.flake_rate_high,
    quarantine_event.expires_at,
    quarantine_event.policy_version,
    quarantine_event.code_version,
    quarantine_event.repository_id
from quarantine_event
left join repository
    on
        quarantine_event.org = repository.org
        and quarantine_event.repository_id = repository.repository_id
