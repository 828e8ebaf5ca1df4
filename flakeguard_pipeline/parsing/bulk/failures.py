"""Failures, errors and skips, put to the test cases that they belong to.

One element a case is the rule and is done in columns; a case with several goes through the same functions that
junit.py uses.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.bulk import tables
from flakeguard_pipeline.parsing.bulk.outputs import with_outputs
from flakeguard_pipeline.parsing.bulk.simple import SimpleReport
from flakeguard_pipeline.parsing.bulk.tables import placed
from flakeguard_pipeline.parsing.elements import (
    MAX_FAILURES_PER_CASE,
    Execution,
    Failure,
    describe,
)
from flakeguard_pipeline.parsing.text import MAX_ATTRIBUTE, MAX_FAILURE_TEXT, bounded, first_line

OUTCOMES = (Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED, Outcome.ERRORED)
"""Outcomes by their code, while columns are computed: from FAILED on they are failures."""

PASSED, SKIPPED, FAILED = range(3)

TEXTS = ("failure_type", "failure_message", "failure_text", "output")
"""Columns that are empty for most executions."""

_SAID = TEXTS[:-1]
_PARTS = ("message", "type", "text")
_KINDS = {"failure": Outcome.FAILED, "error": Outcome.ERRORED, "skipped": Outcome.SKIPPED}


def add_failures(
    reports: Sequence[SimpleReport], document: bytes, cases: pl.DataFrame, firsts: pl.DataFrame, children: pl.DataFrame
) -> tuple[pl.DataFrame, set[int]]:
    """Return `cases` with what failed, was skipped and was written; and the reports that must be read otherwise.

    Args:
        reports: the reports.
        document: all of them joined.
        cases: the test cases, `row` by `row`.
        firsts: the row that each suite begins at.
        children: the rows of `children.yml`.
    """
    named = children["property_names"].is_not_null()
    stacks = pl.any_horizontal(pl.col(f"{kind}_stack").is_not_null() for kind in _KINDS)
    telling = stacks | pl.col("property_names").str.contains("invocations", literal=True).fill_null(value=False)
    misread = set(children.filter(telling)["report"].to_list())
    children = children.filter(~named)
    misread |= _with_other_elements(document, children)
    found = (
        children.join(firsts.select(*tables.SUITE, "first_row"), on=tables.SUITE)
        .with_columns((pl.col("first_row") + pl.col("case")).alias("row"), _kind())
        .sort("row", "child")
    )
    alone = ~found["row"].is_duplicated()
    parts = [_single(found.filter(alone)), _several(found.filter(~alone))]
    described = pl.concat([part for part in parts if part.height]) if any(part.height for part in parts) else parts[0]
    cases = _described(cases, described)
    failed = cases.filter(pl.col("outcome") >= FAILED)
    if failed.height:
        cases, odd = with_outputs(reports, document, cases, failed)
        misread |= odd
    return cases, misread


def _said(kind: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(f"{kind}_{part}").is_not_null() for part in _PARTS)


def _kind() -> pl.Expr:
    # an element that says nothing is a skip: the reports in which it may be another are read otherwise
    kind = pl.when(_said("error")).then(pl.lit("error")).when(_said("failure")).then(pl.lit("failure"))
    return kind.otherwise(pl.lit("skipped")).alias("kind")


def _with_other_elements(document: bytes, children: pl.DataFrame) -> set[int]:
    """Return the reports with an element that says nothing of itself and is no skip."""
    texts = [name for name in children.columns if name.startswith(("failure_", "error_", "skipped_"))]
    silent = children.filter(pl.all_horizontal(pl.col(name).is_null() for name in texts))
    if not silent.height:
        return set()
    skips = tables.table(tables.parse("skips", document), "children")
    told = children.filter(_said("skipped"))
    silent_skips = dict(skips.group_by("report").len().iter_rows())
    for number, count in told.group_by("report").len().iter_rows():
        silent_skips[number] -= count
    silent_of = dict(silent.group_by("report").len().iter_rows())
    return {number for number, count in silent_of.items() if silent_skips.get(number) != count}


def _words(found: pl.DataFrame) -> pl.DataFrame:
    """Return row, kind, message, type and text of children, whatever their kind; '' where there is none."""
    said = (
        pl.coalesce(f"error_{part}", f"failure_{part}", f"skipped_{part}").fill_null("").alias(part) for part in _PARTS
    )
    return found.select("row", "kind", *said)


def _single(found: pl.DataFrame) -> pl.DataFrame:
    """Return what the one child of a case says: row, outcome, type, message, text."""
    told = _words(found)
    long = (
        (pl.col("message").str.len_bytes() > MAX_ATTRIBUTE)
        | (pl.col("type").str.len_bytes() > MAX_ATTRIBUTE)
        | (pl.col("text").str.len_bytes() > min(MAX_ATTRIBUTE, MAX_FAILURE_TEXT))
    )
    short = told.filter(~long).with_columns(pl.col("message", "type", "text").str.strip_chars())
    line = pl.col("text").str.splitn("\n", 2).struct.field("field_0").str.strip_chars_end()
    skipped = pl.col("kind") == "skipped"
    nothing = pl.lit("")
    columns = short.select(
        "row",
        pl.col("kind")
        .replace_strict({kind: OUTCOMES.index(outcome) for kind, outcome in _KINDS.items()}, return_dtype=pl.UInt8())
        .alias("outcome"),
        pl.when(skipped).then(nothing).otherwise("type").alias("failure_type"),
        pl.when(pl.col("message") == "").then(line).otherwise("message").fill_null("").alias("failure_message"),
        pl.when(skipped).then(nothing).otherwise("text").alias("failure_text"),
    )
    rest = [_told([row]) for row in told.filter(long).iter_rows(named=True)]
    return pl.concat([columns, _frame(rest)]) if rest else columns


def _several(found: pl.DataFrame) -> pl.DataFrame:
    told = _words(found)
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in told.iter_rows(named=True):
        grouped.setdefault(row["row"], []).append(row)
    return _frame([_told(rows) for rows in grouped.values()])


def _told(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what several children of one case say, as JUnitReader has it."""
    execution = Execution("", "", "")
    failures: list[Failure] = []
    skip: Failure | None = None
    for row in rows:
        failure = Failure(_KINDS[row["kind"]], bounded(row["message"]).strip(), bounded(row["type"]).strip())
        failure.text.add(row["text"])
        if failure.outcome is Outcome.SKIPPED:
            skip = failure
            continue
        if len(failures) < MAX_FAILURES_PER_CASE:
            failures.append(failure)
        elif failure.outcome is Outcome.ERRORED:
            failures[-1].outcome = failure.outcome
    if failures:
        errored = any(failure.outcome is Outcome.ERRORED for failure in failures)
        execution.outcome = Outcome.ERRORED if errored else Outcome.FAILED
        describe(execution, failures)
    elif skip is not None:
        execution.outcome = Outcome.SKIPPED
        execution.failure_message = skip.message or first_line(skip.text.text())
    return {"row": rows[0]["row"], "outcome": OUTCOMES.index(execution.outcome)} | {
        name: getattr(execution, name) for name in _SAID
    }


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"row": pl.UInt32(), "outcome": pl.UInt8(), **dict.fromkeys(_SAID, pl.String())})


def _described(cases: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Put what was described into its rows; a skip changes nothing of a case that failed by its status."""
    if not described.height:
        return cases
    failed_before = cases["outcome"].gather(described["row"]) >= FAILED
    described = described.filter(~((described["outcome"] == SKIPPED) & failed_before))
    return cases.with_columns(
        cases["outcome"].scatter(described["row"], described["outcome"]),
        *(placed(described[name], described["row"], cases.height) for name in _SAID),
    )
