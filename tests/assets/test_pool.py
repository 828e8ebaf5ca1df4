"""The pool `warehouse`: one step at a time opens the embedded warehouse, also under `flakeguard run`."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest
import yaml

from assets.build import build_idle_defs
from assets.dagster_yaml import dagster_yaml
from assets.groups import LANDING_POOL, WAREHOUSE_POOL
from assets.resources import ClockResource
from flakeguard_pipeline.warehouse.migrate import upgrade
from tests.assets.workspaces import DONE_AS_OF, instance_of, resource_of
from tests.support.places import Place

OTHER_RUN = "00000000-0000-0000-0000-000000000000"


def test_the_pools_have_one_place_each_before_anything_ran(place: Place):
    with instance_of(place) as instance:
        for pool in (WAREHOUSE_POOL, LANDING_POOL):
            info = instance.event_log_storage.get_concurrency_info(pool)
            assert (info.slot_count, info.limit, info.claimed_slots) == (1, 1, [])
        limits = instance.event_log_storage.get_pool_limits()
        assert sorted((each.name, each.limit) for each in limits) == [("landing", 1), ("warehouse", 1)]


def test_the_instance_is_configured_as_written(place: Place):
    with instance_of(place) as instance:
        for section, wanted in yaml.safe_load(dagster_yaml()).items():
            if section != "run_launcher":
                assert instance.get_settings(section) == wanted
        assert type(instance.run_launcher).__name__ == "WatchedRunLauncher"


@pytest.mark.timeout(120)
def test_a_step_waits_for_its_place_under_the_command_line_too(place: Place):
    upgrade(place.warehouse)
    resources = {"workspace": resource_of(place), "clock": ClockResource(as_of=DONE_AS_OF.isoformat())}
    job = build_idle_defs(resources).resolve_job_def("score_idle")
    with instance_of(place) as instance, ThreadPoolExecutor(1) as threads:
        storage = instance.event_log_storage
        assert storage.claim_concurrency_slot(WAREHOUSE_POOL, OTHER_RUN, "a_step").is_claimed
        try:
            running = threads.submit(job.execute_in_process, instance=instance)
            _wait(lambda: running.done() or storage.get_concurrency_info(WAREHOUSE_POOL).pending_step_count == 1)
            assert not running.done()
            time.sleep(1.5)  # longer than between two tries
            assert not running.done()
            (run,) = instance.get_runs()
            assert _events(instance, run.run_id, dg.DagsterEventType.STEP_START) == []
        finally:
            storage.free_concurrency_slot_for_step(OTHER_RUN, "a_step")
        assert running.result(timeout=60).success
        assert _events(instance, run.run_id, dg.DagsterEventType.STEP_START) == [
            "flakiness__health_snapshot",
            "quarantine__quarantine_event",
            "delivery__quarantine_export",
            "delivery__read_copy",
        ]
        assert storage.get_concurrency_info(WAREHOUSE_POOL).claimed_slots == []


def test_places_of_killed_runs_are_freed_by_the_next(place: Place):
    with instance_of(place) as instance:
        run = instance.create_run_for_job(
            build_idle_defs({"workspace": resource_of(place), "clock": ClockResource()}).resolve_job_def("score_idle"),
            status=dg.DagsterRunStatus.STARTED,
            tags={"flakeguard/launched_by": "flakeguard run"},
        )
        claim = instance.event_log_storage.claim_concurrency_slot(WAREHOUSE_POOL, run.run_id, "a_step")
        assert claim.is_claimed
    with instance_of(place) as instance:
        buried = instance.get_run_by_id(run.run_id)
        assert buried is not None
        assert buried.status is dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL).claimed_slots == []


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[str | None]:
    return [entry.step_key for entry in instance.all_logs(run_id, of_type=kind)]


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)
