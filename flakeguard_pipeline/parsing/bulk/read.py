"""Many JUnit reports to one frame, by a compiled parser.

The kernel hands back what it cannot read, and so does this module with what takes more than columns (what pytest
repeats, where Playwright ran). It is read by document.py; the two agree on every well-formed report, which the tests
hold them to.

Belongs here: columns. Does not belong here: what elements mean (junit.py), which is only repeated for whole columns;
bytes (kernel.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from flakeguard_pipeline.parsing.bulk import layout
from flakeguard_pipeline.parsing.bulk.failures import TEXTS, add_failures
from flakeguard_pipeline.parsing.bulk.marks import writers
from flakeguard_pipeline.parsing.bulk.outcomes import FAILED, OUTCOMES, PASSED
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.cases import CASE_SCHEMA, micros, no_cases
from flakeguard_pipeline.parsing.elements import FIXED_CHARACTERS, LARGEST_CHARACTER
from flakeguard_pipeline.parsing.retries import MAX_WAITING_CHARACTERS, number_retries
from flakeguard_pipeline.parsing.values import duration_us, line_number, timestamp
from flakeguard_pipeline.parsing.writers import PLAYWRIGHT, PYTEST, REPEATING

MAX_BULK_BYTES = 64 * 1024**2
"""Bytes of the largest report that is read in bulk: the columns of its texts may take as many again."""

MAX_BATCH_BYTES = 256 * 1024**2
"""Bytes of reports that are read at once: beyond it nothing is gained."""

_SUITE_TIMES = [layout.SUITE_REPORT, layout.SUITE_PARENT, layout.SUITE_STAMP_AT, layout.SUITE_STAMP_AT + 1]
_TEST = ("suite_number", "suite", "classname", "name", "file")


@dataclass(frozen=True, slots=True)
class BulkReading:
    """What was read: the executions (CASE_SCHEMA), the dialect of each report, None for one that was handed back.

    There may be fewer dialects than reports: the rest found no room, and is to be read by itself.
    """

    cases: pl.DataFrame
    dialects: list[str | None]


def read_bulk(reports: Sequence[bytes]) -> BulkReading:
    """Read reports, which may be of any kind; `report` in the frame is the position among them.

    What comes of a report does not depend on the others. Scanning can be done in threads at once; the rest, which is
    done here, holds the interpreter's lock for most of the time.
    """
    return read_scanned(Scanned(reports)) if reports else BulkReading(no_cases(), [])


def read_scanned(scanned: Scanned) -> BulkReading:
    """Read reports that were scanned before, as `read_bulk`."""
    if not len(scanned.cases):
        return BulkReading(no_cases(), [None] * scanned.done)
    cases = _cases(scanned)
    # a status may say that a case has failed, and its output is wanted then, though no element tells of it
    if len(scanned.children) or cases["outcome"].max() != PASSED:
        cases = add_failures(scanned, cases)
    found, pytests = writers(scanned)
    dialects = found[: scanned.done]
    cases, repeated = _with_retries(cases, dialects)
    if repeated:
        pytests |= set(cases.filter(pl.col("suite") == PYTEST)["report"].unique().to_list())
    # what pytest repeats, where Playwright ran, and failures that do not all wait take more than columns
    refused = {number for number in repeated if dialects[number] == PYTEST or number in pytests}
    refused |= {number for number, dialect in enumerate(dialects) if dialect == PLAYWRIGHT}
    refused |= _with_many_failures(cases, repeated)
    dialects = [None if number in refused else dialect for number, dialect in enumerate(dialects)]
    outcomes = pl.Series("outcome", [outcome.value for outcome in OUTCOMES]).gather(cases["outcome"])
    if refused:
        kept = ~cases["report"].is_in(pl.Series(sorted(refused), dtype=pl.UInt32()).implode())
        return BulkReading(cases.with_columns(outcomes).filter(kept).select(*CASE_SCHEMA), dialects)
    return BulkReading(cases.with_columns(outcomes).select(*CASE_SCHEMA), dialects)


def _cases(scanned: Scanned) -> pl.DataFrame:
    """Return the test cases with what their suites lend them, as if all had passed but for their status."""
    height = len(scanned.cases)
    suites = scanned.cases[:, layout.CASE_SUITE]
    nothing = pl.Series("", [""]).new_from_index(0, height)
    return pl.DataFrame(
        [
            pl.Series("suite_number", suites.astype(np.uint32)),
            pl.Series("report", scanned.cases[:, layout.CASE_REPORT].astype(np.uint32)),
            pl.Series("ordinal", np.ascontiguousarray(scanned.cases[:, layout.CASE_ORDINAL])),
            _lent(scanned, layout.SUITE_NAME, layout.SUITE_NAME_ROW).alias("suite"),
            _own(scanned, layout.CLASSNAME).alias("classname"),
            _own(scanned, layout.NAME).alias("name"),
            _files(scanned).alias("file"),
            _lines(scanned),
            pl.Series("outcome", scanned.cases[:, layout.CASE_OUTCOME].astype(np.uint8)),
            _durations(scanned),
            _starts(scanned),
            *(nothing.alias(name) for name in ("environment", *TEXTS)),
        ]
    )


def _own(scanned: Scanned, text: int) -> pl.Series:
    if not scanned.has(text):
        return pl.Series("", [""]).new_from_index(0, len(scanned.cases))
    return scanned.column(text, len(scanned.cases))


def _lent(scanned: Scanned, text: int, row_column: int) -> pl.Series:
    """Return a text of the suite of each case, which may be that of a suite around it."""
    if not scanned.has(text):
        return pl.Series("", [""]).new_from_index(0, len(scanned.cases))
    rows = scanned.suites[:, row_column][scanned.cases[:, layout.CASE_SUITE]]
    return scanned.column(text, len(scanned.suites)).gather(pl.Series(rows.astype(np.uint32)))


def _files(scanned: Scanned) -> pl.Series:
    lent = _lent(scanned, layout.SUITE_FILE, layout.SUITE_FILE_ROW)
    if not scanned.has(layout.FILE):
        return lent
    own = scanned.column(layout.FILE, len(scanned.cases))
    return lent.zip_with(own == "", own) if scanned.has(layout.SUITE_FILE) else own


def _lines(scanned: Scanned) -> pl.Series:
    values = scanned.lines
    if values.max() == layout.ABSENT and values.min() == layout.ABSENT:
        return pl.Series("line", [None], dtype=pl.Int32()).new_from_index(0, len(values))
    series = pl.Series("line", values)
    read = series.set(series < 0, None)
    odd = (values == layout.ODD).nonzero()[0]
    if not len(odd):
        return read
    spans = _spans(scanned, odd, layout.CASE_LINE_AT)
    return read.scatter(odd, pl.Series([line_number(scanned.value(*span)) for span in spans], dtype=pl.Int32()))


def _durations(scanned: Scanned) -> pl.Series:
    """Return microseconds; what is no plain number is read one by one as elsewhere."""
    series = pl.Series("duration_us", scanned.durations)
    if scanned.durations.min() >= 0:
        return series
    read = series.set(series < 0, None)
    odd = (scanned.durations == layout.ODD).nonzero()[0]
    if not len(odd):
        return read
    spans = _spans(scanned, odd, layout.CASE_TIME_AT)
    return read.scatter(odd, pl.Series([duration_us(scanned.value(*span)) for span in spans], dtype=pl.Int64()))


def _starts(scanned: Scanned) -> pl.Series:
    """Return when each case started: what it says itself, else its suite, else the suite around that."""
    of_suites: list[int | None] = []
    for report, parent, start, length in scanned.suites[:, _SUITE_TIMES].tolist():
        moment = timestamp(scanned.value(report, start, length)) if start >= 0 else None
        inherited = of_suites[parent] if parent >= 0 else None
        of_suites.append(inherited if moment is None else micros(moment))
    known = pl.Series(of_suites, dtype=pl.Int64())
    lent = known.gather(pl.Series(scanned.cases[:, layout.CASE_SUITE].astype(np.uint32)))
    starts = scanned.cases[:, layout.CASE_STAMP_AT]
    said = (starts >= 0).nonzero()[0]
    if len(said):
        moments = [timestamp(scanned.value(*span)) for span in _spans(scanned, said, layout.CASE_STAMP_AT)]
        kept = [place for place, moment in enumerate(moments) if moment is not None]
        values = [micros(moment) for moment in moments if moment is not None]
        lent = lent.scatter(said[kept], pl.Series(values, dtype=pl.Int64()))
    return lent.cast(CASE_SCHEMA["started_at"]).alias("started_at")


def _spans(scanned: Scanned, rows: npt.NDArray[np.intp], at: int) -> list[list[int]]:
    """Return report, position and length of a value of some cases."""
    spans: list[list[int]] = scanned.cases[rows][:, [layout.CASE_REPORT, at, at + 1]].tolist()
    return spans


def _with_many_failures(cases: pl.DataFrame, repeated: set[int]) -> set[int]:
    """Return those of the reports that repeat a test whose failures may be too many to wait for their retries."""
    if not repeated:
        return set()
    numbers = pl.Series(sorted(repeated), dtype=pl.UInt32()).implode()
    size = sum(
        (pl.col(name).str.len_bytes().cast(pl.Int64()) for name in ("classname", "name", "file", *TEXTS)), pl.lit(0)
    )
    waiting = (
        cases.filter((pl.col("outcome") >= FAILED) & pl.col("report").is_in(numbers))
        .group_by("report")
        .agg((size * LARGEST_CHARACTER + FIXED_CHARACTERS).sum().alias("characters"))
        .filter(pl.col("characters") > MAX_WAITING_CHARACTERS)
    )
    return set(waiting["report"].to_list())


def _with_retries(cases: pl.DataFrame, dialects: Sequence[str | None]) -> tuple[pl.DataFrame, set[int]]:
    """Number the retries by the rule of retries.py; return the reports that repeat any test, too."""
    index = pl.Series("retry_index", [0], dtype=pl.Int32()).new_from_index(0, cases.height)
    final = pl.Series("is_final", [True], dtype=pl.Boolean()).new_from_index(0, cases.height)
    # equal hashes find what is in question; chance ones among them do no harm
    hashes = cases.select(
        pl.col("suite_number").hash(5) ^ pl.col("classname").hash(2) ^ pl.col("name").hash(3)
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
