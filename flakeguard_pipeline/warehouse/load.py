"""Replacing run attempts in `core`: whole attempts, one transaction a batch, so that a kill leaves no half.

Belongs here: moving frames into tables. Does not belong here: what the rows mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import polars as pl
import sqlalchemy as sa

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.queries import query

TOLD_BY = (
    tables.run_attempt,
    tables.job,
    tables.raw_artifact,
    tables.report,
    tables.report_issue,
    tables.rejected_artifact,
)
"""Small tables whose rows belong to one run attempt each. No attempt has executions without a row in one of them."""

REPLACED = (*TOLD_BY, tables.test_execution)
"""Tables whose rows belong to one run attempt each."""

_POLARS: dict[type[Any], pl.DataType | type[pl.DataType]] = {
    sa.Text: pl.String,
    sa.BigInteger: pl.Int64,
    sa.Integer: pl.Int32,
    sa.Boolean: pl.Boolean,
    sa.Double: pl.Float64,
    sa.DateTime: pl.Datetime("us", "UTC"),
}


def name_of(table: sa.Table) -> str:
    """Return `schema.table`."""
    return f"{table.schema}.{table.name}"


def schema_of(table: sa.Table) -> dict[str, Any]:
    """Return the Polars schema of a table's rows."""
    return {column.name: _POLARS[type(column.type)] for column in table.columns}


def frame_of(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame in the table's columns and types."""
    return pl.DataFrame(list(rows), schema=schema_of(table), orient="row")


@contextmanager
def replacing_attempts(connection: Connection, replaced: pl.DataFrame, *, default_branch: str | None) -> Iterator[None]:
    """Replace run attempts by the rows that the block inserts, in one transaction with it.

    Args:
        connection: the open warehouse.
        replaced: columns repository_id, run_id, run_attempt: whatever is there of these goes, whatever its org.
        default_branch: the configured default branch, for repositories that declare none.
    """
    with connection.transaction(), connection.frame("_replaced", replaced):
        # before anything is deleted
        loaded = _loaded_before(connection)
        for table in TOLD_BY:
            _delete(connection, table, "_replaced")
        if loaded.height:
            with connection.frame("_loaded", loaded):
                _delete(connection, tables.test_execution, "_loaded")
        with _written_as_it_comes(connection):
            yield
        connection.execute(query("refresh_repository_delete"))
        connection.execute(query("refresh_repository_insert"), {"default_branch": default_branch or ""})


def _loaded_before(connection: Connection) -> pl.DataFrame:
    """Return those of the batch's run attempts of which anything is loaded: only they can have executions.

    Most batches bring new attempts alone, and there is no index in the embedded warehouse to find by that nothing of
    them is there: the ids of all executions would be read. All rows of an attempt were loaded in one transaction, so
    the small tables know of each. One of them would do; all are asked, so that an attempt of which somebody deleted
    some rows is replaced whole, too.
    """
    known = " union all ".join(
        f"select {', '.join(tables.REPLACED_BY)} from {name_of(table)}"  # noqa: S608 - names from our metadata
        for table in TOLD_BY
    )
    columns = ", ".join(f"r.{name}" for name in tables.REPLACED_BY)
    same = " and ".join(f"known.{name} = r.{name}" for name in tables.REPLACED_BY)
    return connection.read(
        f"select distinct {columns} from _replaced as r inner join ({known}) as known on {same}"  # noqa: S608
    )


def _delete(connection: Connection, table: sa.Table, attempts: str) -> None:
    """Delete the rows of run attempts that a relation names, whatever their org."""
    same = " and ".join(f"t.{name} = r.{name}" for name in tables.REPLACED_BY)
    connection.execute(f"delete from {name_of(table)} as t using {attempts} as r where {same}")  # noqa: S608


@contextmanager
def _written_as_it_comes(connection: Connection) -> Iterator[None]:
    """Let the embedded warehouse compress and write each whole row group at once, in the thread that brings it.

    By itself it would keep five of them until the commit, and share out each to all threads: with one thread the same
    rows take two thirds of the processor's time, and the other cores are busy reading reports meanwhile.
    """
    if connection.dialect != "duckdb":
        yield
        return
    connection.execute("set threads = 1")
    connection.execute("set write_buffer_row_group_count = 1")
    yield
    connection.execute("reset threads")


def replace_unattributed(connection: Connection, rows: pl.DataFrame) -> None:
    """Replace the rejected artifacts that belong to no run."""
    with connection.transaction():
        connection.execute(f"delete from {name_of(tables.rejected_artifact)} where run_id = ''")  # noqa: S608
        connection.insert(name_of(tables.rejected_artifact), rows)


def refresh_statistics(connection: Connection) -> None:
    """Let Postgres look at what was loaded, before it is asked for more than single rows.

    It plans by what it knows of its tables, and looks at them by itself only a minute after a load: until then it takes
    them for nearly empty, and works minutes at what takes a second. DuckDB knows its tables at any time.
    """
    if connection.dialect == "postgres":
        for table in REPLACED:
            connection.execute(f"analyze {name_of(table)}")


def load_digests(connection: Connection) -> dict[tuple[str, str, int], str]:
    """Return what is loaded: load digests by (repository_id, run_id, run_attempt)."""
    frame = connection.read("select repository_id, run_id, run_attempt, load_digest from core.run_attempt")
    return {(row[0], row[1], row[2]): row[3] for row in frame.iter_rows()}


def known_orgs(connection: Connection) -> dict[str, str]:
    """Return the org of each loaded repository by its id."""
    frame = connection.read("select repository_id, org from core.repository order by repository_id, org")
    return dict(frame.iter_rows())


def unattributed(connection: Connection) -> pl.DataFrame:
    """Return the rejected artifacts that belong to no run, in the order of their key."""
    columns = ", ".join(column.name for column in tables.rejected_artifact.columns)
    return connection.read(
        f"select {columns} from core.rejected_artifact where run_id = '' "  # noqa: S608 - names from our metadata
        "order by org, artifact, path, reason_code, digest"
    )


def core_version(connection: Connection) -> str:
    """Return a digest of the state of `core`: equal digests mean equal rows, whatever order they were loaded in.

    Accepted aliases are part of it: they say which executions are of one test.
    """
    frame = connection.read("select load_digest from core.run_attempt order by load_digest")
    aliases = connection.read(query("accepted_aliases"))
    return stable_id(["core", *frame["load_digest"].to_list(), *chain.from_iterable(aliases.iter_rows())])
