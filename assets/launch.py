"""The main job in one process: the same assets as in the UI, on the same instance, and only those that are due.

Belongs here: what is due, and running it. Does not belong here: what a person is told (cli/run.py).
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import (  # not exported, though execute_in_process raises them
    DagsterAssetCheckFailedError,
    DagsterExecutionInterruptedError,
)

from assets.dbt_project import project_digest
from assets.instance import OwnInstance, exclusive
from assets.metadata import texts_of
from assets.partitions import FIRST_DAY, clamped_range, last_day, range_tags
from assets.raw.provider_artifact import due_days, key_of, pull_config
from assets.raw.raw_artifact import raw_artifact
from assets.resources import ClockResource, Workspace, WorkspaceResource, tell
from assets.run_launcher import COMMAND, LAUNCHED_BY
from flakeguard_pipeline.domain.errors import DataCheckFailedError, FlakeGuardError, OperationError, SourceError
from flakeguard_pipeline.ingest.landing import PendingFolder, find_pending
from flakeguard_pipeline.ingest.loading import attempts_to_load, days_of, unattributed_is_stale
from flakeguard_pipeline.operations.inference import is_inferred
from flakeguard_pipeline.progress import Progress
from flakeguard_pipeline.providers.source import FoundFolder
from flakeguard_pipeline.quality.execution_suite import SUITE_NAME
from flakeguard_pipeline.source_sections import KINDS, AnySource
from flakeguard_pipeline.warehouse import builds, load
from flakeguard_pipeline.warehouse.migrate import upgrade

_OF_TABLES = re.compile(r"does not exist|not found|Binder Error|Catalog Error")

_COLOURS = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Launched:
    """What a command did: metadata by asset (`core/test_execution`, ...), and what failed without stopping it."""

    as_of: datetime
    metadata: Mapping[str, Mapping[str, Any]]
    faults: tuple[str, ...]


def run_main_job(resource: WorkspaceResource, *, as_of: datetime | None, progress: Progress) -> Launched:
    """Ingest what is new in every source, then roll up, score, decide and export.

    Raises:
        FlakeGuardError: a step failed; its message says what to do. What was done before it stays done.
    """
    with _opened(resource, as_of, progress) as (place, runner):
        progress.stage("look", None)
        _ingest(place, runner, Request())
        with place.warehouse.connect() as connection:
            version = load.core_version(connection)
            checked = builds.is_checked(connection, SUITE_NAME, version)
            digest = project_digest(place.settings, place.warehouse)
            built = builds.is_built(connection, "rollups", project_digest=digest, core_version=version)
            built = built and builds.is_built(connection, "marts", project_digest=digest, core_version="")
            built = built and not builds.missing_models(connection)
            # where inferring failed for a repository, it is tried again
            built = built and is_inferred(connection, place.settings.inference, core_version=version)
        if not checked and not runner.is_sound():
            with place.warehouse.connect() as connection:
                detail = builds.check_detail(connection, SUITE_NAME)
            raise DataCheckFailedError(
                f"loaded data break what decisions rest on, so nothing was scored; `{SUITE_NAME}`: {detail}"
            )
        runner.score(with_dbt=not built)
        return Launched(runner.as_of, runner.metadata, tuple(runner.faults))


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be ingested: sources by name (none: all), and the first and last UTC day (none: what is due)."""

    names: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    def wants(self, source: str) -> bool:
        """Say whether a source is asked."""
        return not self.names or source in self.names

    def holds(self, day: str) -> bool:
        """Say whether a UTC day is asked for."""
        return (self.since or "") <= day <= (self.until or "9999-12-31")


def run_ingestion(resource: WorkspaceResource, request: Request, *, progress: Progress) -> Launched:
    """Land what sources have, and load all that was landed and is not loaded yet.

    Raises:
        FlakeGuardError: loading failed; its message says what to do. A source that fails is told in `faults`.
    """
    with _opened(resource, None, progress) as (place, runner):
        progress.stage("look", None)
        _ingest(place, runner, request)
        return Launched(runner.as_of, runner.metadata, tuple(runner.faults))


