"""Group `raw`: artifacts as CI left them. Belongs here: landing drop folders. Does not belong here: reading reports."""

import time
from collections import Counter
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.checks.faults import told
from assets.groups import LANDING_POOL, OWNERS, RAW
from assets.partitions import belongs_to, daily
from assets.raw.provider_artifact import NO_SOURCE, PullConfig
from assets.resources import WorkspaceResource
from flakeguard_pipeline.domain.errors import FlakeGuardError, LandingError
from flakeguard_pipeline.ingest.landing import LandingCounts, find_pending, land

KEY = dg.AssetKey(["raw", "raw_artifact"])

EVERY_SOURCE = dg.AssetCheckSpec(
    "every_source_was_landed",
    asset=KEY,
    description="Every drop folder could be listed and read; what was left out is landed next time.",
)


@dg.asset(
    key=KEY,
    group_name=RAW,
    owners=OWNERS,
    kinds={"json", "xml"},
    partitions_def=daily,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[EVERY_SOURCE],
    pool=LANDING_POOL,
    description="What drop folders brought: one object per file of a run attempt, kept as it came and addressed by its "
    "content, with one manifest a day. Everything downstream can be rebuilt from it after the CI provider's artifacts "
    "have expired.",
)
def raw_artifact(
    context: dg.AssetExecutionContext, config: PullConfig, workspace: WorkspaceResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Land what is new for the partitions' days; files that belong to no run come with any of them."""
    started = time.monotonic()
    place = workspace.open()
    place.zone.sweep()
    belongs = belongs_to(context.partition_key_range)
    counts, waiting, by_day, faults = LandingCounts(), 0, Counter[str](), []
    drops = [each for each in place.drops if config.names(each.name)]
    for source in drops:
        try:
            pending = find_pending(source, place.zone)
            chosen = [each for each in pending if not each.day or belongs(each.day)]
            place.progress.stage("land", len(chosen))
            counts = counts.added(land(source, place.zone, chosen, progress=place.progress))
        except LandingError:
            raise
        except FlakeGuardError as error:
            if place.is_alone(source):
                raise
            faults.append(f"{source.name}: {error}")
            continue
        waiting += len(pending) - len(chosen)
        by_day.update(each.day or "no run" for each in chosen)
    yield dg.MaterializeResult(
        metadata={
            "sources": metadata.lines([source.title for source in drops] or [NO_SOURCE]),
            "run_folders": counts.folders,
            "files": counts.files,
            "size_bytes": counts.size_bytes,
            "unreadable_files": counts.unreadable,
            "waiting_for_other_partitions": waiting,
            "seconds": round(time.monotonic() - started, 3),
            "landing_zone": dg.MetadataValue.path(place.settings.landing),
            "folders_by_day": metadata.bars(dict(sorted(by_day.items())), "run folders by day"),
        }
    )
    yield told(EVERY_SOURCE, faults)
