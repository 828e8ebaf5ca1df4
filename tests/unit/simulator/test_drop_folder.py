import hashlib
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.simulator.drop_folder import run_files, write_drop_folder
from flakeguard_pipeline.simulator.history import (
    ImperfectionKind,
    SimulatedHistory,
    SimulationParameters,
    simulate,
)
from flakeguard_pipeline.simulator.model import OUTCOMES, PASSED

TAGS = {Outcome.FAILED: "failure", Outcome.ERRORED: "error", Outcome.SKIPPED: "skipped"}
READ_BY_CONTRACT = {
    "id", "run_attempt", "name", "event", "status", "conclusion", "head_branch", "head_sha", "created_at",
    "run_started_at", "updated_at", "html_url", "pull_requests", "repository", "head_repository",
}  # fmt: skip


@pytest.fixture(scope="module")
def history() -> SimulatedHistory:
    return simulate(SimulationParameters())


@pytest.fixture(scope="module")
def drop(history, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("drop")
    write_drop_folder(history, path)
    return path


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.is_dir()}\0".encode())
        if file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _archive(history: SimulatedHistory, index: int, variant: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(run_files(history, index)[f"test-results-{variant}.zip"]))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(history, drop, tmp_path):
    write_drop_folder(simulate(SimulationParameters()), tmp_path / "same")
    write_drop_folder(simulate(SimulationParameters(seed=1)), tmp_path / "other")
    assert _digest(tmp_path / "same") == _digest(drop)
    assert _digest(tmp_path / "other") != _digest(drop)


def test_each_attempt_has_its_folder_by_day(history, drop):
    found = {file.parent.relative_to(drop).as_posix() for file in drop.rglob("run.json")}
    assert found == {f"acme/shop/{run.run_started_at:%Y/%m/%d}/{run.run_id}-{run.run_attempt}" for run in history.runs}
    assert not list(drop.rglob(".*"))


def test_run_json_has_what_the_contract_reads(history):
    for index, run in enumerate(history.runs):
        document = json.loads(run_files(history, index)["run.json"])
        assert document.keys() >= READ_BY_CONTRACT
        assert (document["id"], document["run_attempt"], document["head_sha"]) == (
            run.run_id, run.run_attempt, run.sha,
        )  # fmt: skip
        repository = document["repository"]
        assert (repository["id"], repository["full_name"], repository["default_branch"]) == (
            482_117_093, "acme/shop", "main",
        )  # fmt: skip
        assert repository["owner"]["login"] == "acme"
        assert [each["number"] for each in document["pull_requests"]] == (
            [run.pull_request.number] if run.pull_request else []
        )
        assert datetime.fromisoformat(document["run_started_at"]) == run.run_started_at
        assert (document["conclusion"] is None) == (document["status"] == "in_progress")


def test_job_json_names_a_job_for_each_artifact(history):
    for index, run in enumerate(history.runs):
        jobs = json.loads(run_files(history, index)["job.json"])["jobs"]
        assert [job["name"] for job in jobs] == [
            "Test results (ubuntu-py311)", "Test results (windows-py311)", "lint",
        ]  # fmt: skip
        assert {(job["run_id"], job["run_attempt"]) for job in jobs} == {(run.run_id, run.run_attempt)}
        assert all((job["conclusion"] is None) == (job["completed_at"] is None) for job in jobs)


def test_reports_say_what_was_simulated(history):
    """Every execution of every readable report, against the arrays."""
    faulty = {(fault.run, fault.variant) for fault in history.imperfections}
    compared = 0
    for index, run in enumerate(history.runs):
        for place, variant in enumerate(history.parameters.variants):
            if (index, place) in faulty or run.jobs[place].completed_at is None:
                continue
            cases = {}
            with _archive(history, index, variant) as archive:
                assert archive.testzip() is None
                for name in archive.namelist():
                    for case in ET.fromstring(archive.read(name)).iter("testcase"):
                        key = case.get("classname"), case.get("name")
                        assert cases.setdefault(key, case) is case
            assert len(cases) == 60
            for number, test in enumerate(history.tests):
                case = cases[test.classname, test.name]
                outcome = OUTCOMES[history.outcomes[index, place, number]]
                tags = [child.tag for child in case if child.tag != "system-out"]
                failed_tries = int(history.failed_tries[index, place, number])
                if outcome is Outcome.PASSED:
                    assert tags == ["flakyFailure"] * failed_tries
                else:
                    again = {"failure": "rerunFailure", "error": "rerunError"}.get(TAGS[outcome])
                    assert tags == [TAGS[outcome]] + [again] * (failed_tries - 1)
                assert float(case.get("time")) == int(history.durations_us[index, place, number]) // 1000 / 1000
                compared += 1
    assert compared > 25_000