@contextlib.contextmanager
def _opened(
    resource: WorkspaceResource, as_of: datetime | None, progress: Progress
) -> Iterator[tuple[Workspace, "_Runner"]]:
    tell(progress)
    place = resource.open()
    upgrade(place.warehouse)
    settings = place.settings
    with (
        place.warehouse.run_alone(),
        exclusive(settings.dagster_home, progress, settings.dagster_storage) as own,
    ):
        yield place, _Runner(own, resource, as_of or datetime.now(UTC).replace(microsecond=0))


def _ingest(place: Workspace, runner: "_Runner", request: Request) -> None:
    """Ask the providers, each in a run of its own, then land drop folders and load what is left."""
    for kind in KINDS:
        sections = [each for each in place.settings.sources_of(kind) if request.wants(each.name)]
        if sections:
            runner.pull(kind, place, sections, request)
    days = _days_due(place, request)
    if days:
        runner.ingest(days, request)


def _days_due(place: Workspace, request: Request) -> list[str]:
    """Return the UTC days with something to land or to load; today's where only files without a run are new."""
    pending = []
    drops = [each for each in place.drops if request.wants(each.name)]
    for source in drops:
        try:
            pending += [each for each in find_pending(source, place.zone) if not each.day or request.holds(each.day)]
        except FlakeGuardError as error:
            if place.is_alone(source) and not isinstance(error, SourceError):
                raise
            # the asset tells of it
            pending.append(PendingFolder(FoundFolder("", ""), datetime.now(UTC).date().isoformat()))
    days = {each.day for each in pending if each.day}
    days.update(days_of(attempts_to_load(place.settings, place.zone, place.warehouse)))
    if not days and (
        any(not each.day for each in pending) or unattributed_is_stale(place.settings, place.zone, place.warehouse)
    ):
        days.add(datetime.now(UTC).date().isoformat())
    return sorted(days)


@contextlib.contextmanager
def _explained(job: str) -> Iterator[None]:
    """Turn what Dagster makes of a failure into what the command line can say in a line."""
    try:
        yield
    except (FlakeGuardError, DagsterAssetCheckFailedError, dg.Failure):
        raise
    except DagsterExecutionInterruptedError as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        raise OperationError(
            f"the job `{job}` failed: {type(error).__name__}: {first} (the Dagster UI, `flakeguard ui`, shows where)"
        ) from error


def _first_fault(failure: dg.Failure) -> str:
    """Return what dbt says first of what it could not do, in a line."""
    lines = [_COLOURS.sub("", line).strip() for line in (failure.description or "").splitlines()]
    faults = [
        f"{line}: {after}"
        for line, after in pairwise(line for line in lines if line)
        if " Error in " in line or line.startswith(("Runtime Error", "Database Error"))
    ]
    found = faults[0] if faults else next((line for line in lines if line), "dbt failed")
    if _OF_TABLES.search(found):
        found += "; `flakeguard migrate check` shows whether a table was altered by hand"
    return f"{found} (the Dagster UI, `flakeguard ui`, shows where)"


