"""Bounded, clean text: what of a report's text is kept, and how much of it.

Belongs here: limits on lengths and the removal of characters that no column can hold.
Does not belong here: anything that knows what an element or an attribute means.
"""

import hashlib
import re

MAX_ATTRIBUTE = 10_000
"""Characters kept of one attribute: far above real names and messages, far below what harms a column."""

MAX_FAILURE_TEXT = 16 * 1024
"""Characters kept of one failure's text: several deep stack traces; what is beyond repeats them."""

MAX_OUTPUT_HEAD = 4 * 1024
"""Characters kept of the beginning of one captured output: how the test was set up."""

MAX_OUTPUT_TAIL = 4 * 1024
"""Characters kept of the end of one captured output: what happened right before the failure."""

REPLACEMENT = "\ufffd"
"""Stands for a character that cannot be kept: U+FFFD REPLACEMENT CHARACTER."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f]")
_NULS = re.compile("\x00")
_DIGEST_DIGITS = 16


class HeadTail:
    """Keeps the first `head` and the last `tail` (both positive) characters of a text that arrives in pieces.

    The memory it takes is bounded by the two limits and the largest piece, never by the length of the text.
    """

    __slots__ = ("_head", "_head_room", "_pieces", "_pieces_length", "_tail_limit", "_total")

    def __init__(self, head: int, tail: int) -> None:
        self._head: list[str] = []
        self._head_room = head
        self._tail_limit = tail
        self._pieces: list[str] = []
        self._pieces_length = 0
        self._total = 0

    def add(self, piece: str) -> None:
        """Append `piece` to the text."""
        self._total += len(piece)
        if self._head_room:
            self._head.append(piece[: self._head_room])
            rest = piece[self._head_room :]
            self._head_room -= len(self._head[-1])
            piece = rest
        if not piece:
            return
        self._pieces.append(piece[-self._tail_limit :])
        self._pieces_length += len(self._pieces[-1])
        # trimmed now and then only: trimming at each piece would copy the tail for each line of a log
        if self._pieces_length > 4 * self._tail_limit:
            self._pieces = [self._tail()]
            self._pieces_length = len(self._pieces[0])

    def _tail(self) -> str:
        return "".join(self._pieces)[-self._tail_limit :]

    def text(self) -> str:
        """Return the kept text without surrounding blanks; a marker says how much is missing in between."""
        head, tail = "".join(self._head), self._tail()
        missing = self._total - len(head) - len(tail)
        if missing <= 0:
            return _NULS.sub(REPLACEMENT, head + tail).strip()
        # the tail begins with a whole line where it can: half a line may be half a secret, beyond recognition
        newline = tail.find("\n")
        if 0 <= newline < len(tail) // 2:
            missing += newline + 1
            tail = tail[newline + 1 :]
        return _NULS.sub(REPLACEMENT, f"{head}\n[... {missing} characters left out ...]\n{tail}").strip()


def failure_text_buffer() -> HeadTail:
    """Return an empty accumulator for one failure's text."""
    return HeadTail(MAX_FAILURE_TEXT // 2, MAX_FAILURE_TEXT - MAX_FAILURE_TEXT // 2)


def output_buffer() -> HeadTail:
    """Return an empty accumulator for one captured output."""
    return HeadTail(MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL)


def bounded(text: str, limit: int = MAX_ATTRIBUTE) -> str:
    """Return `text` cut to `limit` characters and without C0 controls other than tab and newline."""
    return _CONTROLS.sub("", text[:limit])


def identity_text(text: str) -> str:
    """Return `text` fit to identify something: no C0 controls but tab and newline, MAX_ATTRIBUTE at most.

    Two long texts that differ only beyond the limit stay apart: the cut is marked with a digest of the whole.
    """
    if not text.isprintable():
        text = _CONTROLS.sub("", text)
    if len(text) <= MAX_ATTRIBUTE:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGEST_DIGITS]
    return f"{text[: MAX_ATTRIBUTE - _DIGEST_DIGITS - 1]}#{digest}"


def first_line(text: str) -> str:
    """Return the first line of `text` that is not blank, stripped and bounded; '' where there is none."""
    stripped = text.lstrip()
    newline = stripped.find("\n")
    return bounded(stripped if newline < 0 else stripped[:newline]).strip()
