"""JUnit and xUnit XML: a report's bytes to test executions and issues.

The format has no standard; what is read here is the common ground of Surefire (its
`surefire-test-report.xsd`), Ant's `junitreport`, Jenkins' `xunit-plugin` schema and the writers that imitate
them. Expat's events are folded into executions as they come: neither a tree nor the captured output of a
test, which can be megabytes, is ever held. The same bytes always give the same result.

Belongs here: elements, attributes and what they mean.
Does not belong here: files, archives, identity across reports, redaction.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn
from xml.parsers import expat

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReasonCode, ReportCase, ReportIssue
from flakeguard_pipeline.parsing.decoding import (
    Repair,
    Source,
    UnsupportedEncodingError,
    is_blank,
    open_source,
    sniff,
)
from flakeguard_pipeline.parsing.text import (
    HeadTail,
    bounded,
    failure_text_buffer,
    first_line,
    identity_text,
    output_buffer,
)
from flakeguard_pipeline.parsing.values import duration_us, line_number, timestamp

__all__ = [
    "MAX_CASES",
    "MAX_DEPTH",
    "MAX_REPORT_BYTES",
    "MAX_TOKEN_BYTES",
    "SUITE_FAILURE_NAME",
    "parse_report",
    "sniff",
]

MAX_REPORT_BYTES = 1024**3
"""Bytes of the largest report read: the largest seen in the wild are some 100 MB of captured output."""

MAX_DEPTH = 100
"""Levels of elements: nested suites go five or six deep in practice."""

MAX_CASES = 2_000_000
"""Executions read from one report: beyond it, memory would be at the mercy of the report."""

MAX_TOKEN_BYTES = 16 * 1024**2
"""Bytes of one tag or comment: expat scans an unfinished one anew with each chunk, in quadratic time."""

MAX_FAILURES_PER_CASE = 20
"""Failure elements of one case whose text is kept; the rest only count for the outcome."""

SUITE_FAILURE_NAME = "<init>"
"""Name of the case that stands for a suite that failed itself (its class did not load), as in Jenkins."""

_ROOT_SEARCH_BYTES = 1024**2
_ROOTS = frozenset({"testsuites", "testsuite", "testrun"})
_LOOKS_LIKE_REPORT = re.compile(rb"<(?:\w{1,32}:)?(?:testsuites?|testrun)(?:[\s/>]|\Z)")
_DIALECT_JUNIT = "junit"
_DIALECT_SUREFIRE = "surefire"

_OUTCOME_OF_STATUS = {
    "notrun": Outcome.SKIPPED,
    "disabled": Outcome.SKIPPED,
    "skipped": Outcome.SKIPPED,
    "failed": Outcome.FAILED,
    "failure": Outcome.FAILED,
    "error": Outcome.ERRORED,
    "errored": Outcome.ERRORED,
}
_FAILURES = {"failure": Outcome.FAILED, "error": Outcome.ERRORED}
_FLAKES = {"flakyFailure": Outcome.FAILED, "flakyError": Outcome.ERRORED}
_RERUNS = {"rerunFailure": Outcome.FAILED, "rerunError": Outcome.ERRORED}
_ATTEMPTS = _FLAKES | _RERUNS
_OUTPUTS = frozenset({"system-out", "system-err"})

# faults that a repair of characters may cure; a truncated document is not among them
_REPAIRABLE = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_INVALID_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_BAD_CHAR_REF,
        expat.errors.XML_ERROR_UNDEFINED_ENTITY,
    )
)


def parse_report(data: bytes) -> ParsedReport:
    """Return the executions of the test report `data`, in document order, and what was wrong with it.

    Never raises on any bytes. `is_report` is False, without an issue, for what is not XML or whose root
    element is no test report's. XML that breaks off before its root keeps its issue and is a report when a
    test report's element is in sight. Whole cases before a fault are kept.

    Several executions of one test (equal suite, class name, name and file) are its retries, in order;
    cases without a name are never taken for each other.
    """
    if is_blank(data):
        return _refused(ReasonCode.EMPTY_FILE, f"{len(data)} bytes", is_report=True)
    if not sniff(data):
        return ParsedReport(is_report=False, dialect="", cases=(), issues=())
    if len(data) > MAX_REPORT_BYTES:
        detail = f"{len(data)} bytes, {MAX_REPORT_BYTES} are the limit"
        return _refused(ReasonCode.REPORT_TOO_LARGE, detail, is_report=True)
    try:
        source = open_source(data)
    except UnsupportedEncodingError as error:
        return _refused(ReasonCode.UNSUPPORTED_ENCODING, str(error), is_report=_looks_like_report(data))
    reader, fault = _read(source, None)
    if fault is not None and fault.repairable and reader.may_be_report:
        reader, fault = _read_repaired(source, fault)
    if fault is not None:
        reader.issues.append(ReportIssue(fault.code, fault.detail))
    if not reader.may_be_report:
        return ParsedReport(is_report=False, dialect="", cases=(), issues=())
    cases = reader.finish()
    if not cases and not reader.issues:
        reader.issues.append(ReportIssue(ReasonCode.NO_TEST_CASES, "no testcase element"))
    is_report = reader.root_seen or _looks_like_report(data)
    return ParsedReport(is_report, reader.dialect if is_report else "", cases, tuple(reader.issues))


def _refused(code: ReasonCode, detail: str, *, is_report: bool) -> ParsedReport:
    return ParsedReport(is_report, _DIALECT_JUNIT if is_report else "", (), (ReportIssue(code, detail),))


def _looks_like_report(data: bytes) -> bool:
    return _LOOKS_LIKE_REPORT.search(data[:_ROOT_SEARCH_BYTES].replace(b"\x00", b"")) is not None


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why the reading of a document ended before its end."""

    code: ReasonCode
    detail: str
    repairable: bool = False


