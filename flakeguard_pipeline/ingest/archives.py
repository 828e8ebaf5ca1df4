"""The files of an artifact: as they are, or out of a zip archive, which is never trusted.

No member is ever unpacked to a path, so one that climbs out of an archive reaches nothing; it is refused all the same,
because an archive that holds one was not made by an honest upload.
"""

import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from flakeguard_pipeline.domain.model import ReasonCode
from flakeguard_pipeline.parsing.decoding import sniff
from flakeguard_pipeline.parsing.reports import MAX_REPORT_BYTES

REPORT_SUFFIX = ".xml"
ZIP = ".zip"

SNIFFED_BYTES = 256
"""Enough to tell XML from anything else."""

MAX_ENTRIES = 200_000
"""Entries in one archive: ten times the largest suite's files."""

MAX_UNPACKED_BYTES = 16 << 30
"""Sum of the sizes that an archive claims for its entries."""

MAX_RATIO = 400
"""Unpacked to packed size of one entry: repetitive logs reach 200, deflate's limit (a bomb) is 1,032."""

RATIO_MATTERS_FROM_BYTES = 64 << 20
"""Below this size even a bomb does no harm."""

MAX_ZIP_DEPTH = 3
"""Levels of archives, the artifact's own among them: some uploaders pack twice; nobody packs four times."""


MAX_IN_MEMORY_BYTES = 64 << 20
"""A larger file is not held in memory: it is read as a stream, an archive in an archive through a temporary file."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, or the reason that it was refused.

    `data` is empty also where the first bytes already say that it is no report: it was not read then. A file too large
    for memory has its first bytes in `data` and an `opener`, which is good only until the next member is asked for.
    """

    path: str
    data: bytes
    refusal: ReasonCode | None = None
    detail: str = ""
    size_bytes: int = 0
    opener: Callable[[], AbstractContextManager[BinaryIO]] | None = None


DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
)
"""What the standard library raises on archives that are damaged or made to be odd."""


def members(stream: BinaryIO, name: str, depth: int = 1) -> Iterator[Member]:
    """Yield the files of a zip archive in bytewise order of their paths; refusals are members, too."""
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = sorted((entry for entry in archive.infolist() if not entry.is_dir()), key=lambda e: e.filename)
            total = sum(entry.file_size for entry in entries)
            if len(entries) > MAX_ENTRIES or total > MAX_UNPACKED_BYTES:
                yield Member(name, b"", ReasonCode.ZIP_BOMB, f"{len(entries)} entries of {total} bytes in all")
                return
            for entry in entries:
                yield from _entry(archive, entry, depth)
    except DAMAGED as error:
        yield Member(name, b"", ReasonCode.NOT_A_ZIP, str(error))


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, depth: int) -> Iterator[Member]:
    path = entry.filename.replace("\\", "/")
    refusal, detail = _refuse(entry, path)
    if refusal:
        yield Member(path, b"", refusal, detail, entry.file_size)
        return
    is_zip = path.lower().endswith(ZIP)
    if is_zip and depth >= MAX_ZIP_DEPTH:
        yield Member(path, b"", ReasonCode.ZIP_TOO_DEEP, f"level {depth + 1} of archives", entry.file_size)
        return
    opener: Callable[[], AbstractContextManager[BinaryIO]] | None = None
    try:
        if is_zip:
            yield from _nested(archive, entry, path, depth)
            return
        with archive.open(entry) as stream:
            data = stream.read(SNIFFED_BYTES)
            if may_be_report(path, data):
                if entry.file_size > MAX_IN_MEMORY_BYTES:
                    opener = partial(_opened, archive, entry)
                else:
                    data += stream.read()
    except DAMAGED as error:
        yield Member(path, b"", ReasonCode.NOT_A_ZIP, f"entry is damaged: {error}", entry.file_size)
        return
    yield Member(path, data, None, "", entry.file_size, opener)


def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> AbstractContextManager[BinaryIO]:
    return cast("AbstractContextManager[BinaryIO]", archive.open(entry))


def _nested(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, depth: int) -> Iterator[Member]:
    with tempfile.SpooledTemporaryFile(max_size=MAX_IN_MEMORY_BYTES) as spooled:
        with archive.open(entry) as stream:
            shutil.copyfileobj(stream, spooled)
        spooled.seek(0)
        for member in members(cast("BinaryIO", spooled), path, depth + 1):
            inner = path if member.path == path and member.refusal else f"{path}/{member.path}"
            yield replace(member, path=inner)


def may_be_report(path: str, head: bytes) -> bool:
    """Say whether a file has to be read: its first bytes may be XML, or its name claims that it is a report."""
    return path.lower().endswith(REPORT_SUFFIX) or sniff(head)


def _refuse(entry: zipfile.ZipInfo, path: str) -> tuple[ReasonCode | None, str]:
    if path.startswith("/") or ".." in PurePosixPath(path).parts or path[1:2] == ":":
        return ReasonCode.UNSAFE_PATH, path
    if entry.flag_bits & 0x1:
        return ReasonCode.ENCRYPTED_ZIP, path
    if entry.file_size > MAX_REPORT_BYTES and path.lower().endswith((REPORT_SUFFIX, ZIP)):
        return ReasonCode.REPORT_TOO_LARGE, f"{entry.file_size} bytes"
    packed = max(entry.compress_size, 1)
    if entry.file_size > RATIO_MATTERS_FROM_BYTES and entry.file_size / packed > MAX_RATIO:
        return ReasonCode.ZIP_BOMB, f"{packed} bytes unpack to {entry.file_size}"
    return None, ""
