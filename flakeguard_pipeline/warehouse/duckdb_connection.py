"""Connections to the embedded warehouse, a DuckDB file: one process holds it, for as short as it can.

Belongs here: what is particular to DuckDB about opening, reading into frames and writing frames.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import polars as pl

from flakeguard_pipeline.domain.errors import WarehouseError, WarehouseLockedError
from flakeguard_pipeline.warehouse.dialects import Dialect, Parameters

LOCK_WAIT_SECONDS = 20.0
"""How long to wait for another process to let go of the file: longer than any step of ours but a first load,
short enough that a person at a terminal learns the cause."""

LOCK_POLL_SECONDS = 0.1

WHOLE = (duckdb.IOException, duckdb.FatalException, duckdb.OutOfMemoryException, duckdb.TransactionException)
"""Errors of the file or the machine; a commit that finds no room on the disk is one of the transaction."""

LOCKED = "Could not set lock on file"
"""How DuckDB says it; the bare word may stand in a path."""


@dataclass(frozen=True, slots=True)
class DuckDBConnection:
    """A connection to the file; see `connection.Connection`."""

    dialect: ClassVar[Dialect] = "duckdb"

    raw: duckdb.DuckDBPyConnection
    path: Path

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement for its effect."""
        with self._explained():
            self.raw.execute(sql, dict(parameters or {}) or None)

    def read(self, sql: str, parameters: Parameters | None = None) -> pl.DataFrame:
        """Run one query and return its rows; times come back in UTC."""
        with self._explained():
            frame: pl.DataFrame = self.raw.execute(sql, dict(parameters or {}) or None).pl()
        return frame.with_columns(pl.col(pl.Datetime(time_unit="us", time_zone="*")).dt.convert_time_zone("UTC"))

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Return the only value of a query's only row, or None where there is no row."""
        with self._explained():
            row = self.raw.execute(sql, dict(parameters or {}) or None).fetchone()
        return row[0] if row else None

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Append `frame` to `table`, by the names of its columns.

        The frame is bound as an Arrow table, so nothing is copied row by row.
        """
        if frame.is_empty():
            return
        columns = ", ".join(f'"{name}"' for name in frame.columns)
        self.raw.register("_incoming", frame.to_arrow())
        try:
            with self._explained():
                self.raw.execute(f"insert into {table} ({columns}) select {columns} from _incoming")  # noqa: S608
        finally:
            self.raw.unregister("_incoming")

    @contextmanager
    def frame(self, name: str, frame: pl.DataFrame) -> Iterator[None]:
        """Make `frame` readable as relation `name` while the block runs."""
        self.raw.register(name, frame.to_arrow())
        try:
            yield
        finally:
            self.raw.unregister(name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or undo all of it when it raises."""
        self.raw.execute("begin")
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # undone already, where the file cannot be written any more
                self.raw.execute("rollback")
            raise
        with self._explained():
            self.raw.execute("commit")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what concerns the warehouse as a whole into lines for people; the rest concerns some rows."""
        try:
            yield
        except WHOLE as error:
            raise WarehouseError(
                f"the warehouse {self.path} cannot be written or read: {_first_line(error)}; nothing is half-written; "
                "make room or mend its file system, and run again"
            ) from error
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise WarehouseError(
                f"the warehouse {self.path} has other tables than FlakeGuard made: {_first_line(error)}; "
                "`flakeguard migrate check` shows what differs"
            ) from error


@contextmanager
def connected(path: Path, *, read_only: bool) -> Iterator[DuckDBConnection]:
    """Open the file for the length of the block.

    Raises:
        WarehouseLockedError: another process holds the file for longer than `LOCK_WAIT_SECONDS`.
        WarehouseError: the file cannot be opened or is no warehouse.
    """
    raw = _open(path, read_only=read_only)
    try:
        raw.execute("set timezone = 'UTC'")
        # Rows come back in no promised order otherwise, and every query that matters orders them itself.
        raw.execute("set preserve_insertion_order = false")
        yield DuckDBConnection(raw, path)
    finally:
        raw.close()


def _open(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(
            f"cannot make the folder {path.parent} for the warehouse: {error.strerror}; "
            "choose another place with --warehouse"
        ) from error
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            text = str(error)
            if LOCKED not in text:
                raise WarehouseError(
                    f"cannot open the warehouse {path}: {text.splitlines()[0]}; "
                    "check that the path is a DuckDB file which you may read and write, or choose another with "
                    "--warehouse"
                ) from error
            if time.monotonic() > deadline:
                raise WarehouseLockedError(
                    f"the warehouse {path} is locked by another process{_holder(text)}; wait until it has "
                    "finished, or close it"
                ) from error
        time.sleep(LOCK_POLL_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads waiters, hides nothing


def _holder(text: str) -> str:
    """Return ' (PID 123)' where DuckDB says who holds the lock."""
    _, _, after = text.partition("(PID ")
    pid = after.partition(")")[0]
    return f" (process {pid})" if pid.isdigit() else ""


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
