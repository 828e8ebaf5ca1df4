"""Data check of `core.test_execution`. Belongs here: running it and telling it. The suite itself is the library's."""

import dagster as dg

from assets import metadata
from assets.core.loaded import TEST_EXECUTION
from assets.groups import WAREHOUSE_POOL
from assets.resources import WorkspaceResource
from flakeguard_pipeline.quality.execution_suite import SUITE_NAME, check_executions
from flakeguard_pipeline.warehouse.builds import record_check
from flakeguard_pipeline.warehouse.load import core_version

FINDING_COLUMNS = ("expectation", "column", "unexpected", "examples")


@dg.asset_check(
    asset=TEST_EXECUTION,
    name="executions_are_sound",
    blocking=True,
    pool=WAREHOUSE_POOL,
    description="Every execution is whole, unique, within range and belongs to a loaded run attempt. Nothing is scored "
    "from executions that are not.",
)
def execution_suite(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Hold the executions against their suite, and remember the outcome with the state of `core` it was had for."""
    place = workspace.open()
    # Read first: should anything be loaded meanwhile, the outcome counts for the state before and is had again.
    with place.warehouse.connect() as connection:
        version = core_version(connection)
    place.progress.stage("check", None)
    result = check_executions(place.warehouse)
    with place.warehouse.connect() as connection:
        record_check(
            connection,
            SUITE_NAME,
            core_version=version,
            is_passed=result.is_passed,
            detail=result.detail(),
        )
    rows = [
        (finding.expectation, finding.column, finding.unexpected_count, "; ".join(finding.examples))
        for finding in result.findings
    ]
    return dg.AssetCheckResult(
        passed=result.is_passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "executions": result.rows,
            "expectations": result.expectations,
            "broken_expectations": len(result.findings),
            "findings": metadata.table(rows, FINDING_COLUMNS) if rows else dg.MetadataValue.md("none"),
        },
    )
