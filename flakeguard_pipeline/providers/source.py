"""What every source of CI artifacts offers, whatever it is: a listing, and the bytes.

Belongs here: the Protocol and its values. A source knows nothing of reports: it never parses one. It lands the shape of
the drop folder (docs/reference/drop-folder.md), so that there is one way in.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Literal, Protocol

MAX_NOTES = 50
"""Different notes that are kept of one ingestion: enough to understand it, whatever a source answers."""

FileKind = Literal["run", "jobs", "zip", "nested_zip", "file", "expired"]


@dataclass(frozen=True, slots=True, order=True)
class FoundFile:
    """One file of a run folder. `artifact` is '' for files beside run.json; `path` is relative to the artifact.

    `kind` is `run`, `jobs`, `zip` (an artifact), `nested_zip` (an archive inside an unpacked one), `file`, or `expired`
    (an artifact whose bytes the source no longer has; it is never opened). `location` is for the source alone and
    holds no secret. `inline` are the bytes themselves where the listing already brought them.
    """

    artifact: str
    path: str
    kind: FileKind
    location: str
    inline: bytes | None = None


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder that holds one attempt of a run, or files that belong to none (`is_attributed` False).

    `fingerprint` changes whenever the files do. `day` is the UTC day on which the attempt started, ISO; '' where only
    its run.json tells. `is_finished` is False for an attempt that still runs. `files` are what the listing tells;
    `ArtifactSource.contents` has them all.
    """

    folder: str
    fingerprint: str
    files: tuple[FoundFile, ...] = ()
    is_attributed: bool = True
    day: str = ""
    is_finished: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """Which run attempts a listing is wanted of: those that started at or after `since` and before `until`, in UTC.

    None is no bound. A source that cannot filter so finely may yield more, never less.
    """

    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Window()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a provider said last of its limit: requests a period, how many are left, when a new one begins."""

    limit: int | None
    remaining: int | None
    resets_at: datetime | None


@dataclass
class SourceReport:
    """What an ingestion cost, and what was odd. Threads may write to it at once; it holds no secret."""

    requests: int = 0
    not_modified: int = 0
    retries: int = 0
    received_bytes: int = 0
    waited_seconds: float = 0.0
    rate_limit: RateLimit | None = None
    notes: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self,
        *,
        requests: int = 0,
        not_modified: int = 0,
        retries: int = 0,
        received_bytes: int = 0,
        waited_seconds: float = 0.0,
    ) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.not_modified += not_modified
            self.retries += retries
            self.received_bytes += received_bytes
            self.waited_seconds += waited_seconds

    def limit_is(self, rate_limit: RateLimit) -> None:
        """Take note of what the provider said last of its limits."""
        with self._lock:
            self.rate_limit = rate_limit

    def note(self, text: str) -> None:
        """Take note of something odd that a person should know of (`a page came twice`); equal ones are counted."""
        with self._lock:
            if text in self.notes or len(self.notes) < MAX_NOTES:
                self.notes[text] = self.notes.get(text, 0) + 1


@dataclass(frozen=True, slots=True)
class Access:
    """What `flakeguard sources check` says of one thing that a source is to read: `ok` or what to do about it."""

    what: str
    ok: bool
    detail: str


class ArtifactSource(Protocol):
    """A place that CI artifacts come from.

    Every method but `check` raises SourceError (domain/errors.py) where the place cannot be reached, refuses us, or
    answers with nonsense, after the retries that are worth making. Threads may call `contents` and `open` at once.
    """

    @property
    def name(self) -> str:
        """What its folders are entered under in the landing zone."""
        ...

    @property
    def title(self) -> str:
        """What a message calls it, with its place."""
        ...

    @property
    def provider(self) -> str:
        """The CI provider whose run ids and repository ids these are: `github`, `gitlab`, ..."""
        ...

    @property
    def report(self) -> SourceReport:
        """What asking has cost so far, and what was odd."""
        ...

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield the folders of the window, each once, as cheaply as the place allows; the newest may come first.

        Folders of one place keep their names for ever, so that what was landed is known again.

        Raises:
            ConfigurationError: the place does not exist.
        """
        ...

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return all files of a folder, sorted: run.json first of all, its jobs, its artifacts."""
        ...

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file, whole: what comes over a network was received to its end before it is handed on.

        Raises:
            ArtifactGoneError: the source no longer has it; asking again is of no use.
            OSError: it cannot be read here and now, and will be recorded so.
        """
        ...

    def close(self) -> None:
        """Let go of connections and what else is held open. Nothing is asked of the source afterwards."""
        ...

    def check(self) -> Iterator[Access]:
        """Try what the source is to read, and say for each whether it may; raises nothing."""
        ...
