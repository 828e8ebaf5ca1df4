"""The drop folder: a directory tree that some CI job, mirror or archive fills (docs/reference/drop-folder.md).

A folder with a run.json or a job.json is one run attempt; a file belongs to the nearest such folder above it.
"""

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
REPORT_SUFFIXES = (".xml", ".zip")


@dataclass
class _Folder:
    files: list[FoundFile] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DropFolder:
    """A drop folder on a local disk."""

    path: Path
    name: str = "drop"

    def discover(self) -> Iterator[FoundFolder]:
        """Yield the run folders in bytewise order of their paths, then one for files that belong to no run."""
        self.require()
        folders: dict[str, _Folder] = defaultdict(_Folder)
        orphans = _Folder()
        self._walk(self.path, "", None, folders, orphans)
        if not folders:
            raise ConfigurationError(
                f"the drop folder {self.path} holds no run.json and no job.json; each run attempt needs a folder "
                "with one of them (docs/reference/drop-folder.md)"
            )
        for name in sorted(folders, key=os.fsencode):
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
        """Open one file."""
        return cast("AbstractContextManager[BinaryIO]", (self.path / file.location).open("rb"))

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
            path = f"{relative}/{entry.name}" if relative else entry.name
            # Links to folders are not followed: they may lead out of the drop folder, or in circles.
            if entry.is_dir(follow_symlinks=False):
                self._walk(Path(entry.path), path, owner, folders, orphans)
            elif entry.is_file():
                status = entry.stat()
                holder = orphans if owner is None else folders[owner]
                file = _found(path, owner)
                if owner is None and not entry.name.lower().endswith(REPORT_SUFFIXES):
                    continue  # a licence, a read-me: nothing that anyone misses
                holder.files.append(file)
                holder.stamps.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}")


def _found(path: str, owner: str | None) -> FoundFile:
    inside = path if not owner else path.removeprefix(owner + "/")
    head, slash, rest = inside.partition("/")
    if owner is None:
        return FoundFile("", inside, "zip" if inside.lower().endswith(".zip") else "file", path)
    if slash:
        return FoundFile(head, rest, "zip" if rest.lower().endswith(".zip") else "file", path)
    if inside == RUN_FILE:
        return FoundFile("", inside, "run", path)
    if inside == JOB_FILE:
        return FoundFile("", inside, "jobs", path)
    if inside.lower().endswith(".zip"):
        return FoundFile(inside[: -len(".zip")], inside, "zip", path)
    return FoundFile("", inside, "file", path)
