"""The landing zone: artifacts as they came, addressed by content, with one manifest a UTC day.

    objects/ab/abcdef...            the bytes, named by their SHA-256
    manifests/2021-03-04.jsonl      one line per run folder whose attempt started on that day
    manifests/unattributed.jsonl    files for which no run is known
    cursors/github.json             how far a source was listed (landing/cursors.py)

An object is written before the manifest that names it, and a manifest is replaced in one step; so a landing
zone is whole at every moment, and landing again after a kill completes it. Everything downstream can be rebuilt
from it without the CI provider, whose artifacts expire.

Belongs here: storing and listing. Does not belong here: what the bytes mean.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import fsspec

from flakeguard_pipeline.domain.errors import LandingError

CHUNK_BYTES = 1 << 20
"""Copied at a time: large enough for few calls, small enough to forget about memory."""

UNATTRIBUTED = "unattributed"
"""Name of the manifest of files that belong to no run."""


@dataclass(frozen=True, slots=True, order=True)
class LandedFile:
    """One file in the landing zone. `digest` is '' where it could not be read; `error` then says why.

    A file of the kind `expired` has neither: its source had its bytes no longer when it was first asked.
    """

    artifact: str
    path: str
    kind: str
    digest: str
    size_bytes: int
    error: str = ""


Identity = tuple[str, str, str, int]
"""Source, folder, run id and run attempt."""


@dataclass(frozen=True, slots=True)
class LandedFolder:
    """One run folder of a source as it was landed, with as much of its meaning as planning needs.

    `day` is the UTC day of the attempt, ISO; '' together with an empty `run_id` where no run is known.
    `fingerprint` is what the source said of the folder: equal fingerprints mean nothing has changed.
    """

    source: str
    folder: str
    fingerprint: str
    day: str
    provider: str
    repository_ref: str
    full_name: str
    run_id: str
    run_attempt: int
    run_started_at: str
    is_partial: bool
    files: tuple[LandedFile, ...]

    @property
    def place(self) -> tuple[str, str]:
        """Where it came from: a source and a folder there."""
        return self.source, self.folder

    @property
    def identity(self) -> Identity:
        """What one line of a manifest stands for: a place, and the run attempt that lay there."""
        return self.source, self.folder, self.run_id, self.run_attempt


def _encode(folder: LandedFolder) -> str:
    return json.dumps(asdict(folder), sort_keys=True, separators=(",", ":"))


def _decode(line: str) -> LandedFolder:
    fields = json.loads(line)
    files = tuple(LandedFile(**each) for each in fields.pop("files"))
    return LandedFolder(**fields, files=files)


class LandingZone:
    """A landing zone at a local path or any fsspec URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = PurePosixPath(root)
        self._local = Path(root) if "file" in _protocols(self._fs) else None

    # -- objects ------------------------------------------------------------------------------------------

    def put(self, stream: BinaryIO) -> tuple[str, int]:
        """Store what `stream` yields; return its SHA-256 and its size in bytes. Storing it twice stores it once.

        Raises:
            LandingError: the landing zone cannot be written.
            OSError: `stream` cannot be read.
        """
        digest = hashlib.sha256()
        with self._scratch() as partial:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                with _explained(partial.name):  # a full disk here is not an unreadable source
                    partial.write(chunk)
            size = partial.tell()
            name = digest.hexdigest()
            target = self._object(name)
            if self._fs.exists(target):
                return name, size
            with _explained(target):
                partial.flush()
                if self._local is None:
                    self._fs.put_file(partial.name, target)  # in parts, where it is large
                else:
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
                    Path(partial.name).replace(target)
        return name, size

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[IO[bytes]]:
        """Yield a file to write an object to before its name is known; it is gone afterwards, unless renamed."""
        folder = self._local / "incoming" if self._local else None
        with _explained(str(folder or "a temporary file")):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 - closed below
        try:
            with scratch:
                yield scratch
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(scratch.name).unlink()

    def open(self, digest: str) -> BinaryIO:
        """Open an object for reading.

        Raises:
            LandingError: the landing zone has lost it, or it cannot be opened.
        """
        try:
            return cast("BinaryIO", self._fs.open(self._object(digest), "rb"))
        except FileNotFoundError as error:
            raise LandingError(
                f"the landing zone {self.url} has lost object {digest}; remove its line from the manifests, so that "
                "it is fetched again"
            ) from error
        except OSError as error:
            raise _unreadable(self._object(digest), error) from error

    def read(self, digest: str) -> bytes:
        """Return an object's bytes."""
        with self.open(digest) as stream:
            return stream.read()

    def sweep(self) -> None:
        """Remove what a killed landing left half-written. Only one landing may be at work."""
        if self._local is not None:
            for partial in sorted(self._local.glob("incoming/*")):
                partial.unlink(missing_ok=True)

    # -- manifests ----------------------------------------------------------------------------------------

    def days(self) -> list[str]:
        """Return the names of all manifests, sorted: ISO days, and `UNATTRIBUTED` where there is one."""
        try:
            names = self._fs.ls(str(self._root / "manifests"), detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self.url, error) from error
        return sorted(PurePosixPath(name).stem for name in names if name.endswith(".jsonl"))

    def folders(self, day: str) -> list[LandedFolder]:
        """Return the folders of one manifest in a fixed order."""
        path = self._manifest(day)
        try:
            data = self._fs.cat_file(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            return [_decode(line) for line in data.decode("utf-8").splitlines() if line]
        except (ValueError, TypeError, KeyError) as error:
            raise LandingError(
                f"the manifest {path} is damaged ({error}); delete it, so that its day is fetched again"
            ) from error

    def all_folders(self) -> Iterator[LandedFolder]:
        """Yield the folders of all manifests, day by day."""
        for day in self.days():
            yield from self.folders(day)

    def record(self, folders: Iterable[LandedFolder], superseded: Iterable[LandedFolder] = ()) -> None:
        """Enter folders into the manifests of their days, and then take out the lines that they supersede.

        A line with the same identity on the same day is replaced. `superseded` are lines as they stand in the
        manifests: those of another day, and those of files that by now belong to a run.
        """
        by_day: dict[str, dict[Identity, LandedFolder]] = {}
        for folder in folders:
            by_day.setdefault(manifest_of(folder), {})[folder.identity] = folder
        left: dict[str, set[Identity]] = {}
        for folder in superseded:
            if folder.identity not in by_day.get(manifest_of(folder), {}):
                left.setdefault(manifest_of(folder), set()).add(folder.identity)
        for day, fresh in by_day.items():
            self._write_manifest(day, {**self._known(day), **fresh})
        for day, gone in left.items():
            self._write_manifest(day, {key: value for key, value in self._known(day).items() if key not in gone})

    def _known(self, day: str) -> dict[Identity, LandedFolder]:
        return {folder.identity: folder for folder in self.folders(day)}

    def _write_manifest(self, day: str, folders: Mapping[Identity, LandedFolder]) -> None:
        lines = [_encode(folders[identity]) + "\n" for identity in sorted(folders)]
        self._replace(self._manifest(day), [line.encode("utf-8") for line in lines])

    # -- cursors ------------------------------------------------------------------------------------------

    def read_cursor(self, source: str) -> bytes | None:
        """Return what was kept of how far a source was listed; None where nothing was."""
        path = self._cursor(source)
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        return data

    def write_cursor(self, source: str, data: bytes) -> None:
        """Keep how far a source was listed, in one step."""
        self._replace(self._cursor(source), [data])

    # -- storage ------------------------------------------------------------------------------------------

    def _object(self, digest: str) -> str:
        return str(self._root / "objects" / digest[:2] / digest)

    def _manifest(self, day: str) -> str:
        return str(self._root / "manifests" / f"{day}.jsonl")

    def _cursor(self, source: str) -> str:
        return str(self._root / "cursors" / f"{source}.json")

    def _replace(self, target: str, chunks: Iterable[bytes]) -> None:
        """Write a file in one step: readers see the old bytes or the new ones, never a part."""
        with _explained(target):
            if self._local is None:
                self._fs.pipe_file(target, b"".join(chunks))  # object stores replace in one step
                return
            path = Path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            with partial.open("wb") as stream:
                stream.writelines(chunks)
            partial.replace(path)


@contextlib.contextmanager
def _explained(target: str) -> Iterator[None]:
    """Turn what the system says of a failed write into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise LandingError(
            f"cannot write {target}: {error.strerror or error}; check the space and the rights there, then run again"
        ) from error


def _unreadable(place: str, error: OSError) -> LandingError:
    return LandingError(f"cannot read {place}: {error.strerror or error}; check the landing zone and the rights there")


def manifest_of(folder: LandedFolder) -> str:
    """Return the name of the manifest that a line belongs to."""
    return folder.day or UNATTRIBUTED


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = fs.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
