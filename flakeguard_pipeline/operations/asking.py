"""Ask the warehouse: one statement that only reads, from the warehouse or, while a run writes it, from its copy.

Belongs here: what may be asked, whom, and errors in a line. Does not belong here: how an answer is shown.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from flakeguard_pipeline.domain.errors import OperationError, UsageError, WarehouseError
from flakeguard_pipeline.operations.answers import Answer, Column, position_of_caret, where
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.duckdb_connection import LOCKED
from flakeguard_pipeline.warehouse.read_copy import copied_at, read_copy_of

LOCK_WAIT_SECONDS = 2.0
"""How long to wait for the warehouse before its copy is read: most steps of a run hold it for less."""

LOCK_POLL_SECONDS = 0.1

READING = frozenset({"SELECT", "EXPLAIN"})
"""Kinds of statements that only read. To DuckDB `describe`, `show`, `summarize`, `from` and `values` are selects."""

SAFE: dict[str, str | bool | int | float | list[str]] = {
    # reads no other files, fetches no extensions
    "enable_external_access": "false",
    # and no variables of this program
    "python_enable_replacements": "false",
}


@contextmanager
def ask(
    warehouse: Warehouse, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int | None = None
) -> Iterator[Answer]:
    """Ask one statement that only reads.

    Args:
        warehouse: the warehouse; its copy is read while another process holds it.
        sql: the statement; `$name` stands for a parameter.
        parameters: values by name.
        limit: rows after which the answer ends; None: all.

    Raises:
        UsageError: the statement is none, is several, writes, or cannot be understood; there is no warehouse.
        WarehouseError: neither the warehouse nor a copy can be read.
    """
    if warehouse.dialect == "postgres":
        from flakeguard_pipeline.operations.asking_postgres import ask_postgres  # noqa: PLC0415

        with ask_postgres(warehouse, sql, parameters or {}, limit) as answer:
            yield answer
        return
    _require_one_reading_statement(sql)
    with _opened(warehouse) as (raw, moment):
        with _explained(sql):
            # The name of the error's place in the text is in this form only.
            raw.execute("set errors_as_json = true")
            raw.execute("set timezone = 'UTC'")
            raw.execute(sql, dict(parameters or {}) or None)
        columns = tuple(Column(str(each[0]), str(each[1])) for each in raw.description or ())

        def some(number: int) -> list[tuple[Any, ...]]:
            with _explained(sql):
                return raw.fetchmany(number)

        def whole() -> pl.DataFrame:
            with _explained(sql):
                frame: pl.DataFrame = raw.pl()
            return frame

        yield Answer(columns, moment, some, whole, limit)


def _require_one_reading_statement(sql: str) -> None:
    """Refuse what is no statement, is several, or writes."""
    with _explained(sql):
        statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        found = "is empty" if not statements else f"has {len(statements)} statements"
        raise UsageError(f"the SQL {found}; write one statement")
    kind = statements[0].type.name
    if kind not in READING:
        raise UsageError(f"`flakeguard sql` only reads, and this is a statement of the kind {kind}; write a select")


@contextmanager
def _opened(warehouse: Warehouse) -> Iterator[tuple[duckdb.DuckDBPyConnection, datetime | None]]:
    """Open the warehouse, or its copy where another process holds the warehouse; closed at the end."""
    copy = read_copy_of(warehouse)
    if not warehouse.exists and not copy.exists:
        raise UsageError(
            f"there is no warehouse at {warehouse.path}; `flakeguard run` makes it, or name it: --warehouse"
        )
    moment = None
    raw = _connected(warehouse) if warehouse.exists else None
    if raw is None:
        if not copy.exists:
            raise WarehouseError(
                f"the warehouse {warehouse.path} is being written by another process and has no read-only copy; wait "
                "until it has finished (`read_copy: true` keeps a copy that can be read meanwhile)"
            )
        moment = copied_at(copy)
        raw = _connected(copy)
        if raw is None:
            raise WarehouseError(f"the read-only copy {copy.path} is locked by another process; close it there")
    try:
        yield raw, moment
    finally:
        raw.close()


def _connected(warehouse: Warehouse) -> duckdb.DuckDBPyConnection | None:
    """Return a connection that can only read, or None while another process writes."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(warehouse.path), read_only=True, config=SAFE)
        except duckdb.Error as error:
            text = str(error)
            if LOCKED not in text:
                raise WarehouseError(
                    f"cannot open the warehouse {warehouse.path}: {text.splitlines()[0]}; check that the path is a "
                    "DuckDB file which you may read, or choose another with --warehouse"
                ) from error
            if time.monotonic() > deadline:
                return None
        time.sleep(LOCK_POLL_SECONDS)


@contextmanager
def _explained(sql: str) -> Iterator[None]:
    """Turn DuckDB's errors into a line with the place in the text.

    Raises:
        UsageError: the statement is wrong.
        OperationError: the machine cannot do it.
    """
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.InterruptException, duckdb.InternalException) as e:
        raise OperationError(f"the statement could not be run: {_told(e, sql)}") from e
    except duckdb.Error as error:
        raise UsageError(f"the statement is wrong: {_told(error, sql)}") from error


def _told(error: duckdb.Error, sql: str) -> str:
    """Return what DuckDB says in one line, with line and column where it says a place."""
    text = str(error)
    kind, _, rest = text.partition(": ")
    try:
        said = json.loads(rest)
        message, position = str(said["exception_message"]), said.get("position")
    except (ValueError, KeyError, TypeError):
        # an error of the parser comes before the setting that gives places
        message, _, place = text.partition("\n\nLINE ")
        position = position_of_caret(place, sql)
    else:
        message = f"{kind}: {message}"
    return " ".join(message.split()) + where(sql, None if position is None else int(position))
