"""Group `core`: what the artifacts say. Belongs here: reading and loading. Not here: roll-ups, which are dbt's."""

import time
from collections import Counter
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.checks.faults import told
from assets.groups import CORE, OWNERS, WAREHOUSE_POOL
from assets.partitions import belongs_to, daily
from assets.raw.provider_artifact import PROVIDER_ASSETS
from assets.raw.raw_artifact import raw_artifact
from assets.resources import WorkspaceResource
from flakeguard_pipeline.ingest.loading import (
    attempts_to_load,
    load_attempts,
    load_unattributed,
    unattributed_is_stale,
)
from flakeguard_pipeline.warehouse.migrate import upgrade

RUN_ATTEMPT = dg.AssetKey(["core", "run_attempt"])
TEST_EXECUTION = dg.AssetKey(["core", "test_execution"])
REJECTED_ARTIFACT = dg.AssetKey(["core", "rejected_artifact"])

NOTHING_FAILED = dg.AssetCheckSpec(
    "every_attempt_was_read",
    asset=RUN_ATTEMPT,
    description="No run attempt was left out because it could not be read; what was is tried again next time.",
)


def _spec(key: dg.AssetKey, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[raw_artifact, *PROVIDER_ASSETS.values()],
        group_name=CORE,
        owners=OWNERS,
        kinds={"sql", "polars"},
        partitions_def=daily,
        description=description,
    )


@dg.multi_asset(
    name="core_tables",
    specs=[
        _spec(
            RUN_ATTEMPT,
            "One row per attempt of a CI run, whether it left reports or not; with it the tables `core.repository`, "
            "`core.job` and `core.raw_artifact`.",
        ),
        _spec(TEST_EXECUTION, "One row per execution of a test case, retries included; with it `core.report`."),
        _spec(REJECTED_ARTIFACT, "One row per file and reason that it was not loaded, or not whole."),
    ],
    check_specs=[NOTHING_FAILED],
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=WAREHOUSE_POOL,
)
def core_tables(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Load the partitions' run attempts that the warehouse lacks, or has from other bytes."""
    started = time.monotonic()
    place = workspace.open()
    upgrade(place.warehouse)
    belongs = belongs_to(context.partition_key_range)
    chosen = [each for each in attempts_to_load(place.settings, place.zone, place.warehouse) if belongs(each.day)]
    place.progress.stage("load", len(chosen))
    counts = load_attempts(place.settings, place.zone, place.warehouse, chosen, progress=place.progress)
    if unattributed_is_stale(place.settings, place.zone, place.warehouse):
        counts.rejected += load_unattributed(place.settings, place.zone, place.warehouse)
    seconds = round(time.monotonic() - started, 3)
    by_day = Counter(each.day for each in chosen)
    yield dg.MaterializeResult(
        asset_key=RUN_ATTEMPT,
        metadata={
            "run_attempts": counts.attempts,
            "jobs": counts.jobs,
            "seconds": seconds,
            "attempts_by_day": metadata.bars(dict(sorted(by_day.items())), "run attempts by day"),
        },
    )
    yield dg.MaterializeResult(
        asset_key=TEST_EXECUTION,
        metadata={
            "reports": counts.reports,
            "executions": counts.executions,
            "reports_to_mend": metadata.issues(counts.issues),
            "seconds": seconds,
        },
    )
    yield dg.MaterializeResult(
        asset_key=REJECTED_ARTIFACT,
        metadata={
            "rejected_files": counts.rejected.total(),
            "passed_over_files": counts.passed_over_files,
            "reasons": metadata.reasons(counts.rejected),
        },
    )
    yield told(NOTHING_FAILED, counts.faults)
