"""The drop folder: a directory tree that some CI job, mirror or archive fills (docs/reference/drop-folder.md).

A folder with a run.json or a job.json is one run attempt; a file belongs to the nearest such folder above it.
"""

import errno
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder

RUN_FILE = "run.json"
JOB_FILE = "job.json"
ZIP = ".zip"
REPORT_SUFFIXES = (".xml", ZIP)


@dataclass
class _Folder:
    files: list[FoundFile] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DropFolder:
    """A drop folder on a local disk."""

    path: Path
    name: str = "drop"

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"the drop folder {self.path}"

    def discover(self) -> Iterator[FoundFolder]:
        """Yield the run folders in bytewise order of their paths, then one for files that belong to no run."""
        self.require()
        folders: dict[str, _Folder] = defaultdict(_Folder)
        orphans = _Folder()
        self._walk(self.path, "", None, folders, orphans)
        for name in sorted(folders):
            found = folders[name]
            yield FoundFolder(name, stable_id(sorted(found.stamps)), tuple(sorted(found.files)))
        if orphans.files:
            yield FoundFolder("", stable_id(sorted(orphans.stamps)), tuple(sorted(orphans.files)), is_attributed=False)

    def require(self) -> None:
        """Refuse a folder that is not there.

        Raises:
            ConfigurationError: the path does not exist or is no folder.
        """
        if not self.path.is_dir():
            raise ConfigurationError(
                f"the drop folder {self.path} does not exist (or is no folder); name another with --drop"
            )

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file; a link that leads out of the drop folder is refused."""
        path = self.path / file.location
        if path.is_symlink() and not path.resolve().is_relative_to(self.path.resolve()):
            raise OSError(errno.EPERM, "it is a link that leads out of the drop folder")
        return cast("AbstractContextManager[BinaryIO]", path.open("rb"))

    def _walk(
        self, directory: Path, relative: str, owner: str | None, folders: dict[str, _Folder], orphans: _Folder
    ) -> None:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        if any(entry.name in (RUN_FILE, JOB_FILE) and entry.is_file() for entry in entries):
            owner = relative
        for entry in entries:
            if entry.name.startswith("."):
                continue  # half-written files and folders of well-behaved writers
            path = f"{relative}/{shown(entry.name)}" if relative else shown(entry.name)
            # Links to folders are not followed: they may lead out of the drop folder, or in circles.
            if entry.is_dir(follow_symlinks=False):
                try:
                    self._walk(Path(entry.path), path, owner, folders, orphans)
                    continue
                except PermissionError:
                    pass  # entered as a file that cannot be read, so that a person learns of it
            elif entry.is_dir():
                continue
            elif owner is None and not entry.name.lower().endswith(REPORT_SUFFIXES):
                continue  # a licence, a read-me: nothing that anyone misses
            holder = orphans if owner is None else folders[owner]
            status = entry.stat(follow_symlinks=entry.is_file())  # a link that leads nowhere has no other
            holder.files.append(self._found(entry, path, owner))
            # The change time tells of a file that has become readable.
            holder.stamps.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}")

    def _found(self, entry: "os.DirEntry[str]", path: str, owner: str | None) -> FoundFile:
        location = os.path.relpath(entry.path, self.path)
        inside = path if not owner else path.removeprefix(owner + "/")
        head, slash, rest = inside.partition("/")
        is_zip = inside.lower().endswith(ZIP)
        if owner is not None and slash:
            return FoundFile(head, rest, "nested_zip" if is_zip else "file", location)
        if owner is not None and inside in (RUN_FILE, JOB_FILE):
            return FoundFile("", inside, "run" if inside == RUN_FILE else "jobs", location)
        if owner is not None and is_zip:
            return FoundFile(inside[: -len(ZIP)], inside, "zip", location)
        return FoundFile("", inside, "zip" if is_zip else "file", location)


def shown(name: str) -> str:
    """Return a file's name as text that any database takes: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\0", "\ufffd")
