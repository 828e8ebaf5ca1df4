"""What other parsers' own tests expect of real reports, and what real reports hold that nobody expected.

The data are not in the repository. FLAKEGUARD_TEST_DATA names the folder that holds them.
"""

import csv
import os
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReasonCode
from flakeguard_pipeline.parsing.reports import parse_report
from tests.support.report_frames import assert_equal, is_sound, read_alone, read_together

VARIABLE = "FLAKEGUARD_TEST_DATA"
OZONE = "ozone-2020-2021.tar.xz"
OZONE_SAMPLE = 60
OZONE_EVERY = 7
"""Every so many of the archive's reports are in the sample, so that it is not of one build alone."""


@dataclass(frozen=True)
class Policy:
    """Where we count differently from a parser, on purpose."""

    ours: dict[str, int]
    why: str


POLICIES = {
    "mikepenz/test_results/flaky_retries/flaky_success_first.xml": Policy(
        {"tests": 2, "failures": 1},
        "a repeat of a test that passed is a test of its own: parametrised tests often share a name",
    ),
}
"""Documented in docs/reference/reports.md, under `Where readers disagree`."""

FITTING = {ReasonCode.NOT_WELL_FORMED, ReasonCode.EMPTY_FILE, ReasonCode.UNSUPPORTED_ENCODING}


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with the data."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with real reports")
    return Path(folder)


@pytest.fixture(scope="module")
def corpus(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of other parsers' tests, unpacked."""
    folder = tmp_path_factory.mktemp("corpus")
    with tarfile.open(data / "junit-corpus.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def counted(report: ParsedReport, *, merged: bool) -> dict[str, int]:
    """Return the numbers that others state, over final executions; `merged` counts errors among the failures."""
    outcomes = Counter(case.outcome for case in report.cases if case.is_final)
    failures, errors = outcomes[Outcome.FAILED], outcomes[Outcome.ERRORED]
    return {
        "tests": outcomes.total(),
        "failures": failures + errors if merged else failures,
        "skipped": outcomes[Outcome.SKIPPED],
    } | ({} if merged else {"errors": errors})


def flakes(report: ParsedReport) -> int:
    """Return how many failures came before a pass of the same test."""
    return sum(case.retry_index for case in report.cases if case.is_final and case.outcome is Outcome.PASSED)


def test_reports_have_the_numbers_that_their_own_parsers_state(data: Path, corpus: Path) -> None:
    checked, differences = 0, {}
    for row in rows(data / "junit-expected.csv"):
        if row["outcome"] != "parse":
            continue
        report = parse_report((corpus / row["path"]).read_bytes())
        ours = counted(report, merged="merged" in row["basis"] or not row["errors"])
        wanted = {name: int(row[name]) for name in ours if row[name]}
        policy = POLICIES.get(row["path"])
        if policy is not None:
            assert policy.ours.items() <= ours.items()
            assert {name: ours[name] for name in policy.ours} != {name: wanted[name] for name in policy.ours}, (
                f"{row['path']} needs no policy any more"
            )
        elif not wanted.items() <= ours.items():
            differences[row["path"]] = (wanted, ours)
        if row["flaky"]:
            # parsers count tests or attempts
            assert (flakes(report) > 0) == (int(row["flaky"]) > 0), row["path"]
        checked += 1
    assert differences == {}
    assert checked > len(POLICIES)


def test_what_others_reject_is_rejected_with_a_reason(data: Path, corpus: Path) -> None:
    rejected = [row["path"] for row in rows(data / "junit-expected.csv") if row["outcome"] == "reject"]
    assert rejected
    for path in rejected:
        report = parse_report((corpus / path).read_bytes())
        assert report.cases == ()
        assert {issue.code for issue in report.issues} & FITTING, path


def test_hostile_reports_are_read_to_the_same_result_each_time(data: Path, corpus: Path) -> None:
    paths = [row["path"] for row in rows(data / "junit-hostile.csv")]
    assert paths
    documents = [(corpus / path).read_bytes() for path in paths]
    alone = [read_alone(document) for document in documents]
    for document, read in zip(documents, alone, strict=True):
        assert_equal(read_alone(document), read)
        assert parse_report(document) == parse_report(document)
    for path, read, together in zip(paths, alone, read_together(documents), strict=True):
        assert_equal(together, read)
        if not is_sound(read):
            assert {issue.code for issue in read[1].issues} <= FITTING | {ReasonCode.ENTITY_DECLARATION}, path


def test_all_files_of_the_corpus_read_the_same_together_and_alone(corpus: Path) -> None:
    documents = [file.read_bytes() for file in sorted(corpus.rglob("*")) if file.is_file()]
    for document, together in zip(documents, read_together(documents), strict=True):
        assert_equal(together, read_alone(document))


def test_reports_of_a_real_build_are_read(data: Path) -> None:
    if not (data / OZONE).exists():
        pytest.skip(f"{VARIABLE} holds no {OZONE}")
    documents: list[bytes] = []
    seen = 0
    with tarfile.open(data / OZONE) as archive:
        for member in archive:
            if not member.name.endswith(".xml"):
                continue
            seen += 1
            file = archive.extractfile(member) if seen % OZONE_EVERY == 0 else None
            if file is not None:
                documents.append(file.read())
            if len(documents) == OZONE_SAMPLE:
                break
    assert len(documents) == OZONE_SAMPLE
    executions = 0
    for document, together in zip(documents, read_together(documents), strict=True):
        alone = read_alone(document)
        assert alone[1].is_report
        executions += alone[1].count
        assert alone[1].count or alone[1].issues
        assert_equal(together, alone)
    assert executions > OZONE_SAMPLE
