-- Which tests slowed down most: this week's median beside that of the four weeks before?
-- Grain: one row per test variant.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   slowdown_us: how much longer it takes now, in microseconds.
--   recent_median_us: median of the last 7 days, in microseconds; read from executions, no median is made of sums.
--   earlier_median_us: median of the 28 days before, in microseconds.
--   recent_executions: passed executions in the last 7 days.
--   earlier_executions: passed executions in the 28 days before.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $executions (integer, default 3): how many executions each of the two medians must rest on.
select
    repository,
    classname,
    name,
    variant,
    slowdown_us,
    recent_median_us,
    earlier_median_us,
    recent_executions,
    earlier_executions
from marts.test_duration
where
    slowdown_us > 0
    and recent_executions >= cast($executions as integer)
    and earlier_executions >= cast($executions as integer)
    and ($repository = '' or repository = $repository)
order by slowdown_us desc, repository, classname, name, variant, org, test_id
