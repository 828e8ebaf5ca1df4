"""Connections to a shared warehouse, a database of a PostgreSQL server: Arrow in and out, by COPY where that can be.

Belongs here: what is particular to Postgres about statements, frames, transactions and locks. Does not belong here:
sessions (`postgres_session`) and what errors mean (`postgres_errors`).

Locks keep writers apart, all advisory and of the database: every transaction holds the one of transactions from its
begin to its end, so one transaction writes at a time and sees all that was written before; `flakeguard run` and
`flakeguard ingest` hold the one of runs for their whole length (`Warehouse.run_alone`), and whoever starts dbt the one
of builds (`Warehouse.build_alone`). A dbt that outlives its run ends at its next model: each holds the lock of models
and looks whether its build's session still has the lock of builds (dbt/macros/own_build.sql).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from flakeguard_pipeline.domain.errors import WarehouseLockedError
from flakeguard_pipeline.postgres_address import Address, read_address
from flakeguard_pipeline.warehouse import postgres_session as session
from flakeguard_pipeline.warehouse.dialects import Dialect, Parameters, positional
from flakeguard_pipeline.warehouse.postgres_errors import failed

LOCK_SPACE = 0x464C4B47
"""`FLKG`: keeps our advisory locks apart from those of others in the database."""

TRANSACTION_LOCK = 1
RUN_LOCK = 2
BUILD_LOCK = 3
MODEL_LOCK = 4
"""Numbers within the space. dbt's macro `own_build` knows the last two."""

RUN_LOCK_WAIT_SECONDS = 10.0
"""How long to wait for another run or build: the server needs a moment to notice that a killed one is gone."""

RUN_LOCK_POLL_SECONDS = 0.2

ROWS_SENT_AT_ONCE = 2_000
"""A megabyte of executions. The driver encodes a batch of rows and then sends it; what the sockets hold of one keeps
the server busy while the next is encoded. Larger batches make the two wait for each other, and take a third longer."""

COLUMN_TYPES: dict[pl.DataType | type[pl.DataType], str] = {
    pl.String: 'text collate "C"',
    pl.Int64: "bigint",
    pl.Int32: "integer",
    pl.Boolean: "boolean",
    pl.Float64: "double precision",
    pl.Datetime("us", "UTC"): "timestamp with time zone",
}
"""Column types of frames that are made readable; text is compared bytewise, as in every table of ours."""

_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class PostgresConnection:
    """A session of the server; see `connection.Connection`. `raw` is an ADBC connection in autocommit mode."""

    raw: Any
    address: Address

    dialect: ClassVar[Dialect] = "postgres"

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement for its effect."""
        text, values = positional(sql, parameters or {})
        with self._explained(), self.raw.cursor() as cursor:
            cursor.execute(text, values or None)
            if cursor.description:
                cursor.fetchall()  # a statement that answers has not ended before

    def read(self, sql: str, parameters: Parameters | None = None) -> pl.DataFrame:
        """Run one query and return its rows; times come back in UTC."""
        text, values = positional(sql, parameters or {})
        with self._explained(), self.raw.cursor() as cursor:
            cursor.execute(text, values or None)
            frame = pl.DataFrame(pl.from_arrow(cursor.fetch_arrow_table()))
        return frame.with_columns(pl.col(pl.Datetime(time_unit="us", time_zone="*")).dt.convert_time_zone("UTC"))

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Return the only value of a query's only row, or None where there is no row."""
        frame = self.read(sql, parameters)
        return frame.item(0, 0) if frame.height else None

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Append `frame` to `table`, by the names of its columns, as one binary COPY."""
        if frame.is_empty():
            return
        schema, _, name = table.rpartition(".")
        self._copy(schema, name, _typed(table, frame))

    @contextmanager
    def frame(self, name: str, frame: pl.DataFrame) -> Iterator[None]:
        """Make `frame` readable as relation `name` while the block runs: a table of this session alone."""
        frame = frame.with_columns(
            pl.col(pl.Datetime).dt.cast_time_unit("us"),
            pl.col(pl.UInt32, pl.UInt16, pl.UInt8, pl.Int16, pl.Int8).cast(pl.Int64),
        )
        columns = ", ".join(f'"{column}" {COLUMN_TYPES[kind]}' for column, kind in frame.schema.items())
        self.execute(f"drop table if exists pg_temp.{name}")
        self.execute(f"create temporary table {name} ({columns})")
        try:
            if frame.height:
                self._copy("pg_temp", name, frame)
            self.execute(f"analyze pg_temp.{name}")
            yield
        finally:
            with suppress(Exception):  # gone with a transaction or a session that failed
                self.execute(f"drop table if exists pg_temp.{name}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or undo all of it when it raises. One transaction of ours writes at a time."""
        self.execute("begin")
        try:
            self.execute(f"select pg_advisory_xact_lock({LOCK_SPACE}, {TRANSACTION_LOCK})")
            yield
            self.execute("commit")
        except BaseException:
            with suppress(Exception):  # the session is gone, and the transaction with it
                self.execute("rollback")
            raise

    def _copy(self, schema: str, name: str, frame: pl.DataFrame) -> None:
        import pyarrow as pa  # noqa: PLC0415 - not paid where the warehouse is a file

        rows = frame.to_arrow()
        batches = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=ROWS_SENT_AT_ONCE))
        with self._explained(), self.raw.cursor() as cursor:
            cursor.adbc_ingest(name, batches, mode="append", db_schema_name=schema or None)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the driver's errors into lines for people; they hold statements and values, so no cause is kept."""
        import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - not paid where the warehouse is a file

        try:
            yield
        except adbc.Error as error:
            code, text = error.sqlstate, str(error)
        else:
            return
        raise failed(code, text, self.address, is_lost=session.is_lost(self.raw))


