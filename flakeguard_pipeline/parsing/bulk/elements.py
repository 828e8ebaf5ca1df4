"""Which elements and attributes of JUnit's there are."""

import numpy as np

from flakeguard_pipeline.parsing.bulk.characters import is_word, word
from flakeguard_pipeline.parsing.bulk.compiled import compiled
from flakeguard_pipeline.parsing.bulk.layout import (
    ATTEMPT,
    ERROR,
    FAILURE,
    MARKS,
    N_MARKS,
    OTHER,
    OUTPUT,
    PROPERTIES,
    PROPERTY,
    SKIPPED,
    TESTCASE,
    TESTSUITE,
    TESTSUITES,
)  # fmt: skip
from flakeguard_pipeline.parsing.bulk.markup import find_attribute, told_length

W_NAME, W_CLASSNAME, W_CLASS, W_FILE = word(b"name"), word(b"classname"), word(b"class"), word(b"file")
W_LINE, W_TIME, W_STATUS, W_STAMP = word(b"line"), word(b"time"), word(b"status"), word(b"timestamp")
W_MESSAGE, W_TYPE = word(b"message"), word(b"type")
_W_INVOCATIONS = word(b"invocations")
_W_TESTSUITES, _W_TESTSUITE, _W_TESTCASE = word(b"testsuites"), word(b"testsuite"), word(b"testcase")
_W_FAILURE, _W_ERROR, _W_SKIPPED = word(b"failure"), word(b"error"), word(b"skipped")
_W_SYSTEM_OUT, _W_SYSTEM_ERR = word(b"system-out"), word(b"system-err")
_W_PROPERTIES, _W_PROPERTY = word(b"properties"), word(b"property")
_W_RERUN_FAILURE, _W_RERUN_ERROR = word(b"rerunFailure"), word(b"rerunError")
_W_FLAKY_FAILURE, _W_FLAKY_ERROR = word(b"flakyFailure"), word(b"flakyError")

_MARK_WORDS = np.zeros((N_MARKS, max(map(len, MARKS))), np.uint8)
_MARK_LENGTHS = np.array([len(mark) for mark in MARKS], np.int64)
for _number, _mark in enumerate(MARKS):
    _MARK_WORDS[_number, : len(_mark)] = np.frombuffer(_mark, np.uint8)


@compiled
def kind_of(x, start, length):
    """Return the kind of an element by its name."""
    if length == 8:
        if is_word(x, start, length, _W_TESTCASE):
            return TESTCASE
        if is_word(x, start, length, _W_PROPERTY):
            return PROPERTY
    elif length == 7:
        if is_word(x, start, length, _W_FAILURE):
            return FAILURE
        if is_word(x, start, length, _W_SKIPPED):
            return SKIPPED
    elif length == 10:
        if is_word(x, start, length, _W_SYSTEM_OUT) or is_word(x, start, length, _W_SYSTEM_ERR):
            return OUTPUT
        if is_word(x, start, length, _W_PROPERTIES):
            return PROPERTIES
        if is_word(x, start, length, _W_TESTSUITES):
            return TESTSUITES
        if is_word(x, start, length, _W_RERUN_ERROR) or is_word(x, start, length, _W_FLAKY_ERROR):
            return ATTEMPT
    elif length == 9:
        if is_word(x, start, length, _W_TESTSUITE):
            return TESTSUITE
    elif length == 5:
        if is_word(x, start, length, _W_ERROR):
            return ERROR
    elif length == 12 and (is_word(x, start, length, _W_RERUN_FAILURE) or is_word(x, start, length, _W_FLAKY_FAILURE)):
        return ATTEMPT
    return OTHER


@compiled
def take_marks(x, spans, count, marks, report, column):
    """Take note of the attributes that tell a writer."""
    for k in range(count):
        for mark in range(N_MARKS):
            if spans[k, 1] == _MARK_LENGTHS[mark]:
                same = True
                for c in range(spans[k, 1]):
                    if x[spans[k, 0] + c] != _MARK_WORDS[mark, c]:
                        same = False
                        break
                if same:
                    marks[report, column + 2 * mark] = spans[k, 2]
                    marks[report, column + 2 * mark + 1] = told_length(spans, k)
                    break


@compiled
def tells_invocations(x, spans, count):
    """Say whether a property may tell how often a test was executed."""
    row = find_attribute(x, spans, count, W_NAME)
    if row < 0:
        return False
    if not spans[row, 4]:
        return True
    for at in range(spans[row, 2], spans[row, 2] + spans[row, 3] - 10):
        if is_word(x, at, 11, _W_INVOCATIONS):
            return True
    return False
