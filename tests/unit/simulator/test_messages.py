import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.simulator.catalogue import JAVA_CLASS, suite
from flakeguard_pipeline.simulator.messages import Failure, failure_of
from flakeguard_pipeline.simulator.model import Cause
from flakeguard_pipeline.simulator.random_streams import hex_digits
from flakeguard_pipeline.simulator.reports import ReportedCase, pytest_report, surefire_report

SUITE = suite(40, 5)
NASTY = Failure("a.B<C>", "x < \"y\" && 'z' > ]]>\n\tnext €", "E  <a> & ]]> b\n\tat", '<out> & "done" €')


def _signature(text: str) -> str:
    """What is left of a failure without ids, addresses and numbers."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", text)
    return re.sub(r"\d+", "<n>", re.sub(r"0x[0-9a-f]+", "<address>", text))


@pytest.mark.parametrize("cause", [Cause.FLAKE, Cause.BROKEN, Cause.OUTAGE])
def test_occurrences_differ_but_have_one_signature(cause):
    for index, test in enumerate(SUITE):
        failures = [failure_of(test, index, cause, hex_digits("try", index, nth)) for nth in range(8)]
        texts = {failure.message + failure.trace + failure.output for failure in failures}
        assert len(texts) == 8
        assert len({_signature(text) for text in texts}) == 1


def test_a_tests_flake_break_and_outage_have_different_signatures():
    for index, test in enumerate(SUITE[:35]):
        failures = [failure_of(test, index, cause, hex_digits(index)) for cause in list(Cause)[1:]]
        assert len({_signature(failure.type + failure.message) for failure in failures}) == 3


def test_an_outage_says_the_same_for_all_tests_of_one_language():
    said = {_signature(failure_of(t, i, Cause.OUTAGE, hex_digits(i)).message) for i, t in enumerate(SUITE)}
    assert len(said) == 2


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERRORED])
def test_markup_in_a_pytest_failure_is_escaped(outcome):
    test = replace(SUITE[0], name='test_cart["<&>"]')
    case = ReportedCase(test, outcome, 1_234_567, (NASTY,))
    root = ET.fromstring(pytest_report([case], datetime(2026, 9, 1, tzinfo=UTC), "runner-x").encode())
    (element,) = root.iter("testcase")
    assert element.get("name") == 'test_cart["<&>"]'
    assert element.get("time") == "1.234"
    assert NASTY.message in element[0].get("message")
    assert element[0].text == NASTY.trace
    assert element.findtext("system-out") == NASTY.output


@pytest.mark.parametrize(
    ("outcome", "tags"),
    [
        (Outcome.PASSED, ["flakyFailure", "flakyFailure"]),
        (Outcome.FAILED, ["failure", "rerunFailure", "system-out"]),
        (Outcome.ERRORED, ["error", "rerunError", "system-out"]),
    ],
)
def test_markup_in_a_surefire_failure_is_escaped(outcome, tags):
    case = ReportedCase(SUITE[-1], outcome, 5_000, (NASTY, NASTY))
    root = ET.fromstring(surefire_report([case], JAVA_CLASS).encode())
    (element,) = root.iter("testcase")
    assert [child.tag for child in element] == tags
    assert element[0].get("message") == NASTY.message
    assert element[0].get("type") == NASTY.type
    traces = [child.text for child in element.iter("stackTrace")]
    assert traces == [NASTY.trace] * (2 if outcome is Outcome.PASSED else 1)


def test_a_skipped_case_says_why_in_both_styles():
    started = datetime(2026, 9, 1, tzinfo=UTC)
    case = ReportedCase(SUITE[-1], Outcome.SKIPPED, 0, ())
    for text in (pytest_report([case], started, "h"), surefire_report([case], JAVA_CLASS)):
        (skipped,) = ET.fromstring(text.encode()).iter("skipped")
        assert skipped.get("message")
