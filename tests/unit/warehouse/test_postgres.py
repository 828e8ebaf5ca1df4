"""Postgres warehouses: sessions, values, locks, and one clear line for each way that they fail."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg2
import pytest

from flakeguard_pipeline.domain.errors import (
    ConfigurationError,
    OperationError,
    WarehouseError,
    WarehouseInterruptedError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from flakeguard_pipeline.postgres_address import completed
from flakeguard_pipeline.warehouse import load, postgres_connection, postgres_session, tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.repeating import TRIES, repeated
from tests.support.postgres import PostgresDatabase, PostgresServer

NAMES = ["a", "B", "_", "é", "Z", "ä", "ß", "İ", "i", "e\u0301", "\U0001f600", "\ufffe", "\u202eabc", "", "x" * 5000]

JOB: dict[str, Any] = {
    "org": "acme",
    "repository_id": "github:7",
    "run_id": "1",
    "run_attempt": 1,
    "job_id": "9",
    "name": "unit",
    "conclusion": "success",
    "started_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "completed_at": None,
    "labels": "[]",
    "runner_name": "",
}


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    made = postgres_server.database()
    upgrade(Warehouse(made.url))
    yield made
    postgres_session.close_pools()
    made.drop()


@pytest.fixture
def warehouse(database: PostgresDatabase) -> Warehouse:
    database.execute("truncate core.job")
    return Warehouse(database.url)


def message(kind: type[Exception], warehouse: Warehouse, sql: str = "select 1") -> str:
    """Return the line of an error, which is one and names no password."""
    with pytest.raises(kind) as caught, warehouse.connect() as connection:
        connection.read(sql)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.__cause__ is None
    return text


def insert_job(connection: Connection, **fields: Any) -> None:
    connection.insert("core.job", load.frame_of(tables.job, [{**JOB, **fields}]))


def insert_twice(connection: Connection) -> None:
    insert_job(connection)
    insert_job(connection)


def insert_and_fail(connection: Connection, code: str, words: str = "undone") -> None:
    insert_job(connection)
    connection.execute(f"do $$ begin raise exception '{words}' using errcode = '{code}'; end $$")


def insert_and_vanish(connection: Connection) -> None:
    insert_job(connection)
    connection.read("select pg_terminate_backend(pg_backend_pid())")


def run_at_once(warehouse: Warehouse) -> None:
    with warehouse.run_alone():
        raise AssertionError("two runs at once")


def write_at_once(connection: Connection) -> None:
    with connection.transaction():
        raise AssertionError("two transactions at once")


# -- sessions ------------------------------------------------------------------------------------------------


def test_sessions_are_made_alike_whatever_the_server_is_set_to(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        told = {
            name: connection.value(f"select current_setting('{name}')")
            for name in (
                "timezone", "search_path", "standard_conforming_strings", "application_name", "statement_timeout",
                "lock_timeout", "client_encoding", "idle_in_transaction_session_timeout",
            )
        }  # fmt: skip
    assert told == {
        "timezone": "UTC",
        "search_path": "",
        "standard_conforming_strings": "on",
        "application_name": "flakeguard",
        "statement_timeout": "1h",
        "lock_timeout": "2min",
        "client_encoding": "UTF8",
        "idle_in_transaction_session_timeout": "15min",
    }


def test_an_address_may_set_its_own_timeout_and_name(database: PostgresDatabase) -> None:
    own = Warehouse(f"{database.url}?options=-c%20statement_timeout%3D7s&application_name=mine")
    with own.connect() as connection:
        assert connection.value("select current_setting('statement_timeout')") == "7s"
        assert connection.value("select current_setting('application_name')") == "mine"


def test_what_libpq_is_told_elsewhere_stands() -> None:
    assert "connect_timeout=10" in completed("postgresql://h/d", {})
    assert "connect_timeout" not in completed("postgresql://h/d", {"PGCONNECT_TIMEOUT": "3"})
    assert completed("postgres://u:p%40@h/d?connect_timeout=3&sslmode=verify-full", {}).startswith(
        "postgresql://u:p%40@h/d?connect_timeout=3&sslmode=verify-full&fallback_application_name=flakeguard&"
    )


def test_a_session_is_used_again_unless_it_was_left_in_a_transaction(warehouse: Warehouse) -> None:
    pid = "select pg_backend_pid()"
    with warehouse.connect() as connection:
        first = connection.value(pid)
    with warehouse.connect() as connection:
        assert connection.value(pid) == first
        connection.execute("begin")
    with warehouse.connect() as connection:
        assert connection.value(pid) != first


def test_a_session_that_the_server_ended_is_replaced_unnoticed(
    warehouse: Warehouse, postgres_server: PostgresServer
) -> None:
    with warehouse.connect() as connection:
        pid = connection.value("select pg_backend_pid()")
    with closing(psycopg2.connect(postgres_server.url)) as admin, admin.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s, 5000)", [pid])
    with warehouse.connect() as connection:
        assert connection.value("select 1") == 1


def test_a_fork_leaves_its_parent_the_sessions(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        mine = connection.value("select pg_backend_pid()")
    child = os.fork()
    if child == 0:
        with warehouse.connect() as connection:
            is_other = connection.value("select pg_backend_pid()") != mine
        os._exit(0 if is_other else 1)
    assert os.waitpid(child, 0)[1] == 0
    with warehouse.connect() as connection:
        assert connection.value("select pg_backend_pid()") == mine


# -- values --------------------------------------------------------------------------------------------------


def test_odd_text_comes_back_as_it_was_and_is_ordered_bytewise(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = [{**JOB, "job_id": str(number), "name": name} for number, name in enumerate(NAMES)]
        connection.insert("core.job", load.frame_of(tables.job, rows))
        stored = connection.read("select name from core.job order by name")["name"].to_list()
        frame = pl.DataFrame({"name": NAMES})
        with connection.frame("_named", frame):
            framed = connection.read("select name from _named order by name")["name"].to_list()
        least = connection.value("select min(name) from core.job where name > $name", {"name": "Z"})
    assert stored == framed == sorted(NAMES, key=str.encode)
    assert least == "_"


def test_frames_are_stored_in_the_types_of_the_table(warehouse: Warehouse) -> None:
    narrow = load.frame_of(tables.job, [JOB]).with_columns(
        pl.col("run_attempt").cast(pl.Int64), pl.col("started_at").dt.cast_time_unit("ms")
    )
    with warehouse.connect() as connection:
        connection.insert("core.job", narrow)
        assert connection.read("select run_attempt, started_at from core.job").row(0) == (1, JOB["started_at"])


def test_a_frame_is_gone_after_its_block_also_where_that_fails(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        with pytest.raises(WarehouseError), connection.frame("_numbers", pl.DataFrame({"n": [1, 2]})):
            connection.read("select n, nothing from _numbers")
        with connection.transaction(), connection.frame("_numbers", pl.DataFrame({"other": [True]})):
            assert connection.value("select other from _numbers") is True
        with pytest.raises(WarehouseError, match="_numbers"):
            connection.read("select * from _numbers")


def test_a_value_that_is_refused_is_not_the_warehouse_s_fault(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, pytest.raises(OperationError) as caught:
        insert_job(connection, name="a\0b")
    assert not isinstance(caught.value, WarehouseError)
    assert "refuses a value: invalid byte sequence" in str(caught.value)


# -- transactions and locks ----------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        with pytest.raises(OperationError, match="duplicate key"), connection.transaction():
            insert_twice(connection)
        assert connection.value("select count(*) from core.job") == 0
        with connection.transaction():
            insert_job(connection)
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from core.job") == 1


def test_of_two_writers_the_second_sees_what_the_first_wrote(warehouse: Warehouse) -> None:
    begun, seen = threading.Event(), []

    def second() -> None:
        with warehouse.connect() as connection:
            begun.set()
            with connection.transaction():
                seen.append(connection.value("select count(*) from core.job"))

    other = threading.Thread(target=second)
    with warehouse.connect() as connection, connection.transaction():
        other.start()
        assert begun.wait(10)
        other.join(0.3)
        assert other.is_alive(), "two transactions wrote at once"
        insert_job(connection)
    other.join(10)
    assert seen == [1]


def test_who_waits_for_a_writer_for_too_long_is_told(warehouse: Warehouse) -> None:
    with warehouse.connect() as holder, holder.transaction(), warehouse.connect() as connection:
        connection.execute("set lock_timeout = '50ms'")
        with pytest.raises(WarehouseLockedError, match=r"locked by another process: .*; wait until it has finished"):
            write_at_once(connection)
        connection.execute("begin")  # so that this session is not used again


def test_one_run_at_a_time_works_on_a_warehouse(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "RUN_LOCK_WAIT_SECONDS", 0.1)
    with warehouse.run_alone():
        with pytest.raises(WarehouseLockedError, match=r"another run is at work on .* \(from 127.0.0.1, since 20"):
            run_at_once(warehouse)
        with warehouse.connect() as connection, connection.transaction():
            insert_job(connection)  # a run's own transactions are not kept out
    with warehouse.run_alone():
        pass


# -- trying again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["40001", "40P01", "57P01"])
def test_a_unit_of_work_that_was_undone_is_done_again(warehouse: Warehouse, code: str) -> None:
    waits: list[float] = []

    def work() -> int:
        with warehouse.connect() as connection, connection.transaction():
            insert_job(connection)
            if len(waits) < 2:
                connection.execute(f"do $$ begin raise exception 'undone' using errcode = '{code}'; end $$")
        return len(waits)

    assert repeated(work, waits.append) == 2
    assert 0 < waits[0] < waits[1] * 2
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from core.job") == 1


def test_trying_again_has_an_end_and_other_errors_are_not_tried_again() -> None:
    waits: list[float] = []

    def lost() -> None:
        raise WarehouseInterruptedError("lost")

    def unreachable() -> None:
        waits.append(-1)
        raise WarehouseUnreachableError("gone")

    with pytest.raises(WarehouseInterruptedError):
        repeated(lost, waits.append)
    assert len(waits) == TRIES - 1
    waits.clear()
    with pytest.raises(WarehouseUnreachableError):
        repeated(unreachable, waits.append)
    assert waits == [-1]


def test_a_connection_that_is_lost_in_a_transaction_undoes_it(warehouse: Warehouse) -> None:
    lost = r"the connection to the warehouse .* was lost"
    with (
        pytest.raises(WarehouseInterruptedError, match=lost),
        warehouse.connect() as connection,
        connection.transaction(),
    ):
        insert_and_vanish(connection)
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from core.job") == 0


# -- one line each -------------------------------------------------------------------------------------------


def test_a_wrong_password_an_unknown_database_and_a_silent_host_are_told(database: PostgresDatabase) -> None:
    start, _, place = database.url.rpartition("@")
    wrong = message(WarehouseUnreachableError, Warehouse(f"{start}x@{place}"))
    assert "password authentication failed" in wrong
    assert "; check the user and the password" in wrong
    unknown = message(WarehouseUnreachableError, Warehouse(f"{database.url}x"))
    assert "does not exist; make it (`create database`)" in unknown
    silent = message(WarehouseUnreachableError, Warehouse("postgresql://user:hush@127.0.0.1:1/db"))
    assert "Connection refused; check the host and the port" in silent
    nonsense = message(WarehouseUnreachableError, Warehouse(f"{database.url}?colour=red"))
    assert "check the settings after the `?`" in nonsense
    password = start.rpartition(":")[2]
    assert not any(password in each or "hush" in each for each in (wrong, unknown, silent, nonsense))


@pytest.mark.parametrize(
    "url", ["postgresql://u:hu/sh@host/db", "postgresql://u:hu@sh@host/db", "postgres://u:hush@host:sh/db",
            "postgresql://u:hu#sh@host/db", "postgresql://u:hu?sh@host/db", "postgresql://u:[sh@host/db"],
)  # fmt: skip
def test_an_address_with_a_raw_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        Warehouse(url)
    assert "sh@" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_role_without_rights_is_told_what_to_grant(
    database: PostgresDatabase, postgres_server: PostgresServer
) -> None:
    stranger = postgres_server.database()
    try:
        url = f"{stranger.url.rpartition('/')[0]}/{database.name}"
        told = message(WarehouseError, Warehouse(url), "select * from core.run_attempt")
        assert f"refuses the role {stranger.name}: permission denied for schema core" in told
        assert f'`grant usage, create on schema core to "{stranger.name}"`' in told
        database.execute(f"grant usage on schema core to {stranger.name}")
        told = message(WarehouseError, Warehouse(url), "select * from core.run_attempt")
        right = f'grant select, insert, update, delete on all tables in schema core to "{stranger.name}"'
        assert f"`{right}`, or run as the role that owns the table" in told
        database.execute("create table core.by_hand ()")
        told = message(WarehouseError, Warehouse(url), "select * from core.by_hand")
        assert f'have the owner of the table by_hand grant "{stranger.name}" what is needed, or run as' in told
        database.execute("drop table core.by_hand")
        database.execute(f"revoke all on schema core from {stranger.name}")
    finally:
        postgres_session.close_pools()
        stranger.drop()


def test_a_table_that_was_altered_by_hand_is_told(warehouse: Warehouse, database: PostgresDatabase) -> None:
    database.execute("alter table core.job rename column labels to tags")
    try:
        with warehouse.connect() as connection, pytest.raises(WarehouseError, match=r"labels.*flakeguard migrate"):
            insert_job(connection)
        assert "flakeguard migrate check" in message(WarehouseError, warehouse, "select labels from core.job")
    finally:
        database.execute("alter table core.job rename column tags to labels")


def test_a_statement_that_takes_too_long_is_ended_and_told(database: PostgresDatabase) -> None:
    hasty = Warehouse(f"{database.url}?options=-c%20statement_timeout%3D50")
    told = message(WarehouseError, hasty, "select pg_sleep(5)")
    assert "ended a statement: canceling statement due to statement timeout" in told


def test_a_full_disk_is_told_and_nothing_is_half_written(warehouse: Warehouse) -> None:
    full = r"is out of room: No space left.*make room on the server"
    with pytest.raises(WarehouseError, match=full), warehouse.connect() as connection, connection.transaction():
        insert_and_fail(connection, "53100", "No space left on device")
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from core.job") == 0


def test_a_connection_for_reading_refuses_to_write(warehouse: Warehouse) -> None:
    with warehouse.connect(read_only=True) as connection, pytest.raises(WarehouseError, match="takes no writes"):
        insert_job(connection)


def test_a_server_knows_its_tables_before_they_are_asked_for_much(
    warehouse: Warehouse, database: PostgresDatabase
) -> None:
    known = "select reltuples from pg_class where oid = 'core.job'::regclass"
    with warehouse.connect() as connection:
        connection.insert("core.job", load.frame_of(tables.job, [JOB]))
        before = database.execute(known)
        load.refresh_statistics(connection)
    assert (before, database.execute(known)) == ([(-1.0,)], [(1.0,)])
