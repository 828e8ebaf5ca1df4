"""Which day belongs to which partition; no day is nobody's."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.partitions import FIRST_DAY, belongs_to, clamped_range, daily, last_day, range_tags


def test_the_calendar_reaches_from_2015_to_today():
    today = datetime.now(UTC).date()
    keys = daily.get_partition_keys()
    assert keys[0] == FIRST_DAY == "2015-01-01"
    # a day may have begun since
    assert last_day() in {today.isoformat(), (today + timedelta(days=1)).isoformat()}
    assert keys[-1] == last_day()
    assert len(keys) == len(set(keys))


def test_days_within_a_range_belong_to_it():
    belongs = belongs_to(dg.PartitionKeyRange("2026-03-02", "2026-03-04"))
    days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]
    assert [belongs(day) for day in days] == [False, True, True, True, False]


@pytest.mark.parametrize("day", ["1970-01-01", "2009-12-31", "2014-12-31", "2015-01-01"])
def test_days_before_the_calendar_belong_to_its_first(day: str):
    assert belongs_to(dg.PartitionKeyRange(FIRST_DAY, FIRST_DAY))(day)
    assert not belongs_to(dg.PartitionKeyRange("2015-01-02", last_day()))(day)
    assert clamped_range([day]) == dg.PartitionKeyRange(FIRST_DAY, FIRST_DAY)


@pytest.mark.parametrize("ahead", [1, 30, 40_000])
def test_days_of_clocks_that_run_ahead_belong_to_the_last(ahead: int):
    last = last_day()
    day = (datetime.fromisoformat(last) + timedelta(days=ahead)).date().isoformat()
    assert belongs_to(dg.PartitionKeyRange(last, last))(day)
    assert not belongs_to(dg.PartitionKeyRange(FIRST_DAY, "2026-01-01"))(day)
    assert clamped_range([day]) == dg.PartitionKeyRange(last, last)


def test_every_day_belongs_to_exactly_one_partition():
    last = last_day()
    partitions = [FIRST_DAY, "2015-01-02", "2026-03-03", last]
    for day in ["1999-01-01", FIRST_DAY, "2015-01-02", "2026-03-03", last, "2999-01-01"]:
        owners = [key for key in partitions if belongs_to(dg.PartitionKeyRange(key, key))(day)]
        assert len(owners) == 1


def test_a_range_covers_all_of_its_days_and_nothing_else():
    days = ["2026-03-04", "2012-01-01", "2026-03-02", "2026-03-04"]
    chosen = clamped_range(days)
    assert chosen == dg.PartitionKeyRange(FIRST_DAY, "2026-03-04")
    assert all(belongs_to(chosen)(day) for day in days)
    assert clamped_range(days[:1]) == dg.PartitionKeyRange("2026-03-04", "2026-03-04")
    assert clamped_range(["9999-12-31", "2026-03-02"]) == dg.PartitionKeyRange("2026-03-02", last_day())


def test_a_range_is_told_to_a_run_by_tags():
    assert range_tags(dg.PartitionKeyRange("2026-03-02", "2026-03-04")) == {
        "dagster/asset_partition_range_start": "2026-03-02",
        "dagster/asset_partition_range_end": "2026-03-04",
    }
