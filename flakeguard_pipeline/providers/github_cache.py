"""Answers that GitHub gave before, kept on disk between processes: GitHub says whether they still hold.

An answer is never used without GitHub's word for it: it is asked with `If-None-Match`, and a 304 costs nothing of the
rate limit (https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api). So the folder may
be deleted at any time, and several processes and threads may share it.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

from flakeguard_pipeline.providers.patience import Clock

MAX_CACHED_ANSWERS = 50_000
"""Answers that are kept: the listings of some months, and the jobs and artifacts of the runs in them."""

MAX_CACHED_BYTES = 256 * 1024**2
"""Bytes that all kept answers take on disk, compressed: a page of a hundred runs takes about a hundred kilobytes."""

KEPT_SHARE = 0.75
"""What is left when the cache was full, so that not every answer from then on makes room for itself alone."""

MAX_ANSWER_BYTES = 64 * 1024**2
"""Bytes of one kept answer, unpacked; a damaged file must not take all memory."""

STALE_SECONDS = 3600.0
"""Age from which a half-written file is known to have lost its writer."""

_SUFFIX = ".answer"
_HALF = ".half"


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """What GitHub answered with 200: its `ETag`, its `Link` (where the next page is) and its body."""

    etag: str
    link: str
    body: bytes


class AnswerCache:
    """A folder of answers to one identity. What cannot be read or written is not cached, and that is all."""

    def __init__(
        self,
        directory: Path,
        identity: str,
        *,
        max_answers: int = MAX_CACHED_ANSWERS,
        max_bytes: int = MAX_CACHED_BYTES,
        clock: Clock | None = None,
    ) -> None:
        """Keep answers in `directory`; `identity` tells apart those who may be answered differently."""
        self._directory = directory
        self._identity = identity
        self._max_answers = max_answers
        self._max_bytes = max_bytes
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._answers: int | None = None
        self._bytes = 0

    def get(self, url: str) -> CachedAnswer | None:
        """Return what `url` answered last, if that is known still."""
        path = self._path(url)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, zlib.error):
            unpacker = zlib.decompressobj()
            head, _, body = unpacker.decompress(path.read_bytes(), MAX_ANSWER_BYTES).partition(b"\n")
            if not unpacker.eof:
                return None
            told = json.loads(head)
            os.utime(path)
            return CachedAnswer(str(told["etag"]), str(told["link"]), body)
        return None

    def put(self, url: str, answer: CachedAnswer) -> None:
        """Keep an answer in the place of the one before it."""
        head = json.dumps({"etag": answer.etag, "link": answer.link}).encode()
        packed = zlib.compress(head + b"\n" + answer.body, 1)
        if len(answer.body) > MAX_ANSWER_BYTES // 2 or len(packed) > self._max_bytes:
            return
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, half = tempfile.mkstemp(suffix=_HALF, dir=self._directory)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(packed)
                Path(half).replace(self._path(url))
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(half).unlink()
                raise
            with self._lock:
                self._make_room(len(packed))

    def _path(self, url: str) -> Path:
        digest = hashlib.sha256(json.dumps([self._identity, url]).encode()).hexdigest()
        return self._directory / (digest + _SUFFIX)

    def _make_room(self, added: int) -> None:
        """Drop the answers that were of no use for longest. What other processes add is counted when it is full."""
        if self._answers is not None:
            self._answers += 1
            self._bytes += added
            if self._answers <= self._max_answers and self._bytes <= self._max_bytes:
                return
        found = sorted(self._kept())
        count, size = len(found), sum(each[1] for each in found)
        if count > self._max_answers or size > self._max_bytes:
            for _, length, path in found:
                if count <= self._max_answers * KEPT_SHARE and size <= self._max_bytes * KEPT_SHARE:
                    break
                with contextlib.suppress(OSError):
                    Path(path).unlink()
                count, size = count - 1, size - length
        self._answers, self._bytes = count, size

    def _kept(self) -> list[tuple[float, int, str]]:
        found = []
        stale = self._clock.now().timestamp() - STALE_SECONDS
        with os.scandir(self._directory) as scan:
            for entry in scan:
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if entry.name.endswith(_SUFFIX):
                        found.append((status.st_mtime, status.st_size, entry.path))
                    elif entry.name.endswith(_HALF) and status.st_mtime < stale:
                        Path(entry.path).unlink()
        return found
