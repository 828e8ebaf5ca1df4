"""Warehouses at any revision, full of rows: what the tests of migrations share. It knows no table by name.

Rows follow from the engine's catalogue, so a table or column that a later migration makes is filled like the others.
"""

import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.catalogue import Catalogue, read_catalogue
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.migrate import VERSION_TABLE

ROWS = 3

Rows = list[dict[str, Any]]

FORGOTTEN = "flakiness.dbt_build"
"""The one table that a migration may empty: what dbt was last built from, where its views had to make way."""

START = datetime(2026, 3, 1, tzinfo=UTC)


def catalogue(warehouse: Warehouse) -> Catalogue:
    """Return what the engine has in our schemas, without Alembic's own table."""
    with warehouse.connect() as connection:
        found = read_catalogue(connection)
    version = f"core.{VERSION_TABLE}"
    columns = {name: each for name, each in found.columns.items() if name != version}
    return Catalogue(
        columns,
        {name: each for name, each in found.keys.items() if name != version},
        found.indexes,
        {name: each for name, each in found.comments.items() if name != version},
    )


def fill(warehouse: Warehouse) -> None:
    """Give every empty table some rows, with '' and nulls and signs beyond ASCII among them."""
    made = catalogue(warehouse)
    with warehouse.connect() as connection:
        for table in made.comments:
            if connection.value(f"select count(*) from {table}"):
                continue
            columns = made.columns[table]
            rows = [
                {each.name: _value(each.type, each.name, number, is_nullable=each.is_nullable) for each in columns}
                for number in range(ROWS)
            ]
            types = {each.name: pl.Int32 for each in columns if each.type == "integer"}
            connection.insert(table, pl.DataFrame(rows, schema_overrides=types))


def _value(kind: str, name: str, number: int, *, is_nullable: bool) -> Any:
    if is_nullable and number == 1:
        return None
    match kind:
        case "varchar" | "text":
            return f"{name} Ünïcode '{number}' \\ %"
        case "bigint" | "integer":
            return number + 1
        case "boolean":
            return number % 2 == 0
        case "double" | "double precision":
            return number / 8
        case "timestamp with time zone":
            return START + timedelta(days=number, microseconds=number)
    raise AssertionError(f"the type {kind} of {name} needs a value here")


def contents(warehouse: Warehouse) -> dict[str, Rows]:
    """Return the rows of every table, in an order that follows from their values."""
    made = catalogue(warehouse)
    with warehouse.connect() as connection:
        return {table: _rows(connection, table) for table in made.comments}


def _rows(connection: Connection, table: str) -> Rows:
    return sorted(connection.read(f"select * from {table}").to_dicts(), key=lambda row: repr(sorted(row.items())))


def common(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Return both, cut to the tables and columns that are in both."""
    shared = {
        table: set(before[table][0]) & set(after[table][0])
        for table in before.keys() & after.keys()
        if before[table] and after[table]
    }
    emptied = [table for table in before.keys() & after.keys() if bool(before[table]) != bool(after[table])]
    assert set(emptied) <= {FORGOTTEN}
    return _cut(before, shared), _cut(after, shared)


def _cut(rows: Mapping[str, Rows], shared: Mapping[str, Collection[str]]) -> dict[str, Rows]:
    cut = {
        table: [{name: value for name, value in row.items() if name in shared[table]} for row in rows[table]]
        for table in shared
    }
    return {table: sorted(each, key=lambda row: repr(sorted(row.items()))) for table, each in cut.items()}


def make_views(warehouse: Warehouse) -> None:
    """Make what dbt makes: a view over each table that names its columns, and one over that."""
    made = catalogue(warehouse)
    with warehouse.connect() as connection:
        for schema in ("staging", "marts"):
            connection.execute(f"create schema if not exists {schema}")
        for table in made.comments:
            name = table.replace(".", "_")
            columns = ", ".join(each.name for each in made.columns[table])
            for schema in ("marts", "staging"):
                connection.execute(f"drop view if exists {schema}.{name}")
            connection.execute(f"create view staging.{name} as select {columns} from {table}")
            connection.execute(f"create view marts.{name} as select {columns} from staging.{name}")


def views(warehouse: Warehouse) -> set[str]:
    """Return the views in dbt's schemas."""
    with warehouse.connect() as connection:
        found = connection.read(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_type = 'VIEW' and table_schema in ('staging', 'marts')"
        )
    return {str(name) for (name,) in found.iter_rows()}


def with_migration(folder: Path, text: str, number: str = "9998", after: str = "") -> Path:
    """Return a folder with our migrations and one more, whose file holds `text` after its head."""
    target = folder / "migrations"
    if not target.exists():
        shutil.copytree(bundled("sql") / "migrations", target, ignore=shutil.ignore_patterns("__pycache__"))
    newest = after or max(path.name.partition("_")[0] for path in (target / "versions").glob("[0-9]*_*.py"))
    head = (
        f'"""One more."""\nimport os, signal\nimport sqlalchemy as sa\nfrom alembic import op\n'
        "from flakeguard_pipeline.warehouse.migration_steps import is_postgres, rebuild_table, release_views\n"
        f'revision = "{number}"\ndown_revision = "{newest}"\n'
    )
    (target / "versions" / f"{number}_one_more.py").write_text(head + text)
    return target


MIGRATOR = """
import os, sys, time
from pathlib import Path
from flakeguard_pipeline.warehouse import migrate, migration_session
from flakeguard_pipeline.warehouse.connection import Warehouse
url, folder, go = sys.argv[1:]
print("ready", flush=True)
while go and not Path(go).exists():
    time.sleep(0.01)
print(migrate.upgrade(Warehouse(url), migrations=Path(folder) if folder else None), flush=True)
"""


@contextmanager
def migrator(
    warehouse: Warehouse, *, migrations: Path | None = None, go: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `upgrade` in a process of its own, which begins once the file `go` is there."""
    arguments = [warehouse.url, str(migrations or ""), str(go or "")]
    with subprocess.Popen(
        [sys.executable, "-c", MIGRATOR, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
