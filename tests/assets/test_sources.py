"""Sources in the code location: an asset, a job and a sensor for each kind of provider, isolated from one another."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.launch import Launched, Request, run_ingestion, run_main_job
from assets.metadata import texts_of
from assets.partitions import clamped_range, last_day, range_tags
from assets.raw.provider_artifact import PROVIDER_ASSETS, pull_config
from assets.sensors import SENSORS
from flakeguard_pipeline.landing.cursors import Cursor, read_cursor, write_cursor
from flakeguard_pipeline.progress import Silent
from tests.assets.workspaces import instance_of, resource_of
from tests.support.drops import add_run, case, report, run_object
from tests.support.places import Place, make_place
from tests.support.played_providers import SECRET_VARIABLE, Played, playing
from tests.support.provider_server import Answer, Fault

BACKFILL = Request(since="2026-03-01", until="2026-03-12")
RUNS = "select provider, count(*) from core.run_attempt group by all order by all"


@pytest.fixture
def lab() -> Iterator[Played]:
    with playing("gitlab", "lab") as played:
        yield played


@pytest.fixture
def kite() -> Iterator[Played]:
    with playing("buildkite", "kite") as played:
        yield played


@pytest.fixture
def place(tmp_path: Path, lab: Played, kite: Played, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A workspace with a drop folder and two providers, whose tokens lie in places of their own."""
    monkeypatch.setenv(SECRET_VARIABLE, lab.token)
    monkeypatch.setenv("KITE_TOKEN", kite.token)
    kite.section["token"] = {"env": "KITE_TOKEN"}
    return make_place(tmp_path, yaml.safe_dump({"sources": [lab.section, kite.section]}))


def ingest(place: Place, request: Request = BACKFILL) -> Launched:
    return run_ingestion(resource_of(place), request, progress=Silent())


def add_drop_run(place: Place) -> None:
    add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})


def refuse(played: Played) -> None:
    for server in played.servers:
        server.faults.append(Fault(".", Answer(401), times=100_000))


def test_all_sources_are_landed_and_loaded_and_tell_what_they_cost(place: Place, lab: Played, kite: Played):
    add_drop_run(place)
    launched = ingest(place)
    assert launched.faults == ()
    assert place.rows(RUNS) == [("buildkite", 120), ("github", 1), ("gitlab", 120)]
    told = launched.metadata["raw/gitlab_artifact"]
    assert (told["sources"], told["run_folders"], told["files"]) == (1, 120, 360)
    assert told["requests"] == len(lab.listing[0].requests)
    assert told["received_bytes"] > 120 * 100
    assert (told["failed_run_folders"], told["expired_artifacts"], told["retries"]) == (0, 0, 0)
    assert "| lab | 2026-03-01 00:00 | 120 | 0 |" in told["by_source"]
    assert launched.metadata["raw/buildkite_artifact"]["run_folders"] == 120
    assert "of 200 |" in launched.metadata["raw/buildkite_artifact"]["by_source"]  # what is left of the rate limit
    assert launched.metadata["core/run_attempt"]["run_attempts"] == 241  # of all runs together


def test_the_second_time_adds_nothing(place: Place):
    ingest(place)
    again = ingest(place)
    assert again.faults == ()
    assert again.metadata["raw/gitlab_artifact"]["run_folders"] == 0
    assert again.metadata["raw/gitlab_artifact"]["requests"] < 10
    assert again.metadata["core/run_attempt"]["run_attempts"] == 0


