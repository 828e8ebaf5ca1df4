"""Many simple JUnit reports to one frame, by a native parser that turns declared paths into columns.

Reports are joined into one document, which is parsed twice: once for the attributes of the test cases, once for their
failures, errors and skips (`*.yml` declare the paths). A report in which anything is not of the plain shape
(nested suites, stray elements, retry elements, a suite without a test case) is handed back unread, to be read by
document.py; the two agree on every well-formed report, which the tests hold them to.

What the native parser does with attributes of an element that is a table itself decides the layout: they land in the
table's next finished row. So a suite's attributes stand in its first test case, and those of a suite without one in the
first row of whatever follows, which is therefore handed back too.

Belongs here: columns. Does not belong here: what elements mean (junit.py), which is only repeated for whole columns.
"""

import secrets
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import polars as pl

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.bulk.failures import OUTCOMES, PASSED, TEXTS, add_failures
from flakeguard_pipeline.parsing.bulk.marks import writers
from flakeguard_pipeline.parsing.bulk.simple import SimpleReport
from flakeguard_pipeline.parsing.bulk.tables import (
    SUITE,
    ParseFaultError,
    joined,
    parse,
    table,
    with_odd_characters,
    without,
)
from flakeguard_pipeline.parsing.cases import CASE_SCHEMA, micros, no_cases
from flakeguard_pipeline.parsing.junit import OUTCOME_OF_STATUS
from flakeguard_pipeline.parsing.retries import number_retries
from flakeguard_pipeline.parsing.text import MAX_ATTRIBUTE
from flakeguard_pipeline.parsing.values import MAX_DURATION_S, duration_us, line_number, timestamp
from flakeguard_pipeline.parsing.writers import PLAYWRIGHT, PYTEST, PYTEST_ROOT, REPEATING

_TEST = ("suite_number", "suite", "classname", "name", "file")
_IDENTITY = ("name", "classname", "class", "file", "suite_name", "suite_file")
_CLEARLY_NO_HALF = 0.49
"""Up to here the nearest microsecond is the same for the decimal number and for the float next to it, which is at most
0.004 microseconds away for durations of up to a year."""


@dataclass(frozen=True, slots=True)
class BulkReading:
    """What was read: the executions (CASE_SCHEMA), the dialect of each report, None for one that was handed back."""

    cases: pl.DataFrame
    dialects: list[str | None]


def read_bulk(reports: Sequence[SimpleReport], pool: Executor | None = None) -> BulkReading:
    """Read simple reports; `report` in the frame is the position among them.

    What comes of a report does not depend on the others. A `pool` of threads lets half of them, or half of the parsing
    of one, be done at the same time.
    """
    if not reports:
        return BulkReading(no_cases(), [])
    middle = len(reports) // 2
    if pool is not None and middle:
        second = pool.submit(read_bulk, reports[middle:])
        return _combined(read_bulk(reports[:middle]), second.result())
    try:
        reading, reached = _read(reports, pool)
        if not reached:
            return reading
        # without the reports that reach into them
        again = sorted(reached)
        return _replaced(reading, again, read_bulk([reports[number] for number in again]))
    except ParseFaultError:
        if len(reports) == 1:
            return BulkReading(no_cases(), [None])
    # one of them is at fault: halve until it is alone
    return _combined(read_bulk(reports[:middle]), read_bulk(reports[middle:]))


def _combined(first: BulkReading, second: BulkReading) -> BulkReading:
    shift = pl.lit(len(first.dialects), dtype=CASE_SCHEMA["report"])
    cases = pl.concat([first.cases, second.cases.with_columns(pl.col("report") + shift)])
    return BulkReading(cases, first.dialects + second.dialects)


def _replaced(reading: BulkReading, numbers: list[int], again: BulkReading) -> BulkReading:
    """Return a reading with some of its reports read again."""
    places = pl.Series(numbers, dtype=CASE_SCHEMA["report"])
    cases = again.cases.with_columns(places.gather(again.cases["report"]).alias("report"))
    dialects = list(reading.dialects)
    for number, dialect in zip(numbers, again.dialects, strict=True):
        dialects[number] = dialect
    return BulkReading(pl.concat([reading.cases, cases]), dialects)


