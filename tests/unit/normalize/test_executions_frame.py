"""The frame of executions that the warehouse takes."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReportCase, ReportContext
from flakeguard_pipeline.normalize.frames import EXECUTION_SCHEMA, executions_frame
from flakeguard_pipeline.normalize.identity import test_key as key_of
from flakeguard_pipeline.normalize.signatures import failure_signature

STARTED = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
CONTEXT = ReportContext("acme", "github", "42", "7", 2, "junit-linux", "r1", "linux", "j1", STARTED)


def case(**words: object) -> ReportCase:
    values: dict[str, object] = {
        "ordinal": 0,
        "suite": "s",
        "classname": "C",
        "name": "n",
        "file": "",
        "line": None,
        "outcome": Outcome.PASSED,
        "retry_index": 0,
        "is_final": True,
        "duration_us": None,
        "started_at": None,
        "failure_type": "",
        "failure_message": "",
        "failure_text": "",
        "output": "",
    }
    return ReportCase(**(values | words))  # type: ignore[arg-type]


def frame(*cases: ReportCase) -> pl.DataFrame:
    return executions_frame(ParsedReport(is_report=True, dialect="junit", cases=cases, issues=()), CONTEXT)


def test_a_report_without_cases_is_an_empty_frame_of_the_schema() -> None:
    assert frame().schema == pl.Schema(EXECUTION_SCHEMA)
    assert frame().height == 0


def test_a_failure_becomes_a_row() -> None:
    row = frame(
        case(
            name="a  0xabcdef12",
            outcome=Outcome.FAILED,
            duration_us=5,
            failure_type="T",
            failure_message="password=x",
            failure_text="at a",
            output="token: y",
            started_at=datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        )
    ).row(0, named=True)
    assert list(row) == list(EXECUTION_SCHEMA)
    assert row == {
        "org": "acme",
        "provider": "github",
        "repository_id": "42",
        "run_id": "7",
        "run_attempt": 2,
        "artifact": "junit-linux",
        "report_id": "r1",
        "ordinal": 0,
        "test_key": key_of("acme", "42", "s", "C", "a <address>", ""),
        "variant": "linux",
        "suite": "s",
        "classname": "C",
        "name": "a <address>",
        "file": "",
        "raw_name": "a  0xabcdef12",
        "outcome": "failed",
        "retry_index": 0,
        "is_final": True,
        "started_at": datetime(2023, 12, 31, 22, tzinfo=UTC),
        "duration_us": 5,
        "job_id": "j1",
        "failure_type": "T",
        "failure_message": "password=[redacted:password]",
        "failure_signature": failure_signature("T", "password=x", "at a"),
        "failure_text": "at a",
        "output": "token: [redacted:token]",
    }


def test_an_execution_without_a_start_started_with_its_run() -> None:
    assert frame(case())["started_at"].to_list() == [STARTED]


def test_a_skip_has_a_reason_but_no_signature() -> None:
    row = frame(case(outcome=Outcome.SKIPPED, failure_message="no docker")).row(0, named=True)
    assert (row["failure_message"], row["failure_signature"]) == ("no docker", "")


@settings(deadline=None)
@given(
    st.text(st.characters(), max_size=20),
    st.datetimes() | st.none(),
    st.integers(-(2**70), 2**70) | st.none(),
)
def test_nothing_unstorable_reaches_the_frame(text: str, moment: datetime | None, duration: int | None) -> None:
    table = frame(
        case(
            suite=text,
            classname=text,
            name=text,
            file=text,
            outcome=Outcome.ERRORED,
            failure_type=text,
            failure_message=text,
            failure_text=text,
            output=text,
            started_at=moment,
            duration_us=duration,
        ),
        case(ordinal=2**40, name="\ud800\x00"),
    )
    assert table.schema == pl.Schema(EXECUTION_SCHEMA)
    assert [name for name in table.columns if table[name].null_count()] in ([], ["duration_us"])
    for name, dtype in EXECUTION_SCHEMA.items():
        if dtype == pl.String():
            assert not table[name].str.contains("\x00", literal=True).any()
    years = table["started_at"].dt.year()
    assert years.is_between(1970, 9999).all()
    assert table["raw_name"][1] == "\ufffd\ufffd"