def test_a_provider_that_refuses_us_stops_no_other(place: Place, lab: Played):
    add_drop_run(place)
    refuse(lab)
    launched = ingest(place)
    (fault,) = launched.faults
    assert fault.startswith("raw/gitlab_artifact: lab: stopped before the end: http://127.0.0.1:")
    assert "refuses us (401); check the source's token" in fault
    assert "raw/gitlab_artifact" not in launched.metadata
    assert place.rows(RUNS) == [("buildkite", 120), ("github", 1)]
    with instance_of(place) as instance:
        runs = {run.job_name: run.status for run in instance.get_runs()}
    assert runs == {
        "ingest_gitlab": dg.DagsterRunStatus.FAILURE,
        "ingest_buildkite": dg.DagsterRunStatus.SUCCESS,
        "ingest": dg.DagsterRunStatus.SUCCESS,
    }


def test_what_came_before_a_provider_failed_is_loaded_and_its_check_tells(place: Place, lab: Played):
    server, pattern = lab.download
    server.faults.append(Fault(pattern, Answer(403), times=100_000, after=60))
    launched = ingest(place, Request(("lab",), "2026-03-01", "2026-03-12"))
    assert any("lab: stopped before the end: " in fault for fault in launched.faults)
    (row,) = place.rows(RUNS)
    assert row[0] == "gitlab"
    assert 30 < int(str(row[1])) < 120
    assert launched.metadata["raw/gitlab_artifact"]["failed_run_folders"] > 0
    with instance_of(place) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["raw", "gitlab_artifact"]), "every_source_was_landed")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        evaluation = record.event.asset_check_evaluation if record.event else None
        assert evaluation is not None
        assert not evaluation.passed
        assert "stopped before the end" in texts_of(str(evaluation.metadata["faults"].value))[-1]


def test_of_two_sources_of_a_kind_one_may_fail(place: Place, lab: Played, tmp_path: Path):
    other = {**lab.section, "name": "other", "token": {"env": "NOT_SET"}}
    both = make_place(tmp_path, yaml.safe_dump({"sources": [other, lab.section]}))
    launched = ingest(both)
    assert launched.faults == (
        "raw/gitlab_artifact: other: the environment variable NOT_SET is not set; it is to hold a secret",
    )
    assert place.rows(RUNS) == [("gitlab", 120)]


def test_without_days_each_source_is_asked_for_what_is_due(place: Place, lab: Played, kite: Played):
    # both were listed to their end a year after the last run, but of one a run is waited for
    now = datetime.now(UTC)
    write_cursor(place.zone, "lab", Cursor(now))
    write_cursor(place.zone, "kite", Cursor(now, {"waiting": (now - timedelta(days=20)).date().isoformat()}))
    add_drop_run(place)
    launched = ingest(place, Request())
    assert launched.faults == ()
    since = {
        name: launched.metadata[f"raw/{kind}_artifact"]["by_source"].splitlines()[2].split(" | ")[1][:10]
        for name, kind in (("lab", "gitlab"), ("kite", "buildkite"))
    }
    assert since == {
        "lab": (now - timedelta(days=7)).date().isoformat(),
        "kite": (now - timedelta(days=20)).date().isoformat(),
    }
    moved = read_cursor(place.zone, "lab").complete_until
    assert moved is not None
    assert moved > now


def test_the_main_job_asks_the_providers_too(place: Place, lab: Played, kite: Played):
    refuse(kite)
    # as few as reach back to the runs: every day is a partition that is told of
    lab.section["initial_days"] = (datetime.now(UTC) - datetime(2026, 3, 1, tzinfo=UTC)).days + 1
    resource = resource_of(
        make_place(place.source.path.parent, yaml.safe_dump({"sources": [lab.section, kite.section]}))
    )
    add_drop_run(place)
    launched = run_main_job(resource, as_of=datetime(2026, 3, 12, tzinfo=UTC), progress=Silent())
    assert [fault.partition(": stopped")[0] for fault in launched.faults] == ["raw/buildkite_artifact: kite"]
    assert place.rows(RUNS) == [("github", 1), ("gitlab", 120)]
    assert launched.metadata["delivery/quarantine_export"]["repositories"] == 2


