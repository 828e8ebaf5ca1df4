"""A year of an organisation's CI, simulated straight into a warehouse: no reports are written and none are read.

Every repository is a history of the simulator (flakeguard_pipeline/simulator), and its executions become the rows that
reading its reports would have given. Belongs here: histories -> rows of `core`. Does not belong here: measuring.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.normalize.identity import test_key
from flakeguard_pipeline.normalize.signatures import failure_signature
from flakeguard_pipeline.simulator.history import SimulationParameters, simulate
from flakeguard_pipeline.simulator.messages import Failure, failure_of
from flakeguard_pipeline.simulator.model import ERRORED, FAILED, OUTCOMES, PASSED, Cause, SimulatedHistory, SimulatedRun
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Warehouse

ORG = "acme"
FIRST_DAY = date(2025, 9, 1)
VARIANTS = ("ubuntu-py311", "windows-py311")


FIRST_RUN_ID = 17_400_000_000
RUNS_A_SECOND = 60
"""GitHub counts the runs of all repositories together, about so many a second: later runs have greater ids."""


def _run_id(run: SimulatedRun) -> str:
    seconds = int((run.created_at - midnight(FIRST_DAY)).total_seconds())
    # the simulator's own count is each repository's, which would spread the ids of one day over all of a year's
    return str(FIRST_RUN_ID + seconds * RUNS_A_SECOND + run.run_id % RUNS_A_SECOND)


@dataclass(frozen=True)
class Scale:
    """How much is simulated; the defaults are a year of 100 million executions and 200,000 test variants."""

    repositories: int = 20
    tests: int = 5_000
    days: int = 365

    @property
    def end(self) -> date:
        """The day after the last one."""
        return FIRST_DAY + timedelta(days=self.days)


@dataclass
class Repository:
    """One repository's history, as rows of `core` by day."""

    number: int
    history: SimulatedHistory
    failures: dict[tuple[int, int], tuple[Failure, str]] = field(default_factory=dict)

    @property
    def repository_id(self) -> str:
        """The id that the warehouse knows it by."""
        return f"github:{self.history.parameters.repository_id}"

    @cached_property
    def tests(self) -> pl.DataFrame:
        """What does not change of each test: a row a test, in the order of the suite."""
        rows = [
            {
                "test_key": test_key(ORG, self.repository_id, "", each.classname, each.name, each.file),
                "suite": "pytest",
                "classname": each.classname,
                "name": each.name,
                "file": each.file,
                "raw_name": each.name,
                "raw_classname": each.classname,
            }
            for each in self.history.tests
        ]
        return pl.DataFrame(rows)

    def attempts(self, day: date) -> list[int]:
        """Return which run attempts started on a day."""
        return [n for n, run in enumerate(self.history.runs) if run.run_started_at.date() == day]

    def executions(self, number: int) -> pl.DataFrame:
        """Return the executions of a run attempt, retries included."""
        run, history = self.history.runs[number], self.history
        frames = []
        for place, variant in enumerate(VARIANTS):
            failed = history.failed_tries[number, place].astype(np.int64)
            outcomes = history.outcomes[number, place]
            passed = (outcomes == PASSED).astype(np.int64)
            tries = np.maximum(failed + passed, 1)
            test = np.repeat(np.arange(len(tries)), tries)
            retry = np.arange(len(test)) - np.repeat(np.cumsum(tries) - tries, tries)
            is_final = retry == tries[test] - 1
            # a try that was not the last has failed
            outcome = np.where(is_final, outcomes[test], 1)
            causes = history.causes[number, place][test]
            failing = np.flatnonzero((outcome == FAILED) | (outcome == ERRORED))
            told = [self._failure(int(test[each]), int(causes[each])) for each in failing]
            frames.append(
                self.tests[test].with_columns(
                    pl.Series("ordinal", np.arange(len(test)), dtype=pl.Int32()),
                    pl.Series("retry_index", retry, dtype=pl.Int32()),
                    pl.Series("is_final", is_final),
                    pl.Series("outcome", _OUTCOMES[outcome]),
                    pl.Series("duration_us", history.durations_us[number, place][test]),
                    *_scattered(len(test), failing, told),
                    pl.lit(variant).alias("variant"),
                    pl.lit(f"test-results-{variant}").alias("artifact"),
                    pl.lit(self._report_id(run, variant)).alias("report_id"),
                    pl.lit(run.jobs[place].job_id).alias("job_id"),
                    pl.lit(run.jobs[place].started_at or run.run_started_at).alias("started_at"),
                )
            )
        whole = pl.concat(frames).with_columns(**{name: pl.lit(value) for name, value in self._attempt(run).items()})
        return whole.with_columns(pl.lit("github").alias("provider")).select(
            pl.col(name).cast(kind) for name, kind in load.schema_of(tables.test_execution).items()
        )

    def rows(self, number: int, executions: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
        """Return the other rows of a run attempt by the name of their table."""
        run, parameters = self.history.runs[number], self.history.parameters
        key = self._attempt(run)
        attempt = {
            **key,
            "provider": "github",
            "full_name": parameters.full_name,
            "workflow": "CI",
            "event": run.event,
            "status": "completed",
            "conclusion": run.conclusion or "success",
            "branch": run.branch,
            "head_sha": run.sha,
            "head_repository_id": self.repository_id,
            "declared_default_branch": parameters.default_branch,
            "created_at": run.created_at,
            "run_started_at": run.run_started_at,
            "updated_at": run.updated_at,
            "run_url": f"https://ci.example/{parameters.full_name}/{_run_id(run)}",
            "pr_number": run.pull_request.number if run.pull_request else None,
            "is_partial": False,
            "passed_over_files": 0,
            "load_digest": stable_id(["simulated", *map(str, key.values())]),
        }
        counts = dict(executions.group_by("variant").len().iter_rows())
        reports = [
            {
                **key,
                "report_id": self._report_id(run, variant),
                "artifact": f"test-results-{variant}",
                "path": "junit.xml",
                "job_id": run.jobs[place].job_id,
                "variant": variant,
                "digest": stable_id(["report", self._report_id(run, variant)]),
                "size_bytes": 1,
                "dialect": "pytest",
                "executions": counts[variant],
                "is_whole": True,
            }
            for place, variant in enumerate(VARIANTS)
        ]
        jobs = [
            {
                **key,
                "job_id": job.job_id,
                "name": job.name,
                "conclusion": job.conclusion or "success",
                "started_at": job.started_at,
                "completed_at": job.completed_at,
                "labels": "[]",
                "runner_name": job.runner_name,
            }
            for job in run.jobs
        ]
        return {
            load.name_of(tables.run_attempt): [attempt],
            load.name_of(tables.report): reports,
            load.name_of(tables.job): jobs,
        }

    def _attempt(self, run: SimulatedRun) -> dict[str, Any]:
        return {
            "org": ORG,
            "repository_id": self.repository_id,
            "run_id": _run_id(run),
            "run_attempt": run.run_attempt,
        }

    def _report_id(self, run: SimulatedRun, variant: str) -> str:
        return stable_id(["report", self.repository_id, _run_id(run), str(run.run_attempt), variant])

    def _failure(self, test: int, cause: int) -> tuple[Failure, str]:
        """Return what a test says when it fails for a cause: always the same here, which costs nothing to make."""
        known = self.failures.get((test, cause))
        if known is None:
            failure = failure_of(self.history.tests[test], test, Cause(cause), f"{test:032x}")
            signature = failure_signature(failure.type, failure.message, failure.trace)
            known = self.failures[test, cause] = failure, signature
        return known


_OUTCOMES = np.array([each.value for each in OUTCOMES])


def _scattered(height: int, where: NDArray[np.int64], told: list[tuple[Failure, str]]) -> list[pl.Series]:
    """Return the columns of failures, '' where nothing failed."""
    columns = {
        "failure_type": [each.type for each, _ in told],
        "failure_message": [each.message for each, _ in told],
        "failure_text": [each.trace for each, _ in told],
        "output": [each.output for each, _ in told],
        "failure_signature": [signature for _, signature in told],
    }
    nothing = pl.Series([""]).new_from_index(0, height)
    return [
        nothing.scatter(where, values).alias(name) if values else nothing.alias(name)
        for name, values in columns.items()
    ]


def repositories(scale: Scale) -> Iterator[Repository]:
    """Yield the repositories one by one: each history takes some hundred megabytes while it is drawn."""
    for number in range(scale.repositories):
        parameters = SimulationParameters(
            seed=20_250_901 + number,
            full_name=f"acme/service-{number:02}",
            repository_id=900_000_001 + number,
            start=FIRST_DAY,
            days=scale.days,
            # one and a half runs a day and repository: 300,000 executions a day
            runs_per_day=1 + number % 2,
            tests=scale.tests,
            variants=VARIANTS,
            flaky_tests_per_rate=max(1, scale.tests // 400),
            regression_tests=5,
            nightly_share=0.0,
            rerun_share=0.1,
            imperfections=False,
        )
        yield Repository(number, simulate(parameters))


Rows = tuple[pl.DataFrame, dict[str, list[dict[str, Any]]]]
"""The executions of a run attempt, and its other rows by the name of their table."""


def rows_of_day(members: list[Repository], day: date) -> list[Rows]:
    """Return everything that the run attempts of a day left."""
    made = []
    for each in members:
        for number in each.attempts(day):
            executions = each.executions(number)
            made.append((executions, each.rows(number, executions)))
    return made


def load_rows(warehouse: Warehouse, attempts: list[Rows]) -> int:
    """Load run attempts in one transaction, as the loader does; return their executions."""
    if not attempts:
        return 0
    gathered: dict[str, list[dict[str, Any]]] = {}
    for _, others in attempts:
        for name, rows in others.items():
            gathered.setdefault(name, []).extend(rows)
    replaced = load.frame_of(tables.run_attempt, gathered[load.name_of(tables.run_attempt)]).select(
        "repository_id", "run_id", "run_attempt"
    )
    with (
        warehouse.connect() as connection,
        load.replacing_attempts(connection, replaced, default_branch=None),
    ):
        for executions, _ in attempts:
            connection.insert(load.name_of(tables.test_execution), executions)
        for table in (tables.run_attempt, tables.report, tables.job):
            name = load.name_of(table)
            connection.insert(name, load.frame_of(table, gathered[name]))
    return sum(executions.height for executions, _ in attempts)


def midnight(day: date) -> datetime:
    """Return the begin of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
