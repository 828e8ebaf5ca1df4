"""What a simulation yields: runs, outcome arrays and the truth behind them, as frozen values.

Arrays are read-only. Their axes are called R (run attempts, in order of start), V (variants) and T (tests).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from flakeguard_pipeline.domain.model import Job, Outcome, RunStatus
from flakeguard_pipeline.simulator.parameters import SimulationParameters

OUTCOMES: tuple[Outcome, ...] = (Outcome.PASSED, Outcome.FAILED, Outcome.ERRORED, Outcome.SKIPPED)
"""Meaning of the codes in `SimulatedHistory.outcomes`."""

PASSED, FAILED, ERRORED, SKIPPED = range(4)


class Cause(IntEnum):
    """Why the failing tries of one execution failed."""

    NONE = 0
    FLAKE = 1
    BROKEN = 2
    OUTAGE = 3


class TruthKind(StrEnum):
    """What a test really is in one variant."""

    STABLE = "stable"
    FLAKY = "flaky"
    FIXED = "fixed"
    REGRESSED = "regressed"
    ALWAYS_FAILING = "always_failing"
    SKIPPED = "skipped"


class ImperfectionKind(StrEnum):
    """What is wrong, on purpose, with the files of one run."""

    TRUNCATED_REPORT = "truncated_report"
    EMPTY_REPORT = "empty_report"
    NOT_A_ZIP = "not_a_zip"
    IN_PROGRESS = "in_progress"


@dataclass(frozen=True, slots=True)
class SimulatedTest:
    """One test case of the suite.

    `report` is the path of its report inside an artifact; `file` and `line` say where its source would be.
    `max_tries` is 1, or 3 for a test whose runner retries it within the report (Surefire's style).
    """

    classname: str
    name: str
    file: str
    line: int
    report: str
    max_tries: int


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. Its first `broken_commits` commits break `broken_tests` (indices), later ones don't."""

    number: int
    branch: str
    title: str
    broken_commits: int
    broken_tests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One attempt of one CI run; all times are UTC.

    Attributes:
        run_id: Shared by the attempts of one run.
        run_number: The workflow's own count of its runs, from 1.
        run_attempt: 1, or 2 for a re-run of the same code.
        event: `push`, `pull_request` or `schedule`.
        status: `in_progress` for the planted unfinished run, else `completed`.
        conclusion: `success` or `failure`; '' while the run is in progress.
        branch: Head branch.
        sha: Head commit, 40 hexadecimal digits.
        base_sha: Default-branch commit that the code of a pull request was merged with, else ''.
        title: What the provider shows as the run's title.
        pull_request: The pull request that the run belongs to, if any.
        created_at: When the first attempt was created.
        run_started_at: When this attempt started.
        updated_at: When the attempt last changed.
        jobs: One job per variant, in the order of the variants, and last a job without tests.
        broken_tests: Indices of the tests that the tested code really breaks, sorted.
        is_outage: Whether the infrastructure failed during this attempt.
    """

    run_id: int
    run_number: int
    run_attempt: int
    event: str
    status: RunStatus
    conclusion: str
    branch: str
    sha: str
    base_sha: str
    title: str
    pull_request: PullRequest | None
    created_at: datetime
    run_started_at: datetime
    updated_at: datetime
    jobs: tuple[Job, ...]
    broken_tests: tuple[int, ...]
    is_outage: bool


@dataclass(frozen=True, slots=True)
class VariantTruth:
    """What is really the matter with one test in one variant: the answer an analysis should find.

    Attributes:
        test: Index into `SimulatedHistory.tests`.
        variant: The variant's name.
        kind: What the test is.
        flake_rate: Chance that one try fails although the code is right (before `flaky_until`); 0 if not
            flaky.
        flaky_until: When the default branch got the repair of a `fixed` test, else None.
        broken_from: When the default branch got the break; None if never, or if it was there before the
            history.
        broken_until: When the default branch got the fix of the break; None if never.
        broken_days: The UTC days on which the default branch was broken for a part of the day, ascending.
        broken_in_pull_requests: Numbers of the pull requests whose commits broke the test, ascending.
    """

    test: int
    variant: str
    kind: TruthKind
    flake_rate: float
    flaky_until: datetime | None
    broken_from: datetime | None
    broken_until: datetime | None
    broken_days: tuple[date, ...]
    broken_in_pull_requests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Imperfection:
    """A planted fault: in run `run` (index), artifact of variant `variant` (index), report `report` (path).

    `variant` is None and `report` is '' where the fault concerns more than that.
    """

    kind: ImperfectionKind
    run: int
    variant: int | None
    report: str


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedHistory:
    """A whole CI history, and the truth behind it.

    Attributes:
        parameters: What the history was made from.
        tests: The suite, length T.
        runs: Run attempts in order of start, length R.
        pull_requests: In order of creation.
        truth: One entry per test and variant: tests in order, within a test variants in order (length T * V).
        imperfections: Faults that the files of the history have; the arrays know nothing of them.
        outcomes: uint8, shape (R, V, T): final outcome of each execution, coded as in `OUTCOMES`.
        failed_tries: uint8, shape (R, V, T): how many tries failed; a passing execution has more than 0 only
            where the runner retries.
        causes: uint8, shape (R, V, T): the `Cause` of the failing tries.
        durations_us: int64, shape (R, V, T): duration of the last try in microseconds; 0 for skipped tests.
    """

    parameters: SimulationParameters
    tests: tuple[SimulatedTest, ...]
    runs: tuple[SimulatedRun, ...]
    pull_requests: tuple[PullRequest, ...]
    truth: tuple[VariantTruth, ...]
    imperfections: tuple[Imperfection, ...]
    outcomes: NDArray[np.uint8]
    failed_tries: NDArray[np.uint8]
    causes: NDArray[np.uint8]
    durations_us: NDArray[np.int64]

    @property
    def execution_count(self) -> int:
        """Executions, retries included, that the reports would hold if none of the files had a fault."""
        retried_passes = int(self.failed_tries[self.outcomes == PASSED].sum())
        failing = np.isin(self.outcomes, (FAILED, ERRORED))
        retried_failures = int(self.failed_tries[failing].sum()) - int(failing.sum())
        return self.outcomes.size + retried_passes + retried_failures
