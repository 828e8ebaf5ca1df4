"""How far each source was listed: one small file a source beside the manifests, `cursors/<source>.json`.

A cursor is an economy, never the truth: without one a source is listed from its first days again, and what the
manifests have already is not fetched again.

Belongs here: which window is due, and when it is done. Does not belong here: listing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.landing.zone import LandingZone

MAX_UNFINISHED_DAYS = 35
"""Days after which an attempt that has not finished is given up: no run of GitHub lasts longer."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a source was listed.

    Everything that started before `complete_until` was listed once; None before the first listing is complete.
    `unfinished` are folders that are to be asked for again, each with the UTC day of its attempt: those that still ran,
    and those that could not be fetched.
    """

    complete_until: datetime | None = None
    unfinished: Mapping[str, str] = field(default_factory=dict)

    def since(self, now: datetime, *, lookback_days: int, initial_days: int) -> datetime:
        """Return from when on the source is due to be listed: with a lookback, because re-runs appear days later."""
        if self.complete_until is None:
            begin = now - timedelta(days=initial_days)
        else:
            begin = min(self.complete_until, now) - timedelta(days=lookback_days)
        waiting = [day for folder, day in self.unfinished.items() if folder not in self.given_up(now)]
        return min([begin, *(_begin_of(day) for day in waiting)])

    def given_up(self, now: datetime) -> tuple[str, ...]:
        """Return the unfinished folders that nobody waits for any more, sorted."""
        oldest = (now.astimezone(UTC).date() - timedelta(days=MAX_UNFINISHED_DAYS)).isoformat()
        return tuple(sorted(folder for folder, day in self.unfinished.items() if day < oldest))

    def advanced(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        due_since: datetime,
        now: datetime,
        settled: frozenset[str],
        unfinished: Mapping[str, str],
    ) -> "Cursor":
        """Return the cursor after a listing from `since` to `until` is complete.

        It moves forward where the listing covers all that was due (from `due_since` on). A backfill of other days
        leaves it where it is, and only settles folders.
        """
        covers = (since is None or since <= due_since) and (until is None or until >= now)
        known = {} if covers else {name: day for name, day in self.unfinished.items() if name not in settled}
        for name in self.given_up(now):
            known.pop(name, None)
        complete_until = self.complete_until
        if covers and (complete_until is None or now > complete_until):
            complete_until = now
        return Cursor(complete_until, {**known, **unfinished})


def _begin_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)


def read_cursor(zone: LandingZone, source: str) -> Cursor:
    """Return how far a source was listed.

    Raises:
        LandingError: the cursor cannot be read, or is damaged.
    """
    data = zone.read_cursor(source)
    if data is None:
        return Cursor()
    try:
        fields = json.loads(data)
        moment = fields["complete_until"]
        unfinished = {str(name): _begin_of(day).date().isoformat() for name, day in fields["unfinished"].items()}
        return Cursor(datetime.fromisoformat(moment).astimezone(UTC) if moment else None, unfinished)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LandingError(
            f"the cursor of source {source} in the landing zone {zone.url} is damaged ({type(error).__name__}); delete "
            f"cursors/{source}.json, and name the days that may be missing: flakeguard ingest --since DAY"
        ) from error


def write_cursor(zone: LandingZone, source: str, cursor: Cursor) -> None:
    """Keep how far a source was listed."""
    moment = cursor.complete_until.isoformat() if cursor.complete_until else None
    fields = {"complete_until": moment, "unfinished": dict(sorted(cursor.unfinished.items()))}
    zone.write_cursor(source, (json.dumps(fields, indent=2) + "\n").encode())