def _read(reports: Sequence[SimpleReport], pool: Executor | None) -> tuple[BulkReading, set[int]]:
    """Read reports together; return also those that another one reaches into, which were not read."""
    # a report that is made to close its element and open another cannot know the key of that
    key = secrets.token_hex(8)
    document = joined(reports, key)
    waiting = pool.submit(parse, "children", document) if pool else None
    parsed = parse("cases", document)
    children = table(waiting.result() if waiting else parse("children", document), "children")
    rows = table(parsed, "cases").with_row_index("row")
    roots = table(parsed, "roots")
    keyed = roots.filter(pl.col("key") == key)
    if roots["report"].n_unique() != len(reports) or keyed["report"].to_list() != list(range(len(reports))):
        raise ParseFaultError("a report reaches into another")
    suites = table(parsed, "suites")
    first_rows = rows.filter(pl.col("case") == 0)
    refused, reached = _misshapen(reports, roots, suites, first_rows, rows)
    reached -= refused
    refused |= reached
    refused |= _with_raw_markup(reports, rows)
    # a single byte is found many times faster than two
    if b"#" in document and b"&#" in document:
        refused |= with_odd_characters(rows) | with_odd_characters(children)
    children = without(children, refused)
    firsts = _suites_of(first_rows)
    cases, misread = _cases(rows, firsts), set[int]()
    # a status may say that a case has failed, and its output is wanted then, though no element tells of it
    if children.height or cases["outcome"].max() != PASSED:
        cases, misread = add_failures(reports, document, cases, firsts, children)
    refused |= misread
    dialects = writers(reports)
    numbered, repeated = _with_retries(cases, dialects)
    # what pytest repeats, and where Playwright ran, takes more than columns
    pytests = set(cases.filter(pl.col("suite") == PYTEST)["report"].unique().to_list())
    pytests |= {number for number in repeated if reports[number].holds(PYTEST_ROOT.encode())}
    refused |= {number for number in repeated if dialects[number] == PYTEST or number in pytests}
    refused |= {number for number, dialect in enumerate(dialects) if dialect is None or dialect == PLAYWRIGHT}
    dialects = [None if number in refused else dialect for number, dialect in enumerate(dialects)]
    cases = numbered.with_columns(
        pl.Series("outcome", [outcome.value for outcome in OUTCOMES]).gather(cases["outcome"])
    )
    return BulkReading(without(cases, refused).select(*CASE_SCHEMA), dialects), reached


def _misshapen(
    reports: Sequence[SimpleReport],
    roots: pl.DataFrame,
    suites: pl.DataFrame,
    first_rows: pl.DataFrame,
    rows: pl.DataFrame,
) -> tuple[set[int], set[int]]:
    """Return the reports that are not roots of suites of named test cases, and those that such ones reach into."""
    refused, reached = set[int](), set[int]()
    if roots.height != len(reports):
        refused |= set(roots.filter(roots["report"].is_duplicated())["report"].to_list())
    refused |= set(rows.filter(pl.col("name").is_null())["report"].to_list())
    suites_of = dict(suites.group_by("report").len().iter_rows())
    leaking = {number for number in range(len(reports)) if number not in suites_of}
    if not suites.select(SUITE).equals(first_rows.select(SUITE)):
        empty = suites.select(SUITE).join(first_rows.select(SUITE), on=SUITE, how="anti")["report"]
        leaking |= set(empty.to_list())
    if leaking:
        # attributes without a row of their own land in the next report that has one
        holding = sorted(suites_of)
        refused |= leaking
        reached = {later for one in leaking for later in holding[bisect_right(holding, one) :][:1]}
    refused |= {
        number for number, report in enumerate(reports) if report.is_single_suite and suites_of.get(number, 0) != 1
    }
    lengths = rows.select(pl.col(*_IDENTITY).str.len_bytes().max()).row(0)
    if any((length or 0) > MAX_ATTRIBUTE for length in lengths):
        long = pl.any_horizontal(pl.col(name).str.len_bytes() > MAX_ATTRIBUTE for name in _IDENTITY)
        refused |= set(rows.filter(long)["report"].to_list())
    return refused, reached


def _with_raw_markup(reports: Sequence[SimpleReport], rows: pl.DataFrame) -> set[int]:
    """Return the reports with a '<' in an attribute that no reference has brought in, which is against the standard."""
    suspected: set[int] = set()
    for name in ("name", "classname", "file"):
        found = rows[name].str.contains("<", literal=True)
        if found.any():
            suspected |= set(rows.filter(found)["report"].to_list())
    return {number for number in suspected if not (reports[number].holds(b"&lt;") or reports[number].holds(b"&#"))}


