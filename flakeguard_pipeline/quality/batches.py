"""Rows of `core.test_execution` as Great Expectations looks at them: in the warehouse, through SQLAlchemy.

Belongs here: sessions and data sources. Does not belong here: what is expected of the rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import duckdb
import sqlalchemy as sa

from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.duckdb_connection import DuckDBConnection

CHOSEN = "changed_execution"
"""What a copy of chosen rows is called, in a session of its own."""

_BUFFERED = "flakeguard_pipeline.quality.buffered"
_DUCKDB = "flakeguard_duckdb"
_POSTGRES = "flakeguard_postgres"


@contextmanager
def batch_of(warehouse: Warehouse, connection: Connection, chosen: str) -> Iterator[Any]:
    """Yield what is checked as Great Expectations sees it, with everything of its own in memory only.

    Args:
        warehouse: the warehouse.
        connection: the same, open.
        chosen: a query for the executions that are looked at; '' for the whole table.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from sqlalchemy.dialects import postgresql

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
            # Otherwise it makes a folder for a website of results.
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        ),
    )
    # Connections are made by a function: nothing stands in the URL that Great Expectations would take for a variable of
    # its configuration, or show, and nothing is open once they are closed. It takes some seventy of them, so where a
    # copy is looked at, which belongs to one session, all are that one.
    scheme, connect = _postgres(warehouse, chosen) if warehouse.dialect == "postgres" else _duckdb(connection, chosen)
    kept: list[Any] = []

    def only_one() -> Any:
        if not kept:
            kept.append(connect())
        return kept[0]

    source = context.data_sources.add_sql(
        name="warehouse",
        connection_string=f"{scheme}://",
        kwargs={"creator": only_one, "poolclass": sa.pool.StaticPool}
        if chosen
        else {"creator": connect, "poolclass": sa.pool.NullPool},
    )
    # Great Expectations has no regular expressions for DuckDB by name. Postgres' operator `~` does in DuckDB what
    # it does there, for patterns anchored at both ends.
    source.get_execution_engine().dialect_module = postgresql
    asset = source.add_table_asset(
        tables.test_execution.fullname, table_name=CHOSEN if chosen else tables.test_execution.name
    )
    try:
        yield asset.add_batch_definition_whole_table("all").get_batch()
    finally:
        source.get_execution_engine().engine.dispose()
        for session in kept:
            session.close()


def _duckdb(connection: Connection, chosen: str) -> tuple[str, Callable[[], Any]]:
    """Return cursors of a connection that is open already: there is no second lock to wait for."""
    from duckdb_sqlalchemy import ConnectionWrapper

    sa.dialects.registry.register(_DUCKDB, _BUFFERED, "BufferedDuckDB")

    def connect() -> Any:
        cursor: duckdb.DuckDBPyConnection = cast("DuckDBConnection", connection).raw.cursor()
        cursor.execute("set timezone = 'UTC'")
        # Naming the schema in the asset is deprecated; a schema in a URL is not known to the generic SQL source.
        cursor.execute(f"set schema = '{tables.test_execution.schema}'")
        if chosen:
            cursor.execute(_choosing(chosen))
        return ConnectionWrapper(cursor)

    return _DUCKDB, connect


def _postgres(warehouse: Warehouse, chosen: str) -> tuple[str, Callable[[], Any]]:
    """Return sessions of the driver that Great Expectations knows."""
    from flakeguard_pipeline.warehouse.postgres_session import psycopg2_session

    sa.dialects.registry.register(_POSTGRES, _BUFFERED, "BufferedPostgres")

    def connect() -> Any:
        schema = str(tables.test_execution.schema)
        session = psycopg2_session(warehouse.url, search_path=schema, read_only=not chosen)
        if chosen:
            with session.cursor() as cursor:
                cursor.execute(_choosing(chosen))
            session.commit()
            session.set_session(readonly=True)
        return session

    return _POSTGRES, connect


def _choosing(chosen: str) -> str:
    """Return the statement that keeps what is chosen for one session: every expectation would choose it anew."""
    return f"create temporary table {CHOSEN} as {chosen}"
