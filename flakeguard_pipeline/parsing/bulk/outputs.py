"""Captured output, put to the test cases that failed: their own, else their suite's."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from flakeguard_pipeline.parsing.bulk import tables
from flakeguard_pipeline.parsing.bulk.simple import SimpleReport
from flakeguard_pipeline.parsing.elements import joined_outputs, new_output
from flakeguard_pipeline.parsing.junit import MAX_WAITING_FOR_OUTPUT
from flakeguard_pipeline.parsing.text import HeadTail

_OUTPUT = b"<system-"
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")

Texts = dict[tuple[Any, ...], str]
"""What is kept of the output of a test case (by row) or a suite (by report and number)."""


def with_outputs(
    reports: Sequence[SimpleReport], document: bytes, cases: pl.DataFrame, failed: pl.DataFrame
) -> tuple[pl.DataFrame, set[int]]:
    """Return `cases` with the output of those that failed; and the reports with characters in it that XML forbids.

    Args:
        reports: the reports.
        document: all of them joined.
        cases: the test cases, `row` by `row`.
        failed: those of them that failed.
    """
    writing = [number for number in failed["report"].unique().sort().to_list() if reports[number].holds(_OUTPUT)]
    if not writing:
        return cases, set()
    if len(writing) < len(reports):
        document = tables.joined([reports[number] for number in writing])
    wanted = failed.filter(pl.col("report").is_in(pl.Series(writing, dtype=pl.UInt32()).implode())).select(
        pl.col("row").alias("failed_row"), *tables.CASE
    )
    texts = _joined(_told("outputs", document, writing).join(wanted, on=tables.CASE), ["failed_row"])
    lacking = [row for row in wanted.rows() if not texts.get(row[:1])]
    if lacking:
        texts |= _of_suites(lacking, _told("suite_outputs", document, writing))
    if not texts:
        return cases, set()
    odd = {(row,) for (row,), text in texts.items() if _FORBIDDEN.search(text)}
    rows = pl.Series([row for (row,) in texts], dtype=pl.UInt32())
    output = tables.placed(pl.Series("output", list(texts.values())), rows, cases.height)
    return cases.with_columns(output), {row[1] for row in wanted.rows() if row[:1] in odd}


def _of_suites(lacking: list[tuple[Any, ...]], outputs: pl.DataFrame) -> Texts:
    """Return the output of their suite for test cases (row, report, suite, case) that have none of their own."""
    suites = pl.DataFrame([row[1:3] for row in lacking], schema=dict.fromkeys(tables.SUITE, pl.UInt32()), orient="row")
    of_suites = _joined(outputs.join(suites.unique(), on=tables.SUITE), tables.SUITE)
    told: Counter[tuple[Any, ...]] = Counter()
    texts: Texts = {}
    for row in lacking:
        suite = row[1:3]
        told[suite] += 1
        if told[suite] <= MAX_WAITING_FOR_OUTPUT and of_suites.get(suite):
            texts[row[:1]] = of_suites[suite]
    return texts


def _told(name: str, document: bytes, writing: list[int]) -> pl.DataFrame:
    outputs = tables.table(tables.parse(name, document), "children")
    numbers = pl.Series(writing, dtype=pl.UInt32())
    return outputs.with_columns(numbers.gather(outputs["report"]).alias("report"))


def _joined(outputs: pl.DataFrame, key: list[str]) -> Texts:
    kept: dict[tuple[Any, ...], list[HeadTail]] = {}
    for *owner, out, err in outputs.sort(*key, "child").select(*key, "out", "err").iter_rows():
        new_output(kept.setdefault(tuple(owner), [])).add(out or err or "")
    return {owner: joined_outputs(buffers) for owner, buffers in kept.items()}
