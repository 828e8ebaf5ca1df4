-- How many test variants have each status at the last scoring.
-- Grain: one row per status. Parameters: none.
select
    status,
    count(*) as test_variants
from marts.test_health
group by status
order by status
