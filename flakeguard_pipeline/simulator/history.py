"""Draws a believable CI history from its parameters: `simulate` is a pure function.

Belongs here: turning the planned pushes and the cast roles into run attempts and outcome arrays.
Does not belong here: files, the clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flakeguard_pipeline.domain.model import Job, RunStatus
from flakeguard_pipeline.simulator.catalogue import suite
from flakeguard_pipeline.simulator.imperfections import plan_imperfections
from flakeguard_pipeline.simulator.model import (
    ERRORED,
    FAILED,
    PASSED,
    SKIPPED,
    Cause,
    Imperfection,
    ImperfectionKind,
    PullRequest,
    SimulatedHistory,
    SimulatedRun,
    SimulatedTest,
    TruthKind,
    VariantTruth,
)
from flakeguard_pipeline.simulator.parameters import SimulationParameters
from flakeguard_pipeline.simulator.random_streams import hex_digits, stream
from flakeguard_pipeline.simulator.roles import MainStory, Roles, cast_roles, describe_truth, main_story
from flakeguard_pipeline.simulator.timeline import Push, plan_timeline

__all__ = [
    "Cause",
    "Imperfection",
    "ImperfectionKind",
    "PullRequest",
    "SimulatedHistory",
    "SimulatedRun",
    "SimulatedTest",
    "SimulationParameters",
    "TruthKind",
    "VariantTruth",
    "simulate",
]

_BASE_DURATIONS_US = (
    5200, 9500, 13300, 16900, 20700, 24600, 28800, 33400, 38300, 43700, 49700, 56400,
    63900, 72500, 82400, 94000, 107900, 124800, 146100, 174000, 212700, 271500, 378100, 691300,
)  # fmt: skip
"""24 quantiles of a log-normal distribution, median 60 ms, sigma 1.2. A table, as logarithms vary by
machine."""

_DURATION_PERMILLE = (
    524, 605, 654, 691, 724, 753, 779, 805, 829, 852, 875, 898, 920, 943, 965, 988,
    1012, 1036, 1061, 1087, 1114, 1143, 1174, 1207, 1243, 1283, 1328, 1382, 1446, 1530, 1653, 1908,
)  # fmt: skip
"""32 quantiles of a log-normal factor, median 1, sigma 0.3: how one test's duration varies."""

_MAX_JOB_S = 3600
"""Larger suites are run by several processes, so that no job takes longer and no re-run leaves its day."""

_MAX_TRIES = 3

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt before it has an outcome; `push` is an index."""

    push: int
    number: int
    started_at: datetime
    is_outage: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Arrays of one attempt, each of shape (V, T), as in `SimulatedHistory`."""

    outcomes: NDArray[np.uint8]
    failed_tries: NDArray[np.uint8]
    causes: NDArray[np.uint8]
    durations_us: NDArray[np.int64]


def simulate(parameters: SimulationParameters) -> SimulatedHistory:
    """Return the history that `parameters` describe; equal parameters give equal histories."""
    timeline = plan_timeline(parameters)
    roles = cast_roles(parameters, timeline)
    story = main_story(parameters, timeline)
    tests = suite(parameters.tests, parameters.retried_tests)
    drawer = _Drawer(parameters, roles, story, tests)
    reruns = stream(parameters.seed, "reruns")
    ids = _ids(parameters, len(timeline.pushes))

    made: list[tuple[SimulatedRun, _Drawn]] = []
    for index, push in enumerate(timeline.pushes):
        is_outage = parameters.outage_share > 0 and push.event == "push" and push.main_commit == story.outage
        attempt = _Attempt(index, 1, push.at, is_outage)
        first = drawer.draw(push, attempt, ids[index])
        made.append(first)
        # drawn for every run, so that one run's failure doesn't shift what happens to the next
        is_tried_again = reruns.random() < parameters.rerun_share
        pause = timedelta(seconds=int(reruns.integers(600, 5400)))
        run = first[0]
        if run.conclusion == "failure" and (is_tried_again or is_outage):
            again = _Attempt(index, 2, run.updated_at + pause, False)
            made.append(drawer.draw(push, again, ids[index]))

    made.sort(key=lambda pair: (pair[0].run_started_at, pair[0].run_id, pair[0].run_attempt))
    runs = tuple(run for run, _ in made)
    imperfections: tuple[Imperfection, ...] = ()
    if parameters.imperfections:
        runs, imperfections = plan_imperfections(runs, tests, len(parameters.variants))
    return SimulatedHistory(
        parameters=parameters,
        tests=tests,
        runs=runs,
        pull_requests=roles.pull_requests,
        truth=describe_truth(parameters, timeline, roles, story),
        imperfections=imperfections,
        outcomes=_read_only(np.stack([drawn.outcomes for _, drawn in made])),
        failed_tries=_read_only(np.stack([drawn.failed_tries for _, drawn in made])),
        causes=_read_only(np.stack([drawn.causes for _, drawn in made])),
        durations_us=_read_only(np.stack([drawn.durations_us for _, drawn in made])),
    )


