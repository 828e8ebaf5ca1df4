from datetime import timedelta

import polars as pl
import pytest

from flakeguard_pipeline.stats.frames import EVIDENCE_SCHEMA, HEALTH_SCHEMA, ROLLUP_SCHEMA
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from tests.unit.stats.history import AS_OF, START, History


def flaky_history(commits: int = 100, every: int = 10) -> History:
    """A test that fails on every `every`-th commit and passes when the job is run again."""
    history = History()
    for commit in range(commits):
        flakes = commit % every == every - 1
        history.run(f"c{commit:05d}", "F" if flakes else "P", run_id=f"r{commit}")
        if flakes:
            history.run(f"c{commit:05d}", "P", run_id=f"r{commit}", attempt=2)
    return history


def test_an_alternating_test_whose_reruns_pass_is_flaky():
    health = flaky_history().health()
    assert health["status"] == "flaky"
    assert health["same_commit_flips"] == 10
    assert (health["executions"], health["failures"]) == (110, 10)
    assert health["p_flaky"] > 0.999
    assert health["flake_rate_low"] < 0.1 < health["flake_rate_high"]
    assert health["p_broken"] == 0.0


def test_retries_inside_one_run_attempt_are_executions_of_the_same_code():
    history = History()
    for commit in range(20):
        history.run(f"c{commit}", "FP" if commit in {3, 8, 15} else "P")
    health = history.health()
    assert health["status"] == "flaky"
    assert (health["same_commit_flips"], health["executions"]) == (3, 23)


def test_the_posterior_is_the_conjugate_one():
    history = History()
    for commit in range(30):
        history.run(f"c{commit:02d}", "FP" if commit == 10 else "P")
    parameters = ScoringParameters()
    rate = (parameters.prior_alpha + 1) / (parameters.prior_alpha + 1 + parameters.prior_beta + 30)
    assert history.health()["flake_rate"] == pytest.approx(rate, abs=1e-9)


def test_an_alternating_test_on_distinct_commits_is_not_called_flaky_without_same_commit_evidence():
    history = History()
    history.commits("PF" * 150 + "P")
    health = history.health()
    assert health["status"] == "insufficient_evidence"  # nor healthy, although 151 executions passed
    assert health["same_commit_flips"] == 0


def test_a_regression_that_starts_at_one_commit_and_stays_is_not_flaky():
    history = History()
    history.commits("P" * 200 + "F" * 5)
    health = history.health()
    assert health["status"] == "broken"
    assert health["p_broken"] > 0.99
    assert health["p_flaky"] < 0.05
    assert health["same_commit_flips"] == 0


def test_a_regression_of_a_flaky_test_is_called_once_its_flakiness_does_not_explain_it():
    once = flaky_history()
    once.commits("F")
    assert once.health()["status"] == "flaky"
    assert once.health()["p_broken"] < 0.5
    often = flaky_history()
    often.commits("F" * 4)
    assert often.health()["status"] == "broken"


def test_a_very_flaky_test_that_fails_three_times_in_a_row_is_not_broken():
    history = History()
    for commit in range(40):
        history.run(f"c{commit:02d}", "FP")
    history.commits("FFF")
    assert history.health()["status"] == "flaky"


def test_a_regression_that_was_repaired_leaves_a_healthy_test():
    history = History()
    history.commits("P" * 100 + "F" * 6 + "P" * 100)
    health = history.health()
    assert health["status"] == "healthy"
    assert (health["failures"], health["clean_executions"]) == (6, 100)


def test_a_lone_failing_commit_that_the_next_one_contradicts_is_left_open():
    history = History()
    history.commits("P" * 100 + "F" + "P" * 100)
    assert history.health()["status"] == "insufficient_evidence"


def test_a_failure_on_the_newest_commit_is_neither_broken_nor_healthy_yet():
    history = History()
    history.commits("P" * 300 + "F")
    health = history.health()
    assert health["status"] == "insufficient_evidence"
    assert health["p_broken"] > 0.9


def test_an_always_failing_test():
    history = History()
    history.commits("F" * 30)
    health = history.health()
    assert health["status"] == "broken"
    assert health["p_flaky"] < 0.2


def test_a_test_that_failed_its_only_execution():
    history = History()
    history.commits("F")
    assert history.health()["status"] == "insufficient_evidence"


def test_a_test_that_always_fails_but_only_on_a_pull_request():
    history = History()
    history.commits("F" * 10, default=False)
    health = history.health()
    assert health["status"] == "insufficient_evidence"
    assert health["p_broken"] == 0.0


