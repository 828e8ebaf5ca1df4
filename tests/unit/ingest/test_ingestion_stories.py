"""Stories of ingestion: what is landed and loaded, what is rejected, and that a second time adds nothing."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.landing.zone import LandingZone
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

COUNT = "select count(*) from core.test_execution"


def test_a_run_with_a_zip_an_unpacked_artifact_and_a_bare_report_yields_all_three(place: Place) -> None:
    files = {
        "test-results-linux.zip": zipped({"a.xml": report(case("test_a"))}),
        "test-results-mac/deep/b.xml": report(case("test_a", "failed")),
        "bare.xml": report(case("test_a", "skipped")),
        "notes.txt": b"not a report",
    }
    add_run(place.source.path, run_object(1), files)
    counts = place.ingest()
    assert (counts.attempts, counts.reports, counts.executions, counts.passed_over_files) == (1, 3, 3, 1)
    found = place.rows("select artifact, variant, outcome from core.test_execution order by artifact")
    assert found == [
        ("", "", "skipped"),
        ("test-results-linux", "linux", "passed"),
        ("test-results-mac", "mac", "failed"),
    ]


def test_the_second_time_adds_nothing(place: Place) -> None:
    add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    place.ingest()
    assert place.land().folders == 0
    assert place.load().attempts == 0
    assert place.rows(COUNT) == [(1,)]


def test_the_same_bytes_twice_in_one_attempt_add_nothing(place: Place) -> None:
    same = report(case("test_a"))
    add_run(place.source.path, run_object(1), {"junit.zip": zipped({"r.xml": same}), "junit/r.xml": same})
    add_run(place.source.path, run_object(1), {"junit/r.xml": same}, folder="a-copy-of-the-run")
    assert place.ingest().executions == 1


def test_the_same_bytes_in_another_attempt_are_executions_of_their_own(place: Place) -> None:
    same = report(case("test_a"))
    add_run(place.source.path, run_object(1), {"r.xml": same})
    add_run(place.source.path, run_object(1, run_attempt=2), {"r.xml": same})
    assert place.ingest().executions == 2


def test_a_report_that_arrives_later_is_added_to_its_attempt(place: Place) -> None:
    folder = add_run(place.source.path, run_object(1), {"a.xml": report(case("test_a"))})
    place.ingest()
    (folder / "b.xml").write_bytes(report(case("test_b")))
    place.ingest()
    assert place.rows(COUNT) == [(2,)]
    assert place.rows("select count(*) from core.run_attempt") == [(1,)]


def test_an_unfinished_run_is_recorded_and_taken_up_when_it_has_finished(place: Place) -> None:
    running = run_object(1, status="in_progress", conclusion=None)
    add_run(place.source.path, running, {"r.xml": report(case("test_a"))})
    place.ingest()
    assert place.rows(COUNT) == [(0,)]
    assert place.rows("select status from core.run_attempt") == [("in_progress",)]
    assert place.rows("select path, reason_code from core.rejected_artifact") == [("r.xml", "run_not_completed")]
    add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    place.ingest()
    assert place.rows(COUNT) == [(1,)]
    assert place.rows("select count(*) from core.rejected_artifact") == [(0,)]


def test_what_is_wrong_with_a_file_is_told_without_its_secrets(place: Place) -> None:
    token = "ghp" + "_" + "Zq7" * 12
    files = {
        "encoded.xml": f'<?xml version="1.0" encoding="{token}"?><testsuite/>'.encode(),
        "unsafe.zip": zipped({f"../password={token}/r.xml": report(case("test_a"))}),
    }
    add_run(place.source.path, run_object(1), files)
    place.ingest()
    found = place.rows("select reason_code, detail from core.rejected_artifact order by reason_code")
    assert [code for code, _ in found] == ["unsafe_path", "unsupported_encoding"]
    assert all(token[4:] not in str(detail) for _, detail in found)
    assert "[redacted:github-token]" in str(found[1][1])


def test_a_repository_that_moves_keeps_its_identity_its_org_and_shows_its_latest_name(place: Place) -> None:
    old = {"id": 7, "full_name": "acme/shop", "default_branch": None}
    new = {"id": 7, "full_name": "globex/store", "default_branch": None}
    add_run(place.source.path, run_object(1, repository=old), {"r.xml": report(case("test_a"))})
    add_run(place.source.path, run_object(2, repository=new), {"r.xml": report(case("test_a"))})
    place.ingest()
    assert place.rows("select org, repository_id, full_name, default_branch from core.repository") == [
        ("acme", "github:7", "globex/store", "main")
    ]
    assert place.rows("select count(distinct test_key) from core.test_execution") == [(1,)]


def test_a_run_known_from_its_jobs_alone_is_partial_and_finds_its_repository_later(place: Place) -> None:
    job = {
        "id": 11,
        "run_id": 1,
        "name": "unit",
        "conclusion": "success",
        "head_sha": "c0ffee",
        "started_at": "2026-03-02T10:00:00Z",
        "completed_at": "2026-03-02T10:05:00Z",
        "run_url": "https://api.github.com/repos/acme/shop/actions/runs/1",
    }
    folder = place.source.path / "partial"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"jobs": [job]}))
    (folder / "r.xml").write_bytes(report(case("test_a")))
    place.ingest()
    assert place.rows("select repository_id, is_partial, head_sha from core.run_attempt") == [
        ("github:name:acme/shop", True, "c0ffee")
    ]
    add_run(place.source.path, run_object(2), {"r.xml": report(case("test_a"))})
    place.ingest()
    assert place.rows("select repository_id, count(*) from core.run_attempt group by all") == [("github:7", 2)]
    assert place.rows("select count(distinct test_key) from core.test_execution") == [(1,)]
    assert place.rows("select count(*) from core.repository") == [(1,)]


def test_an_artifact_finds_its_job_by_rule_and_by_folded_name(tmp_path: Path) -> None:
    config = "artifact_jobs:\n  - {artifact: '^it-(?P<x>.+)$', job: 'integration ({x})'}\n"
    place = make_place(tmp_path, config)
    names = {1: "integration (client)", 2: "Unit Tests", 3: "lint"}
    jobs = [{"id": number, "name": name, "conclusion": "success"} for number, name in names.items()]
    files = {
        "it-client/r.xml": report(case("test_a")),
        "unit-tests/r.xml": report(case("test_b")),
        "other/r.xml": report(case("test_c")),
    }
    add_run(place.source.path, run_object(1), files, jobs)
    place.ingest()
    assert place.rows("select artifact, job_id from core.test_execution order by artifact") == [
        ("it-client", "1"),
        ("other", ""),
        ("unit-tests", "2"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "code", "kept"),
    [
        ("r.xml", b"", "empty_file", 0),
        ("r.xml", report(case("test_a"))[:-12] + b"<testcase", "not_well_formed", 1),
        ("r.xml", b"<testsuite name='s'></testsuite>", "no_test_cases", 0),
        ("a.zip", b"this is no zip archive", "not_a_zip", 0),
        ("a.zip", zipped({"../r.xml": report(case("test_a"))}), "unsafe_path", 0),
        (
            "r.xml",
            b'<!DOCTYPE t [<!ENTITY x "y">]><testsuite><testcase name="&x;"/></testsuite>',
            "entity_declaration",
            0,
        ),
    ],
)
def test_what_cannot_be_read_is_kept_with_a_reason(place: Place, name: str, data: bytes, code: str, kept: int) -> None:
    add_run(place.source.path, run_object(1), {name: data, "good.xml": report(case("test_good"))})
    counts = place.ingest()
    assert counts.rejected == {code: 1}
    assert counts.executions == 1 + kept
    row = place.rows("select reason_code, reason <> '', kept_executions from core.rejected_artifact")
    assert row == [(code, True, kept)]


def test_files_of_no_run_and_damaged_run_metadata_are_rejected_and_nothing_else_suffers(place: Place) -> None:
    add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    (place.source.path / "lost.xml").write_bytes(report(case("test_lost")))
    bad = place.source.path / "bad"
    bad.mkdir()
    (bad / "run.json").write_text('{"id": null}')
    (bad / "r.xml").write_bytes(report(case("test_b")))
    place.ingest()
    assert place.rows(COUNT) == [(1,)]
    found = place.rows("select path, reason_code from core.rejected_artifact order by path")
    assert found == [
        ("bad/r.xml", "orphan_report"),
        ("bad/run.json", "bad_run_metadata"),
        ("lost.xml", "orphan_report"),
    ]
    assert place.load().rejected == {}


def test_a_damaged_manifest_is_one_clear_error(place: Place) -> None:
    add_run(place.source.path, run_object(1))
    place.land()
    (manifest,) = Path(place.settings.landing).glob("manifests/2*.jsonl")
    manifest.write_text("{half a line")
    with pytest.raises(LandingError, match="is damaged"):
        list(LandingZone(place.settings.landing).all_folders())


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    runs = [(run_object(number), {"r.xml": report(case("test_a"), case("test_b", "failed"))}) for number in (1, 2, 3)]
    one, other = make_place(tmp_path / "one"), make_place(tmp_path / "other")
    for run, files in runs:
        add_run(one.source.path, run, files)
    one.ingest()
    for run, files in reversed(runs):
        add_run(other.source.path, run, files)
        other.ingest()
    for table in ("run_attempt", "test_execution", "report", "repository", "raw_artifact", "rejected_artifact"):
        mine = one.read(f"select * from core.{table}")
        assert mine.sort(mine.columns).equals(other.read(f"select * from core.{table}").sort(mine.columns)), table


def test_a_changed_variant_rule_loads_everything_again(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    add_run(place.source.path, run_object(1), {"it-client/r.xml": report(case("test_a"))})
    place.ingest()
    assert place.rows("select variant from core.test_execution") == [("it-client",)]
    changed = make_place(tmp_path, "variant: {pattern: '^it-(?P<module>.+)$', shard_like: [module]}\n")
    assert changed.ingest().attempts == 1
    assert changed.rows("select variant from core.test_execution") == [("",)]


def test_what_expires_in_the_source_stays_landed_and_loaded(place: Place) -> None:
    folder = add_run(place.source.path, run_object(1), {"junit.zip": zipped({"r.xml": report(case("test_a"))})})
    place.ingest()
    (folder / "junit.zip").unlink()
    place.ingest()
    assert place.rows(COUNT) == [(1,)]


def test_a_mirror_that_reuses_a_folder_for_the_next_attempt_loses_nothing(place: Place) -> None:
    add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))}, folder="run")
    place.ingest()
    again = run_object(1, run_attempt=2)
    add_run(place.source.path, again, {"r.xml": report(case("test_a"), case("test_b"))}, folder="run")
    place.ingest()
    attempts = "select run_attempt, count(*) from core.test_execution group by all order by all"
    assert place.rows(attempts) == [(1, 1), (2, 2)]
    landed = [(folder.run_attempt, len(folder.files)) for folder in place.zone.all_folders()]
    assert landed == [(1, 2), (2, 2)]
    assert place.land().folders == 0


def test_a_damaged_run_json_that_is_repaired_later_leaves_no_trace(place: Place) -> None:
    add_run(place.source.path, run_object(2), {"r.xml": report(case("test_b"))})
    folder = add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    (folder / "run.json").write_text('{"id": 1, "repos')
    place.ingest()
    assert place.rows("select count(*) from core.rejected_artifact") == [(2,)]
    add_run(place.source.path, run_object(1))
    place.ingest()
    assert place.rows("select count(*) from core.rejected_artifact") == [(0,)]
    assert place.rows(COUNT) == [(2,)]
    assert place.land().folders == 0


def test_a_landing_killed_between_two_manifests_is_repaired(place: Place) -> None:
    folder = add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    place.ingest()
    (manifest,) = Path(place.settings.landing).glob("manifests/*.jsonl")
    before = manifest.read_bytes()
    add_run(place.source.path, run_object(1, started=START + timedelta(days=5)), folder=folder.name)
    place.land()
    manifest.write_bytes(before)  # as if the kill had come before the old day was rewritten
    place.ingest()
    assert [folder.day for folder in place.zone.all_folders()] == ["2026-03-07"]
    assert place.rows("select count(*) from core.run_attempt") == [(1,)]


@pytest.mark.parametrize(
    "run",
    [
        run_object(1, pull_requests=[{"number": 2**40}]),
        run_object(1, repository={"id": 7}),
        run_object(1, repository={"id": 7, "full_name": "/shop"}),
        run_object(1, repository={"id": "\ud800", "full_name": "acme/shop"}),
        run_object(1, head_branch="\ud800\x00", name=17, event=None),
        run_object(1, head_repository=None, pull_requests=None, run_attempt=None),
    ],
)
def test_odd_metadata_are_loaded(place: Place, run: dict[str, object]) -> None:
    add_run(place.source.path, run, {"r.xml": report(case("test_a"))}, jobs=[{"id": "\ud800", "name": None}])
    counts = place.ingest()
    assert (counts.faults, counts.executions) == ([], 1)
    assert place.rows("select count(*) from core.test_execution where org = ''") == [(0,)]


def test_odd_files_and_names_are_loaded_or_rejected_one_by_one(place: Place) -> None:
    files = {
        "x.zip": zipped({"r.xml": report(case("test_a")), "a.zip": zipped({"../e.xml": b"<testsuite/>"})}),
        "x/x.zip": zipped({"r.xml": report(case("test_b")), "b.zip": zipped({"../e.xml": b"<testsuite/>"})}),
        "empty-1.xml": b"",
        "empty-2.xml": b"",
        "garbage.xml": b"\x01\x02 not xml",
        "blank.xml": b"\0\0\0\0",
    }
    folder = add_run(place.source.path, run_object(1), files)
    (folder / os.fsdecode(b"caf\xe9.xml")).write_bytes(report(case("test_c")))
    counts = place.ingest()
    assert (counts.faults, counts.executions) == ([], 3)
    rejected = place.rows("select artifact, path, reason_code from core.rejected_artifact order by all")
    assert rejected == [
        ("", "blank.xml", "empty_file"),
        ("", "empty-1.xml", "empty_file"),
        ("", "empty-2.xml", "empty_file"),
        ("x", "a.zip/../e.xml", "unsafe_path"),
        ("x", "b.zip/../e.xml", "unsafe_path"),
    ]


def test_an_attempt_that_cannot_be_read_does_not_stop_the_others(place: Place) -> None:
    for number in (1, 2):
        add_run(place.source.path, run_object(number), {"r.xml": report(case(f"test_{number}"))})
    place.land()
    (lost,) = (
        f.digest for each in place.zone.all_folders() for f in each.files if each.run_id == "1" if f.kind == "file"
    )
    (Path(place.settings.landing) / "objects" / lost[:2] / lost).unlink()
    counts = place.load()
    assert counts.executions == 1
    assert len(counts.faults) == 1
    assert "run 1/1" in counts.faults[0]


def test_damaged_metadata_beside_good_metadata_are_told(place: Place) -> None:
    folder = add_run(place.source.path, run_object(1), {"r.xml": report(case("test_a"))})
    (folder / "job.json").write_text("[")
    place.ingest()
    assert place.rows("select path, reason_code from core.rejected_artifact") == [("job.json", "bad_job_metadata")]
    assert place.rows(COUNT) == [(1,)]


def test_jobs_of_another_attempt_are_left_out(place: Place) -> None:
    jobs = [
        {"id": 1, "run_id": 1, "run_attempt": 1, "name": "unit"},
        {"id": 2, "run_id": 1, "run_attempt": 2, "name": "unit"},
    ]
    add_run(place.source.path, run_object(1, run_attempt=2), {"unit/r.xml": report(case("test_a"))}, jobs)
    place.ingest()
    assert place.rows("select job_id from core.job") == [("2",)]
    assert place.rows("select job_id from core.test_execution") == [("2",)]


def test_a_name_that_turns_out_to_be_another_repositorys_moves_the_run_and_leaves_nothing_behind(place: Place) -> None:
    job = {
        "id": 11,
        "run_id": 1,
        "started_at": "2026-03-02T10:00:00Z",
        "run_url": "https://api.github.com/repos/acme/shop/actions/runs/1",
    }
    folder = place.source.path / "partial"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"jobs": [job]}))
    (folder / "r.xml").write_bytes(report(case("test_a")))
    add_run(place.source.path, run_object(2))
    place.ingest()
    add_run(place.source.path, run_object(3, repository={"id": 99, "full_name": "acme/shop"}))
    place.ingest()
    found = place.rows("select repository_id, run_id from core.run_attempt order by all")
    assert found == [("github:7", "2"), ("github:99", "1"), ("github:99", "3")]
    assert place.rows("select repository_id from core.test_execution") == [("github:99",)]
