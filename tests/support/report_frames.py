"""Reports read one by one by the tolerant path, and together, in the form in which both can be compared."""

import io
from collections.abc import Sequence
from concurrent.futures import Executor

import polars as pl

from flakeguard_pipeline.domain.model import ReasonCode
from flakeguard_pipeline.parsing.cases import case_frame, no_cases
from flakeguard_pipeline.parsing.elements import Execution
from flakeguard_pipeline.parsing.reports import ReportOutcome, ReportReading, ReportSource, ReportsReading

Read = tuple[pl.DataFrame, ReportOutcome]
"""Executions in the order of their ordinals, and what came of the report."""


def read_alone(data: bytes) -> Read:
    """Return what document.py reads from one report."""
    reading = ReportReading(io.BytesIO(data), len(data))
    found: list[Execution] = [one for some in reading.executions() for one in some]
    outcome = ReportOutcome(reading.is_report, reading.dialect, tuple(reading.issues), reading.count)
    return case_frame(found, 0).sort("ordinal"), outcome


def read_together(documents: Sequence[bytes], pool: Executor | None = None) -> list[Read]:
    """Return what is read from each of several reports that are read together."""
    reading = ReportsReading([ReportSource(len(data), data, None) for data in documents], pool)
    frame = pl.concat([no_cases(), *reading.frames()]).sort("report", "ordinal")
    return [
        (frame.filter(pl.col("report") == number).with_columns(pl.lit(0, pl.UInt32()).alias("report")), outcome)
        for number, outcome in enumerate(reading.outcomes)
    ]


def is_sound(read: Read) -> bool:
    """Say whether nothing but test cases is missing in a report."""
    return all(issue.code is ReasonCode.NO_TEST_CASES for issue in read[1].issues)


def assert_equal(one: Read, other: Read) -> None:
    """Hold two readings of one report against each other."""
    assert one[1] == other[1], f"{one[1]} and {other[1]}"
    # many times faster than polars' own assertion
    if not one[0].equals(other[0]) or one[0].schema != other[0].schema:
        assert one[0].schema == other[0].schema, "other columns"
        for row, same in zip(one[0].rows(named=True), other[0].rows(named=True), strict=True):
            assert row == same, f"{row} and {same}"