def test_a_test_that_only_a_pull_request_broke_is_healthy():
    history = History()
    history.commits("P" * 150)
    for attempt in (1, 2, 3):
        history.run("pull-request", "F", default=False, run_id="pr", attempt=attempt)
    history.commits("P" * 10)
    assert history.health()["status"] == "healthy"


def test_a_rerun_of_an_old_commit_does_not_hide_that_the_newest_is_broken():
    history = History()
    history.commits("P" * 150)
    history.commits("FF")
    history.run("c00000", "P")
    assert history.health()["status"] == "broken"


def test_a_commit_that_passed_elsewhere_is_not_broken():
    history = History()
    history.commits("P" * 20)
    history.run("same", "F")
    history.run("same", "F")
    history.run("same", "P", default=False)
    health = history.health()
    assert health["p_broken"] == 0.0
    assert health["same_commit_flips"] == 1


def test_commits_that_start_together_are_ordered_by_their_text():
    history = History()
    history.commits("P" * 150)
    history.run("x1", "P", day=20)
    history.run("x2", "FF", day=20)
    assert history.health()["status"] == "broken"
    history = History()
    history.commits("P" * 150)
    history.run("x1", "FF", day=20)
    history.run("x2", "P", day=20)
    assert history.health()["p_broken"] == 0.0


def outage(contradicted: bool, tests: int = 40) -> History:
    history = History()
    names = [f"t{number:02d}" for number in range(tests)]
    for commit in range(120):
        history.run(f"c{commit:03d}", dict.fromkeys(names, "P"))
    history.run("hit", dict.fromkeys(names, "F"), run_id="hit", attempt=1)
    if contradicted:
        history.run("hit", dict.fromkeys(names, "P"), run_id="hit", attempt=2)
    return history


def test_outage_victims_are_not_blamed():
    scoring = outage(contradicted=True).score()
    assert scoring.health["status"].unique().to_list() == ["healthy"]
    assert scoring.health["infra_failures"].unique().to_list() == [1]
    assert scoring.health["failures"].unique().to_list() == [1]
    assert scoring.health["same_commit_flips"].sum() == 0
    assert scoring.evidence.is_empty()


def test_a_mass_failure_that_nothing_contradicts_is_no_outage():
    health = outage(contradicted=False).score().health
    assert health["infra_failures"].sum() == 0
    assert health["status"].unique().to_list() == ["insufficient_evidence"]


def test_a_handful_of_tests_that_fail_together_is_no_outage():
    health = outage(contradicted=True, tests=19).score().health
    assert health["infra_failures"].sum() == 0
    assert health["same_commit_flips"].unique().to_list() == [1]


def test_a_rerun_of_the_few_tests_that_still_fail_contradicts_nothing():
    history = History()
    names = [f"t{number:02d}" for number in range(40)]
    history.run("hit", dict.fromkeys(names, "F"), run_id="hit")
    history.run("hit", dict.fromkeys(names[:10], "P"), run_id="hit", attempt=2)
    assert history.score().health["infra_failures"].sum() == 0


def test_a_flaky_test_stays_flaky_when_an_outage_hits_it_too():
    history = flaky_history()
    names = [f"o{number:02d}" for number in range(30)] + ["t"]
    history.run("hit", dict.fromkeys(names, "F"), run_id="hit")
    history.run("hit", dict.fromkeys(names, "P"), run_id="hit", attempt=2)
    health = history.health()
    assert health["status"] == "flaky"
    assert (health["same_commit_flips"], health["infra_failures"], health["failures"]) == (10, 1, 11)


def test_two_halves_of_an_outage_contradict_each_other():
    history = History()
    names = [f"t{number:02d}" for number in range(40)]
    history.run("hit", {name: "FP"[number % 2] for number, name in enumerate(names)}, run_id="hit")
    history.run("hit", {name: "PF"[number % 2] for number, name in enumerate(names)}, run_id="hit", attempt=2)
    assert history.score().health["infra_failures"].sum() == 40


def test_an_attempt_before_the_window_may_contradict_an_outage_inside_it():
    history = History()
    names = [f"t{number:02d}" for number in range(40)]
    history.run("nightly", dict.fromkeys(names, "P"), day=0)
    history.run("nightly", dict.fromkeys(names, "F"), day=1)
    health = history.score(START + timedelta(days=90, hours=12)).health
    assert health["infra_failures"].sum() == 40
    assert health["executions"].sum() == 40


