"""JUnit XML in all its spellings: elements and attributes to executions.

The format has no standard; what is read here is the common ground of Surefire (its
`surefire-test-report.xsd`), Ant's `junitreport`, Jenkins' `xunit-plugin` schema and the writers that imitate
them. Elements that are none of these are passed over with all that they hold.

Belongs here: elements, attributes and what they mean.
Does not belong here: files, archives, identity across reports, redaction; other formats than JUnit's.
"""

from dataclasses import dataclass, field
from datetime import datetime

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import (
    MAX_FAILURES_PER_CASE,
    SUITE_FAILURE_NAME,
    Execution,
    Failure,
    Report,
    describe,
    joined_outputs,
    new_output,
)
from flakeguard_pipeline.parsing.pytest_cases import RepeatedCases
from flakeguard_pipeline.parsing.text import HeadTail, bounded, first_line, identity_text
from flakeguard_pipeline.parsing.values import duration_us, line_number, timestamp
from flakeguard_pipeline.parsing.writers import PLAYWRIGHT, REPEATING, is_pytests, writer_of

ROOTS = frozenset({"testsuites", "testsuite", "testrun"})
"""Root elements of a JUnit report."""

OUTCOME_OF_STATUS = {
    "notrun": Outcome.SKIPPED,
    "disabled": Outcome.SKIPPED,
    "skipped": Outcome.SKIPPED,
    "ignored": Outcome.SKIPPED,
    "pending": Outcome.SKIPPED,
    "suspended": Outcome.SKIPPED,
    "failed": Outcome.FAILED,
    "failure": Outcome.FAILED,
    "fail": Outcome.FAILED,
    "error": Outcome.ERRORED,
    "errored": Outcome.ERRORED,
    "broken": Outcome.ERRORED,
    "crashed": Outcome.ERRORED,
    "aborted": Outcome.ERRORED,
    "timeout": Outcome.ERRORED,
    "timedout": Outcome.ERRORED,
}
"""What a `status` attribute says by itself; any other says nothing."""

FAILURES = {"failure": Outcome.FAILED, "error": Outcome.ERRORED}
FLAKES = {"flakyFailure": Outcome.FAILED, "flakyError": Outcome.ERRORED}
RERUNS = {"rerunFailure": Outcome.FAILED, "rerunError": Outcome.ERRORED}
OUTPUTS = frozenset({"system-out", "system-err"})

MAX_WAITING_FOR_OUTPUT = 1_000
"""Failures of one suite that get the suite's own output: those beyond it are of a mass failure, which tells the
same a thousand times."""

INVOCATIONS = frozenset({"invocations", "test.invocations", "dd_tags[test.invocations]"})
"""Properties of a test case that say how often it was executed: all but the last time it failed."""

MAX_INVOCATIONS = 100
"""Executions that are believed of one test case: nobody retries more often, and the number is the report's."""

FLAKY_VERDICT = "flaky failure"
"""Type of the failure by which nextest condemns a test that passed in the end."""

_ATTEMPTS = FLAKES | RERUNS
_STACK = "stackTrace"


@dataclass(slots=True)
class _Suite:
    """An open testsuite: what its cases inherit, and those that wait for its output."""

    name: str
    file: str
    started_at: datetime | None
    number: int = 0
    environment: str = ""
    is_pytests: bool = False
    failures: list[Failure] = field(default_factory=list)
    outputs: list[HeadTail] = field(default_factory=list)
    waiting: list[Execution] = field(default_factory=list)


@dataclass(slots=True)
class _Case:
    """An open testcase."""

    execution: Execution
    depth: int
    failures: list[Failure] = field(default_factory=list)
    flakes: list[Failure] = field(default_factory=list)
    reruns: list[Failure] = field(default_factory=list)
    outputs: list[HeadTail] = field(default_factory=list)
    skip: Failure | None = None
    invocations: int = 1


