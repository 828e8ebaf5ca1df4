"""From a CI provider into the landing zone: a window of run attempts, with a bounded number of downloads at once.

    listing   what the window has, page by page; what the manifests know already is passed over
    fetching  metadata, then each artifact: threads, of which no more than `downloads` are at work
    landing   whole folders only, in batches: objects first, then the manifests, at last the cursor

A folder is entered when all of it is there. What cannot be fetched for now is left out and asked for again next time.
So killing it at any moment costs the fetching of a batch, and beginning again ends where an undisturbed run ends.

Belongs here: when what is asked. Does not belong here: how a provider is asked (providers/).
"""

import contextlib
import errno
import queue
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flakeguard_pipeline.domain.errors import (
    FlakeGuardError,
    LandingError,
    SourceBusyError,
    SourceDeniedError,
    SourceError,
)
from flakeguard_pipeline.ingest import landing
from flakeguard_pipeline.ingest.landing import LandingCounts, enter, fetch_file, interpret, is_metadata, landed_folder
from flakeguard_pipeline.landing.cursors import MAX_UNFINISHED_DAYS, Cursor, read_cursor, write_cursor
from flakeguard_pipeline.landing.known import KnownFolder, KnownFolders
from flakeguard_pipeline.landing.zone import LandedFile, LandedFolder, LandingZone
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.providers.registry import opened_source
from flakeguard_pipeline.providers.source import ArtifactSource, FoundFile, FoundFolder, SourceReport, Window
from flakeguard_pipeline.secrets import OpenSecretWarning
from flakeguard_pipeline.source_sections import AnySource, DropSection

FAILURES_IN_A_ROW = 5
"""Folders that fail one after another before a source is given up for now: one may be a folder's own fault."""

FOLDERS_A_DOWNLOAD = 3
"""Folders at work for each download at once: enough that the threads never wait for the listing's next page."""

FILES_A_STEP = 8
"""Files that one thread fetches one after another where there are folders enough for all threads."""

BYTES_A_BATCH = 256 << 20
"""Bytes after which a batch is entered, full or not: a kill should not cost an hour of large downloads."""

FAILURES_SHOWN = 5
"""Failed folders that are told one by one; the rest are counted."""

_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EACCES})
"""What is wrong with this machine, and not with an artifact."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a source is asked: see the keys of the same names in the configuration (source_sections.py)."""

    downloads: int = 8
    lookback_days: int = 7
    initial_days: int = 14


@dataclass
class PullOutcome:
    """What asking one source brought.

    `known` counts folders that were landed before, `failed` those that could not be fetched for now, `unfinished`
    those that still run. `faults` are the reasons for which a person should look, one line each; with `is_complete`
    the listing of the window was, and only single folders are missing.
    """

    name: str
    title: str
    window: Window
    counts: LandingCounts = field(default_factory=LandingCounts)
    known: int = 0
    failed: int = 0
    unfinished: int = 0
    days: set[str] = field(default_factory=set)
    is_complete: bool = False
    report: SourceReport = field(default_factory=SourceReport)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def due_window(cursor: Cursor, pace: Pace, now: datetime) -> Window:
    """Return the window that is due of a source: from a while before its last complete listing until now."""
    return Window(since=cursor.since(now, lookback_days=pace.lookback_days, initial_days=pace.initial_days))


