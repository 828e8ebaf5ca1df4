import re

import numpy as np
import pytest

from flakeguard_pipeline.stats import posterior
from flakeguard_pipeline.stats.parameters import ScoringParameters


def beta(failures: int, passes: int) -> tuple[np.ndarray, np.ndarray]:
    parameters = ScoringParameters()
    return np.array([parameters.prior_alpha + failures]), np.array([parameters.prior_beta + passes])


@pytest.mark.parametrize(
    ("failures", "passes", "low", "high"),
    [
        (0, 0, 0.125, 0.132),  # the prior: 13 %
        (0, 10, 0.10, 0.12),  # ten clean executions: 11 %
        (0, 105, 0.05, 0.06),
        (0, 116, 0.04, 0.05),  # healthy from about 115 on
        (0, 3000, 0.0, 0.001),
        (1, 10, 0.95, 0.96),  # flaky: one flake among about ten
        (1, 12, 0.94, 0.95),
        (2, 160, 0.95, 0.96),  # two among about 165
        (2, 175, 0.94, 0.95),
        (1, 1540, 0.04, 0.05),  # healthy in spite of one flake
    ],
)
def test_what_the_reasons_of_the_parameters_say_is_true(failures, passes, low, high):
    assert low < posterior.exceeds(*beta(failures, passes), ScoringParameters().flaky_rate_floor)[0] < high


def test_the_version_names_the_numbers():
    assert re.fullmatch(r"documented-2-[0-9a-f]{8}", ScoringParameters().prior_version)
    assert ScoringParameters().prior_version == ScoringParameters().prior_version
    assert ScoringParameters().prior_version != ScoringParameters(window_days=30).prior_version


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 299), (0.05, 59), (0.1, 30), (0.5, 30), (0.0, np.inf)])
def test_clean_executions_that_show_a_fix(rate, needed):
    assert posterior.clean_executions_needed(np.array([rate]), 0.95, 30)[0] == needed


def test_one_failure_by_chance_has_the_mean_rate():
    alpha, passes = beta(3, 200)
    assert posterior.all_fail_by_chance(alpha, passes, np.array([1.0]))[0] == pytest.approx(
        alpha[0] / (alpha[0] + passes[0])
    )


def test_more_failures_in_a_row_make_a_breakage_more_credible():
    alpha, passes = beta(5, 100)
    failures = np.arange(0.0, 10.0)
    broken = posterior.broken_probability(alpha, passes, failures, 0.02)
    assert broken[0] == 0
    assert (np.diff(broken) > 0).all()
