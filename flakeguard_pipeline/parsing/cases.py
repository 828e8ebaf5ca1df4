"""Executions as columns: the frame that reading ends in and normalising begins with."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from flakeguard_pipeline.parsing.elements import Execution

CASE_SCHEMA: dict[str, pl.DataType] = {
    "report": pl.UInt32(),
    "ordinal": pl.Int32(),
    "suite": pl.String(),
    "classname": pl.String(),
    "name": pl.String(),
    "file": pl.String(),
    "line": pl.Int32(),
    "outcome": pl.String(),
    "retry_index": pl.Int32(),
    "is_final": pl.Boolean(),
    "duration_us": pl.Int64(),
    "started_at": pl.Datetime("us", "UTC"),
    "environment": pl.String(),
    "failure_type": pl.String(),
    "failure_message": pl.String(),
    "failure_text": pl.String(),
    "output": pl.String(),
}
"""Columns of a frame of executions as their reports tell them. Grain: one execution, by report and ordinal.

`report` is the position of the report among those read together. Durations are microseconds; `line`, `duration_us`
and `started_at` are null where the report does not say; text is '' where absent. See `ReportCase`.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_INT32 = 2**31 - 1
_MAX_DURATION_US = 2**53
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with U+FFFD for what no database stores: NUL and lone surrogates."""
    return text if text.isascii() and "\x00" not in text else _UNSTORABLE.sub("\ufffd", text)


def micros(moment: datetime) -> int:
    """Return microseconds since 1970, clamped to the years 1970 to 9999; a time without a zone is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (min(max(aware, _EPOCH), _LAST_MOMENT) - _EPOCH) // _MICROSECOND


def case_frame(executions: Sequence[Execution], report: int) -> pl.DataFrame:
    """Return executions of one report as a frame with CASE_SCHEMA, in the order given."""
    columns: dict[str, list[str] | list[int] | list[int | None] | list[bool]] = {
        "ordinal": [min(one.ordinal, _MAX_INT32) for one in executions],
        "suite": [storable(one.suite) for one in executions],
        "classname": [storable(one.classname) for one in executions],
        "name": [storable(one.name) for one in executions],
        "file": [storable(one.file) for one in executions],
        "line": [one.line for one in executions],
        "outcome": [one.outcome.value for one in executions],
        "retry_index": [min(one.retry_index, _MAX_INT32) for one in executions],
        "is_final": [one.is_final for one in executions],
        "duration_us": [_duration(one.duration_us) for one in executions],
        # moments go in as integers: building them from datetime objects is an order of magnitude slower
        "started_at": [None if one.started_at is None else micros(one.started_at) for one in executions],
        "environment": [storable(one.environment) for one in executions],
        "failure_type": [storable(one.failure_type) for one in executions],
        "failure_message": [storable(one.failure_message) for one in executions],
        "failure_text": [storable(one.failure_text) for one in executions],
        "output": [storable(one.output) for one in executions],
    }
    series = [
        pl.Series(name, values, dtype=pl.Int64()).cast(CASE_SCHEMA[name])
        if name == "started_at"
        else pl.Series(name, values, dtype=CASE_SCHEMA[name])
        for name, values in columns.items()
    ]
    number = pl.lit(report, dtype=CASE_SCHEMA["report"]).alias("report")
    return pl.DataFrame(series).select(number, *columns)


def no_cases() -> pl.DataFrame:
    """Return a frame with CASE_SCHEMA and no row."""
    return pl.DataFrame(schema=CASE_SCHEMA)


def _duration(value: int | None) -> int | None:
    return None if value is None else min(max(value, 0), _MAX_DURATION_US)
