"""The sensor on the drop folder: what it asks for, once, and what it leaves alone."""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.partitions import last_day
from assets.resources import WorkspaceResource
from assets.sensors import drop_folder_sensor
from flakeguard_pipeline.warehouse.connection import Warehouse
from tests.assets.workspaces import resource_of
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place


@pytest.fixture(autouse=True)
def warehouse_is_out_of_bounds(monkeypatch: pytest.MonkeyPatch, place: Place):
    def refuse(self: Warehouse, *, read_only: bool = False) -> None:
        raise AssertionError(f"the sensor opened the warehouse {self.url}")

    monkeypatch.setattr(Warehouse, "connect", refuse)
    yield
    assert not place.warehouse.path.exists()


def look(place: Place, cursor: str | None = None) -> dg.SensorResult:
    result = drop_folder_sensor(dg.build_sensor_context(cursor=cursor), workspace=resource_of(place))
    assert isinstance(result, dg.SensorResult)
    return result


def add(place: Place, number: int, days: int = 0) -> Path:
    run = run_object(number, started=START + timedelta(days=days))
    return add_run(place.source.path, run, {"test-results.zip": zipped({"r.xml": report(case("test_total"))})})


def ranges(result: dg.SensorResult) -> list[tuple[str, str]]:
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in result.run_requests or []
    ]


def marks(result: dg.SensorResult) -> list[str]:
    return json.loads(result.cursor or "[]")


def test_without_a_drop_folder_it_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flakeguard.yml").unlink()
    resource = WorkspaceResource(warehouse=f"duckdb:///{tmp_path / 'home' / 'warehouse.duckdb'}")
    result = drop_folder_sensor(dg.build_sensor_context(), workspace=resource)
    assert not result.run_requests
    assert "no drop folder is configured" in str(result.skip_reason)


def test_a_drop_folder_that_is_missing_or_empty_is_skipped_and_keeps_the_cursor(place: Place):
    empty = look(place)
    assert not empty.run_requests
    assert "holds no run.json" in str(empty.skip_reason)
    assert empty.cursor is None
    place.source.path.rmdir()
    missing = look(place)
    assert not missing.run_requests
    assert "does not exist" in str(missing.skip_reason)
    assert missing.cursor is None


def test_new_runs_are_one_request_for_the_range_of_their_days(place: Place):
    add(place, 1)
    add(place, 2, days=5)
    add(place, 3, days=2)
    result = look(place)
    assert ranges(result) == [("2026-03-02", "2026-03-07")]
    assert len(marks(result)) == 3
    assert result.skip_reason is None


def test_nothing_is_requested_twice(place: Place):
    add(place, 1)
    first = look(place)
    assert len(first.run_requests or []) == 1
    second = look(place, first.cursor)
    assert not second.run_requests
    assert "1 run folders wait" in str(second.skip_reason)
    assert second.cursor == first.cursor


def test_the_same_folders_have_the_same_run_key(place: Place):
    """A daemon that is killed between request and cursor asks again, and Dagster sees that it did."""
    add(place, 1)
    add(place, 2)
    (first,) = look(place).run_requests or []
    (again,) = look(place).run_requests or []
    assert first.run_key == again.run_key
    add(place, 3)
    (other,) = look(place).run_requests or []
    assert other.run_key != first.run_key


def test_what_has_landed_leaves_the_cursor(place: Place):
    add(place, 1)
    first = look(place)
    place.land()
    after = look(place, first.cursor)
    assert not after.run_requests
    assert marks(first) != []
    assert marks(after) == []


def test_a_further_run_is_asked_for_alone(place: Place):
    add(place, 1)
    first = look(place)
    add(place, 2, days=3)
    second = look(place, first.cursor)
    assert ranges(second) == [("2026-03-05", "2026-03-05")]
    assert len(marks(second)) == 2
    place.land()
    add(place, 3, days=4)
    third = look(place, second.cursor)
    assert ranges(third) == [("2026-03-06", "2026-03-06")]
    assert len(marks(third)) == 1
    keys = [request.run_key for result in (first, second, third) for request in result.run_requests or []]
    assert len(set(keys)) == 3


def test_a_run_that_grew_is_asked_for_again(place: Place):
    folder = add(place, 1)
    first = look(place)
    place.land()
    settled = look(place, first.cursor)
    (folder / "late.xml").write_bytes(report(case("test_late")))
    again = look(place, settled.cursor)
    assert ranges(again) == [("2026-03-02", "2026-03-02")]


def test_files_that_belong_to_no_run_are_asked_for_with_the_last_day(place: Place):
    add(place, 1)
    place.land()
    (place.source.path / "stray.xml").write_bytes(report(case("test_stray")))
    result = look(place)
    assert ranges(result) == [(last_day(), last_day())]


def test_days_outside_the_calendar_are_asked_for_with_the_nearest(place: Place):
    add(place, 1, days=-8_000)
    add(place, 2, days=30_000)
    assert ranges(look(place)) == [("2015-01-01", last_day())]
