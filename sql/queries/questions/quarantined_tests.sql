-- Which tests are quarantined, and what do they wait for?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   quarantined_at: since when, without a break.
--   expires_at: when it ends by itself.
--   clean_executions: passes since its last failure.
--   last_failed_at: start of the newest run attempt it failed in, or null.
--   status: status at the last scoring; '' where it was not scored.
--   waits_for: what has to happen for it to leave.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
select
    quarantine.repository,
    quarantine.classname,
    quarantine.name,
    quarantine.variant,
    quarantine.quarantined_at,
    quarantine.expires_at,
    coalesce(health.clean_executions, 0) as clean_executions,
    health.last_failed_at,
    coalesce(health.status, '') as status,
    case
        when health.status is null then 'a run: it was not seen in the window, and ends by itself'
        when health.status = 'broken' then 'a repair: it fails throughout on the default branch'
        when health.status = 'flaky' then 'a repair: it still flakes, and newer flakes renew the quarantine'
        else 'its end: nothing new speaks for renewing it'
    end as waits_for
from marts.quarantine as quarantine
left join marts.test_health as health
    on
        quarantine.org = health.org
        and quarantine.repository_id = health.repository_id
        and quarantine.test_id = health.test_id
where $repository = '' or quarantine.repository = $repository
order by
    quarantine.expires_at, quarantine.repository, quarantine.classname, quarantine.name, quarantine.variant,
    quarantine.org, quarantine.test_id
