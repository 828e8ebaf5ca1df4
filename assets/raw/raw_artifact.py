"""Group `raw`: artifacts as CI left them. Belongs here: landing. Does not belong here: reading reports."""

import time
from collections import Counter

import dagster as dg

from assets import metadata
from assets.groups import OWNERS, RAW, WAREHOUSE_POOL
from assets.partitions import belongs_to, daily
from assets.resources import WorkspaceResource
from flakeguard_pipeline.ingest.landing import find_pending, land


@dg.asset(
    key=["raw", "raw_artifact"],
    group_name=RAW,
    owners=OWNERS,
    kinds={"json", "xml"},
    partitions_def=daily,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=WAREHOUSE_POOL,
    description="One object per file of a run attempt, kept as it came and addressed by its content, with one manifest "
    "a day. Everything downstream can be rebuilt from it after the CI provider's artifacts have expired.",
)
def raw_artifact(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """Land what is new for the partitions' days; files that belong to no run come with any of them."""
    started = time.monotonic()
    place = workspace.open()
    place.zone.sweep()
    belongs = belongs_to(context.partition_key_range)
    provider = place.settings.provider
    pending = find_pending(place.source, place.zone, provider=provider)
    chosen = [each for each in pending if not each.day or belongs(each.day)]
    place.progress.stage("land", len(chosen))
    counts = land(place.source, place.zone, chosen, provider=provider, progress=place.progress)
    by_day = Counter(each.day or "no run" for each in chosen)
    return dg.MaterializeResult(
        metadata={
            "run_folders": counts.folders,
            "files": counts.files,
            "size_bytes": counts.size_bytes,
            "unreadable_files": counts.unreadable,
            "waiting_for_other_partitions": len(pending) - len(chosen),
            "seconds": round(time.monotonic() - started, 3),
            "landing_zone": dg.MetadataValue.path(place.settings.landing),
            "folders_by_day": metadata.bars(dict(sorted(by_day.items())), "run folders by day"),
        }
    )
