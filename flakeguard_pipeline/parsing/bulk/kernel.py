"""The compiled heart of bulk reading: the bytes of JUnit reports to columns, in one pass, without a Python object.

A conforming XML 1.0 parser of what JUnit reports need: elements, attributes, character data, CDATA sections, comments,
processing instructions, the five predefined entities and character references. It checks all that the standard wants of
these. A report in which it finds anything else (a document type, another encoding, a name that is not ASCII, a fault of
any kind) or anything that takes more than columns (retry elements, elements inside a failure) is handed back: its rows
are taken away again, and document.py, which can do everything, reads it.

Belongs here: which element is a row of which table. Does not belong here: XML (markup.py, characters.py), what values
mean (read.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray

from flakeguard_pipeline.parsing.bulk.characters import (
    NAMES,
    STARTS,
    after_blanks,
    begins,
    copy_bytes,
    is_word,
    same_bytes,
    section_end,
    text_end,
    word,
)
from flakeguard_pipeline.parsing.bulk.compiled import SOURCES, compiled, entered, pointer
from flakeguard_pipeline.parsing.bulk.copies import copy_content, copy_value
from flakeguard_pipeline.parsing.bulk.elements import (
    W_CLASS,
    W_CLASSNAME,
    W_FILE,
    W_LINE,
    W_MESSAGE,
    W_NAME,
    W_STAMP,
    W_STATUS,
    W_TIME,
    W_TYPE,
    kind_of,
    take_marks,
    tells_invocations,
)
from flakeguard_pipeline.parsing.bulk.layout import (
    ABSENT,
    ATTEMPT,
    CASE_LINE_AT,
    CASE_ORDINAL,
    CASE_OUTCOME,
    CASE_REPORT,
    CASE_STAMP_AT,
    CASE_SUITE,
    CASE_TIME_AT,
    CHILD_CASE,
    CHILD_END,
    CHILD_KIND,
    CHILD_PLAIN,
    CHILD_START,
    CLASSNAME,
    COUNTS,
    ERROR,
    FAILURE,
    FILE,
    LONG_TEXT_BYTES,
    MARK_COLUMNS,
    MAX_DEPTH,
    MAX_TAG_BYTES,
    MAX_VALUE_BYTES,
    MESSAGE,
    N_BYTES,
    N_CASES,
    N_CHILDREN,
    N_MARKS,
    N_OUTPUTS,
    N_SUITES,
    NAME,
    NOT_PLAIN,
    ODD,
    OTHER,
    OUTPUT,
    OUTPUT_END,
    OUTPUT_OWNER,
    OUTPUT_PLAIN,
    OUTPUT_START,
    PLAIN_ASCII,
    PROPERTIES,
    PROPERTY,
    SKIPPED,
    SUITE_FILE,
    SUITE_FILE_ROW,
    SUITE_NAME,
    SUITE_NAME_ROW,
    SUITE_PARENT,
    SUITE_REPORT,
    SUITE_STAMP_AT,
    TESTCASE,
    TESTSUITE,
    TESTSUITES,
    TEXT,
    TYPE,
)
from flakeguard_pipeline.parsing.bulk.markup import (
    attributes,
    comment_end,
    find_attribute,
    instruction_end,
    prolog_end,
    told_length,
)
from flakeguard_pipeline.parsing.bulk.plain_values import line_of, microseconds, outcome_of

_CDATA = word(b"<![CDATA[")


@compiled
def _report(
    x, end, report, cases, durations, lines, suites, children, outputs, texts, offsets, marks, counts, statuses,
    spans, stack,
):  # fmt: skip
    i = prolog_end(x, 0, end)
    if i < 0:
        return False
    for k in range(MARK_COLUMNS):
        marks[report, k] = ABSENT
    depth = unknown = case_depth = 0
    # the element whose text is wanted: its depth, where its text begins, its kind
    captured = content = kind_captured = 0
    plainness = section_plainness = PLAIN_ASCII
    # where the one section ends that all text of the element so far is in
    section = -1
    has_root = False
    suites_seen = 0
    ordinal = 0
    suite = _new_suite(x, -1, report, 0, spans, suites, texts, offsets, counts)
    if suite < 0:
        return False
    while True:
        if depth == 0:
            i = after_blanks(x, i, end)
            if i == end:
                return has_root and ordinal > 0
            # the other way looks for a root in so many bytes
            if x[i] != 60 or (not has_root and i > MAX_TAG_BYTES):
                return False
        else:
            i, plain = text_end(x, i, end)
            if i < 0 or i == end:
                return False
            plainness = min(plainness, plain)
        if i + 3 >= end:
            return False
        b = x[i + 1]
        closes = False
        tag = i
        if b == 47:
            if depth == 0:
                return False
            length = stack[depth, 1]
            if i + 2 + length >= end or not same_bytes(x, i + 2, stack[depth, 0], length):
                return False
            stop = min(end, i + MAX_TAG_BYTES)
            i = after_blanks(x, i + 2 + length, stop)
            if i >= stop or x[i] != 62:
                return False
            i += 1
            closes = True
        elif b == 33:
            plainness = NOT_PLAIN
            section = -1
            if begins(x, i, end, _CDATA):
                i, plain = section_end(x, i + 9, end)
                if i < 0 or depth == 0:
                    return False
                i += 3
                if plain != NOT_PLAIN and tag == content:
                    section_plainness = plain
                    section = i
            else:
                i = comment_end(x, i, end)
                if i < 0:
                    return False
        elif b == 63:
            plainness = NOT_PLAIN
            i = instruction_end(x, i, end)
            if i < 0:
                return False
        else:
            name = i + 1
            if not STARTS[b] or captured or depth == MAX_DEPTH or (depth == 0 and has_root):
                return False
            i = name + 1
            while i < end and NAMES[x[i]]:
                i += 1
            length = i - name
            count, i = attributes(x, i, end, spans)
            if i < 0:
                return False
            closes = x[i] == 47
            i += 1
            if closes:
                if i >= end or x[i] != 62:
                    return False
                i += 1
            depth += 1
            kind = kind_of(x, name, length)
            stack[depth, 0], stack[depth, 1], stack[depth, 2] = name, length, OTHER
            if unknown:
                pass
            elif depth == 1 or (kind == TESTSUITE and not case_depth):
                if kind != TESTSUITE and kind != TESTSUITES:
                    return False
                if depth == 1:
                    has_root = True
                    marks[report, 0] = kind == TESTSUITE
                    take_marks(x, spans, count, marks, report, 1)
                elif suites_seen == 0:
                    # the dialect is known from here on, and what came before was of another
                    if ordinal > 0:
                        return False
                    take_marks(x, spans, count, marks, report, 1 + 2 * N_MARKS)
                if kind == TESTSUITE:
                    stack[depth, 2] = TESTSUITE
                    suites_seen += 1
                    suite = _new_suite(x, suite, report, count, spans, suites, texts, offsets, counts)
                    if suite < 0:
                        return False
            elif case_depth:
                if depth > case_depth + 1:
                    if kind == PROPERTY and tells_invocations(x, spans, count):
                        return False
                    unknown = depth
                elif kind == FAILURE or kind == ERROR or kind == SKIPPED:
                    if not _new_child(x, kind, count, spans, children, texts, offsets, counts):
                        return False
                    captured, content, kind_captured, plainness, section = depth, i, kind, PLAIN_ASCII, -1
                elif kind == OUTPUT:
                    captured, content, kind_captured, plainness, section = depth, i, kind, PLAIN_ASCII, -1
                elif kind == ATTEMPT:
                    return False
                elif kind != PROPERTIES:
                    unknown = depth
            elif kind == TESTCASE:
                if not _new_case(
                    x, report, suite, ordinal, count, spans, cases, durations, lines, texts, offsets, counts,
                    statuses,
                ):  # fmt: skip
                    return False
                case_depth = depth
                ordinal += 1
            elif kind == FAILURE or kind == ERROR:
                return False
            elif kind == OUTPUT:
                captured, content, kind_captured, plainness, section = depth, i, kind, PLAIN_ASCII, -1
            else:
                unknown = depth
            if closes:
                # an empty element holds nothing
                tag = content
        if closes:
            if unknown:
                if unknown == depth:
                    unknown = 0
            elif captured == depth:
                # nearly all output is one section and nothing else
                if section == tag:
                    content, tag, plainness = content + 9, tag - 3, section_plainness
                if kind_captured == OUTPUT:
                    row = counts[N_OUTPUTS]
                    if row == len(outputs):
                        return False
                    outputs[row, OUTPUT_OWNER] = counts[N_CASES] - 1 if case_depth else ~suite
                    outputs[row, OUTPUT_START] = content
                    outputs[row, OUTPUT_END] = tag
                    outputs[row, OUTPUT_PLAIN] = plainness
                    counts[N_OUTPUTS] = row + 1
                else:
                    _close_child(x, content, tag, plainness, children, texts, offsets, counts)
                captured = 0
            elif case_depth == depth:
                case_depth = 0
            elif stack[depth, 2] == TESTSUITE:
                suite = suites[suite, SUITE_PARENT]
            depth -= 1


@compiled
def _write(x, spans, row, text, number, texts, offsets, counts):
    """Write the value of an attribute, none where `row` is negative; return its bytes, -1 where it takes more."""
    begin = counts[N_BYTES + text]
    stop = begin
    if row >= 0:
        stop = copy_value(x, spans[row, 2], spans[row, 3], spans[row, 4] == 1, False, texts, text, begin)
        if stop < 0:
            return -1
    offsets[text, number + 1] = stop
    counts[N_BYTES + text] = stop
    return stop - begin


@compiled
def _new_suite(x, parent, report, count, spans, suites, texts, offsets, counts):
    """Add a suite; return its row, -1 where something about it takes more."""
    row = counts[N_SUITES]
    if row == len(suites):
        return -1
    name, file = find_attribute(x, spans, count, W_NAME), find_attribute(x, spans, count, W_FILE)
    stamp = find_attribute(x, spans, count, W_STAMP)
    if (name >= 0 and spans[name, 3] > MAX_VALUE_BYTES) or (file >= 0 and spans[file, 3] > MAX_VALUE_BYTES):
        return -1
    suites[row, SUITE_REPORT] = report
    suites[row, SUITE_PARENT] = parent
    written = _write(x, spans, name, SUITE_NAME, row, texts, offsets, counts)
    suites[row, SUITE_NAME_ROW] = row if written or parent < 0 else suites[parent, SUITE_NAME_ROW]
    written = _write(x, spans, file, SUITE_FILE, row, texts, offsets, counts)
    suites[row, SUITE_FILE_ROW] = row if written or parent < 0 else suites[parent, SUITE_FILE_ROW]
    suites[row, SUITE_STAMP_AT] = spans[stamp, 2] if stamp >= 0 else ABSENT
    suites[row, SUITE_STAMP_AT + 1] = told_length(spans, stamp) if stamp >= 0 else 0
    counts[N_SUITES] = row + 1
    return row


@compiled
def _new_case(x, report, suite, ordinal, count, spans, cases, durations, lines, texts, offsets, counts, statuses):
    """Add a case; return False where something about it takes more, or where there is no room."""
    row = counts[N_CASES]
    if row == len(cases):
        return False
    name = classname = other_class = file = line = time = status = stamp = -1
    for k in range(count):
        at, length = spans[k, 0], spans[k, 1]
        if length == 4:
            if is_word(x, at, length, W_NAME):
                name = k
            elif is_word(x, at, length, W_TIME):
                time = k
            elif is_word(x, at, length, W_FILE):
                file = k
            elif is_word(x, at, length, W_LINE):
                line = k
        elif length == 9:
            if is_word(x, at, length, W_CLASSNAME):
                classname = k
            elif is_word(x, at, length, W_STAMP):
                stamp = k
        elif length == 6:
            if is_word(x, at, length, W_STATUS):
                status = k
        elif length == 5 and is_word(x, at, length, W_CLASS):
            other_class = k
    for k in (name, classname, other_class, file):
        if k >= 0 and spans[k, 3] > MAX_VALUE_BYTES:
            return False
    cases[row, CASE_REPORT] = report
    cases[row, CASE_SUITE] = suite
    cases[row, CASE_ORDINAL] = ordinal
    outcome = 0
    if status >= 0 and spans[status, 4]:
        outcome = outcome_of(x, spans[status, 2], spans[status, 3], statuses)
    elif status >= 0:
        # what is not plain is written where the next text will be
        begin = counts[N_BYTES + TEXT]
        stop = copy_value(x, spans[status, 2], spans[status, 3], False, True, texts, TEXT, begin)
        outcome = outcome_of(texts[TEXT], begin, stop - begin, statuses)
    if outcome < 0:
        return False
    cases[row, CASE_OUTCOME] = outcome
    for k, column in ((line, CASE_LINE_AT), (time, CASE_TIME_AT), (stamp, CASE_STAMP_AT)):
        cases[row, column] = spans[k, 2] if k >= 0 else ABSENT
        cases[row, column + 1] = told_length(spans, k) if k >= 0 else 0
    durations[row] = lines[row] = ABSENT
    if time >= 0:
        durations[row] = microseconds(x, spans[time, 2], spans[time, 3]) if spans[time, 4] else ODD
    if line >= 0:
        lines[row] = line_of(x, spans[line, 2], spans[line, 3]) if spans[line, 4] else ODD
    _write(x, spans, name, NAME, row, texts, offsets, counts)
    if classname < 0 or spans[classname, 3] == 0:
        classname = other_class
    _write(x, spans, classname, CLASSNAME, row, texts, offsets, counts)
    _write(x, spans, file, FILE, row, texts, offsets, counts)
    counts[N_CASES] = row + 1
    return True


@compiled
def _new_child(x, kind, count, spans, children, texts, offsets, counts):
    """Begin a failure, error or skip; return False where something about it takes more, or where there is no room."""
    row = counts[N_CHILDREN]
    if row == len(children):
        return False
    children[row, CHILD_CASE] = counts[N_CASES] - 1
    children[row, CHILD_KIND] = kind
    message, kind_named = find_attribute(x, spans, count, W_MESSAGE), find_attribute(x, spans, count, W_TYPE)
    is_written = _write(x, spans, message, MESSAGE, row, texts, offsets, counts) >= 0
    return is_written and _write(x, spans, kind_named, TYPE, row, texts, offsets, counts) >= 0


@compiled
def _close_child(x, start, end, plainness, children, texts, offsets, counts):
    row = counts[N_CHILDREN]
    begin = counts[N_BYTES + TEXT]
    stop = begin
    children[row, CHILD_START] = ABSENT
    if end - start > LONG_TEXT_BYTES:
        children[row, CHILD_START] = start
        children[row, CHILD_END] = end
        children[row, CHILD_PLAIN] = plainness
    elif plainness != NOT_PLAIN:
        copy_bytes(x, start, end - start, texts, TEXT, begin)
        stop = begin + end - start
    else:
        stop = copy_content(x, start, end, texts, TEXT, begin)
    offsets[TEXT, row + 1] = stop
    counts[N_BYTES + TEXT] = stop
    counts[N_CHILDREN] = row + 1


def _entries(_sources: str) -> tuple[Callable[..., Any], ...]:
    """Return what is called from Python; see compiled.py for why it closes over the digest of the sources."""

    @entered
    def count_characters(address, start, end):
        """Return how many characters UTF-8 holds: its bytes but for those that continue one."""
        _sources  # noqa: B018 - what a function closes over is part of its name in the cache
        x = carray(pointer(address), end)
        # sums of single bytes are vectorised; the blocks are too short for them to overflow
        count = end - start
        while start < end:
            stop = min(start + 128, end)
            continuing = np.uint8(0)
            for k in range(np.uintp(start), np.uintp(stop)):
                continuing += np.uint8(np.int8(x[k]) < np.int8(-64))
            count -= np.int64(continuing)
            start = stop
        return count

    @entered
    def decode_value(address, start, length, out):
        """Copy an attribute's value as it is meant to the first row of `out`; return its bytes."""
        _sources  # noqa: B018 - what a function closes over is part of its name in the cache
        x = carray(pointer(address), start + length)
        return copy_value(x, start, length, False, True, out, 0, 0)

    @entered
    def decode_content(address, start, end, out):
        """Copy what an element without child elements holds to the first row of `out`; return its bytes."""
        _sources  # noqa: B018 - what a function closes over is part of its name in the cache
        return copy_content(carray(pointer(address), end), start, end, out, 0, 0)

    @entered
    def scan(
        addresses, lengths, cases, durations, lines, suites, children, outputs, texts, offsets, marks, counts, good,
        statuses, spans, stack, before,
    ):  # fmt: skip
        """Read reports; fill the tables, whose rows `counts` has. Positions are those in the report of the row.

        Returns how many reports it is done with: all of them, or those before the first that finds no room.

        Args:
            addresses, lengths: where the bytes of each report are, and how many. They must stay there meanwhile.
            cases, suites, children, outputs: int32 tables; see their columns in layout.py.
            durations: microseconds of each case; ABSENT, or ODD where `cases` has the span to be read.
            lines: line of each case, likewise.
            texts, offsets: UTF-8 of all values of a text, and where each begins; one more than there are values.
            marks: int32, a row a report.
            counts: what is filled already; updated.
            good: set for each report that was read; the others are to be read elsewhere.
            statuses: a row a status that tells an outcome: its code, its length, its letters, all small.
            spans, stack, before: room for the attributes of a tag, the open elements and the counts.
        """
        _sources  # noqa: B018 - what a function closes over is part of its name in the cache
        for report in range(len(addresses)):
            x = carray(pointer(addresses[report]), lengths[report])
            for k in range(COUNTS):
                before[k] = counts[k]
            good[report] = _report(
                x, lengths[report], report, cases, durations, lines, suites, children, outputs, texts, offsets,
                marks, counts, statuses, spans, stack,
            )  # fmt: skip
            if not good[report]:
                is_full = counts[N_CASES] == len(cases) or counts[N_SUITES] == len(suites)
                is_full = is_full or counts[N_CHILDREN] == len(children) or counts[N_OUTPUTS] == len(outputs)
                for k in range(COUNTS):
                    counts[k] = before[k]
                if is_full and report > 0:
                    return report
        return len(addresses)

    return scan, count_characters, decode_value, decode_content


scan, count_characters, decode_value, decode_content = _entries(SOURCES)
