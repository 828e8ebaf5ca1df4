"""Cursors: which window is due, and what a complete listing of another one changes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.landing.cursors import MAX_UNFINISHED_DAYS, Cursor, read_cursor, write_cursor
from flakeguard_pipeline.landing.zone import LandingZone

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
moments = st.integers(0, 150 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
unfinished = st.dictionaries(
    st.sampled_from(["a/1", "a/2", "b/1"]), moments.map(lambda moment: moment.date().isoformat())
)
cursors = st.builds(Cursor, st.none() | moments, unfinished)


def advanced(cursor: Cursor, since: datetime | None, until: datetime | None, now: datetime = NOW) -> Cursor:
    return cursor.advanced(
        since=since,
        until=until,
        due_since=cursor.since(now, lookback_days=7, initial_days=14),
        now=now,
        settled=frozenset(),
        unfinished={},
    )


@given(cursors)
def test_a_cursor_comes_back_as_it_was_kept(cursor: Cursor) -> None:
    zone = LandingZone(f"memory://cursors-{id(cursor)}")
    write_cursor(zone, "hub", cursor)
    assert read_cursor(zone, "hub") == cursor


def test_a_cursor_is_a_file_that_a_person_can_read(tmp_path: Path) -> None:
    write_cursor(LandingZone(str(tmp_path)), "hub", Cursor(NOW, {"a/1": "2026-03-11"}))
    assert (tmp_path / "cursors" / "hub.json").read_text().splitlines() == [
        "{",
        '  "complete_until": "2026-03-12T09:30:00+00:00",',
        '  "unfinished": {',
        '    "a/1": "2026-03-11"',
        "  }",
        "}",
    ]


@given(cursors, moments, st.integers(0, 90))
def test_the_lookback_is_always_listed_again_and_nothing_is_waited_for_beyond_its_days(
    cursor: Cursor, now: datetime, lookback: int
) -> None:
    since = cursor.since(now, lookback_days=lookback, initial_days=14)
    if cursor.complete_until is not None:
        assert since <= min(cursor.complete_until, now) - timedelta(days=lookback)
    else:
        assert since <= now - timedelta(days=14)
    for folder, day in cursor.unfinished.items():
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        assert since <= begin or folder in cursor.given_up(now)
    earliest = min([cursor.complete_until or now, now]) - timedelta(days=max(lookback, 14))
    assert since >= min(earliest, now - timedelta(days=MAX_UNFINISHED_DAYS + 1))


@given(cursors, st.none() | moments, st.none() | moments, moments)
def test_no_listing_moves_a_cursor_backwards_or_over_days_that_were_not_listed(
    cursor: Cursor, since: datetime | None, until: datetime | None, now: datetime
) -> None:
    moved = advanced(cursor, since, until, now)
    if cursor.complete_until is not None:
        assert moved.complete_until is not None
        assert moved.complete_until >= cursor.complete_until
    if moved.complete_until != cursor.complete_until:
        assert moved.complete_until == now
        assert until is None or until >= now
        assert since is None or since <= cursor.since(now, lookback_days=7, initial_days=14)


def test_a_backfill_settles_what_it_found_finished_and_keeps_the_rest() -> None:
    cursor = Cursor(NOW, {"a/1": "2026-03-05", "b/1": "2026-03-10"})
    moved = cursor.advanced(
        since=datetime(2026, 3, 5, tzinfo=UTC),
        until=datetime(2026, 3, 6, tzinfo=UTC),
        due_since=cursor.since(NOW, lookback_days=7, initial_days=14),
        now=NOW,
        settled=frozenset({"a/1"}),
        unfinished={"c/1": "2026-03-05"},
    )
    assert moved == Cursor(NOW, {"b/1": "2026-03-10", "c/1": "2026-03-05"})


def test_what_a_complete_listing_no_longer_has_is_no_longer_waited_for() -> None:
    cursor = Cursor(NOW, {"deleted": "2026-03-10"})
    assert advanced(cursor, cursor.since(NOW, lookback_days=7, initial_days=14), None).unfinished == {}
