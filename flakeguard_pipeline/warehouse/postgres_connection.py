"""Connections to a shared warehouse, a database of a PostgreSQL server: Arrow in and out, by COPY where that can be.

Belongs here: what is particular to Postgres about opening, reading into frames and writing frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from flakeguard_pipeline.warehouse.dialects import Dialect, Parameters, positional


@dataclass(frozen=True, slots=True)
class PostgresConnection:
    """A session of the server; see `connection.Connection`. `raw` is an ADBC connection in autocommit mode."""

    raw: Any

    dialect: ClassVar[Dialect] = "postgres"

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement for its effect."""
        text, values = positional(sql, parameters or {})
        with self.raw.cursor() as cursor:
            cursor.execute(text, values or None)

    def read(self, sql: str, parameters: Parameters | None = None) -> pl.DataFrame:
        """Run one query and return its rows; times come back in UTC."""
        text, values = positional(sql, parameters or {})
        with self.raw.cursor() as cursor:
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
        with self.raw.cursor() as cursor:
            cursor.adbc_ingest(name, frame.to_arrow(), mode="append", db_schema_name=schema or None)

    @contextmanager
    def frame(self, name: str, frame: pl.DataFrame) -> Iterator[None]:
        """Make `frame` readable as relation `name` while the block runs."""
        with self.raw.cursor() as cursor:
            cursor.adbc_ingest(name, frame.to_arrow(), mode="create", temporary=True)
        yield
        self.execute(f"drop table pg_temp.{name}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or undo all of it when it raises."""
        self.execute("begin")
        try:
            yield
        except BaseException:
            self.execute("rollback")
            raise
        self.execute("commit")


@contextmanager
def connected(url: str, *, read_only: bool) -> Iterator[PostgresConnection]:
    """Open a session for the length of the block."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - not paid where the warehouse is a file

    with adbc.connect(url, autocommit=True) as raw:
        connection = PostgresConnection(raw)
        connection.execute("set timezone = 'UTC'")
        if read_only:
            connection.execute("set default_transaction_read_only = on")
        yield connection
