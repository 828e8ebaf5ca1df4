"""From a CI job into a drop folder: its reports as one artifact of its run attempt.

    PLACE/<provider>/<owner>/<name>/<run id>/<attempt>/run.json
                                                       <artifact>.zip

A reader never sees a half of it. In an object store each object comes into being in one step, and run.json is the last:
without it a folder is no run. On a local disk a new attempt is written under a hidden name and renamed; to one that is
there, each file is added so.

Several jobs of a run upload to the same attempt. Those with artifacts of different names do not touch each other. Where
a name is taken by other bytes, nothing is overwritten: the archive goes into the folder of that name, as
`<artifact>/<digest>.zip`, which a drop folder reads as part of the same artifact. All jobs write run.json, and what
they write fits together: see `merged`.

Belongs here: packing and writing. Does not belong here: where run.json comes from (providers/ci_environment.py).
"""

import contextlib
import errno
import inspect
import json
import os
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import quote

import fsspec

from flakeguard_pipeline.domain.digests import stream_digest
from flakeguard_pipeline.domain.errors import OperationError, UsageError
from flakeguard_pipeline.parsing.dialects import READERS
from flakeguard_pipeline.providers.answers import moment_of
from flakeguard_pipeline.providers.drop_gathering import RUN_FILE, ZIP
from flakeguard_pipeline.providers.drop_objects import EXTRAS, local_path, open_store, store_options, told, tried
from flakeguard_pipeline.providers.patience import Clock

ROOT_SEARCH_BYTES = 1 << 20
"""Bytes in which a report's root element is looked for: comments and logs may stand before it."""

WHOLE_BYTES = 64 << 20
"""Bytes of the largest archive that is handed to the driver in one piece; a larger one is handed over as a file."""

MAX_NAME_BYTES = 200
"""Bytes of an artifact's name: with `.zip` and a hidden name's addition it fits any file system."""

DIGEST_DIGITS = 16
"""Digits of a digest in a file's name: enough to tell the archives of one artifact apart."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The moment that every member of an archive bears, the first that zip knows: equal reports give equal bytes."""

COMPRESSION_LEVEL = 6

REPORT_SUFFIX = ".xml"

_IN_STEP = {*EXTRAS, "memory"}
"""Schemes of stores in which an object comes into being in one step."""

_ROOT = re.compile(rb"<(?:[\w.-]{1,32}:)?(?:" + "|".join(sorted(map(re.escape, READERS))).encode() + rb")(?:[\s/>]|\Z)")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RANK = {"failure": 3, "timed_out": 3, "cancelled": 2, "success": 1}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a folder holds: its reports by their paths in the archive, and how many other files."""

    reports: Mapping[str, Path]
    passed_over: int


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload wrote. `artifact` and `run` are the places; `is_new` is False where the same bytes were there."""

    artifact: str
    run: str
    size_bytes: int
    is_new: bool


class Place(Protocol):
    """Where drop folders are: paths are relative, with slashes."""

    def shown(self, path: str) -> str:
        """Return what a message calls a path."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is none, or where it may not be read."""
        ...

    def create(self, path: str, source: Path) -> bool:
        """Write a file in one step, unless there is one: False then."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write a file in one step, whether there is one or not."""
        ...

    def create_folder(self, path: str, files: Mapping[str, Path | bytes]) -> bool:
        """Write a folder with all its files in one step, unless there is one or the place cannot: False then."""
        ...


# -- gathering -----------------------------------------------------------------------------------------------


