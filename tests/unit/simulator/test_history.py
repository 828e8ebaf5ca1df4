import math
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from flakeguard_pipeline.domain.model import Outcome, RunStatus
from flakeguard_pipeline.simulator.history import (
    Cause,
    SimulatedHistory,
    SimulationParameters,
    TruthKind,
    simulate,
)
from flakeguard_pipeline.simulator.model import ERRORED, FAILED, OUTCOMES, PASSED, SKIPPED

ARRAYS = ("outcomes", "failed_tries", "causes", "durations_us")
KNOWN_FIRST_RUN = (56, 17400047530, "1a3a962394fc")
KNOWN_OUTCOMES = {Outcome.ERRORED: 33, Outcome.FAILED: 209, Outcome.PASSED: 1830, Outcome.SKIPPED: 168}
KNOWN_DURATION_US = 231607014


@pytest.fixture(scope="module")
def history() -> SimulatedHistory:
    return simulate(SimulationParameters())


def _is_broken(history: SimulatedHistory) -> np.ndarray:
    """(R, T): whether the code of the run really breaks the test."""
    broken = np.zeros((len(history.runs), len(history.tests)), dtype=bool)
    for index, run in enumerate(history.runs):
        broken[index, list(run.broken_tests)] = True
    return broken


def _is_outage(history: SimulatedHistory) -> np.ndarray:
    return np.array([run.is_outage for run in history.runs])


def _by_kind(history: SimulatedHistory, kind: TruthKind):
    for place, truth in enumerate(history.truth):
        if truth.kind is kind:
            yield truth, place % len(history.parameters.variants)


def _failed(history: SimulatedHistory) -> np.ndarray:
    return np.isin(history.outcomes, (FAILED, ERRORED))


def test_equal_parameters_give_equal_histories(history):
    again = simulate(SimulationParameters())
    assert again.runs == history.runs
    assert again.truth == history.truth
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(history, name))


def test_another_seed_gives_another_history(history):
    other = simulate(SimulationParameters(seed=2))
    assert {run.sha for run in other.runs}.isdisjoint(run.sha for run in history.runs)
    assert other.outcomes.shape != history.outcomes.shape or (other.outcomes != history.outcomes).any()


def test_draws_do_not_depend_on_the_version_of_python_or_numpy():
    # Known answers: they change only with the simulator itself, never with its surroundings.
    history = simulate(SimulationParameters(seed=7, days=10, tests=20, retried_tests=2))
    run = history.runs[0]
    assert (len(history.runs), run.run_id, run.sha[:12]) == KNOWN_FIRST_RUN
    assert Counter(OUTCOMES[code] for code in history.outcomes.ravel().tolist()) == KNOWN_OUTCOMES
    assert int(history.durations_us.sum()) == KNOWN_DURATION_US


def test_the_defaults_are_the_size_of_a_demo(history):
    assert 220 <= len(history.runs) <= 280
    assert 25_000 <= history.execution_count <= 32_000
    assert history.outcomes.shape == (len(history.runs), 2, 60)
    for name in ARRAYS:
        assert getattr(history, name).shape == history.outcomes.shape
        with pytest.raises(ValueError, match="read-only"):
            getattr(history, name)[0] = 0


def test_executions_count_every_try(history):
    tries = np.where(history.failed_tries > 0, history.failed_tries, 1).astype(int)
    # a test that passes after failures was tried once more than it failed
    tries += (history.outcomes == PASSED) & (history.failed_tries > 0)
    assert history.execution_count == tries.sum() > history.outcomes.size


def test_runs_are_in_order_within_the_days_asked_for(history):
    starts = [run.run_started_at for run in history.runs]
    assert starts == sorted(starts)
    assert starts[0].date() == date(2026, 9, 1)
    assert starts[-1].date() == date(2026, 10, 15)
    keys = [(run.run_id, run.run_attempt) for run in history.runs]
    assert len(set(keys)) == len(keys)
    job_ids = [job.job_id for run in history.runs for job in run.jobs]
    assert len(set(job_ids)) == len(job_ids)
    for run in history.runs:
        assert run.created_at <= run.run_started_at < run.updated_at
        assert run.updated_at.date() == run.run_started_at.date()


def test_a_rerun_is_a_second_attempt_of_the_same_failing_code(history):
    first = {run.run_id: run for run in history.runs if run.run_attempt == 1}
    reruns = [run for run in history.runs if run.run_attempt == 2]
    failing = [run for run in first.values() if run.conclusion == "failure"]
    assert 0.3 < len(reruns) / len(failing) < 0.7
    for run in reruns:
        earlier = first[run.run_id]
        assert earlier.conclusion == "failure"
        assert (run.sha, run.event, run.branch, run.created_at, run.broken_tests) == (
            earlier.sha, earlier.event, earlier.branch, earlier.created_at, earlier.broken_tests,
        )  # fmt: skip
        assert run.run_started_at > earlier.updated_at


