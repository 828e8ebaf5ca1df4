"""Running Alembic on a warehouse: one migrator at a time, each migration whole or not at all.

Belongs here: the session that Alembic works in, its lock, and what becomes of errors. Imported late: it imports
Alembic.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from flakeguard_pipeline.domain.errors import UsageError, WarehouseError, WarehouseLockedError
from flakeguard_pipeline.postgres_address import completed, read_address
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.driver_errors import told
from flakeguard_pipeline.warehouse.duckdb_connection import DuckDBConnection
from flakeguard_pipeline.warehouse.load import name_of
from flakeguard_pipeline.warehouse.migrate import HAS_VERSION_TABLE, VERSION_TABLE, require_known
from flakeguard_pipeline.warehouse.migration_rights import require_rights
from flakeguard_pipeline.warehouse.postgres_errors import cannot_connect
from flakeguard_pipeline.warehouse.revisions import BASE, History
from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata

LOCK_KEY = 0x464C4B47
"""Key of the advisory lock that a migrator holds on a Postgres database: any number, the same in every version."""

LOCK_WAIT_SECONDS = 60.0
"""How long to wait for another migrator, and for a table that another session uses: longer than most migrations take,
short enough that a person at a terminal learns the cause."""

LOCK_POLL_SECONDS = 0.2

APPLICATION = "flakeguard migrate"
"""What the server's lists of sessions show, unless the warehouse's URL says otherwise."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What a downgrade drops: a table, or a column of one that stays, and the rows that it holds."""

    what: str
    rows: int

    def __str__(self) -> str:
        return f"{self.what} ({self.rows} {'row' if self.rows == 1 else 'rows'})"


def upgrade(warehouse: Warehouse, known: History, target: str) -> bool:
    """Bring the warehouse forward to `target`; return whether another migrator left anything to do."""
    with _session(warehouse) as connection:
        now = _revision(connection)
        require_known(warehouse, now, known)
        if known.place(now) >= known.place(target):
            return False
        _require_ours(connection, warehouse, now)
        if warehouse.dialect == "postgres":
            require_rights(connection, warehouse)
        _make_schemas(connection)
        try:
            command.upgrade(_config(known, connection), target)
        except Exception as error:
            connection.rollback()
            raise _failed(error, warehouse, known, _revision(connection), forward=True) from error
    return True


def downgrade(warehouse: Warehouse, known: History, target: str | None, *, lose_rows: bool) -> Sequence[Lost]:
    """Take the warehouse back to `target` (None: before the first revision), in one transaction.

    What would be lost is found by doing it: the columns before and after are compared, and without `lose_rows` the
    transaction is undone. So it is right for every migration to come.
    """
    with _session(warehouse) as connection:
        if warehouse.dialect == "postgres":
            require_rights(connection, warehouse)
        now = _revision(connection)
        before, rows = _columns(connection), _row_counts(connection)
        try:
            command.downgrade(_config(known, connection), target or BASE)
        except Exception as error:
            connection.rollback()
            raise _failed(error, warehouse, known, now, forward=False) from error
        lost = _lost(before, _columns(connection), rows)
        if lost and not lose_rows:
            connection.rollback()
            raise UsageError(
                f"going back to {target or BASE} drops what holds rows: {', '.join(map(str, lost))}; nothing was "
                "changed; back the warehouse up, then repeat the command with --yes"
            )
        connection.commit()
    return lost


def write_comments(warehouse: Warehouse) -> None:
    """Write what every table and column means into the database, where any tool shows it."""
    with _session(warehouse) as connection:
        try:
            comment_on_tables(connection)
        except sa.exc.DBAPIError as error:
            raise told(error, warehouse, f"cannot write comments into the warehouse {warehouse.shown}") from error
        connection.commit()


def comment_on_tables(connection: sa.Connection) -> None:
    """Write the comments of the metadata, in the caller's transaction. env.py calls it at the newest revision.

    What is not there is passed over: `check` tells of it, and an upgrade does not fail for a comment.
    """
    there = _columns(connection)
    for table in metadata.tables.values():
        columns = [each for each in table.columns if (name_of(table), each.name) in there]
        if columns:
            connection.execute(sa.schema.SetTableComment(table))
        for column in columns:
            connection.execute(sa.schema.SetColumnComment(column))


