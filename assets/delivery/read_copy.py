"""Group `delivery`: the copy that people query. Belongs here: refreshing it after all else. Does not: how."""

import time
from collections.abc import Iterator

import dagster as dg

from assets.checks.faults import told
from assets.delivery.quarantine_export import QUARANTINE_EXPORT
from assets.groups import DELIVERY, OWNERS, WAREHOUSE_POOL
from assets.resources import WorkspaceResource
from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse.read_copy import refresh_read_copy, remove_read_copy

READ_COPY = dg.AssetKey(["delivery", "read_copy"])

MARTS = [
    dg.AssetKey(["marts", mart])
    for mart in (
        "failure_signature",
        "flake_trend",
        "flakiness_by_suite",
        "quarantine",
        "quarantine_event",
        "report_health",
        "source_freshness",
        "test_duration",
        "test_execution",
        "test_health",
    )
]

NO_COPY = "a Postgres warehouse can be read while it is written, so there is no copy"

IS_CURRENT = dg.AssetCheckSpec(
    "the_copy_is_current",
    asset=READ_COPY,
    description="The copy could be refreshed; one that could not be stays as it was, whole.",
)


@dg.asset(
    key=READ_COPY,
    deps=[QUARANTINE_EXPORT, *MARTS],
    check_specs=[IS_CURRENT],
    group_name=DELIVERY,
    owners=OWNERS,
    kinds={"duckdb"},
    pool=WAREHOUSE_POOL,
    description="The warehouse as it is after the run, in a second file that people and tools may read at any time. "
    "Replaced in one step, and only where it is behind; `read_copy: false` switches it off. A Postgres warehouse needs "
    "none.",
)
def read_copy(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Refresh the copy where it is behind."""
    started = time.monotonic()
    place = workspace.open()
    faults: list[str] = []
    told_of: dict[str, int | bool | dg.MetadataValue[str]] = {"enabled": place.settings.read_copy}
    try:
        if place.warehouse.dialect == "postgres":
            told_of["enabled"] = False
            told_of["why"] = dg.MetadataValue.text(NO_COPY)
        elif not place.settings.read_copy:
            told_of["removed"] = remove_read_copy(place.warehouse)
        else:
            copy = refresh_read_copy(place.warehouse, place.progress)
            told_of["path"] = dg.MetadataValue.path(str(copy.path.absolute()))
            told_of["size_bytes"] = copy.size_bytes
            told_of["replaced"] = copy.is_changed
    except WarehouseError as error:
        faults.append(str(error))
    yield dg.MaterializeResult(
        asset_key=READ_COPY, metadata={**told_of, "seconds": round(time.monotonic() - started, 3)}
    )
    yield told(IS_CURRENT, faults)
