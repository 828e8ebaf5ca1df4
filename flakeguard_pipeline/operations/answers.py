"""An open answer, whichever engine gives it, and where in a statement an error is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

ROWS_A_BATCH = 10_000
"""Rows that are held at a time: some megabytes of Python objects."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer, with its type as the engine calls it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An open answer. It can be read once: as batches of rows, or as a frame.

    `is_copy` says that it comes from the read-only copy, which was made at `copied_at`.
    """

    columns: tuple[Column, ...]
    copied_at: datetime | None
    _some: Callable[[int], list[tuple[Any, ...]]]
    _all: Callable[[], pl.DataFrame]
    _limit: int | None

    @property
    def is_copy(self) -> bool:
        """Whether the read-only copy was read."""
        return self.copied_at is not None

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows, some thousand at a time.

        Raises:
            UsageError: a value cannot be computed.
        """
        left = self._limit
        while left is None or left > 0:
            rows = self._some(ROWS_A_BATCH if left is None else min(left, ROWS_A_BATCH))
            if not rows:
                return
            left = None if left is None else left - len(rows)
            yield rows

    def frame(self) -> pl.DataFrame:
        """Return all rows as a frame.

        Raises:
            UsageError: a value cannot be computed.
        """
        frame = self._all()
        return frame if self._limit is None else frame.head(self._limit)


def where(sql: str, position: int | None) -> str:
    """Return ' (line 1, column 8)' for a position in bytes; '' where none is known."""
    if position is None or not 0 <= position <= len(sql.encode()):
        return ""
    before = sql.encode()[:position].decode(errors="replace")
    return f" (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"


def position_of_caret(place: str, sql: str) -> int | None:
    """Return the position that `1: text` and a caret below it show, where the line was not cut."""
    first, _, second = place.partition("\n")
    number, _, shown = first.partition(": ")
    lines = sql.split("\n")
    if not number.isdigit() or "^" not in second or int(number) > len(lines) or shown != lines[int(number) - 1]:
        return None
    characters = second.index("^") - len(f"LINE {number}: ")
    before = "\n".join(lines[: int(number) - 1])
    offset = len(before) + 1 if int(number) > 1 else 0
    return len(sql[: offset + characters].encode())
