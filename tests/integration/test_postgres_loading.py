"""Loading into Postgres: what goes wrong leaves nothing half-written, and the next load completes the work."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg2
import pytest

from flakeguard_pipeline.domain.errors import UsageError, WarehouseError, WarehouseInterruptedError
from flakeguard_pipeline.ingest import loading
from flakeguard_pipeline.operations.asking import ask
from flakeguard_pipeline.quality.execution_suite import check_executions
from flakeguard_pipeline.warehouse import repeating
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.postgres_connection import PostgresConnection
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support.drops import flaky_history
from tests.support.places import Place, make_place
from tests.support.postgres import PostgresDatabase

EXECUTIONS = 96
"""Of the history: twelve runs, each again, with four tests."""

COUNTS = (
    "select (select count(*) from core.run_attempt) as attempts, "
    "(select count(*) from core.test_execution) as executions, (select count(*) from core.repository) as repositories"
)


@pytest.fixture
def shared(postgres: PostgresDatabase, tmp_path: Path) -> Iterator[Place]:
    """A landing zone with a history, and an empty Postgres warehouse."""
    place = make_place(tmp_path, warehouse=postgres.url)
    flaky_history(place.source.path)
    place.land()
    upgrade(place.warehouse)
    yield place
    close_pools()


class Breaking:
    """Ends the session that inserts executions, by the server's administrator, for the first `times` inserts."""

    def __init__(self, database: PostgresDatabase, times: int) -> None:
        self.left = times
        self._database = database
        self._insert = PostgresConnection.insert

    def __call__(self, connection: PostgresConnection, table: str, frame: pl.DataFrame) -> None:
        if table == "core.report" and self.left:
            self.left -= 1
            pid = connection.value("select pg_backend_pid()")
            with closing(psycopg2.connect(self._database.server.url)) as admin, admin.cursor() as cursor:
                cursor.execute("select pg_terminate_backend(%s, 5000)", [pid])
        self._insert(connection, table, frame)


def break_connections(patch: pytest.MonkeyPatch, database: PostgresDatabase, times: int) -> None:
    breaking = Breaking(database, times)

    def insert(connection: PostgresConnection, table: str, frame: pl.DataFrame) -> None:
        breaking(connection, table, frame)

    patch.setattr(PostgresConnection, "insert", insert)
    patch.setattr(repeating, "FIRST_WAIT_SECONDS", 0.01)


def test_a_connection_that_is_lost_in_the_middle_of_a_load_is_made_again(
    shared: Place, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_connections(monkeypatch, postgres, times=2)
    counts = shared.load()
    assert (counts.attempts, counts.executions, counts.faults) == (24, EXECUTIONS, [])
    assert shared.rows(COUNTS) == [(24, EXECUTIONS, 1)]


def test_connections_that_are_lost_for_good_leave_nothing_and_the_next_load_completes(
    shared: Place, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_connections(patch, postgres, times=repeating.TRIES)
        with pytest.raises(WarehouseInterruptedError, match="was lost"):
            shared.load()
    assert shared.rows(COUNTS) == [(0, 0, 0)]
    assert shared.load().executions == EXECUTIONS


def test_a_column_that_is_missing_stops_the_load_and_a_mended_table_takes_it(
    shared: Place, postgres: PostgresDatabase
) -> None:
    postgres.execute("alter table core.report drop column dialect")
    with pytest.raises(WarehouseError, match=r"dialect.*`flakeguard migrate check`"):
        shared.load()
    assert shared.rows(COUNTS) == [(0, 0, 0)]
    postgres.execute("""alter table core.report add column dialect text collate "C" not null""")
    assert shared.load().executions == EXECUTIONS


def test_two_loaders_at_once_load_each_attempt_once(shared: Place) -> None:
    wanted = loading.attempts_to_load(shared.settings, shared.zone, shared.warehouse)
    faults: list[Any] = []

    def load() -> None:
        try:
            faults.extend(loading.load_attempts(shared.settings, shared.zone, shared.warehouse, wanted).faults)
        except Exception as error:  # noqa: BLE001 - told below
            faults.append(error)

    loaders = [threading.Thread(target=load) for _ in range(2)]
    for each in loaders:
        each.start()
    for each in loaders:
        each.join(60)
    assert faults == []
    assert shared.rows(COUNTS) == [(24, EXECUTIONS, 1)]


def test_loaded_executions_are_checked_where_they_are(shared: Place, postgres: PostgresDatabase) -> None:
    shared.load()
    sound = check_executions(shared.warehouse)
    assert (sound.is_passed, sound.rows, sound.findings) == (True, EXECUTIONS, ())
    postgres.execute("update core.test_execution set outcome = 'odd' where ordinal = 0")
    postgres.execute("delete from core.run_attempt where run_id = '3'")
    found = {each.expectation: each for each in check_executions(shared.warehouse).findings}
    assert found["expect_column_values_to_be_in_set"].unexpected_count == EXECUTIONS / 4
    assert json.loads(found["expect_run_attempt_to_be_loaded"].examples[0])["run_id"] == "3"


def test_a_postgres_warehouse_is_asked_without_writing(shared: Place) -> None:
    shared.load()
    warehouse = shared.warehouse
    with ask(
        warehouse, "select outcome, count(*) as n, 1.50 as x from core.test_execution group by outcome order by 1"
    ) as a:
        assert [column.type for column in a.columns] == ["text", "int8", "numeric"]
        assert [row[:2] for batch in a.batches() for row in batch] == [("failed", 36), ("passed", 60)]
        assert not a.is_copy
    with ask(
        warehouse, "select run_id from core.run_attempt where run_id > $id order by 1;", {"id": "7"}, limit=1
    ) as a:
        assert a.frame()["run_id"].to_list() == ["8"]
    for sql, told in (
        ("delete from core.job", "this is a statement of the kind DELETE; write a select"),
        ("with gone as (delete from core.job returning 1) select * from gone", "in a read-only transaction"),
        ("select 1; select 2", "has several statements"),
        (" ; ", "the SQL is empty"),
        ("select\n  nope from core.job", r'column "nope" does not exist (line 2, column 3)'),
        ("select $x", "names the parameter $x, which is not given"),
    ):
        with pytest.raises(UsageError) as caught, ask(warehouse, sql):
            pass
        assert told in str(caught.value)


def test_the_command_line_says_in_a_line_what_is_wrong_and_no_password(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    command = [sys.executable, "-m", "flakeguard_pipeline.cli", "run", "--drop", "drop", "--warehouse"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("flakeguard")), *command[3:], "postgresql://ann:hush@127.0.0.1:1/db"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("flakeguard: cannot connect to the warehouse postgresql://ann:***@127.0.0.1:1/db: ")
    assert line.endswith("Connection refused; check the host and the port in the address, and that the server runs")
    assert not (tmp_path / ".flakeguard").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_under_duckdb_is_told_and_the_next_load_completes(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", small], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        place = make_place(tmp_path, warehouse=f"duckdb:///{small / 'warehouse.duckdb'}")
        flaky_history(place.source.path)
        place.land()
        upgrade(place.warehouse)
        filler = small / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with pytest.raises(WarehouseError, match=r"cannot be written or read: .*; make room"):
            place.load()
        filler.unlink()
        assert place.load().executions == EXECUTIONS
        assert place.rows(COUNTS) == [(24, EXECUTIONS, 1)]
    finally:
        subprocess.run(["umount", small], check=True)


def test_moments_of_the_future_and_the_past_are_stored_alike(shared: Place) -> None:
    with shared.warehouse.connect() as connection:
        moment = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
        assert connection.value("select $moment", {"moment": moment}) == moment
