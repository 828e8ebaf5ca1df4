"""What is odd about a report that was read: told case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from flakeguard_pipeline.domain.model import ISSUES, IssueCode, Outcome, ReportContext
from flakeguard_pipeline.normalize.frames import executions_frame
from flakeguard_pipeline.normalize.issues import LONG_NAME_CHARACTERS, FoundIssue, find_issues, merged
from flakeguard_pipeline.parsing.cases import case_frame
from flakeguard_pipeline.parsing.elements import Execution

STARTED = datetime(2026, 3, 2, 9, tzinfo=UTC)
CONTEXT = ReportContext("acme", "github", "7", "1", 1, "junit", "r", "", "", STARTED, STARTED + timedelta(hours=1))


def execution(name: str = "adds", **words: object) -> Execution:
    values = {"suite": "s", "classname": "org.acme.Sums", "name": name, "duration_us": 5, **words}
    return Execution(**values)  # type: ignore[arg-type]


def issues(*executions: Execution) -> list[tuple[str, int, str]]:
    cases = case_frame(executions, 0)
    found = find_issues(cases, executions_frame(cases, [CONTEXT]), [CONTEXT]).get(0, [])
    return [(issue.code.value, issue.occurrences, issue.example) for issue in found]


def test_a_plain_report_has_nothing_to_mend() -> None:
    assert issues(execution("adds"), execution("subtracts", started_at=STARTED), execution("multiplies")) == []


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (execution("x" * (LONG_NAME_CHARACTERS + 1)), "long_name"),
        (execution(duration_us=None), "no_duration"),
        (execution(classname=""), "no_location"),
        (execution(""), "no_name"),
        (execution("opens <Shop object at 0x7f3c5a1b2d10>"), "unstable_name"),
        (execution(started_at=STARTED - timedelta(days=2)), "stale_timestamp"),
        (execution(started_at=STARTED + timedelta(days=2)), "future_timestamp"),
    ],
)
def test_what_is_odd_is_told_with_the_first_test_that_has_it(odd: Execution, code: str) -> None:
    assert issues(execution("plain"), odd) == [(code, 1, odd.name[:LONG_NAME_CHARACTERS])]


def test_a_skipped_test_needs_no_duration_and_a_file_is_a_location() -> None:
    assert issues(execution(outcome=Outcome.SKIPPED, duration_us=None), execution("b", classname="", file="b.t")) == []


def test_time_zones_that_are_not_told_are_nobodys_fault() -> None:
    assert issues(execution(started_at=STARTED - timedelta(hours=14)), execution("b", started_at=STARTED)) == []


def test_tests_of_one_name_are_told_but_retries_are_not() -> None:
    retried = [execution(outcome=Outcome.FAILED, is_final=False), execution(retry_index=1)]
    assert issues(*retried) == []
    assert issues(execution(), execution(), *retried[1:]) == [("repeated_name", 2, "adds")]


def test_a_name_is_unstable_only_where_a_part_of_it_was_replaced() -> None:
    days = [execution("opens on 2026-03-01"), execution("opens on 2026-03-04")]
    folded = execution("renders  <b> in\tbold ")
    assert issues(*days, folded) == []
    assert issues(days[0], folded, execution(" at  0x7f3c5a1b2d10")) == [("unstable_name", 2, "opens on 2026-03-01")]


def test_a_report_that_goes_by_in_parts_is_counted_as_a_whole() -> None:
    one = [FoundIssue(IssueCode.NO_NAME, 2, "a"), FoundIssue(IssueCode.LONG_NAME, 1, "b")]
    other = [FoundIssue(IssueCode.NO_NAME, 3, "c")]
    assert merged(one, other) == [FoundIssue(IssueCode.LONG_NAME, 1, "b"), FoundIssue(IssueCode.NO_NAME, 5, "a")]


def test_every_issue_has_a_text_for_a_person() -> None:
    assert ISSUES.keys() == set(IssueCode)
