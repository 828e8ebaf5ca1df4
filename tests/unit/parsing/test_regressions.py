"""What fuzzing, comparing and measuring have found, each as small as it gets."""

import pytest

from flakeguard_pipeline.domain.model import Outcome, ParsedReport
from flakeguard_pipeline.parsing import pytest_cases
from flakeguard_pipeline.parsing.elements import Execution
from flakeguard_pipeline.parsing.junit import MAX_INVOCATIONS
from flakeguard_pipeline.parsing.pytest_cases import RepeatedCases
from flakeguard_pipeline.parsing.reports import parse_report
from flakeguard_pipeline.parsing.text import MAX_FAILURE_TEXT, MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL

MARGIN = 200
"""Characters that marks for what was left out may take."""


def parse(children: str, suite: str = "s") -> ParsedReport:
    return parse_report(f'<testsuites><testsuite name="{suite}">{children}</testsuite></testsuites>'.encode())


def story(report: ParsedReport) -> list[tuple[str, str, int, bool]]:
    return [(case.name, case.outcome.value, case.retry_index, case.is_final) for case in report.cases]


def test_attempts_that_a_report_in_the_dialect_of_pytest_tells_stay_in_order() -> None:
    report = parse('<testcase name="a"/><testcase name="b"><flakyFailure message="m"/></testcase>', "pytest")
    assert report.dialect == "pytest"
    assert story(report) == [("a", "passed", 0, True), ("b", "failed", 0, False), ("b", "passed", 1, True)]


def test_attempts_that_are_told_do_not_hide_those_that_pytest_repeats() -> None:
    told = '<testcase name="b"><flakyFailure message="m"/></testcase>'
    report = parse(f'<testcase name="a"/>{told}<testcase name="a"/><testcase name="b"/>', "pytest")
    assert story(report) == [
        ("a", "failed", 0, False),
        ("b", "failed", 0, False),
        ("b", "passed", 1, True),
        ("a", "passed", 1, True),
        ("b", "passed", 0, True),
    ]


def test_a_told_attempt_with_the_message_of_a_clean_up_is_an_attempt() -> None:
    attempt = '<rerunError message="failed on teardown"/>'
    report = parse(
        f'<testcase name="a"><failure/></testcase><testcase name="a"><failure/>{attempt}</testcase>', "pytest"
    )
    assert story(report) == [("a", "failed", 0, False), ("a", "failed", 1, False), ("a", "errored", 2, True)]


@pytest.mark.parametrize("end", ["", "</testsuite>", "</testsuite></testsuite>", "\x00"])
def test_a_report_that_breaks_off_keeps_the_dialect_of_its_first_suite(end: str) -> None:
    report = parse_report(f'<testsuites><testsuite name="pytest"><testcase name="a"/>{end}'.encode())
    assert len(report.issues) == 1
    assert report.dialect == "pytest"


def test_a_failure_that_its_report_says_was_skipped_in_the_end_has_no_other_retry() -> None:
    skipped = '<testcase name="a"><rerunFailure message="m"/><skipped/></testcase>'
    report = parse(f'{skipped}<testcase name="a"><failure/></testcase><testcase name="a"/>')
    assert story(report) == [
        ("a", "failed", 0, False),
        ("a", "skipped", 1, True),
        ("a", "failed", 0, False),
        ("a", "passed", 1, True),
    ]


@pytest.mark.parametrize("tag", ["flakyFailure", "rerunError"])
def test_a_test_case_has_no_more_attempts_than_anybody_makes(tag: str) -> None:
    report = parse(f'<testcase name="a">{f"<{tag}/>" * (3 * MAX_INVOCATIONS)}</testcase><testcase name="b"/>')
    assert len(report.cases) == MAX_INVOCATIONS + 2
    assert story(report)[-2:] == [("a", "passed", MAX_INVOCATIONS, True), ("b", "passed", 0, True)]


def test_clean_ups_that_fail_again_and_again_do_not_pile_up() -> None:
    long = "x" * MAX_FAILURE_TEXT
    told = f'<error message="failed on teardown">{long}</error><system-out>{long}</system-out>'
    teardown = f'<testcase name="a">{told}</testcase>'
    report = parse(f'<testcase name="a"><failure>first</failure></testcase>{teardown * 5}', "pytest")
    (case,) = report.cases
    assert case.outcome is Outcome.ERRORED
    assert case.failure_text.startswith("first\n\nxxx")
    assert len(case.failure_text) < MAX_FAILURE_TEXT + MARGIN
    assert len(case.output) < 2 * (MAX_OUTPUT_HEAD + MAX_OUTPUT_TAIL) + MARGIN


def test_few_executions_with_long_texts_wait_for_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_cases, "MAX_HELD_CHARACTERS", 10_000)
    added: list[Execution] = []
    repeats = RepeatedCases(lambda execution, _: added.append(execution))
    for number in range(10):
        repeats.add(Execution("s", "c", str(number), failure_text="x" * 3_000))
    assert [execution.name for execution in added] == [str(number) for number in range(8)]
    repeats.finish()
    assert len(added) == 10


@pytest.mark.parametrize(
    "inside", ["<failure/>", '<testcase name="no"/>', "<testsuite><testcase name='no'/></testsuite>"]
)
def test_elements_in_the_output_of_a_suite_are_no_results(inside: str) -> None:
    report = parse(f'<testcase name="a"><failure/></testcase><system-out>log {inside}ged</system-out>')
    assert [(case.name, case.output) for case in report.cases] == [("a", "log ged")]


def test_elements_in_the_output_of_a_test_case_or_a_failure_are_no_results() -> None:
    output = '<system-out>log<property name="invocations" value="3"/><stackTrace>no</stackTrace></system-out>'
    report = parse(f'<testcase name="a"><failure>text{output}</failure>{output}</testcase>')
    assert [(case.name, case.failure_text, case.output) for case in report.cases] == [("a", "text", "log")]


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"])
def test_wide_characters_without_a_mark_are_known_by_their_beginning(encoding: str) -> None:
    cases = '<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"/>'
    document = f'<?xml version="1.0"?><testsuites><testsuite name="s">{cases}</testsuite></testsuites>'
    report = parse_report(document.encode(encoding))
    assert report.issues == ()
    assert [case.name for case in report.cases] == ["a", "b", "c"]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\x00", b"\n", b"\n\x00"])
def test_a_document_is_read_in_one_encoding_also_when_it_is_repaired(before: bytes) -> None:
    cases = '<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c\x01"/>'
    data = before + f'<testsuites><testsuite name="s">{cases}</testsuite></testsuites>'.encode("utf-16-le")
    report = parse_report(data)
    assert [case.ordinal for case in report.cases] == list(range(len(report.cases)))
