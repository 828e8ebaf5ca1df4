-- How fresh is what each source brought, and how much was it?
-- Grain: one row per source and repository.
-- Columns:
--   source: name of the source; `drop` is the drop folder.
--   repository: full name of the repository.
--   newest_run_started_at: start of the newest run attempt.
--   behind_us: how long before the last scoring the newest result became known, in microseconds; null where the
--     repository was not scored.
--   run_attempts: run attempts that it brought.
--   files: files kept in the landing zone.
--   size_bytes: size of these files.
--   rejected_files: files that were not loaded, or not whole.
-- Parameters: none.
select
    source_freshness.source,
    source_freshness.repository,
    source_freshness.newest_run_started_at,
    cast(
        extract(epoch from (current_scoring.as_of - source_freshness.newest_known_at)) * 1000000 as bigint
    ) as behind_us,
    source_freshness.run_attempts,
    source_freshness.files,
    source_freshness.size_bytes,
    source_freshness.rejected_files
from marts.source_freshness as source_freshness
left join flakiness.current_scoring as current_scoring
    on
        source_freshness.org = current_scoring.org
        and source_freshness.repository_id = current_scoring.repository_id
order by
    source_freshness.newest_known_at, source_freshness.source, source_freshness.repository, source_freshness.org,
    source_freshness.repository_id
