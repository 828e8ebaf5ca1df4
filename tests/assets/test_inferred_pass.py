"""Inferred passes through the whole main job, as people meet them: in marts, in metadata and in the summary."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assets.launch import Launched
from flakeguard_pipeline.cli.summary import render
from flakeguard_pipeline.operations.summary import summarise
from tests.assets.workspaces import run
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

AS_OF = datetime(2026, 3, 20, tzinfo=UTC)
HEALTH = (
    "select name, variant, executions, failures, inferred_passes, same_commit_flips, status from marts.test_health "
    "order by name, variant"
)


def add(place: Place, number: int, *failing: str, **fields: object) -> Path:
    """Write one run of the job `tests`, which uploads its report only when it fails."""
    job = {"id": 100 + number, "name": "tests", "conclusion": "failure" if failing else "success"}
    files = {}
    if failing:
        outcomes = {name: "failed" if name in failing else "passed" for name in ("test_a", "test_b")}
        content = report(*(case(name, outcome) for name, outcome in outcomes.items()))
        files = {"tests.zip": zipped({"r.xml": content})}
    return add_run(place.source.path, run_object(number, **fields), files, [job])


def write(place: Place) -> None:
    """Write 60 runs of which two failed, one of them on a commit that passed before and after."""
    same = "a" * 40
    add(place, 1, "test_a")
    add(place, 2, "test_a")
    add(place, 3, head_sha=same)
    add(place, 4, "test_b", head_sha=same)
    for number in range(5, 61):
        add(place, number)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Launched]:
    folder = tmp_path_factory.mktemp("written")
    place = make_place(folder)
    write(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "nowhere"))
        return folder, run(place, as_of=AS_OF)


@pytest.fixture
def written(first_run: tuple[Path, Launched], tmp_path: Path) -> Place:
    """A workspace with `write`'s runs on which the main job has run as of `AS_OF`."""
    shutil.copytree(first_run[0], tmp_path / "written")
    return make_place(tmp_path / "written")


def test_inferred_passes_show_in_health_and_nowhere_else(written: Place, first_run: tuple[Path, Launched]) -> None:
    launched = first_run[1]
    assert launched.faults == ()
    # run 3 and runs 5 to 60; what the reports told stays what it was
    assert written.rows(HEALTH) == [
        ("test_a", "tests", 3, 2, 57, 0, "insufficient_evidence"),
        ("test_b", "tests", 3, 1, 57, 0, "insufficient_evidence"),
    ]
    assert written.rows("select count(*) from marts.test_execution") == [(6,)]
    shown = launched.metadata["core/inferred_pass"]
    names = ("passes", "jobs", "repositories", "repositories_inferred_anew")
    assert [shown[name] for name in names] == [114, 57, 1, 1]
    text = render(summarise(written.warehouse), as_of=AS_OF, new={}, out=Path("out"), faults=())
    assert "\n  Inferred          114  passes of jobs that succeeded without a report\n" in text


def test_an_idle_run_infers_nothing_and_shows_the_same(written: Place) -> None:
    before = written.rows(HEALTH)
    assert "core/inferred_pass" not in run(written, as_of=AS_OF).metadata
    assert written.rows(HEALTH) == before


def test_an_earlier_moment_sees_the_passes_that_were_known_then(written: Place) -> None:
    run(written, as_of=START + timedelta(hours=10, minutes=10))  # when run 10 is known
    assert [row[4] for row in written.rows(HEALTH)] == [7, 7]
    run(written, as_of=START + timedelta(hours=10, minutes=9))
    assert [row[4] for row in written.rows(HEALTH)] == [6, 6]


def test_where_inferring_had_failed_it_is_tried_again_though_nothing_is_new(written: Place) -> None:
    with written.warehouse.connect() as connection:
        connection.execute("delete from flakiness.dbt_build where part like 'inferred_passes%'")
        connection.execute("delete from core.inferred_pass")
    launched = run(written, as_of=AS_OF)
    assert launched.metadata["core/inferred_pass"]["repositories_inferred_anew"] == 1
    assert [row[4] for row in written.rows(HEALTH)] == [57, 57]


def test_the_switch_takes_effect_with_the_next_run_and_back(written: Place) -> None:
    before = written.rows(HEALTH)
    folder = written.source.path.parent
    launched = run(make_place(folder, "inferred_passes:\n  sources: {drop: false}\n"), as_of=AS_OF)
    assert launched.metadata["core/inferred_pass"]["passes"] == 0
    assert launched.metadata["core/inferred_pass"]["sources_switched_off"] == "drop"
    assert [row[4] for row in written.rows(HEALTH)] == [0, 0]
    run(make_place(folder), as_of=AS_OF)
    assert written.rows(HEALTH) == before


def test_two_workflows_with_the_same_tests_label_inferred_passes_as_they_label_executions(place: Place) -> None:
    for first in (1, 11):
        workflow = {"name": "ci" if first == 1 else "nightly"}
        add(place, first, "test_a", **workflow)
        add(place, first + 1, "test_a", **workflow)
        for number in range(first + 2, first + 5):
            add(place, number, **workflow)
    run(place, as_of=AS_OF)
    expected = [
        (name, f"tests,workflow={workflow}", 2, failures, 3, 0, "insufficient_evidence")
        for name, failures in (("test_a", 2), ("test_b", 0))
        for workflow in ("ci", "nightly")
    ]
    found = [(*row[:6], "insufficient_evidence") for row in place.rows(HEALTH)]
    assert found == expected
    # before the second workflow was known there was no label
    run(place, as_of=START + timedelta(hours=6))
    assert [row[:5] for row in place.rows(HEALTH)] == [
        ("test_a", "tests", 2, 2, 3),
        ("test_b", "tests", 2, 0, 3),
    ]
