-- What is quarantined at the last scoring, and why.
-- Grain: one row per test variant. Parameters: none.
select
    quarantine.repository,
    case
        when quarantine.classname = '' then quarantine.name
        else quarantine.classname || ' ' || quarantine.name
    end as test,
    quarantine.variant,
    quarantine_event.rationale,
    quarantine.expires_at
from marts.quarantine
inner join marts.quarantine_event
    on
        quarantine.org = quarantine_event.org
        and quarantine.decision_id = quarantine_event.decision_id
order by quarantine.repository, quarantine.test_id
