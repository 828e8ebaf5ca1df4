"""Group `core`: passes that were not uploaded. Belongs here: telling what was inferred. The rule is the library's."""

import time
from collections.abc import Iterator

import dagster as dg

from assets.checks.execution_suite import require_sound
from assets.checks.faults import told
from assets.core.loaded import REJECTED_ARTIFACT, RUN_ATTEMPT, TEST_EXECUTION
from assets.groups import CORE, OWNERS, WAREHOUSE_POOL
from assets.resources import WorkspaceResource
from flakeguard_pipeline.operations.inference import infer_passes
from flakeguard_pipeline.warehouse.load import core_version
from flakeguard_pipeline.warehouse.migrate import upgrade

INFERRED_PASS = dg.AssetKey(["core", "inferred_pass"])

EVERY_REPOSITORY = dg.AssetCheckSpec(
    "every_repository_was_inferred",
    asset=INFERRED_PASS,
    description="No repository's passes failed to be inferred; one that did keeps what it had, and is tried again.",
)


@dg.asset(
    key=INFERRED_PASS,
    deps=[RUN_ATTEMPT, TEST_EXECUTION, REJECTED_ARTIFACT],
    check_specs=[EVERY_REPOSITORY],
    group_name=CORE,
    owners=OWNERS,
    kinds={"sql"},
    pool=WAREHOUSE_POOL,
    description="One row per run attempt, job and test that passed though no report tells it: the job succeeded, left "
    "no report, and usually runs the test. Never an execution; it counts in a flake rate's denominator and nowhere "
    "else. `inferred_passes` in the configuration switches it off, per source or for all.",
)
def inferred_pass(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Infer anew the passes of the repositories whose loaded data or switches have changed."""
    started = time.monotonic()
    place = workspace.open()
    upgrade(place.warehouse)
    require_sound(place)
    with place.warehouse.connect() as connection:
        version = core_version(connection)
    switches = place.settings.inference
    inference = infer_passes(place.warehouse, switches, core_version=version, progress=place.progress)
    yield dg.MaterializeResult(
        asset_key=INFERRED_PASS,
        metadata={
            "passes": inference.passes,
            "jobs": inference.jobs,
            "repositories": inference.repositories,
            "repositories_inferred_anew": inference.renewed,
            "enabled": switches.enabled,
            "sources_switched_off": ", ".join(switches.sources_off) or "none",
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    yield told(EVERY_REPOSITORY, inference.faults)
