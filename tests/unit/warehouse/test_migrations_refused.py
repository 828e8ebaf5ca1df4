"""What cannot be migrated is refused in one clear line, without a password, and left as it was."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from flakeguard_pipeline.domain.errors import FlakeGuardError, WarehouseError, WarehouseLockedError
from flakeguard_pipeline.postgres_address import without_password
from flakeguard_pipeline.warehouse import migrate, migration_session
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.revisions import history
from tests.support.migrated import catalogue, contents, fill, with_migration
from tests.support.postgres import PostgresDatabase, PostgresServer

HEAD = history().head


@pytest.fixture(params=["duckdb", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse of each engine with nothing in it."""
    if request.param == "duckdb":
        yield Warehouse(str(tmp_path / "warehouse.duckdb"))
    else:
        yield Warehouse(request.getfixturevalue("postgres").url)


def execute(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def refused(warehouse: Warehouse, **how: object) -> str:
    """Return the one line that an upgrade is refused with."""
    with pytest.raises(FlakeGuardError) as raised:
        migrate.upgrade(warehouse, **how)  # type: ignore[arg-type]
    line = str(raised.value)
    assert "\n" not in line
    if warehouse.dialect == "postgres":
        password = warehouse.url.partition("//")[2].partition("@")[0].partition(":")[2]
        assert not password or password not in line
    return line


def test_a_warehouse_of_a_newer_version_is_left_alone(empty: Warehouse) -> None:
    migrate.upgrade(empty)
    execute(empty, "update core.alembic_version set version_num = '9999'")
    before = catalogue(empty)
    assert "was made by a newer FlakeGuard (revision 9999); update FlakeGuard" in refused(empty)
    with pytest.raises(WarehouseError, match="newer FlakeGuard"):
        migrate.downgrade(empty, to="0001")
    with pytest.raises(WarehouseError, match="newer FlakeGuard"):
        migrate.pending(empty)
    assert catalogue(empty) == before
    assert migrate.current(empty) == "9999"


def test_another_programs_tables_are_left_alone(empty: Warehouse) -> None:
    execute(empty, "create schema core", "create table core.job (somebody_elses integer)")
    before = catalogue(empty)
    assert "is no warehouse of FlakeGuard: it has tables that FlakeGuard did not make (core.job)" in refused(empty)
    assert catalogue(empty) == before


def test_another_programs_revisions_are_left_alone(empty: Warehouse) -> None:
    execute(
        empty,
        "create schema core",
        "create table core.alembic_version (version_num varchar(32) not null)",
        "insert into core.alembic_version values ('ae1027a6acf')",
    )
    assert "core.alembic_version holds 'ae1027a6acf', which another program wrote" in refused(empty)


def test_a_migration_that_stumbles_over_an_altered_table_says_which_and_changes_nothing(empty: Warehouse) -> None:
    migrate.upgrade(empty, to="0001")
    fill(empty)
    execute(empty, "alter table core.test_execution add column raw_classname text")
    before, rows = catalogue(empty), contents(empty)
    line = refused(empty)
    assert "migration 0002 of the warehouse" in line
    assert "raw_classname" in line
    assert "stays at revision 0001" in line
    assert "flakeguard migrate check" in line
    assert (catalogue(empty), contents(empty)) == (before, rows)
    execute(empty, "alter table core.test_execution drop column raw_classname")
    assert migrate.upgrade(empty)


def test_migrations_before_one_that_fails_stay(empty: Warehouse, tmp_path: Path) -> None:
    with_migration(tmp_path, "def upgrade():\n    op.execute('create table core.fine (x integer)')\n", "9997")
    folder = with_migration(tmp_path, "def upgrade():\n    op.execute('create table core.fine (x integer)')\n", "9998")
    line = refused(empty, migrations=folder)
    assert "migration 9998" in line
    assert "stays at revision 9997" in line
    assert migrate.current(empty) == "9997"


def test_a_role_that_may_not_create_is_told_the_right_it_lacks(
    postgres: PostgresDatabase, postgres_server: PostgresServer
) -> None:
    other = postgres_server.database()
    as_other = Warehouse(other.url.rpartition("/")[0] + "/" + postgres.name)
    line = refused(as_other)
    assert f"the role {other.name} may not migrate the warehouse" in line
    assert f"`grant create on database {postgres.name} to {other.name}`" in line
    migrate.upgrade(Warehouse(postgres.url), to="0001")
    line = refused(as_other)
    assert "permission denied for schema core" in line
    postgres.execute(f"grant usage, create on schema core, flakiness, quarantine to {other.name}")
    postgres.execute(f"grant select on core.alembic_version to {other.name}")
    line = refused(as_other)
    assert f"belongs to {postgres.name}; connect as {postgres.name}, or `grant {postgres.name} to" in line
    postgres.execute(f"drop owned by {postgres.name}")
    other.drop()


def test_a_wrong_password_and_an_unreachable_server_are_one_line(postgres: PostgresDatabase) -> None:
    before, _, after = postgres.url.rpartition("@")
    wrong = Warehouse(f"{before[: before.rindex(':')]}:{quote('hunter2 %/?', safe='')}@{after}")
    line = refused(wrong)
    assert f'password authentication failed for user "{postgres.name}"' in line
    assert "hunter2" not in line
    line = refused(Warehouse(f"{before}@127.0.0.1:1/nowhere"))
    assert "Connection refused" in line
    assert postgres.url.partition("//")[2].partition("@")[0] not in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@db/ci", "invalid: hunter2@db"),
        ("postgresql://me:hun%20ter@db/ci", "invalid: hun ter and hun%20ter"),
        ("postgresql://me@db/ci?password=hunter2", 'bad "hunter2"'),
    ],
)
def test_a_password_that_a_driver_quotes_is_blotted_out(url: str, said: str) -> None:
    shown = without_password(said, url)
    assert "hun" not in shown
    assert "***" in shown


