-- How much the warehouse holds.
-- Grain: one row. Parameters: none.
select
    (select count(*) from core.repository) as repositories,
    count(*) as run_attempts,
    count(case when status <> 'completed' then 1 end) as unfinished,
    count(case when is_partial then 1 end) as partial,
    (select count(*) from core.report) as reports,
    (select count(*) from core.test_execution) as executions,
    (select count(*) from core.inferred_pass) as inferred_passes,
    max(updated_at) as newest_known_at
from core.run_attempt
