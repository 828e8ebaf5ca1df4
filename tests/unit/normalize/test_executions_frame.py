"""The frame of executions that the warehouse takes."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import Outcome, ReportContext
from flakeguard_pipeline.normalize.frames import EXECUTION_SCHEMA, executions_frame
from flakeguard_pipeline.normalize.identity import ExtraRule, IdentityRules, normalise_name
from flakeguard_pipeline.normalize.identity import test_key as key_of
from flakeguard_pipeline.normalize.signatures import failure_signature
from flakeguard_pipeline.parsing.cases import case_frame
from flakeguard_pipeline.parsing.elements import Execution

STARTED = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
CONTEXT = ReportContext("acme", "github", "42", "7", 2, "junit-linux", "r1", "linux", "j1", STARTED)


def case(**words: object) -> Execution:
    return Execution(**({"suite": "s", "classname": "C", "name": "n"} | words))  # type: ignore[arg-type]


def frame(*cases: Execution, rules: IdentityRules | None = None) -> pl.DataFrame:
    return executions_frame(case_frame(cases, 0), [CONTEXT], rules=[rules] if rules else None)


def test_a_report_without_cases_is_an_empty_frame_of_the_schema() -> None:
    assert frame().schema == pl.Schema(EXECUTION_SCHEMA)
    assert frame().height == 0


def test_a_failure_becomes_a_row() -> None:
    row = frame(
        case(
            name="a  0x7f3c5a1b2d10",
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
        "raw_name": "a  0x7f3c5a1b2d10",
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
        "raw_classname": "C",
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


NAMES = st.text(st.sampled_from('ab19 -:@/$<>"\\\té0x[]#.,fT'), max_size=24) | st.sampled_from(
    ["id 3f2b8c1e-1111-2222-3333-444455556666", "at 0x7f3c5a1b2d10", "run 2026-03-02T10:11:12Z", "a\u2028b", "  a  b "]
)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES), max_size=12))
def test_whole_columns_give_the_keys_that_single_tests_have(words: list[tuple[str, str, str, str]]) -> None:
    own = IdentityRules(extra=(ExtraRule(fields=("name", "file"), pattern="a1", replacement="<own>"),))
    cases = [case(suite=suite, classname=classname, name=name, file=file) for suite, classname, name, file in words]
    for rules in (IdentityRules(), own):
        table = frame(*cases, rules=rules)
        assert table["test_key"].to_list() == [
            key_of("acme", "42", suite, classname, name, file, rules) for suite, classname, name, file in words
        ]
        assert table["raw_name"].to_list() == [name for _, _, name, _ in words]
        assert table["name"].to_list() == [normalise_name(name, rules) for _, _, name, _ in words]


def test_reports_of_several_repositories_go_together() -> None:
    other = ReportContext("acme", "github", "43", "8", 1, "junit", "r2", "", "", STARTED)
    cases = pl.concat([case_frame([case(name="a"), case(name="b")], 0), case_frame([case(name="a")], 1)])
    cases = cases[[2, 0, 1]]
    table = executions_frame(cases, [CONTEXT, other])
    assert table["report_id"].to_list() == ["r2", "r1", "r1"]
    assert table["test_key"].to_list() == [
        key_of("acme", repository, "s", "C", name, "") for repository, name in (("43", "a"), ("42", "a"), ("42", "b"))
    ]


def test_addresses_of_people_are_redacted_on_request() -> None:
    cases = case_frame([case(outcome=Outcome.FAILED, failure_message="mail to jane@example.com failed")], 0)
    assert executions_frame(cases, [CONTEXT])["failure_message"][0] == "mail to jane@example.com failed"
    assert "jane" not in executions_frame(cases, [CONTEXT], emails=True)["failure_message"][0]