def pull(
    source: ArtifactSource,
    zone: LandingZone,
    window: Window | None,
    *,
    now: datetime,
    pace: Pace | None = None,
    wants: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> PullOutcome:
    """Land what a source has in a window and the landing zone has not, or not in this state.

    Args:
        source: the source; what it cost is added to its report.
        zone: the landing zone, which nobody else lands in meanwhile.
        window: which run attempts; None means what is due by the source's cursor.
        now: the moment that the cursor moves to where the window is complete.
        pace: how many downloads at once, and how far to go back.
        wants: whether an attempt of a UTC day (ISO) is to be landed, if not all; others are left for another time.
        progress: is told of each folder.

    Returns:
        What was done. A source that fails is told in its `faults`; what was landed before stays.

    Raises:
        LandingError: the landing zone cannot be read or written.
    """
    pace = pace or Pace()
    cursor = read_cursor(zone, source.name)
    due = due_window(cursor, pace, now)
    chosen = window or due
    outcome = PullOutcome(source.name, source.title, chosen, report=source.report)
    work = _Pull(
        source,
        zone,
        chosen,
        outcome,
        downloads=pace.downloads,
        wants=wants or _all_days,
        progress=progress or Silent(),
        now=now,
        is_due=window is None,
    )
    work.run()
    _tell(outcome, source, work, cursor.given_up(now))
    if outcome.is_complete:
        moved = cursor.advanced(
            since=chosen.since,
            until=chosen.until,
            due_since=due.since or now,
            now=now,
            settled=frozenset(work.settled),
            unfinished=work.unfinished,
        )
        write_cursor(zone, source.name, moved)
    return outcome


def pull_section(
    section: AnySource,
    zone: LandingZone,
    window: Window | None,
    *,
    now: datetime,
    cache_dir: Path | None = None,
    wants: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> PullOutcome:
    """Pull the source that a section of the configuration describes; see `pull`. Its secrets are read here and now."""
    downloads = 1 if isinstance(section, DropSection) else section.downloads
    pace = Pace(downloads, section.lookback_days, section.initial_days)
    outcome = PullOutcome(section.name, section.name, window or Window())
    with contextlib.ExitStack() as stack:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", OpenSecretWarning)
            try:
                source = stack.enter_context(opened_source(section, cache_dir=cache_dir))
            except FlakeGuardError as error:
                outcome.faults.append(_line(error))
                return outcome
        try:
            outcome = pull(source, zone, window, now=now, pace=pace, wants=wants, progress=progress)
        except LandingError as error:
            outcome.faults.append(_line(error))
    outcome.notes += [str(each.message) for each in told if issubclass(each.category, OpenSecretWarning)]
    return outcome


def _all_days(_: str) -> bool:
    return True


def _tell(outcome: PullOutcome, source: ArtifactSource, work: "_Pull", given_up: tuple[str, ...]) -> None:
    """Put into words what a person should know."""
    if work.failures:
        shown = "; ".join(f"{folder}: {text}" for folder, text in work.failures[:FAILURES_SHOWN])
        more = f"; and {outcome.failed - FAILURES_SHOWN} more" if outcome.failed > FAILURES_SHOWN else ""
        outcome.faults.append(
            f"{outcome.failed} run folders are not complete, and asked for again next time: {shown}{more}"
        )
    if work.stop is not None:
        outcome.faults.append(work.stop)
    for folder in given_up:
        if folder not in work.settled:
            outcome.notes.append(
                f"{folder} has not finished in {MAX_UNFINISHED_DAYS} days, and is not asked for any more"
            )
    times = {text: f" ({count} times)" if count > 1 else "" for text, count in sorted(source.report.notes.items())}
    outcome.notes += [redact(text) + suffix for text, suffix in times.items()]


@dataclass(eq=False)
class _Folder:
    """A folder that is being fetched."""

    found: FoundFolder
    former: list[KnownFolder]
    waiting: int = 0
    texts: dict[str, bytes] = field(default_factory=dict)
    landed: list[LandedFile] = field(default_factory=list)
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """What a thread has done for a folder: files that it landed, and files that are left to be fetched."""

    folder: _Folder
    landed: tuple[LandedFile, ...] = ()
    left: tuple[FoundFile, ...] = ()
    error: Exception | None = None


class _Pull:
    """One pull. All but `_begin` and `_fetch` runs in the calling thread."""

    def __init__(
        self,
        source: ArtifactSource,
        zone: LandingZone,
        window: Window,
        outcome: PullOutcome,
        *,
        downloads: int,
        wants: Callable[[str], bool],
        progress: Progress,
        now: datetime,
        is_due: bool,
    ) -> None:
        self.stop: str | None = None
        self.failures: list[tuple[str, str]] = []
        self.unfinished: dict[str, str] = {}
        self.settled: set[str] = set()
        self._source = source
        self._zone = zone
        self._window = window
        self._outcome = outcome
        self._downloads = downloads
        self._wants = wants
        self._first_day = (window.since or now).astimezone(UTC).date().isoformat()
        self._is_due = is_due
        self._progress = progress
        self._steps: queue.SimpleQueue[_Step] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._active = 0
        self._in_a_row = 0
        self._is_given_up = False
        self._batch: list[tuple[LandedFolder, list[KnownFolder]]] = []
        self._batch_bytes = 0

    def run(self) -> None:
        self._progress.stage("land", None)
        pool = ThreadPoolExecutor(self._downloads, thread_name_prefix=f"pull-{self._source.name}")
        try:
            self._work(pool)
        finally:
            self._ended.set()
            pool.shutdown(wait=True, cancel_futures=True)
        # also where the source stopped: what it landed stays
        self._enter()

    def _work(self, pool: ThreadPoolExecutor) -> None:
        listing: Iterator[_Folder] | None = self._new_folders()
        while True:
            while listing is not None and self._active < self._downloads * FOLDERS_A_DOWNLOAD:
                folder = self._next(listing)
                if folder is None:
                    # what is at work is completed, also where the listing broke off
                    listing = None
                    break
                self._active += 1
                self._submit(pool, folder, self._begin, folder)
            if not self._active:
                return
            self._take(pool, self._steps.get())
            if self._is_given_up:
                return

    def _next(self, listing: Iterator[_Folder]) -> _Folder | None:
        """Return the next folder to fetch; None at the end of the listing, or where it breaks off."""
        try:
            folder = next(listing, None)
        except LandingError:
            raise
        except Exception as error:  # noqa: BLE001 - one source's failure is told, and stops no other
            self._break_off(error)
            return None
        if folder is None:
            self._outcome.is_complete = True
        return folder

    def _new_folders(self) -> Iterator[_Folder]:
        known = KnownFolders(self._zone, self._source.name, since=self._window.since, until=self._window.until)
        for found in self._source.discover(self._window):
            if found.day and not self._wants(found.day):
                if self._is_due and found.day >= self._first_day:
                    self.unfinished[found.folder] = found.day  # began while we were asking
                continue
            lines = known.lines(found.folder, found.day)
            if not found.is_finished:
                self._outcome.unfinished += 1
                self.unfinished[found.folder] = self._day(found)
            if landing.is_settled(found, lines):
                self._outcome.known += 1
                self._settle(found)
            else:
                yield _Folder(found, lines)

    def _day(self, found: FoundFolder) -> str:
        return found.day or self._first_day

    def _settle(self, found: FoundFolder) -> None:
        if found.is_finished:
            self.settled.add(found.folder)

    # -- in threads ---------------------------------------------------------------------------------------

    def _submit(
        self, pool: ThreadPoolExecutor, folder: _Folder, work: Callable[..., _Step], *arguments: object
    ) -> None:
        folder.waiting += 1

        def done(future: Future[_Step]) -> None:
            if not future.cancelled():
                error = future.exception()
                if error is None:
                    self._steps.put(future.result())
                else:
                    told = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
                    self._steps.put(_Step(folder, error=told))

        pool.submit(work, *arguments).add_done_callback(done)

    def _begin(self, folder: _Folder) -> _Step:
        """Ask what a folder holds, and land what came with the answer."""
        landed, left = [], []
        for file in self._source.contents(folder.found):
            if is_metadata(file):
                with self._source.open(file) as stream:
                    folder.texts[file.kind] = stream.read()
            if file.inline is not None or is_metadata(file) or file.kind == landing.EXPIRED:
                landed.append(fetch_file(self._source, self._zone, file))
            elif folder.found.is_finished:
                left.append(file)
        # the artifacts of an attempt that still runs are read when it has finished, so they are fetched then
        if len(left) <= FILES_A_STEP and self._active >= self._downloads:
            # the other threads have folders of their own; handing files around would only cost time
            for file in left:
                step = self._fetch(folder, file)
                landed += step.landed
            return _Step(folder, tuple(landed))
        return _Step(folder, tuple(landed), tuple(left))

    def _fetch(self, folder: _Folder, file: FoundFile) -> _Step:
        if folder.error is not None or self._ended.is_set():
            return _Step(folder)
        try:
            return _Step(folder, (fetch_file(self._source, self._zone, file),))
        except OSError as error:
            if error.errno in _OURS:
                raise
            told = error.strerror or str(error)
            return _Step(folder, (LandedFile(file.artifact, file.path, file.kind, "", 0, told),))

    # -- in the calling thread ----------------------------------------------------------------------------

    def _take(self, pool: ThreadPoolExecutor, step: _Step) -> None:
        folder = step.folder
        folder.waiting -= 1
        folder.landed += step.landed
        if isinstance(step.error, LandingError):
            raise step.error
        if step.error is not None and folder.error is None:
            folder.error = step.error
            if _is_final(step.error):
                self._fail(folder)
                self._give_up(step.error)
                return
        if folder.error is None:
            for file in step.left:
                self._submit(pool, folder, self._fetch, folder, file)
        if folder.waiting:
            return
        self._active -= 1
        self._progress.advance()
        if folder.error is not None:
            self._fail(folder)
        else:
            self._in_a_row = 0
            self._complete(folder)

    def _complete(self, folder: _Folder) -> None:
        found = folder.found
        run, _ = interpret(folder.texts, provider=self._source.provider)
        line = landed_folder(self._source, found, folder.landed, run)
        if found.day and line.day and line.day != found.day:
            self._source.report.note("the listing and run.json disagree on the day on which a run started")
        self._outcome.counts = self._outcome.counts.plus(line)
        self._outcome.days.add(line.day)
        self._settle(found)
        self._batch.append((line, folder.former))
        self._batch_bytes += sum(file.size_bytes for file in line.files)
        if len(self._batch) >= landing.FOLDERS_A_BATCH or self._batch_bytes >= BYTES_A_BATCH:
            self._enter()

    def _enter(self) -> None:
        """Enter the batch into the manifests."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        wanted = {(known.manifest, line.folder) for line, former in batch for known in former}
        lines: dict[str, list[LandedFolder]] = {}
        for day in sorted({manifest for manifest, _ in wanted}):
            for line in self._zone.folders(day):
                if line.source == self._source.name and (day, line.folder) in wanted:
                    lines.setdefault(line.folder, []).append(line)
        if batch:
            enter(self._zone, [(line, lines.get(line.folder, [])) for line, _ in batch])

    def _fail(self, folder: _Folder) -> None:
        self._outcome.failed += 1
        self._in_a_row += 1
        self.unfinished[folder.found.folder] = self._day(folder.found)
        if folder.error is not None and len(self.failures) < FAILURES_SHOWN:
            self.failures.append((folder.found.folder, _line(folder.error)))
        if self._in_a_row >= FAILURES_IN_A_ROW and folder.error is not None:
            self._give_up(folder.error)

    def _give_up(self, error: Exception) -> None:
        """Ask this source for nothing more."""
        self._is_given_up = True
        self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        """Say why the window is not complete; the first reason counts."""
        self._outcome.is_complete = False
        if self.stop is None:
            self.stop = f"stopped before the end: {_line(error)}"


def _is_final(error: Exception) -> bool:
    """Say whether going on is of no use for any folder: the provider refuses us, or we cannot."""
    if isinstance(error, SourceDeniedError):
        # a store that refuses what the provider has sent us to it for refuses one artifact
        return not error.is_elsewhere
    return isinstance(error, SourceBusyError) or _is_ours(error)


def _is_ours(error: Exception) -> bool:
    """Say whether going on is of no use for any folder: this machine or the configuration is at fault."""
    if isinstance(error, FlakeGuardError):
        return not isinstance(error, SourceError)
    return isinstance(error, OSError) and error.errno in _OURS


def _line(error: Exception) -> str:
    """Return an error as one line without secrets; of one that nobody foresaw only the kind is sure to have none."""
    if isinstance(error, FlakeGuardError):
        return redact(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or 'this machine'}; check the space and the rights there"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"an answer that cannot be understood ({type(error).__name__}{where}); please report it"
