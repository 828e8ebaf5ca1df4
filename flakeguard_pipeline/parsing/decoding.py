"""From a report's bytes to chunks of bytes that expat reads: encodings, marks, repairs.

A report is read from a stream that can seek, because a damaged one is read twice.

Belongs here: which encoding a document is in, and how illegal characters are replaced.
Does not belong here: elements and what they mean.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flakeguard_pipeline.parsing.text import REPLACEMENT

CHUNK_BYTES = 64 * 1024
"""Bytes fed to expat at a time: large enough that calls cost nothing, small enough to stay in the cache."""

DECLARATION_BYTES = 1024
"""Bytes searched for the XML declaration's encoding."""

MAX_REPAIRED_TAG = 256 * 1024
"""Characters that a repair waits for a tag's end; longer ones are passed on as they are."""

# UTF-32's little-endian mark begins with UTF-16's, so it is tried first
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# how a document without a mark begins; again the longer one first
_WIDE_BEGINNINGS = (
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_OPENING = re.compile(rb"[ \t\r\n]*+<")
_WIDE_OPENING = re.compile(rb"[ \t\r\n\x00]*+<")
_NOT_BLANK = re.compile(rb"[^ \t\r\n\x00]")
_DECLARED = re.compile(rb"""<\?xml\s[^>]{0,200}?\bencoding\s{0,8}=\s{0,8}["']([^"'\s>]{1,64})["']""")
# encodings of expat itself, by Python's name; ASCII is read as its superset because reports often lie
_NATIVE = {"utf-8": "utf-8", "ascii": "utf-8", "iso8859-1": "iso-8859-1"}
# declared in bytes that read as ASCII: the declaration was written for a string and cannot be true
_WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})
# text codecs of Python's that are no encodings of documents
_NO_DOCUMENTS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"})


class UnsupportedEncodingError(Exception):
    """A document declares an encoding that neither expat nor Python can read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A document's bytes, where its text begins, and the encoding it is in by Python's name."""

    stream: BinaryIO
    start: int
    encoding: str
    skipped_lines: int

    @property
    def expat_encoding(self) -> str:
        """The encoding to tell expat, whatever the document declares."""
        return _NATIVE.get(self.encoding, "utf-8")

    def chunks(self) -> Iterator[bytes]:
        """Yield the document in chunks in `expat_encoding`; raises UnicodeError on undecodable bytes."""
        if self.encoding in _NATIVE:
            yield from self._raw()
            return
        for text, _ in self._decoded("strict"):
            yield text.encode("utf-8", "replace")

    def repaired_chunks(self, repair: "Repair") -> Iterator[bytes]:
        """Yield the document in chunks of UTF-8 without illegal characters; `repair` counts the changes."""
        for text, final in self._decoded("replace"):
            yield repair.feed(text, final=final).encode("utf-8", "replace")

    def _raw(self) -> Iterator[bytes]:
        self.stream.seek(self.start)
        while chunk := self.stream.read(CHUNK_BYTES):
            yield chunk

    def _decoded(self, errors: str) -> Iterator[tuple[str, bool]]:
        name = "utf-8" if self.encoding == "ascii" else self.encoding
        decoder = codecs.getincrementaldecoder(name)(errors)
        leading = True
        for chunk in self._raw():
            text = decoder.decode(chunk)
            if leading:
                text = text.lstrip(" \t\r\n\ufeff")
                leading = not text
            yield text, False
        yield decoder.decode(b"", True), True


def is_blank(data: bytes) -> bool:
    """Tell whether `data` holds nothing at all: no bytes, or only a mark, blanks and NULs."""
    return _NOT_BLANK.search(data, len(_mark(data)[0])) is None


def sniff(head: bytes) -> bool:
    """Tell whether a file that begins with `head` may be XML: its first character is '<' but for blanks.

    No bytes at all and blanks alone are not.
    """
    mark, encoding = _mark(head)
    wide = encoding in _WIDE or head.startswith((b"\x00<", b"\x00\x00\x00<"))
    return (_WIDE_OPENING if wide else _OPENING).match(head, len(mark)) is not None


def open_source(stream: BinaryIO, beginning: int = 0) -> Source:
    """Return a document with its encoding found out; raises UnsupportedEncodingError where it cannot be read.

    `beginning` is where it begins, if something else comes before it.

    A byte order mark is believed before the declaration, as XML 1.0 appendix F has it.
    """
    skipped_lines = 0
    if beginning:
        stream.seek(0)
        skipped_lines = stream.read(beginning).count(b"\n")
    stream.seek(beginning)
    head = stream.read(CHUNK_BYTES)
    mark, encoding = _mark(head)
    start = len(mark)
    if not mark:
        encoding = next((name for opening, name in _WIDE_BEGINNINGS if head.startswith(opening)), "")
    if encoding in _WIDE:
        return Source(stream, beginning + start, encoding, skipped_lines)
    found = _NOT_BLANK.search(head, start)
    # blanks before the declaration are against the standard, and common
    while found is None and head:
        skipped_lines += head.count(b"\n", start)
        start, head = 0, stream.read(CHUNK_BYTES)
        found = _NOT_BLANK.search(head)
    if found is None:
        return Source(stream, stream.tell(), encoding or "utf-8", skipped_lines)
    skipped_lines += head.count(b"\n", start, found.start())
    text_start = stream.tell() - len(head) + found.start()
    if not encoding:
        stream.seek(text_start)
        encoding = declared_encoding(stream.read(DECLARATION_BYTES))
    return Source(stream, text_start, encoding, skipped_lines)


