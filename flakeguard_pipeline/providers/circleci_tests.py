"""CircleCI's test metadata as a JUnit report: the same answers always give the same bytes.

Source of the shape: https://circleci.com/docs/api/v2/#tag/Job/operation/getTests.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from flakeguard_pipeline.providers.answers import text_of
from flakeguard_pipeline.providers.junit_xml import Outcome, WrittenCase, WrittenSuite, junit_xml, seconds_of
from flakeguard_pipeline.providers.source import SourceReport

OUTCOMES: Mapping[str, Outcome] = {
    "success": "passed",
    "failure": "failure",
    "error": "error",
    "skipped": "skipped",
}
"""What CircleCI's results mean."""


def junit_of(tests: Iterable[Mapping[str, Any]], report: SourceReport) -> bytes | None:
    """Return a JUnit report of a job's test metadata, in the order of names; None where there is nothing to tell.

    Tests without a name and with a result that CircleCI does not document are left out, and noted in `report`. What XML
    cannot hold becomes U+FFFD.
    """
    known: list[tuple[Mapping[str, Any], Outcome]] = []
    for test in tests:
        outcome = OUTCOMES.get(text_of(test, "result"))
        if not text_of(test, "name"):
            report.note("CircleCI listed a test without a name; it was left out")
        elif outcome is None:
            report.note("CircleCI listed a test with an unknown result; it was left out")
        else:
            known.append((test, outcome))
    if not known:
        return None
    # a stable order of names: that of equal ones, which are retries, stays
    known.sort(key=lambda each: [text_of(each[0], name) for name in ("file", "classname", "name")])
    # CircleCI does not say which suite a test is of
    return junit_xml([WrittenSuite("", tuple(_case(test, outcome) for test, outcome in known))])


def _case(test: Mapping[str, Any], outcome: Outcome) -> WrittenCase:
    message = "" if outcome == "passed" else text_of(test, "message")
    first = message.lstrip().partition("\n")[0].rstrip()
    return WrittenCase(
        name=text_of(test, "name"),
        classname=text_of(test, "classname"),
        file=text_of(test, "file"),
        seconds=seconds_of(test.get("run_time")),
        outcome=outcome,
        message=message if outcome == "skipped" else first,
        details="" if outcome == "skipped" else message,
    )
