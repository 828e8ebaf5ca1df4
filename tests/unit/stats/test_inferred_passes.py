"""What inferred passes may count for: the flake rate's denominator, and nothing else."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flakeguard_pipeline.stats.frames import INFERRED_SCHEMA
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from tests.unit.stats.history import AS_OF, START, History

OBSERVED = [
    "executions", "failures", "same_commit_flips", "infra_failures", "clean_executions", "first_seen_at",
    "last_seen_at", "last_failed_at", "p_broken",
]  # fmt: skip
"""Columns that say what was observed."""


def flaky() -> History:
    """Return a test that flakes on every tenth of 100 commits."""
    history = History()
    for commit in range(100):
        history.run(f"c{commit:05d}", "FP" if commit % 10 == 0 else "P")
    return history


def test_an_inferred_pass_weighs_as_much_as_an_observed_one_in_the_flake_rate() -> None:
    inferred, observed = flaky(), flaky()
    inferred.infer(200)
    observed.commits("P" * 20)  # too few for a fix
    observed.infer(180)
    rates = ["flake_rate", "flake_rate_low", "flake_rate_high"]
    assert [inferred.health()[name] for name in rates] == [observed.health()[name] for name in rates]
    # 10 flakes, 100 observed passes and 200 inferred ones
    assert inferred.health()["flake_rate"] == pytest.approx(10.05 / (10.05 + 20 + 100 + 200))
    assert inferred.health()["inferred_passes"] == 200


def test_they_are_counted_beside_the_executions_never_among_them() -> None:
    history = flaky()
    before = history.health()
    history.infer(50)
    after = history.health()
    assert (before["inferred_passes"], after["inferred_passes"]) == (0, 50)
    assert {name: after[name] for name in OBSERVED} == {name: before[name] for name in OBSERVED}


def test_only_those_in_the_window_and_known_by_then_count() -> None:
    history = flaky()
    history.infer(3, day=-40)
    history.infer(4, day=40)
    history.infer(5, day=59.99)  # known 30 minutes later, after `AS_OF`
    assert history.health()["inferred_passes"] == 4


def test_a_variant_has_its_own() -> None:
    history = History()
    history.run("c", "P", variant="linux", run_id="r")
    history.run("c", "P", variant="windows", run_id="r")
    history.infer(7, variant="windows")
    assert history.health(variant="linux")["inferred_passes"] == 0
    assert history.health(variant="windows")["inferred_passes"] == 7


def test_a_test_that_was_never_observed_has_no_row() -> None:
    history = flaky()
    history.infer(300, "ghost")
    assert history.score().health["test_key"].to_list() == ["t"]


def test_they_give_no_status_to_a_test_without_executions_in_the_window() -> None:
    history = History()
    history.run("c", "S", day=50)
    history.run("old", "P", day=-60)
    history.infer(1000, day=51)
    health = history.health()
    assert (health["executions"], health["status"]) == (0, "insufficient_evidence")


def test_they_make_a_test_healthy_that_was_seldom_observed() -> None:
    history = History()
    history.commits("PP")
    assert history.health()["status"] == "insufficient_evidence"
    history.infer(150)
    assert history.health()["status"] == "healthy"


def test_a_failure_beside_an_inferred_pass_is_no_flip() -> None:
    history = History()
    for commit in range(5):
        history.run(f"c{commit}", "F", run_id=f"run-{commit}", default=False)
    history.infer(50)
    scoring = history.score()
    assert scoring.health["same_commit_flips"].to_list() == [0]
    assert scoring.evidence.is_empty()
    assert scoring.health["status"].to_list() == ["insufficient_evidence"]


@pytest.mark.parametrize("failures", ["FF", "FFFFF"])
def test_they_neither_end_nor_prove_a_breakage(failures: str) -> None:
    history = History()
    history.commits("P" * 100 + failures)
    before = history.health()
    assert before["status"] == "broken"
    history.infer(500)
    after = history.health()
    assert (after["status"], after["p_broken"]) == ("broken", before["p_broken"])


def test_they_do_not_prove_a_breakage_that_observations_leave_open() -> None:
    history = flaky()
    history.commits("F")
    assert history.health()["p_broken"] < 0.5
    history.infer(2000, day=-10)
    assert history.health()["p_broken"] < 0.5


def test_they_are_no_clean_stretch_and_fix_nothing() -> None:
    history = flaky()
    history.infer(120)
    health = history.health()
    assert health["clean_executions"] == 9  # the commits since the last flake
    assert health["status"] == "flaky"
    history.commits("P" * 120, "d")
    assert history.health()["status"] == "fixed"


def test_inferred_passes_from_before_the_last_failure_make_a_fix_take_more() -> None:
    history = History()
    history.infer(400, day=-1)
    for commit in range(20):
        history.run(f"c{commit:05d}", "FP" if commit % 2 == 0 else "P", day=0.1 + commit / 100)
    history.commits("P" * 40, "d")
    with_them = history.health()
    history.inferred.clear()
    assert history.health()["status"] == "fixed"
    assert with_them["status"] == "flaky"


def test_the_rate_since_a_fix_rests_on_what_followed_the_last_failure() -> None:
    history = flaky()
    history.infer(30, day=0)
    history.infer(70, day=20)
    for commit in range(120):
        history.run(f"d{commit:05d}", "P", day=20 + commit / 6)
    health = history.health()
    assert (health["status"], health["inferred_passes"], health["clean_executions"]) == ("fixed", 100, 129)
    assert health["flake_rate"] == pytest.approx(0.05 / (0.05 + 20 + 129 + 70), abs=1e-9)


@st.composite
def histories(draw: st.DrawFn) -> History:
    history = History()
    for number in range(draw(st.integers(1, 40))):
        history.run(
            draw(st.sampled_from(["c1", "c2", "c3", f"n{number}"])),
            draw(st.sampled_from(["P", "P", "P", "PPPPPPPP", "F", "FP", "S"])),
            default=draw(st.booleans()),
            day=draw(st.integers(0, 59)),
        )
    for _ in range(draw(st.integers(1, 6))):
        history.infer(draw(st.integers(1, 200)), day=draw(st.integers(-40, 60)))
    return history


@given(histories())
@settings(max_examples=100, deadline=None)
def test_whatever_happened_they_only_dilute(history: History) -> None:
    with_them = history.score().health
    without = _without(history)
    assert_frame_equal(with_them.select(OBSERVED), without.select(OBSERVED))
    (status,), (former,) = with_them["status"], without["status"]
    assert (status == "broken") == (former == "broken")
    # they release nothing: only `broken` and `fixed` do
    assert status != "fixed" or former == "fixed"
    assert status != "flaky" or former in {"flaky", "fixed"}
    if status != "fixed" and former != "fixed":
        assert with_them["p_flaky"].item() <= without["p_flaky"].item()
        assert with_them["flake_rate"].item() <= without["flake_rate"].item()


def test_the_order_of_their_rows_does_not_matter() -> None:
    history = flaky()
    history.infer(30, day=3)
    history.infer(30, day=30)
    expected = history.score().health
    history.inferred.reverse()
    assert_frame_equal(history.score().health, expected, check_exact=True)


def test_without_any_they_are_zero() -> None:
    history = flaky()
    arguments: dict[str, Any] = {"as_of": AS_OF, "parameters": ScoringParameters()}
    none = score(history.frame, **arguments)
    empty = score(history.frame, **arguments, inferred=pl.DataFrame(schema=INFERRED_SCHEMA))
    assert_frame_equal(none.health, empty.health, check_exact=True)
    assert none.health["inferred_passes"].to_list() == [0]
    assert START + timedelta(days=60) == AS_OF


def _without(history: History) -> pl.DataFrame:
    return score(history.frame, as_of=AS_OF, parameters=ScoringParameters()).health
