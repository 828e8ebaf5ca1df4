"""JUnit XML of the simulated runs, in the style of pytest and of Maven Surefire.

Belongs here: the text of a report. Does not belong here: zip archives, folders.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.simulator.messages import Failure
from flakeguard_pipeline.simulator.model import SimulatedTest

SKIP_REASON = "needs the payment sandbox, which isn't reachable from here"
_HEADER = '<?xml version="1.0" encoding="utf-8"?>\n'


@dataclass(frozen=True, slots=True)
class ReportedCase:
    """One test case of a report.

    `failures` holds its failing tries in order: with outcome `passed` they came before the try that passed.
    """

    test: SimulatedTest
    outcome: Outcome
    duration_us: int
    failures: tuple[Failure, ...]


def pytest_report(cases: list[ReportedCase], started_at: datetime, hostname: str) -> str:
    """Return the report as pytest writes it (`junit_family=xunit2`)."""
    timestamp = started_at.isoformat(timespec="microseconds")
    head = (
        f'<testsuites name="pytest tests"><testsuite name="pytest" {_counts(cases)} '
        f"timestamp={quoteattr(timestamp)} hostname={quoteattr(hostname)}>"
    )
    return _HEADER + head + "".join(map(_pytest_case, cases)) + "</testsuite></testsuites>"


def surefire_report(cases: list[ReportedCase], java_class: str) -> str:
    """Return the report as Maven Surefire 3 writes it with `rerunFailingTestsCount`."""
    head = (
        f'<testsuite version="3.0.2" name={quoteattr(java_class)} {_counts(cases)}>\n'
        '  <properties>\n    <property name="java.version" value="21.0.4"/>\n  </properties>\n'
    )
    return _HEADER + head + "".join(map(_surefire_case, cases)) + "</testsuite>\n"


def _counts(cases: list[ReportedCase]) -> str:
    tally = {outcome: sum(case.outcome is outcome for case in cases) for outcome in Outcome}
    total_us = sum(case.duration_us for case in cases)
    return (
        f'errors="{tally[Outcome.ERRORED]}" failures="{tally[Outcome.FAILED]}" '
        f'skipped="{tally[Outcome.SKIPPED]}" tests="{len(cases)}" time="{_seconds(total_us)}"'
    )


def _seconds(microseconds: int) -> str:
    # integer arithmetic: the same digits everywhere
    milliseconds = microseconds // 1000
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _attributes(case: ReportedCase) -> str:
    test = case.test
    return f'classname={quoteattr(test.classname)} name={quoteattr(test.name)} time="{_seconds(case.duration_us)}"'


def _pytest_case(case: ReportedCase) -> str:
    test = case.test
    if case.outcome is Outcome.PASSED:
        return f"<testcase {_attributes(case)} />"
    if case.outcome is Outcome.SKIPPED:
        where = f"{test.file}:{test.line}: {SKIP_REASON}"
        body = f'<skipped type="pytest.skip" message={quoteattr(SKIP_REASON)}>{escape(where)}</skipped>'
    else:
        failure = case.failures[-1]
        tag, message = "failure", f"{failure.type}: {failure.message}"
        if case.outcome is Outcome.ERRORED:
            # what pytest says when a fixture raises
            tag, message = "error", f'failed on setup with "{message}"'
        body = f"<{tag} message={quoteattr(message)}>{escape(failure.trace)}</{tag}>"
        body += f"<system-out>{escape(failure.output)}</system-out>"
    return f"<testcase {_attributes(case)}>{body}</testcase>"


def _surefire_case(case: ReportedCase) -> str:
    lines = []
    if case.outcome is Outcome.PASSED:
        lines = list(_tries("flakyFailure", case.failures))
    elif case.outcome is Outcome.SKIPPED:
        lines = [f"<skipped message={quoteattr(SKIP_REASON)}/>"]
    else:
        kind = "failure" if case.outcome is Outcome.FAILED else "error"
        first, *others = case.failures
        lines = [
            f"<{kind} {_described(first)}>{escape(first.trace)}</{kind}>",
            *_tries(f"rerun{kind.capitalize()}", others),
            f"<system-out>{escape(first.output)}</system-out>",
        ]
    if not lines:
        return f"  <testcase {_attributes(case)}/>\n"
    return f"  <testcase {_attributes(case)}>\n" + "".join(f"    {line}\n" for line in lines) + "  </testcase>\n"


def _described(failure: Failure) -> str:
    return f"message={quoteattr(failure.message)} type={quoteattr(failure.type)}"


def _tries(tag: str, failures: Iterable[Failure]) -> Iterable[str]:
    for failure in failures:
        yield (
            f"<{tag} {_described(failure)}><stackTrace>{escape(failure.trace)}</stackTrace>"
            f"<system-out>{escape(failure.output)}</system-out></{tag}>"
        )