class _Stopped(Exception):  # noqa: N818 - not an error, a way out of expat
    """Raised in a handler to leave the document; `fault` is None where its root is no report's."""

    def __init__(self, fault: _Fault | None) -> None:
        super().__init__()
        self.fault = fault


def _read(source: Source, repair: Repair | None) -> tuple["_Reader", _Fault | None]:
    """Read the document once, as it is or repaired; return what was read up to the fault, if any."""
    # the encoding is given, so expat never asks Python for one it does not know
    parser = expat.ParserCreate(source.expat_encoding if repair is None else "utf-8")
    reader = _Reader(parser)
    chunks = source.chunks() if repair is None else source.repaired_chunks(repair)
    try:
        _feed(parser, chunks)
    except _Stopped as stop:
        return reader, stop.fault
    except expat.ExpatError as error:
        line = error.lineno + source.skipped_lines
        detail = f"line {line}, column {error.offset + 1}: {expat.ErrorString(error.code)}"
        return reader, _Fault(ReasonCode.NOT_WELL_FORMED, detail, error.code in _REPAIRABLE)
    except UnicodeError:
        line = parser.CurrentLineNumber + source.skipped_lines
        column = parser.CurrentColumnNumber + 1
        detail = f"line {line}, column {column} or later: bytes that are not {source.encoding}"
        return reader, _Fault(ReasonCode.NOT_WELL_FORMED, detail, repairable=True)
    finally:
        # parser and handlers refer to each other: let go of the buffers now, not at the next collection
        reader.detach()
    return reader, None


def _read_repaired(source: Source, first: _Fault) -> tuple["_Reader", _Fault]:
    """Read the document a second time, repaired; `first` is what ended the first reading."""
    repair = Repair()
    reader, second = _read(source, repair)
    detail = first.detail
    if repair.changes:
        detail = f"{detail}; illegal characters were replaced, the rest was read"
    if second is not None:
        detail = f"{detail} up to {second.detail}" if repair.changes else second.detail
        if second.code is not ReasonCode.NOT_WELL_FORMED:
            reader.issues.append(ReportIssue(second.code, second.detail))
    return reader, _Fault(ReasonCode.NOT_WELL_FORMED, detail)


