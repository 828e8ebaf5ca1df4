"""Inferred passes through the whole main job, as people meet them: in marts, in metadata and in the summary."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flakeguard_pipeline.cli.summary import render
from flakeguard_pipeline.operations.summary import summarise
from tests.assets.workspaces import instance_of, run
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

AS_OF = datetime(2026, 3, 20, tzinfo=UTC)
HEALTH = (
    "select name, variant, executions, failures, inferred_passes, same_commit_flips, status from marts.test_health "
    "order by name, variant"
)
OFF = "inferred_passes: {enabled: false}\n"
SOURCE_OFF = "inferred_passes:\n  sources: {drop: false}\n"


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


def test_inferred_passes_show_in_health_and_nowhere_else(place: Place) -> None:
    write(place)
    launched = run(place, as_of=AS_OF)
    assert launched.faults == ()
    # run 3 and runs 5 to 60; what the reports told stays what it was
    assert place.rows(HEALTH) == [
        ("test_a", "tests", 3, 2, 57, 0, "insufficient_evidence"),
        ("test_b", "tests", 3, 1, 57, 0, "insufficient_evidence"),
    ]
    assert place.rows("select count(*) from marts.test_execution") == [(6,)]
    shown = launched.metadata["core/inferred_pass"]
    assert {name: shown[name] for name in ("passes", "jobs", "repositories", "repositories_inferred_anew")} == {
        "passes": 114,
        "jobs": 57,
        "repositories": 1,
        "repositories_inferred_anew": 1,
    }
    text = render(summarise(place.warehouse), as_of=AS_OF, new={}, out=Path("out"), faults=())
    assert "\n  Inferred          114  passes of jobs that succeeded without a report\n" in text


def test_an_earlier_moment_sees_the_passes_that_were_known_then(place: Place) -> None:
    write(place)
    run(place, as_of=AS_OF)
    run(place, as_of=START + timedelta(hours=10, minutes=10))  # when run 10 is known
    assert [row[4] for row in place.rows(HEALTH)] == [7, 7]
    run(place, as_of=START + timedelta(hours=10, minutes=9))
    assert [row[4] for row in place.rows(HEALTH)] == [6, 6]


def test_an_idle_run_infers_nothing_and_shows_the_same(place: Place) -> None:
    write(place)
    run(place, as_of=AS_OF)
    before = place.rows(HEALTH)
    idle = run(place, as_of=AS_OF)
    assert "core/inferred_pass" not in idle.metadata
    assert place.rows(HEALTH) == before


@pytest.mark.parametrize("config", [OFF, SOURCE_OFF])
def test_the_switch_takes_effect_with_the_next_run_and_back(place: Place, config: str) -> None:
    write(place)
    run(place, as_of=AS_OF)
    before = place.rows(HEALTH)
    folder = place.source.path.parent
    switched = make_place(folder, config)
    launched = run(switched, as_of=AS_OF)
    assert launched.metadata["core/inferred_pass"]["passes"] == 0
    assert [row[4] for row in place.rows(HEALTH)] == [0, 0]
    assert place.rows("select count(*) from core.inferred_pass") == [(0,)]
    make_place(folder, "")
    run(place, as_of=AS_OF)
    assert place.rows(HEALTH) == before


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


def test_a_repository_that_failed_is_told_and_tried_again_though_nothing_is_new(place: Place) -> None:
    write(place)
    run(place, as_of=AS_OF)
    before = place.rows(HEALTH)
    add(place, 61)
    with place.warehouse.connect() as connection:
        connection.execute("alter table core.inferred_pass add column blocked text not null default 'x'")
        connection.execute("alter table core.inferred_pass alter column blocked drop default")
    (fault,) = run(place, as_of=AS_OF).faults
    assert fault.startswith("core/inferred_pass: acme: acme/shop: ")
    with place.warehouse.connect() as connection:
        connection.execute("alter table core.inferred_pass drop column blocked")
    assert place.rows(HEALTH) == before
    assert run(place, as_of=AS_OF).faults == ()
    assert [row[4] for row in place.rows(HEALTH)] == [58, 58]
    with instance_of(place) as instance:
        (last,) = instance.get_runs(limit=1)
        assert json.loads(json.dumps(last.status.value)) == "SUCCESS"
