"""Which file of a drop folder belongs to which run, and what it is: the same wherever the folder lies.

Belongs here: paths. Does not belong here: listing or reading anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder

RUN_FILE = "run.json"
JOB_FILE = "job.json"
ZIP = ".zip"
REPORT_SUFFIXES = (".xml", ZIP)


@dataclass
class _Folder:
    files: list[FoundFile] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)


class Gathering:
    """Gathers the files of a listing by the run that they belong to."""

    def __init__(self) -> None:
        self._folders: dict[str, _Folder] = {}
        self._orphans = _Folder()

    def add(self, path: str, location: str, owner: str | None, stamp: str, *, even_alone: bool = False) -> None:
        """Enter one file.

        Args:
            path: from the drop folder, as text that any database takes.
            location: what opens it.
            owner: path of the nearest folder above that is a run; None where there is none.
            stamp: what changes when the file does.
            even_alone: enter it also where it belongs to no run and is called like no report.
        """
        if owner is None and not even_alone and not path.lower().endswith(REPORT_SUFFIXES):
            return  # a licence, a read-me: nothing that anyone misses
        holder = self._orphans if owner is None else self._folders.setdefault(owner, _Folder())
        holder.files.append(_found(path, location, owner))
        holder.stamps.append(f"{path}\0{stamp}")

    def folders(self) -> Iterator[FoundFolder]:
        """Yield the run folders in bytewise order of their paths, then one for files that belong to no run."""
        for name in sorted(self._folders):
            found = self._folders.pop(name)
            yield FoundFolder(name, stable_id(sorted(found.stamps)), tuple(sorted(found.files)))
        found = self._orphans
        if found.files:
            yield FoundFolder("", stable_id(sorted(found.stamps)), tuple(sorted(found.files)), is_attributed=False)


def _found(path: str, location: str, owner: str | None) -> FoundFile:
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