def test_both_styles_of_retries_occur(history):
    texts = []
    for index in range(len(history.runs)):
        for name, data in run_files(history, index).items():
            if name.endswith("ubuntu-py311.zip"):
                texts.append(data.decode(errors="replace"))
    for tag in ("<flakyFailure ", "<rerunFailure ", "<rerunError ", "<skipped ", "<error "):
        assert any(tag in text for text in texts), tag


def test_suite_counts_agree_with_their_cases(history):
    with _archive(history, 0, "ubuntu-py311") as archive:
        for name in archive.namelist():
            root = ET.fromstring(archive.read(name))
            suite = root if root.tag == "testsuite" else root[0]
            assert int(suite.get("tests")) == len(suite.findall("testcase"))
            assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
            assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))


def test_the_planted_imperfections_are_the_only_ones(history, drop):
    faults = {fault.kind: fault for fault in history.imperfections}
    assert set(faults) == set(ImperfectionKind)
    unreadable, empty, not_zip = [], [], []
    for index, run in enumerate(history.runs):
        for name, data in run_files(history, index).items():
            if not name.endswith(".zip"):
                continue
            place = history.parameters.variants.index(name.removeprefix("test-results-").removesuffix(".zip"))
            if not zipfile.is_zipfile(io.BytesIO(data)):
                not_zip.append((index, place))
                continue
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for report in archive.namelist():
                    content = archive.read(report)
                    if not content:
                        empty.append((index, place, report))
                        continue
                    try:
                        ET.fromstring(content)
                    except ET.ParseError:
                        unreadable.append((index, place, report))
                        assert content.count(b"<testcase ") >= 3
        artifacts = sum(name.endswith(".zip") for name in run_files(history, index))
        assert artifacts == (1 if index == faults[ImperfectionKind.IN_PROGRESS].run else 2), run
    truncated, hollow = faults[ImperfectionKind.TRUNCATED_REPORT], faults[ImperfectionKind.EMPTY_REPORT]
    assert unreadable == [(truncated.run, truncated.variant, truncated.report)]
    assert empty == [(hollow.run, hollow.variant, hollow.report)]
    assert not_zip == [(faults[ImperfectionKind.NOT_A_ZIP].run, faults[ImperfectionKind.NOT_A_ZIP].variant)]


def test_a_history_without_imperfections_is_whole(tmp_path):
    history = simulate(SimulationParameters(days=10, imperfections=False))
    for index in range(len(history.runs)):
        for variant in history.parameters.variants:
            with _archive(history, index, variant) as archive:
                total = sum(
                    len(ET.fromstring(archive.read(name)).findall(".//testcase")) for name in archive.namelist()
                )
            assert total == 60


def test_archives_have_sorted_names_and_one_time(history):
    with _archive(history, 3, "windows-py311") as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {(info.date_time, info.create_system) for info in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}


def test_a_killed_writer_can_be_started_again(tmp_path):
    history = simulate(SimulationParameters(days=10, tests=20, retried_tests=2))
    write_drop_folder(history, tmp_path)
    whole = _digest(tmp_path)
    folders = sorted(file.parent for file in tmp_path.rglob("run.json"))
    stamps = {folder: (folder / "run.json").stat().st_mtime_ns for folder in folders}
    # as a kill leaves it: a folder half-written under its temporary name
    half = folders[2].rename(folders[2].with_name(f".{folders[2].name}.unfinished"))
    (half / "job.json").unlink()
    # and what somebody else left: changed bytes, a missing file, one too many, a folder that isn't ours
    (folders[0] / "run.json").write_bytes(b"{}")
    (folders[1] / "job.json").unlink()
    (folders[3] / "extra.txt").write_text("x")
    write_drop_folder(history, tmp_path)
    assert _digest(tmp_path) == whole
    assert (folders[4] / "run.json").stat().st_mtime_ns == stamps[folders[4]]
    (tmp_path / "other").mkdir()
    write_drop_folder(history, tmp_path)
    assert (tmp_path / "other").is_dir()


def test_only_failures_carry_output_and_not_much_of_it(history):
    with _archive(history, 0, "ubuntu-py311") as archive:
        cases = [c for name in archive.namelist() for c in ET.fromstring(archive.read(name)).iter("testcase")]
    plain = (history.outcomes[0, 0] == PASSED) & (history.failed_tries[0, 0] == 0)
    assert sum(len(case) == 0 for case in cases) == plain.sum()
    outputs = [element.text for case in cases for element in case.iter("system-out")]
    assert len(outputs) == history.failed_tries[0, 0].sum() >= 1
    assert all(100 < len(output) < 2_000 for output in outputs)
