"""Which reports are simple enough to be read in bulk, told from their bytes alone.

A simple report is JUnit XML in UTF-8 without anything that needs more than a glance: no DOCTYPE, no comment before
its root, no carriage return, no character that XML forbids, no tag with thousands of attributes, no prefix before a
name that means something, no stack trace that is an element. What is not simple is read by document.py, with the same
result.
"""

import re
from dataclasses import dataclass

import numpy as np

from flakeguard_pipeline.parsing.decoding import UnsupportedEncodingError, declared_encoding

MAX_BULK_BYTES = 64 * 1024**2
"""Bytes of the largest report that is read in bulk, and of all that are read at once: their copies bound the memory."""

MAX_BULK_TAGS = 600_000
"""Tags of the largest report that is read in bulk, and of all that are read at once: each may be a test case or a
failure, whose columns take up to half a kilobyte, however short the tag is."""

MAX_ATTRIBUTES = 2_000
"""Attributes of one tag of a simple report: the search for repeated ones, which is quadratic, takes some milliseconds
for as many."""

SHORT_TAG_BYTES = 8 * 1024
"""A tag of this length cannot have more attributes than MAX_ATTRIBUTES; longer ones are looked at."""

_PROLOG_BYTES = 4 * 1024
_EPILOG_BYTES = 1024
_BLOCK_BYTES = 256 * 1024
_UTF8_MARK = b"\xef\xbb\xbf"
_ROOT = re.compile(rb"<testsuite(s?)[ \t\n/>]")
_DECLARATION = re.compile(rb"<\?xml[ \t\n][^<>]*\?>\s*")
_ENCODINGS = frozenset({"utf-8", "ascii"})
_NONCHARACTERS = ("\ufffe", "\uffff")
_LAST_CONTROL = 31
_LINE_FEED = 10
_OPENING = ord("<")
_SECTION = b"<![CDATA["


@dataclass(frozen=True, slots=True)
class SimpleReport:
    """A report that can be read in bulk: its bytes, where its root begins, whether that is a single suite, its tags."""

    data: bytes
    start: int
    is_single_suite: bool
    tags: int

    @property
    def root(self) -> memoryview:
        """The root element and what follows it."""
        return memoryview(self.data)[self.start :]

    def holds(self, text: bytes) -> bool:
        """Say whether `text` occurs anywhere."""
        return text in self.data


def simple_report(data: bytes) -> SimpleReport | None:
    """Return the root element of a simple report; None for any other file."""
    if len(data) > MAX_BULK_BYTES:
        return None
    start = len(_UTF8_MARK) if data.startswith(_UTF8_MARK) else 0
    root = _ROOT.search(data, start, start + _PROLOG_BYTES)
    if root is None or not _is_plain_prolog(data[start : root.start()].lstrip(b" \t\n")):
        return None
    # nothing but blanks may follow the root: the native parser would not mind a second document
    if not data[-_EPILOG_BYTES:].rstrip(b" \t\n").endswith(b"</testsuite" + root[1] + b">"):
        return None
    tags = _count_tags(data)
    if tags is None or tags > MAX_BULK_TAGS or _has_crowded_tag(data, root.start()):
        return None
    return SimpleReport(data, root.start(), is_single_suite=not root[1], tags=tags)


def _is_plain_prolog(prolog: bytes) -> bool:
    if not prolog:
        return True
    if _DECLARATION.fullmatch(prolog) is None:
        return False
    try:
        return declared_encoding(prolog) in _ENCODINGS
    except UnsupportedEncodingError:
        return False


def _count_tags(data: bytes) -> int | None:
    """Return how often a '<' occurs; None for data that are not UTF-8, or have characters that XML forbids.

    Carriage returns are forbidden, too: how lines end would have to be normalised.
    """
    if not data.isascii():
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        if any(noncharacter in text for noncharacter in _NONCHARACTERS):
            return None
    view = np.frombuffer(data, dtype=np.uint8)
    shifted = np.empty(min(len(view), _BLOCK_BYTES), dtype=np.uint8)
    tags = 0
    for at in range(0, len(view), _BLOCK_BYTES):
        block = view[at : at + _BLOCK_BYTES]
        # of 0 to 31 only tab (9), line feed (10) and carriage return (13) are legal, and the last is not here: with 11
        # taken from every byte, what wraps around below zero is above all forbidden ones
        moved = np.subtract(block, _LINE_FEED + 1, out=shifted[: len(block)])
        if moved.min() <= _LAST_CONTROL - _LINE_FEED - 1 or block.min() < _LINE_FEED - 1:
            return None
        tags += int(np.count_nonzero(block == _OPENING))
    return tags


def _has_crowded_tag(data: bytes, start: int) -> bool:
    """Say whether there may be a tag with more than MAX_ATTRIBUTES attributes."""
    end = len(data)
    while start + SHORT_TAG_BYTES < end:
        # the last one in reach: those before it are near enough to each other
        markup = data.rfind(b"<", start + 1, start + SHORT_TAG_BYTES)
        if markup < 0:
            markup = data.find(b"<", start + SHORT_TAG_BYTES)
            stop = end if markup < 0 else markup
            if not data.startswith(_SECTION, start) and data.count(b"=", start, stop) > MAX_ATTRIBUTES:
                return True
            if markup < 0:
                return False
        start = markup
    return False
