"""Every dialect's sample says what a person reads in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.domain.model import ReportCase
from flakeguard_pipeline.parsing.reports import parse_report

REPORTS = Path(__file__).parents[2] / "fixtures" / "reports"
EXPECTED: dict[str, dict[str, Any]] = json.loads((REPORTS / "expected.json").read_text(encoding="utf-8"))
FIELDS = (
    "suite",
    "classname",
    "name",
    "file",
    "line",
    "outcome",
    "retry_index",
    "is_final",
    "duration_us",
    "failure_type",
    "failure_message",
)


def as_expected(case: ReportCase) -> dict[str, Any]:
    return {name: getattr(case, name) for name in FIELDS}


def test_every_sample_is_expected_and_every_expectation_has_a_sample() -> None:
    assert set(EXPECTED) == {path.name for path in REPORTS.iterdir() if path.suffix in {".xml", ".trx"}}


@pytest.mark.parametrize("sample", EXPECTED)
def test_a_sample_is_read_as_a_person_reads_it(sample: str) -> None:
    report = parse_report((REPORTS / sample).read_bytes())
    assert report.is_report
    assert report.issues == ()
    assert [as_expected(case) for case in report.cases] == EXPECTED[sample]["executions"]


@pytest.mark.parametrize("sample", EXPECTED)
def test_the_dialect_of_a_sample_is_recognised(sample: str) -> None:
    assert parse_report((REPORTS / sample).read_bytes()).dialect == EXPECTED[sample]["dialect"]


@pytest.mark.parametrize("sample", EXPECTED)
def test_the_last_execution_of_every_test_is_final(sample: str) -> None:
    latest: dict[tuple[str, str, str, str], ReportCase] = {}
    for case in parse_report((REPORTS / sample).read_bytes()).cases:
        key = (case.suite, case.classname, case.name, case.file)
        earlier = latest.get(key)
        assert case.retry_index == (0 if earlier is None or earlier.is_final else earlier.retry_index + 1)
        latest[key] = case
    assert all(case.is_final for case in latest.values())
