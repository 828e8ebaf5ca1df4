"""A renamed class, from the proposal to the history that goes on: through the main job and the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assets.launch import Launched
from flakeguard_pipeline.cli import cli
from flakeguard_pipeline.operations.alias_decisions import Alias, known_aliases
from tests.assets.workspaces import run
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

OLD, NEW = "tests.shop.test_cart", "tests.shop.test_basket"
RENAMED_AT = 13
BEFORE = START + timedelta(hours=RENAMED_AT - 1, minutes=50)
"""When all runs under the old name are known, with their re-runs."""
AFTER = datetime(2026, 3, 4, tzinfo=UTC)


def write_run(drop: Path, number: int, classname: str, *, flakes: bool) -> None:
    """Write a run and its re-run, in which everything passes."""
    for attempt, minutes in ((1, 0), (2, 20)):
        flaky = "failed" if flakes and attempt == 1 else "passed"
        content = report(
            case("test_steady", classname=classname),
            case("test_total", classname=classname),
            case("test_flaky", flaky, "timed out after 30 s", classname=classname),
            case("test_login", classname="tests.shop.test_user"),
        )
        started = START + timedelta(hours=number, minutes=minutes)
        described = run_object(number, run_attempt=attempt, started=started)
        add_run(drop, described, {"test-results.zip": zipped({"r.xml": content})})


def alias(place: Place, *arguments: str) -> Result:
    folder = place.source.path.parent
    options = ["--warehouse", place.settings.warehouse, "--config", str(folder / "flakeguard.yml")]
    result = CliRunner().invoke(cli, ["alias", *arguments, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@dataclass(frozen=True)
class Stage:
    """What was to be seen after one run of the main job."""

    launched: Launched
    health: list[tuple[object, ...]]
    quarantined: list[tuple[object, ...]]
    exported: list[tuple[object, object]]
    events: list[tuple[object, ...]]
    executions: list[tuple[object, ...]]


@dataclass(frozen=True)
class Told:
    """The stages of one story, told once for all tests: a run of the main job takes seconds."""

    known: Sequence[Alias]
    said: Mapping[str, Result]
    stages: Mapping[str, Stage]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Twelve runs under the old name, four under the new one, of which none flakes; accepted, then taken back."""
    place = make_place(tmp_path_factory.mktemp("renamed"))
    stages: dict[str, Stage] = {}
    said: dict[str, Result] = {}

    def tell(stage: str, as_of: datetime) -> None:
        stages[stage] = look(place, run(place, as_of=as_of))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(place.settings.home / "nowhere"))
        for number in range(1, RENAMED_AT):
            write_run(place.source.path, number, OLD, flakes=number % 3 == 0)
        tell("before", BEFORE)
        for number in range(RENAMED_AT, RENAMED_AT + 4):
            write_run(place.source.path, number, NEW, flakes=False)
        tell("renamed", AFTER)
        known = known_aliases(place.warehouse)
        ids = [each.alias_id for each in known]
        said["list"] = alias(place, "list")
        said["accept"] = alias(place, "accept", *ids, "--reason", "renamed in #7", "--actor", "ada")
        tell("accepted", AFTER)
        tell("again", AFTER)
        said["reject"] = alias(place, "reject", *ids, "--reason", "two tests after all", "--actor", "bob")
        said["list all"] = alias(place, "list", "--all", "--repository", "acme/shop")
        tell("taken back", AFTER + timedelta(hours=1))
    return Told(known, said, stages)


def look(place: Place, launched: Launched) -> Stage:
    (path,) = place.settings.out.rglob("quarantine.json")
    return Stage(
        launched,
        health=place.rows(
            "select classname, name, status, executions, failures from marts.test_health order by classname, name"
        ),
        quarantined=place.rows("select classname, name, expires_at from marts.quarantine order by classname, name"),
        exported=[(entry["classname"], entry["name"]) for entry in json.loads(path.read_bytes())["entries"]],
        events=place.rows(
            "select classname, from_state, to_state, actor, rationale from marts.quarantine_event "
            "order by as_of, classname desc, sequence"
        ),
        executions=place.rows(
            "select classname, test_key = reported_test_key as is_own, count(*) from marts.test_execution "
            "group by classname, is_own order by classname"
        ),
    )


def test_no_stage_failed(story: Told) -> None:
    assert [stage.launched.faults for stage in story.stages.values()] == [()] * 5


