"""Dagster's history in Postgres: what must hold before Dagster opens it, and a clear line for each thing that does not.

Imported only where `dagster_storage` names such a storage.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
from alembic.script import ScriptDirectory
from dagster._core.storage import alembic as dagster_migrations
from psycopg2 import sql

from assets.dagster_yaml import CONNECT_SECONDS, PASSWORD_VARIABLE
from flakeguard_pipeline.dagster_storage import STORAGE_VARIABLE, DagsterStorage
from flakeguard_pipeline.domain.errors import OperationError
from flakeguard_pipeline.secrets import read_secret
from flakeguard_pipeline.warehouse.postgres_errors import said

PREPARING = 0x464C414B45
"""The number of the lock under which schema and tables are made; any number that others hardly use."""

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def open_on_postgres(home: Path, storage: DagsterStorage) -> dg.DagsterInstance:
    """Open the instance in `home`, whose dagster.yaml names the storage; make its schema and tables if need be.

    The password goes into this process's environment, where dagster.yaml looks for it.

    Raises:
        ConfigurationError: the password is not where it is said to be.
        OperationError: the storage cannot be reached, may not be used, or is of another version of Dagster.
    """
    if storage.password is not None:
        os.environ[PASSWORD_VARIABLE] = storage.password
    elif storage.reference is not None:
        os.environ[PASSWORD_VARIABLE] = read_secret(storage.reference).reveal()
    with _session(storage) as cursor:
        # two processes that start at once do not make the same tables
        cursor.execute("select pg_advisory_lock(%s)", [PREPARING])
        try:
            _prepare_schema(cursor, storage)
            _require_rights(cursor, storage)
            _require_version(cursor, storage, home)
            return dg.DagsterInstance.from_config(str(home))
        except psycopg2.Error as error:
            raise _unusable(storage, error) from error


@contextlib.contextmanager
def _session(storage: DagsterStorage) -> Iterator[Any]:
    options = {"connect_timeout": CONNECT_SECONDS, **storage.options}
    host = {"host": storage.host} if storage.host else {}
    password = os.environ.get(PASSWORD_VARIABLE) if storage.password or storage.reference else None
    try:
        connection = psycopg2.connect(
            user=storage.user, password=password, port=storage.port, dbname=storage.database, **host, **options
        )
    except psycopg2.Error as error:
        raise _unusable(storage, error) from error
    with contextlib.closing(connection):
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def _unusable(storage: DagsterStorage, error: psycopg2.Error) -> OperationError:
    """Say in one line what the server or libpq said; neither quotes a password."""
    told = error.diag.message_primary or said(str(error))
    if "password" in told:
        hint = f"check the password that `dagster_storage` or {STORAGE_VARIABLE} names"
    else:
        hint = f"check that the server runs and that `dagster_storage` or {STORAGE_VARIABLE} names it rightly"
    return OperationError(f"cannot use Dagster's storage {storage.shown}: {told}; {hint}")


def _prepare_schema(cursor: Any, storage: DagsterStorage) -> None:
    cursor.execute("select 1 from pg_namespace where nspname = %s", [storage.schema])
    if cursor.fetchone():
        return
    try:
        cursor.execute(sql.SQL("create schema {}").format(sql.Identifier(storage.schema)))
    except psycopg2.errors.InsufficientPrivilege as error:
        raise OperationError(
            f"the role {storage.user} may not make the schema {storage.schema} in {storage.shown}; have an "
            f'administrator run there: create schema {storage.schema} authorization "{storage.user}"'
        ) from error


def _require_rights(cursor: Any, storage: DagsterStorage) -> None:
    cursor.execute(
        "select has_schema_privilege(%(schema)s, 'USAGE') and has_schema_privilege(%(schema)s, 'CREATE')",
        {"schema": storage.schema},
    )
    (may_create,) = cursor.fetchone()
    cursor.execute(
        """
        select c.relname from pg_class as c
        where
            c.relnamespace = %s::regnamespace and c.relkind = 'r'
            and not (select bool_and(has_table_privilege(c.oid, each)) from unnest(%s) as each)
        order by c.relname collate "C"
        """,
        [storage.schema, list(RIGHTS)],
    )
    closed = cursor.fetchone()
    if may_create and closed is None:
        return
    what = f"the table {storage.schema}.{closed[0]}" if may_create and closed else f"the schema {storage.schema}"
    raise OperationError(
        f"the role {storage.user} may not use {what} in {storage.shown}, where Dagster keeps its history; have an "
        "administrator make it the owner of the schema and of all that is in it"
    )


def _require_version(cursor: Any, storage: DagsterStorage, home: Path) -> None:
    cursor.execute("select to_regclass(%s)", [f"{storage.schema}.alembic_version"])
    (is_there,) = cursor.fetchone()
    if is_there is None:
        return
    cursor.execute(sql.SQL("select version_num from {}.alembic_version").format(sql.Identifier(storage.schema)))
    found = {version for (version,) in cursor.fetchall()}
    script = ScriptDirectory(str(Path(next(iter(dagster_migrations.__path__)))))
    if found == set(script.get_heads()):
        return
    known = {each.revision for each in script.walk_revisions()}
    where = f"Dagster's storage {storage.shown}, schema {storage.schema},"
    if found <= known:
        raise OperationError(
            f"{where} was made by an older Dagster; end what else uses it, then run "
            f"`DAGSTER_HOME={home} dagster instance migrate`, once for all machines"
        )
    raise OperationError(
        f"{where} was made by a newer Dagster than {dg.__version__}, which is installed here; bring this installation "
        "up to date"
    )