def _feed(parser: expat.XMLParserType, chunks: Iterable[bytes]) -> None:
    fed = 0
    for chunk in chunks:
        parser.Parse(chunk, False)
        fed += len(chunk)
        if fed - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
            detail = f"line {parser.CurrentLineNumber}: one tag or comment exceeds {MAX_TOKEN_BYTES} bytes"
            raise _Stopped(_Fault(ReasonCode.NOT_WELL_FORMED, detail))
    parser.Parse(b"", True)


@dataclass(slots=True)
class _Execution:
    """One execution while its report is still being read: output and retries are known later."""

    suite: str
    classname: str
    name: str
    file: str
    line: int | None
    outcome: Outcome
    duration_us: int | None
    started_at: datetime | None
    failure_type: str = ""
    failure_message: str = ""
    failure_text: str = ""
    output: str = ""
    retry_index: int = 0
    is_final: bool = True


@dataclass(slots=True)
class _Failure:
    """One failure, error, skip or retry element."""

    outcome: Outcome
    message: str
    type: str
    duration_us: int | None = None
    started_at: datetime | None = None
    text: HeadTail = field(default_factory=failure_text_buffer)
    outputs: list[HeadTail] = field(default_factory=list)


@dataclass(slots=True)
class _Suite:
    """An open testsuite: what its cases inherit, and those that wait for its output."""

    name: str
    file: str
    started_at: datetime | None
    failures: list[_Failure] = field(default_factory=list)
    outputs: list[HeadTail] = field(default_factory=list)
    waiting: list[_Execution] = field(default_factory=list)


@dataclass(slots=True)
class _Case:
    """An open testcase."""

    execution: _Execution
    failures: list[_Failure] = field(default_factory=list)
    flakes: list[_Failure] = field(default_factory=list)
    reruns: list[_Failure] = field(default_factory=list)
    outputs: list[HeadTail] = field(default_factory=list)
    skip: _Failure | None = None
    errored: bool = False


