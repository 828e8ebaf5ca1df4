"""Reports as the compiled kernel leaves them: tables of numbers, texts as columns.

Belongs here: room for the kernel's tables, and turning them into columns. Does not belong here: what they mean.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from flakeguard_pipeline.parsing.bulk import layout
from flakeguard_pipeline.parsing.bulk.outcomes import OUTCOMES
from flakeguard_pipeline.parsing.junit import OUTCOME_OF_STATUS
from flakeguard_pipeline.parsing.text import HeadTail

MAX_ROWS = 600_000
"""Test cases, failures, outputs and suites of reports that are read at once: their columns take half a kilobyte each,
however short the element is."""

_SHORTEST_ROW = 8
"""Bytes of the shortest element that is a row: `<error/>`."""

_CHARACTER_BYTES = 4
"""Bytes of the longest character in UTF-8."""

Numbers = npt.NDArray[np.int32]


class Scanned:
    """What the kernel found in some reports. Tables have a row for all that is in the reports that it could read.

    `good` says which these are; where there was no room for all, it was `done` with the first ones only.
    """

    def __init__(self, reports: Sequence[bytes]) -> None:
        """Scan `reports`."""
        self._reports = reports
        buffers = [pa.py_buffer(data) for data in reports]
        self._addresses = np.array([buffer.address for buffer in buffers], np.int64)
        lengths = np.array([buffer.size for buffer in buffers], np.int64)
        size = int(lengths.sum())
        rows = min(size // _SHORTEST_ROW, MAX_ROWS) + len(reports)
        # untouched room costs nothing
        counts = np.zeros(layout.COUNTS, np.int64)
        cases = np.empty((rows, layout.CASE_COLUMNS), np.int32)
        durations, lines = np.empty(rows, np.int64), np.empty(rows, np.int32)
        suites = np.empty((rows, layout.SUITE_COLUMNS), np.int32)
        children = np.empty((rows, layout.CHILD_COLUMNS), np.int32)
        outputs = np.empty((rows, layout.OUTPUT_COLUMNS), np.int32)
        self._texts = np.empty((layout.TEXTS, size + 1), np.uint8)
        self._offsets = np.empty((layout.TEXTS, rows + 1), np.int64)
        self._offsets[:, 0] = 0
        self.marks: Numbers = np.empty((len(reports), layout.MARK_COLUMNS), np.int32)
        self.good = np.zeros(len(reports), np.bool_)
        room = (
            np.empty((layout.MAX_ATTRIBUTES, layout.SPAN_COLUMNS), np.int64),
            np.empty((layout.MAX_DEPTH + 1, layout.OPEN_COLUMNS), np.int64),
            np.empty(layout.COUNTS, np.int64),
        )
        done = _kernel().scan(
            self._addresses, lengths, cases, durations, lines, suites, children, outputs, self._texts, self._offsets,
            self.marks, counts, self.good, _statuses(), *room,
        )  # fmt: skip
        self.done = int(done)
        self._bytes_of = counts[layout.N_BYTES :].tolist()
        n_cases = int(counts[layout.N_CASES])
        self.cases: Numbers = cases[:n_cases]
        self.durations: npt.NDArray[np.int64] = durations[:n_cases]
        self.lines: Numbers = lines[:n_cases]
        self.suites: Numbers = suites[: counts[layout.N_SUITES]]
        self.children: Numbers = children[: counts[layout.N_CHILDREN]]
        self.outputs: Numbers = outputs[: counts[layout.N_OUTPUTS]]

    def has(self, text: int) -> bool:
        """Say whether any value of a text is not empty."""
        return bool(self._bytes_of[text])

    def column(self, text: int, rows: int) -> pl.Series:
        """Return the values of a text, of which there are `rows`."""
        offsets = pa.py_buffer(self._offsets[text, : rows + 1])
        data = pa.py_buffer(self._texts[text, : self._bytes_of[text]])
        values = pl.from_arrow(pa.LargeStringArray.from_buffers(rows, offsets, data))
        assert isinstance(values, pl.Series)  # noqa: S101 - what an array becomes
        return values

    def plain(self, report: int, start: int, length: int) -> str:
        """Return what stands in a report as it is meant."""
        return self._reports[report][start : start + length].decode()

    def value(self, report: int, start: int, length: int) -> str:
        """Return the value of an attribute; `length` is as the kernel tells it."""
        if length >= 0:
            return self.plain(report, start, length)
        length = ~length
        room = np.empty((1, length + 1), np.uint8)
        size = _kernel().decode_value(self._addresses[report], start, length, room)
        return room[0, :size].tobytes().decode()

    def add_content(self, buffer: HeadTail, report: int, start: int, end: int, *, plainness: int) -> None:
        """Add what an element without child elements holds to a buffer; the middle of a long one is only counted."""
        if plainness == layout.NOT_PLAIN:
            room = np.empty((1, end - start + 1), np.uint8)
            size = _kernel().decode_content(self._addresses[report], start, end, room)
            buffer.add(room[0, :size].tobytes().decode())
            return
        data = self._reports[report]
        # as many bytes as what is kept may have
        first, last = buffer.ends
        head, tail = start + _CHARACTER_BYTES * (first + 1), end - _CHARACTER_BYTES * (last + 1)
        if head >= tail:
            buffer.add(self.plain(report, start, end - start))
            return
        # neither cut goes through a character
        while data[head] & 0xC0 == 0x80:
            head -= 1
        while data[tail] & 0xC0 == 0x80:
            tail += 1
        buffer.add(self.plain(report, start, head - start))
        missing = tail - head
        if plainness != layout.PLAIN_ASCII:
            missing = int(_kernel().count_characters(self._addresses[report], head, tail))
        buffer.leave_out(missing)
        buffer.add(self.plain(report, tail, end - tail))


@cache
def _kernel() -> ModuleType:
    # half a second of imports, which who reads nothing does not pay
    return import_module("flakeguard_pipeline.parsing.bulk.kernel")


@cache
def _statuses() -> npt.NDArray[np.uint8]:
    longest = max(map(len, OUTCOME_OF_STATUS))
    table = np.zeros((len(OUTCOME_OF_STATUS), 2 + longest), np.uint8)
    for row, (status, outcome) in enumerate(sorted(OUTCOME_OF_STATUS.items(), key=lambda item: item[0])):
        table[row, 0] = OUTCOMES.index(outcome)
        table[row, 1] = len(status)
        table[row, 2 : 2 + len(status)] = np.frombuffer(status.encode(), np.uint8)
    return table
