"""Partitions: UTC days of the run attempts' start.

Belongs here: the calendar and which day is whose. An attempt from before the first day, or from a clock that runs
ahead, belongs to the nearest partition, so that none is lost.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from flakeguard_pipeline.providers.source import Window

FIRST_DAY = "2015-01-01"
"""Before any history that CI providers still keep."""

# The present day has a partition of its own from its first minute on.
daily = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1, timezone="UTC")


def belongs_to(partition_range: dg.PartitionKeyRange) -> Callable[[str], bool]:
    """Return a predicate on ISO days: does the day belong to a partition of the range?"""
    first, last = FIRST_DAY, last_day()
    start, end = partition_range.start, partition_range.end

    def belongs(day: str) -> bool:
        clamped = min(max(day, first), last)
        return start <= clamped <= end

    return belongs


def clamped_range(days: list[str]) -> dg.PartitionKeyRange:
    """Return the smallest range of partitions that covers all of `days`, of which there is at least one."""
    first, last = FIRST_DAY, last_day()
    clamped = sorted(min(max(day, first), last) for day in days)
    return dg.PartitionKeyRange(clamped[0], clamped[-1])


def window_of(partition_range: dg.PartitionKeyRange) -> Window:
    """Return the moments that a range of partitions stands for: its ends take what lies outside of the calendar."""
    start, end = partition_range.start, partition_range.end
    since = None if start <= FIRST_DAY else _midnight(start)
    until = None if end >= last_day() else _midnight(end) + timedelta(days=1)
    return Window(since, until)


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)


def range_tags(partition_range: dg.PartitionKeyRange) -> dict[str, str]:
    """Return the run tags by which one run takes a whole range of partitions."""
    return {
        "dagster/asset_partition_range_start": partition_range.start,
        "dagster/asset_partition_range_end": partition_range.end,
    }


def last_day() -> str:
    """Return the newest partition there is."""
    key = daily.get_last_partition_key()
    if key is None:
        raise ValueError("the calendar of partitions is empty: this machine's clock is before 2015")
    return key