def gather_reports(folder: Path) -> Gathered:
    """Return the reports in a folder: test reports in any dialect, damaged and empty ones too, and zip archives.

    Hidden files and folders are passed over, links to folders, and links that lead out of the folder.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist (or is no folder); name the folder that the test reports are in")
    inside = folder.resolve()
    reports: dict[str, Path] = {}
    passed_over = 0
    for directory, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(directory) / name
            is_safe = path.is_file() and path.resolve().is_relative_to(inside)
            if not name.startswith(".") and is_safe and is_report(path):
                reports[_member_name(path.relative_to(folder))] = path
            else:
                passed_over += 1
    return Gathered(reports, passed_over)


def is_report(path: Path) -> bool:
    """Say whether a file is a test report, or an archive that may hold some; an empty .xml is a report that broke."""
    name = path.name.lower()
    if name.endswith(ZIP):
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(ROOT_SEARCH_BYTES)
    except OSError as error:
        _refuse(error)
    # UTF-16 reads as ASCII without its zeros
    head = head.replace(b"\0", b"")
    return _ROOT.search(head) is not None or (name.endswith(REPORT_SUFFIX) and not head.strip())


def _refuse(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}; check the rights there") from error


def _member_name(path: Path) -> str:
    """Return a path as a name in an archive: bytes that are no UTF-8, and backslashes, become `%xx`."""
    text = os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
    return text.replace("\\x", "%").replace("\\", "%5c")


def pack(reports: Mapping[str, Path], target: BinaryIO) -> None:
    """Write an archive of reports; the same reports always give the same bytes."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(reports):
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            member.create_system = 3  # Unix, wherever it is packed
            member.file_size = reports[name].stat().st_size
            member._compresslevel = COMPRESSION_LEVEL  # type: ignore[attr-defined]
            with reports[name].open("rb") as source, archive.open(member, "w") as packed:
                shutil.copyfileobj(source, packed)


# -- names ---------------------------------------------------------------------------------------------------


def artifact_name(artifact: str, variant: str | None = None) -> str:
    """Return an artifact's name, with the variant at its end where one is given.

    Raises:
        UsageError: no file can be called so, or the drop folder would pass it over.
    """
    name = f"{artifact}-{variant}" if variant else artifact
    if not name or name != name.strip() or name.startswith(".") or _FORBIDDEN.search(name):
        raise UsageError(
            f"an artifact cannot be called {name!r}; a name begins with no dot and no space and holds none of "
            r'/ \ : * ? " < > | and no line end: change --artifact or --variant'
        )
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise UsageError(f"the artifact's name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes; shorten it")
    return name


def attempt_folder(provider: str, run: Mapping[str, Any]) -> str:
    """Return the folder of a run attempt, from the drop folder: the same for all jobs of the attempt."""
    full_name = str(run["repository"]["full_name"])
    parts = [provider, *full_name.split("/"), str(run["id"]), str(run["run_attempt"])]
    return "/".join(_segment(part) for part in parts)


def _segment(text: str) -> str:
    """Return a text as one name that is not hidden: a repository may be called `.github`."""
    quoted = quote(text, safe=" +=@,~()")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted or "%"


# -- the run -------------------------------------------------------------------------------------------------


def run_bytes(run: Mapping[str, Any]) -> bytes:
    """Return run.json: equal runs give equal bytes."""
    return (json.dumps(run, sort_keys=True, indent=2) + "\n").encode()


def merged(run: Mapping[str, Any], former: bytes | None, *, adds: bool) -> bytes:
    """Return the run.json that fits both this job's and the one that another job of the attempt wrote.

    What this job does not tell stays as another told it. The beginning is the earliest that any job tells, the
    conclusion the worst. The end moves on only where this job `adds` something. So the same upload, made twice, leaves
    the same bytes, and it does not matter in which order jobs upload.
    """
    other = _former(run, former)
    if other is None or former is None:
        return run_bytes(run)
    both = {**other, **{name: value for name, value in run.items() if value not in (None, [])}}
    for name in ("created_at", "run_started_at"):
        both[name] = _first_of(run, other, name, min)
    both["updated_at"] = _first_of(run, other, "updated_at", max)
    both["conclusion"] = max(
        (run.get("conclusion"), other.get("conclusion")), key=lambda each: (_RANK.get(str(each), 0), str(each))
    )
    if not adds and {**both, "updated_at": ""} == {**other, "updated_at": ""}:
        return former
    return run_bytes(both)


def _former(run: Mapping[str, Any], former: bytes | None) -> Mapping[str, Any] | None:
    """Return a run.json that is there, where it is one and of the same attempt."""
    try:
        value = json.loads(former) if former is not None else None
    except (ValueError, RecursionError):
        return None
    is_same = isinstance(value, Mapping) and all(value.get(name) == run.get(name) for name in ("id", "run_attempt"))
    return value if is_same else None


