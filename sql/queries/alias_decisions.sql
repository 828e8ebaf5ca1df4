-- What was decided on aliases, in a fixed order.
-- Grain: one row per decision. Parameters: none.
select
    org,
    repository_id,
    old_test_key,
    sequence,
    new_test_key,
    decision
from core.alias_decision
order by org, repository_id, old_test_key, sequence
