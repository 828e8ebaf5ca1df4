"""The Dagster UI and its daemon on a real instance: what people do there, done over GraphQL as the UI does it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets.instance import prepare_home
from flakeguard_pipeline.simulator.drop_folder import write_drop_folder
from flakeguard_pipeline.simulator.history import SimulationParameters, simulate
from tests.support.dagster_server import DAGSTER, ROOT, DagsterServer, dagster_server
from tests.support.drops import add_run, case, flaky_history, report, run_object, zipped

INGESTED = [["raw", "raw_artifact"], ["core", "run_attempt"], ["core", "test_execution"], ["core", "rejected_artifact"]]
SENSOR = "drop_folder_sensor"
EARLY, LATE = datetime(2024, 5, 6, 9, tzinfo=UTC), datetime(2024, 5, 8, 9, tzinfo=UTC)

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Store:
    """Where one test keeps what it makes, told to its runs by their configuration."""

    folder: Path

    @property
    def drop(self) -> Path:
        return self.folder / "drop"

    def config(self, as_of: datetime | None = None) -> dict[str, Any]:
        workspace = {
            "drop": str(self.drop),
            "warehouse": f"duckdb:///{self.folder / 'warehouse.duckdb'}",
            "landing": str(self.folder / "landing"),
            "out": str(self.folder / "quarantine"),
        }
        clock = {"clock": {"config": {"as_of": as_of.isoformat()}}} if as_of else {}
        return {"resources": {"workspace": {"config": workspace}, **clock}}

    def rows(self, sql: str) -> Rows:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the sensor watches."""
    return Store(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def shared_server(watched: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """The servers. One run waits in the drop folder as they start, and one comes when they have looked at it."""
    folder = tmp_path_factory.mktemp("instance")
    workspace = watched.config()["resources"]["workspace"]["config"]
    environment = {
        "DAGSTER_HOME": str(prepare_home(folder / "dagster")),
        "FLAKEGUARD_HOME": str(folder),
        **{f"FLAKEGUARD_{name.upper()}": value for name, value in workspace.items()},
    }
    _drop(watched, 1, EARLY)
    with dagster_server(folder, environment) as server:
        assert server.stop_schedules() == ["export_every_six_hours", "score_hourly"]
        server.wait("the sensor's first look", lambda: _requests(server), 60)
        _drop(watched, 2, LATE)
        yield server


@pytest.fixture
def server(shared_server: DagsterServer) -> Iterator[DagsterServer]:
    """The servers; what they said is shown with a test that fails."""
    yield shared_server
    print(shared_server.tail())  # noqa: T201


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.timeout(300)
def test_the_code_location_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", str(prepare_home(tmp_path / "dagster")))
    monkeypatch.setenv("FLAKEGUARD_HOME", str(tmp_path))
    command = [DAGSTER, "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "warehouse.duckdb").exists()


@pytest.mark.timeout(300)
def test_everything_is_materialised_from_the_ui(server: DagsterServer, store: Store):
    parameters = SimulationParameters(start=date(2026, 9, 1), days=12, runs_per_day=3, tests=24)
    write_drop_folder(simulate(parameters), store.drop)
    tags = {
        "dagster/asset_partition_range_start": "2026-09-01",
        "dagster/asset_partition_range_end": "2026-09-12",
    }
    run_id = server.launch_run("flakeguard", tags, store.config(datetime(2026, 9, 13, tzinfo=UTC)))
    server.wait_for_run(run_id, 180)
    made = server.assets_made_by(run_id)
    assert set(made.values()) == {True}, made
    assert ("2026-09-01", "2026-09-12") in server.materialised_ranges(["core", "test_execution"])
    ((variants, tests),) = store.rows("select count(*), count(distinct test_key) from marts.test_health")
    assert (variants, tests) == (48, 24)
    (exported,) = (store.folder / "quarantine").rglob("*.json")
    assert json.loads(exported.read_text())["as_of"].startswith("2026-09-13T00:00:00")


@pytest.mark.timeout(300)
def test_thirty_days_are_backfilled_while_the_ui_is_open(server: DagsterServer, store: Store):
    first = date(2025, 3, 1)
    write_drop_folder(simulate(SimulationParameters(start=first, days=34, runs_per_day=1, tests=24)), store.drop)
    days = [(first + timedelta(days=number)).isoformat() for number in range(2, 32)]
    backfill_id = server.launch_backfill(INGESTED, days, store.config())
    status, page = server.get("/overview/backfills")
    assert (status, "<html" in page.lower()) == (200, True)
    backfill = server.wait_for_backfill(backfill_id, 240)
    assert (backfill["status"], backfill["numPartitions"]) == ("COMPLETED_SUCCESS", 30)
    (run,) = backfill["runs"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/asset_partition_range_start"] == days[0]
    assert tags["dagster/asset_partition_range_end"] == days[-1]
    for asset in INGESTED:
        assert (days[0], days[-1]) in server.materialised_ranges(asset)
    loaded = store.rows("select distinct strftime(run_started_at at time zone 'UTC', '%Y-%m-%d') from core.run_attempt")
    assert sorted(day for (day,) in loaded) == days
    assert store.rows("select count(*) > 0 from core.test_execution") == [(True,)]


@pytest.mark.timeout(300)
def test_the_sensor_asks_once_for_each_new_run_folder(server: DagsterServer, watched: Store):
    run_ids = server.wait("both requests", lambda: ids if len(ids := _requests(server)) >= 2 else None, 150)
    for run_id in run_ids:
        server.wait_for_run(run_id, 120)
    loaded = watched.rows("select run_id, run_attempt from core.run_attempt order by run_id")
    assert loaded == [("1", 1), ("2", 1)]
    ticks = server.ticks(SENSOR)
    assert {tick["status"] for tick in ticks} <= {"SUCCESS", "SKIPPED", "STARTED"}
    (newest,) = [tick["cursor"] for tick in ticks if tick["cursor"]][-1:]
    again = server.look_now(SENSOR, newest)
    assert (again["runRequests"] or [], json.loads(again["cursor"])) == ([], [])
    assert _requests(server) == run_ids
    ranges = server.materialised_ranges(["core", "run_attempt"])
    assert [each for each in ranges if each[0].startswith("2024")] == [
        (f"{day:%Y-%m-%d}",) * 2 for day in (EARLY, LATE)
    ]


@pytest.mark.timeout(300)
def test_a_second_run_with_nothing_new_imports_neither_dbt_nor_great_expectations(tmp_path: Path):
    flaky_history(tmp_path / "drop", runs=4)
    first = _imports_of_a_run(tmp_path, "2026-03-03T00:00:00Z")
    assert {"dagster", "dagster_dbt", "great_expectations"} <= first
    assert _imports_of_a_run(tmp_path, "2026-03-04T00:00:00Z") == {"dagster"}


def _imports_of_a_run(folder: Path, as_of: str) -> set[str]:
    script = (
        "import atexit, pathlib, sys\n"
        "heavy = ('dagster', 'dagster_dbt', 'dagster_postgres', 'dbt', 'great_expectations', 'psycopg2')\n"
        "found = lambda: pathlib.Path('imports').write_text(' '.join(each for each in heavy if each in sys.modules))\n"
        "atexit.register(found)\n"
        "from flakeguard_pipeline.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "run", "--drop", "drop", "--as-of", as_of]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set((folder / "imports").read_text().split())


def _requests(server: DagsterServer) -> list[str]:
    """Return the runs that the sensor has asked for."""
    return [run_id for tick in server.ticks(SENSOR) for run_id in tick["runIds"]]


def _drop(store: Store, number: int, started: datetime) -> None:
    """Leave a run folder as well-behaved writers do: whole, in one step."""
    partial = store.folder / f"partial-{number}"
    files = {"test-results.zip": zipped({"r.xml": report(case("test_total"), case("test_tax"))})}
    add_run(partial, run_object(number, started=started), files, folder="run")
    store.drop.mkdir(exist_ok=True)
    (partial / "run").rename(store.drop / f"{number}-1")
