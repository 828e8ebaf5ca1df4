"""Captured output, put to the test cases that failed: their own, else their suite's."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from flakeguard_pipeline.parsing.bulk import layout
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.elements import joined_outputs, new_output
from flakeguard_pipeline.parsing.junit import MAX_WAITING_FOR_OUTPUT
from flakeguard_pipeline.parsing.text import HeadTail


def outputs_of(scanned: Scanned, failed: npt.NDArray[np.bool_]) -> tuple[pl.Series, pl.Series]:
    """Return the rows of failed cases that have output, and what is kept of it.

    Args:
        scanned: the reports.
        failed: whether each case has failed.
    """
    rows = failed.nonzero()[0]
    owners = scanned.outputs[:, layout.OUTPUT_OWNER]
    of_cases = np.zeros(len(owners), np.bool_)
    is_case = owners >= 0
    of_cases[is_case] = failed[owners[is_case]]
    texts = _texts(scanned, of_cases.nonzero()[0])
    suites = scanned.cases[rows, layout.CASE_SUITE]
    lacking = [(row, ~suite) for row, suite in zip(rows.tolist(), suites.tolist(), strict=True) if not texts.get(row)]
    if lacking and not is_case.all():
        wanted = np.isin(owners, np.array([suite for _, suite in lacking], np.int32))
        of_suites = _texts(scanned, wanted.nonzero()[0])
        told: Counter[int] = Counter()
        for row, suite in lacking:
            told[suite] += 1
            if told[suite] <= MAX_WAITING_FOR_OUTPUT and of_suites.get(suite):
                texts[row] = of_suites[suite]
    said = {row: text for row, text in texts.items() if text}
    return pl.Series(list(said), dtype=pl.UInt32()), pl.Series("output", list(said.values()), dtype=pl.String())


def _texts(scanned: Scanned, rows: Iterable[int]) -> dict[int, str]:
    """Return what is kept of the outputs in `rows`, by their owner."""
    kept: dict[int, list[HeadTail]] = defaultdict(list)
    for row in rows:
        owner, start, end, plainness = scanned.outputs[row].tolist()
        report = int(
            scanned.cases[owner, layout.CASE_REPORT] if owner >= 0 else scanned.suites[~owner, layout.SUITE_REPORT]
        )
        scanned.add_content(new_output(kept[owner]), report, start, end, plainness=plainness)
    return {owner: joined_outputs(buffers) for owner, buffers in kept.items()}
