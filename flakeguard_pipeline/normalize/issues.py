"""What makes a report that was read less useful than it could be: counted while its executions go by."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from flakeguard_pipeline.domain.model import IssueCode, Outcome, ReportContext
from flakeguard_pipeline.normalize.identity import folded
from flakeguard_pipeline.parsing.cases import micros

LONG_NAME_CHARACTERS = 1_000
"""Beyond it a name holds data, not a name; other tools cut or refuse it."""

CLOCK_SKEW_US = 24 * 3600 * 1_000_000
"""A day: time stamps without a zone are up to 14 hours off, which is nobody's fault."""


@dataclass(frozen=True, slots=True)
class FoundIssue:
    """One kind of oddity of one report: how many executions have it, and the name of the first that does."""

    code: IssueCode
    occurrences: int
    example: str


def find_issues(
    cases: pl.DataFrame, executions: pl.DataFrame, contexts: Sequence[ReportContext]
) -> dict[int, list[FoundIssue]]:
    """Return what is odd about each report, by its number, in the order of the codes.

    Args:
        cases: executions as their reports tell them (CASE_SCHEMA), some or all of each report.
        executions: the same executions, in the same order, as the warehouse takes them.
        contexts: what is known of each report.
    """
    if not cases.height:
        return {}
    starts = pl.Series([micros(context.run_started_at) for context in contexts], dtype=pl.Int64())
    ends = pl.Series(
        [None if context.known_at is None else micros(context.known_at) for context in contexts], dtype=pl.Int64()
    )
    started_at = cases["started_at"].dt.epoch("us")
    executed = cases["outcome"] != Outcome.SKIPPED.value
    name, raw_name = executions["name"], executions["raw_name"]
    tests = pl.DataFrame({"report": cases["report"], "key": executions["test_key"], "variant": executions["variant"]})
    firsts = tests.filter(cases["retry_index"] == 0)
    repeated = pl.Series([False], dtype=pl.Boolean()).new_from_index(0, cases.height)
    repeated = repeated.scatter((cases["retry_index"] == 0).arg_true(), firsts.is_duplicated())
    marks = {
        IssueCode.FUTURE_TIMESTAMP: (started_at - ends.gather(cases["report"]) > CLOCK_SKEW_US),
        IssueCode.LONG_NAME: raw_name.str.len_chars() > LONG_NAME_CHARACTERS,
        IssueCode.NO_DURATION: executed & cases["duration_us"].is_null(),
        IssueCode.NO_LOCATION: (cases["classname"] == "") & (cases["file"] == ""),
        IssueCode.NO_NAME: name == "",
        IssueCode.REPEATED_NAME: repeated & (name != ""),
        IssueCode.STALE_TIMESTAMP: (starts.gather(cases["report"]) - started_at > CLOCK_SKEW_US),
        IssueCode.UNSTABLE_NAME: _replaced(name, raw_name),
    }
    found: dict[int, list[FoundIssue]] = {}
    for code, mark in marks.items():
        if not mark.any():
            continue
        concerned = (
            pl.DataFrame({"report": cases["report"], "name": raw_name})
            .filter(mark.fill_null(value=False))
            .group_by("report", maintain_order=True)
            .agg(pl.len(), pl.col("name").first())
        )
        for report, occurrences, example in concerned.iter_rows():
            found.setdefault(report, []).append(FoundIssue(code, occurrences, example[:LONG_NAME_CHARACTERS]))
    return found


def _replaced(names: pl.Series, raw_names: pl.Series) -> pl.Series:
    """Tell which names are neither as reported nor only folded, which most of those that differ are."""
    mark = names != raw_names
    if not mark.any():
        return mark
    some = [name != folded(raw) for name, raw in zip(names.filter(mark), raw_names.filter(mark), strict=True)]
    return mark.scatter(mark.arg_true(), some)


def merged(one: Sequence[FoundIssue], other: Sequence[FoundIssue]) -> list[FoundIssue]:
    """Return the issues of a report that went by in two parts."""
    by_code = {issue.code: issue for issue in one}
    for issue in other:
        earlier = by_code.get(issue.code)
        by_code[issue.code] = (
            issue
            if earlier is None
            else FoundIssue(issue.code, earlier.occurrences + issue.occurrences, earlier.example)
        )
    return [by_code[code] for code in sorted(by_code)]