class _Drawer:
    """Draws the attempts one after the other."""

    def __init__(
        self,
        parameters: SimulationParameters,
        roles: Roles,
        story: MainStory,
        tests: tuple[SimulatedTest, ...],
    ) -> None:
        self._parameters = parameters
        self._roles = roles
        self._story = story
        self._shape = (len(parameters.variants), parameters.tests)
        self._max_tries = np.array([test.max_tries for test in tests], dtype=np.int64)
        self._repaired_rates = roles.rates.copy()
        self._repaired_rates[:, list(roles.repaired)] = 0.0
        self._rng = stream(parameters.seed, "outcomes")
        bases = np.array(_BASE_DURATIONS_US, dtype=np.int64)
        # one base per test, whatever the variant
        self._base_us = bases[stream(parameters.seed, "durations").integers(0, len(bases), size=parameters.tests)]

    def draw(self, push: Push, attempt: _Attempt, run_id: int) -> tuple[SimulatedRun, _Drawn]:
        """Return the attempt and its outcomes."""
        broken = self._broken_tests(push)
        drawn = self._outcomes(push, broken, attempt)
        jobs = self._jobs(drawn, attempt, run_id)
        pull_request = None if push.pull_request is None else self._roles.pull_requests[push.pull_request]
        finished = max(job.completed_at for job in jobs if job.completed_at is not None)
        run = SimulatedRun(
            run_id=run_id,
            run_number=attempt.push + 1,
            run_attempt=attempt.number,
            event=push.event,
            status=RunStatus.COMPLETED,
            conclusion="failure" if any(job.conclusion == "failure" for job in jobs) else "success",
            branch=push.branch,
            sha=push.sha,
            base_sha=push.base_sha,
            title=push.title,
            pull_request=pull_request,
            created_at=push.at,
            run_started_at=attempt.started_at,
            updated_at=finished + timedelta(seconds=3),
            jobs=jobs,
            broken_tests=broken,
            is_outage=attempt.is_outage,
        )
        return run, drawn

    def _broken_tests(self, push: Push) -> tuple[int, ...]:
        # CI tests a pull request merged with the default branch: it inherits the regression of its day
        broken = set(self._roles.always_failing)
        if self._story.regression_start <= push.main_commit < self._story.regression_end:
            broken.update(self._roles.regressed)
        if push.pull_request is not None and push.is_broken:
            broken.update(self._roles.pull_requests[push.pull_request].broken_tests)
        return tuple(sorted(broken))

    def _outcomes(self, push: Push, broken: tuple[int, ...], attempt: _Attempt) -> _Drawn:
        is_repaired = push.main_commit >= self._story.repair
        rates = self._repaired_rates if is_repaired else self._roles.rates
        is_broken = np.zeros(self._shape, dtype=np.bool_)
        is_broken[:, list(broken)] = True
        # tries are drawn for all tests, so that roles can be given to others without shifting the stream
        fails = (self._rng.random((_MAX_TRIES, *self._shape)) < rates) | is_broken
        is_hit = self._rng.random(self._shape) < self._parameters.outage_share
        if not attempt.is_outage:
            is_hit[:] = False
        fails |= is_hit
        # tries before the first that passes
        failing = np.cumprod(fails.astype(np.int64), axis=0).sum(axis=0)
        tries = np.minimum(failing, self._max_tries)

        outcomes = np.where(tries == self._max_tries, FAILED, PASSED)
        outcomes[is_hit] = ERRORED
        causes = np.where(tries > 0, int(Cause.FLAKE), int(Cause.NONE))
        causes[is_broken] = Cause.BROKEN
        causes[is_hit] = Cause.OUTAGE
        factors = np.array(_DURATION_PERMILLE, dtype=np.int64)
        durations = self._base_us * factors[self._rng.integers(0, len(factors), size=self._shape)] // 1000
        skipped = self._roles.skipped
        outcomes[skipped] = SKIPPED
        for array in (tries, causes, durations):
            array[skipped] = 0
        return _Drawn(
            outcomes.astype(np.uint8),
            tries.astype(np.uint8),
            causes.astype(np.uint8),
            durations.astype(np.int64),
        )

    def _jobs(self, drawn: _Drawn, attempt: _Attempt, run_id: int) -> tuple[Job, ...]:
        fails = np.isin(drawn.outcomes, (FAILED, ERRORED))
        # the team has listed its always-failing test as a known failure: it doesn't turn a job red
        fails[:, list(self._roles.always_failing)] = False
        jobs = []
        names = [f"Test results ({variant})" for variant in self._parameters.variants]
        for place, name in enumerate([*names, "lint"]):
            digits = hex_digits(self._parameters.seed, run_id, attempt.number, "job", place)
            queued = 4 + int(digits[:4], 16) % 40
            started = attempt.started_at + timedelta(seconds=queued)
            if place < len(names):
                busy = min(_MAX_JOB_S, 45 + int(drawn.durations_us[place].sum()) // 1_000_000)
                label = _runner_label(self._parameters.variants[place])
                conclusion = "failure" if fails[place].any() else "success"
            else:
                busy, label, conclusion = 35, "ubuntu-latest", "success"
            jobs.append(
                Job(
                    # the digits of the run come first, so that no two attempts share a job's id
                    job_id=str((run_id * 4 + attempt.number) * (len(names) + 1) + place),
                    name=name,
                    conclusion=conclusion,
                    started_at=started,
                    completed_at=started + timedelta(seconds=busy + int(digits[4:8], 16) % 30),
                    labels=(label,),
                    runner_name=f"GitHub Actions {10 + int(digits[8:12], 16) % 900}",
                )
            )
        return tuple(jobs)


def _runner_label(variant: str) -> str:
    for system in ("windows", "macos"):
        if system in variant.lower():
            return f"{system}-latest"
    return "ubuntu-latest"


def _ids(parameters: SimulationParameters, count: int) -> list[int]:
    """Return ascending run ids of eleven digits, as GitHub hands out to all its repositories together."""
    steps = stream(parameters.seed, "run ids").integers(1_000, 90_000, size=count)
    return [17_400_000_000 + int(total) for total in np.cumsum(steps, dtype=np.int64)]


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array
