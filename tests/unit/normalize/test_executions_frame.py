"""The frame of executions that the warehouse takes."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.model import Outcome, ReportContext
from flakeguard_pipeline.normalize.frames import EXECUTION_SCHEMA, executions_frame
from flakeguard_pipeline.normalize.identity import (
    ExtraRule,
    IdentityRules,
    folded,
    normalise_classname,
    normalise_file,
    normalise_name,
    normalise_suite,
)
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


def own_key_of(suite: str, classname: str, name: str, file: str, rules: IdentityRules) -> str:
    """Return the key of a test whose words are left as they are."""
    qualified = any(mark in classname for mark in (".", "/", "::", "\\"))
    told_apart_by = "" if qualified else file or normalise_suite(suite, rules)
    return stable_id(("test", "acme", "42", told_apart_by, classname, folded(name)))


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES), max_size=12))
def test_whole_columns_give_the_keys_that_single_tests_have(words: list[tuple[str, str, str, str]]) -> None:
    own = IdentityRules(extra=(ExtraRule(fields=("name", "file"), pattern="a1", replacement="<own>"),))
    cases = [case(suite=suite, classname=classname, name=name, file=file) for suite, classname, name, file in words]
    for rules in (IdentityRules(), own):
        table = frame(*cases, rules=rules)
        keys = [key_of("acme", "42", suite, classname, name, file, rules) for suite, classname, name, file in words]
        own_keys = [own_key_of(*each, rules) for each in words]
        merged: dict[str, set[str]] = {}
        for key, own_key in zip(keys, own_keys, strict=True):
            merged.setdefault(key, set()).add(own_key)
        apart = [len(merged[key]) > 1 for key in keys]
        assert table["test_key"].to_list() == [
            own_key if alone else key for key, own_key, alone in zip(keys, own_keys, apart, strict=True)
        ]
        assert table["raw_name"].to_list() == [name for _, _, name, _ in words]
        assert table.select("classname", "name", "file").rows() == [
            (classname, folded(name), file)
            if alone
            else (normalise_classname(classname, rules), normalise_name(name, rules), normalise_file(file, rules))
            for (_, classname, name, file), alone in zip(words, apart, strict=True)
        ]


# -- parameters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "replaced"),
    [
        ("t[2024-03-01]", "t[2024-03-04]", "t[<date>]"),
        ("t[4bf92f3577b34da6]", "t[a3ce929d0e0e4736]", "t[<id>]"),
        ("t[9b2f1c1e-1111-4222-8333-0123456789ab]", "t[9b2f1c1e-1111-4222-8333-0123456789ac]", "t[<uuid>]"),
        ("gets http://localhost:54321/", "gets http://localhost:54322/", "gets http://localhost:<port>/"),
        ("t[1697452800123]", "t[1697452800124]", "t[<time>]"),
        ("t[0x7f3c5a1b2d10]", "t[0x7f3c5a1b2d20]", "t[<address>]"),
        ("t[/tmp/tmpab12cd_x/a]", "t[/tmp/tmpab12cd_y/a]", "t[<tmp>/a]"),
        ("fails at (Cart.java:45)", "fails at (Cart.java:46)", "fails at (Cart.java:<line>)"),
        ("repetition 1 of 2", "repetition 2 of 2", "repetition <n>"),
    ],
)
def test_what_tells_tests_of_one_report_apart_is_a_parameter(one: str, other: str, replaced: str) -> None:
    alone = [frame(case(name=name)) for name in (one, other)]
    assert [table["name"][0] for table in alone] == [replaced] * 2
    together = frame(case(name=one), case(name=f" {other} "), case(name=one), case(name="t[2023-01-02, a]"))
    assert together["name"].to_list() == [one, other, one, "t[<date>, a]"]
    assert together["raw_name"].to_list()[:3] == [one, f" {other} ", one]
    assert together["test_key"].to_list()[:3] == [
        stable_id(("test", "acme", "42", "s", "C", name)) for name in (one, other, one)
    ]


def test_a_test_that_is_repeated_or_retried_is_one_test() -> None:
    words = {"name": "t[2024-03-01]", "classname": "Chrome 119.0 (Linux).Cart"}
    tries = [case(outcome=Outcome.FAILED, **words), case(retry_index=1, **words), case(**words)]
    table = frame(*tries)
    assert table["test_key"].n_unique() == 1
    assert table.select("classname", "name").row(0) == ("Chrome (Linux).Cart", "t[<date>]")


def test_classes_and_files_are_parameters_where_they_are_part_of_the_key() -> None:
    browsers = [case(classname=f"Chrome {version}.0 (Linux).Cart") for version in (119, 120)]
    assert frame(*browsers)["classname"].to_list() == ["Chrome 119.0 (Linux).Cart", "Chrome 120.0 (Linux).Cart"]
    lines = [case(file=f"./spec/cart.py:{line}") for line in (3, 7)]
    assert frame(*lines)["file"].to_list() == ["./spec/cart.py:3", "./spec/cart.py:7"]
    # a qualified class name tells tests apart by itself: the file is no part of the key
    qualified = frame(*(case(classname="spec.Cart", file=f"./spec/cart.py:{line}") for line in (3, 7)))
    assert (qualified["test_key"].n_unique(), qualified["file"].to_list()) == (1, ["spec/cart.py"] * 2)


def test_shards_of_one_suite_are_no_parameters() -> None:
    table = frame(case(suite="e2e shard 1/2"), case(suite="e2e shard 2/2"))
    assert table["test_key"].n_unique() == 1


def test_a_test_that_is_called_like_a_placeholder_is_no_other_test() -> None:
    assert frame(case(name="t[<date>]"), case(name="t[2024-03-01]"))["name"].to_list() == ["t[<date>]", "t[2024-03-01]"]


def test_each_report_is_looked_at_by_itself() -> None:
    other = ReportContext("acme", "github", "42", "8", 1, "junit", "r2", "", "", STARTED)
    days = [case(name="t[2024-03-01]"), case(name="t[2024-03-04]")]
    cases = pl.concat([case_frame(days, 0), case_frame(days[:1], 1)])
    assert executions_frame(cases, [CONTEXT, other])["name"].to_list() == [day.name for day in days] + ["t[<date>]"]


PARAMETERS = st.sampled_from(
    ["2024-03-01", "2024-03-04", "<date>", "20240304", "2024-03-01T10:11:12Z", "<time>", "0x7f3c5a1b2d10", "<address>",
     "9b2f1c1e-1111-4222-8333-0123456789ab", "4bf92f3577b34da6", "<id>", "localhost:54321", "localhost:<port>", ":",
     "/tmp/tmpab12cd34", "/tmp/tmpzz12cd34", "<tmp>", "a.py:1", "a.py:2", "a.py:<line>", "repetition 1 of 2", " ", "["]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.lists(PARAMETERS | NAMES, max_size=3).map("".join), max_size=20))
def test_different_names_of_one_report_never_share_a_key(names: list[str]) -> None:
    table = frame(*(case(name=name) for name in names))
    keys: dict[str, set[str]] = {}
    for name, key in zip(names, table["test_key"].to_list(), strict=True):
        keys.setdefault(folded(name), set()).add(key)
    assert all(len(own) == 1 for own in keys.values())
    assert len(set.union(set(), *keys.values())) == len(keys)


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
