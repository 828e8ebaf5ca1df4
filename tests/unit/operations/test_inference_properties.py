"""The query that infers passes against the rule in plain Python, on small random histories."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.operations.inference import ROSTER_DAYS, ROSTER_REPORTS, infer_passes
from flakeguard_pipeline.settings import InferenceSwitches
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from tests.support.drops import START

KEY = {"org": "acme", "repository_id": "github:7"}
ARTIFACT = {"unit": "unit-reports", "it": "it-reports"}

Pass = tuple[str, str, str]
"""Run, job and test."""


@dataclass(frozen=True)
class JobRun:
    name: str
    conclusion: str
    left: str
    """`whole` or `cut` (a report), `damaged`, or ''."""
    tests: frozenset[str]


@dataclass(frozen=True)
class Run:
    run_id: str
    workflow: str
    source: str
    day: int
    known_after_days: int
    jobs: tuple[JobRun, ...]

    @property
    def started(self) -> Any:
        return START + timedelta(days=self.day)

    @property
    def known(self) -> Any:
        return self.started + timedelta(days=self.known_after_days, hours=1)


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    runs = []
    for number in range(draw(st.integers(2, 24))):
        jobs = []
        for name in sorted(draw(st.sets(st.sampled_from(["unit", "it"]), min_size=1))):
            left = draw(st.sampled_from(["whole", "whole", "cut", "damaged", "", "", ""]))
            conclusion = "failure" if left and draw(st.booleans()) else draw(st.sampled_from(["success", "cancelled"]))
            tests = draw(st.frozensets(st.sampled_from("abc"), min_size=1)) if left in {"whole", "cut"} else frozenset()
            jobs.append(JobRun(name, conclusion, left, tests))
        runs.append(
            Run(
                run_id=f"r{number:02d}",
                workflow=draw(st.sampled_from(["ci", "ci", "nightly"])),
                source=draw(st.sampled_from(["drop", "drop", "drop", "mirror"])),
                day=draw(st.integers(0, 60)),
                known_after_days=draw(st.sampled_from([0, 0, 0, 5])),
                jobs=tuple(jobs),
            )
        )
    return runs


def expected(runs: list[Run], sources_off: tuple[str, ...]) -> set[Pass]:
    """Return what the rule says, word by word."""
    passes = set()
    for run in runs:
        for job in run.jobs:
            if job.conclusion != "success" or job.left in {"whole", "cut"} or run.source in sources_off:
                continue
            before = [
                (other, theirs)
                for other in runs
                for theirs in other.jobs
                if (other.workflow, theirs.name) == (run.workflow, job.name)
            ]
            # a damaged upload is recognised by the name of the artifact, which a report has to have told first
            named = any(theirs.left in {"whole", "cut"} and other.known <= run.known for other, theirs in before)
            if job.left == "damaged" and named:
                continue
            seen: dict[str, int] = defaultdict(int)
            for other, theirs in before:
                age = run.started - other.started
                if theirs.left == "whole" and timedelta(0) < age <= timedelta(days=30) and other.known <= run.known:
                    for test in theirs.tests:
                        seen[test] += 1
            passes |= {(run.run_id, job.name, test) for test, reports in seen.items() if reports >= 2}
    return passes


def frame(table: sa.Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows of a table; what they do not say is empty."""
    empty = {pl.String: "", pl.Int64: 0, pl.Int32: 0, pl.Boolean: False, pl.Float64: 0.0}
    defaults = {
        name: None if table.columns[name].nullable else empty.get(kind, START)
        for name, kind in load.schema_of(table).items()
    }
    return load.frame_of(table, [{**defaults, **KEY, "run_attempt": 1, **row} for row in rows])


def store(warehouse: Warehouse, runs: list[Run]) -> None:
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        table: []
        for table in (tables.run_attempt, tables.job, tables.raw_artifact, tables.report, tables.rejected_artifact)
    }
    executions = []
    for run in runs:
        key = {"run_id": run.run_id}
        moments = {"run_started_at": run.started, "updated_at": run.known, "load_digest": repr(run)}
        rows[tables.run_attempt].append({**key, "workflow": run.workflow, "status": "completed", **moments})
        rows[tables.raw_artifact].append({**key, "kind": "jobs", "path": "job.json", "source": run.source})
        for job in run.jobs:
            its = {**key, "job_id": job.name}
            rows[tables.job].append({**its, "name": job.name, "conclusion": job.conclusion})
            artifact = {"artifact": ARTIFACT[job.name]}
            if job.left == "damaged":
                rows[tables.rejected_artifact].append({**key, **artifact, "reason_code": "not_a_zip"})
            elif job.left:
                report_id = f"{run.run_id} {job.name}"
                is_whole = job.left == "whole"
                rows[tables.report].append({**its, **artifact, "report_id": report_id, "is_whole": is_whole})
                executions += [
                    {**its, "report_id": report_id, "ordinal": ordinal, "test_key": test, "outcome": "passed"}
                    for ordinal, test in enumerate(sorted(job.tests))
                ]
    rows[tables.test_execution] = executions
    rows[tables.repository] = [{"full_name": "acme/shop"}] if runs else []
    with warehouse.connect() as connection:
        for table, its_rows in rows.items():
            connection.execute(f"delete from {load.name_of(table)}")
            columns = [column.name for column in table.columns]
            connection.insert(load.name_of(table), frame(table, its_rows).select(columns))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = Warehouse(str(tmp_path_factory.mktemp("inference") / "warehouse.duckdb"))
    upgrade(made)
    return made


def found(warehouse: Warehouse, switches: InferenceSwitches) -> list[Pass]:
    assert infer_passes(warehouse, switches, core_version="").faults == ()
    with warehouse.connect() as connection:
        return connection.read("select run_id, job_id, test_key from core.inferred_pass order by all").rows()


def test_the_numbers_of_the_rule() -> None:
    assert (ROSTER_DAYS, ROSTER_REPORTS) == (30, 2)


@given(histories(), st.sampled_from([(), ("mirror",), ("drop", "mirror")]))
@settings(max_examples=25, deadline=None)
def test_the_query_says_what_the_rule_says(warehouse: Warehouse, runs: list[Run], sources_off: tuple[str, ...]) -> None:
    store(warehouse, runs)
    assert found(warehouse, InferenceSwitches(sources_off=sources_off)) == sorted(expected(runs, sources_off))


@given(histories(), st.integers(0, 70))
@settings(max_examples=15, deadline=None)
def test_what_was_inferred_does_not_change_with_what_becomes_known_later(
    warehouse: Warehouse, runs: list[Run], day: int
) -> None:
    moment = START + timedelta(days=day)
    store(warehouse, runs)
    known = {run.run_id for run in runs if run.known <= moment}
    later = [each for each in found(warehouse, InferenceSwitches()) if each[0] in known]
    store(warehouse, [run for run in runs if run.run_id in known])
    assert found(warehouse, InferenceSwitches()) == later
