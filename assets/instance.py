"""The persistent Dagster instance that `flakeguard run` and `flakeguard ui` share: its folder and its dagster.yaml."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from assets.groups import LANDING_POOL, WAREHOUSE_POOL
from flakeguard_pipeline.domain.errors import OperationError
from flakeguard_pipeline.progress import Progress

LAUNCHED_BY = "flakeguard/launched_by"
"""Tag of the runs that `flakeguard run` executes itself."""

COMMAND = "flakeguard run"

POOLS = (LANDING_POOL, WAREHOUSE_POOL)

POOL_WAIT_SECONDS = 600.0
"""How long `flakeguard run` waits for a run of the daemon: longer than a step takes, but not for ever."""

POOL_POLL_SECONDS = 0.5

DAGSTER_YAML = """\
# Written by FlakeGuard where there was none; yours to change.
telemetry:
  enabled: false

concurrency:
  pools:
    granularity: op
    # DuckDB lets one process at a time into the warehouse's file, and one at a time may write the landing zone's
    # manifests: the pools `warehouse` and `landing` have one place each.
    default_limit: 1

run_retries:
  enabled: true
  max_retries: 0   # jobs ask for theirs by tag

run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
"""


WORKSPACE_YAML = """\
load_from:
  - python_module:
      module_name: assets.definitions
      location_name: flakeguard
"""


def prepare_home(home: Path) -> Path:
    """Make the instance's folder with its dagster.yaml and workspace.yaml; return its absolute path.

    Raises:
        OperationError: the folder cannot be made.
    """
    absolute = home.absolute()
    try:
        absolute.mkdir(parents=True, exist_ok=True)
        for name, text in (("dagster.yaml", DAGSTER_YAML), ("workspace.yaml", WORKSPACE_YAML)):
            if not (absolute / name).exists():
                partial = absolute / f".{name}.partial"
                partial.write_text(text, encoding="utf-8")
                partial.replace(absolute / name)
    except OSError as error:
        raise OperationError(f"cannot make the folder {absolute} for Dagster: {error.strerror}") from error
    return absolute


@contextlib.contextmanager
def exclusive(home: Path, progress: Progress) -> Iterator[dg.DagsterInstance]:
    """Open the instance for `flakeguard run`, one at a time; clean up after runs that were killed.

    Raises:
        OperationError: another `flakeguard run` is at work on the same instance, or another run holds the warehouse
            for too long.
    """
    absolute = prepare_home(home)
    with (absolute / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperationError(
                f"another `{COMMAND}` is at work in {absolute.parent}; wait until it has finished, or end it"
            ) from error
        # Dagster finds its instance by this variable, also in what a run starts.
        os.environ["DAGSTER_HOME"] = str(absolute)
        with dg.DagsterInstance.from_config(str(absolute)) as instance:
            _bury_killed_runs(instance)
            _wait_for_pool(instance, progress)
            yield instance


def _bury_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs of killed `flakeguard run`s as failed and free their places in pools.

    We hold the lock, so whatever such a run seems to be doing, its process is gone.
    """
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={LAUNCHED_BY: COMMAND})):
        # In this order: killed in between, the next command finds the run unfinished still, and buries it again.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        instance.report_run_failed(run, f"`{COMMAND}` was killed; running it again completes the work")
    if instance.event_log_storage.supports_global_concurrency_limits:
        for pool in POOLS:
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


def _wait_for_pool(instance: dg.DagsterInstance, progress: Progress) -> None:
    """Wait until no other run holds a pool, and free places that ended runs have left behind.

    Raises:
        OperationError: a run holds one for longer than `POOL_WAIT_SECONDS`.
    """
    storage = instance.event_log_storage
    deadline = time.monotonic() + POOL_WAIT_SECONDS
    told: set[str] = set()
    while storage.supports_global_concurrency_limits:
        holders = set()
        claimed = [slot for pool in POOLS for slot in storage.get_concurrency_info(pool).claimed_slots]
        for run_id in {slot.run_id for slot in claimed}:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)
            else:
                holders.add(run_id)
        if not holders:
            return
        named = ", ".join(sorted(holders))
        if time.monotonic() > deadline:
            raise OperationError(
                f"the warehouse or the landing zone is held by run {named} of the Dagster UI; wait for it, or end it "
                "there, and run again"
            )
        if holders - told:
            progress.say(f"Waiting for run {named} of the Dagster UI, which holds the warehouse or the landing zone")
            told = holders
        time.sleep(POOL_POLL_SECONDS)
