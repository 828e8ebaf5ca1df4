"""What the tables that the kernel fills look like, and its limits."""

MAX_DEPTH = 60
"""Levels of open elements; deeper reports are read elsewhere, where the limit that counts is."""

MAX_ATTRIBUTES = 48
"""Attributes of one tag: those of a test case are ten at most. More are read elsewhere."""

MAX_TAG_BYTES = 1 << 20
"""Bytes of one tag, comment or instruction; longer ones are read elsewhere, where the limit that counts is."""

MAX_VALUE_BYTES = 10_000
"""Bytes of an attribute that identifies something: what may be too long in characters is read elsewhere."""

MAX_COPIED = 10_100
"""Characters of one attribute's value that are copied: more than are kept of any, so that a cut is noticed."""

LONG_TEXT_BYTES = 64 * 1024
"""Bytes of a failure's text that is not copied, because only its beginning and its end are wanted."""

MAX_PLAIN_SECONDS = 31_622_400
"""Longest duration in seconds, as in values.py."""

# texts: rows of their buffers
NAME, CLASSNAME, FILE, MESSAGE, TYPE, TEXT, SUITE_NAME, SUITE_FILE = range(8)
TEXTS = 8

# counts: rows that are filled, then bytes of each text
N_CASES, N_SUITES, N_CHILDREN, N_OUTPUTS, N_BYTES = range(5)
COUNTS = N_BYTES + TEXTS

# columns of a case; a `_AT` is followed by a length, which is complemented where the value is not plain
CASE_REPORT, CASE_SUITE, CASE_ORDINAL, CASE_OUTCOME, CASE_LINE_AT, CASE_TIME_AT, CASE_STAMP_AT = 0, 1, 2, 3, 4, 6, 8
CASE_COLUMNS = 10

# columns of a suite; the first row of a report stands for what holds cases outside of any suite
SUITE_REPORT, SUITE_PARENT, SUITE_NAME_ROW, SUITE_FILE_ROW, SUITE_STAMP_AT = 0, 1, 2, 3, 4
SUITE_COLUMNS = 6

# columns of a failure, error or skip; where its text is too long to be copied, the last three say where it stands
CHILD_CASE, CHILD_KIND, CHILD_START, CHILD_END, CHILD_PLAIN = range(5)
CHILD_COLUMNS = 5

# columns of a captured output, with how plain it is; the owner is a case, or the suite ~owner
OUTPUT_OWNER, OUTPUT_START, OUTPUT_END, OUTPUT_PLAIN = range(4)
OUTPUT_COLUMNS = 4

# columns of an attribute: name and value, each with its length, and whether the value is plain
SPAN_COLUMNS = 5

# columns of an open element: where its name stands, its length, its kind
OPEN_COLUMNS = 3

MARKS = (
    b"name", b"id", b"tests", b"xsi:noNamespaceSchemaLocation", b"file", b"package", b"hostname", b"assertions",
    b"disabled", b"errors", b"skipped", b"time", b"timestamp",
)  # fmt: skip
"""Attributes of the root and of the first suite that tell a writer."""

N_MARKS = len(MARKS)

# marks of a report: is the root a single suite, then spans of the root's attributes, then those of the first suite
MARK_COLUMNS = 1 + 4 * N_MARKS

ABSENT = -1
"""Stands for what is not there."""

ODD = -2
"""Stands for a number that is not written plainly: whoever reads the columns reads it by itself."""

NOT_PLAIN, PLAIN, PLAIN_ASCII = range(3)
"""How plain a text is: it must be copied to be what is meant, it stands there as it is meant, and that in ASCII."""

# kinds of elements
OTHER, TESTSUITES, TESTSUITE, TESTCASE, FAILURE, ERROR, SKIPPED, OUTPUT, PROPERTIES, PROPERTY, ATTEMPT = range(11)
KINDS = 11
"""How many kinds there are."""
