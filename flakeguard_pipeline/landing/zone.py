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
import itertools
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

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


_FOLDER_FIELDS = tuple(each.name for each in fields(LandedFolder) if each.name != "files")
_FILE_FIELDS = tuple(each.name for each in fields(LandedFile))


def _encode(folder: LandedFolder) -> str:
    # by hand: `asdict` copies what it finds, and takes ten times as long
    line = {name: getattr(folder, name) for name in _FOLDER_FIELDS}
    line["files"] = [{name: getattr(file, name) for name in _FILE_FIELDS} for file in folder.files]
    return json.dumps(line, sort_keys=True, separators=(",", ":"))


def _decode(line: str) -> LandedFolder:
    told = json.loads(line)
    files = tuple(LandedFile(**each) for each in told.pop("files"))
    return LandedFolder(**told, files=files)


def _identity(told: Mapping[str, Any]) -> Identity:
    return told["source"], told["folder"], told["run_id"], told["run_attempt"]


class LandingZone:
    """A landing zone at a local path or any fsspec URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = PurePosixPath(root)
        self._local = Path(root) if "file" in _protocols(self._fs) else None
        self._incoming = f"{self._local}/incoming" if self._local else ""
        self._mark = secrets.token_hex(8)
        self._numbers = itertools.count()

    # -- objects ------------------------------------------------------------------------------------------

    def put(self, stream: BinaryIO) -> tuple[str, int]:
        """Store what `stream` yields; return its SHA-256 and its size in bytes. Storing it twice stores it once.

        Raises:
            LandingError: the landing zone cannot be written.
            OSError: `stream` cannot be read.
        """
        head = stream.read(CHUNK_BYTES)
        more = stream.read(CHUNK_BYTES) if head else b""
        if more:
            return self._put_large(head, more, stream)
        name = hashlib.sha256(head).hexdigest()
        target = self._object(name)
        with _explained(target):
            if self._local is None:
                if not self._fs.exists(target):
                    self._fs.pipe_file(target, head)
            elif not os.path.exists(target):  # noqa: PTH110 - once for each of very many small files
                self._write_small(head, target)
        return name, len(head)

    def _write_small(self, data: bytes, target: str) -> None:
        """Write an object in as few calls as there can be: there are very many of them, in several threads."""
        descriptor, partial = self._create()
        try:
            try:
                written = os.write(descriptor, data)
                while written < len(data):
                    written += os.write(descriptor, data[written:])
            finally:
                os.close(descriptor)
            _move(partial, target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def _create(self) -> tuple[int, str]:
        """Open a new file in the folder of what is half-written, for us alone to read; return its descriptor."""
        path = f"{self._incoming}/{self._mark}-{next(self._numbers)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600), path
        except FileNotFoundError:
            Path(self._incoming).mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o600), path

    def _put_large(self, head: bytes, more: bytes, stream: BinaryIO) -> tuple[str, int]:
        """Store a stream of which two pieces were read, in bounded memory."""
        digest = hashlib.sha256(head)
        with self._scratch() as partial:
            with _explained(partial.name):
                partial.write(head)
            while more:
                digest.update(more)
                with _explained(partial.name):  # a full disk here is not an unreadable source
                    partial.write(more)
                more = stream.read(CHUNK_BYTES)
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
                    _move(partial.name, target)
        return name, size

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[IO[bytes]]:
        """Yield a file to write an object to before its name is known; it is gone afterwards, unless renamed."""
        with _explained(self._incoming or "a temporary file"):
            if self._incoming:
                Path(self._incoming).mkdir(parents=True, exist_ok=True)
            scratch = tempfile.NamedTemporaryFile(dir=self._incoming or None, delete=False)  # noqa: SIM115
        try:
            with scratch:
                yield scratch
        finally:
            Path(scratch.name).unlink(missing_ok=True)

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
        with self._undamaged(day):
            return [_decode(line) for line in self._lines(day)]

    def _lines(self, day: str) -> list[str]:
        path = self._manifest(day)
        try:
            data = self._fs.cat_file(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(path, error) from error
        with self._undamaged(day):
            return [line for line in data.decode("utf-8").splitlines() if line]

    @contextlib.contextmanager
    def _undamaged(self, day: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            raise LandingError(
                f"the manifest {self._manifest(day)} is damaged ({error}); delete it, so that its day is fetched again"
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
        by_day: dict[str, dict[Identity, str]] = {}
        for folder in folders:
            by_day.setdefault(manifest_of(folder), {})[folder.identity] = _encode(folder)
        left: dict[str, set[Identity]] = {}
        for folder in superseded:
            if folder.identity not in by_day.get(manifest_of(folder), {}):
                left.setdefault(manifest_of(folder), set()).add(folder.identity)
        for day, fresh in by_day.items():
            self._write_manifest(day, {**self._known(day), **fresh})
        for day, gone in left.items():
            self._write_manifest(day, {key: line for key, line in self._known(day).items() if key not in gone})

    def _known(self, day: str) -> dict[Identity, str]:
        """Return the lines of a manifest, which are written again as they stand."""
        with self._undamaged(day):
            return {_identity(json.loads(line)): line for line in self._lines(day)}

    def _write_manifest(self, day: str, lines: Mapping[Identity, str]) -> None:
        self._replace(self._manifest(day), [f"{lines[identity]}\n".encode() for identity in sorted(lines)])

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
        return f"{self._root}/objects/{digest[:2]}/{digest}"

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


def _move(partial: str, target: str) -> None:
    """Give a whole file its name, in one step."""
    try:
        os.replace(partial, target)  # noqa: PTH105 - once for each of very many small files
    except FileNotFoundError:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, target)  # noqa: PTH105


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