def test_fixed_three_weeks_ago():
    history = flaky_history()
    before = history.health()
    assert before["status"] == "flaky"
    for commit in range(120):
        history.run(f"d{commit:05d}", "P", day=39 + commit / 6)
    health = history.health()
    assert health["status"] == "fixed"
    assert health["clean_executions"] == 121  # and the passing rerun of the last flake
    assert health["flake_rate"] < before["flake_rate"] / 10
    assert health["p_flaky"] < 0.1


def test_a_short_clean_stretch_is_no_fix():
    history = flaky_history()
    history.commits("P" * 29, "d")
    assert history.health()["status"] == "flaky"


def test_a_rarely_flaky_test_needs_a_longer_clean_stretch():
    history = flaky_history(400, every=100)
    history.commits("P" * 200, "d")
    assert history.health()["status"] != "fixed"
    history.commits("P" * 900, "e")
    assert history.health()["status"] == "fixed"


def test_a_failure_after_the_fix_ends_the_clean_stretch():
    history = flaky_history()
    history.commits("P" * 120 + "F" + "P", "d")
    health = history.health()
    assert health["status"] == "flaky"
    assert health["clean_executions"] == 1


def test_a_fixed_test_that_breaks_is_broken():
    history = flaky_history()
    history.commits("P" * 120 + "FFF", "d")
    assert history.health()["status"] == "broken"


def test_one_flake_in_4000_executions_is_below_the_floor():
    history = History()
    for commit in range(800):
        history.run(f"c{commit:05d}", "FPPPP" if commit == 400 else "PPPPP")
    health = history.health()
    assert health["status"] == "healthy"
    assert health["same_commit_flips"] == 1
    assert health["p_flaky"] < 0.01


def test_one_flake_in_100_executions_is_left_open():
    history = History()
    for commit in range(99):
        history.run(f"c{commit:05d}", "FP" if commit == 50 else "P")
    assert history.health()["status"] == "insufficient_evidence"


def test_ten_clean_executions_say_little_and_many_say_healthy():
    history = History()
    history.commits("P" * 10)
    assert history.health()["status"] == "insufficient_evidence"
    history.commits("P" * 110)
    assert history.health()["status"] == "healthy"


def test_a_variant_that_is_broken_does_not_taint_the_others():
    history = History()
    for commit in range(130):
        history.run(f"c{commit:05d}", "P", variant="linux", run_id=f"r{commit}")
        history.run(f"c{commit:05d}", "F", variant="windows", run_id=f"r{commit}")
    assert history.health(variant="linux")["status"] == "healthy"
    assert history.health(variant="windows")["status"] == "broken"


def test_a_test_outside_the_window_keeps_its_row_with_the_prior():
    history = flaky_history()
    health = history.health(as_of=START + timedelta(days=200))
    assert health["status"] == "insufficient_evidence"
    assert health["p_flaky"] == pytest.approx(0.128100990)
    assert (health["executions"], health["clean_executions"]) == (0, 0)
    assert health["first_seen_at"] == START
    assert health["last_failed_at"] == START + timedelta(hours=108)


def test_a_test_that_was_only_ever_skipped():
    history = History()
    history.commits("SSS")
    health = history.health()
    assert health["status"] == "insufficient_evidence"
    assert health["last_failed_at"] is None
    assert health["last_seen_at"] == START + timedelta(hours=2)


def test_a_moved_test_is_shown_where_it_was_last():
    history = History()
    history.commits("PP")
    history.rows[0]["file"], history.rows[1]["file"] = "old.py", "new.py"
    assert history.health()["file"] == "new.py"


def test_the_evidence_names_the_flakes_and_nothing_else():
    history = History()
    history.commits("PFP")
    history.run("same", "F", run_id="a")
    history.run("same", "P", run_id="a", attempt=2)
    history.run("same", "FP", run_id="b")
    evidence = history.score().evidence
    assert evidence.schema == EVIDENCE_SCHEMA
    assert evidence.select("run_id", "run_attempt", "code_version").rows() == [
        ("a", 1, "same"),
        ("b", 1, "same"),
    ]


def test_rows_are_sorted_bytewise():
    history = History()
    history.run("c", dict.fromkeys(["b", "é", "B", "a"], "P"))
    assert history.score().health["test_key"].to_list() == ["B", "a", "b", "é"]


def test_a_repository_without_results():
    empty = pl.DataFrame(schema=ROLLUP_SCHEMA)
    scoring = score(empty, as_of=AS_OF, parameters=ScoringParameters())
    assert scoring.health.schema == HEALTH_SCHEMA
    assert scoring.evidence.schema == EVIDENCE_SCHEMA
    assert scoring.health.is_empty()


def test_a_moment_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        History().score(AS_OF.replace(tzinfo=None))