def _suites_of(first_rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a suite, with the row that it begins at and what its cases inherit."""
    starts = [timestamp(value) for value in first_rows["suite_timestamp"].to_list()]
    return first_rows.select(
        *SUITE,
        pl.col("row").alias("first_row"),
        pl.col("suite_name").fill_null("").alias("suite"),
        pl.col("suite_file").fill_null("").alias("suite_file"),
        pl.Series("suite_started_at", [None if start is None else micros(start) for start in starts], dtype=pl.Int64()),
    )


def _cases(rows: pl.DataFrame, firsts: pl.DataFrame) -> pl.DataFrame:
    """Return the test cases with what their suites lend them, as if all had passed but for their status."""
    if firsts.height == 1:
        only = firsts.row(0, named=True)
        lent = [
            pl.lit(only[name], dtype=firsts.schema[name]).alias(name)
            for name in ("suite", "suite_file", "suite_started_at")
        ]
    else:
        number = (rows["case"] == 0).cast(pl.UInt32).cum_sum() - 1
        lent = [firsts[name].gather(number) for name in ("suite", "suite_file", "suite_started_at")]  # type: ignore[misc]
    first_of_report = pl.col("row").min().over("report") if rows["report"].n_unique() > 1 else pl.col("row").min()
    frame = rows.with_columns(*lent).with_columns((pl.col("row") - first_of_report).cast(pl.Int32).alias("ordinal"))
    return frame.select(
        "row",
        "suite_number",
        "case",
        pl.col("report").cast(pl.UInt32),
        "ordinal",
        "suite",
        _first_text(frame, "classname", "class"),
        pl.col("name"),
        _first_text(frame, "file", "suite_file"),
        _lines(frame["line"]),
        _outcomes(frame["status"]),
        _durations(frame["time"]),
        _starts(frame),
        *(pl.lit("").alias(name) for name in ("environment", *TEXTS)),
    )


def _first_text(frame: pl.DataFrame, name: str, other: str) -> pl.Expr:
    """Return the one column where it says anything, else the other."""
    if frame[name].null_count() == frame.height:
        return pl.col(other).fill_null("").alias(name)
    if frame[other].null_count() == frame.height:
        return pl.col(name).fill_null("")
    one = pl.col(name).fill_null("")
    return pl.when(one == "").then(pl.col(other).fill_null("")).otherwise(one).alias(name)


def _lines(values: pl.Series) -> pl.Series:
    if values.null_count() == len(values):
        return pl.Series("line", [None], dtype=pl.Int32()).new_from_index(0, len(values))
    return pl.Series("line", [line_number(value) for value in values.to_list()], dtype=pl.Int32())


def _outcomes(values: pl.Series) -> pl.Series:
    """Return the codes of the outcomes that the status says: positions in OUTCOMES."""
    if values.null_count() == len(values):
        return pl.Series("outcome", [PASSED], dtype=pl.UInt8()).new_from_index(0, len(values))
    known = {
        value: OUTCOMES.index(OUTCOME_OF_STATUS.get(value.lower(), Outcome.PASSED))
        for value in values.drop_nulls().unique().to_list()
    }
    return values.replace_strict(known, default=PASSED, return_dtype=pl.UInt8()).alias("outcome")


def _durations(values: pl.Series) -> pl.Series:
    """Return microseconds; what is no plain number, or nearly half a microsecond, is read one by one as elsewhere."""
    seconds = values.cast(pl.Float64, strict=False)
    microseconds = seconds * 1_000_000.0
    rounded = microseconds.round()
    certain = seconds.is_between(0.0, float(MAX_DURATION_S)) & ((microseconds - rounded).abs() < _CLEARLY_NO_HALF)
    result = rounded.cast(pl.Int64, strict=False).alias("duration_us")
    odd = values.is_not_null() & ~certain.fill_null(False)
    if not odd.any():
        return result
    read = [duration_us(value) for value in values.filter(odd).to_list()]
    return result.scatter(odd.arg_true(), pl.Series(read, dtype=pl.Int64()))


def _starts(frame: pl.DataFrame) -> pl.Expr:
    suite = pl.col("suite_started_at")
    values = frame["timestamp"]
    if values.null_count() < len(values):
        moments = [timestamp(value) for value in values.to_list()]
        own = pl.Series([None if moment is None else micros(moment) for moment in moments], dtype=pl.Int64())
        suite = pl.coalesce(own, suite)
    return suite.cast(CASE_SCHEMA["started_at"]).alias("started_at")


def _with_retries(cases: pl.DataFrame, dialects: Sequence[str | None]) -> tuple[pl.DataFrame, set[int]]:
    """Number the retries by the rule of retries.py; return the reports that repeat any test, too."""
    index = pl.Series("retry_index", [0], dtype=pl.Int32()).new_from_index(0, cases.height)
    final = pl.Series("is_final", [True], dtype=pl.Boolean()).new_from_index(0, cases.height)
    # equal hashes find what is in question; chance ones among them do no harm
    hashes = cases.select(
        pl.col("report").hash(0)
        ^ pl.col("suite_number").hash(5)
        ^ pl.col("suite").hash(1)
        ^ pl.col("classname").hash(2)
        ^ pl.col("name").hash(3)
        ^ pl.col("file").hash(4)
    ).to_series()
    if hashes.n_unique() == len(hashes):
        return cases.with_columns(index, final), set()
    alike = hashes.is_duplicated()
    some = cases.with_row_index("position").filter(alike).select("position", "report", *_TEST, "outcome")
    retrying = pl.Series([dialect in REPEATING for dialect in dialects], dtype=pl.Boolean())
    repeated = set(some.filter(some.select("report", *_TEST).is_duplicated())["report"].to_list())
    found: dict[int, tuple[int, bool]] = {}
    for _, rows in some.filter(retrying.gather(some["report"])).group_by("report", maintain_order=True):
        found |= number_retries(
            (position, tuple(key), OUTCOMES[outcome]) for position, _, *key, outcome in rows.iter_rows()
        )
    if found:
        positions = pl.Series(list(found), dtype=pl.UInt32())
        index = index.scatter(positions, pl.Series([retry for retry, _ in found.values()], dtype=pl.Int32()))
        final = final.scatter(positions, pl.Series([last for _, last in found.values()], dtype=pl.Boolean()))
    return cases.with_columns(index, final), repeated
