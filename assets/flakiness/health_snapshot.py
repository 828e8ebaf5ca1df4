"""Group `flakiness`: what the statistics say. Belongs here: scoring, repository by repository."""

import time
from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets import metadata
from assets.checks.faults import told
from assets.groups import FLAKINESS, OWNERS, WAREHOUSE_POOL
from assets.resources import ClockResource, WorkspaceResource
from flakeguard_pipeline.operations.repositories import for_each, repositories
from flakeguard_pipeline.operations.scoring import score_repository

HEALTH_SNAPSHOT = dg.AssetKey(["flakiness", "health_snapshot"])
ROLLUP = dg.AssetKey(["intermediate", "int_test_attempt"])
INFERRED = dg.AssetKey(["intermediate", "int_inferred_pass"])

EVERY_REPOSITORY = dg.AssetCheckSpec(
    "every_repository_was_scored",
    asset=HEALTH_SNAPSHOT,
    description="No repository failed to be scored; one that did keeps its former scoring.",
)

FINDINGS = ("test_id", "classname", "name", "variant", "status", "p_flaky", "flake_rate", "same_commit_flips")


@dg.asset(
    key=HEALTH_SNAPSHOT,
    deps=[ROLLUP, INFERRED],
    check_specs=[EVERY_REPOSITORY],
    group_name=FLAKINESS,
    owners=OWNERS,
    kinds={"sql", "numpy"},
    pool=WAREHOUSE_POOL,
    description="One row per test variant and scoring: status, flake rate with its interval, how likely it is flaky "
    "or broken now, and the counts that this rests on. Every scoring is kept.",
)
def health_snapshot(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource, clock: ClockResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Score every repository as of the run's moment."""
    started = time.monotonic()
    place = workspace.open()
    as_of = clock.read(context)
    members = repositories(place.warehouse)
    place.progress.stage("score", len(members))
    done = for_each(
        members,
        lambda repository: score_repository(
            place.warehouse, repository, as_of=as_of, parameters=place.settings.scoring
        ),
        place.progress,
    )
    scored = [scoring.health for scoring in done.results.values()]
    health = pl.concat(scored) if scored else pl.DataFrame(schema=dict.fromkeys((*FINDINGS, "status"), pl.String))
    by_status = dict(health.group_by("status").len().sort("status").iter_rows())
    findings = health.filter(pl.col("status").is_in(["flaky", "broken"])) if scored else health
    worst = findings.sort("status", "flake_rate", "test_id", descending=[False, True, False]) if scored else findings
    yield dg.MaterializeResult(
        asset_key=HEALTH_SNAPSHOT,
        metadata={
            "as_of": dg.MetadataValue.timestamp(as_of),
            "repositories": len(done.results),
            "test_variants": health.height,
            **{status: by_status.get(status, 0) for status in ("healthy", "flaky", "broken", "fixed")},
            "insufficient_evidence": by_status.get("insufficient_evidence", 0),
            "seconds": round(time.monotonic() - started, 3),
            "findings": metadata.preview(worst.select(FINDINGS)),
            "by_status": metadata.bars(by_status, "test variants by status"),
        },
    )
    yield told(EVERY_REPOSITORY, done.faults)