def test_nightly_runs_test_a_commit_of_the_default_branch_again(history):
    pushed = {run.sha for run in history.runs if run.event == "push"}
    nightly = [run for run in history.runs if run.event == "schedule" and run.run_attempt == 1]
    assert 10 <= len(nightly) <= 35
    assert all(run.sha in pushed and run.branch == "main" for run in nightly)


def test_pull_requests_have_a_number_and_a_base_and_others_have_neither(history):
    pushed = {run.sha for run in history.runs if run.event == "push"}
    for run in history.runs:
        assert (run.pull_request is not None) == (run.event == "pull_request")
        assert (run.base_sha in pushed) if run.pull_request else (run.base_sha == "")


def test_stable_tests_fail_only_in_the_outage_or_where_a_pull_request_breaks_them(history):
    failed, broken, outage = _failed(history), _is_broken(history), _is_outage(history)
    calm = ~broken & ~outage[:, None]
    stable = list(_by_kind(history, TruthKind.STABLE))
    assert len(stable) > 60
    for truth, variant in stable:
        assert not failed[calm[:, truth.test], variant, truth.test].any()
        assert not truth.broken_days
    assert any(failed[:, variant, truth.test].any() for truth, variant in stable)


def test_broken_code_fails_each_time_in_each_variant_where_the_test_runs(history):
    broken = _is_broken(history)
    ran = history.outcomes != SKIPPED
    assert _failed(history)[broken[:, None, :] & ran].all()


def test_flaky_tests_fail_at_their_rate():
    history = simulate(SimulationParameters(seed=11, days=365, tests=40, imperfections=False))
    failed = _failed(history)
    calm = ~_is_broken(history) & ~_is_outage(history)[:, None]
    flaky = [pair for pair in _by_kind(history, TruthKind.FLAKY) if history.tests[pair[0].test].max_tries == 1]
    assert {truth.flake_rate for truth, _ in flaky} == {0.01, 0.03, 0.08, 0.2}
    # Only first attempts: a re-run happens because something failed.
    first = np.array([run.run_attempt == 1 for run in history.runs])
    for truth, variant in flaky:
        seen = failed[first & calm[:, truth.test], variant, truth.test]
        spread = math.sqrt(truth.flake_rate * (1 - truth.flake_rate) / seen.size)
        assert abs(seen.mean() - truth.flake_rate) < 4 * spread, truth


def test_some_flaky_tests_are_flaky_in_one_variant_only(history):
    variants = Counter(truth.test for truth, _ in _by_kind(history, TruthKind.FLAKY))
    assert set(variants.values()) == {1, 2}
    both = simulate(SimulationParameters(flaky_tests_per_rate=2))
    styles = Counter()
    counts = Counter(truth.test for truth, _ in _by_kind(both, TruthKind.FLAKY))
    for rate, test in {(t.flake_rate, t.test) for t, _ in _by_kind(both, TruthKind.FLAKY)}:
        styles[rate, counts[test]] += 1
    assert all(styles[rate, count] == 1 for rate in (0.01, 0.03, 0.08, 0.2) for count in (1, 2))


def test_the_repaired_test_flakes_before_its_repair_and_never_after(history):
    pairs = list(_by_kind(history, TruthKind.FIXED))
    assert len(pairs) == 2
    outage = _is_outage(history)
    repairs = [run for run in history.runs if run.created_at == pairs[0][0].flaky_until]
    assert [run.event for run in repairs[:1]] == ["push"]
    # a re-run after the repair still tests the old code, so that the time of the first attempt counts
    after = np.array([run.created_at >= repairs[0].created_at for run in history.runs])
    for truth, variant in pairs:
        failed = _failed(history)[:, variant, truth.test]
        assert failed[~after & ~outage].sum() >= 3
        assert not failed[after].any()


def test_the_regression_breaks_its_tests_from_one_commit_to_another(history):
    pairs = list(_by_kind(history, TruthKind.REGRESSED))
    assert len(pairs) == 3 * 2
    pushes = [run for run in history.runs if run.event == "push" and run.run_attempt == 1]
    truth = pairs[0][0]
    inside = [run for run in pushes if truth.broken_from <= run.created_at < truth.broken_until]
    assert len(inside) == history.parameters.regression_commits
    assert truth.broken_days[0] == truth.broken_from.date()
    assert truth.broken_days[-1] == truth.broken_until.date()
    calm = ~_is_outage(history)
    is_inside = np.array([truth.broken_from <= run.created_at < truth.broken_until for run in history.runs])
    for each, variant in pairs:
        failed = _failed(history)[:, variant, each.test]
        assert failed[is_inside].all()
        assert not failed[~is_inside & calm].any()


def test_always_failing_tests_always_fail_and_never_decide_a_run(history):
    pairs = list(_by_kind(history, TruthKind.ALWAYS_FAILING))
    assert len(pairs) == 2
    for truth, variant in pairs:
        assert _failed(history)[:, variant, truth.test].all()
        assert len(truth.broken_days) == 45
    assert any(run.conclusion == "success" for run in history.runs)