def test_a_kind_without_a_source_says_so(place: Place):
    with instance_of(place) as instance:
        result = dg.materialize(
            [PROVIDER_ASSETS["jenkins"]],
            resources={"workspace": resource_of(place)},
            tags=range_tags(clamped_range(["2026-03-02"])),
            instance=instance,
        )
    (event,) = result.asset_materializations_for_node("raw__jenkins_artifact")
    assert event.metadata["by_source"].value == "no source of this kind is configured"
    assert event.metadata["sources"].value == 0


def test_a_backfill_lands_its_days_only(place: Place):
    with instance_of(place) as instance:
        dg.materialize(
            [PROVIDER_ASSETS["buildkite"]],
            resources={"workspace": resource_of(place)},
            tags=range_tags(clamped_range(["2026-03-03"])),
            instance=instance,
        )
        assert list(place.zone.all_folders()) == []
        dg.materialize(
            [PROVIDER_ASSETS["buildkite"]],
            resources={"workspace": resource_of(place)},
            tags=range_tags(clamped_range(["2026-03-02"])),
            instance=instance,
        )
    assert {folder.day for folder in place.zone.all_folders()} == {"2026-03-02"}
    assert read_cursor(place.zone, "kite") == Cursor()


# -- sensors -------------------------------------------------------------------------------------------------


def look(place: Place, kind: str, instance: dg.DagsterInstance | None = None) -> dg.SensorResult:
    (sensor,) = [each for each in SENSORS if each.name == f"{kind}_sensor"]
    context = dg.build_sensor_context(instance=instance or dg.DagsterInstance.ephemeral())
    result = sensor(context, workspace=resource_of(place))
    assert isinstance(result, dg.SensorResult)
    return result


def test_the_sensor_asks_for_the_days_that_are_due_and_asks_the_provider_nothing(place: Place, lab: Played):
    write_cursor(place.zone, "lab", Cursor(datetime.now(UTC) - timedelta(days=2)))
    (request,) = look(place, "gitlab").run_requests or []
    first = (datetime.now(UTC) - timedelta(days=9)).date().isoformat()
    assert request.tags["dagster/asset_partition_range_start"] == first
    assert request.tags["dagster/asset_partition_range_end"] == last_day()
    assert request.run_config == pull_config("gitlab", incremental=True)
    assert not lab.listing[0].requests
    assert not place.warehouse.path.exists()


def test_the_sensors_cursor_is_what_was_asked_and_the_same_moment_has_the_same_run_key(place: Place):
    results = [look(place, "gitlab") for _ in range(3)]
    keys = [request.run_key for result in results for request in result.run_requests or []]
    assert len(set(keys)) <= 2  # the ten minutes may have ended in between
    asked = json.loads(results[0].cursor or "")
    assert set(asked) == {"first_day", "last_day", "slot"}
    assert asked["last_day"] == last_day()


def test_a_kind_without_a_source_is_not_asked_for(place: Place):
    result = look(place, "jenkins")
    assert not result.run_requests
    assert "no source of this kind is configured" in str(result.skip_reason)


def test_the_sensor_waits_for_the_run_that_it_asked_for_before(place: Place):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(
            dg.DagsterRun(
                job_name="ingest_gitlab", run_id="8c8c8c8c-0000-0000-0000-000000000000",
                status=dg.DagsterRunStatus.STARTED,
            )
        )  # fmt: skip
        assert "has not ended yet" in str(look(place, "gitlab", instance).skip_reason)
        assert look(place, "buildkite", instance).run_requests


def test_a_damaged_cursor_is_told_by_the_asset_and_not_by_the_sensor(place: Place):
    place.zone.write_cursor("lab", b"half")
    assert look(place, "gitlab").run_requests
    launched = ingest(place, Request(names=("lab",)))
    (fault,) = launched.faults
    assert fault.startswith("raw/gitlab_artifact: lab: the cursor of source lab in the landing zone ")
    assert fault.endswith("flakeguard ingest --since DAY")
