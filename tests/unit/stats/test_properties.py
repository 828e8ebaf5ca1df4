from datetime import timedelta
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flakeguard_pipeline.stats.frames import EVIDENCE_SCHEMA, HEALTH_SCHEMA
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from tests.unit.stats.history import AS_OF, START, History

PARAMETERS = ScoringParameters(outage_min_tests=3)
"""A small outage, so that short histories have some."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    history = History()
    for number in range(draw(st.integers(1, 12))):
        tests = draw(st.sets(st.sampled_from("abcd"), min_size=1))
        history.run(
            draw(st.sampled_from(["c1", "c2", "c3", "c4"])),
            {test: draw(st.sampled_from(["P", "F", "FP", "FF", "PPP", "S"])) for test in sorted(tests)},
            default=draw(st.booleans()),
            day=draw(st.integers(0, 100)),
            run_id=f"r{number // 2}",
            attempt=number % 2 + 1,
            variant=draw(st.sampled_from(["", "linux"])),
        )
    return history


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(history: History, random: Random):
    shuffled = list(history.rows)
    random.shuffle(shuffled)
    as_of = START + timedelta(days=100)
    expected = score(history.frame, as_of=as_of, parameters=PARAMETERS)
    history.rows = shuffled
    found = score(history.frame, as_of=as_of, parameters=PARAMETERS)
    assert_frame_equal(found.health, expected.health, check_exact=True)
    assert_frame_equal(found.evidence, expected.evidence, check_exact=True)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_probabilities_are_probabilities_and_counts_add_up(history: History):
    scoring = score(history.frame, as_of=START + timedelta(days=100), parameters=PARAMETERS)
    assert scoring.health.schema == HEALTH_SCHEMA
    assert scoring.evidence.schema == EVIDENCE_SCHEMA
    assert scoring.health.select("test_key", "variant").n_unique() == scoring.health.height
    for row in scoring.health.iter_rows(named=True):
        assert 0 <= row["p_flaky"] <= 1
        assert 0 <= row["p_broken"] <= 1
        assert 0 <= row["flake_rate_low"] <= row["flake_rate"] <= row["flake_rate_high"] <= 1
        assert 0 <= row["infra_failures"] <= row["failures"] <= row["executions"]
        assert row["clean_executions"] <= row["executions"] - row["failures"]
        assert row["first_seen_at"] <= row["last_seen_at"]
        if row["failures"] == row["executions"]:
            assert row["status"] in {"broken", "insufficient_evidence"}
        if row["same_commit_flips"] == 0:
            assert row["status"] not in {"flaky", "fixed"}


@given(histories(), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_what_is_known_later_does_not_exist(history: History, day: int):
    as_of = START + timedelta(days=day, minutes=30)
    everything = history.frame
    known = everything.filter(pl.col("known_at") <= as_of)
    expected = score(known, as_of=as_of, parameters=PARAMETERS)
    found = score(everything, as_of=as_of, parameters=PARAMETERS)
    assert_frame_equal(found.health, expected.health, check_exact=True)
    assert_frame_equal(found.evidence, expected.evidence, check_exact=True)


def test_a_result_is_known_from_its_own_moment_on():
    history = History()
    history.run("c", "P")
    known_at = history.rows[0]["known_at"]
    assert history.score(known_at - timedelta(microseconds=1)).health.is_empty()
    assert history.score(known_at).health.height == 1


def test_no_test_says_anything_of_another():
    alone, together = History(), History()
    for commit in range(60):
        result = "FP" if commit % 7 == 0 else "P"
        alone.run(f"c{commit}", result)
        together.run(f"c{commit}", {"t": result, "other": "F", "third": "P"})
    assert alone.health(as_of=AS_OF) == together.health(as_of=AS_OF)