def test_skipped_tests_are_skipped_in_one_variant_or_in_all(history):
    skipped = {(truth.test, variant) for truth, variant in _by_kind(history, TruthKind.SKIPPED)}
    assert len(skipped) == 3
    for test in range(60):
        for variant in range(2):
            is_skipped = history.outcomes[:, variant, test] == SKIPPED
            assert is_skipped.all() if (test, variant) in skipped else not is_skipped.any()
            if (test, variant) in skipped:
                assert not history.durations_us[:, variant, test].any()


def test_the_outage_fails_most_tests_of_one_attempt_and_its_rerun_does_not(history):
    (index,) = np.flatnonzero(_is_outage(history))
    run = history.runs[index]
    (again,) = [i for i, other in enumerate(history.runs) if (other.run_id, other.run_attempt) == (run.run_id, 2)]
    assert (history.outcomes[index] == ERRORED).mean() > 0.75
    assert _failed(history)[again].mean() < 0.15
    assert (history.causes == Cause.OUTAGE).any(axis=(1, 2)).sum() == 1
    assert history.runs[again].run_started_at - run.run_started_at < timedelta(hours=3)


def test_pull_requests_break_tests_until_a_later_commit_fixes_them(history):
    failed = _failed(history)
    breaking = [pr for pr in history.pull_requests if pr.broken_tests]
    assert 0.1 < len(breaking) / len(history.pull_requests) < 0.45
    fixed = 0
    for pull_request in breaking:
        mine = [i for i, run in enumerate(history.runs) if run.pull_request == pull_request]
        shas = list(dict.fromkeys(history.runs[i].sha for i in sorted(mine, key=lambda i: history.runs[i].run_id)))
        bad = set(shas[: pull_request.broken_commits])
        for index in mine:
            expected = history.runs[index].sha in bad
            assert (failed[index][:, list(pull_request.broken_tests)] == expected).all()
        fixed += len(shas) > pull_request.broken_commits
    assert fixed >= 5
    broken_by = {(truth.test, number) for truth in history.truth for number in truth.broken_in_pull_requests}
    assert broken_by == {(test, pr.number) for pr in breaking for test in pr.broken_tests}


def test_only_retried_tests_pass_after_failing_in_the_same_report(history):
    recovered = (history.outcomes == PASSED) & (history.failed_tries > 0)
    tests = {int(test) for test in np.flatnonzero(recovered.any(axis=(0, 1)))}
    assert tests == {55}
    assert history.tests[55].max_tries == 3
    assert history.failed_tries[:, :, :55].max() == 1
    # three failures in a row are a failure: 1.6 % of about 500
    assert 1 <= (history.outcomes[:, :, 55] == FAILED).sum() <= 25


def test_causes_tell_why_tests_failed(history):
    causes, failing = history.causes, history.failed_tries > 0
    assert ((causes != Cause.NONE) == failing).all()
    rates = np.array([truth.flake_rate for truth in history.truth]).reshape(60, 2).T
    flaked = (causes == Cause.FLAKE).any(axis=0)
    assert flaked.any()
    assert (rates[flaked] > 0).all()


def test_only_the_last_run_is_in_progress(history):
    assert [run.status for run in history.runs[:-1]] == [RunStatus.COMPLETED] * (len(history.runs) - 1)
    last = history.runs[-1]
    assert (last.status, last.conclusion) == (RunStatus.IN_PROGRESS, "")
    assert [job.completed_at is None for job in last.jobs] == [False, True, False]
    tidy = simulate(SimulationParameters(imperfections=False))
    assert tidy.imperfections == ()
    assert all(run.status is RunStatus.COMPLETED for run in tidy.runs)


def test_names_are_unique_and_a_large_suite_is_quick():
    history = simulate(SimulationParameters(tests=1000, retried_tests=20))
    assert len({(test.classname, test.name) for test in history.tests}) == 1000
    assert history.outcomes.shape[2] == 1000


def test_a_history_without_any_trouble_passes():
    history = simulate(
        SimulationParameters(
            days=10, tests=8, flake_rates=(), fixed_flake_rate=0.0, retried_tests=0, regression_tests=0,
            always_failing_tests=0, skipped_tests=0, breaking_share=0.0, outage_share=0.0,
        )
    )  # fmt: skip
    assert {OUTCOMES[code] for code in np.unique(history.outcomes)} == {Outcome.PASSED}
    assert {truth.kind for truth in history.truth} == {TruthKind.STABLE}
    assert {run.run_attempt for run in history.runs} == {1}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variants", [("one",), ("a", "b", "c")])
def test_the_shortest_history_still_has_its_whole_story(seed, variants):
    parameters = SimulationParameters(
        seed=seed, days=10, runs_per_day=1, regression_commits=4, variants=variants, pull_request_share=1.0
    )
    history = simulate(parameters)
    kinds = {truth.kind for truth in history.truth}
    assert kinds == set(TruthKind)
    assert _is_outage(history).sum() == 1
    regressed = next(truth for truth in history.truth if truth.kind is TruthKind.REGRESSED)
    assert history.parameters.start < regressed.broken_from.date() < regressed.broken_until.date()
