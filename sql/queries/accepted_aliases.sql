-- The aliases that hold: of each old test the newest acceptance, unless its own pair was rejected afterwards.
-- Grain: one row per old test. Parameters: none.
with acceptance as (
    select
        org,
        repository_id,
        old_test_key,
        new_test_key,
        sequence,
        row_number() over (
            partition by org, repository_id, old_test_key
            order by sequence desc
        ) as newest
    from core.alias_decision
    where decision = 'accepted'
)

select
    acceptance.org,
    acceptance.repository_id,
    acceptance.old_test_key,
    acceptance.new_test_key
from acceptance
left join core.alias_decision as rejection
    on
        acceptance.org = rejection.org
        and acceptance.repository_id = rejection.repository_id
        and acceptance.old_test_key = rejection.old_test_key
        and acceptance.new_test_key = rejection.new_test_key
        and acceptance.sequence < rejection.sequence
        and rejection.decision = 'rejected'
where acceptance.newest = 1 and rejection.old_test_key is null
order by acceptance.org, acceptance.repository_id, acceptance.old_test_key
