"""Answers as CSV, JSON and Parquet: whole, exact and equal byte for byte for equal rows.

Belongs here: how values are written. Does not belong here: where the rows come from, and tables for people.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any

import polars as pl

Rows = Iterable[Sequence[Any]]


def csv_lines(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    r"""Yield CSV as RFC 4180 has it: a header, `\r\n` at the end of lines, quotes where needed; null is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    yield _taken(buffer)
    for row in rows:
        writer.writerow([_text(value) for value in row])
        yield _taken(buffer)


def json_lines(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """Yield a JSON array with one object a line; times as ISO 8601 in UTC, integers of any size as integers."""
    start = "["
    for row in rows:
        fields = {name: _plain(value) for name, value in zip(columns, row, strict=True)}
        yield f"{start}\n{json.dumps(fields, ensure_ascii=False, allow_nan=False)}"
        start = ","
    yield "[]\n" if start == "[" else "\n]\n"


def write_parquet(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write a frame as Parquet, compressed with zstd; sums of integers as 64-bit integers where they fit."""
    sums = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal) and kind.scale == 0]
    for name in sums:
        narrow = frame[name].cast(pl.Int64, strict=False)
        if narrow.null_count() == frame[name].null_count():
            frame = frame.with_columns(narrow)
    frame.write_parquet(file)


def iso(moment: date) -> str:
    """Return a day or a moment in ISO 8601; moments in UTC with `Z`, and microseconds only where there are any."""
    if isinstance(moment, datetime):
        aware = moment.astimezone(UTC) if moment.tzinfo else moment
        return aware.isoformat().replace("+00:00", "Z")
    return moment.isoformat()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return iso(value)
    if isinstance(value, dict | list):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON has no kind for becomes text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    # JSON has no infinity and no NaN either
    return iso(value) if isinstance(value, date) else str(value)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
