"""From the landing zone into `core`: what the warehouse lacks, read and loaded in batches.

A repository that cannot be read does not stop the others: its fault is reported, and its attempts are tried again
with the next run.
"""

import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

import polars as pl

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.ingest.attempts import Identity, WantedAttempt, wanted_attempts
from flakeguard_pipeline.ingest.reading import AttemptReader, AttemptRows, distinct, unattributed_rows
from flakeguard_pipeline.landing.zone import UNATTRIBUTED, LandingZone
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.settings import Settings
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.repeating import repeated

EXECUTIONS_AT_ONCE = 20_000
"""Executions that are gathered before they are handed to the thread that writes: each statement costs about a
millisecond, whatever it brings."""

EXECUTIONS_IN_MEMORY = 250_000
"""Executions that may wait to be written; when there are more, reading waits."""

ATTEMPTS_A_BATCH = 250
"""Run attempts in one transaction, so that histories without reports show progress, too."""

BYTES_A_BATCH = 64 << 20
"""Bytes, packed as they may be, after which a transaction takes no further attempt."""


@dataclass
class LoadCounts:
    """What one load did. `faults` are one line for each run attempt that could not be loaded."""

    attempts: int = 0
    jobs: int = 0
    reports: int = 0
    executions: int = 0
    passed_over_files: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    issues: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, rows: AttemptRows) -> None:
        """Count one run attempt."""
        self.attempts += 1
        self.jobs += len(rows.jobs)
        self.reports += len(rows.reports)
        self.executions += rows.execution_count
        self.passed_over_files += rows.run["passed_over_files"] if rows.run else 0
        self.rejected.update(row["reason_code"] for row in distinct(rows.rejected))
        self.issues.update(row["issue_code"] for row in rows.issues)


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
    with ThreadPoolExecutor(1) as pool:
        for batch in _batches(attempts):
            try:
                loaded = repeated(lambda batch=batch: _load(settings, zone, warehouse, batch, pool))  # type: ignore[misc]
            except WarehouseError:
                raise  # the warehouse itself: no attempt would fare better
            except Exception:  # noqa: BLE001 - tried again below, one by one, to find the one that is at fault
                loaded = []
                for wanted in batch:
                    with _isolated(counts, wanted):
                        loaded += repeated(
                            lambda wanted=wanted: _load(settings, zone, warehouse, [wanted], pool)  # type: ignore[misc]
                        )
            for rows in loaded:
                counts.add(rows)
                teller.advance()
    return counts


def _batches(attempts: Iterable[WantedAttempt]) -> Iterator[list[WantedAttempt]]:
    batch: list[WantedAttempt] = []
    size = 0
    for wanted in attempts:
        batch.append(wanted)
        size += sum(file.size_bytes for folder in wanted.folders for file in folder.files)
        if size >= BYTES_A_BATCH or len(batch) >= ATTEMPTS_A_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextlib.contextmanager
def _isolated(counts: LoadCounts, wanted: WantedAttempt) -> Iterator[None]:
    """Keep what goes wrong with one run attempt from the others; it is told, and tried again with the next run."""
    try:
        yield
    except WarehouseError:
        raise  # the warehouse itself: no other attempt would fare better
    except Exception as error:  # noqa: BLE001 - isolation is the point; nothing is swallowed, see `faults`
        text = str(error).strip().splitlines()
        line = text[0] if text else type(error).__name__
        counts.faults.append(f"{wanted.repository_id} run {wanted.run_id}/{wanted.run_attempt}: {line}")


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


def _load(
    settings: Settings, zone: LandingZone, warehouse: Warehouse, batch: list[WantedAttempt], pool: Executor
) -> list[AttemptRows]:
    """Read and write a batch in one transaction, which is opened when there is enough to write; return its rows."""
    with _Writer(settings, warehouse, batch) as writer:
        reader = AttemptReader(settings, zone, writer.take, pool)
        done = [reader.add(wanted) for wanted in batch]
        reader.finish()
        writer.complete(done)
    return done


class _Writer:
    """Writes the rows of one batch. The warehouse is held only while there is something to write.

    Executions are written in a thread, so that the next ones can be read meanwhile.
    """

    def __init__(self, settings: Settings, warehouse: Warehouse, batch: list[WantedAttempt]) -> None:
        self._settings = settings
        self._warehouse = warehouse
        self._replaced = pl.DataFrame(
            [identity for wanted in batch for identity in (wanted.identity, *wanted.former)],
            schema={"repository_id": pl.String, "run_id": pl.String, "run_attempt": pl.Int32},
            orient="row",
        )
        self._stack = contextlib.ExitStack()
        self._connection: Connection | None = None
        self._executions: list[pl.DataFrame] = []
        self._gathered = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: deque[tuple[int, Future[None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        # what was not committed is rolled back
        self._stack.__exit__(*raised)  # type: ignore[arg-type]

    def take(self, executions: pl.DataFrame) -> None:
        """Take a frame of executions; many of them are written before the batch is complete."""
        self._executions.append(executions)
        self._gathered += executions.height
        if self._gathered >= EXECUTIONS_AT_ONCE:
            self._write_executions(self._begun())

    def complete(self, done: list[AttemptRows]) -> None:
        """Write what is left, and commit."""
        connection = self._begun()
        self._write_executions(connection)
        self._wait(executions_left=0)
        for table, members in (
            (tables.run_attempt, [rows.run for rows in done if rows.run]),
            (tables.job, [row for rows in done for row in rows.jobs]),
            (tables.raw_artifact, [row for rows in done for row in rows.raw_artifacts]),
            (tables.report, [row for rows in done for row in rows.reports]),
            (tables.report_issue, [row for rows in done for row in rows.issues]),
            (tables.rejected_artifact, [row for rows in done for row in distinct(rows.rejected)]),
        ):
            connection.insert(load.name_of(table), load.frame_of(table, members))
        self._stack.close()

    def _begun(self) -> Connection:
        if self._connection is None:
            self._connection = self._stack.enter_context(self._warehouse.connect())
            self._stack.enter_context(
                load.replacing_attempts(self._connection, self._replaced, default_branch=self._settings.default_branch)
            )
        return self._connection

    def _write_executions(self, connection: Connection) -> None:
        if self._executions:
            rows = pl.concat(self._executions)
            written = self._thread.submit(connection.insert, load.name_of(tables.test_execution), rows)
            self._writing.append((rows.height, written))
        self._executions, self._gathered = [], 0
        self._wait(executions_left=EXECUTIONS_IN_MEMORY)

    def _wait(self, *, executions_left: int) -> None:
        """Wait until no more executions than these wait to be written."""
        while self._writing and sum(height for height, _ in self._writing) > executions_left:
            self._writing.popleft()[1].result()