def _config(known: History, connection: sa.Connection) -> Config:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(known.folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["head"] = known.head
    return config


@contextmanager
def _session(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """Open the one session that may migrate the warehouse now.

    DuckDB's file is locked by whoever has it open. On Postgres an advisory lock of the session is held, which the
    server lets go of when the session ends, however it ends.
    """
    if warehouse.dialect == "duckdb":
        from duckdb_sqlalchemy import ConnectionWrapper  # noqa: PLC0415

        with warehouse.connect() as opened:
            raw = cast("DuckDBConnection", opened).raw
            # a second connection would have to wait for the file's lock, which this process holds
            engine = sa.create_engine(
                "duckdb://", creator=lambda: ConnectionWrapper(raw.cursor()), poolclass=sa.pool.NullPool
            )
            with engine.connect() as connection:
                yield connection
        return
    with _postgres_engine(warehouse).connect() as connection:
        _lock(connection, warehouse)
        yield connection


def _postgres_engine(warehouse: Warehouse) -> sa.Engine:
    import psycopg2  # noqa: PLC0415

    def connect() -> Any:
        # libpq reads the URL itself, as it does for ADBC: several hosts, TLS and every other parameter mean the same
        try:
            return psycopg2.connect(completed(warehouse.url), fallback_application_name=APPLICATION)
        except psycopg2.Error as error:
            raise cannot_connect(str(error), read_address(warehouse.url)) from None

    return sa.create_engine("postgresql+psycopg2://", creator=connect, poolclass=sa.pool.NullPool)


def _lock(connection: sa.Connection, warehouse: Warehouse) -> None:
    connection.execute(sa.text("set timezone = 'UTC'"))
    # a migration takes as long as it takes, but waits no longer than this for somebody else
    connection.execute(sa.text("set statement_timeout = 0"))
    connection.execute(sa.text(f"set lock_timeout = {int(LOCK_WAIT_SECONDS * 1000)}"))
    connection.commit()
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while not connection.scalar(sa.text("select pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        if time.monotonic() > deadline:
            raise WarehouseLockedError(
                f"the warehouse {warehouse.shown} is being migrated by another session{_holder(connection)}; wait "
                "until it has finished, or end it"
            )
        connection.rollback()
        time.sleep(LOCK_POLL_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads waiters, hides nothing
    connection.commit()


def _holder(connection: sa.Connection) -> str:
    """Return ' (process 123 of the server, role x, since ...)', as far as our role may know it."""
    row = connection.execute(
        sa.text(
            "select l.pid, a.usename, a.application_name, a.client_addr from pg_locks as l "
            "left join pg_stat_activity as a on a.pid = l.pid "
            "where l.locktype = 'advisory' and l.classid = 0 and l.objid = :key and l.objsubid = 1 and l.granted "
            "and l.database = (select oid from pg_database where datname = current_database()) order by l.pid limit 1"
        ),
        {"key": LOCK_KEY},
    ).one_or_none()
    if row is None:
        return ""
    parts = [f"process {row.pid} of the server"]
    parts += [f"role {row.usename}"] if row.usename else []
    parts += [f"application {row.application_name!r}"] if row.application_name else []
    parts += [f"from {row.client_addr}"] if row.client_addr else []
    return f" ({', '.join(parts)})"


def _revision(connection: sa.Connection) -> str | None:
    """Return the revision, and leave no transaction open."""
    known = connection.scalar(sa.text(HAS_VERSION_TABLE))
    asked = sa.text(f"select max(version_num) from core.{VERSION_TABLE}")  # noqa: S608 - a constant
    revision = connection.scalar(asked) if known else None
    connection.rollback()
    return None if revision is None else str(revision)


def _require_ours(connection: sa.Connection, warehouse: Warehouse, now: str | None) -> None:
    """Refuse a database without revision whose schemas hold tables: they are another program's."""
    if now is not None:
        return
    found = sorted(table for table, _ in _columns(connection))
    connection.rollback()
    if found:
        shown = ", ".join(dict.fromkeys(found))
        raise WarehouseError(
            f"{warehouse.shown} is no warehouse of FlakeGuard: it has tables that FlakeGuard did not make ({shown}); "
            "name another database with --warehouse"
        )


def _make_schemas(connection: sa.Connection) -> None:
    """Make the schemas that are missing; Alembic's table lives in one of them, so they come before any revision.

    `create schema if not exists` asks for the right to create even where the schema is there.
    """
    there = set(connection.scalars(sa.text("select schema_name from information_schema.schemata")))
    for name in SCHEMAS:
        if name not in there:
            connection.execute(sa.schema.CreateSchema(name))
    connection.commit()


def _columns(connection: sa.Connection) -> set[tuple[str, str]]:
    """Return (schema.table, column) of all tables and views in our schemas, but for Alembic's own."""
    rows = connection.execute(
        sa.text(
            "select table_schema || '.' || table_name, column_name from information_schema.columns "
            "where table_schema in :schemas and table_name <> :version"
        ).bindparams(sa.bindparam("schemas", expanding=True)),
        {"schemas": SCHEMAS, "version": VERSION_TABLE},
    )
    return {(str(table), str(column)) for table, column in rows}


def _row_counts(connection: sa.Connection) -> Counter[str]:
    counts: Counter[str] = Counter()
    for table in sorted({table for table, _ in _columns(connection)}):
        counts[table] = connection.scalar(sa.text(f"select count(*) from {table}")) or 0  # noqa: S608 - the catalogue's
    return counts


def _lost(before: set[tuple[str, str]], after: set[tuple[str, str]], rows: Counter[str]) -> list[Lost]:
    stay = {table for table, _ in after}
    gone = {table if table not in stay else f"{table}.{column}": table for table, column in before - after}
    return [Lost(what, rows[gone[what]]) for what in sorted(gone) if rows[gone[what]]]


def _failed(error: Exception, warehouse: Warehouse, known: History, now: str | None, *, forward: bool) -> Exception:
    """Return what to say of a migration that failed, which undid itself."""
    name = known.after(now)[0].id if forward else str(now)
    what = f"migration {name} of the warehouse {warehouse.shown} failed" + ("" if forward else " to be taken back")
    line = told(error, warehouse, what)
    return WarehouseError(
        f"{str(line).rstrip('.')}; the warehouse stays at revision {now or BASE}; "
        "`flakeguard migrate check` says whether tables were altered by hand"
    )