def _typed(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame in the table's own types: a binary COPY converts nothing."""
    from flakeguard_pipeline.warehouse import load, tables  # noqa: PLC0415 - it imports connections itself

    known = tables.metadata.tables.get(table)
    if known is None:
        return frame
    types = load.schema_of(known)
    return frame.with_columns(pl.col(name).cast(types[name]) for name in frame.columns if name in types)


@contextmanager
def connected(url: str, *, read_only: bool) -> Iterator[PostgresConnection]:
    """Borrow a session for the length of the block.

    Raises:
        WarehouseInterruptedError: the server starts, ends, or has too many sessions.
        WarehouseError: there is no connecting.
    """
    address = read_address(url)
    with session.borrowed(url, read_only=read_only) as raw:
        yield PostgresConnection(raw, address)


@contextmanager
def run_alone(url: str) -> Iterator[None]:
    """Hold the lock of runs for the length of the block.

    Raises:
        WarehouseLockedError: another run holds it.
        WarehouseError: there is no connecting.
    """
    with _held(url, RUN_LOCK, "another run is at work on"):
        yield


@contextmanager
def build_alone(url: str) -> Iterator[str]:
    """Hold the lock of builds for the length of the block; yield the number of the session that holds it.

    Raises:
        WarehouseLockedError: another build holds it.
        WarehouseError: there is no connecting.
    """
    with _held(url, BUILD_LOCK, "dbt is building on") as connection:
        yield str(connection.value("select pg_backend_pid()"))


@contextmanager
def _held(url: str, lock: int, otherwise: str) -> Iterator[PostgresConnection]:
    """Hold a lock in a session of its own, which ends with the block or with this process."""
    address = read_address(url)
    deadline = time.monotonic() + RUN_LOCK_WAIT_SECONDS
    with session.own(url) as raw:
        connection = PostgresConnection(raw, address)
        while not connection.value(f"select pg_try_advisory_lock({LOCK_SPACE}, {lock})"):
            if time.monotonic() > deadline:
                raise WarehouseLockedError(
                    f"{otherwise} the warehouse {address.shown}{_holder(connection, lock)}; wait until it has "
                    "finished, or end it"
                )
            time.sleep(RUN_LOCK_POLL_SECONDS)
        yield connection


def _holder(connection: PostgresConnection, lock: int) -> str:
    """Return ' (from 10.0.0.7, since 2026-03-01 12:00 UTC)' where the server tells."""
    found = connection.read(
        "select coalesce(host(activity.client_addr), 'this machine') as place, activity.backend_start as since "  # noqa: S608 - our numbers
        "from pg_locks as held inner join pg_stat_activity as activity on activity.pid = held.pid "
        f"where held.locktype = 'advisory' and held.classid = {LOCK_SPACE} and held.objid = {lock} "
        "and held.granted and held.database = (select oid from pg_database where datname = current_database()) "
        "order by activity.backend_start limit 1"
    )
    if found.is_empty() or found.item(0, "since") is None:
        return ""
    return f" (from {found.item(0, 'place')}, since {found.item(0, 'since'):%Y-%m-%d %H:%M} UTC)"
