-- All repositories of the warehouse.
-- Grain: one row per repository. Parameters: none.
select
    org,
    repository_id,
    full_name
from core.repository
order by org, repository_id
