"""One document, event by event: tolerant, in bounded memory, whatever its dialect, encoding or size.

Expat's events go to the reader of the root's dialect; what that adds comes out in lists, as soon as it is settled.
A document that is almost XML (illegal characters, a raw '<' in an attribute) is read a second time, repaired.

Belongs here: expat, faults, limits, repairs. Does not belong here: elements and what they mean.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from flakeguard_pipeline.domain.model import ReasonCode, ReportIssue
from flakeguard_pipeline.parsing.decoding import Repair, Source
from flakeguard_pipeline.parsing.dialects import reader_for
from flakeguard_pipeline.parsing.elements import DialectReader, Execution
from flakeguard_pipeline.parsing.retries import RetryChains
from flakeguard_pipeline.parsing.text import HeadTail

MAX_DEPTH = 100
"""Levels of elements: nested suites go five or six deep in practice."""

MAX_CASES = 20_000_000
"""Executions read from one report: some 2 GB of the smallest test cases. A report beyond it is a runaway loop."""

MAX_TOKEN_BYTES = 16 * 1024**2
"""Bytes of one tag or comment: expat scans an unfinished one anew with each chunk, in quadratic time."""

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


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the reading of a document ended before its end."""

    code: ReasonCode
    detail: str
    repairable: bool = False


class Document:
    """Reads one document. Iterate over `executions()`, then look at what was found out on the way.

    `is_report` is False where the root element is no test report's; `root_seen` says that there was one at all.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._handed_on = 0
        self.dialect = ""
        self.root_seen = False
        self.is_report = True
        self.issues: list[ReportIssue] = []

    def executions(self) -> Iterator[list[Execution]]:
        """Yield the executions in lists, settled ones first; `ordinal` has their order in the document.

        Where a fault ends the document, the whole cases before it were yielded and `issues` says so.
        """
        first = _Pass(self._source, None)
        yield from self._run(first, skip=0)
        fault = first.fault
        if fault is not None and fault.repairable and first.may_be_report:
            repair = Repair()
            second = _Pass(self._source, repair)
            # what came before the fault needed no repair, so it comes out the same
            yield from self._run(second, skip=self._handed_on)
            fault = self._repaired(fault, repair, second.fault)
        if fault is not None:
            self.issues.append(ReportIssue(fault.code, fault.detail))

    def _run(self, reading: "_Pass", *, skip: int) -> Iterator[list[Execution]]:
        for settled in reading.executions():
            fresh = settled[skip:]
            skip -= len(settled) - len(fresh)
            self._handed_on += len(fresh)
            if fresh:
                yield fresh
        self.root_seen = reading.root_seen
        self.is_report = reading.may_be_report
        self.dialect = reading.dialect

    def _repaired(self, first: Fault, repair: Repair, second: Fault | None) -> Fault:
        detail = first.detail
        if repair.changes:
            detail = f"{detail}; illegal characters were replaced, the rest was read"
        if second is not None:
            detail = f"{detail} up to {second.detail}" if repair.changes else second.detail
            if second.code is not ReasonCode.NOT_WELL_FORMED:
                self.issues.append(ReportIssue(second.code, second.detail))
        return Fault(ReasonCode.NOT_WELL_FORMED, detail)


class _Stopped(Exception):  # noqa: N818 - not an error, a way out of expat
    """Raised in a handler to leave the document; `fault` is None where its root is no report's."""

    def __init__(self, fault: Fault | None) -> None:
        super().__init__()
        self.fault = fault


