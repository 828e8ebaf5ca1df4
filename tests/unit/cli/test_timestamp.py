"""--as-of: which texts are a moment, and that a moment is always one in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.cli.options import Timestamp

SOONEST = datetime(1971, 1, 1)  # noqa: DTZ001 - the zone is drawn apart
LATEST = datetime(2999, 1, 1)  # noqa: DTZ001


def parsed(text: str) -> datetime:
    return Timestamp().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.000250", datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T00:30:00+02:00", datetime(2026, 2, 28, 22, 30, tzinfo=UTC)),
        ("20260301T120000Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    found = parsed(text)
    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "garbage", "yesterday", "2026-02-30", "2026-13-01", "12:00", "1767225600", "2026-03-01T25:00:00Z"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write it like 2026-03-01T12:00:00Z"):
        parsed(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31", "0001-01-01", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00", "0202-03-01"]
)
def test_a_moment_at_the_ends_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parsed(text)


@given(
    moment=st.datetimes(min_value=SOONEST, max_value=LATEST),
    minutes=st.integers(-23 * 60, 23 * 60),
)
def test_every_moment_that_is_written_in_any_zone_is_read_back(moment: datetime, minutes: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = parsed(there.isoformat())
    assert found == there
    assert found.utcoffset() == timedelta(0)


def test_a_moment_that_was_read_before_is_left_alone() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    assert Timestamp().convert(moment, None, None) is moment
