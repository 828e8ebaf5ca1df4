"""Group `raw`: artifacts from CI providers, one asset a kind, whatever is configured. Belongs here: landing."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.checks.faults import told
from assets.groups import LANDING_POOL, OWNERS, RAW
from assets.partitions import belongs_to, clamped_range, daily, last_day, window_of
from assets.resources import Workspace, WorkspaceResource
from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.ingest.landing import LandingCounts
from flakeguard_pipeline.ingest.pulling import PullOutcome, pull_section
from flakeguard_pipeline.landing.cursors import Cursor, read_cursor
from flakeguard_pipeline.source_sections import KINDS, AnySource

TITLES = {
    "github": "GitHub Actions",
    "gitlab": "GitLab CI",
    "jenkins": "Jenkins",
    "buildkite": "Buildkite",
    "circleci": "CircleCI",
}

NO_SOURCE = "no source of this kind is configured"


class PullConfig(dg.Config):
    """Which sources of the kind are asked, and for what. Nothing said: all of them, for the partitions' days."""

    sources: list[str] = Field(default_factory=list)
    incremental: bool = False
    """Ask each source only for what is due by its cursor, within the partitions' days."""

    def names(self, source: str) -> bool:
        """Say whether a source is among those that are asked."""
        return not self.sources or source in self.sources


def key_of(kind: str) -> dg.AssetKey:
    """Return the key of the asset that a kind of provider has."""
    return dg.AssetKey(["raw", f"{kind}_artifact"])


def pull_config(kind: str, *, sources: Sequence[str] = (), incremental: bool = False) -> dict[str, Any]:
    """Return the run configuration by which the asset of a kind is told what to ask for; see `PullConfig`."""
    return {
        "ops": {PROVIDER_ASSETS[kind].node_def.name: {"config": {"sources": list(sources), "incremental": incremental}}}
    }


def due_days(place: Workspace, sections: Sequence[AnySource], now: datetime) -> dg.PartitionKeyRange:
    """Return the days that are due of sources by their cursors."""
    since = []
    for each in sections:
        try:
            cursor = read_cursor(place.zone, each.name)
        except LandingError:
            cursor = Cursor()  # it says what is wrong when it runs
        since.append(cursor.since(now, lookback_days=each.lookback_days, initial_days=each.initial_days))
    return clamped_range([min(since).astimezone(UTC).date().isoformat(), last_day()])


def _provider_asset(kind: str) -> dg.AssetsDefinition:
    every_source = dg.AssetCheckSpec(
        "every_source_was_landed",
        asset=key_of(kind),
        description="Every source was listed to its end, and all that it had was fetched; what was left out is asked "
        "for again next time.",
    )

    @dg.asset(
        key=key_of(kind),
        group_name=RAW,
        owners=OWNERS,
        kinds={"json", "xml"},
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[every_source],
        pool=LANDING_POOL,
        description=f"What {TITLES[kind]} brought: runs of all attempts, their jobs and artifacts, in the same landing "
        "zone and the same shape as drop folders bring. A range of days is a backfill.",
    )
    def provider_artifact(
        context: dg.AssetExecutionContext, config: PullConfig, workspace: WorkspaceResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Land what the sources of this kind have in the partitions' days, one after another."""
        started = time.monotonic()
        place = workspace.open()
        place.zone.sweep()
        outcomes = list(_pulled(kind, context, config, place))
        faults = [f"{each.name}: {fault}" for each in outcomes for fault in each.faults]
        yield told(every_source, faults)
        if faults and not any(each.is_complete or each.counts.folders for each in outcomes):
            # nothing came at all; had something come, it should be loaded
            raise dg.Failure("\n".join(faults), metadata={"faults": metadata.lines(faults)}, allow_retries=False)
        yield dg.MaterializeResult(metadata=_told(outcomes, place, time.monotonic() - started))

    return provider_artifact


def _pulled(
    kind: str, context: dg.AssetExecutionContext, config: PullConfig, place: Workspace
) -> Iterator[PullOutcome]:
    window = None if config.incremental else window_of(context.partition_key_range)
    for section in place.settings.sources_of(kind):
        if config.names(section.name):
            yield pull_section(
                section,
                place.zone,
                window,
                now=datetime.now(UTC),
                cache_dir=place.cache_dir(section.name),
                wants=belongs_to(context.partition_key_range),
                progress=place.progress,
            )


def _told(outcomes: Sequence[PullOutcome], place: Workspace, seconds: float) -> dict[str, dg.MetadataValue]:
    """Return what the sources brought and what it cost, together and one by one."""
    total = LandingCounts()
    for each in outcomes:
        total = total.added(each.counts)
    numbers: dict[str, int] = {
        "sources": len(outcomes),
        "run_folders": total.folders,
        "files": total.files,
        "size_bytes": total.size_bytes,
        "unreadable_files": total.unreadable,
        "expired_artifacts": total.expired,
        "failed_run_folders": sum(each.failed for each in outcomes),
        "unfinished_runs": sum(each.unfinished for each in outcomes),
        "requests": sum(each.report.requests for each in outcomes),
        "requests_not_modified": sum(each.report.not_modified for each in outcomes),
        "retries": sum(each.report.retries for each in outcomes),
        "received_bytes": sum(each.report.received_bytes for each in outcomes),
    }
    notes = [f"{each.name}: {note}" for each in outcomes for note in each.notes]
    return {
        **{name: dg.MetadataValue.int(number) for name, number in numbers.items()},
        "waited_seconds": dg.MetadataValue.float(round(sum((each.report.waited_seconds for each in outcomes), 0.0), 3)),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "landing_zone": dg.MetadataValue.path(place.settings.landing),
        "by_source": metadata.table([_row(each) for each in outcomes], COLUMNS)
        if outcomes
        else dg.MetadataValue.md(NO_SOURCE),
        "notes": metadata.lines(notes),
    }


COLUMNS = (
    "source",
    "since",
    "run folders",
    "known before",
    "files",
    "bytes",
    "expired",
    "failed",
    "requests",
    "received bytes",
    "retries",
    "waited seconds",
    "rate limit left",
    "renewed at",
)


def _row(outcome: PullOutcome) -> tuple[str | int, ...]:
    report, counts = outcome.report, outcome.counts
    limit = report.rate_limit
    left = "" if limit is None or limit.remaining is None else f"{limit.remaining:,} of {limit.limit or '?'}"
    since = outcome.window.since
    return (
        outcome.name,
        since.strftime("%Y-%m-%d %H:%M") if since else "the beginning",
        counts.folders,
        outcome.known,
        counts.files,
        counts.size_bytes,
        counts.expired,
        outcome.failed,
        report.requests,
        report.received_bytes,
        report.retries,
        round(report.waited_seconds),
        left,
        limit.resets_at.strftime("%Y-%m-%d %H:%M") if limit and limit.resets_at else "",
    )


PROVIDER_ASSETS = {kind: _provider_asset(kind) for kind in KINDS}
"""The assets by kind; the graph is the same whatever is configured."""
