-- Whose tests flake most, and in which files?
-- Grain: one row per repository, owner and file.
-- Columns:
--   repository: full name of the repository.
--   owner: who looks after the tests; '' where nobody is named.
--   file: source file; the class name where reports do not name files.
--   flaky: test variants that are flaky.
--   broken: test variants that are broken.
--   quarantined: test variants that are quarantined.
--   test_variants: all test variants.
--   same_commit_flips: code versions on which one of them passed and failed, counted for each test variant.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
with test as (
    select
        health.org,
        health.repository_id,
        health.repository,
        coalesce(quarantine.owner, '') as owner,
        case when health.file = '' then health.classname else health.file end as file,
        health.status,
        health.same_commit_flips,
        quarantine.test_id is not null as is_quarantined
    from marts.test_health as health
    left join marts.quarantine as quarantine
        on
            health.org = quarantine.org
            and health.repository_id = quarantine.repository_id
            and health.test_id = quarantine.test_id
    where $repository = '' or health.repository = $repository
)

select
    min(repository) as repository,
    owner,
    file,
    count(case when status = 'flaky' then 1 end) as flaky,
    count(case when status = 'broken' then 1 end) as broken,
    count(case when is_quarantined then 1 end) as quarantined,
    count(*) as test_variants,
    cast(sum(same_commit_flips) as bigint) as same_commit_flips
from test
group by org, repository_id, owner, file
having sum(same_commit_flips) > 0 or count(case when status = 'flaky' or is_quarantined then 1 end) > 0
order by flaky desc, same_commit_flips desc, repository, owner, file, org, repository_id
