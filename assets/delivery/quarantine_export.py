"""Group `delivery`: what CI jobs consume. Belongs here: writing exports. Does not belong here: deciding."""

import time
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.checks.faults import told
from assets.groups import DELIVERY, OWNERS, WAREHOUSE_POOL
from assets.quarantine.quarantine_event import QUARANTINE_EVENT
from assets.resources import ClockResource, WorkspaceResource
from flakeguard_pipeline.operations.exporting import export_paths, export_repository
from flakeguard_pipeline.operations.repositories import for_each, repositories

QUARANTINE_EXPORT = dg.AssetKey(["delivery", "quarantine_export"])

EVERY_REPOSITORY = dg.AssetCheckSpec(
    "every_repository_was_exported",
    asset=QUARANTINE_EXPORT,
    description="No repository's export failed; one that did keeps its former file, which expires by itself.",
)


@dg.asset(
    key=QUARANTINE_EXPORT,
    deps=[QUARANTINE_EVENT],
    check_specs=[EVERY_REPOSITORY],
    group_name=DELIVERY,
    owners=OWNERS,
    kinds={"json"},
    pool=WAREHOUSE_POOL,
    description="One quarantine.json per repository, replaced in one step, equal byte for byte for equal inputs; past "
    "its `valid_until` it excuses nothing.",
)
def quarantine_export(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource, clock: ClockResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Write the export of every repository as of the run's moment."""
    started = time.monotonic()
    place = workspace.open()
    as_of = clock.read(context)
    members = repositories(place.warehouse)
    paths = export_paths(members, place.settings.out)
    place.progress.stage("export", len(members))
    done = for_each(
        members,
        lambda repository: export_repository(
            place.warehouse,
            repository,
            path=paths[repository],
            policy=place.settings.policy,
            as_of=as_of,
            valid_for_hours=place.settings.valid_for_hours,
        ),
        place.progress,
    )
    rows = [
        (repository.org, repository.full_name, len(export.entries), export.path)
        for repository, export in done.results.items()
    ]
    yield dg.MaterializeResult(
        asset_key=QUARANTINE_EXPORT,
        metadata={
            "as_of": dg.MetadataValue.timestamp(as_of),
            "repositories": len(done.results),
            "quarantined": sum(len(export.entries) for export in done.results.values()),
            "files_changed": sum(export.is_changed for export in done.results.values()),
            "seconds": round(time.monotonic() - started, 3),
            "out": dg.MetadataValue.path(str(place.settings.out)),
            "exports": metadata.table(rows, ("org", "repository", "quarantined", "file")),
        },
    )
    yield told(EVERY_REPOSITORY, done.faults)
