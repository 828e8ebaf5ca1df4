with recursive alias_decision as (
    select * from {{ source('core', 'alias_decision') }}
),

acceptance as (
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
    from alias_decision
    where decision = 'accepted'
),

-- The newest acceptance of a test holds, unless its own pair was rejected afterwards.
holding as (
    select
        acceptance.org,
        acceptance.repository_id,
        acceptance.old_test_key,
        acceptance.new_test_key
    from acceptance
    left join alias_decision as rejection
        on
            acceptance.org = rejection.org
            and acceptance.repository_id = rejection.repository_id
            and acceptance.old_test_key = rejection.old_test_key
            and acceptance.new_test_key = rejection.new_test_key
            and acceptance.sequence < rejection.sequence
            and rejection.decision = 'rejected'
    where acceptance.newest = 1 and rejection.old_test_key is null
),

-- A to B and B to C gives A to C. The pairs that can be reached are finite, so this ends even on a circle.
reached as (
    select
        org,
        repository_id,
        old_test_key,
        new_test_key
    from holding
    union distinct
    select
        reached.org,
        reached.repository_id,
        reached.old_test_key,
        holding.new_test_key
    from reached
    inner join holding
        on
            reached.org = holding.org
            and reached.repository_id = holding.repository_id
            and reached.new_test_key = holding.old_test_key
)

select
    reached.org,
    reached.repository_id,
    reached.old_test_key,
    reached.new_test_key
from reached
left join holding
    on
        reached.org = holding.org
        and reached.repository_id = holding.repository_id
        and reached.new_test_key = holding.old_test_key
where holding.old_test_key is null