def _first_of(
    run: Mapping[str, Any], other: Mapping[str, Any], name: str, choose: Callable[..., tuple[Any, Any]]
) -> Any:
    """Return the earliest (`min`) or latest (`max`) of a time that two runs tell."""
    known = [(moment, each[name]) for each in (run, other) if (moment := moment_of(each, name)) is not None]
    return choose(known)[1] if known else run.get(name)


# -- writing -------------------------------------------------------------------------------------------------


def upload(
    reports: Mapping[str, Path],
    run: Mapping[str, Any],
    *,
    provider: str,
    artifact: str,
    place: Place,
) -> Uploaded:
    """Write the reports of a job as an artifact of its run attempt.

    Args:
        reports: files by their paths in the archive; with none only the run is written.
        run: the run in GitHub's shape.
        provider: the CI provider whose run it is.
        artifact: the artifact's name.
        place: where to write.

    Raises:
        OperationError: the place cannot be written, also after further tries.
    """
    folder = attempt_folder(provider, run)
    run_path = f"{folder}/{RUN_FILE}"
    with tempfile.TemporaryDirectory(prefix="flakeguard-") as scratch:
        if not reports:
            data = merged(run, place.read(run_path), adds=False)
            place.replace(run_path, data)
            return Uploaded("", place.shown(run_path), 0, is_new=False)
        packed = Path(scratch) / "artifact.zip"
        with packed.open("wb") as stream:
            pack(reports, stream)
        size = packed.stat().st_size
        former = place.read(run_path)
        path = f"{folder}/{artifact}{ZIP}"
        if former is None and place.create_folder(folder, {f"{artifact}{ZIP}": packed, RUN_FILE: run_bytes(run)}):
            return Uploaded(place.shown(path), place.shown(run_path), size, is_new=True)
        is_new = place.create(path, packed)
        if not is_new and place.read(path) != packed.read_bytes():
            with packed.open("rb") as source:
                digest = stream_digest(source)[:DIGEST_DIGITS]
            path = f"{folder}/{artifact}/{digest}{ZIP}"
            is_new = place.create(path, packed)
        former = place.read(run_path)
        data = merged(run, former, adds=is_new)
        if data != former:
            place.replace(run_path, data)
        return Uploaded(place.shown(path), place.shown(run_path), size, is_new=is_new)


def place_at(url: str, endpoint_url: str | None = None, clock: Clock | None = None) -> Place:
    """Return the place that a local path or an fsspec URL names.

    Raises:
        ConfigurationError: the URL cannot be used, or its driver is not installed.
        SourceDeniedError: the driver finds no credentials.
    """
    path = local_path(url)
    if path is not None:
        return LocalPlace(path)
    store, root = open_store(url, store_options(url, {}, endpoint_url))
    in_step = url.partition("://")[0].lower() in _IN_STEP
    return StorePlace(url, store, root, in_step=in_step, clock=clock or Clock())


