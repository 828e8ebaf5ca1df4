"""Migrations make exactly what the metadata says, can be repeated and undone, and refuse what they do not know."""

import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse import migrate
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.dictionary import TYPES
from flakeguard_pipeline.warehouse.load import name_of
from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata

DUCKDB_TYPES = {
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "boolean": "BOOLEAN",
    "double": "DOUBLE",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
}

COLUMNS = """
select table_schema || '.' || table_name, column_name, data_type, is_nullable = 'YES'
from information_schema.columns
where table_schema not in ('information_schema', 'main', 'pg_catalog') and table_name <> $version_table
order by table_schema, table_name, ordinal_position
"""

KEYS = """
select schema_name || '.' || table_name, constraint_column_names
from duckdb_constraints()
where constraint_type = 'PRIMARY KEY' and table_name <> $version_table
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated warehouse to copy: migrating takes most of a second."""
    path = tmp_path_factory.mktemp("warehouse") / "migrated.duckdb"
    assert migrate.upgrade(Warehouse(str(path)))
    return path


@pytest.fixture
def migrated(template: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(str(shutil.copy(template, tmp_path / "warehouse.duckdb")))


def columns(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.connect() as connection:
        return connection.read(COLUMNS, {"version_table": migrate.VERSION_TABLE}).rows()


def alembic(warehouse: Warehouse) -> Config:
    config = Config()
    config.set_main_option("script_location", str(bundled("sql") / "migrations"))
    config.attributes["warehouse_path"] = str(warehouse.path)
    return config


def test_the_migrations_make_exactly_the_tables_and_columns_of_the_metadata(migrated: Warehouse) -> None:
    declared = [
        (name_of(table), column.name, DUCKDB_TYPES[TYPES[type(column.type)]], bool(column.nullable))
        for table in sorted(metadata.tables.values(), key=lambda table: (str(table.schema), table.name))
        for column in table.columns
    ]
    assert columns(migrated) == declared


def test_the_migrations_make_exactly_the_keys_of_the_metadata(migrated: Warehouse) -> None:
    with migrated.connect() as connection:
        made = {
            name: tuple(key) for name, key in connection.read(KEYS, {"version_table": migrate.VERSION_TABLE}).rows()
        }
    declared = {name_of(table): table.info["key"] for table in metadata.tables.values() if table.info["enforced"]}
    assert made == declared


def test_a_second_upgrade_does_nothing(migrated: Warehouse) -> None:
    before = migrated.path.read_bytes()
    assert not migrate.upgrade(migrated)
    assert migrated.path.read_bytes() == before


def test_the_revision_of_a_migrated_warehouse_is_the_newest_one(migrated: Warehouse, tmp_path: Path) -> None:
    assert migrate.current(migrated) == migrate.head(migrated)
    assert migrate.current(Warehouse(str(tmp_path / "empty.duckdb"))) is None


def test_a_warehouse_can_be_taken_down_to_nothing_and_built_up_again(migrated: Warehouse) -> None:
    before = columns(migrated)
    command.downgrade(alembic(migrated), "base")
    assert columns(migrated) == []
    assert migrate.current(migrated) is None
    assert migrate.upgrade(migrated)
    assert columns(migrated) == before


def test_upgrading_keeps_what_other_people_keep_in_the_same_file(tmp_path: Path) -> None:
    shared = Warehouse(str(tmp_path / "shared.duckdb"))
    with shared.connect() as connection:
        connection.execute("create table notes as select 'mine' as line")
    assert migrate.upgrade(shared)
    with shared.connect() as connection:
        assert connection.value("select line from notes") == "mine"


def test_a_warehouse_of_an_unknown_revision_is_refused_and_left_alone(migrated: Warehouse) -> None:
    with migrated.connect() as connection:
        connection.execute("update core.alembic_version set version_num = '9999'")
    before = columns(migrated)
    with pytest.raises(WarehouseError, match=r"made by a newer FlakeGuard \(revision 9999\); update FlakeGuard"):
        migrate.upgrade(migrated)
    assert columns(migrated) == before
    assert migrate.current(migrated) == "9999"


def test_a_migration_that_fails_is_one_line_and_changes_no_table(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        connection.execute("create schema core")
        connection.execute("create table core.job (somebody_elses integer)")
    with pytest.raises(
        WarehouseError, match=r"could not be brought up to date: .*job.*; nothing was changed"
    ) as raised:
        migrate.upgrade(warehouse)
    assert "\n" not in str(raised.value)
    assert [row[:2] for row in columns(warehouse)] == [("core.job", "somebody_elses")]


def test_revisions_are_one_line_of_history_that_tells_what_each_does() -> None:
    script = ScriptDirectory.from_config(alembic(Warehouse("unused.duckdb")))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    revisions = list(script.walk_revisions())
    assert all(revision.doc for revision in revisions)
    assert all(Path(revision.path).name.startswith(f"{revision.revision}_") for revision in revisions)


def test_every_schema_that_we_own_has_a_table() -> None:
    assert {table.schema for table in metadata.tables.values()} == set(SCHEMAS)
