-- Which tests are new, and how do they do?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   first_seen_at: start of the first run attempt it was seen in.
--   status: status at the last scoring.
--   executions: executions in the window.
--   failures: failures in the window.
--   same_commit_flips: code versions on which it passed and failed.
--   last_failed_at: start of the newest run attempt it failed in, or null.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $until (moment, default none): the end of the time that is looked at; none: the last scoring.
--   $days (integer, default 14): how many days before `until` are looked at.
with period as (
    select coalesce(cast($until as timestamp with time zone), max(as_of)) as until
    from flakiness.current_scoring
)

select
    health.repository,
    health.classname,
    health.name,
    health.variant,
    health.first_seen_at,
    health.status,
    health.executions,
    health.failures,
    health.same_commit_flips,
    health.last_failed_at
from marts.test_health as health
cross join period
where
    health.first_seen_at <= period.until
    and health.first_seen_at > period.until - cast($days as integer) * interval '1 day'
    and ($repository = '' or health.repository = $repository)
order by
    health.first_seen_at desc, health.repository, health.classname, health.name, health.variant, health.org,
    health.test_id
