-- What makes reports that were read less useful than they could be.
-- Grain: one row per issue code. Parameters: none.
select
    issue_code,
    min(issue) as issue,
    count(*) as reports
from core.report_issue
group by issue_code
order by reports desc, issue_code
