"""The drop folder: a tree of files that some CI job, mirror or archive fills (docs/reference/drop-folder.md).

    where it is   a local disk (drop_local.py) or any fsspec URL (drop_objects.py)
    what it means the same for both (drop_gathering.py)

A folder with a run.json or a job.json is one run attempt; a file belongs to the nearest such folder above it.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.providers.drop_gathering import JOB_FILE, REPORT_SUFFIXES, RUN_FILE, ZIP
from flakeguard_pipeline.providers.drop_local import LocalTree
from flakeguard_pipeline.providers.drop_objects import ObjectTree, local_path
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import (
    EVERYTHING,
    Access,
    FoundFile,
    FoundFolder,
    SourceReport,
    Window,
)

__all__ = ["JOB_FILE", "REPORT_SUFFIXES", "RUN_FILE", "ZIP", "DropFolder"]

_FIRST = {"run": 0, "jobs": 1}


class DropFolder:
    """A drop folder on a local disk or behind any fsspec URL."""

    def __init__(
        self,
        path_or_url: Path | str,
        name: str = "drop",
        provider: str = "github",
        storage_options: Mapping[str, Any] = MappingProxyType({}),
        endpoint_url: str | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to read a drop folder; nothing is asked of anyone yet.

        Args:
            path_or_url: a local path, or a URL such as `s3://bucket/ci`.
            name: what its folders are entered under in the landing zone.
            provider: the CI provider whose runs lie there.
            storage_options: what the fsspec driver is given besides. Credentials are no part of it: the driver finds
                them where it always looks (AWS_* variables, a role of the machine).
            endpoint_url: the store's address, where it is not the provider's own (`s3://` and `gs://` only).
            clock: what waits between two tries.

        Raises:
            ConfigurationError: the URL cannot be used, or its driver is not installed.
        """
        self.name = name
        self.provider = provider
        self.report = SourceReport()
        path = local_path(path_or_url)
        self._tree: LocalTree | ObjectTree
        if path is None:
            self._tree = ObjectTree(
                str(path_or_url), self.report, dict(storage_options), endpoint_url, clock or Clock()
            )
        elif endpoint_url:
            raise ConfigurationError(f"the drop folder {path} is a local one; `endpoint_url` is for s3:// and gs://")
        else:
            self._tree = LocalTree(path, self.report)

    @property
    def path(self) -> Path:
        """The local folder.

        Raises:
            ConfigurationError: it is none.
        """
        if isinstance(self._tree, LocalTree):
            return self._tree.path
        raise ConfigurationError(f"{self.title} is no local folder")

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"the drop folder {self._tree.place}"

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:  # noqa: ARG002 - see below
        """Yield the run folders in bytewise order of their paths, then one for files that belong to no run.

        All of them, whatever the window is: only a run.json tells the day of its attempt, and a listing does not hold
        it.
        """
        yield from self._tree.folders()

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return all files of a folder: run.json, job.json, then the others."""
        return tuple(sorted(found.files, key=lambda file: (bool(file.artifact), _FIRST.get(file.kind, 2), file)))

    def require(self) -> None:
        """Refuse a place that is known at once not to be there: a local folder is looked at, a URL is not asked.

        Raises:
            ConfigurationError: the path does not exist or is no folder.
        """
        self._tree.require()

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file, whole. On a local disk a link that leads out of the drop folder is refused."""
        return self._tree.open(file.location)

    def close(self) -> None:
        """Do nothing: between two calls nothing is open."""

    def check(self) -> Iterator[Access]:
        """Try to list the place, and to read one file of it."""
        yield from self._tree.check()