def test_every_test_of_the_renamed_class_is_proposed(story: Told) -> None:
    assert sorted((each.old.name, each.new.name) for each in story.known) == [
        (name, name) for name in ("test_flaky", "test_steady", "test_total")
    ]
    assert {(each.old.classname, each.new.classname, each.state) for each in story.known} == {(OLD, NEW, "proposed")}
    assert {each.head_sha for each in story.known} == {f"{RENAMED_AT:040x}"}
    assert all((each.confidence or 0) > 0.6 for each in story.known)
    assert {each.decision for each in story.known} == {None}


def test_a_proposal_alone_changes_nothing(story: Told) -> None:
    renamed = story.stages["renamed"]
    assert (NEW, "test_flaky", "insufficient_evidence", 8, 0) in renamed.health
    assert [row[:2] for row in renamed.quarantined] == [(OLD, "test_flaky")]
    assert renamed.events == story.stages["before"].events


def test_the_list_says_what_a_proposal_rests_on(story: Told) -> None:
    listed = story.said["list"].output
    assert listed.startswith("acme/shop\n")
    assert f"{OLD} test_flaky -> {NEW} test_flaky\n" in listed
    assert (
        f"moved at {RENAMED_AT:040x}"[:21] + "; 3 tests together; in 24 run attempts before, 8 since; took 0.25 s, "
        "takes 0.25 s\n"
    ) in listed


def test_an_accepted_alias_carries_history_and_status_over(story: Told) -> None:
    assert story.said["accept"].output.splitlines()[-1] == "The next `flakeguard run` carries the history over."
    accepted = story.stages["accepted"]
    assert accepted.health == [
        (NEW, "test_flaky", "flaky", 32, 4),
        (NEW, "test_steady", "insufficient_evidence", 32, 0),
        (NEW, "test_total", "insufficient_evidence", 32, 0),
        ("tests.shop.test_user", "test_login", "insufficient_evidence", 32, 0),
    ]
    # executions keep the names that they were reported under
    assert accepted.executions == [(NEW, True, 24), (OLD, False, 72), ("tests.shop.test_user", True, 32)]


def test_a_quarantine_goes_on_under_the_new_name_with_its_former_end(story: Told) -> None:
    renamed, accepted = story.stages["renamed"], story.stages["accepted"]
    ((_, _, expires_at),) = renamed.quarantined
    assert accepted.quarantined == [(NEW, "test_flaky", expires_at)]
    assert accepted.exported == [(NEW, "test_flaky")]
    (flaky,) = (each for each in story.known if each.old.name == "test_flaky")
    why = f"its history goes on under another name: alias {flaky.alias_id}, accepted by ada"
    assert accepted.events[1:] == [
        (OLD, "quarantined", "released", "policy", why),
        (NEW, "", "quarantined", "policy", f"carried over from {OLD} test_flaky: {why}"),
    ]


def test_the_roll_ups_are_built_anew_once(story: Told) -> None:
    accepted, again = story.stages["accepted"], story.stages["again"]
    assert "staging/stg_test_execution" in accepted.launched.metadata
    assert accepted.launched.metadata["core/alias_proposal"]["repositories_compared_anew"] == 0
    assert accepted.launched.metadata["core/alias_proposal"]["proposals"] == 3
    assert "staging/stg_test_execution" not in again.launched.metadata
    assert "core/alias_proposal" not in again.launched.metadata
    assert (again.health, again.events) == (accepted.health, accepted.events)


def test_taking_an_alias_back_gives_each_test_its_own_history_and_quarantine(story: Told) -> None:
    assert (
        story.said["reject"].output.splitlines()[-1]
        == "The next `flakeguard run` gives each test its own history again."
    )
    renamed, back = story.stages["renamed"], story.stages["taken back"]
    assert back.health == renamed.health
    assert (back.quarantined, back.exported) == (renamed.quarantined, renamed.exported)
    assert sorted(row[:3] for row in back.events[3:]) == [
        (NEW, "quarantined", "released"),
        (OLD, "released", "quarantined"),
    ]
    (ended,) = (row for row in back.events[3:] if row[0] == NEW)
    assert ended[4] == "the alias that its quarantine was carried over by was taken back"


def test_the_whole_list_says_what_became_of_each(story: Told) -> None:
    listed = story.said["list all"].output
    for each in story.known:
        assert f"{each.alias_id}  rejected" in listed
    assert listed.count("rejected by bob on ") == 3
    assert "two tests after all" in listed
