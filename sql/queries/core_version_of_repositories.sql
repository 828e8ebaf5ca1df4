-- The state of `core` of each repository: equal digests mean equal rows, whatever order they were loaded in.
-- Grain: one row per repository. Parameters: none.
select
    org,
    repository_id,
    sha256(string_agg(load_digest, ' ' order by load_digest)) as core_version
from core.run_attempt
group by org, repository_id
order by org, repository_id
