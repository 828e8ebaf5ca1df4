"""Migrations make exactly what the metadata says, lose nothing, can be repeated and undone, on both engines."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import UsageError, WarehouseError
from flakeguard_pipeline.warehouse import migrate
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.load import REPLACED, name_of
from flakeguard_pipeline.warehouse.revisions import history
from flakeguard_pipeline.warehouse.table_differences import differences
from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata
from tests.support.migrated import FORGOTTEN, ROWS, catalogue, common, contents, fill, make_views, views, with_migration

HEAD = history().head

WITHOUT_ALEMBIC = """
import sys
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
assert upgrade(Warehouse(sys.argv[1])) is False
print(sorted({"alembic", "duckdb_sqlalchemy", "psycopg2"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated warehouse to copy: migrating takes most of a second."""
    path = tmp_path_factory.mktemp("warehouse") / "migrated.duckdb"
    assert migrate.upgrade(Warehouse(str(path)))
    return path


@pytest.fixture(params=["duckdb", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse of each engine with nothing in it."""
    if request.param == "duckdb":
        yield Warehouse(str(tmp_path / "warehouse.duckdb"))
    else:
        yield Warehouse(request.getfixturevalue("postgres").url)


@pytest.fixture
def migrated(empty: Warehouse, request: pytest.FixtureRequest) -> Warehouse:
    """A warehouse of each engine at the newest revision."""
    if empty.dialect == "duckdb":
        shutil.copy(request.getfixturevalue("template"), empty.path)
    else:
        assert migrate.upgrade(empty)
    return empty


def execute(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def walk(warehouse: Warehouse) -> None:
    """Take every revision up, down and up again, with rows in all tables and views over them."""
    behind = "base"
    for revision in history().revisions:
        before = contents(warehouse)
        assert migrate.upgrade(warehouse, to=revision.id)
        kept, there = common(before, contents(warehouse))
        assert there == kept, f"rows changed on the way up to {revision.id}"
        assert before.keys() - {FORGOTTEN} <= kept.keys(), f"{revision.id} emptied or dropped tables"

        fill(warehouse)
        make_views(warehouse)
        made, filled = catalogue(warehouse), contents(warehouse)
        migrate.downgrade(warehouse, to=behind, lose_rows=True)
        down = contents(warehouse)
        kept, there = common(filled, down)
        assert there == kept, f"rows changed on the way down from {revision.id}"
        assert down.keys() == before.keys()

        assert migrate.upgrade(warehouse, to=revision.id)
        again = catalogue(warehouse)
        assert (again.columns.keys(), again.keys, again.indexes) == (made.columns.keys(), made.keys, made.indexes)
        kept, there = common(down, contents(warehouse))
        assert there == kept
        fill(warehouse)
        make_views(warehouse)
        behind = revision.id
    with warehouse.connect() as connection:
        assert differences(connection) == []


def test_every_revision_goes_up_and_down_and_up_again_and_keeps_the_rows(empty: Warehouse) -> None:
    walk(empty)


def test_the_oldest_postgres_takes_the_same_way(oldest_postgres_server: object) -> None:
    database = oldest_postgres_server.database()  # type: ignore[attr-defined]
    walk(Warehouse(database.url))
    database.drop()


def test_an_upgrade_from_the_first_revision_keeps_every_row(empty: Warehouse) -> None:
    migrate.upgrade(empty, to="0001")
    fill(empty)
    before = contents(empty)
    assert before
    assert all(len(rows) == ROWS for rows in before.values())
    assert migrate.upgrade(empty)
    after = contents(empty)
    assert {table: len(after[table]) for table in before} == dict.fromkeys(before, ROWS)
    kept, there = common(before, after)
    assert kept == before
    assert there == kept


def test_the_tables_are_exactly_those_of_the_metadata(migrated: Warehouse) -> None:
    made = catalogue(migrated)
    assert made.comments == {name_of(table): table.comment for table in metadata.tables.values()}
    assert {name: [each.name for each in columns] for name, columns in made.columns.items()} == {
        name_of(table): [each.name for each in table.columns] for table in metadata.tables.values()
    }
    with migrated.connect() as connection:
        assert differences(connection) == []


def test_postgres_finds_the_rows_of_a_run_attempt_by_an_index_in_every_replaced_table(postgres: object) -> None:
    warehouse = Warehouse(postgres.url)  # type: ignore[attr-defined]
    migrate.upgrade(warehouse)
    for table in REPLACED:
        plan = postgres.execute(  # type: ignore[attr-defined]
            "set enable_seqscan = off; "
            f"explain delete from {name_of(table)} where repository_id = 'r' and run_id = '1' and run_attempt = 1"
        )
        text = " ".join(str(line) for (line,) in plan)
        assert f"{table.name}_run_attempt" in text, text
        assert "repository_id = 'r'" in text.partition("Index Cond")[2]


def test_a_path_longer_than_an_entry_of_a_postgres_index_is_loaded_once(postgres: object) -> None:
    warehouse = Warehouse(postgres.url)  # type: ignore[attr-defined]
    migrate.upgrade(warehouse)
    # random, or the server would make it short
    path = "(select string_agg(md5(x::text), '') from generate_series(1, 200) as x)"
    insert = (
        "insert into core.raw_artifact (org, repository_id, run_id, run_attempt, artifact, path, digest, size_bytes, "
        f"kind, source, source_folder) select 'o', 'r', '1', 1, 'a', {path}, 'd', 1, 'file', 's', ''"
    )
    execute(warehouse, insert)
    with pytest.raises(Exception, match="raw_artifact_key"):
        execute(warehouse, insert)


def test_text_is_compared_bytewise_on_a_postgres_of_another_locale(oldest_postgres_server: object) -> None:
    # the newest server's wheel was built without ICU
    database = oldest_postgres_server.database(locale="en-US")  # type: ignore[attr-defined]
    warehouse = Warehouse(database.url)
    migrate.upgrade(warehouse)
    with warehouse.connect() as connection:
        assert differences(connection) == []
        assert connection.value("select 'a' < 'B'") is True
        connection.execute(
            "insert into flakiness.dbt_build values ('*', 'a', '', ''), ('*', 'B', '', ''), ('*', 'ä', '', '')"
        )
        assert connection.read("select part from flakiness.dbt_build order by part")["part"].to_list() == [
            "B",
            "a",
            "ä",
        ]
    database.drop()


def test_a_second_upgrade_does_nothing(migrated: Warehouse) -> None:
    before = catalogue(migrated)
    assert not migrate.upgrade(migrated)
    assert catalogue(migrated) == before


def test_an_upgrade_with_nothing_to_do_imports_no_alembic(template: Path, tmp_path: Path) -> None:
    copy = shutil.copy(template, tmp_path / "warehouse.duckdb")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ALEMBIC, str(copy)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_revision_of_a_migrated_warehouse_is_the_newest_one(empty: Warehouse) -> None:
    assert migrate.current(empty) is None
    migrate.upgrade(empty)
    assert migrate.current(empty) == migrate.head(empty)
    assert migrate.current(empty, read_only=True) == HEAD


def test_upgrading_keeps_what_other_people_keep_in_the_same_database(empty: Warehouse) -> None:
    schema = "main" if empty.dialect == "duckdb" else "theirs"
    execute(empty, f"create schema if not exists {schema}", f"create table {schema}.notes as select 'mine' as line")
    assert migrate.upgrade(empty)
    with empty.connect() as connection:
        assert connection.value(f"select line from {schema}.notes") == "mine"


def test_the_history_that_is_read_from_the_names_of_files_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(bundled("sql") / "migrations"))
    script = ScriptDirectory.from_config(config)
    revisions = list(script.walk_revisions())[::-1]
    known = history()
    assert [each.id for each in known.revisions] == [each.revision for each in revisions]
    assert [each.title for each in known.revisions] == [each.doc.rstrip(".") for each in revisions]
    assert all(each.title for each in known.revisions)
    assert [each.down_revision for each in revisions] == [None, *(each.id for each in known.revisions[:-1])]
    assert script.get_heads() == [known.head]
    assert all(migrate.OURS.fullmatch(each.id) for each in known.revisions)


def test_every_schema_that_we_own_has_a_table() -> None:
    assert {table.schema for table in metadata.tables.values()} == set(SCHEMAS)


# -- going back -------------------------------------------------------------------------------------------------


def test_going_back_says_which_rows_it_would_drop_and_drops_none(migrated: Warehouse) -> None:
    fill(migrated)
    before = contents(migrated)
    with pytest.raises(UsageError) as raised:
        migrate.downgrade(migrated, to="0001")
    line = str(raised.value)
    assert "core.report_issue (3 rows)" in line
    assert "core.test_execution.raw_classname (3 rows)" in line
    assert "core.job" not in line
    assert "--yes" in line
    assert migrate.current(migrated) == HEAD
    assert contents(migrated) == before
    with migrated.connect() as connection:
        assert differences(connection) == []


def test_going_back_from_empty_tables_needs_no_word(migrated: Warehouse) -> None:
    assert migrate.downgrade(migrated, to="base") == []
    assert migrate.current(migrated) is None
    assert catalogue(migrated).comments == {}
    assert migrate.upgrade(migrated)


def test_where_one_is_cannot_be_gone_to(migrated: Warehouse) -> None:
    with pytest.raises(UsageError, match=r"is at revision .*, not after"):
        migrate.downgrade(migrated, to=HEAD)
    with pytest.raises(UsageError, match=r"migrate down --to 0001"):
        migrate.upgrade(migrated, to="0001")
    with pytest.raises(UsageError, match="there is no revision '77'; there are: 0001, "):
        migrate.upgrade(migrated, to="77")


# -- what DuckDB cannot alter, and views over the tables ----------------------------------------------------------

REBUILT = """
def upgrade():
    release_views("core.job")
    if is_postgres():
        op.drop_column("job", "labels", schema="core")
        op.alter_column("job", "name", type_=sa.VARCHAR(collation="C"), schema="core")
        return
    kept = [sa.Column(each, sa.Text(), nullable=False) for each in ("org", "repository_id", "run_id", "job_id", "name")]
    rebuild_table(
        "core.job",
        *kept,
        sa.Column("run_attempt", sa.BigInteger(), nullable=False),
        sa.Column("shout", sa.Text(), nullable=False),
        key=("org", "repository_id", "run_id", "run_attempt", "job_id", "name"),
        values={"shout": "upper(conclusion)"},
    )

def downgrade():
    pass
"""


def test_a_rebuilt_table_keeps_its_rows_and_has_its_new_key(template: Path, tmp_path: Path) -> None:
    warehouse = Warehouse(str(shutil.copy(template, tmp_path / "warehouse.duckdb")))
    fill(warehouse)
    make_views(warehouse)
    execute(warehouse, "create or replace view staging.core_job as select job_id, name from core.job")
    before = contents(warehouse)["core.job"]
    migrate.upgrade(warehouse, migrations=with_migration(tmp_path, REBUILT))
    after = contents(warehouse)["core.job"]
    assert sorted((row["job_id"], row["run_attempt"], row["shout"]) for row in after) == sorted(
        (row["job_id"], row["run_attempt"], row["conclusion"].upper()) for row in before
    )
    assert catalogue(warehouse).keys["core.job"][-1] == "name"
    assert "core.job__rebuilt" not in catalogue(warehouse).columns
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from staging.core_job") == ROWS


def test_views_of_dbt_make_way_on_postgres_and_the_next_run_builds_them(postgres: object, tmp_path: Path) -> None:
    warehouse = Warehouse(postgres.url)  # type: ignore[attr-defined]
    migrate.upgrade(warehouse)
    fill(warehouse)
    make_views(warehouse)
    before = views(warehouse)
    migrate.upgrade(warehouse, migrations=with_migration(tmp_path, REBUILT))
    assert before - views(warehouse) == {"staging.core_job", "marts.core_job"}
    after = contents(warehouse)
    assert len(after["core.job"]) == ROWS
    assert after["flakiness.dbt_build"] == []


def test_a_view_of_somebody_else_is_named_and_left_alone(postgres: object, tmp_path: Path) -> None:
    warehouse = Warehouse(postgres.url)  # type: ignore[attr-defined]
    migrate.upgrade(warehouse)
    fill(warehouse)
    make_views(warehouse)
    execute(warehouse, "create schema theirs", "create view theirs.jobs as select name from marts.core_job")
    before = views(warehouse)
    with pytest.raises(WarehouseError) as raised:
        migrate.upgrade(warehouse, migrations=with_migration(tmp_path, REBUILT))
    assert "migration 9998" in str(raised.value)
    assert "view theirs.jobs depends on view marts.core_job" in str(raised.value)
    assert f"stays at revision {HEAD}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert views(warehouse) == before
    assert len(contents(warehouse)["flakiness.dbt_build"]) == ROWS