class _Pass:
    """One reading of a document, as it is or repaired: the `Report` that the dialect's reader talks to."""

    def __init__(self, source: Source, repair: Repair | None) -> None:
        self._source = source
        self._is_repaired = repair is not None
        self._chunks = source.chunks() if repair is None else source.repaired_chunks(repair)
        # the encoding is given, so expat never asks Python for one it does not know
        self._parser = expat.ParserCreate(source.expat_encoding if repair is None else "utf-8")
        self._chains = RetryChains()
        self._reader: DialectReader | None = None
        self._prefix = ""
        # where text goes, innermost last, with the depth of the element that it belongs to
        self._sinks: list[tuple[int, HeadTail]] = []
        self.depth = 0
        self.dialect = ""
        self.root_seen = False
        self.may_be_report = True
        self.fault: Fault | None = None

    # what the reader may ask

    def capture(self, sink: HeadTail) -> None:
        """See `Report.capture`."""
        self._sinks.append((self.depth, sink))
        self._parser.CharacterDataHandler = sink.add

    def add(self, execution: Execution, retry_of: Execution | None = None) -> None:
        """See `Report.add`."""
        self._chains.add(execution, retry_of)
        if self._chains.count > MAX_CASES:
            self.stop(ReasonCode.REPORT_TOO_LARGE, f"more than {MAX_CASES} executions")

    def stop(self, code: ReasonCode, detail: str) -> NoReturn:
        """See `Report.stop`."""
        raise _Stopped(Fault(code, detail))

    # reading

    def executions(self) -> Iterator[list[Execution]]:
        """Yield what is settled after each chunk; afterwards `fault` says what ended the reading early, if anything."""
        parser = self._parser
        # bytes of text per event; without it expat reports each line of a log by itself
        parser.buffer_text = True
        parser.buffer_size = 64 * 1024
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        try:
            for _ in self._feed(self._chunks):
                yield self._chains.settled()
        except _Stopped as stop:
            self.fault = stop.fault
        except expat.ExpatError as error:
            line = error.lineno + self._source.skipped_lines
            detail = f"line {line}, column {error.offset + 1}: {expat.ErrorString(error.code)}"
            self.fault = Fault(ReasonCode.NOT_WELL_FORMED, detail, error.code in _REPAIRABLE)
        except UnicodeError:
            column = parser.CurrentColumnNumber + 1
            detail = f"{self._line()}, column {column} or later: bytes that are not {self._source.encoding}"
            self.fault = Fault(ReasonCode.NOT_WELL_FORMED, detail, repairable=True)
        finally:
            # parser and handlers refer to each other: let go of the buffers now, not at the next collection
            parser.StartElementHandler = None
            parser.EndElementHandler = None
            parser.EntityDeclHandler = None
            parser.CharacterDataHandler = None
        if self._reader is not None:
            # known only now, where it shows in what the document holds
            self.dialect = self._reader.dialect
        if self.fault is not None and self.fault.repairable and self.may_be_report and not self._is_repaired:
            # the whole document is read anew; what waits here comes then
            yield self._chains.settled()
            return
        try:
            if self._reader is not None:
                self._reader.finish()
        except _Stopped as stop:
            self.fault = self.fault or stop.fault
        self._chains.finish()
        yield self._chains.settled()

    def _feed(self, chunks: Iterable[bytes]) -> Iterator[None]:
        parser = self._parser
        fed = 0
        for chunk in chunks:
            if not fed and b"\x00" in chunk[:2]:
                # expat takes it for UTF-16, whatever encoding it was told, but for a mark
                parser.Parse(codecs.BOM_UTF8, False)
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                detail = f"{self._line()}: one tag or comment exceeds {MAX_TOKEN_BYTES} bytes"
                raise _Stopped(Fault(ReasonCode.NOT_WELL_FORMED, detail))
            yield
        parser.Parse(b"", True)

    def _line(self) -> str:
        return f"line {self._parser.CurrentLineNumber + self._source.skipped_lines}"

    # handlers

    def _entity(self, *_declaration: object) -> NoReturn:
        detail = f"{self._line()}: an entity declaration in the DOCTYPE"
        raise _Stopped(Fault(ReasonCode.ENTITY_DECLARATION, detail))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self._prefix:
            tag = tag.removeprefix(self._prefix)
        if self._sinks:
            # text inside a child is the child's
            self._parser.CharacterDataHandler = None
        if self._reader is not None:
            if self.depth > MAX_DEPTH:
                self.stop(ReasonCode.TOO_DEEP, f"{self._line()}: more than {MAX_DEPTH} levels of elements")
            self._reader.start(tag, attributes)
            return
        # other prefixes than the root's are other vocabularies
        prefix, colon, tag = tag.rpartition(":")
        self._prefix = prefix + colon
        make = reader_for(tag, attributes)
        if make is None:
            self.may_be_report = False
            raise _Stopped(None)
        self.root_seen = True
        self._reader = make(self, tag, attributes)
        self.dialect = self._reader.dialect

    def _end(self, tag: str) -> None:
        if self._sinks:
            if self._sinks[-1][0] == self.depth:
                self._sinks.pop()
            self._parser.CharacterDataHandler = (
                self._sinks[-1][1].add if self._sinks and self._sinks[-1][0] == self.depth - 1 else None
            )
        if self.depth > 1 and self._reader is not None:
            self._reader.end(tag.removeprefix(self._prefix) if self._prefix else tag)
        self.depth -= 1
