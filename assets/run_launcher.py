"""The run launcher of dagster.yaml, and the executor that shows it which runs are alive.

Dagster's own launcher starts a process per run below a code server, and that server tells when one of its processes
dies. Nobody tells when the server died, too, as it does with its machine. Here each run holds a lock for as long as its
process lives, so that run monitoring can ask.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus  # not exported, though launchers return them
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

from assets.locks import LockTakenError, held, locks_of

LAUNCHED_BY = "flakeguard/launched_by"
"""Tag of the runs that `flakeguard run` executes itself."""

COMMAND = "flakeguard run"

COMMAND_LOCK = "run"
"""The lock that `flakeguard run` holds: one at a time on an instance."""

ANSWER_SECONDS = 10
"""How long a code server may take to say whether it has a run's process."""

AGAIN_SECONDS = 2.0
"""A run that begins or ends holds no lock for a moment: nobody is called dead at the first look."""


def lock_of(run: dg.DagsterRun) -> str:
    """Return the name of the lock that the process of a run holds."""
    return COMMAND_LOCK if run.tags.get(LAUNCHED_BY) == COMMAND else f"run-{run.run_id}"


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher; it can say whether the process of a run lives."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring may ask; see `check_run_worker_health`."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether the process of a run lives: it holds its lock, or its code server has it."""
        if self._is_alive(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        time.sleep(AGAIN_SECONDS)
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        if self._is_alive(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone; it was killed, or its machine was")

    def _is_alive(self, run: dg.DagsterRun) -> bool:
        return locks_of(self._instance).is_held(lock_of(run)) or self._is_at_its_server(run)

    def _is_at_its_server(self, run: dg.DagsterRun) -> bool:
        """Ask the code server that started the run; one that does not answer has nothing to say."""
        from dagster._core.errors import DagsterUserCodeUnreachableError
        from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
        from dagster._serdes import deserialize_value

        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return False
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return False
        return bool(deserialize_value(answer, CanCancelExecutionResult).can_cancel)


class _WatchedExecutor(dg.Executor):
    """Executes as another executor does, and holds the run's lock meanwhile."""

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> Any:
        return self._executor.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._executor.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        instance, run = plan_context.instance, plan_context.dagster_run
        with contextlib.ExitStack() as stack:
            if not instance.is_ephemeral:
                try:
                    stack.enter_context(held(locks_of(instance), lock_of(run), once=True))
                except LockTakenError as error:
                    raise dg.Failure(
                        f"run {run.run_id} is at work in another process already", allow_retries=False
                    ) from error
            yield from self._executor.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema.as_field())
def watched_in_process_executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    """Execute all steps in the run's process, which holds the run's lock while it lives.

    One process a run: with one file and a pool of one, a process per step would only import Dagster again.
    """
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None  # noqa: S101 - it is Dagster's own
    return _WatchedExecutor(create(init_context))
