"""What the manifests know of one source's folders: as little as tells whether a folder is new or has changed.

Belongs here: looking up. Does not belong here: what follows from it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from flakeguard_pipeline.landing.zone import UNATTRIBUTED, LandingZone


@dataclass(frozen=True, slots=True)
class KnownFolder:
    """One line of a manifest: which one, the run attempt that lay there, and what the source said of it."""

    manifest: str
    run_id: str
    run_attempt: int
    fingerprint: str

    @property
    def identity(self) -> tuple[str, int]:
        """The run attempt."""
        return self.run_id, self.run_attempt


class KnownFolders:
    """The folders of one source. Manifests are read one by one, when a folder of their day is first asked for."""

    def __init__(self, zone: LandingZone, source: str, *, since: datetime | None, until: datetime | None) -> None:
        """Look at the manifests of a window, a day more at either end, and at others where a folder needs them."""
        self._zone = zone
        self._source = source
        self._lines: dict[str, list[KnownFolder]] = {}
        self._read: set[str] = set()
        self._looked_up: set[str] = set()
        first = (since.astimezone(UTC).date() - timedelta(days=1)).isoformat() if since else ""
        last = (until.astimezone(UTC).date() + timedelta(days=1)).isoformat() if until else "9999"
        self._days = zone.days()
        for day in self._days:
            if day == UNATTRIBUTED or first <= day <= last:
                self._take(day)

    def lines(self, folder: str, day: str) -> list[KnownFolder]:
        """Return the lines of a folder; `day` is the one that the source says, '' where it says none."""
        if day not in self._looked_up:
            self._looked_up.add(day)
            for each in self._days if not day else [day, *_beside(day)]:
                if each in self._days:
                    self._take(each)
        return self._lines.get(folder, [])

    def _take(self, day: str) -> None:
        if day in self._read:
            return
        self._read.add(day)
        for line in self._zone.folders(day):
            if line.source == self._source:
                known = KnownFolder(day, line.run_id, line.run_attempt, line.fingerprint)
                self._lines.setdefault(line.folder, []).append(known)


def _beside(day: str) -> list[str]:
    """Return the days before and after: a source may round a moment, or reckon in another zone."""
    try:
        middle = date.fromisoformat(day)
        return [(middle + timedelta(days=step)).isoformat() for step in (-1, 1)]
    except (ValueError, OverflowError):
        return []
