"""Tags, comments, processing instructions and the declaration; -1 stands for what is not well-formed.

Source: Extensible Markup Language (XML) 1.0, fifth edition, sections 2.5, 2.6, 2.8 and 3.1.
"""

import numpy as np

from flakeguard_pipeline.parsing.bulk.characters import (
    BLANKS,
    COMMENT_STOPS,
    NAMES,
    QUOTED_STOPS,
    SHORT,
    SMALL_BLOCK,
    STARTS,
    after_blanks,
    begins,
    character_end,
    is_ascii,
    is_word,
    reference_end,
    stops_in_value,
    word,
)  # fmt: skip
from flakeguard_pipeline.parsing.bulk.compiled import compiled
from flakeguard_pipeline.parsing.bulk.layout import MAX_ATTRIBUTES, MAX_TAG_BYTES

_W_DECLARATION, _W_VERSION = word(b"<?xml"), word(b'version="1.0"')
_W_ENCODING, _W_ASCII = word(b'encoding="utf-8"'), word(b'encoding="us-ascii"')
_W_YES, _W_NO = word(b'standalone="yes"'), word(b'standalone="no"')


@compiled
def comment_end(x, i, end):
    """Return where the comment at `i` ends, -1 where it is none; `--` may not stand in it."""
    if i + 4 > end or x[i + 2] != 45 or x[i + 3] != 45:
        return -1
    stop = min(end, i + MAX_TAG_BYTES) - 2
    i += 4
    while i < stop:
        b = x[i]
        if b == 45 and x[i + 1] == 45:
            return i + 3 if x[i + 2] == 62 else -1
        i = i + 1 if not COMMENT_STOPS[b] else character_end(x, i, end)
        if i < 0:
            return -1
    return -1


@compiled
def instruction_end(x, i, end):
    """Return where the processing instruction at `i` ends, -1 where it is none, or a second declaration."""
    start = i + 2
    i = start
    if i >= end or not STARTS[x[i]]:
        return -1
    while i < end and NAMES[x[i]]:
        i += 1
    if i - start == 3 and (x[start] | 32) == 120 and (x[start + 1] | 32) == 109 and (x[start + 2] | 32) == 108:
        return -1
    stop = min(end, start + MAX_TAG_BYTES) - 1
    if i >= stop or not (BLANKS[x[i]] or (x[i] == 63 and x[i + 1] == 62)):
        return -1
    while i < stop:
        b = x[i]
        if b == 63 and x[i + 1] == 62:
            return i + 2
        i = i + 1 if not COMMENT_STOPS[b] else character_end(x, i, end)
        if i < 0:
            return -1
    return -1


@compiled
def prolog_end(x, i, end):
    """Return where the root may begin, after a mark and a declaration that is true; -1 for other encodings."""
    if i + 3 <= end and x[i] == 0xEF and x[i + 1] == 0xBB and x[i + 2] == 0xBF:
        i += 3
    if not begins(x, i, end, _W_DECLARATION) or i + 5 >= end or not BLANKS[x[i + 5]]:
        return i
    stop = min(end, i + MAX_TAG_BYTES)
    i = after_blanks(x, i + 5, stop)
    i = _after_constant(x, i, stop, _W_VERSION)
    if i < 0:
        return -1
    blanks = after_blanks(x, i, stop)
    if blanks > i and blanks < stop and x[blanks] == 101:
        i = _after_constant(x, blanks, stop, _W_ENCODING)
        if i < 0:
            i = _after_constant(x, blanks, stop, _W_ASCII)
            if i < 0 or not is_ascii(x, end):
                return -1
        blanks = after_blanks(x, i, stop)
    if blanks > i and blanks < stop and x[blanks] == 115:
        yes = _after_constant(x, blanks, stop, _W_YES)
        i = yes if yes >= 0 else _after_constant(x, blanks, stop, _W_NO)
        if i < 0:
            return -1
        blanks = after_blanks(x, i, stop)
    if blanks + 2 > stop or x[blanks] != 63 or x[blanks + 1] != 62:
        return -1
    return blanks + 2


@compiled
def _after_constant(x, i, end, word):
    """Return what follows `word` at `i`, -1 where something else stands there; either quote, and UTF-8 in any case."""
    if end - i < len(word):
        return -1
    for k in range(len(word)):
        b = x[i + k]
        if b == 39:
            b = np.uint8(34)
        if b != word[k] and not (word[0] == 101 and k > 9 and 65 <= b <= 90 and (b | 32) == word[k]):
            return -1
    # the quotes must be alike
    first = i
    while x[first] != 34 and x[first] != 39:
        first += 1
    return i + len(word) if x[first] == x[i + len(word) - 1] else -1


@compiled
def attributes(x, i, end, spans):
    """Read the attributes of a tag from behind its name.

    Returns:
        How many there are and where the tag's '>' or '/>' is, -1 where the tag is not well-formed. A row of `spans` is
        name, its length, value, its length, whether the value is plain.
    """
    count = 0
    limit = min(end, i + MAX_TAG_BYTES)
    while True:
        at = after_blanks(x, i, limit)
        if at >= limit:
            return 0, -1
        if x[at] == 62 or x[at] == 47:
            break
        if at == i or not STARTS[x[at]] or count == MAX_ATTRIBUTES:
            return 0, -1
        start = at
        at += 1
        while at < limit and NAMES[x[at]]:
            at += 1
        length = at - start
        at = after_blanks(x, at, limit)
        if at >= limit or x[at] != 61:
            return 0, -1
        at = after_blanks(x, at + 1, limit)
        if at >= limit or (x[at] != 34 and x[at] != 39):
            return 0, -1
        quote = x[at]
        at += 1
        value = at
        plain = 1
        while at < limit:
            short = min(at + SHORT, limit)
            while at < short and not QUOTED_STOPS[x[at]]:
                at += 1
            if at == short:
                while at + SMALL_BLOCK < limit and not stops_in_value(x, at):
                    at += SMALL_BLOCK
                while at < limit and not QUOTED_STOPS[x[at]]:
                    at += 1
            if at >= limit:
                return 0, -1
            b = x[at]
            if b == quote:
                break
            if b == 60:
                return 0, -1
            if b == 38:
                plain = 0
                at = reference_end(x, at, limit)
            elif b == 9 or b == 10 or b == 13:
                plain = 0
                at += 1
            elif b == 34 or b == 39:
                at += 1
            else:
                at = character_end(x, at, limit)
            if at < 0:
                return 0, -1
        if at >= limit:
            return 0, -1
        for k in range(count):
            if spans[k, 1] == length and x[spans[k, 0]] == x[start]:
                same = True
                for c in range(length):
                    if x[spans[k, 0] + c] != x[start + c]:
                        same = False
                        break
                if same:
                    return 0, -1
        spans[count, 0] = start
        spans[count, 1] = length
        spans[count, 2] = value
        spans[count, 3] = at - value
        spans[count, 4] = plain
        count += 1
        i = at + 1
    return count, at


@compiled
def find_attribute(x, spans, count, word):
    """Return the row of an attribute, -1 where it is absent."""
    for k in range(count):
        if is_word(x, spans[k, 0], spans[k, 1], word):
            return k
    return -1


@compiled
def told_length(spans, row):
    """Return the length of a value, complemented where the value is not plain."""
    return spans[row, 3] if spans[row, 4] else ~spans[row, 3]