class LocalPlace:
    """A folder on a local disk, or on one that is mounted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def shown(self, path: str) -> str:
        """Return the file's path."""
        return str(self._path / path)

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is none."""
        try:
            return (self._path / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot_write(self.shown(path), error) from error

    def create(self, path: str, source: Path) -> bool:
        """Write a file in one step, unless there is one: a link is made only where there is no file."""
        target = self._path / path
        with self._partial(target) as partial:
            _copy(source, partial)
            try:
                target.hardlink_to(partial)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise
                # a file system without links
                if target.exists():
                    return False
                partial.replace(target)
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Write a file in one step."""
        target = self._path / path
        with self._partial(target) as partial:
            _copy(data, partial)
            partial.replace(target)

    def create_folder(self, path: str, files: Mapping[str, Path | bytes]) -> bool:
        """Write a folder under a hidden name beside it, and rename it."""
        target = self._path / path
        if target.exists():
            return False
        with self._partial(target) as partial:
            partial.mkdir()
            for name, source in files.items():
                _copy(source, partial / name)
            try:
                partial.rename(target)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    return False  # another job was faster
                raise
        return True

    @contextlib.contextmanager
    def _partial(self, target: Path) -> Iterator[Path]:
        """Yield a hidden name beside a target; what is left under it is removed."""
        partial = target.with_name(f".partial-{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield partial
        except OSError as error:
            raise _cannot_write(str(target), error) from error
        finally:
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    partial.unlink()


def _copy(source: Path | bytes, target: Path) -> None:
    """Write a file and see that it is on the disk, so that a name never stands for less than its bytes."""
    with target.open("xb") as stream:
        if isinstance(source, bytes):
            stream.write(source)
        else:
            with source.open("rb") as opened:
                shutil.copyfileobj(opened, stream)
        stream.flush()
        os.fsync(stream.fileno())


class StorePlace:
    """Any place that fsspec reaches.

    `in_step` says that an object comes into being in one step there; elsewhere it is written under a hidden name and
    renamed. What fails is tried again, unless that cannot help.
    """

    def __init__(self, url: str, store: fsspec.AbstractFileSystem, root: str, *, in_step: bool, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._store = store
        self._root = root
        self._in_step = in_step
        self._clock = clock

    def shown(self, path: str) -> str:
        """Return the file's URL."""
        return f"{self._url}/{path}"

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes; None where there is none, or a job may write but not read."""

        def reading() -> bytes | None:
            try:
                data: bytes = self._store.cat_file(self._name(path))
            except (FileNotFoundError, PermissionError):
                return None
            return data

        return self._tried(path, reading)

    def create(self, path: str, source: Path) -> bool:
        """Write an object, unless there is one.

        The question and the writing are one step where the store can do that (S3's If-None-Match and the like).
        """

        def creating() -> bool:
            if self._is_there(path):
                return False
            try:
                self._write(path, source, only_new=True)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                self._write(path, source)  # a store that knows no conditions
            return True

        return self._tried(path, creating)

    def replace(self, path: str, data: bytes) -> None:
        """Write an object."""
        self._tried(path, lambda: self._write(path, data))

    def create_folder(self, path: str, files: Mapping[str, Path | bytes]) -> bool:  # noqa: ARG002 - see the Protocol
        """Return False: a store has no folders to rename."""
        return False

    def _is_there(self, path: str) -> bool:
        try:
            return bool(self._store.exists(self._name(path)))
        except PermissionError:
            return False

    def _write(self, path: str, source: Path | bytes, *, only_new: bool = False) -> None:
        name = self._name(path)
        if not self._in_step:
            folder, _, last = name.rpartition("/")
            self._store.makedirs(folder, exist_ok=True)
            partial = f"{folder}/.partial-{secrets.token_hex(8)}"
            try:
                self._put(partial, source)
                self._store.mv(partial, f"{folder}/{last}")
            finally:
                with contextlib.suppress(Exception):
                    if self._store.exists(partial):
                        self._store.rm_file(partial)
            return
        self._put(name, source, only_new=only_new)

    def _put(self, name: str, source: Path | bytes, *, only_new: bool = False) -> None:
        if isinstance(source, Path) and source.stat().st_size > WHOLE_BYTES:
            put = self._store.put_file
            put(str(source), name, **(_condition(put) if only_new else {}))
        else:
            pipe = self._store.pipe_file
            data = source if isinstance(source, bytes) else source.read_bytes()
            pipe(name, data, **(_condition(pipe) if only_new else {}))

    def _name(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _tried(self, path: str, action: Callable[[], Result]) -> Result:
        try:
            return tried(action, self._clock.sleep)
        except Exception as error:
            raise _cannot_write(self.shown(path), error) from error


def _condition(write: Callable[..., object]) -> dict[str, object]:
    """Return what makes a driver write only what is not there; nothing where it cannot do that."""
    known = inspect.signature(write).parameters
    return {"mode": "create"} if "mode" in known else {"overwrite": False} if "overwrite" in known else {}


def _cannot_write(place: str, error: Exception) -> OperationError:
    return OperationError(
        f"cannot write {place} ({told(error)}); check the place and the rights there, then upload again"
    )
