"""From the landing zone into `core`: what the warehouse lacks, read and loaded in batches.

A repository that cannot be read does not stop the others: its fault is reported, and its attempts are tried again
with the next run.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import duckdb
import polars as pl

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.ingest.attempts import Identity, WantedAttempt, wanted_attempts
from flakeguard_pipeline.ingest.reading import AttemptRows, read_attempt, unattributed_rows
from flakeguard_pipeline.landing.zone import UNATTRIBUTED, LandingZone
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.settings import Settings
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Warehouse

EXECUTIONS_A_BATCH = 100_000
"""Executions in one transaction: large enough to be quick, small enough to bound memory (some 200 MB)."""

ATTEMPTS_A_BATCH = 250
"""Run attempts in one transaction, so that histories without reports show progress, too."""


@dataclass
class LoadCounts:
    """What one load did. `faults` are one line for each run attempt that could not be loaded."""

    attempts: int = 0
    jobs: int = 0
    reports: int = 0
    executions: int = 0
    passed_over_files: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, rows: AttemptRows) -> None:
        """Count one run attempt."""
        self.attempts += 1
        self.jobs += len(rows.jobs)
        self.reports += len(rows.reports)
        self.executions += rows.execution_count
        self.passed_over_files += rows.run["passed_over_files"] if rows.run else 0
        self.rejected.update(row["reason_code"] for row in rows.rejected)


def attempts_to_load(settings: Settings, zone: LandingZone, warehouse: Warehouse) -> list[WantedAttempt]:
    """Return the run attempts that the landing zone has and the warehouse has not, or not from the same bytes.

    A run that knew only its repository's name moves when the name turns out to be another id's; it then says where
    it is loaded still.
    """
    with warehouse.connect() as connection:
        loaded = load.load_digests(connection)
        orgs = load.known_orgs(connection)
    wanted = wanted_attempts(
        zone.all_folders(),
        configured_org=settings.org,
        known_orgs=orgs,
        loading_digest=settings.loading_digest,
    )
    moved: dict[Identity, list[Identity]] = defaultdict(list)
    for identity in sorted(loaded.keys() - {each.identity for each in wanted}):
        moved[_place(identity)].append(identity)
    return [
        replace(each, former=tuple(moved.get(_place(each.identity), ())))
        for each in wanted
        if loaded.get(each.identity) != each.load_digest
    ]


def _place(identity: Identity) -> Identity:
    """Return what stays the same of a run attempt when its repository's id turns out to be another."""
    repository_id, run_id, run_attempt = identity
    return repository_id.partition(":")[0], run_id, run_attempt


def unattributed_is_stale(settings: Settings, zone: LandingZone, warehouse: Warehouse) -> bool:
    """Say whether the rejected artifacts that belong to no run differ from what the landing zone holds."""
    wanted = _unattributed(settings, zone)
    with warehouse.connect() as connection:
        return not load.unattributed(connection).equals(wanted)


def load_attempts(
    settings: Settings,
    zone: LandingZone,
    warehouse: Warehouse,
    attempts: Iterable[WantedAttempt],
    *,
    progress: Progress | None = None,
) -> LoadCounts:
    """Read run attempts from the landing zone and replace them in `core`, batch by batch."""
    teller = progress or Silent()
    counts = LoadCounts()
    batch: list[AttemptRows] = []
    waiting = 0
    for wanted in attempts:
        with _isolated(counts, wanted):
            rows = read_attempt(zone, wanted, variant_rules=settings.variant_rules, job_rules=settings.job_rules)
            batch.append(rows)
            waiting += rows.execution_count
        if waiting >= EXECUTIONS_A_BATCH or len(batch) >= ATTEMPTS_A_BATCH:
            _write_batch(settings, warehouse, batch, counts, teller)
            batch, waiting = [], 0
    _write_batch(settings, warehouse, batch, counts, teller)
    return counts


@contextlib.contextmanager
def _isolated(counts: LoadCounts, wanted: WantedAttempt) -> Iterator[None]:
    """Keep what goes wrong with one run attempt from the others; it is told, and tried again with the next run."""
    try:
        yield
    except (WarehouseError, duckdb.IOException):
        raise  # the warehouse itself: no other attempt would fare better
    except Exception as error:  # noqa: BLE001 - isolation is the point; nothing is swallowed, see `faults`
        text = str(error).strip().splitlines()
        line = text[0] if text else type(error).__name__
        counts.faults.append(f"{wanted.repository_id} run {wanted.run_id}/{wanted.run_attempt}: {line}")


def _write_batch(
    settings: Settings,
    warehouse: Warehouse,
    batch: list[AttemptRows],
    counts: LoadCounts,
    teller: Progress,
) -> None:
    """Load a batch in one transaction; where that fails, attempt by attempt, to find the one that is at fault."""
    if not batch:
        return
    try:
        _write(settings, warehouse, batch, counts, teller)
    except (WarehouseError, duckdb.IOException):
        raise
    except Exception:  # noqa: BLE001 - tried again below, one by one
        for rows in batch:
            with _isolated(counts, rows.wanted):
                _write(settings, warehouse, [rows], counts, teller)


def load_unattributed(settings: Settings, zone: LandingZone, warehouse: Warehouse) -> Counter[str]:
    """Replace the rejected artifacts that belong to no run; return them counted by reason code."""
    rows = _unattributed(settings, zone)
    with warehouse.connect() as connection:
        load.replace_unattributed(connection, rows)
    return Counter(rows["reason_code"].to_list())


def days_of(attempts: Collection[WantedAttempt]) -> list[str]:
    """Return the UTC days that attempts belong to, sorted."""
    return sorted({each.day for each in attempts})


def _unattributed(settings: Settings, zone: LandingZone) -> pl.DataFrame:
    rows = unattributed_rows(zone, zone.folders(UNATTRIBUTED), org=settings.org or "")
    frame = load.frame_of(tables.rejected_artifact, rows)
    return frame.sort("org", "artifact", "path", "reason_code", "digest")


def _write(
    settings: Settings,
    warehouse: Warehouse,
    batch: list[AttemptRows],
    counts: LoadCounts,
    teller: Progress,
) -> None:
    executions = [frame for rows in batch for frame in rows.executions]
    frames = {
        "core.run_attempt": load.frame_of(tables.run_attempt, [rows.run for rows in batch if rows.run]),
        "core.job": load.frame_of(tables.job, [row for rows in batch for row in rows.jobs]),
        "core.raw_artifact": load.frame_of(tables.raw_artifact, [row for rows in batch for row in rows.raw_artifacts]),
        "core.report": load.frame_of(tables.report, [row for rows in batch for row in rows.reports]),
        "core.report_issue": load.frame_of(tables.report_issue, [row for rows in batch for row in rows.issues]),
        "core.rejected_artifact": load.frame_of(
            tables.rejected_artifact, [row for rows in batch for row in rows.rejected]
        ),
        "core.test_execution": pl.concat(executions)
        if executions
        else pl.DataFrame(schema=load.schema_of(tables.test_execution)),
    }
    replaced = pl.DataFrame(
        [identity for rows in batch for identity in (rows.wanted.identity, *rows.wanted.former)],
        schema={"repository_id": pl.String, "run_id": pl.String, "run_attempt": pl.Int32},
        orient="row",
    )
    with warehouse.connect() as connection:
        load.replace_attempts(connection, replaced, frames, default_branch=settings.default_branch)
    for rows in batch:
        counts.add(rows)
        teller.advance()
