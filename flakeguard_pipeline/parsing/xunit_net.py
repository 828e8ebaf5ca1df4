"""xUnit.net's own XML: `assemblies`, `assembly`, `collection`, `test`, of versions 2 and 3 (and 1's `class`).

Belongs here: its elements, attributes and what they mean.
Does not belong here: what xUnit's tests look like in TRX (trx.py) or in the JUnit logger's XML (junit.py).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import (
    MAX_FAILURES_PER_CASE,
    SUITE_FAILURE_NAME,
    Execution,
    Report,
    joined_outputs,
    new_output,
)
from flakeguard_pipeline.parsing.text import HeadTail, bounded, failure_text_buffer, first_line, identity_text
from flakeguard_pipeline.parsing.trx import exception_type, file_name, without_class
from flakeguard_pipeline.parsing.values import duration_us, line_number, timestamp

_OUTCOMES = {
    "pass": Outcome.PASSED,
    "fail": Outcome.FAILED,
    "skip": Outcome.SKIPPED,
    "notrun": Outcome.SKIPPED,
}


@dataclass(slots=True)
class _Texts:
    """The texts of one failure: message and stack trace are elements of their own."""

    type: str = ""
    message: HeadTail = field(default_factory=failure_text_buffer)
    stack: HeadTail = field(default_factory=failure_text_buffer)

    def describe(self, execution: Execution) -> None:
        """Put type, message and both texts into `execution`."""
        message = self.message.text()
        execution.failure_message = bounded(message).strip()
        execution.failure_type = self.type or exception_type(execution.failure_message)
        execution.failure_text = f"{message}\n{self.stack.text()}".strip()


@dataclass(slots=True)
class _Test:
    """A test element that is open."""

    depth: int
    execution: Execution
    failure: _Texts = field(default_factory=_Texts)
    reason: HeadTail = field(default_factory=failure_text_buffer)
    outputs: list[HeadTail] = field(default_factory=list)


ROOTS = ("assemblies", "assembly")
"""Root elements of xUnit.net's documents; `assembly` is that of others, too: see `claims`."""


def claims(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether a root with one of ROOTS is xUnit.net's: manifests and build files have an `assembly`, too."""
    return tag == "assemblies" or "test-framework" in attributes or "run-date" in attributes


class XunitNetReader:
    """Reads a document of xUnit.net's."""

    dialect: ClassVar[str] = "xunit-net"

    def __init__(self, report: Report, tag: str, attributes: dict[str, str]) -> None:
        self._report = report
        self._assembly = ""
        self._started_at: datetime | None = None
        self._test: _Test | None = None
        self._errors: list[_Texts] = []
        self._error: _Texts | None = None
        if tag == "assembly":
            self._open_assembly(attributes)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See `DialectReader.start`."""
        if self._test is not None:
            self._start_in_test(self._test, tag, attributes)
        elif self._error is not None:
            self._start_in_failure(self._error, tag, attributes)
        elif tag == "test":
            self._open_test(attributes)
        elif tag == "error":
            self._error = _Texts(type=bounded(attributes.get("type") or "").strip())
            if len(self._errors) < MAX_FAILURES_PER_CASE:
                self._errors.append(self._error)
        elif tag == "assembly":
            self._open_assembly(attributes)

    def end(self, tag: str) -> None:
        """See `DialectReader.end`."""
        if self._test is not None:
            if self._report.depth == self._test.depth:
                self._close_test(self._test)
                self._test = None
        elif tag == "error":
            self._error = None
        elif tag == "assembly":
            self._close_assembly()

    def finish(self) -> None:
        """See `DialectReader.finish`."""
        self._close_assembly()

    def _open_assembly(self, attributes: dict[str, str]) -> None:
        self._close_assembly()
        get = attributes.get
        self._assembly = file_name(get("name") or get("full-name") or "")
        started_at = timestamp(get("start-rtf"))
        if started_at is None:
            # local to the machine, but no zone is told
            started_at = timestamp(f"{get('run-date') or ''}T{get('run-time') or ''}")
        self._started_at = started_at

    def _close_assembly(self) -> None:
        errors, self._errors = self._errors, []
        self._error = None
        if not errors:
            return
        execution = self._execution(classname=self._assembly, name=SUITE_FAILURE_NAME, outcome=Outcome.ERRORED)
        errors[0].describe(execution)
        together = failure_text_buffer()
        for number, error in enumerate(errors):
            together.add("\n\n" if number else "")
            together.add(f"{error.message.text()}\n{error.stack.text()}".strip())
        execution.failure_text = together.text()
        self._report.add(execution)

    def _execution(self, *, classname: str, name: str, outcome: Outcome) -> Execution:
        return Execution(
            suite=self._assembly, classname=classname, name=name, outcome=outcome, started_at=self._started_at
        )

    def _open_test(self, attributes: dict[str, str]) -> None:
        get = attributes.get
        classname = identity_text(get("type") or "")
        name = identity_text(get("name") or get("method") or "")
        execution = self._execution(
            classname=classname,
            name=without_class(name, classname),
            outcome=_OUTCOMES.get((get("result") or "").lower(), Outcome.SKIPPED),
        )
        execution.file = identity_text(get("source-file") or "")
        execution.line = line_number(get("source-line"))
        execution.duration_us = duration_us(get("time"))
        execution.started_at = timestamp(get("start-rtf")) or self._started_at
        self._test = _Test(self._report.depth, execution)

    def _start_in_test(self, test: _Test, tag: str, attributes: dict[str, str]) -> None:
        if tag == "output":
            self._report.capture(new_output(test.outputs))
        elif tag == "reason":
            self._report.capture(test.reason)
        else:
            self._start_in_failure(test.failure, tag, attributes)

    def _start_in_failure(self, failure: _Texts, tag: str, attributes: dict[str, str]) -> None:
        if tag == "failure":
            failure.type = bounded(attributes.get("exception-type") or "").strip() or failure.type
        elif tag == "message":
            # version 1 puts the reason of a skip into a message of its own
            self._report.capture(failure.message)
        elif tag == "stack-trace":
            self._report.capture(failure.stack)

    def _close_test(self, test: _Test) -> None:
        execution = test.execution
        if execution.has_failed:
            test.failure.describe(execution)
            execution.output = joined_outputs(test.outputs)
        elif execution.outcome is Outcome.SKIPPED:
            execution.failure_message = first_line(test.reason.text() or test.failure.message.text())
        self._report.add(execution)
