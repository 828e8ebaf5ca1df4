"""A report's bytes to its executions: recognised, opened, read, with what was wrong with it.

Nothing here raises on any bytes, and the same bytes always give the same result.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl

from flakeguard_pipeline.domain.model import ParsedReport, ReasonCode, ReportCase, ReportIssue
from flakeguard_pipeline.parsing.bulk.read import MAX_BATCH_BYTES, MAX_BULK_BYTES, BulkReading, read_bulk, read_scanned
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.cases import CASE_SCHEMA, case_frame, no_cases
from flakeguard_pipeline.parsing.decoding import (
    DECLARATION_BYTES,
    UnsupportedEncodingError,
    is_blank,
    open_source,
    sniff,
)
from flakeguard_pipeline.parsing.dialects import READERS
from flakeguard_pipeline.parsing.document import Document
from flakeguard_pipeline.parsing.elements import Execution

MAX_REPORT_BYTES = 4 * 1024**3
"""Bytes of the largest report read: the largest seen in the wild hold some hundred MB of captured output."""

ROOT_SEARCH_BYTES = 1024**2
"""Bytes in which a damaged document is searched for a sign that it was to be a test report."""

UNRECOGNISED = "junit"
"""The dialect of a report that broke off before it said what it is."""

ROWS_A_FRAME = 50_000
"""Executions in one frame that is handed on: it bounds what a reader of a large report holds."""

CHARACTERS_A_FRAME = 32 * 1024**2
"""Characters of names, failures and output in one such frame of a report that is read as a stream."""

MIN_BATCH_BYTES = 1024**2
"""Bytes of reports that are worth a thread of their own."""

_LOOKS_LIKE_REPORT = re.compile(
    rb"<(?:\w{1,32}:)?(?:" + "|".join(sorted(map(re.escape, READERS))).encode() + rb")(?:[\s/>]|\Z)"
)


class ReportReading:
    """One report while it is read. Iterate over `executions()` to the end, then the rest is known."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Prepare to read `size` bytes from `stream`, which can seek."""
        self._stream = stream
        self._size = size
        self.is_report = True
        self.dialect = ""
        self.issues: list[ReportIssue] = []
        self.count = 0

    def executions(self) -> Iterator[list[Execution]]:
        """Yield the executions in lists of bounded length; `ordinal` has their order in the report."""
        head = _peek(self._stream, max(DECLARATION_BYTES, 256))
        if is_blank(head) and is_blank(_peek(self._stream, ROOT_SEARCH_BYTES)):
            self._refuse(ReasonCode.EMPTY_FILE, f"{self._size} bytes")
            return
        start = 0
        if not sniff(_peek(self._stream, ROOT_SEARCH_BYTES) if is_blank(head) else head):
            start = self._beginning()
            if not start:
                self.is_report = False
                return
            detail = f"{start} bytes of something else come before the XML; it was read from there"
            self.issues.append(ReportIssue(ReasonCode.NOT_WELL_FORMED, detail))
        if self._size > MAX_REPORT_BYTES:
            self._refuse(ReasonCode.REPORT_TOO_LARGE, f"{self._size} bytes, {MAX_REPORT_BYTES} are the limit")
            return
        try:
            source = open_source(self._stream, start)
        except UnsupportedEncodingError as error:
            self.is_report = self._looks_like_report()
            self.dialect = UNRECOGNISED if self.is_report else ""
            self.issues.append(ReportIssue(ReasonCode.UNSUPPORTED_ENCODING, str(error)))
            return
        document = Document(source)
        for executions in document.executions():
            self.count += len(executions)
            yield executions
        if not document.is_report:
            self.is_report = False
            self.issues.clear()
            return
        self.issues += document.issues
        if not self.count and not self.issues:
            self.issues.append(ReportIssue(ReasonCode.NO_TEST_CASES, "no test case element"))
        self.is_report = document.root_seen or self._looks_like_report()
        self.dialect = (document.dialect or UNRECOGNISED) if self.is_report else ""

    def _refuse(self, code: ReasonCode, detail: str) -> None:
        self.dialect = UNRECOGNISED
        self.issues.append(ReportIssue(code, detail))

    def _beginning(self) -> int:
        """Return where the XML of a report begins that something else was written before (a log, a second mark)."""
        head = _peek(self._stream, ROOT_SEARCH_BYTES)
        root = _LOOKS_LIKE_REPORT.search(head)
        if root is None:
            return 0
        declaration = head.rfind(b"<?xml", 0, root.start())
        return root.start() if declaration < 0 else declaration

    def _looks_like_report(self) -> bool:
        head = _peek(self._stream, ROOT_SEARCH_BYTES)
        return _LOOKS_LIKE_REPORT.search(head.replace(b"\x00", b"")) is not None


def parse_report(data: bytes) -> ParsedReport:
    """Return the executions of the test report `data`, in document order, and what was wrong with it.

    For reports of moderate size: it holds them whole. `is_report` is False, without an issue, for what is not XML
    or whose root element is no test report's. XML that breaks off before its root keeps its issue and is a report
    when a test report's element is in sight. Whole cases before a fault are kept. For retries see retries.py.
    """
    reading = ReportReading(io.BytesIO(data), len(data))
    found = sorted((one for some in reading.executions() for one in some), key=lambda one: one.ordinal)
    return ParsedReport(reading.is_report, reading.dialect, tuple(map(_case, found)), tuple(reading.issues))


