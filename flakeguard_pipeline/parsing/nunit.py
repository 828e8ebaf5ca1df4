"""NUnit's XML: `test-run` of version 3 and later, `test-results` of versions 2.4 to 2.6.

Belongs here: its elements, attributes and what they mean.
Does not belong here: what NUnit's tests look like in TRX (trx.py) or in the JUnit logger's XML (junit.py).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import SUITE_FAILURE_NAME, Execution, Report, joined_outputs, new_output
from flakeguard_pipeline.parsing.text import HeadTail, bounded, failure_text_buffer, first_line, identity_text
from flakeguard_pipeline.parsing.trx import exception_type, file_name
from flakeguard_pipeline.parsing.values import duration_us, timestamp

_OUTCOMES = {
    # version 3
    "passed": Outcome.PASSED,
    "warning": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "skipped": Outcome.SKIPPED,
    "inconclusive": Outcome.SKIPPED,
    # version 2
    "success": Outcome.PASSED,
    "failure": Outcome.FAILED,
    "error": Outcome.ERRORED,
    "cancelled": Outcome.ERRORED,
    "ignored": Outcome.SKIPPED,
    "notrunnable": Outcome.ERRORED,
    "invalid": Outcome.ERRORED,
}
_ERRORS = frozenset({"error", "cancelled", "invalid"})
_OF_CHILDREN = (
    "one or more child tests had errors",
    "one or more child tests had warnings",
    "one or more child tests were ignored",
    "child test failed",
)
_ASSEMBLIES = frozenset({"assembly", "project", "test project"})


@dataclass(slots=True)
class _Texts:
    """The texts of one failure or reason: message and stack trace are elements of their own."""

    message: HeadTail = field(default_factory=failure_text_buffer)
    stack: HeadTail = field(default_factory=failure_text_buffer)
    outputs: list[HeadTail] = field(default_factory=list)

    def describe(self, execution: Execution) -> None:
        """Put message and texts into `execution`, as far as its outcome has any."""
        message = self.message.text()
        if execution.has_failed:
            execution.failure_message = bounded(message).strip()
            execution.failure_type = exception_type(execution.failure_message)
            execution.failure_text = f"{message}\n{self.stack.text()}".strip()
            execution.output = joined_outputs(self.outputs)
        elif execution.outcome is Outcome.SKIPPED:
            execution.failure_message = first_line(message)


@dataclass(slots=True)
class _Suite:
    """An open test-suite."""

    depth: int
    assembly: str
    full_name: str
    outcome: Outcome
    failed_itself: bool
    started_at: datetime | None
    texts: _Texts = field(default_factory=_Texts)


@dataclass(slots=True)
class _Case:
    """An open test-case."""

    depth: int
    execution: Execution
    texts: _Texts = field(default_factory=_Texts)


ROOTS = ("test-run", "test-results")
"""Root elements of NUnit's documents."""


class NUnitReader:
    """Reads a document of NUnit's."""

    dialect: ClassVar[str] = "nunit"

    def __init__(self, report: Report, tag: str, attributes: dict[str, str]) -> None:
        self._report = report
        self._suites: list[_Suite] = []
        self._case: _Case | None = None
        self._assembly = file_name(attributes.get("name") or "") if tag == "test-results" else ""
        self._assertions = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See `DialectReader.start`."""
        if self._case is not None:
            self._start_text(self._case.texts, tag)
        elif tag == "test-case":
            self._open_case(attributes)
        elif tag == "test-suite":
            self._open_suite(attributes)
        elif self._suites:
            self._start_text(self._suites[-1].texts, tag)

    def end(self, tag: str) -> None:
        """See `DialectReader.end`."""
        depth = self._report.depth
        if self._assertions == depth:
            self._assertions = 0
        if self._case is not None:
            if depth == self._case.depth:
                self._case.texts.describe(self._case.execution)
                self._report.add(self._case.execution)
                self._case = None
        elif tag == "test-suite" and self._suites and depth == self._suites[-1].depth:
            self._close_suite(self._suites.pop())

    def finish(self) -> None:
        """See `DialectReader.finish`."""
        self._case = None
        while self._suites:
            self._close_suite(self._suites.pop())

    def _start_text(self, texts: _Texts, tag: str) -> None:
        if self._assertions:
            return
        if tag == "assertions":
            # each is in the failure's message, too
            self._assertions = self._report.depth
        elif tag == "message":
            self._report.capture(texts.message)
        elif tag == "stack-trace":
            self._report.capture(texts.stack)
        elif tag == "output":
            self._report.capture(new_output(texts.outputs))

    def _open_suite(self, attributes: dict[str, str]) -> None:
        get = attributes.get
        outer = self._suites[-1] if self._suites else None
        name = identity_text(get("fullname") or get("name") or "")
        is_assembly = (get("type") or "").lower() in _ASSEMBLIES
        if is_assembly:
            name = file_name(get("name") or name)
        site = (get("site") or "").lower()
        outcome = _outcome(attributes)
        started_at = timestamp(get("start-time"))
        self._suites.append(
            _Suite(
                depth=self._report.depth,
                assembly=name if is_assembly else outer.assembly if outer else self._assembly,
                full_name=name,
                outcome=outcome,
                failed_itself=outcome in {Outcome.FAILED, Outcome.ERRORED} and site not in {"child", "parent"},
                started_at=started_at if started_at is not None or outer is None else outer.started_at,
            )
        )

    def _close_suite(self, suite: _Suite) -> None:
        message = suite.texts.message.text()
        if not suite.failed_itself or not message or message.lower().startswith(_OF_CHILDREN):
            return
        execution = Execution(
            suite=suite.assembly,
            classname=suite.full_name,
            name=SUITE_FAILURE_NAME,
            outcome=suite.outcome,
            started_at=suite.started_at,
        )
        suite.texts.describe(execution)
        self._report.add(execution)

    def _open_case(self, attributes: dict[str, str]) -> None:
        get = attributes.get
        suite = self._suites[-1] if self._suites else None
        classname, name = _names(attributes)
        started_at = timestamp(get("start-time"))
        self._case = _Case(
            self._report.depth,
            Execution(
                suite=suite.assembly if suite else self._assembly,
                classname=identity_text(classname),
                name=identity_text(name),
                outcome=_outcome(attributes),
                duration_us=duration_us(get("duration") or get("time")),
                started_at=suite.started_at if started_at is None and suite else started_at,
            ),
        )


def _outcome(attributes: dict[str, str]) -> Outcome:
    result = (attributes.get("result") or "").lower()
    if not result:
        # version 2.4 tells whether it was executed and whether it succeeded
        if (attributes.get("executed") or "").lower() == "false":
            return Outcome.SKIPPED
        return Outcome.FAILED if (attributes.get("success") or "").lower() == "false" else Outcome.PASSED
    outcome = _OUTCOMES.get(result, Outcome.SKIPPED)
    if outcome is Outcome.FAILED and (attributes.get("label") or "").lower() in _ERRORS:
        return Outcome.ERRORED
    return outcome


def _names(attributes: dict[str, str]) -> tuple[str, str]:
    """Return class and name of a test case.

    The full name tells the class with the arguments of its fixture, which `classname` leaves out.
    """
    name = attributes.get("name") or ""
    full_name = attributes.get("fullname") or ""
    if full_name and name and full_name.endswith(f".{name}"):
        return full_name[: -len(name) - 1], name
    classname = attributes.get("classname") or ""
    if full_name or classname:
        return classname, name or full_name
    # version 2 has the full name only; its arguments may hold dots
    before = name.partition("(")[0].rpartition(".")[0]
    return before, name[len(before) + 1 :] if before else name