class _Runner:
    """Runs selections of the assets in this process and gathers what they report."""

    def __init__(self, own: OwnInstance, resource: WorkspaceResource, as_of: datetime) -> None:
        self.as_of = as_of
        self.metadata: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self._own = own
        self._resources = {"workspace": resource, "clock": ClockResource(as_of=as_of.isoformat())}
        self._whole: dg.Definitions | None = None

    def ingest(self, days: list[str], request: "Request") -> None:
        """Land and load `days` from drop folders, as one run over the range from the first to the last."""
        config = {"ops": {raw_artifact.node_def.name: {"config": {"sources": list(request.names)}}}}
        with contextlib.suppress(DagsterAssetCheckFailedError):  # `is_sound` says what failed
            self._execute(self._definitions(), "ingest", range_tags(clamped_range(days)), config)

    def pull(self, kind: str, place: Workspace, sections: Sequence[AnySource], request: "Request") -> None:
        """Land and load what the sources of a kind have; what fails there is among the faults, and stops nothing."""
        is_due = request.since is None and request.until is None
        if is_due:
            days = due_days(place, sections, datetime.now(UTC))
        else:
            days = clamped_range([request.since or FIRST_DAY, request.until or last_day()])
        config = pull_config(kind, sources=[each.name for each in sections], incremental=is_due)
        try:
            self._execute(self._definitions(), f"ingest_{kind}", range_tags(days), config)
        except DagsterAssetCheckFailedError:
            pass  # `is_sound` says what failed
        except dg.Failure as failure:
            asset = "/".join(key_of(kind).path)
            self.faults += [f"{asset}: {line}" for line in (failure.description or "failed").splitlines()]

    def is_sound(self) -> bool:
        """Run the blocking check alone, where a run was killed before it or it did not hold; say whether it holds."""
        try:
            self._execute(self._definitions(), "check", {})
        except DagsterAssetCheckFailedError:
            return False
        return True

    def score(self, *, with_dbt: bool) -> None:
        """Roll up (where the roll-ups are stale), score, decide and export."""
        if with_dbt:
            try:
                self._execute(self._definitions(), "score", {})
            except dg.Failure as failure:
                # dbt's, whose description is many lines
                raise OperationError(f"the job `score` failed: {_first_fault(failure)}") from failure
            return
        from assets.build import build_idle_defs

        self._execute(build_idle_defs(self._resources), "score_idle", {})

    def _definitions(self) -> dg.Definitions:
        """Return the whole code location; built late, because it imports dbt."""
        if self._whole is None:
            from assets.build import build_defs

            self._whole = build_defs(self._resources)
        return self._whole

    def _execute(
        self, definitions: dg.Definitions, job: str, tags: Mapping[str, str], config: Mapping[str, Any] | None = None
    ) -> None:
        with _explained(job):
            self._execute_job(definitions, job, tags, config or {})

    def _execute_job(
        self, definitions: dg.Definitions, job: str, tags: Mapping[str, str], config: Mapping[str, Any]
    ) -> None:
        self._own.require()
        # dbt's own lines go to standard output, which belongs to the summary; they are in the run's log, too.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=self._own.instance,
                tags={LAUNCHED_BY: COMMAND, **tags},
                run_config={**config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=True,
            )
        told: dict[str, Mapping[str, dg.MetadataValue[Any]]] = {}
        for event in result.all_events:
            if event.is_step_materialization:
                materialization = event.step_materialization_data.materialization
                # of a range of partitions each tells the same
                told["/".join(materialization.asset_key.path)] = materialization.metadata
        for asset, metadata in told.items():
            self._gather(asset, metadata)
        self._gather_checks(result.get_asset_check_evaluations())
        if not result.success:
            raise OperationError(f"run {result.run_id} failed; open the Dagster UI (flakeguard ui) to see where")

    def _gather(self, asset: str, metadata: Mapping[str, dg.MetadataValue[Any]]) -> None:
        """Keep what an asset reported; counts of several runs over the same asset add up."""
        known = self.metadata.setdefault(asset, {})
        for key, value in metadata.items():
            is_count = isinstance(value.value, int) and isinstance(known.get(key, 0), int)
            known[key] = known.get(key, 0) + value.value if is_count else value.value

    def _gather_checks(self, evaluations: Iterable[dg.AssetCheckEvaluation]) -> None:
        for evaluation in evaluations:
            if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
                faults = evaluation.metadata.get("faults")
                asset = "/".join(evaluation.asset_key.path)
                texts = texts_of(str(faults.value)) if faults else [evaluation.check_name]
                self.faults += [f"{asset}: {text}" for text in texts]
