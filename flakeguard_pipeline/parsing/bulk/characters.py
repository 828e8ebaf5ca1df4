"""Characters of XML in UTF-8: where a text, a section or a character ends, what a reference means.

Source: Extensible Markup Language (XML) 1.0, fifth edition, sections 2.2 to 2.4, 2.7 and 4.1.
"""

import numpy as np
import numpy.typing as npt

from flakeguard_pipeline.parsing.bulk.compiled import compiled
from flakeguard_pipeline.parsing.bulk.layout import NOT_PLAIN, PLAIN, PLAIN_ASCII

SHORT = 16
"""Bytes that are looked at one by one before whole blocks are: most texts are shorter."""

_BLOCK = 64
SMALL_BLOCK = 32
"""Bytes that are looked at together, in texts and in attributes."""


def table_of(members: bytes) -> npt.NDArray[np.uint8]:
    """Return a table that has 1 for some bytes."""
    table = np.zeros(256, np.uint8)
    table[np.frombuffer(members, np.uint8)] = 1
    return table


def word(text: bytes) -> npt.NDArray[np.uint8]:
    """Return bytes to compare with."""
    return np.frombuffer(text, np.uint8).copy()


_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
STARTS = table_of(_LETTERS + b"_:")
NAMES = table_of(_LETTERS + b"_:-.0123456789")
BLANKS = table_of(b" \t\n\r")
# what is to be looked at: what ends a text or makes it other than it stands there, and what may be forbidden
_BEYOND = bytes([*range(9), 11, 12, *range(14, 32), *range(128, 256)])
QUOTED_STOPS = table_of(b"\"'<&\t\n\r" + _BEYOND)
TEXT_STOPS = table_of(b"<&]\r" + _BEYOND)
COMMENT_STOPS = table_of(_BEYOND)

_W_LT, _W_GT, _W_AMP, _W_APOS, _W_QUOT = word(b"lt"), word(b"gt"), word(b"amp"), word(b"apos"), word(b"quot")


@compiled
def is_word(x, start, length, word):
    if length != len(word):
        return False
    for k in range(length):
        if x[start + k] != word[k]:
            return False
    return True


@compiled
def begins(x, start, end, word):
    return end - start >= len(word) and is_word(x, start, len(word), word)


@compiled
def after_blanks(x, i, end):
    while i < end and BLANKS[x[i]]:
        i += 1
    return i


@compiled
def is_ascii(x, end):
    bits = np.uint8(0)
    for k in range(np.uintp(end)):
        bits |= x[k]
    return bits < 128


@compiled
def same_bytes(x, one, other, length):
    for k in range(length):
        if x[one + k] != x[other + k]:
            return False
    return True


@compiled
def copy_bytes(x, start, length, out, text, at):
    """Copy bytes as they are."""
    for k in range(np.uintp(length)):
        out[text, np.uintp(at) + k] = x[np.uintp(start) + k]


@compiled
def _stops_in_block(x, i):
    """Say whether character data may stop in the block at `i`: `<`, `&`, `]]`, a control, a byte beyond ASCII.

    Unsigned positions and the lack of branches let it be vectorised.
    """
    found = np.uint8(0)
    for k in range(np.uintp(i), np.uintp(i) + np.uintp(_BLOCK)):
        b = x[k]
        found |= np.uint8(b == np.uint8(60)) | np.uint8(b == np.uint8(38))
        found |= np.uint8(b == np.uint8(93)) & np.uint8(x[k + np.uintp(1)] == np.uint8(93))
        found |= np.uint8(np.int8(b) < np.int8(32)) & np.uint8(b != np.uint8(10)) & np.uint8(b != np.uint8(9))
    return found != 0


@compiled
def stops_in_value(x, i):
    """Say whether an attribute's value may stop in the small block at `i`: a quote, `<`, `&`, what is not plain."""
    found = np.uint8(0)
    for k in range(np.uintp(i), np.uintp(i) + np.uintp(SMALL_BLOCK)):
        b = x[k]
        found |= np.uint8(b == np.uint8(60)) | np.uint8(b == np.uint8(38))
        found |= np.uint8(b == np.uint8(34)) | np.uint8(b == np.uint8(39)) | np.uint8(np.int8(b) < np.int8(32))
    return found != 0


@compiled
def _brackets_in_block(x, i):
    """Say whether a CDATA section may end in the block at `i`, or has a character that is to be looked at."""
    found = np.uint8(0)
    for k in range(np.uintp(i), np.uintp(i) + np.uintp(_BLOCK)):
        b = x[k]
        found |= np.uint8(b == np.uint8(93)) & np.uint8(x[k + np.uintp(1)] == np.uint8(93))
        found |= np.uint8(np.int8(b) < np.int8(32)) & np.uint8(b != np.uint8(10)) & np.uint8(b != np.uint8(9))
    return found != 0


