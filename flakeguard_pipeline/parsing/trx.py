"""TRX, Visual Studio's test results: `TestRun` with `Results` and, after them, `TestDefinitions`.

Written by `dotnet test --logger trx`, vstest and Microsoft.Testing.Platform. A result names its test; the class
and the assembly are in the test's definition, which comes later, so results wait for it.

Belongs here: TRX's elements, attributes and what they mean.
Does not belong here: other .NET formats (nunit.py, xunit_net.py; the JUnit logger's are junit.py's).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from flakeguard_pipeline.domain.model import Outcome, ReasonCode
from flakeguard_pipeline.parsing.elements import Execution, Report, joined_outputs, new_output
from flakeguard_pipeline.parsing.text import HeadTail, bounded, failure_text_buffer, first_line, identity_text
from flakeguard_pipeline.parsing.values import duration_us, timestamp

MAX_HELD = 500_000
"""Results that wait for their definitions: some 0.5 GB of the smallest ones, in a file of the same size."""

MAX_HELD_CHARACTERS = 32 * 1024**2
"""Characters of failure text and output that wait with them; what fails beyond it keeps its message only."""

_RESULTS = frozenset(
    {"UnitTestResult", "GenericTestResult", "ManualTestResult", "WebTestResult", "TestResult", "TestResultAggregation"}
)
_OUTCOMES = {
    "passed": Outcome.PASSED,
    "passedbutrunaborted": Outcome.PASSED,
    "completed": Outcome.PASSED,
    "warning": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "error": Outcome.ERRORED,
    "timeout": Outcome.ERRORED,
    "aborted": Outcome.ERRORED,
    "disconnected": Outcome.ERRORED,
    "inconclusive": Outcome.SKIPPED,
    "notexecuted": Outcome.SKIPPED,
    "notrunnable": Outcome.SKIPPED,
    "pending": Outcome.SKIPPED,
    "inprogress": Outcome.SKIPPED,
}


@dataclass(slots=True)
class _Result:
    """A result element that is open."""

    depth: int
    test_id: str
    execution: Execution
    message: HeadTail = field(default_factory=failure_text_buffer)
    stack: HeadTail = field(default_factory=failure_text_buffer)
    outputs: list[HeadTail] = field(default_factory=list)
    has_message: bool = False
    inner: int = 0
    inner_failed: bool = False


@dataclass(slots=True)
class _Definition:
    """A test's definition: where its class and its assembly are told."""

    test_id: str
    storage: str
    class_name: str = ""


ROOTS = ("TestRun",)
"""Root elements of TRX documents."""


