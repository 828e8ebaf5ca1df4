"""From a source into the landing zone: what is new, and bringing it in.

Belongs here: comparing a source's listing with the manifests, and copying. Does not belong here: reports.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from flakeguard_pipeline.domain.errors import ArtifactGoneError, ConfigurationError
from flakeguard_pipeline.domain.model import RunAttempt
from flakeguard_pipeline.landing.zone import LandedFile, LandedFolder, LandingZone
from flakeguard_pipeline.parsing.github_run import MetadataError, parse_jobs, parse_partial_run, parse_run
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.providers.source import ArtifactSource, FoundFile, FoundFolder

EXPIRED = "expired"
"""Kind of an artifact whose bytes the source no longer has."""

FOLDERS_A_BATCH = 200
"""Folders landed between two writes of the manifests: a kill costs at most their copying, never their loss."""


@dataclass(frozen=True, slots=True)
class PendingFolder:
    """A folder that the landing zone does not have yet, or not in this state. `day` is '' without a known run.

    `former` are the lines that the manifests have for the folder.
    """

    found: FoundFolder
    day: str
    former: tuple[LandedFolder, ...] = ()


@dataclass(frozen=True, slots=True)
class LandingCounts:
    """What one landing brought in."""

    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    unreadable: int = 0
    expired: int = 0

    def plus(self, folder: LandedFolder) -> "LandingCounts":
        """Return the counts with one more folder."""
        return LandingCounts(
            self.folders + 1,
            self.files + len(folder.files),
            self.size_bytes + sum(file.size_bytes for file in folder.files),
            self.unreadable + sum(1 for file in folder.files if file.error),
            self.expired + sum(1 for file in folder.files if file.kind == EXPIRED),
        )

    def added(self, other: "LandingCounts") -> "LandingCounts":
        """Return the counts of two landings together."""
        return LandingCounts(
            self.folders + other.folders,
            self.files + other.files,
            self.size_bytes + other.size_bytes,
            self.unreadable + other.unreadable,
            self.expired + other.expired,
        )


class Line(Protocol):
    """What is known of a folder from one line of a manifest."""

    @property
    def fingerprint(self) -> str:
        """What the source said of the folder."""
        ...

    @property
    def run_id(self) -> str:
        """The run, '' where none is known."""
        ...

    @property
    def identity(self) -> object:
        """The run attempt."""
        ...


def find_pending(source: ArtifactSource, zone: LandingZone) -> list[PendingFolder]:
    """Return what the source has and the landing zone has not, in the source's order.

    Raises:
        ConfigurationError: the source does not exist, or neither it nor the landing zone holds any run.
    """
    known: dict[tuple[str, str], list[LandedFolder]] = defaultdict(list)
    for folder in zone.all_folders():
        known[folder.place].append(folder)
    pending = []
    any_run = any(folder.run_id for lines in known.values() for folder in lines)
    for found in source.discover():
        any_run = any_run or found.is_attributed
        former = known.get((source.name, found.folder), [])
        if not is_settled(found, former):
            run, _ = describe(source, source.contents(found))
            pending.append(PendingFolder(found, run.day.isoformat() if run else "", tuple(former)))
    if not any_run:
        raise ConfigurationError(
            f"{source.title} holds no run.json and no job.json; each run attempt needs a folder with one of them "
            "(docs/reference/drop-folder.md)"
        )
    return pending


def is_settled(found: FoundFolder, lines: Sequence[Line]) -> bool:
    """Say whether the manifests know the folder as it is, without lines that a killed landing left over."""
    identities = [line.identity for line in lines]
    left_over = len(set(identities)) < len(identities) or len({bool(line.run_id) for line in lines}) > 1
    return not left_over and any(line.fingerprint == found.fingerprint for line in lines)


def land(
    source: ArtifactSource,
    zone: LandingZone,
    pending: Iterable[PendingFolder],
    *,
    progress: Progress | None = None,
) -> LandingCounts:
    """Copy the files of `pending` into the landing zone and enter them into the manifests.

    A file that cannot be read is entered as such and keeps nothing else from being landed. What was landed for a run
    attempt stays landed when the source no longer has it: artifacts expire, and the landing zone is there for that.
    """
    teller = progress or Silent()
    counts = LandingCounts()
    for batch in _batches(pending):
        landed: list[tuple[LandedFolder, Sequence[LandedFolder]]] = []
        for each in batch:
            folder = _land_folder(source, zone, each.found)
            counts = counts.plus(folder)
            landed.append((folder, each.former))
            teller.advance()
        enter(zone, landed)
    return counts


def enter(zone: LandingZone, landed: Iterable[tuple[LandedFolder, Sequence[LandedFolder]]]) -> None:
    """Enter folders into the manifests, each with the lines that the manifests had for it before."""
    entered: list[LandedFolder] = []
    superseded: list[LandedFolder] = []
    for folder, former in landed:
        same = [line for line in former if line.run_id and line.identity == folder.identity]
        entered.append(_with_former_files(folder, same))
        superseded += same
        superseded += [line for line in former if not line.run_id]
    zone.record(entered, superseded)


def _with_former_files(folder: LandedFolder, same: list[LandedFolder]) -> LandedFolder:
    """Add the files that were landed for the same run attempt before and are gone from the source since."""
    present = {(file.kind, file.artifact, file.path) for file in folder.files}
    former = {
        (file.kind, file.artifact, file.path): file
        for line in same
        for file in line.files
        if file.digest and (file.kind, file.artifact, file.path) not in present
    }
    # what has expired since is here still
    kept = {(file.artifact, file.path) for file in former.values()}
    left = [file for file in folder.files if file.kind != EXPIRED or (file.artifact, file.path) not in kept]
    return replace(folder, files=tuple(sorted((*left, *former.values()))))


def describe(source: ArtifactSource, files: Iterable[FoundFile]) -> tuple[RunAttempt | None, str]:
    """Return the run attempt that a folder with these files holds; or None, and what is wrong with its metadata.

    That is '' where there is no metadata.
    """
    texts: dict[str, bytes] = {}
    fault = ""
    for file in files:
        if is_metadata(file):
            try:
                with source.open(file) as stream:
                    texts[file.kind] = stream.read()
            except OSError as error:
                fault = f"{file.path}: {error.strerror or error}"
    return interpret(texts, provider=source.provider, fault=fault)


def is_metadata(file: FoundFile) -> bool:
    """Say whether a file tells which run attempt its folder holds."""
    return file.kind in ("run", "jobs") and not file.artifact


def interpret(texts: Mapping[str, bytes], *, provider: str, fault: str = "") -> tuple[RunAttempt | None, str]:
    """Make a run attempt of the texts of run.json (`run`) and job.json (`jobs`).

    A damaged job.json does not spoil a good run.json, nor the other way round; the fault is told all the same.
    """
    run, jobs = texts.get("run"), texts.get("jobs")
    faults = [fault] if fault else []
    if jobs is not None:
        try:
            parse_jobs(jobs)
        except MetadataError as error:
            faults.append(f"job.json: {error}")
            jobs = None
    if run is not None:
        try:
            return parse_run(run, jobs, provider=provider), "; ".join(faults)
        except MetadataError as error:
            faults.append(f"run.json: {error}")
    if jobs is not None:
        try:
            return parse_partial_run(jobs, provider=provider), "; ".join(faults)
        except MetadataError as error:
            faults.append(f"job.json: {error}")
    return None, "; ".join(faults)


def _land_folder(source: ArtifactSource, zone: LandingZone, found: FoundFolder) -> LandedFolder:
    present = source.contents(found)
    files = [_land_file(source, zone, file) for file in present]
    run, _ = describe(source, present)
    return landed_folder(source, found, files, run)


def landed_folder(
    source: ArtifactSource, found: FoundFolder, files: Iterable[LandedFile], run: RunAttempt | None
) -> LandedFolder:
    """Return the line for the manifest."""
    return LandedFolder(
        source=source.name,
        folder=found.folder,
        fingerprint=found.fingerprint,
        day=run.day.isoformat() if run else "",
        provider=source.provider,
        repository_ref=run.key.repository_ref if run else "",
        full_name=run.full_name if run else "",
        run_id=run.key.run_id if run else "",
        run_attempt=run.key.run_attempt if run else 0,
        run_started_at=run.run_started_at.isoformat() if run else "",
        is_partial=bool(run and run.is_partial),
        files=tuple(sorted(files)),
    )


def _land_file(source: ArtifactSource, zone: LandingZone, file: FoundFile) -> LandedFile:
    try:
        return fetch_file(source, zone, file)
    except OSError as error:
        return LandedFile(file.artifact, file.path, file.kind, "", 0, error.strerror or str(error))


def fetch_file(source: ArtifactSource, zone: LandingZone, file: FoundFile) -> LandedFile:
    """Copy one file into the landing zone, unless its source no longer has it.

    Raises:
        OSError: it cannot be read.
    """
    if file.kind == EXPIRED:
        return _expired(file)
    try:
        with source.open(file) as stream:
            digest, size = zone.put(stream)
    except ArtifactGoneError:
        return _expired(file)
    return LandedFile(file.artifact, file.path, file.kind, digest, size)


def _expired(file: FoundFile) -> LandedFile:
    return LandedFile(file.artifact, file.path, EXPIRED, "", 0)


def _batches(pending: Iterable[PendingFolder]) -> Iterator[list[PendingFolder]]:
    batch: list[PendingFolder] = []
    for each in pending:
        batch.append(each)
        if len(batch) == FOLDERS_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
