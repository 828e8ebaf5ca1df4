"""Connections: what is bound and read, what a transaction undoes, and one plain error for each way they fail."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flakeguard_pipeline.domain.errors import ConfigurationError, WarehouseError, WarehouseLockedError
from flakeguard_pipeline.warehouse import duckdb_connection as module
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse

# Holds a warehouse open until its standard input ends.
HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse.duckdb"))


@pytest.fixture
def holder(warehouse: Warehouse) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(warehouse.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.stdin and not process.stdin.closed:
            process.stdin.close()


# -- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("duckdb:///some/file.duckdb", "some/file.duckdb"),
        ("duckdb:////srv/file.duckdb", "/srv/file.duckdb"),
        ("some/file.duckdb", "some/file.duckdb"),
        ("/srv/file.duckdb", "/srv/file.duckdb"),
        ("duckdb:///with space/ü.duckdb", "with space/ü.duckdb"),
    ],
)
def test_three_slashes_start_a_relative_path_and_four_an_absolute_one(url: str, path: str) -> None:
    assert Warehouse(url).path == Path(path)


@pytest.mark.parametrize("url", ["", " ", "duckdb:///", "duckdb://file.duckdb", "mysql://host/db", "s3://bucket/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no warehouse URL; write duckdb:///"):
        Warehouse(url)


def test_a_warehouse_is_shown_without_its_password() -> None:
    assert Warehouse("postgresql://user:secret@host/db").shown == "postgresql://user:***@host/db"
    assert Warehouse("postgresql://user@host:5433/db?password=secret").shown == "postgresql://user:***@host:5433/db"
    assert "secret" not in repr(Warehouse("postgresql://user:secret@host/db?sslpassword=secret"))
    assert Warehouse("duckdb:///a/b.duckdb").shown == "a/b.duckdb"


def test_the_folder_of_a_warehouse_is_made_when_it_is_first_opened(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path / "deep" / "er" / "warehouse.duckdb"))
    assert not warehouse.exists
    with warehouse.connect():
        pass
    assert warehouse.exists


# -- reading and writing -------------------------------------------------------------------------------------


def test_times_come_back_in_utc_whatever_zone_they_were_written_in(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        frame = connection.read("select timestamptz '2026-03-01 12:00:00.000001+05:30' as at, 'x' as other")
    assert frame.schema["at"] == pl.Datetime("us", "UTC")
    assert frame["at"][0] == datetime(2026, 3, 1, 6, 30, 0, 1, tzinfo=UTC)


def test_values_are_bound_by_name_and_never_become_part_of_the_statement(warehouse: Warehouse) -> None:
    hostile = "'; drop table t; --"
    with warehouse.connect() as connection:
        connection.execute("create table t (line text)")
        connection.execute("insert into t values ($line)", {"line": hostile})
        assert connection.value("select line from t where line = $line", {"line": hostile}) == hostile


def test_the_value_of_no_row_is_none(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        assert connection.value("select 1 where false") is None


def test_rows_go_in_by_the_names_of_their_columns_not_by_their_order(warehouse: Warehouse) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    frame = pl.DataFrame({"at": [moment], "last": ["c"], "first": ["a"]})
    with warehouse.connect() as connection:
        connection.execute('create table t ("first" text, "last" text, "at" timestamptz, more integer)')
        connection.insert("t", frame)
        connection.insert("t", frame.clear())
        assert connection.read("select * from t").rows() == [("a", "c", moment, None)]
        with pytest.raises(WarehouseError):
            connection.insert("t", frame.rename({"last": "lost"}))
        connection.insert("t", frame)
        assert connection.value("select count(*) from t") == 2


def test_a_frame_is_a_relation_only_while_its_block_runs(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        with connection.frame("mine", pl.DataFrame({"a": [1, 2]})):
            assert connection.value("select sum(a) from mine") == 3
        with pytest.raises(WarehouseError):
            connection.value("select sum(a) from mine")


def test_a_transaction_keeps_all_of_its_work(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, connection.transaction():
        connection.execute("create table t as select 1 as a")
        connection.execute("insert into t values (2)")
    with warehouse.connect(read_only=True) as connection:
        assert connection.value("select count(*) from t") == 2


def half_done(connection: Connection, error: BaseException) -> None:
    with connection.transaction():
        connection.execute("insert into t values (2)")
        connection.execute("create table u as select 1 as a")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_transaction_that_raises_undoes_all_of_its_work(warehouse: Warehouse, error: BaseException) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table t as select 1 as a")
        with pytest.raises(type(error)):
            half_done(connection, error)
        assert connection.value("select count(*) from t") == 1
        assert connection.value("select count(*) from duckdb_tables() where table_name = 'u'") == 0
        with connection.transaction():
            connection.execute("insert into t values (3)")
        assert connection.value("select count(*) from t") == 2


def insert_twice(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("insert into t values (1)")
        connection.execute("insert into t values (1)")


def test_a_transaction_whose_statement_fails_is_undone(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table t (a integer primary key)")
        with pytest.raises(duckdb.ConstraintException):
            insert_twice(connection)
        assert connection.value("select count(*) from t") == 0


def test_nothing_is_written_through_a_connection_for_reading(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table t (a integer)")
    with warehouse.connect(read_only=True) as connection, pytest.raises(duckdb.Error):
        connection.execute("insert into t values (1)")


# -- the ways it fails ---------------------------------------------------------------------------------------


def test_a_folder_is_no_warehouse(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"cannot open the warehouse .*; check that the path is a DuckDB file"):
        Warehouse(str(tmp_path)).connect().__enter__()


def test_a_folder_whose_name_speaks_of_locks_does_not_look_locked(tmp_path: Path) -> None:
    folder = tmp_path / "clockwork"
    folder.mkdir()
    started = datetime.now(UTC)
    with pytest.raises(WarehouseError) as raised:
        Warehouse(str(folder)).connect().__enter__()
    assert not isinstance(raised.value, WarehouseLockedError)
    assert datetime.now(UTC) - started < timedelta(seconds=5)


@pytest.mark.parametrize("name", ["plain.txt", "blocked.txt", "clock.txt"])
def test_a_file_of_another_kind_is_no_warehouse_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("something else altogether")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file") as raised:
        Warehouse(str(tmp_path / name)).connect().__enter__()
    assert not isinstance(raised.value, WarehouseLockedError)
    assert (tmp_path / name).read_text() == "something else altogether"


def test_a_warehouse_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match=r"cannot make the folder .* choose another place with --warehouse"):
        Warehouse(str(tmp_path / "file" / "warehouse.duckdb")).connect().__enter__()


def test_reading_a_warehouse_that_is_not_there_is_one_plain_error(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="cannot open the warehouse"), warehouse.connect(read_only=True):
        pass


def test_a_lock_is_waited_for_and_then_named_with_its_holder(
    warehouse: Warehouse, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 0.3)
    expected = rf"is locked by another process \(process {holder.pid}\); wait until it has finished"
    with pytest.raises(WarehouseLockedError, match=expected) as raised:
        warehouse.connect().__enter__()
    assert str(warehouse.path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_lock_that_is_let_go_in_time_stops_nobody(
    warehouse: Warehouse, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    def let_go(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1 and holder.stdin:
            holder.stdin.close()
            holder.wait(timeout=30)

    monkeypatch.setattr(module.time, "sleep", let_go)
    with warehouse.connect() as connection:
        assert connection.value("select 1") == 1
    assert naps


@pytest.mark.parametrize("name", ["core.duckdb", "Marts.2026.duckdb", "temp"])
def test_a_file_that_duckdb_would_take_for_a_schema_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ConfigurationError, match=r"would take '(core|Marts|temp)' for one of its schemas"):
        Warehouse(str(tmp_path / name))
