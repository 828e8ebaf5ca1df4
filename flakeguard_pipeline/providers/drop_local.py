"""A drop folder on a local disk: links, rights and names as a file system has them."""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

from flakeguard_pipeline.domain.errors import ArtifactGoneError, ConfigurationError, SourceDeniedError, SourceError
from flakeguard_pipeline.providers.drop_gathering import JOB_FILE, RUN_FILE, Gathering
from flakeguard_pipeline.providers.source import Access, FoundFolder, SourceReport


class LocalTree:
    """A folder on a local disk."""

    def __init__(self, path: Path, report: SourceReport) -> None:
        self.path = path
        self._report = report

    @property
    def place(self) -> str:
        """Where it is."""
        return str(self.path)

    def require(self) -> None:
        """Refuse a folder that is not there.

        Raises:
            ConfigurationError: the path does not exist or is no folder.
        """
        if not self.path.is_dir():
            raise ConfigurationError(
                f"the drop folder {self.path} does not exist (or is no folder); name another with --drop"
            )

    def folders(self) -> Iterator[FoundFolder]:
        """Yield the folders."""
        self.require()
        gathering = Gathering()
        try:
            self._walk(self.path, "", None, gathering)
        except OSError as error:
            kind = SourceDeniedError if isinstance(error, PermissionError) else SourceError
            raise kind(
                f"the drop folder {self.path} cannot be listed: {error.strerror or error}; check the rights there"
            ) from error
        yield from gathering.folders()

    def open(self, location: str) -> AbstractContextManager[BinaryIO]:
        """Open one file; a link that leads out of the drop folder is refused."""
        path = self.path / location
        is_link = path.is_symlink()
        if is_link and not path.resolve().is_relative_to(self.path.resolve()):
            raise OSError(errno.EPERM, "it is a link that leads out of the drop folder")
        try:
            return cast("AbstractContextManager[BinaryIO]", path.open("rb"))
        except FileNotFoundError as error:
            if is_link:
                raise  # what it leads to may come
            raise ArtifactGoneError(error.errno, error.strerror, str(path)) from error

    def check(self) -> Iterator[Access]:
        """Try to list the folder, and to read one run of it."""
        try:
            runs = [each for each in self.folders() if each.is_attributed]
        except (ConfigurationError, SourceError) as error:
            yield Access(f"list {self.path}", False, str(error))
            return
        yield Access(f"list {self.path}", True, f"{len(runs)} run folders")
        for file in (file for run in runs[:1] for file in run.files if file.kind in ("run", "jobs")):
            try:
                with self.open(file.location) as stream:
                    stream.read(1)
            except OSError as error:
                yield Access(f"read {file.location}", False, f"{error.strerror or error}; check the rights there")
            else:
                yield Access(f"read {file.location}", True, "it can be read")

    def _walk(self, directory: Path, relative: str, owner: str | None, gathering: Gathering) -> None:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        if any(entry.name in (RUN_FILE, JOB_FILE) and entry.is_file() for entry in entries):
            owner = relative
        for entry in entries:
            if entry.name.startswith("."):
                continue  # half-written files and folders of well-behaved writers
            path = f"{relative}/{shown(entry.name)}" if relative else shown(entry.name)
            # what is gone by now was moved or removed while we look: the next listing tells
            with contextlib.suppress(FileNotFoundError):
                self._enter(entry, path, owner, gathering)

    def _enter(self, entry: "os.DirEntry[str]", path: str, owner: str | None, gathering: Gathering) -> None:
        is_closed = False
        # Links to folders are not followed: they may lead out of the drop folder, or in circles.
        if entry.is_dir(follow_symlinks=False):
            try:
                self._walk(Path(entry.path), path, owner, gathering)
            except PermissionError:
                is_closed = True  # entered as a file that cannot be read, so that a person learns of it
            else:
                return
        elif entry.is_dir():
            return
        location = os.path.relpath(entry.path, self.path)
        status = entry.stat(follow_symlinks=entry.is_file())  # a link that leads nowhere has no other
        # The change time tells of a file that has become readable.
        stamp = f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
        gathering.add(path, location, owner, stamp, even_alone=is_closed)


def shown(name: str) -> str:
    """Return a file's name as text that any database takes: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\0", "\ufffd")
