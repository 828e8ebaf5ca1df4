"""Stable text ids: short digests over the parts that make an identity."""

import hashlib
import json
from collections.abc import Sequence
from typing import BinaryIO

ID_HEX_DIGITS = 32
"""128 bits: the chance of a collision among 10^9 ids is below 10^-20."""

MAX_LABEL_BYTES = 255
"""Of a variant or a workflow's name: what file systems allow for a name, far more than people read. Such labels stand
beside ids in keys, and an entry of a Postgres index holds 2704 bytes in all."""

_CHUNK_BYTES = 1 << 20


def stable_id(parts: Sequence[str | int]) -> str:
    """Return a 32-digit lower-case hexadecimal digest of `parts`.

    The parts are framed as JSON, so that ('a', 'bc') and ('ab', 'c') differ; lone surrogates are kept apart
    from every valid text.
    """
    framed = json.dumps(list(parts), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(framed.encode("ascii")).hexdigest()[:ID_HEX_DIGITS]


def bounded(text: str) -> str:
    """Return a label that becomes part of a key: one that is too long is cut, and told apart by a digest."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_LABEL_BYTES:
        return text
    digest = stable_id(["label", text])
    return f"{data[: MAX_LABEL_BYTES - len(digest) - 1].decode('utf-8', 'ignore')}~{digest}"


def bytes_digest(data: bytes) -> str:
    """Return the full SHA-256 of `data` in hexadecimal: the name of an object in the landing zone."""
    return hashlib.sha256(data).hexdigest()


def stream_digest(stream: BinaryIO) -> str:
    """Return the full SHA-256 of what is left of `stream`."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
