"""One behaviour: the main job says the same on DuckDB and on Postgres, row by row and byte by byte."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from assets.launch import Launched, run_main_job
from flakeguard_pipeline.cli.options import WAREHOUSE_VARIABLE
from flakeguard_pipeline.operations.alias_decisions import decide_aliases, pair_of
from flakeguard_pipeline.operations.summary import summarise
from flakeguard_pipeline.progress import Silent
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.assets.workspaces import resource_of
from tests.support.parity_history import AS_OF, ODD_NAMES, write_parity_history
from tests.support.places import make_place
from tests.support.postgres import PostgresServer

SCHEMAS = ("core", "staging", "intermediate", "flakiness", "quarantine", "marts")

OF_ENGINE = {"core.alembic_version", "flakiness.dbt_build"}
"""Relations that say how a warehouse was made."""

WITH_SOMETHING = (
    "marts.test_execution", "marts.test_health", "marts.quarantine", "marts.quarantine_event", "marts.report_health",
    "marts.failure_signature", "core.rejected_artifact", "core.inferred_pass", "core.alias_proposal",
    "core.alias_decision", "core.report_issue", "flakiness.flake_evidence", "flakiness.health_snapshot",
)  # fmt: skip
"""Relations that would prove nothing if they were empty."""


RENAMED = """
    select distinct older.test_key as old_key, newer.test_key as new_key
    from core.test_execution as older
    inner join core.test_execution as newer on older.repository_id = newer.repository_id and older.name = newer.name
    where older.classname = 'tests.shop.test_cart' and newer.classname = 'tests.shop.test_basket'
    order by old_key
"""


@dataclass(frozen=True)
class Engine:
    """One warehouse after the main job has run on it."""

    warehouse: Warehouse
    out: Path
    launched: Launched
    folder: Path

    def relations(self) -> list[str]:
        with self.warehouse.connect() as connection:
            named = connection.read("select table_schema, table_name from information_schema.tables")
        return sorted(f"{schema}.{name}" for schema, name in named.iter_rows() if schema in SCHEMAS)

    def rows(self, relation: str) -> pl.DataFrame:
        """Return all rows, in the order of bytes of all columns, as the engine itself orders them."""
        with self.warehouse.connect() as connection:
            columns = sorted(connection.read(f"select * from {relation} limit 0").columns)
            named = ", ".join(f'"{column}"' for column in columns)
            return connection.read(f"select {named} from {relation} order by {named}")

    def exports(self) -> dict[str, bytes]:
        return {str(file.relative_to(self.out)): file.read_bytes() for file in sorted(self.out.rglob("*.json"))}


def run_job(folder: Path, url: str = "") -> Engine:
    """Load the history, accept the alias of each renamed test, and run the main job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAKEGUARD_HOME", str(folder / "home"))
        patch.setenv("DAGSTER_HOME", str(folder / "nowhere"))
        place = make_place(folder, "policy: {min_same_commit_flips: 1, min_executions: 2}\n", warehouse=url)
        write_parity_history(place.source.path)
        place.ingest()
        for old, new in place.rows(RENAMED):
            pair = pair_of(place.warehouse, repository="acme/moved", old=str(old), new=str(new))
            decide_aliases(place.warehouse, [pair], is_accepted=True, actor="ann", reason="renamed", decided_at=AS_OF)
        # as the command line does it: an address reaches Dagster's resources through the environment alone
        patch.setenv(WAREHOUSE_VARIABLE, place.settings.warehouse)
        resource = resource_of(place).model_copy(update={"warehouse": ""})
        return Engine(
            place.warehouse, place.settings.out, run_main_job(resource, as_of=AS_OF, progress=Silent()), folder
        )


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return run_job(tmp_path_factory.mktemp("duckdb"))


@pytest.fixture(scope="module", params=["newest", "oldest"])
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    is_newest = request.param == "newest"
    server: PostgresServer = request.getfixturevalue("postgres_server" if is_newest else "oldest_postgres_server")
    # the newest server is built without the languages' collations
    database = server.database() if is_newest else server.database(locale="de")
    yield run_job(tmp_path_factory.mktemp(request.param), database.url)
    close_pools()
    database.drop()


def test_every_relation_has_the_same_rows_in_the_same_order(duckdb: Engine, postgres: Engine) -> None:
    assert postgres.relations() == duckdb.relations()
    for relation in set(duckdb.relations()) - OF_ENGINE:
        mine, theirs = duckdb.rows(relation), postgres.rows(relation)
        assert theirs.columns == mine.columns, relation
        assert theirs.rows() == mine.rows(), relation
        if relation in WITH_SOMETHING:
            assert mine.height, relation


def test_exports_are_the_same_byte_by_byte(duckdb: Engine, postgres: Engine) -> None:
    assert duckdb.exports()
    assert postgres.exports() == duckdb.exports()
    assert any(b'"entries":[{' in data or b'"test_id"' in data for data in duckdb.exports().values())


def test_people_are_told_the_same(duckdb: Engine, postgres: Engine) -> None:
    assert summarise(postgres.warehouse) == summarise(duckdb.warehouse)
    assert postgres.launched.faults == duckdb.launched.faults == ()
    assert "why" not in duckdb.launched.metadata["delivery/read_copy"]
    assert "so there is no copy" in str(postgres.launched.metadata["delivery/read_copy"]["why"])


def test_odd_names_arrive_whole(postgres: Engine) -> None:
    with postgres.warehouse.connect() as connection:
        stored = connection.read("select distinct raw_name from core.test_execution")["raw_name"].to_list()
    odd = [name for name in ODD_NAMES if name not in stored]
    assert set(odd) <= {"tab\tin", "\u200d"}, odd


def test_the_password_is_nowhere_in_what_a_run_leaves(postgres: Engine) -> None:
    password = postgres.warehouse.url.partition("@")[0].rpartition(":")[2].encode()
    files = [file for file in postgres.folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in files), "Dagster's history is among them"
    assert [file for file in files if password in file.read_bytes()] == []