def _mark(data: bytes) -> tuple[bytes, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return mark, encoding
    return b"", ""


def declared_encoding(head: bytes) -> str:
    """Return the encoding that a document beginning with `head` declares, by Python's name; UTF-8 where none.

    Raises UnsupportedEncodingError for an encoding that cannot be read.
    """
    declared = _DECLARED.match(head)
    if declared is None:
        return "utf-8"
    name = declared[1].decode("ascii", "replace")
    try:
        info = codecs.lookup(name)
        # decoding to text refuses the codecs between bytes and bytes, such as `hex`
        b"<".decode(info.name, "replace")
    except (LookupError, UnicodeError, ValueError):
        raise UnsupportedEncodingError(name) from None
    if info.incrementaldecoder is None or info.name.replace("_", "-") in _NO_DOCUMENTS:
        raise UnsupportedEncodingError(name)
    return "utf-8" if info.name in _WIDE else info.name


class Repair:
    """Rewrites text that is almost XML into XML, piece by piece.

    Characters and character references that XML forbids become U+FFFD; a raw '<' in an attribute's value, a
    '<' that starts no markup, and an '&' that starts no known reference become references to themselves.
    Sections that hold no references (CDATA, comments, instructions) keep theirs. `changes` counts it all.
    """

    _ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
    _REFERENCE = re.compile(r"&(?:(?:lt|gt|amp|quot|apos);|#([0-9]{1,10});|#x([0-9A-Fa-f]{1,8});)?")
    # possessive throughout: each character is looked at once
    _TAG = re.compile(
        r"""</?[^\s<>/='"&]++(?:\s++[^\s<>/='"&]++\s*+=\s*+(?:"[^"]*+"|'[^']*+'))*+\s*+/?>""",
    )
    _VALUE = re.compile(r""""[^"]*+"|'[^']*+'""")
    _SECTIONS = (("<![CDATA[", "]]>"), ("<!--", "-->"), ("<?", "?>"))
    _LONGEST_OPENING = 9
    _LONGEST_REFERENCE = 13

    def __init__(self) -> None:
        self.changes = 0
        self._pending = ""
        self._closing = ""

    def feed(self, text: str, *, final: bool) -> str:
        """Return what of the text so far is decided, repaired; `final` says that nothing follows."""
        text = self._ILLEGAL.sub(REPLACEMENT, text)
        # those that undecodable bytes have become are counted too
        self.changes += text.count(REPLACEMENT)
        buffer = self._pending + text
        out: list[str] = []
        at = 0
        while at < len(buffer):
            step = self._in_section(buffer, at, out, final) if self._closing else self._outside(buffer, at, out, final)
            if step == at:
                break
            at = step
        self._pending = buffer[at:]
        return "".join(out)

    def _in_section(self, buffer: str, at: int, out: list[str], final: bool) -> int:
        found = buffer.find(self._closing, at)
        if found >= 0:
            end = found + len(self._closing)
            self._closing = ""
        else:
            # the last characters may be the beginning of the closing mark
            end = len(buffer) if final else max(at, len(buffer) - len("]]>") + 1)
        out.append(buffer[at:end])
        return end

    def _outside(self, buffer: str, at: int, out: list[str], final: bool) -> int:
        end = len(buffer)
        markup = buffer.find("<", at)
        if markup != at:
            stop = markup if markup >= 0 else end
            if markup < 0 and not final:
                ampersand = buffer.rfind("&", max(at, end - self._LONGEST_REFERENCE))
                if ampersand >= 0 and ";" not in buffer[ampersand:]:
                    stop = ampersand
            out.append(self._references(buffer[at:stop]))
            return stop
        if end - at < self._LONGEST_OPENING and not final:
            return at
        for opening, closing in self._SECTIONS:
            if buffer.startswith(opening, at):
                self._closing = closing
                out.append(opening)
                return at + len(opening)
        tag = self._TAG.match(buffer, at)
        if tag is not None:
            out.append(self._tag(tag[0]))
            return tag.end()
        if buffer[at + 1 : at + 2].isalpha() or buffer[at + 1 : at + 2] in {"_", ":", "/", "!"}:
            if not final and end - at < MAX_REPAIRED_TAG:
                return at
            out.append("<")
        else:
            self.changes += 1
            out.append("&lt;")
        return at + 1

    def _tag(self, tag: str) -> str:
        if tag.find("<", 1) >= 0:
            tag = self._VALUE.sub(self._escaped_value, tag)
        return self._references(tag)

    def _escaped_value(self, value: re.Match[str]) -> str:
        self.changes += value[0].count("<")
        return value[0].replace("<", "&lt;")

    def _references(self, text: str) -> str:
        return self._REFERENCE.sub(self._reference, text) if "&" in text else text

    def _reference(self, found: re.Match[str]) -> str:
        text = found[0]
        if text == "&":
            self.changes += 1
            return "&amp;"
        if text[1] != "#":
            return text
        code = int(found[1]) if found[1] else int(found[2], 16)
        if code <= 0x10FFFF and not self._ILLEGAL.match(chr(code)):
            return text
        self.changes += 1
        return REPLACEMENT
