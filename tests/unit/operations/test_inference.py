"""Passes that were not uploaded: small histories of one job, told as drop folders."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.operations.inference import Inference, infer_passes, inference_digest, is_inferred
from flakeguard_pipeline.settings import InferenceSwitches
from flakeguard_pipeline.warehouse.load import core_version
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

DAMAGED = {"tests.zip": b"PK but no archive"}
ON = InferenceSwitches()


def job(number: int, conclusion: str = "success", name: str = "tests", **fields: Any) -> dict[str, Any]:
    """Return a job object; `number` is its id."""
    return {"id": number, "name": name, "conclusion": conclusion, "status": "completed", **fields}


def told(*tests: str, artifact: str = "tests") -> dict[str, bytes]:
    """Return an uploaded report in which tests failed; `name:outcome` says otherwise."""
    cases = [(name, outcome or "failed") for name, _, outcome in (test.partition(":") for test in tests)]
    return {f"{artifact}.zip": zipped({"r.xml": report(*(case(name, outcome) for name, outcome in cases))})}


def add(
    place: Place,
    number: int,
    files: Mapping[str, bytes] | None = None,
    *,
    day: float = 0.0,
    known_after: timedelta = timedelta(minutes=10),
    jobs: Collection[Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Path:
    """Write one run of the job `tests`: it failed where it left files, and succeeded where it left none."""
    started = START + timedelta(days=day, minutes=number)
    made = [job(100 + number, "failure" if files else "success")] if jobs is None else list(jobs)
    updated_at = (started + known_after).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = run_object(number, started=started, **{"updated_at": updated_at, **fields})
    return add_run(place.source.path, run, files, made)


def infer(place: Place, switches: InferenceSwitches = ON) -> Inference:
    with place.warehouse.connect() as connection:
        version = core_version(connection)
    return infer_passes(place.warehouse, switches, core_version=version)


def inferred(place: Place, switches: InferenceSwitches = ON) -> list[tuple[object, ...]]:
    """Load what is new and return run, attempt, job and test of every inferred pass."""
    place.ingest()
    assert infer(place, switches).faults == ()
    return rows(place)


def rows(place: Place) -> list[tuple[object, ...]]:
    return place.rows(
        "select p.run_id || '/' || p.run_attempt, p.job_id, e.name from core.inferred_pass as p "
        "join (select distinct org, repository_id, test_key, variant, name from core.test_execution) as e "
        "using (org, repository_id, test_key, variant) order by all"
    )


# -- the roster ----------------------------------------------------------------------------------------------


def test_a_job_that_succeeded_without_a_report_passed_the_tests_of_two_reports(place: Place) -> None:
    add(place, 1, told("test_a", "test_b", "test_only_here"))
    add(place, 2, told("test_a", "test_b:passed"))
    add(place, 3)
    assert inferred(place) == [("3/1", "103", "test_a"), ("3/1", "103", "test_b")]


def test_one_report_is_no_roster(place: Place) -> None:
    add(place, 1, {"tests/one.xml": report(case("test_a")), "tests/two.xml": report(case("test_a"), case("test_b"))})
    add(place, 2)
    assert inferred(place) == []
    assert place.rows("select count(*) from core.report") == [(2,)]


def test_a_test_that_was_only_skipped_is_not_in_the_roster(place: Place) -> None:
    for number in (1, 2):
        add(place, number, told("test_a", "test_skipped:skipped"))
    add(place, 3)
    assert inferred(place) == [("3/1", "103", "test_a")]


def test_a_report_that_breaks_off_says_nothing_of_the_roster(place: Place) -> None:
    whole = report(case("test_a", "failed"))
    add(place, 1, told("test_a"))
    add(place, 2, {"tests/r.xml": whole.removesuffix(b"</testsuite>")})
    add(place, 3)
    assert inferred(place) == []
    assert place.rows("select executions, is_whole from core.report where run_id = '2'") == [(1, False)]


@pytest.mark.parametrize(("day", "is_in"), [(29.0, True), (30.0, True), (30.01, False)])
def test_reports_of_the_thirty_days_before_count(place: Place, day: float, is_in: bool) -> None:
    add(place, 1, told("test_a"), day=0)
    add(place, 2, told("test_a"), day=1)
    # run ids are minutes: run 1 of the last day starts exactly `day` days after the oldest report
    add(place, 3, day=day - 2 / 1440)
    assert bool(inferred(place)) is is_in


def test_a_report_that_was_known_later_does_not_count(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 2, told("test_a"), known_after=timedelta(hours=5))
    add(place, 3)
    add(place, 4, known_after=timedelta(hours=6))
    assert inferred(place) == [("4/1", "104", "test_a")]


def test_reports_of_later_runs_do_not_count(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 2, known_after=timedelta(hours=6))
    add(place, 3, told("test_a"))
    assert inferred(place) == []


def test_a_job_is_its_workflow_and_its_name(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 2, told("test_a"))
    add(place, 3, told("test_n"), name="nightly")
    add(place, 4, told("test_n"), name="nightly")
    add(place, 5, told("test_other", artifact="other"), jobs=[job(105, "failure", name="other")])
    add(place, 6)
    add(place, 7, name="nightly")
    add(place, 8, jobs=[job(108, name="other")])
    assert inferred(place) == [("6/1", "106", "test_a"), ("7/1", "107", "test_n")]


def test_variants_have_passes_of_their_own(place: Place) -> None:
    artifacts = ("tests-linux", "tests-windows")
    for number in (1, 2):
        files = {**told("test_a", artifact="tests-linux"), **told("test_a", artifact="tests-windows")}
        add(place, number, files, jobs=[job(100 + number, "failure", artifacts[0]), job(200, "failure", artifacts[1])])
    add(place, 3, jobs=[job(103, name=artifacts[0]), job(203, "failure", name=artifacts[1])])
    assert inferred(place) == [("3/1", "103", "test_a")]
    assert place.rows("select variant from core.inferred_pass") == [("tests-linux",)]


# -- which jobs ----------------------------------------------------------------------------------------------


def two_reports(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 2, told("test_a"))


@pytest.mark.parametrize("conclusion", ["failure", "skipped", "cancelled", "neutral", "timed_out", ""])
def test_only_success_says_that_tests_passed(place: Place, conclusion: str) -> None:
    two_reports(place)
    add(place, 3, jobs=[job(103, conclusion)])
    assert inferred(place) == []


def test_a_run_that_has_not_finished_says_nothing_yet(place: Place) -> None:
    two_reports(place)
    add(place, 3, status="in_progress", conclusion=None)
    assert inferred(place) == []


def test_a_job_that_uploaded_its_report_has_no_inferred_passes(place: Place) -> None:
    two_reports(place)
    add(place, 3, told("test_b:passed"), jobs=[job(103)])
    assert inferred(place) == []


def test_a_damaged_upload_is_an_upload(place: Place) -> None:
    two_reports(place)
    add(place, 3, DAMAGED, jobs=[job(103)])
    assert inferred(place) == []
    assert place.rows("select run_id, artifact from core.rejected_artifact") == [("3", "tests")]


def test_a_damaged_upload_of_another_job_does_not_matter(place: Place) -> None:
    two_reports(place)
    add(place, 3, {"lint.zip": b"PK but no archive"}, jobs=[job(103), job(203, name="lint")])
    assert inferred(place) == [("3/1", "103", "test_a")]


def test_a_job_that_an_attempt_carries_over_did_not_run_again(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 2, told("test_a"))
    before = (START + timedelta(minutes=1)).isoformat()
    add(place, 3, jobs=[job(103, started_at=before)], run_attempt=2)
    assert inferred(place) == []


def test_a_job_that_ran_again_and_succeeded_passed_what_its_first_attempt_told_of(place: Place) -> None:
    add(place, 1, told("test_a", "test_b"))
    add(place, 2, told("test_a"))
    add_again = run_object(2, run_attempt=2, started=START + timedelta(hours=1))
    started_at = (START + timedelta(hours=1, minutes=1)).isoformat()
    add_run(place.source.path, add_again, None, [job(300, started_at=started_at, run_attempt=2)])
    assert inferred(place) == [("2/2", "300", "test_a")]


def test_jobs_of_one_name_count_once_and_only_where_all_succeeded(place: Place) -> None:
    two_reports(place)
    add(place, 3, jobs=[job(103), job(102)])
    add(place, 4, jobs=[job(104), job(105, "failure")])
    assert inferred(place) == [("3/1", "102", "test_a")]


# -- switches ------------------------------------------------------------------------------------------------


def test_switched_off_there_are_none_and_switched_on_they_are_back(place: Place) -> None:
    two_reports(place)
    add(place, 3)
    found = inferred(place)
    assert found == [("3/1", "103", "test_a")]
    for off in (InferenceSwitches(enabled=False), InferenceSwitches(sources_off=("drop",))):
        assert inferred(place, off) == []
        assert inferred(place, ON) == found
    assert inferred(place, InferenceSwitches(sources_off=("elsewhere",))) == found


# -- over time -----------------------------------------------------------------------------------------------


def test_what_arrives_late_changes_what_follows_from_it(place: Place) -> None:
    add(place, 1, told("test_a"))
    add(place, 3)
    assert inferred(place) == []
    add(place, 2, told("test_a"))
    assert inferred(place) == [("3/1", "103", "test_a")]
    (place.source.path / "3-1" / "tests.zip").write_bytes(told("test_a")["tests.zip"])
    assert inferred(place) == []


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    found = []
    for order in ((1, 2, 3, 4), (4, 3, 2, 1)):
        place = make_place(tmp_path / "".join(map(str, order)))
        for number in order:
            add(place, number, told("test_a", "test_b") if number < 3 else None)
            found_now = inferred(place)
        found.append(found_now)
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_what_has_not_changed_is_not_inferred_again(place: Place) -> None:
    two_reports(place)
    add(place, 3)
    blog = {"id": 8, "full_name": "acme/blog", "default_branch": "main"}
    add(place, 50, repository=blog)
    place.ingest()
    assert infer(place).renewed == 2
    assert infer(place).renewed == 0
    add(place, 51, repository=blog)
    place.ingest()
    again = infer(place)
    assert (again.renewed, again.passes, again.jobs, again.repositories) == (1, 1, 1, 1)
    assert infer(place, InferenceSwitches(enabled=False)).renewed == 2


def test_a_complete_result_is_remembered_under_the_state_it_follows_from(place: Place) -> None:
    two_reports(place)
    place.ingest()
    with place.warehouse.connect() as connection:
        version = core_version(connection)
        assert not is_inferred(connection, ON, core_version=version)
    infer(place)
    with place.warehouse.connect() as connection:
        assert is_inferred(connection, ON, core_version=version)
        assert not is_inferred(connection, InferenceSwitches(enabled=False), core_version=version)
        assert not is_inferred(connection, ON, core_version="another")


def test_a_repository_that_failed_keeps_what_it_had_and_is_tried_again(place: Place) -> None:
    two_reports(place)
    add(place, 3)
    before = inferred(place)
    add(place, 4)
    place.ingest()
    with place.warehouse.connect() as connection:
        connection.execute("alter table core.job rename to job_away")
    (fault,) = infer(place).faults
    assert fault.startswith("acme: acme/shop: ")
    with place.warehouse.connect() as connection:
        connection.execute("alter table core.job_away rename to job")
        assert not is_inferred(connection, ON, core_version=core_version(connection))
    assert rows(place) == before
    assert infer(place).renewed == 1
    assert len(rows(place)) == 2


def test_a_repository_that_moves_to_its_id_takes_its_passes_along(place: Place) -> None:
    nameless = {"full_name": "acme/shop", "default_branch": "main"}
    for number in (1, 2, 3):
        add(place, number, told("test_a") if number < 3 else None, repository=nameless, head_repository=nameless)
    assert inferred(place) == [("3/1", "103", "test_a")]
    add(place, 4)
    assert inferred(place) == [("3/1", "103", "test_a"), ("4/1", "104", "test_a")]
    assert place.rows("select distinct repository_id from core.inferred_pass") == [("github:7",)]


def test_inferred_passes_are_no_executions(place: Place) -> None:
    two_reports(place)
    add(place, 3)
    inferred(place)
    assert place.rows("select count(*) from core.test_execution") == [(2,)]


def test_the_digest_names_the_switches() -> None:
    switches = [
        ON,
        InferenceSwitches(enabled=False),
        InferenceSwitches(sources_off=("a",)),
        InferenceSwitches(sources_off=("a", "b")),
    ]
    assert len({inference_digest(each) for each in switches}) == len(switches)
    assert inference_digest(ON) == inference_digest(InferenceSwitches())
