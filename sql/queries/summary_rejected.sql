-- Why files were not loaded, or not whole.
-- Grain: one row per reason code. Parameters: none.
select
    reason_code,
    min(reason) as reason,
    count(*) as files
from core.rejected_artifact
group by reason_code
order by files desc, reason_code
