-- The state of `core` of each repository: equal digests mean equal rows, whatever order they were loaded in.
-- Grain: one row per repository. Parameters: none.
-- Postgres digests bytes, not text, and shows them only when told how; the digests are the same.
select
    org,
    repository_id,
    encode(sha256(convert_to(string_agg(load_digest, ' ' order by load_digest), 'UTF8')), 'hex') as core_version
from core.run_attempt
group by org, repository_id
order by org, repository_id
