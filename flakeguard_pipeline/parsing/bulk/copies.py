"""Copying values and contents as they are meant: references replaced, line ends and blanks as XML wants them.

Source: Extensible Markup Language (XML) 1.0, fifth edition, sections 2.11 and 3.3.3.
"""

import numpy as np

from flakeguard_pipeline.parsing.bulk.characters import copy_bytes, put_character, reference, section_end
from flakeguard_pipeline.parsing.bulk.compiled import compiled
from flakeguard_pipeline.parsing.bulk.layout import MAX_COPIED, MAX_VALUE_BYTES
from flakeguard_pipeline.parsing.bulk.markup import comment_end, instruction_end


@compiled
def copy_value(x, start, length, is_plain, keeps, out, text, at):
    """Copy an attribute's value as it is meant, or as much of it as anyone looks at; return where the copy ends.

    A carriage return by reference is dropped, as text.py drops controls; where that may come after a cut, -1 is
    returned. With `keeps` all of the value is copied, and nothing is dropped.
    """
    if is_plain:
        if length > 4 * MAX_COPIED:
            length = 4 * MAX_COPIED
            # no half a character at the end
            while x[start + length] & 0xC0 == 0x80:
                length -= 1
        copy_bytes(x, start, length, out, text, at)
        return at + length
    i, end = start, start + length
    room = length if keeps else MAX_COPIED
    while i < end:
        b = x[i]
        if b & 0xC0 != 0x80:
            if room == 0:
                break
            room -= 1
        if b == 38:
            code, i = reference(x, i, end)
            if keeps or code != 13:
                at = put_character(out, text, at, code)
            elif length > MAX_VALUE_BYTES:
                return -1
            continue
        if b == 13:
            # CR LF is one line end, and a line end in a value is a blank
            if i + 1 < end and x[i + 1] == 10:
                i += 1
            b = np.uint8(32)
        elif b == 9 or b == 10:
            b = np.uint8(32)
        out[text, at] = b
        at += 1
        i += 1
    return at


@compiled
def copy_content(x, start, end, out, text, at):
    i = start
    while i < end:
        b = x[i]
        if b == 60:
            if x[i + 1] == 33 and x[i + 2] == 91:
                stop, _ = section_end(x, i + 9, end)
                i += 9
                while i < stop:
                    if x[i] == 13:
                        if x[i + 1] == 10:
                            i += 1
                        out[text, at] = 10
                    else:
                        out[text, at] = x[i]
                    at += 1
                    i += 1
                i = stop + 3
            elif x[i + 1] == 33:
                i = comment_end(x, i, end)
            else:
                i = instruction_end(x, i, end)
        elif b == 38:
            code, i = reference(x, i, end)
            at = put_character(out, text, at, code)
        elif b == 13:
            if i + 1 < end and x[i + 1] == 10:
                i += 1
            out[text, at] = 10
            at += 1
            i += 1
        else:
            out[text, at] = b
            at += 1
            i += 1
    return at