class _Reader:
    """Expat's handlers for one document."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.dialect = _DIALECT_JUNIT
        self.root_seen = False
        self.may_be_report = True
        self.issues: list[ReportIssue] = []
        self._executions: list[_Execution] = []
        self._depth = 0
        self._suites: list[_Suite] = [_Suite("", "", None)]
        self._case: _Case | None = None
        self._case_depth = 0
        # the failure or retry element that is open, and the depth of it
        self._failure: _Failure | None = None
        self._failure_depth = 0
        # where text goes, innermost last, with the depth of the element that opened it
        self._sinks: list[tuple[int, HeadTail]] = []
        self._parser = parser
        # bytes of text per event; without it expat reports each line of a log by itself
        parser.buffer_text = True
        parser.buffer_size = 64 * 1024
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity

    def detach(self) -> None:
        """Take the handlers off the parser."""
        self._parser.StartElementHandler = None
        self._parser.EndElementHandler = None
        self._parser.EntityDeclHandler = None
        self._parser.CharacterDataHandler = None

    def finish(self) -> tuple[ReportCase, ...]:
        """Return all executions with their retries numbered; suites that a fault left open are closed."""
        while self._suites:
            self._close_suite()
        latest: dict[tuple[str, str, str, str], _Execution] = {}
        for execution in self._executions:
            if not execution.name:
                continue
            key = (execution.suite, execution.classname, execution.name, execution.file)
            earlier = latest.get(key)
            if earlier is not None:
                earlier.is_final = False
                execution.retry_index = earlier.retry_index + 1
            latest[key] = execution
        return tuple(
            ReportCase(
                ordinal=ordinal,
                suite=one.suite,
                classname=one.classname,
                name=one.name,
                file=one.file,
                line=one.line,
                outcome=one.outcome,
                retry_index=one.retry_index,
                is_final=one.is_final,
                duration_us=one.duration_us,
                started_at=one.started_at,
                failure_type=one.failure_type,
                failure_message=one.failure_message,
                failure_text=one.failure_text,
                output=one.output,
            )
            for ordinal, one in enumerate(self._executions)
        )

    # handlers

    def _entity(self, *_declaration: object) -> NoReturn:
        detail = f"line {self._parser.CurrentLineNumber}: an entity declaration in the DOCTYPE"
        raise _Stopped(_Fault(ReasonCode.ENTITY_DECLARATION, detail))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._depth == 1:
            self._open_root(tag, attributes)
        elif self._depth > MAX_DEPTH:
            detail = f"line {self._parser.CurrentLineNumber}: more than {MAX_DEPTH} levels of elements"
            raise _Stopped(_Fault(ReasonCode.TOO_DEEP, detail))
        if tag == "testcase":
            if self._case is None:
                self._open_case(attributes)
        elif tag == "testsuite":
            if self._case is None:
                self._open_suite(attributes)
        elif tag in _OUTPUTS:
            self._open_output()
        elif self._failure is None:
            if tag in _FAILURES:
                self._open_failure(_FAILURES[tag], attributes)
            elif self._case is not None and tag in _ATTEMPTS:
                self._open_attempt(self._case, tag, attributes)
            elif self._case is not None and tag == "skipped":
                self._case.skip = self._opened(Outcome.SKIPPED, attributes)

    def _end(self, tag: str) -> None:
        depth = self._depth
        if self._sinks and self._sinks[-1][0] == depth:
            self._sinks.pop()
            if not self._sinks:
                self._parser.CharacterDataHandler = None
            else:
                self._parser.CharacterDataHandler = self._sinks[-1][1].add
        if self._failure_depth == depth:
            self._failure = None
            self._failure_depth = 0
        self._depth -= 1
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._case is not None:
            if depth == self._case_depth:
                self._close_case(self._case)
        elif tag == "testsuite":
            self._close_suite()

    # opening

    def _open_root(self, tag: str, attributes: dict[str, str]) -> None:
        if tag not in _ROOTS:
            self.may_be_report = False
            raise _Stopped(None)
        self.root_seen = True
        for name, value in attributes.items():
            if name.endswith("chemaLocation") and "surefire" in value:
                self.dialect = _DIALECT_SUREFIRE

    def _open_suite(self, attributes: dict[str, str]) -> None:
        outer = self._suites[-1]
        started_at = timestamp(attributes.get("timestamp"))
        self._suites.append(
            _Suite(
                name=identity_text(attributes.get("name") or "") or outer.name,
                file=identity_text(attributes.get("file") or "") or outer.file,
                started_at=outer.started_at if started_at is None else started_at,
            )
        )

    def _open_case(self, attributes: dict[str, str]) -> None:
        suite = self._suites[-1]
        started_at = timestamp(attributes.get("timestamp"))
        get = attributes.get
        status = get("status")
        self._case_depth = self._depth
        self._case = _Case(
            _Execution(
                suite=suite.name,
                classname=identity_text(get("classname") or get("class") or ""),
                name=identity_text(get("name") or ""),
                # a failure's own file and line are where it broke, not where the test is: never identity
                file=identity_text(get("file") or "") or suite.file,
                line=line_number(get("line")),
                outcome=Outcome.PASSED if status is None else _OUTCOME_OF_STATUS.get(status.lower(), Outcome.PASSED),
                duration_us=duration_us(get("time")),
                started_at=suite.started_at if started_at is None else started_at,
            )
        )

    def _open_failure(self, outcome: Outcome, attributes: dict[str, str]) -> None:
        failure = self._opened(outcome, attributes)
        if self._case is None:
            kept = self._suites[-1].failures
        else:
            kept = self._case.failures
            self._case.errored = self._case.errored or outcome is Outcome.ERRORED
        if len(kept) < MAX_FAILURES_PER_CASE:
            kept.append(failure)

    def _open_attempt(self, case: _Case, tag: str, attributes: dict[str, str]) -> None:
        attempt = self._opened(_ATTEMPTS[tag], attributes)
        attempt.duration_us = duration_us(attributes.get("time"))
        attempt.started_at = timestamp(attributes.get("timestamp"))
        (case.flakes if tag in _FLAKES else case.reruns).append(attempt)
        if len(self._executions) + len(case.flakes) + len(case.reruns) > MAX_CASES:
            self._stop_too_large()

    def _opened(self, outcome: Outcome, attributes: dict[str, str]) -> _Failure:
        failure = _Failure(
            outcome,
            message=bounded(attributes.get("message") or "").strip(),
            type=bounded(attributes.get("type") or "").strip(),
        )
        self._failure, self._failure_depth = failure, self._depth
        self._open_sink(failure.text)
        return failure

    def _open_output(self) -> None:
        owner = self._failure or self._case or self._suites[-1]
        if not owner.outputs:
            owner.outputs = [output_buffer()]
        elif len(owner.outputs) < len(_OUTPUTS):
            owner.outputs.append(output_buffer())
        self._open_sink(owner.outputs[-1])

    def _open_sink(self, sink: HeadTail) -> None:
        self._sinks.append((self._depth, sink))
        self._parser.CharacterDataHandler = sink.add

    # closing

    def _close_case(self, case: _Case) -> None:
        self._case = None
        last = case.execution
        output = _joined(case.outputs)
        if case.failures:
            last.outcome = Outcome.ERRORED if case.errored else Outcome.FAILED
            _describe(last, case.failures)
        elif case.skip is not None and last.outcome is not Outcome.FAILED and last.outcome is not Outcome.ERRORED:
            last.outcome = Outcome.SKIPPED
            last.failure_message = case.skip.message or first_line(case.skip.text.text())
        failed = last.outcome is Outcome.FAILED or last.outcome is Outcome.ERRORED
        if failed:
            last.output = output
        # a rerun beside no failure came before the pass that the case reports
        before, after = (case.flakes, case.reruns) if failed else (case.flakes + case.reruns, [])
        for attempt in before:
            self._add(_attempt(last, attempt))
        self._add(last)
        for attempt in after:
            self._add(_attempt(last, attempt))

    def _close_suite(self) -> None:
        suite = self._suites.pop()
        if suite.failures:
            errored = any(failure.outcome is Outcome.ERRORED for failure in suite.failures)
            execution = _Execution(
                suite=suite.name,
                classname=suite.name,
                name=SUITE_FAILURE_NAME,
                file=suite.file,
                line=None,
                outcome=Outcome.ERRORED if errored else Outcome.FAILED,
                duration_us=None,
                started_at=suite.started_at,
            )
            _describe(execution, suite.failures)
            self._executions.append(execution)
            suite.waiting.append(execution)
        if suite.outputs and suite.waiting:
            output = _joined(suite.outputs)
            for execution in suite.waiting:
                execution.output = output

    def _add(self, execution: _Execution) -> None:
        self._executions.append(execution)
        if not execution.output and execution.outcome in {Outcome.FAILED, Outcome.ERRORED}:
            self._suites[-1].waiting.append(execution)
        if len(self._executions) > MAX_CASES:
            self._stop_too_large()

    def _stop_too_large(self) -> NoReturn:
        raise _Stopped(_Fault(ReasonCode.REPORT_TOO_LARGE, f"more than {MAX_CASES} executions"))


def _describe(execution: _Execution, failures: list[_Failure]) -> None:
    """Put type, message and text of `failures` into the execution; the first of the outcome's kind speaks."""
    leading = next((one for one in failures if one.outcome is execution.outcome), failures[0])
    text = leading.text.text()
    execution.failure_type = leading.type
    execution.failure_message = leading.message or first_line(text)
    if len(failures) > 1:
        together = failure_text_buffer()
        for number, failure in enumerate(failures):
            together.add("\n\n" if number else "")
            together.add(failure.text.text())
        text = together.text()
    execution.failure_text = text


def _attempt(case: _Execution, failure: _Failure) -> _Execution:
    """Return the failed attempt `failure` at the test that `case` is another execution of."""
    execution = _Execution(
        suite=case.suite,
        classname=case.classname,
        name=case.name,
        file=case.file,
        line=case.line,
        outcome=failure.outcome,
        duration_us=failure.duration_us,
        started_at=case.started_at if failure.started_at is None else failure.started_at,
        output=_joined(failure.outputs),
    )
    _describe(execution, [failure])
    return execution


def _joined(outputs: list[HeadTail]) -> str:
    return "\n".join(text for text in (output.text() for output in outputs) if text)
