"""Where exports lie, and how they get there whole."""

import os
from pathlib import Path

EXPORT_NAME = "quarantine.json"

_RESERVED = frozenset('<>:"/\\|?*%')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""Names that Windows keeps for devices, with any ending."""


def export_path(out: Path, org: str, repository_name: str) -> Path:
    """Return `OUT/<org>/<repository's name without its owner>/quarantine.json`.

    Segments are percent-encoded where some file system needs it, so that no name leaves `out` and different
    names have different paths (on a file system that tells case apart).
    """
    return out / path_segment(org) / path_segment(repository_name) / EXPORT_NAME


def name_without_owner(full_name: str) -> str:
    """Return `repo` for `owner/repo`; a name without an owner as it is."""
    return full_name.partition("/")[2] or full_name


def path_segment(text: str) -> str:
    """Return `text` as one path segment: separators, control characters, trailing dots and spaces encoded.

    An empty text is a lone `%`, which no other text leads to.
    """
    if not text:
        return "%"
    end = len(text.rstrip(". "))  # '.' and '..' are trailing dots all over
    device = text.partition(".")[0].rstrip(" ").lower() in _DEVICES
    return "".join(
        _encoded(character) if _needs_encoding(character) or index >= end or (device and index == 0) else character
        for index, character in enumerate(text)
    )


def write_atomically(path: Path, data: bytes) -> bool:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Returns:
        Whether it was written: a file with the same content is left as it is.
    """
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # One fixed name: what a kill leaves behind is overwritten by the next attempt instead of piling up.
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def _needs_encoding(character: str) -> bool:
    control = ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F
    surrogate = 0xD800 <= ord(character) <= 0xDFFF
    return character in _RESERVED or control or surrogate


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