def test_a_role_without_a_password_is_shown() -> None:
    assert without_password("role me is unknown", "postgresql://me@db/ci") == "role me is unknown"


def test_a_migrator_that_waits_too_long_says_who_holds_the_lock(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_session, "LOCK_WAIT_SECONDS", 0.01)
    with closing(psycopg2.connect(postgres.url, application_name="somebody")) as holder:
        with holder.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(%s)", (migration_session.LOCK_KEY,))
        pid = holder.get_backend_pid()
        with pytest.raises(WarehouseLockedError) as raised:
            migrate.upgrade(Warehouse(postgres.url))
    line = str(raised.value)
    assert f"is being migrated by another session (process {pid} of the server, role {postgres.name}" in line
    assert "application 'somebody'" in line
    assert migrate.current(Warehouse(postgres.url)) is None


def test_a_table_that_another_session_uses_is_waited_for_only_so_long(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(postgres.url)
    migrate.upgrade(warehouse, to="0001")
    monkeypatch.setattr(migration_session, "LOCK_WAIT_SECONDS", 0.05)
    with closing(psycopg2.connect(postgres.url)) as reader:
        with reader.cursor() as cursor:
            cursor.execute("select count(*) from core.test_execution")
        assert "another session uses the table" in refused(warehouse)
    assert migrate.current(warehouse) == "0001"
    monkeypatch.undo()
    assert migrate.upgrade(warehouse)


def test_libpq_reads_the_url_itself(postgres: PostgresDatabase, tmp_path: Path) -> None:
    before, _, after = postgres.url.rpartition("@")
    # several hosts and parameters of libpq's, which SQLAlchemy's own URLs do not know
    url = f"{before}@127.0.0.1:1,{after}?application_name=of%20ci&target_session_attrs=read-write&sslmode=prefer"
    told = "create table core.told as select current_setting('application_name') as x"
    folder = with_migration(tmp_path, f'def upgrade():\n    op.execute("{told}")\n')
    assert migrate.upgrade(Warehouse(url), migrations=folder)
    assert postgres.execute("select x from core.told") == [("of ci",)]


def test_a_folder_without_migrations_is_a_broken_installation(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"has no migrations in .*; install it again"):
        history(tmp_path)


def test_a_migrated_warehouse_is_read_after_it_was_copied(tmp_path: Path) -> None:
    place = Warehouse(str(tmp_path / "warehouse.duckdb"))
    migrate.upgrade(place)
    copy = Warehouse(str(shutil.copy(place.path, tmp_path / "copy.duckdb")))
    assert migrate.pending(copy) == (HEAD, [])
