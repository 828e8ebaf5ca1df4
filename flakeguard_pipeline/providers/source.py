"""What every source of CI artifacts offers, whatever it is: a listing, and the bytes.

Belongs here: the Protocol and its values. A source knows nothing of reports: it never parses one.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True, order=True)
class FoundFile:
    """One file of a run folder. `artifact` is '' for files beside run.json; `path` is relative to the artifact.

    `kind` is `run`, `jobs`, `zip` (an artifact), `nested_zip` (an archive inside an unpacked one) or `file`;
    `location` is for the source alone.
    """

    artifact: str
    path: str
    kind: str
    location: str


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder that holds one attempt of a run, or files that belong to none (`is_attributed` False).

    `fingerprint` changes whenever the files do.
    """

    folder: str
    fingerprint: str
    files: tuple[FoundFile, ...]
    is_attributed: bool = True


class ArtifactSource(Protocol):
    """A place that CI artifacts come from."""

    @property
    def name(self) -> str:
        """What its folders are entered under in the landing zone."""
        ...

    @property
    def title(self) -> str:
        """What a message calls it, with its place."""
        ...

    def discover(self) -> Iterator[FoundFolder]:
        """Yield every folder there is, in a fixed order, without reading the files.

        Raises:
            ConfigurationError: the place does not exist.
        """
        ...

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file.

        Raises:
            OSError: it cannot be read.
        """
        ...
