-- What a warehouse shows people, as counts and digests of rows: equal rows of this mean equal answers.
-- The rows of a run attempt follow from its load digest, inferred passes, roll-ups and views from the builds' records.
-- Of the scorings only the current ones are looked at: every other one has been current before.
-- Grain: one row per part of the warehouse. Parameters: none.
-- `hash` and `bit_xor` are DuckDB's, as the read-only copy is.
with score as (
    select health_snapshot.*
    from flakiness.health_snapshot
    inner join flakiness.current_scoring
        on
            health_snapshot.org = current_scoring.org
            and health_snapshot.repository_id = current_scoring.repository_id
            and health_snapshot.as_of = current_scoring.as_of
),

part as (
    select
        'migrations' as part,
        count(*) as row_count,
        bit_xor(hash(version_num)) as digest
    from core.alembic_version
    union all
    select
        'run attempts' as part,
        count(*) as row_count,
        bit_xor(hash(repository_id, run_id, run_attempt, load_digest)) as digest
    from core.run_attempt
    union all
    select
        'repositories' as part,
        count(*) as row_count,
        bit_xor(hash(org, repository_id, full_name, default_branch)) as digest
    from core.repository
    union all
    select
        'rejected artifacts' as part,
        count(*) as row_count,
        bit_xor(hash(org, repository_id, run_id, run_attempt, artifact, path, reason_code, digest)) as digest
    from core.rejected_artifact
    union all
    select
        'alias proposals' as part,
        count(*) as row_count,
        bit_xor(hash(alias_id, confidence, evidence)) as digest
    from core.alias_proposal
    union all
    select
        'alias decisions' as part,
        count(*) as row_count,
        bit_xor(hash(org, repository_id, old_test_key, sequence)) as digest
    from core.alias_decision
    union all
    select
        'checks' as part,
        count(*) as row_count,
        bit_xor(hash(org, suite_name, core_version, is_passed)) as digest
    from core.data_check_result
    union all
    select
        'builds' as part,
        count(*) as row_count,
        bit_xor(hash(org, part, project_digest, core_version)) as digest
    from flakiness.dbt_build
    union all
    select
        'scores' as part,
        count(*) as row_count,
        bit_xor(hash(score)) as digest
    from score
    union all
    select
        'scorings' as part,
        count(*) as row_count,
        bit_xor(hash(org, repository_id, as_of)) as digest
    from flakiness.current_scoring
    union all
    select
        'decisions' as part,
        count(*) as row_count,
        bit_xor(hash(org, decision_id)) as digest
    from quarantine.quarantine_event
)

select
    part,
    row_count,
    digest
from part
order by part
