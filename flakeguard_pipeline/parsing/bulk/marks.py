"""Which writers simple reports are from: their beginnings, up to the first test case, are parsed together."""

from collections.abc import Sequence

from flakeguard_pipeline.parsing.bulk.simple import SimpleReport
from flakeguard_pipeline.parsing.bulk.tables import joined, parse, table
from flakeguard_pipeline.parsing.writers import ROOT_MARKS, SCHEMA, SUITE_MARKS, writer_of

_CASE = b"<testcase"


def writers(reports: Sequence[SimpleReport]) -> list[str | None]:
    """Return the dialect of each report whose first suite begins with its first test case, None for others.

    Raises ParseFaultError where a beginning is not what it looks like (a comment with a test case in it).
    """
    suites = table(parse("marks", joined([_beginning(report) for report in reports])), "suites")
    found: list[str | None] = [None] * len(reports)
    root_marks = [f"root_{name}" for name in ROOT_MARKS]
    suite_marks = [f"suite_{name}" for name in (*SUITE_MARKS, SCHEMA)]
    rows = suites.unique("report", keep="first", maintain_order=True).select("report", *root_marks, *suite_marks)
    # the reports of one project are mostly alike but for their times
    for number, *values in rows.iter_rows():
        root = _said(ROOT_MARKS, values[: len(root_marks)])
        suite = _said((*SUITE_MARKS, SCHEMA), values[len(root_marks) :])
        if reports[number].is_single_suite:
            found[number] = writer_of("testsuite", suite, suite)
        else:
            found[number] = writer_of("testsuites", root, suite)
    return found


def _said(names: Sequence[str], values: Sequence[str | None]) -> dict[str, str]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _beginning(report: SimpleReport) -> SimpleReport:
    end = report.data.find(_CASE, report.start)
    end = len(report.data) if end < 0 else end
    closing = b"</testsuite>" if report.is_single_suite else b"</testsuite></testsuites>"
    return SimpleReport(report.data[report.start : end] + closing, 0, report.is_single_suite, tags=0)
