"""Numbers and words that are written plainly; what is not is left to values.py."""

import numpy as np

from flakeguard_pipeline.parsing.bulk.compiled import compiled
from flakeguard_pipeline.parsing.bulk.layout import MAX_PLAIN_SECONDS, ODD


@compiled
def microseconds(x, start, length):
    """Return the microseconds of plain decimal seconds, rounded half to even; ODD for anything else."""
    if length == 0 or length > 24:
        return ODD
    whole, i, end = np.int64(0), start, start + length
    while i < end and 48 <= x[i] <= 57:
        whole = whole * 10 + (x[i] - 48)
        i += 1
        if whole > MAX_PLAIN_SECONDS:
            return ODD
    digits = i - start
    if i == end:
        return whole * 1_000_000
    if x[i] != 46 or digits == 0 or whole == MAX_PLAIN_SECONDS:
        return ODD
    i += 1
    micros, places, rounds_up, is_half = np.int64(0), 0, False, False
    if i == end:
        return ODD
    while i < end:
        b = x[i]
        if b < 48 or b > 57:
            return ODD
        if places < 6:
            micros = micros * 10 + (b - 48)
        elif places == 6:
            rounds_up = b > 53
            is_half = b == 53
        elif is_half and b != 48:
            rounds_up = True
        places += 1
        i += 1
    while places < 6:
        micros *= 10
        places += 1
    value = whole * 1_000_000 + micros
    # exactly a half goes to the even neighbour
    if rounds_up or (is_half and (value & 1) == 1):
        value += 1
    return value


@compiled
def outcome_of(x, start, length, statuses):
    """Return the code of the outcome that a status tells, 0 where it tells none; -1 where letters are not ASCII."""
    for k in range(start, start + length):
        if x[k] >= 128:
            return -1
    for status in range(len(statuses)):
        if statuses[status, 1] != length:
            continue
        same = True
        for k in range(length):
            b = x[start + k]
            if 65 <= b <= 90:
                b |= np.uint8(32)
            if b != statuses[status, 2 + k]:
                same = False
                break
        if same:
            return np.int64(statuses[status, 0])
    return 0


@compiled
def line_of(x, start, length):
    """Return a line number, ODD for anything but one to nine digits."""
    if length == 0 or length > 9:
        return ODD
    number = 0
    for k in range(start, start + length):
        if x[k] < 48 or x[k] > 57:
            return ODD
        number = number * 10 + (x[k] - 48)
    return number
