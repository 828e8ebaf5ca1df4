"""`flakeguard run` in processes of its own that kill themselves at chosen moments.

A moment is a label such as `load: committed` and how often the run has come past it. The product has no hooks for
this: a process wraps the functions around its moments after it was forked, and in itself only.

Every process is forked from a server that has imported what takes seconds to import. What starts threads at its
import (Polars, DuckDB, and so the product itself) is imported after the fork: threads do not survive one. For that
reason nothing of the product may be imported at the top of this module.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.drops import START, add_run, case, flaky_history, report, run_object, zipped

AS_OF = "2026-03-20T00:00:00Z"

COMMAND_SECONDS = 120.0
"""Far more than any run takes: one that takes longer waits for something that never comes."""

PRELOADED = [
    "alembic.command",
    "dagster",
    "dagster_dbt",
    "fsspec.implementations.local",
    "great_expectations.expectations",
    "pytest",
    "rich.progress",
    "scipy.special",
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Moment:
    """The `nth` time that a run comes past `label`."""

    label: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.label} #{self.nth}"


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: the signal), what it wrote, and the moments it came past."""

    code: int
    stdout: str
    stderr: str
    labels: tuple[str, ...]


def two_repositories(drop: Path) -> None:
    """Write histories of two repositories, each with a flaky test, over several days, and two rejected reports."""
    flaky_history(drop, runs=8)
    till: dict[str, Any] = {
        "repository": {"id": 8, "full_name": "acme/till", "default_branch": "main"},
        "head_repository": {"id": 8, "full_name": "acme/till"},
    }
    for number in range(1, 7):
        for attempt in (1, 2):
            started = START + timedelta(days=number, hours=attempt)
            run = run_object(100 + number, run_attempt=attempt, started=started, **till)
            outcome = "failed" if attempt == 1 and number % 2 else "passed"
            cases = report(case("test_money", outcome, f"off by {number}"), case("test_steady"))
            files = {"test-results.zip": zipped({"r.xml": cases})}
            if number == 2:
                files["broken.xml"] = b"<testsuite><testcase name='a'"
            add_run(drop, run, files)
    (drop / "orphan.xml").write_bytes(report(case("test_of_nobody")))


