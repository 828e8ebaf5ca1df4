"""Dagster's history in Postgres: machines share it, and a run whose process was killed is recovered."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from assets.build import build_idle_defs
from assets.dagster_yaml import PASSWORD_VARIABLE, dagster_yaml
from assets.groups import WAREHOUSE_POOL
from assets.instance import exclusive, opened, prepare_pools
from assets.locks import Locks, LockTakenError, held, locks_of
from assets.resources import ClockResource, WorkspaceResource
from flakeguard_pipeline.dagster_storage import DagsterStorage, parse_storage
from flakeguard_pipeline.domain.errors import FlakeGuardError, OperationError
from flakeguard_pipeline.progress import Silent
from tests.support.dagster_server import dagster_server
from tests.support.drops import add_run, case, report, run_object, zipped
from tests.support.postgres import PostgresDatabase, PostgresServer

DAY = datetime(2026, 5, 6, 9, tzinfo=UTC)
OTHER_RUN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opening an instance puts into the environment is gone after each test."""
    for name in ("DAGSTER_HOME", PASSWORD_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A database with Dagster's tables, which the tests here share."""
    made = postgres_server.database()
    yield made
    made.drop()


@pytest.fixture
def storage(database: PostgresDatabase) -> DagsterStorage:
    return parse_storage(database.url)


@pytest.fixture(params=["files", "postgres"])
def either(request: pytest.FixtureRequest) -> DagsterStorage | None:
    """Both ways of keeping history."""
    if request.param == "files":
        return None
    found: DagsterStorage = request.getfixturevalue("storage")
    return found


@pytest.mark.timeout(300)
def test_a_run_whose_worker_was_killed_is_recovered_and_nothing_is_doubled(
    database: PostgresDatabase, storage: DagsterStorage, tmp_path: Path
):
    home = tmp_path / "dagster"
    add_run(tmp_path / "drop", run_object(1, started=DAY), {"a.zip": zipped({"r.xml": report(case("a"), case("b"))})})
    with ExitStack() as stack:
        instance = stack.enter_context(opened(home, storage))
        (home / "dagster.yaml").write_text(dagster_yaml(storage, poll_seconds=1))
        environment = {"DAGSTER_HOME": str(home), "FLAKEGUARD_HOME": str(tmp_path)}
        server = stack.enter_context(dagster_server(tmp_path, environment))
        stack.callback(lambda: print(server.tail()))  # noqa: T201
        server.stop_schedules()
        events = instance.event_log_storage
        prepare_pools(instance)
        assert events.claim_concurrency_slot(WAREHOUSE_POOL, OTHER_RUN, "a_step").is_claimed
        try:
            day = f"{DAY:%Y-%m-%d}"
            tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
            run_id = server.launch_run("ingest", tags, _config(tmp_path))
            what = "the run to have landed, and to wait for the warehouse"
            server.wait(what, lambda: run_id in _waiting(instance), 90)
            worker = _worker_of(instance, run_id)
            assert locks_of(instance).is_held(f"run-{run_id}")
            os.kill(worker, signal.SIGKILL)
        finally:
            events.free_concurrency_slots_for_run(OTHER_RUN)
        retried = server.wait("the retry", lambda: _retry_of(instance, run_id), 60)
        server.wait_for_run(retried, 120)
        record = instance.get_run_record_by_id(run_id)
        assert record is not None
        assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
        assert abs((datetime.now(UTC) - record.create_timestamp).total_seconds()) < 600
        group = instance.get_run_group(run_id)
        assert group is not None
        assert sorted(each.status.value for each in group[1]) == ["FAILURE", "SUCCESS"]
        assert events.get_concurrency_info(WAREHOUSE_POOL).claimed_slots == []
        configured = server.ask("{ instance { info } }")["info"]
    assert "run_storage: PostgresRunStorage" in configured
    for text in (configured, server.log.read_text(), (home / "dagster.yaml").read_text()):
        assert str(storage.password) not in text
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        attempts = connection.execute("select run_id, run_attempt from core.run_attempt").fetchall()
        names = connection.execute("select name from core.test_execution order by name").fetchall()
    assert (attempts, names) == ([("1", 1)], [("a",), ("b",)])
    assert database.execute("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def test_a_lock_ends_with_the_process_that_held_it(either: DagsterStorage | None, tmp_path: Path):
    with opened(tmp_path / "dagster", either) as instance:
        locks = locks_of(instance)
        script = (
            "import sys, time, dagster\n"
            "from assets.locks import held, locks_of\n"
            "with dagster.DagsterInstance.get() as instance, held(locks_of(instance), 'a'):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(600)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"held\n"
                assert locks.is_held("a")
                assert not locks.is_held("b")
                with pytest.raises(LockTakenError):
                    locks.take("a")
            finally:
                process.kill()
        _wait_until_free(locks, "a")
        with held(locks, "a") as lock:
            assert lock.is_ours()
        assert not locks.is_held("a")


def test_a_lock_whose_connection_was_lost_is_taken_again_unless_another_has_it(
    database: PostgresDatabase, storage: DagsterStorage, tmp_path: Path
):
    with opened(tmp_path / "dagster", storage) as instance, held(locks_of(instance), "lost") as lock:
        others = "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory'"
        assert database.execute(others) == [(True,)]
        assert lock.is_ours()
        assert database.execute(others) == [(True,)]
        with held(locks_of(instance), "lost"):
            assert not lock.is_ours()


def test_of_two_machines_one_runs(storage: DagsterStorage, tmp_path: Path):
    for _ in range(2):  # the second finds everything made
        with exclusive(tmp_path / "one", Silent(), storage) as own:
            with (
                pytest.raises(OperationError, match=r"at work in postgresql://.*, schema dagster; wait") as caught,
                exclusive(tmp_path / "two", Silent(), storage),
            ):
                pass
            assert str(storage.password) not in str(caught.value)
            own.require()


def test_a_run_that_holds_a_pool_and_whose_process_is_gone_stops_nobody(either: DagsterStorage | None, tmp_path: Path):
    with opened(tmp_path / "dagster", either) as instance:
        prepare_pools(instance)
        run = _started(instance)
        assert instance.event_log_storage.claim_concurrency_slot(WAREHOUSE_POOL, run.run_id, "a_step").is_claimed
    with exclusive(tmp_path / "dagster", Silent(), either) as own:
        found = own.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE
        assert own.instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL).claimed_slots == []


def test_run_monitoring_tells_a_run_at_work_from_one_that_is_gone(either: DagsterStorage | None, tmp_path: Path):
    with opened(tmp_path / "dagster", either) as instance:
        run, of_command = _started(instance), _started(instance, {"flakeguard/launched_by": "flakeguard run"})
        with held(locks_of(instance), f"run-{run.run_id}", once=True):
            assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
        assert instance.run_launcher.check_run_worker_health(run).status.value == "FAILED"
        with held(locks_of(instance), "run"):
            assert instance.run_launcher.check_run_worker_health(of_command).status.value == "RUNNING"
        for each in (run, of_command):
            instance.report_run_failed(each)
    assert list((tmp_path / "dagster").glob("run-*")) == []


@contextmanager
def _changed(database: PostgresDatabase, change: str, back: str) -> Iterator[None]:
    database.execute(change)
    try:
        yield
    finally:
        database.execute(back)


def test_a_storage_of_another_version_of_dagster_is_told(
    database: PostgresDatabase, storage: DagsterStorage, tmp_path: Path
):
    with opened(tmp_path / "dagster", storage):
        pass
    ((version,),) = database.execute("select version_num from dagster.alembic_version")
    back = f"update dagster.alembic_version set version_num = '{version}'"
    for found, told in (
        ("29a8e9d74220", r"was made by an older Dagster; .* `DAGSTER_HOME=.* dagster instance migrate`"),
        ("ffffffffffff", r"was made by a newer Dagster than .*; bring this installation up to date"),
    ):
        with (
            _changed(database, f"update dagster.alembic_version set version_num = '{found}'", back),
            pytest.raises(OperationError, match=told),
            opened(tmp_path / "dagster", storage),
        ):
            pass
    with opened(tmp_path / "dagster", storage):
        pass


def test_a_storage_that_cannot_be_used_is_told_in_one_line_without_the_password(
    postgres_server: PostgresServer, database: PostgresDatabase, storage: DagsterStorage, tmp_path: Path
):
    other = postgres_server.database()
    try:
        theirs = parse_storage(other.url)
        database.execute(f"grant connect on database {database.name} to {other.name}")
        cases = {
            "Connection refused": replace(storage, port=_free_port()),
            "password authentication failed for user .*; check the password": replace(storage, password="wr0ng-s3cret"),
            'database "nothing" does not exist': replace(storage, database="nothing"),
            "may not make the schema other in .* create schema other authorization": replace(
                theirs, database=storage.database, schema="other"
            ),
            "may not use the schema dagster in": replace(theirs, database=storage.database),
        }
        with opened(tmp_path / "one", storage):
            pass
        for told, each in cases.items():
            with pytest.raises(OperationError, match=told) as caught, opened(tmp_path / "two", each):
                pass
            assert "\n" not in str(caught.value)
            assert str(each.password) not in str(caught.value)
    finally:
        database.execute(f"revoke connect on database {database.name} from {other.name}")
        other.drop()


def test_dagster_yaml_follows_the_configuration_until_somebody_changes_it(storage: DagsterStorage, tmp_path: Path):
    home = tmp_path / "dagster"
    path = home / "dagster.yaml"
    with opened(home) as instance:
        assert type(instance.event_log_storage).__name__ == "SqliteEventLogStorage"
    with opened(home, storage) as instance:
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
    assert str(storage.password) not in path.read_text()
    with opened(home):
        pass
    path.write_text(path.read_text() + "# mine\n")
    with opened(home):
        pass
    with (
        pytest.raises(FlakeGuardError, match=r"was changed by hand and does not keep Dagster's history in"),
        opened(home, storage),
    ):
        pass
    assert path.read_text().endswith("# mine\n")


def _started(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """Return a run that has started, and whose process is not there."""
    resources = {"workspace": WorkspaceResource(), "clock": ClockResource()}
    job = build_idle_defs(resources).resolve_job_def("score_idle")
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


def _config(folder: Path) -> dict[str, Any]:
    workspace = {
        "drop": str(folder / "drop"),
        "warehouse": f"duckdb:///{folder / 'warehouse.duckdb'}",
        "landing": str(folder / "landing"),
        "out": str(folder / "quarantine"),
    }
    return {"resources": {"workspace": {"config": workspace}}}


def _waiting(instance: dg.DagsterInstance) -> set[str]:
    """Return the runs that wait for the warehouse."""
    return {each.run_id for each in instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL).pending_steps}


def _worker_of(instance: dg.DagsterInstance, run_id: str) -> int:
    """Return the process of a run, which Dagster's events name."""
    told = [entry.message for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)]
    (pid,) = {found[1] for each in told if (found := re.match(r"Executing steps in process \(pid: (\d+)\)", each))}
    return int(pid)


def _retry_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
    return runs[0].run_id if runs else None


def _wait_until_free(locks: Locks, name: str) -> None:
    deadline = time.monotonic() + 10
    while locks.is_held(name):
        assert time.monotonic() < deadline, f"the lock {name} outlived its process"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
