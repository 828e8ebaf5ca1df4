"""Replacing run attempts: what was loaded of them goes whole, and executions are looked for only where some may be."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.load import replacing_attempts
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support import loaded_history
from tests.support.loaded_history import REPOSITORY_ID, Attempt, Told
from tests.support.postgres import PostgresServer
from tests.support.rolled_up import make_tables

BATCH = {"repository_id": pl.String, "run_id": pl.String, "run_attempt": pl.Int32}
LOADED = (1, 2, 3)


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        made = Warehouse(str(tmp_path_factory.mktemp("replacing") / "warehouse.duckdb"))
        make_tables(made)
        yield made
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    database = server.database()
    made = Warehouse(database.url)
    make_tables(made)
    yield made
    close_pools()
    database.drop()


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    """A warehouse with three run attempts."""
    with warehouse.connect() as opened:
        for table in loaded_history.OF_ATTEMPTS:
            opened.execute(f"delete from core.{table.name}")
        for run in LOADED:
            loaded_history.put(opened, Attempt(run, 1, 0, "ci", "aaa", (Told("A", "", "passed"),)))
        yield opened


def replace(connection: Connection, *runs: int) -> None:
    batch = pl.DataFrame([(REPOSITORY_ID, str(run), 1) for run in runs], schema=BATCH, orient="row")
    with replacing_attempts(connection, batch, default_branch=None):
        pass


def left(connection: Connection) -> list[Any]:
    return connection.read("select run_id from core.test_execution order by run_id")["run_id"].to_list()


def test_what_was_loaded_goes_whatever_its_org(connection: Connection) -> None:
    connection.execute("update core.test_execution set org = 'other' where run_id = '2'")
    replace(connection, 2, 9)
    assert left(connection) == ["1", "3"]
    assert connection.value("select count(*) from core.run_attempt") == 2


def test_an_attempt_of_which_somebody_deleted_rows_is_replaced_whole(connection: Connection) -> None:
    connection.execute("delete from core.run_attempt where run_id = '3'")
    connection.execute("delete from core.report where run_id = '1'")
    replace(connection, 3, 1)
    assert left(connection) == ["2"]


def test_executions_are_not_read_for_attempts_that_are_new(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []
    execute = type(connection).execute

    def recorded(self: Any, sql: str, parameters: Any = None) -> None:
        run.append(sql)
        execute(self, sql, parameters)

    monkeypatch.setattr(type(connection), "execute", recorded)
    replace(connection, 7, 8)
    assert [sql for sql in run if tables.test_execution.name in sql] == []
    assert left(connection) == ["1", "2", "3"]
    replace(connection, 7, 1)
    assert [sql for sql in run if tables.test_execution.name in sql] != []
