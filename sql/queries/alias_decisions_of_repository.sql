-- Every decision on the aliases of one repository, in the order in which they were made for each old test.
-- Grain: one row per decision. Parameters: $org, $repository_id.
select
    old_test_key,
    new_test_key,
    decision,
    actor,
    reason,
    decided_at
from core.alias_decision
where org = $org and repository_id = $repository_id
order by old_test_key, sequence