def _case(one: Execution) -> ReportCase:
    return ReportCase(
        ordinal=one.ordinal,
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
        environment=one.environment,
        failure_type=one.failure_type,
        failure_message=one.failure_message,
        failure_text=one.failure_text,
        output=one.output,
    )


@dataclass(frozen=True, slots=True)
class ReportSource:
    """Where a report's bytes come from: `data` where they are in memory, else what opens them, to read and seek."""

    size: int
    data: bytes | None
    open: Callable[[], AbstractContextManager[BinaryIO]] | None


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What came of a report: see `ParsedReport`; `count` is the number of executions."""

    is_report: bool
    dialect: str
    issues: tuple[ReportIssue, ...]
    count: int


class ReportsReading:
    """Several reports while they are read. Iterate over `frames()` to the end; then `outcomes` are known."""

    def __init__(self, sources: Sequence[ReportSource], pool: Executor | None = None) -> None:
        """Prepare to read `sources`. A `pool` of threads lets native work run at once; it changes no result."""
        self._sources = sources
        self._pool = pool
        self._outcomes: dict[int, ReportOutcome] = {}

    @property
    def outcomes(self) -> list[ReportOutcome]:
        """What came of each report, in the order of the sources."""
        return [self._outcomes[number] for number in range(len(self._sources))]

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the executions (CASE_SCHEMA) in frames of bounded size; `report` is the position of the source.

        Reports of moderate size are read in bulk, what cannot be read so one by one: the result is the same.
        """
        batches = self._batches()
        for numbers in batches:
            others = next(batches, None) if self._pool is not None else None
            # of two batches the second is scanned in the pool while the first is read here
            waiting = self._pool.submit(Scanned, self._data(others)) if self._pool and others else None
            yield from self._bulk(numbers, read_bulk(self._data(numbers)))
            if others and waiting:
                yield from self._bulk(others, read_scanned(waiting.result()))
        for number, source in enumerate(self._sources):
            if number not in self._outcomes:
                yield from self._one(number, source)

    def _batches(self) -> Iterator[list[int]]:
        """Yield the positions of the reports that are read together."""
        moderate = [
            (number, source)
            for number, source in enumerate(self._sources)
            if source.data is not None and source.size <= MAX_BULK_BYTES
        ]
        limit = MAX_BATCH_BYTES
        if self._pool is not None:
            limit = min(limit, max(MIN_BATCH_BYTES, sum(source.size for _, source in moderate) // 2 + 1))
        batch: list[int] = []
        size = 0
        for number, source in moderate:
            if batch and size + source.size > limit:
                yield batch
                batch, size = [], 0
            batch.append(number)
            size += source.size
        if batch:
            yield batch

    def _data(self, numbers: Sequence[int]) -> list[bytes]:
        return [self._sources[number].data or b"" for number in numbers]

    def _bulk(self, numbers: Sequence[int], read: BulkReading) -> Iterator[pl.DataFrame]:
        """Take what was read of a batch; what found no room in it is read here."""
        while True:
            yield from self._taken(numbers, read)
            numbers = numbers[len(read.dialects) :]
            if not numbers:
                return
            # let go before there is more
            read = BulkReading(no_cases(), [])
            read = read_bulk(self._data(numbers))

    def _taken(self, numbers: Sequence[int], read: BulkReading) -> Iterator[pl.DataFrame]:
        lengths = read.cases["report"].rle()
        counts = dict(zip(lengths.struct.field("value").to_list(), lengths.struct.field("len").to_list(), strict=True))
        for place, dialect in enumerate(read.dialects):
            if dialect is not None:
                self._outcomes[numbers[place]] = ReportOutcome(True, dialect, (), counts[place])
        positions = pl.Series(numbers, dtype=CASE_SCHEMA["report"])
        yield from _frames(read.cases.with_columns(positions.gather(read.cases["report"]).alias("report")))

    def _one(self, number: int, source: ReportSource) -> Iterator[pl.DataFrame]:
        stream = source.open() if source.open else nullcontext(io.BytesIO(source.data or b""))
        with stream as opened:
            reading = ReportReading(opened, source.size)
            waiting: list[Execution] = []
            characters = 0
            for executions in reading.executions():
                waiting += executions
                characters += sum(one.characters for one in executions)
                if len(waiting) >= ROWS_A_FRAME or characters >= CHARACTERS_A_FRAME:
                    yield case_frame(waiting, number)
                    waiting, characters = [], 0
            if waiting:
                yield case_frame(waiting, number)
        self._outcomes[number] = ReportOutcome(reading.is_report, reading.dialect, tuple(reading.issues), reading.count)


def _frames(cases: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut executions where a report ends, and within one only if it fills a frame, which then begins with it.

    So what is read together with a report does not decide which of its executions are looked at together.
    """
    start = end = 0
    for size in cases["report"].rle().struct.field("len").to_list():
        if end > start and end + size - start > ROWS_A_FRAME:
            yield from cases[start:end].iter_slices(ROWS_A_FRAME)
            start = end
        end += size
    if end > start:
        yield from cases[start:end].iter_slices(ROWS_A_FRAME)


def _peek(stream: BinaryIO, size: int) -> bytes:
    stream.seek(0)
    return stream.read(size)
