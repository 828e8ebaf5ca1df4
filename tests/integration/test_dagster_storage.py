"""Dagster's history in Postgres: several processes share it, and a run whose process was killed is recovered."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from assets.dagster_yaml import PASSWORD_VARIABLE, dagster_yaml
from assets.groups import WAREHOUSE_POOL
from assets.instance import opened, prepare_pools
from flakeguard_pipeline.dagster_storage import DagsterStorage, parse_storage
from tests.support.dagster_server import DagsterServer, dagster_server
from tests.support.drops import add_run, case, report, run_object, zipped
from tests.support.postgres import PostgresDatabase, PostgresServer

DAY = datetime(2026, 5, 6, 9, tzinfo=UTC)
OTHER_RUN = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Deployment:
    """The servers, their storage, and the folder with all else."""

    server: DagsterServer
    database: PostgresDatabase
    storage: DagsterStorage
    folder: Path

    def rows(self, store: Path, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def deployment(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Webserver, daemon and code server on a storage in Postgres; run monitoring looks every second."""
    folder = tmp_path_factory.mktemp("deployment")
    database = postgres_server.database()
    storage = parse_storage(database.url)
    home = folder / "dagster"
    with opened(home, storage):
        (home / "dagster.yaml").write_text(dagster_yaml(storage, poll_seconds=1))
    environment = {
        "DAGSTER_HOME": str(home),
        "FLAKEGUARD_HOME": str(folder),
        PASSWORD_VARIABLE: str(storage.password),
    }
    with dagster_server(folder, environment) as server:
        server.stop_schedules()
        yield Deployment(server, database, storage, folder)
        assert str(storage.password) not in server.log.read_text()
    database.drop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed", ["its worker", "its worker and its code server"])
def test_a_run_that_was_killed_is_recovered_and_nothing_is_doubled(deployment: Deployment, tmp_path: Path, killed: str):
    server = deployment.server
    add_run(tmp_path / "drop", run_object(1, started=DAY), {"a.zip": zipped({"r.xml": report(case("a"), case("b"))})})
    with opened(deployment.folder / "dagster", deployment.storage) as instance:
        events = instance.event_log_storage
        prepare_pools(instance)
        assert events.claim_concurrency_slot(WAREHOUSE_POOL, OTHER_RUN, "a_step").is_claimed
        try:
            day = f"{DAY:%Y-%m-%d}"
            tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
            run_id = server.launch_run("ingest", tags, _config(tmp_path))
            server.wait(
                "the run to have landed, and to wait for the warehouse",
                lambda: any(
                    each.run_id == run_id for each in events.get_concurrency_info(WAREHOUSE_POOL).pending_steps
                ),
                90,
            )
            worker = _worker_of(instance, run_id)
            victims = [worker] if killed == "its worker" else [_parent_of(worker), worker]
            for each in victims:
                os.kill(each, signal.SIGKILL)
        finally:
            events.free_concurrency_slots_for_run(OTHER_RUN)
        retried = server.wait("the retry", lambda: _retry_of(instance, run_id), 120)
        server.wait_for_run(retried, 120)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert [
            each.status.value for each in instance.get_runs(dg.RunsFilter(tags={"dagster/root_run_id": run_id}))
        ] == ["SUCCESS"]
        told = " ".join(entry.message for entry in instance.all_logs(run_id))
        assert events.get_concurrency_info(WAREHOUSE_POOL).claimed_slots == []
    assert ("signal" if killed == "its worker" else "its process is gone") in told
    assert deployment.rows(tmp_path, "select run_id, run_attempt from core.run_attempt") == [("1", 1)]
    assert deployment.rows(tmp_path, "select name from core.test_execution order by name") == [("a",), ("b",)]


def _config(folder: Path) -> dict[str, Any]:
    workspace = {
        "drop": str(folder / "drop"),
        "warehouse": f"duckdb:///{folder / 'warehouse.duckdb'}",
        "landing": str(folder / "landing"),
        "out": str(folder / "quarantine"),
    }
    return {"resources": {"workspace": {"config": workspace}}}


def _worker_of(instance: dg.DagsterInstance, run_id: str) -> int:
    """Return the process of a run, which Dagster's events name."""
    (pid,) = {
        int(entry.message.partition("(pid: ")[2].rstrip(")"))
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if entry.message.startswith("Executing steps in process (pid: ")
    }
    return pid


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _retry_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
    return runs[0].run_id if runs else None
