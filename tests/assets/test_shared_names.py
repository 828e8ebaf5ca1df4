"""Results that cannot be told apart are no flakes: tests of one report that share a name, through the main job."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assets.launch import Launched
from tests.assets.workspaces import run
from tests.support.drops import START, add_run, case, report, run_object, zipped
from tests.support.places import Place, make_place

AS_OF = datetime(2026, 3, 4, tzinfo=UTC)
RUNS = 12
CLASS = "tests.shop.test_cart"


def retried(name: str, attempts: str) -> str:
    """Return a test case that was retried, with the elements that tell of its attempts."""
    return f'<testcase classname="{CLASS}" name="{name}" time="0.25">{attempts}</testcase>'


FLAKED = '<flakyFailure message="timed out" type="TimeoutError">at tests/shop.py:10</flakyFailure>'
FAILED_TWICE = (
    '<failure message="boom" type="AssertionError">at tests/shop.py:10</failure>'
    '<rerunFailure message="boom" type="AssertionError">at tests/shop.py:10</rerunFailure>'
)


def write_run(drop: Path, number: int) -> None:
    """Write a run and its re-run; what flakes does so in every third run."""
    for attempt, minutes in ((1, 0), (2, 20)):
        flakes = number % 3 == 0 and attempt == 1
        content = report(
            # parameters without ids, of which one always passes and one always fails
            case("test_shared"),
            case("test_shared", "failed"),
            case("test_shared", "skipped"),
            # parameters that look like what differs from run to run
            case("test_rate[2024-03-01]", "failed"),
            case("test_rate[2024-03-04]"),
            case("test_day[2026-03-02]"),
            # two of one name, of which one flakes: the re-run on the same code shows it
            case("test_pair"),
            case("test_pair", "failed" if flakes else "passed"),
            retried("test_retried", FLAKED) if flakes else case("test_retried"),
            # one always passes, the other fails when it is retried, too
            case("test_twice"),
            retried("test_twice", FAILED_TWICE),
        )
        described = run_object(number, run_attempt=attempt, started=START + timedelta(hours=number, minutes=minutes))
        add_run(drop, described, {"test-results.zip": zipped({"r.xml": content})})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Launched]:
    place = make_place(tmp_path_factory.mktemp("shared"))
    for number in range(1, RUNS + 1):
        write_run(place.source.path, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(place.settings.home / "nowhere"))
        return place, run(place, as_of=AS_OF)


def test_only_a_retry_or_another_attempt_shows_a_flake(told: tuple[Place, Launched]) -> None:
    place, launched = told
    assert launched.faults == ()
    assert place.rows(
        "select name, status, executions, failures, same_commit_flips from marts.test_health order by name"
    ) == [
        ("test_day[<date>]", "insufficient_evidence", 24, 0, 0),
        ("test_pair", "flaky", 44, 4, 4),
        ("test_rate[2024-03-01]", "broken", 24, 24, 0),
        ("test_rate[2024-03-04]", "insufficient_evidence", 24, 0, 0),
        ("test_retried", "flaky", 28, 4, 4),
        ("test_shared", "broken", 24, 24, 0),
        ("test_twice", "broken", 48, 48, 0),
    ]
    assert place.rows("select name from marts.quarantine order by name") == [("test_pair",), ("test_retried",)]


def test_every_execution_stays_as_it_was_reported(told: tuple[Place, Launched]) -> None:
    place, _ = told
    executions = (
        "select outcome, retry_index, is_final, count(*) from marts.test_execution where name = '{}' group by all"
    )
    assert sorted(place.rows(executions.format("test_shared"))) == [
        ("failed", 0, True, 24),
        ("passed", 0, True, 24),
        ("skipped", 0, True, 24),
    ]
    assert sorted(place.rows(executions.format("test_retried"))) == [
        ("failed", 0, False, 4),
        ("passed", 0, True, 20),
        ("passed", 1, True, 4),
    ]


def test_names_are_told_that_are_shared_or_were_replaced(told: tuple[Place, Launched]) -> None:
    place, _ = told
    assert place.rows(
        "select distinct issue_code, occurrences, example from core.report_issue "
        "where issue_code in ('repeated_name', 'unstable_name') order by all"
    ) == [
        ("repeated_name", 7, "test_shared"),
        ("unstable_name", 1, "test_day[2026-03-02]"),
    ]
