-- All repositories of the warehouse.
-- Grain: one row per repository. Parameters: none.
select
    org,
    repository_id,
    full_name,
    last_run_at
from core.repository
order by org, repository_id
