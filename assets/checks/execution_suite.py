"""Data check of `core.test_execution`. Belongs here: running it and telling it. The suite itself is the library's."""

import dagster as dg

from assets import metadata
from assets.core.loaded import TEST_EXECUTION
from assets.groups import WAREHOUSE_POOL
from assets.resources import Workspace, WorkspaceResource
from flakeguard_pipeline.domain.errors import DataCheckFailedError
from flakeguard_pipeline.quality.execution_suite import SUITE_NAME, SuiteResult, check_changed_executions
from flakeguard_pipeline.warehouse.builds import is_checked, record_check
from flakeguard_pipeline.warehouse.load import core_version

FINDING_COLUMNS = ("expectation", "column", "unexpected", "examples")


@dg.asset_check(
    asset=TEST_EXECUTION,
    name="executions_are_sound",
    blocking=True,
    pool=WAREHOUSE_POOL,
    description="Keys, grain, enumerations, ranges and references of `core.test_execution`. Wrong data would lead to a "
    "wrong quarantine, so nothing is scored until it holds.",
)
def execution_suite(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Check what was not found sound as it is now."""
    result = check_loaded(workspace.open())
    rows = [
        (finding.expectation, finding.column, finding.unexpected_count, ", ".join(finding.examples))
        for finding in result.findings
    ]
    return dg.AssetCheckResult(
        passed=result.is_passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "rows": result.rows,
            "expectations": result.expectations,
            "expectations_that_do_not_hold": len(result.findings),
            "findings": metadata.table(rows, FINDING_COLUMNS) if rows else dg.MetadataValue.md("none"),
        },
    )


def check_loaded(place: Workspace) -> SuiteResult:
    """Run the suite on what has changed, and remember the result."""
    place.progress.stage("check", None)
    with place.warehouse.connect() as connection:
        version = core_version(connection)
    result = check_changed_executions(place.warehouse)
    with place.warehouse.connect() as connection:
        record_check(connection, SUITE_NAME, core_version=version, is_passed=result.is_passed, detail=result.detail())
    return result


def require_sound(place: Workspace) -> None:
    """Refuse to go on from data that were not found sound; what was not checked yet is checked now.

    Raises:
        DataCheckFailedError: an expectation does not hold.
    """
    with place.warehouse.connect() as connection:
        if is_checked(connection, SUITE_NAME, core_version(connection)):
            return
    result = check_loaded(place)
    if not result.is_passed:
        raise DataCheckFailedError(
            f"loaded data break what decisions rest on, so nothing was scored; `{SUITE_NAME}`: {result.detail()}"
        )