class JUnitReader:
    """Reads a document whose root is `testsuites`, `testsuite` or `testrun`; see `DialectReader`."""

    def __init__(self, report: Report, tag: str, attributes: dict[str, str]) -> None:
        self._report = report
        self._repeats = RepeatedCases(report.add)
        self._root_attributes = attributes
        self.dialect = writer_of(tag, attributes, {})
        self._suites: list[_Suite] = [_Suite("", "", None)]
        self._suites_seen = 0
        self._case: _Case | None = None
        # the failure or retry element that is open, and the depth of it
        self._failure: Failure | None = None
        self._failure_depth = 0
        # the depth of the element that is open and unknown or holds only text; elements in it are passed over
        self._unknown_depth = 0
        if tag == "testsuite":
            self._open_suite(attributes, root=tag)

    # handlers

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See `DialectReader.start`."""
        if self._unknown_depth:
            return
        if self._failure is not None:
            if tag in OUTPUTS:
                self._report.capture(new_output(self._failure.outputs))
            elif tag == _STACK:
                self._report.capture(self._failure.text)
            self._unknown_depth = self._report.depth
        elif self._case is not None:
            self._start_in_case(self._case, tag, attributes)
        elif tag == "testcase":
            self._open_case(attributes)
        elif tag == "testsuite":
            self._open_suite(attributes)
        elif tag in FAILURES:
            self._open_failure(self._suites[-1].failures, FAILURES[tag], attributes)
        else:
            if tag in OUTPUTS:
                self._report.capture(new_output(self._suites[-1].outputs))
            self._unknown_depth = self._report.depth

    def end(self, tag: str) -> None:
        """See `DialectReader.end`."""
        depth = self._report.depth
        if self._unknown_depth:
            if depth == self._unknown_depth:
                self._unknown_depth = 0
        elif self._failure is not None:
            if depth == self._failure_depth:
                self._failure = None
        elif self._case is not None:
            if depth == self._case.depth:
                self._close_case(self._case)
        elif tag == "testsuite":
            self._close_suite()

    def finish(self) -> None:
        """See `DialectReader.finish`: suites that are open are closed, a case that is open was not read whole."""
        while self._suites:
            self._close_suite()

    # opening

    def _open_suite(self, attributes: dict[str, str], root: str = "testsuites") -> None:
        if not self._suites_seen:
            self.dialect = writer_of(root, self._root_attributes, attributes)
        self._suites_seen += 1
        outer = self._suites[-1]
        started_at = timestamp(attributes.get("timestamp"))
        self._suites.append(
            _Suite(
                name=identity_text(attributes.get("name") or "") or outer.name,
                file=identity_text(attributes.get("file") or "") or outer.file,
                started_at=outer.started_at if started_at is None else started_at,
                number=self._suites_seen,
                # a project of Playwright's is a browser or a device, not a test of its own
                environment=identity_text(attributes.get("hostname") or "") if self.dialect == PLAYWRIGHT else "",
                is_pytests=is_pytests(self._root_attributes, attributes),
            )
        )

    def _open_case(self, attributes: dict[str, str]) -> None:
        suite = self._suites[-1]
        started_at = timestamp(attributes.get("timestamp"))
        get = attributes.get
        status = get("status")
        self._case = _Case(
            Execution(
                suite=suite.name,
                classname=identity_text(get("classname") or get("class") or ""),
                name=identity_text(get("name") or ""),
                # a failure's own file and line are where it broke, not where the test is: never identity
                file=identity_text(get("file") or "") or suite.file,
                line=line_number(get("line")),
                outcome=Outcome.PASSED if status is None else OUTCOME_OF_STATUS.get(status.lower(), Outcome.PASSED),
                duration_us=duration_us(get("time")),
                started_at=suite.started_at if started_at is None else started_at,
                environment=suite.environment,
                suite_number=suite.number,
                may_repeat=self.dialect in REPEATING,
            ),
            self._report.depth,
        )

    def _start_in_case(self, case: _Case, tag: str, attributes: dict[str, str]) -> None:
        if self._report.depth > case.depth + 1:
            self._start_in_properties(case, tag, attributes)
        elif tag in FAILURES:
            self._open_failure(case.failures, FAILURES[tag], attributes)
        elif tag in _ATTEMPTS:
            attempt = self._opened(_ATTEMPTS[tag], attributes)
            attempt.duration_us = duration_us(attributes.get("time"))
            attempt.started_at = timestamp(attributes.get("timestamp"))
            kept = case.flakes if tag in FLAKES else case.reruns
            if len(kept) < MAX_INVOCATIONS:
                kept.append(attempt)
        elif tag == "skipped":
            case.skip = self._opened(Outcome.SKIPPED, attributes)
        elif tag != "properties":
            if tag in OUTPUTS:
                self._report.capture(new_output(case.outputs))
            self._unknown_depth = self._report.depth

    def _start_in_properties(self, case: _Case, tag: str, attributes: dict[str, str]) -> None:
        if tag == "property" and attributes.get("name") in INVOCATIONS:
            count = attributes.get("value") or ""
            case.invocations = min(int(count), MAX_INVOCATIONS) if count.isascii() and count.isdigit() else 1
        self._unknown_depth = self._report.depth

    def _open_failure(self, kept: list[Failure], outcome: Outcome, attributes: dict[str, str]) -> None:
        failure = self._opened(outcome, attributes)
        if len(kept) < MAX_FAILURES_PER_CASE:
            kept.append(failure)
        elif outcome is Outcome.ERRORED:
            # it only counts for the outcome
            kept[-1].outcome = outcome

    def _opened(self, outcome: Outcome, attributes: dict[str, str]) -> Failure:
        failure = Failure(
            outcome,
            message=bounded(attributes.get("message") or "").strip(),
            type=bounded(attributes.get("type") or "").strip(),
        )
        self._failure, self._failure_depth = failure, self._report.depth
        self._report.capture(failure.text)
        return failure

    # closing

    def _close_case(self, case: _Case) -> None:
        self._case = None
        last = case.execution
        if case.flakes:
            case.failures = [failure for failure in case.failures if failure.type != FLAKY_VERDICT]
        if case.failures:
            errored = any(failure.outcome is Outcome.ERRORED for failure in case.failures)
            last.outcome = Outcome.ERRORED if errored else Outcome.FAILED
            describe(last, case.failures)
        elif case.skip is not None and not last.has_failed:
            last.outcome = Outcome.SKIPPED
            last.failure_message = case.skip.message or first_line(case.skip.text.text())
        if last.has_failed:
            last.output = joined_outputs(case.outputs)
        # a rerun beside no failure came before the pass that the case reports
        before, after = (case.flakes, case.reruns) if last.has_failed else (case.flakes + case.reruns, [])
        executions = (
            *(_attempt(last, Failure(Outcome.FAILED)) for _ in range(1, case.invocations)),
            *(_attempt(last, attempt) for attempt in before),
            last,
            *(_attempt(last, attempt) for attempt in after),
        )
        if not self._suites[-1].is_pytests:
            # what pytest's suite around this one has held back comes first
            self._repeats.finish()
        earlier: Execution | None = None
        for execution in executions:
            self._wait_for_output(execution)
            if len(executions) == 1:
                self._hand_on(execution)
            elif self._suites[-1].is_pytests:
                self._repeats.add_told(execution, earlier)
            else:
                self._report.add(execution, earlier)
            earlier = execution

    def _close_suite(self) -> None:
        suite = self._suites.pop()
        self._repeats.finish()
        if suite.failures:
            errored = any(failure.outcome is Outcome.ERRORED for failure in suite.failures)
            execution = Execution(
                suite=suite.name,
                classname=suite.name,
                name=SUITE_FAILURE_NAME,
                file=suite.file,
                outcome=Outcome.ERRORED if errored else Outcome.FAILED,
                started_at=suite.started_at,
                environment=suite.environment,
                suite_number=suite.number,
            )
            describe(execution, suite.failures)
            suite.waiting.append(execution)
            self._report.add(execution)
        if suite.outputs and suite.waiting:
            output = joined_outputs(suite.outputs)
            for execution in suite.waiting:
                execution.output = output

    def _wait_for_output(self, execution: Execution) -> None:
        waiting = self._suites[-1].waiting
        if execution.has_failed and not execution.output and len(waiting) < MAX_WAITING_FOR_OUTPUT:
            waiting.append(execution)

    def _hand_on(self, execution: Execution) -> None:
        if self._suites[-1].is_pytests:
            self._repeats.add(execution)
        else:
            self._report.add(execution)


def _attempt(case: Execution, failure: Failure) -> Execution:
    """Return the failed attempt `failure` at the test that `case` is another execution of."""
    execution = Execution(
        suite=case.suite,
        classname=case.classname,
        name=case.name,
        file=case.file,
        line=case.line,
        outcome=failure.outcome,
        duration_us=failure.duration_us,
        started_at=case.started_at if failure.started_at is None else failure.started_at,
        environment=case.environment,
        suite_number=case.suite_number,
        may_repeat=case.may_repeat,
        output=joined_outputs(failure.outputs),
    )
    failure.describe(execution)
    return execution
