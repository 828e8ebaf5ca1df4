"""Group `core`: tests under two names. Belongs here: telling what was found. Does not belong here: deciding."""

import time
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.checks.faults import told
from assets.core.loaded import TEST_EXECUTION
from assets.groups import CORE, OWNERS, WAREHOUSE_POOL
from assets.resources import WorkspaceResource
from flakeguard_pipeline.operations.aliases import propose_aliases
from flakeguard_pipeline.warehouse.migrate import upgrade

ALIAS_PROPOSAL = dg.AssetKey(["core", "alias_proposal"])
STG_RUN_ATTEMPT = dg.AssetKey(["staging", "stg_run_attempt"])

EVERY_REPOSITORY = dg.AssetCheckSpec(
    "every_repository_was_compared",
    asset=ALIAS_PROPOSAL,
    description="No repository failed to be compared; one that did keeps its former proposals until new results come.",
)

COLUMNS = ("repository", "alias_id", "confidence", "old_classname", "old_name", "new_classname", "new_name")


@dg.asset(
    key=ALIAS_PROPOSAL,
    deps=[TEST_EXECUTION, STG_RUN_ATTEMPT],
    check_specs=[EVERY_REPOSITORY],
    group_name=CORE,
    owners=OWNERS,
    kinds={"sql", "polars"},
    pool=WAREHOUSE_POOL,
    description="One row per pair of tests of which one disappeared at the commit at which the other appeared, and "
    "which look like one test under two names, with a confidence. People decide: `flakeguard alias list`, `accept` and "
    "`reject`. Nothing depends on it.",
)
def alias_proposal(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Compare the tests of the repositories whose loaded data have changed."""
    started = time.monotonic()
    place = workspace.open()
    upgrade(place.warehouse)
    found = propose_aliases(place.warehouse, progress=place.progress)
    surest = found.proposals.sort("confidence", "alias_id", descending=[True, False]).select(COLUMNS)
    yield dg.MaterializeResult(
        asset_key=ALIAS_PROPOSAL,
        metadata={
            "proposals": found.proposals.height,
            "repositories_compared_anew": found.renewed,
            "seconds": round(time.monotonic() - started, 3),
            "surest": metadata.preview(surest),
        },
    )
    yield told(EVERY_REPOSITORY, found.faults)