class TrxReader:
    """Reads a TRX document."""

    dialect: ClassVar[str] = "trx"

    def __init__(self, report: Report, _tag: str, _attributes: dict[str, str]) -> None:
        self._report = report
        self._open: list[_Result] = []
        self._held: deque[tuple[str, Execution]] = deque()
        self._room = MAX_HELD_CHARACTERS
        self._definition: _Definition | None = None
        # assembly and class by test id, each text held once
        self._definitions: dict[str, tuple[str, str]] = {}
        self._texts: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See `DialectReader.start`."""
        if tag in _RESULTS:
            self._open_result(attributes)
        elif self._open:
            self._start_in_result(self._open[-1], tag)
        elif tag == "TestMethod" and self._definition is not None:
            self._definition.class_name = _class_name(attributes.get("className") or "")
        elif tag == "UnitTest" or (tag.endswith("Test") and "storage" in attributes):
            self._definition = _Definition(
                test_id=(attributes.get("id") or "").lower(), storage=file_name(attributes.get("storage") or "")
            )

    def end(self, tag: str) -> None:
        """See `DialectReader.end`."""
        if self._open:
            if self._report.depth == self._open[-1].depth:
                self._close_result(self._open.pop())
        elif tag == "TestDefinitions":
            self._release()
        elif self._definition is not None and (tag == "UnitTest" or tag.endswith("Test")):
            one, self._definition = self._definition, None
            if one.test_id:
                self._definitions[one.test_id] = (self._shared(one.storage), self._shared(one.class_name))

    def finish(self) -> None:
        """See `DialectReader.finish`."""
        # a document that broke off in its definitions has told some of them
        self._release()

    # results

    def _open_result(self, attributes: dict[str, str]) -> None:
        get = attributes.get
        outcome = get("outcome")
        execution = Execution(
            suite="",
            classname="",
            name=identity_text(get("testName") or ""),
            # the writer leaves the enumeration's default out, and its default is Error
            outcome=Outcome.ERRORED if not outcome else _OUTCOMES.get(outcome.lower(), Outcome.SKIPPED),
            duration_us=duration_us(get("duration")),
            started_at=timestamp(get("startTime")),
        )
        self._open.append(_Result(self._report.depth, (get("testId") or "").lower(), execution))

    def _start_in_result(self, result: _Result, tag: str) -> None:
        if tag == "Message" and not result.has_message:
            # ErrorInfo's comes before TextMessages'
            result.has_message = True
            self._report.capture(result.message)
        elif tag == "StackTrace":
            self._report.capture(result.stack)
        elif tag in {"StdOut", "StdErr"}:
            self._report.capture(new_output(result.outputs))

    def _close_result(self, result: _Result) -> None:
        execution = result.execution
        failed = execution.has_failed
        if self._open:
            outer = self._open[-1]
            outer.inner += 1
            outer.inner_failed = outer.inner_failed or failed or result.inner_failed
        if result.inner and (result.inner_failed or not failed):
            # sums up its rows (data-driven tests) or tests (ordered tests), which speak for themselves
            return
        message = result.message.text()
        if failed:
            execution.failure_message = bounded(message).strip()
            execution.failure_type = exception_type(execution.failure_message)
            stack = result.stack.text()
            if len(message) + len(stack) <= self._room:
                execution.failure_text = f"{message}\n{stack}".strip()
                execution.output = joined_outputs(result.outputs)
                self._room -= len(execution.failure_text) + len(execution.output)
        elif execution.outcome is Outcome.SKIPPED:
            execution.failure_message = bounded(message).strip() or first_line(joined_outputs(result.outputs))
        self._held.append((result.test_id, execution))
        if len(self._held) > MAX_HELD:
            self._report.stop(ReasonCode.REPORT_TOO_LARGE, f"more than {MAX_HELD} results before their definitions")

    # definitions

    def _release(self) -> None:
        while self._held:
            test_id, execution = self._held.popleft()
            defined = self._definitions.get(test_id)
            # a document that broke off before its definitions still tells the class in xUnit's names
            execution.suite, execution.classname = defined or ("", _class_in(execution.name))
            execution.name = without_class(execution.name, execution.classname)
            self._report.add(execution)

    def _shared(self, text: str) -> str:
        return self._texts.setdefault(text, text)


def file_name(path: str) -> str:
    """Return the last part of a path of either kind, fit to identify something.

    Assemblies are told by their path on the machine that ran them, which is not the same on the next one.
    """
    return identity_text(path.replace("\\", "/").rpartition("/")[2])


def without_class(name: str, classname: str) -> str:
    """Return a test's name without its class before it: xUnit's adapter writes both into the display name."""
    prefix = f"{classname}."
    return name[len(prefix) :] if classname and name.startswith(prefix) and len(name) > len(prefix) else name


def _class_in(name: str) -> str:
    """Return the class that a qualified name (`Ns.Class.Method(x: 1.5)`) tells, '' where it is not qualified."""
    head = name.partition("(")[0]
    return head.rpartition(".")[0] if all(part.isidentifier() for part in head.split(".")) else ""


def exception_type(message: str) -> str:
    """Return the exception's type where a .NET message begins with it (`Ns.TimeoutException : text`), else ''."""
    head, colon, _ = message.partition(" : ")
    if colon and "." in head and all(part.isidentifier() for part in head.split(".")):
        return head
    return ""


def _class_name(text: str) -> str:
    # `Ns.Class, Assembly, Version=...`; commas inside brackets are of generic arguments
    depth = 0
    for at, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == "," and depth == 0:
            text = text[:at]
            break
    return identity_text(text.strip())
