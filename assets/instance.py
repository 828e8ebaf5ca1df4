"""The persistent Dagster instance that `flakeguard run` and `flakeguard ui` share: its folder and its dagster.yaml."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.launcher.base import WorkerStatus  # not exported, though launchers return it

from assets.dagster_yaml import write_files
from assets.groups import LANDING_POOL, WAREHOUSE_POOL
from assets.locks import FileLocks, Lock, Locks, LockTakenError, held, locks_of
from assets.run_launcher import COMMAND, COMMAND_LOCK, LAUNCHED_BY
from flakeguard_pipeline.dagster_storage import DagsterStorage
from flakeguard_pipeline.domain.errors import OperationError
from flakeguard_pipeline.progress import Progress

POOLS = (LANDING_POOL, WAREHOUSE_POOL)

POOL_WAIT_SECONDS = 600.0
"""How long `flakeguard run` waits for a run of the daemon: longer than a step takes, but not for ever."""

POOL_POLL_SECONDS = 0.5

HEALTH_SECONDS = 15.0
"""Between two questions to a run that holds a pool whether its process lives: each may cost some seconds."""


def prepare_home(home: Path, storage: DagsterStorage | None = None) -> Path:
    """Make the instance's folder with its dagster.yaml and workspace.yaml; return its absolute path.

    Raises:
        ConfigurationError: somebody has changed dagster.yaml, and it names another storage.
        OperationError: the folder cannot be made.
    """
    absolute = home.absolute()
    try:
        absolute.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(f"cannot make the folder {absolute} for Dagster: {error.strerror}") from error
    write_files(absolute, storage)
    return absolute


@contextlib.contextmanager
def opened(home: Path, storage: DagsterStorage | None = None) -> Iterator[dg.DagsterInstance]:
    """Open the instance; on Postgres its schema and tables are made where there are none.

    Raises:
        ConfigurationError: somebody has changed dagster.yaml, or the password is not where it is said to be.
        OperationError: the storage cannot be opened or used.
    """
    absolute = prepare_home(home, storage)
    # Dagster finds its instance by this variable, also in what a run starts.
    os.environ["DAGSTER_HOME"] = str(absolute)
    with contextlib.ExitStack() as stack:
        if storage is None:
            instance = dg.DagsterInstance.from_config(str(absolute))
        else:
            from assets.postgres_storage import open_on_postgres  # not paid where history is kept in files

            instance = open_on_postgres(absolute, storage)
        yield stack.enter_context(instance)


@dataclass(frozen=True)
class OwnInstance:
    """The instance, for as long as one `flakeguard run` has it to itself."""

    instance: dg.DagsterInstance
    lock: Lock

    def require(self) -> None:
        """See that it is still ours.

        Raises:
            OperationError: the connection that held it was lost, and another `flakeguard run` has begun.
        """
        try:
            is_ours = self.lock.is_ours()
        except Exception as error:
            raise OperationError(
                f"lost the connection to Dagster's storage, which keeps `{COMMAND}`s apart; run it again when the "
                "server is back: it completes the work"
            ) from error
        if not is_ours:
            raise OperationError(
                f"the connection to Dagster's storage was lost for a moment, and another `{COMMAND}` has begun since; "
                "it completes the work"
            )


@contextlib.contextmanager
def exclusive(home: Path, progress: Progress, storage: DagsterStorage | None = None) -> Iterator[OwnInstance]:
    """Open the instance for `flakeguard run`, one at a time; clean up after runs that were killed.

    Raises:
        ConfigurationError: somebody has changed dagster.yaml, or the storage's password is not where it should be.
        OperationError: another `flakeguard run` is at work on the same instance, another run holds the warehouse for
            too long, or the storage cannot be used.
    """
    with contextlib.ExitStack() as stack:
        if storage is None:
            # before anything is opened: SQLite files are not made twice at once
            lock = stack.enter_context(_alone(FileLocks(prepare_home(home)), str(home.absolute().parent)))
            instance = stack.enter_context(opened(home))
        else:
            instance = stack.enter_context(opened(home, storage))
            lock = stack.enter_context(_alone(locks_of(instance), f"{storage.shown}, schema {storage.schema}"))
        _bury_killed_runs(instance)
        _wait_for_pool(instance, progress)
        yield OwnInstance(instance, lock)


@contextlib.contextmanager
def _alone(locks: Locks, where: str) -> Iterator[Lock]:
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(held(locks, COMMAND_LOCK))
        except LockTakenError as error:
            raise OperationError(
                f"another `{COMMAND}` is at work in {where}; wait until it has finished, or end it"
            ) from error
        yield lock


def _bury_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs of killed `flakeguard run`s as failed and free their places in pools.

    We hold the lock, so whatever such a run seems to be doing, its process is gone.
    """
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={LAUNCHED_BY: COMMAND})):
        # In this order: killed in between, the next command finds the run unfinished still, and buries it again.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        instance.report_run_failed(run, f"`{COMMAND}` was killed; running it again completes the work")
    prepare_pools(instance)


def prepare_pools(instance: dg.DagsterInstance) -> None:
    """Give each pool its places where it has none yet."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    known = {each.name: each for each in storage.get_pool_limits()}
    for pool in POOLS:
        if pool in known:
            if not known[pool].from_default or known[pool].limit == instance.global_op_concurrency_default_limit:
                continue
            # on Postgres, Dagster fails where it is to change a limit of its own
            storage.delete_concurrency_limit(pool)
        storage.initialize_concurrency_limit_to_default(pool)


def _wait_for_pool(instance: dg.DagsterInstance, progress: Progress) -> None:
    """Wait until no other run holds a pool, and free places that ended runs have left behind.

    Raises:
        OperationError: a run holds one for longer than `POOL_WAIT_SECONDS`.
    """
    storage = instance.event_log_storage
    deadline = time.monotonic() + POOL_WAIT_SECONDS
    told: set[str] = set()
    tried: dict[str, float] = {}
    while storage.supports_global_concurrency_limits:
        holders = set()
        claimed = [slot for pool in POOLS for slot in storage.get_concurrency_info(pool).claimed_slots]
        for run_id in {slot.run_id for slot in claimed}:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished or _is_dead(instance, run, tried):
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


def _is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun, tried: dict[str, float]) -> bool:
    """Say whether the process of a run is gone, now and then; if so mark the run as failed.

    The daemon would do so itself, but it may not be there.
    """
    launcher = instance.run_launcher
    now = time.monotonic()
    if not launcher.supports_check_run_worker_health or now < tried.get(run.run_id, now):
        return False
    tried[run.run_id] = now + HEALTH_SECONDS
    if run.status is not dg.DagsterRunStatus.STARTED:
        return False
    health = launcher.check_run_worker_health(run)
    if health.status is not WorkerStatus.FAILED:
        return False
    instance.report_run_failed(run, f"the run has ended without a word: {health.msg}")
    return True