@compiled
def character_end(x, i, end):
    """Return where the character at `i` ends, which is not ASCII; -1 where it is no UTF-8, or forbidden in XML."""
    b = x[i]
    if 0xC2 <= b <= 0xDF:
        length = 2
    elif 0xE0 <= b <= 0xEF:
        length = 3
    elif 0xF0 <= b <= 0xF4:
        length = 4
    else:
        return -1
    if i + length > end:
        return -1
    for k in range(i + 1, i + length):
        if x[k] & 0xC0 != 0x80:
            return -1
    second = x[i + 1]
    # overlong forms, surrogates, what is beyond Unicode, and U+FFFE and U+FFFF
    if (b == 0xE0 and second < 0xA0) or (b == 0xED and second > 0x9F):
        return -1
    if (b == 0xF0 and second < 0x90) or (b == 0xF4 and second > 0x8F):
        return -1
    if b == 0xEF and second == 0xBF and x[i + 2] >= 0xBE:
        return -1
    return i + length


@compiled
def reference(x, i, end):
    """Return the character that the reference at `i` stands for, and where it ends; -1 where it is not legal."""
    stop = min(i + 12, end)
    semicolon = i + 1
    while semicolon < stop and x[semicolon] != 59:
        semicolon += 1
    if semicolon >= stop:
        return -1, -1
    start, length = i + 1, semicolon - i - 1
    after = semicolon + 1
    if length == 0:
        return -1, -1
    if x[start] != 35:
        if is_word(x, start, length, _W_LT):
            return 60, after
        if is_word(x, start, length, _W_GT):
            return 62, after
        if is_word(x, start, length, _W_AMP):
            return 38, after
        if is_word(x, start, length, _W_QUOT):
            return 34, after
        if is_word(x, start, length, _W_APOS):
            return 39, after
        return -1, -1
    base = 10
    start += 1
    if start < semicolon and x[start] == 120:
        base = 16
        start += 1
    if start == semicolon:
        return -1, -1
    code = 0
    for k in range(start, semicolon):
        b = np.int64(x[k])
        if 48 <= b <= 57:
            digit = b - 48
        elif base == 16 and 65 <= (b & ~32) <= 70:
            digit = (b & ~32) - 55
        else:
            return -1, -1
        code = code * base + digit
    # the characters of XML 1.0, section 2.2
    legal = code == 9 or code == 10 or code == 13 or 32 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD
    if not legal and not 0x10000 <= code <= 0x10FFFF:
        return -1, -1
    return code, after


@compiled
def reference_end(x, i, end):
    return reference(x, i, end)[1]


@compiled
def text_end(x, i, end):
    """Return where character data stops, at '<' or at its end, -1 at what is not allowed; and how plain it is."""
    plain = PLAIN_ASCII
    while i < end:
        short = min(i + SHORT, end)
        while i < short and not TEXT_STOPS[x[i]]:
            i += 1
        if i == short:
            while i + _BLOCK < end and not _stops_in_block(x, i):
                i += _BLOCK
            while i < end and not TEXT_STOPS[x[i]]:
                i += 1
            if i == end:
                break
        b = x[i]
        if b == 60:
            return i, plain
        if b == 38:
            plain = NOT_PLAIN
            i = reference_end(x, i, end)
        elif b == 93:
            i = -1 if i + 2 < end and x[i + 1] == 93 and x[i + 2] == 62 else i + 1
        elif b == 13:
            plain = NOT_PLAIN
            i += 1
        else:
            plain = min(plain, PLAIN)
            i = character_end(x, i, end)
        if i < 0:
            return -1, NOT_PLAIN
    return end, plain


@compiled
def section_end(x, i, end):
    """Return the position of the next `]]>`, -1 where there is none, and how plain it is."""
    plain = PLAIN_ASCII
    while i + 2 < end:
        while i + _BLOCK < end and not _brackets_in_block(x, i):
            i += _BLOCK
        stop = min(i + _BLOCK, end - 2)
        while i < stop:
            if not TEXT_STOPS[x[i]]:
                i += 1
                continue
            b = x[i]
            if b == 93 and x[i + 1] == 93 and x[i + 2] == 62:
                return i, plain
            if b >= 128 or (b < 32 and b != 13):
                plain = min(plain, PLAIN)
                i = character_end(x, i, end)
                if i < 0:
                    return -1, NOT_PLAIN
            else:
                if b == 13:
                    plain = NOT_PLAIN
                i += 1
    return -1, NOT_PLAIN


@compiled
def put_character(out, text, at, code):
    """Write a character in UTF-8; return where it ends."""
    if code < 0x80:
        out[text, at] = code
        return at + 1
    if code < 0x800:
        out[text, at] = 0xC0 | (code >> 6)
        out[text, at + 1] = 0x80 | (code & 63)
        return at + 2
    if code < 0x10000:
        out[text, at] = 0xE0 | (code >> 12)
        out[text, at + 1] = 0x80 | ((code >> 6) & 63)
        out[text, at + 2] = 0x80 | (code & 63)
        return at + 3
    out[text, at] = 0xF0 | (code >> 18)
    out[text, at + 1] = 0x80 | ((code >> 12) & 63)
    out[text, at + 2] = 0x80 | ((code >> 6) & 63)
    out[text, at + 3] = 0x80 | (code & 63)
    return at + 4
