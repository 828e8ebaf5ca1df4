"""Failures, errors and skips, put to the test cases that they belong to.

One element a case is the rule and is done in columns; a case with several goes through the same functions that
junit.py uses.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.bulk import layout
from flakeguard_pipeline.parsing.bulk.outcomes import FAILED, OUTCOMES, SKIPPED
from flakeguard_pipeline.parsing.bulk.outputs import outputs_of
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.elements import (
    MAX_FAILURES_PER_CASE,
    Execution,
    Failure,
    describe,
)
from flakeguard_pipeline.parsing.text import MAX_ATTRIBUTE, cut, first_line

TEXTS = ("failure_type", "failure_message", "failure_text", "output")
"""Columns that are empty for most executions."""

_SAID = TEXTS[:-1]
_OUTCOME_OF_KIND = {
    layout.FAILURE: Outcome.FAILED,
    layout.ERROR: Outcome.ERRORED,
    layout.SKIPPED: Outcome.SKIPPED,
}


def add_failures(scanned: Scanned, cases: pl.DataFrame) -> pl.DataFrame:
    """Return `cases`, a row each, with what failed, was skipped and was written."""
    cases = _described(cases, _children(scanned))
    failed = cases["outcome"].to_numpy() >= FAILED
    if failed.any() and len(scanned.outputs):
        rows, texts = outputs_of(scanned, failed)
        cases = cases.with_columns(_placed(texts, rows, cases.height))
    return cases


def _children(scanned: Scanned) -> pl.DataFrame:
    """Return what was said of each case that an element says anything of: row, outcome, type, message, text."""
    count = len(scanned.children)
    if not count:
        return _frame([])
    kinds = scanned.children[:, layout.CHILD_KIND]
    codes = np.zeros(layout.KINDS, np.uint8)
    for kind, outcome in _OUTCOME_OF_KIND.items():
        codes[kind] = OUTCOMES.index(outcome)
    rows = scanned.children[:, layout.CHILD_CASE].astype(np.uint32)
    told = pl.DataFrame(
        [
            pl.Series("row", rows),
            pl.Series("outcome", codes[kinds]),
            scanned.column(layout.MESSAGE, count).alias("message"),
            scanned.column(layout.TYPE, count).alias("type"),
            scanned.column(layout.TEXT, count).alias("text"),
        ]
    )
    # the children of a case stand together
    repeated = np.zeros(count, np.bool_)
    repeated[1:] = rows[1:] == rows[:-1]
    by_themselves = repeated.copy()
    by_themselves[:-1] |= repeated[1:]
    for text in ("message", "type", "text"):
        by_themselves |= (told[text].str.len_bytes() > MAX_ATTRIBUTE).to_numpy()
    by_themselves |= scanned.children[:, layout.CHILD_START] >= 0
    if not by_themselves.any():
        return _single(told)
    return pl.concat([_single(told.filter(~by_themselves)), _one_by_one(scanned, told, by_themselves.nonzero()[0])])


def _single(told: pl.DataFrame) -> pl.DataFrame:
    """Return what the one child of a case says, none of it long."""
    told = told.with_columns(pl.col("message", "type", "text").str.strip_chars())
    line = pl.col("text").str.splitn("\n", 2).struct.field("field_0")
    # the only control that a text can have, brought in by a reference
    line = line.str.replace_all("\r", "", literal=True).str.strip_chars_end()
    skipped = pl.col("outcome") == SKIPPED
    nothing = pl.lit("")
    return told.select(
        "row",
        "outcome",
        pl.when(skipped).then(nothing).otherwise("type").alias("failure_type"),
        pl.when(pl.col("message") == "").then(line).otherwise("message").fill_null("").alias("failure_message"),
        pl.when(skipped).then(nothing).otherwise("text").alias("failure_text"),
    )


def _one_by_one(scanned: Scanned, told: pl.DataFrame, places: npt.NDArray[np.intp]) -> pl.DataFrame:
    """Return what cases with several children say, and children that say much."""
    grouped: dict[int, list[Failure]] = {}
    spans = scanned.children[places][:, [layout.CHILD_START, layout.CHILD_END, layout.CHILD_PLAIN]].tolist()
    reports = scanned.cases[scanned.children[places, layout.CHILD_CASE], layout.CASE_REPORT].tolist()
    chosen = told[pl.Series(places)]
    for (row, outcome, message, kind, text), report, (start, end, plainness) in zip(
        chosen.iter_rows(), reports, spans, strict=True
    ):
        failure = Failure(OUTCOMES[outcome], cut(message).strip(), cut(kind).strip())
        if start >= 0:
            scanned.add_content(failure.text, report, start, end, plainness=plainness)
        else:
            failure.text.add(text)
        grouped.setdefault(row, []).append(failure)
    return _frame([_told(row, failures) for row, failures in grouped.items()])


def _told(row: int, children: list[Failure]) -> dict[str, Any]:
    """Return what the children of one case say, as JUnitReader has it."""
    execution = Execution("", "", "")
    failures: list[Failure] = []
    skip: Failure | None = None
    for failure in children:
        if failure.outcome is Outcome.SKIPPED:
            skip = failure
        elif len(failures) < MAX_FAILURES_PER_CASE:
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
    return {"row": row, "outcome": OUTCOMES.index(execution.outcome)} | {
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
        *(_placed(described[name], described["row"], cases.height) for name in _SAID),
    )


def _placed(values: pl.Series, rows: pl.Series, height: int) -> pl.Series:
    """Return a text column of `height` rows that has `values` at `rows` and is '' elsewhere."""
    return pl.Series(values.name, [""]).new_from_index(0, height).scatter(rows, values)