@dataclass
class Workspace:
    """A landing zone, exports and, unless `url` names another, a warehouse in one folder.

    The drop folder lies elsewhere and is only read.
    """

    folder: Path
    drop: Path
    url: str = ""
    runs: int = 0
    labels: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.url or f"duckdb:///{self.warehouse}"

    @property
    def warehouse(self) -> Path:
        """The embedded warehouse's file."""
        return self.home / "warehouse.duckdb"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def landing(self) -> Path:
        (found,) = self.home.glob("*.landing")
        return found

    @property
    def exports(self) -> Path:
        return self.folder / "out"

    def run(self, kill_at: Moment | None = None) -> Ended:
        """Run the command until it ends."""
        return self.start(kill_at).wait()

    def start(self, at: Moment | None = None, signal_number: int = signal.SIGKILL) -> "Running":
        """Start the command; it sends itself the signal at that moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.runs += 1
        arguments = ["run", "--drop", str(self.drop), "--as-of", AS_OF]
        arguments += ["--warehouse", self.url, "--out", str(self.exports)]
        stem = self.folder / f"{self.runs:02}"
        process = _context.Process(target=_command, args=(arguments, self.folder, stem, at, signal_number))
        process.start()
        return Running(self, process, stem)


@dataclass
class Running:
    """A run that has been started."""

    workspace: Workspace
    process: Any
    stem: Path

    def labels(self) -> tuple[str, ...]:
        """Return the moments it has come past until now."""
        return tuple(_text(self.stem, "moments").splitlines())

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert self.process.is_alive(), _text(self.stem, "stderr")
            assert time.monotonic() < deadline, f"it did not stop:\n{_text(self.stem, 'stderr')}"
            time.sleep(0.05)

    def go_on(self) -> None:
        """Let it go on after it has stopped itself."""
        os.kill(self.process.pid, signal.SIGCONT)

    def wait(self) -> Ended:
        """Wait until it ends."""
        self.process.join(COMMAND_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            last = self.labels()[-3:]
            raise AssertionError(
                f"run {self.stem} hung for {COMMAND_SECONDS} s after {last}:\n{_text(self.stem, 'stderr')}"
            )
        labels = self.labels()
        self.workspace.labels += labels
        return Ended(self.process.exitcode, _text(self.stem, "stdout"), _text(self.stem, "stderr"), labels)


def _text(stem: Path, ending: str) -> str:
    path = stem.with_suffix(f".{ending}")
    return path.read_text() if path.exists() else ""


# -- in the forked process ------------------------------------------------------------------------------------


def _command(arguments: list[str], folder: Path, stem: Path, at: Moment | None, signal_number: int) -> None:
    os.chdir(folder)
    os.environ["FLAKEGUARD_HOME"] = str(folder / "home")
    for number, ending in ((1, "stdout"), (2, "stderr")):
        opened = os.open(stem.with_suffix(f".{ending}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
    _install(_Moments(stem.with_suffix(".moments"), at, signal_number))
    from flakeguard_pipeline.cli import main

    sys.argv = ["flakeguard", *arguments]
    main()


class _Moments:
    """Counts moments, and ends (or stops) this process at one of them."""

    def __init__(self, log: Path, at: Moment | None, signal_number: int) -> None:
        self.stage = "start"
        self._has_decided = False
        self._seen: Counter[str] = Counter()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._at = at
        self._signal_number = signal_number

    def enter(self, stage: str) -> None:
        """Note that a stage begins; `build` is the roll-ups' before the decisions and the marts' after them."""
        self._has_decided = self._has_decided or stage == "decide"
        self.stage = ("marts" if self._has_decided else "rollups") if stage == "build" else stage
        self.reach("begins")

    def reach(self, what: str) -> None:
        """Come past a moment."""
        label = f"{self.stage}: {what}"
        self._seen[label] += 1
        os.write(self._log, f"{label}\n".encode())
        if self._at == Moment(label, self._seen[label]):
            os.kill(os.getpid(), self._signal_number)


def _install(moments: _Moments) -> None:
    """Wrap what the moments lie around."""
    import alembic.command
    import alembic.ddl.impl
    import dagster
    import dagster_dbt

    from flakeguard_pipeline.cli.progress import PlainProgress
    from flakeguard_pipeline.ingest import landing, loading
    from flakeguard_pipeline.warehouse.duckdb_connection import DuckDBConnection
    from flakeguard_pipeline.warehouse.postgres_connection import PostgresConnection

    # Batches as large histories have them.
    landing.FOLDERS_A_BATCH = 3
    loading.ATTEMPTS_A_BATCH = 3

    _around(alembic.command, "upgrade", moments, before="migration begins", after="migrated")
    _around(alembic.ddl.impl.DefaultImpl, "create_table", moments, after="table made")
    for connection in (DuckDBConnection, PostgresConnection):
        _around(connection, "insert", moments, after="rows inserted")
        _wrap_transactions(connection, moments)
    _around(dagster.DagsterInstance, "handle_new_event", moments, after="event stored")
    _wrap_stages(PlainProgress, moments)
    _wrap_renames(moments)
    _wrap_dbt(dagster_dbt.DbtCliInvocation, moments)


def _around(owner: Any, name: str, moments: _Moments, *, before: str = "", after: str = "") -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            moments.reach(before)
        result = original(*args, **kwargs)
        if after:
            moments.reach(after)
        return result

    setattr(owner, name, wrapped)


def _wrap_stages(progress: Any, moments: _Moments) -> None:
    original = progress.stage

    def stage(self: Any, name: str, total: int | None) -> None:
        original(self, name, total)
        moments.enter(name)

    progress.stage = stage


def _wrap_transactions(connection: Any, moments: _Moments) -> None:
    original = connection.transaction

    @contextlib.contextmanager
    def transaction(self: Any) -> Iterator[None]:
        with original(self):
            yield
            moments.reach("before commit")
        moments.reach("committed")

    connection.transaction = transaction


def _wrap_renames(moments: _Moments) -> None:
    original: Callable[..., None] = os.replace
    kinds = {
        ".landing/objects/": "object",
        ".landing/manifests/": "manifest",
        "/home/dagster/": "instance file",
        "/manifest-": "dbt manifest",
        "/quarantine.json": "export",
        "/warehouse.read.duckdb": "read copy",
    }

    def replace(source: Any, target: Any, **kwargs: Any) -> None:
        kind = next((kind for part, kind in kinds.items() if part in os.fspath(target)), None)
        if kind:
            moments.reach(f"{kind} written")
        original(source, target, **kwargs)
        if kind:
            moments.reach(f"{kind} renamed")

    os.replace = replace


def _wrap_dbt(invocation: Any, moments: _Moments) -> None:
    original = invocation.stream_raw_events

    def stream_raw_events(self: Any) -> Iterator[Any]:
        moments.reach("dbt started")
        for event in original(self):
            moments.reach("dbt event")
            yield event

    invocation.stream_raw_events = stream_raw_events
