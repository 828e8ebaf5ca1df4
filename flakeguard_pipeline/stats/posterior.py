"""The formulas: arrays in, arrays out, element by element.

Arrays have one element per test variant and any common shape; counts are whole numbers. No sum runs over
elements, so a result depends on its own element alone.

Source of the model: Gelman et al., Bayesian Data Analysis, 3rd ed., sections 2.1 to 2.4 (binomial likelihood,
Beta prior, conjugacy). The flake rate of a test variant is the probability that one execution on good code
fails; executions are independent given the rate.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats: TypeAlias = NDArray[np.float64]


def exceeds(alpha: Floats, beta: Floats, rate: float) -> Floats:
    """Return P(flake rate > `rate`) under Beta(alpha, beta), the complement of its distribution function."""
    return np.asarray(special.betaincc(alpha, beta, rate), dtype=np.float64)


def quantile(alpha: Floats, beta: Floats, probability: float) -> Floats:
    """Return the quantile of Beta(alpha, beta) at `probability`."""
    return np.asarray(special.betaincinv(alpha, beta, probability), dtype=np.float64)


def all_fail_by_chance(alpha: Floats, beta: Floats, failures: Floats) -> Floats:
    """Return the probability that `failures` executions in a row all flake.

    E[rate^m] under Beta(alpha, beta), the beta-binomial B(alpha + m, beta) / B(alpha, beta), not the mean
    rate to the power m: failures in a row make a high rate more credible, which matters where little is known
    of the test.
    """
    log = special.betaln(alpha + failures, beta) - special.betaln(alpha, beta)
    return np.asarray(np.exp(log), dtype=np.float64)


def broken_probability(alpha: Floats, beta: Floats, failures: Floats, prior: float) -> Floats:
    """Return P(broken | the last `failures` executions on the default branch failed, none passed).

    Bayes' rule between two accounts: broken code (prior `prior`), on which every execution fails, and good
    code, on which all of them flaked. 0 where nothing failed.
    """
    by_chance = all_fail_by_chance(alpha, beta, failures)
    posterior = prior / (prior + (1.0 - prior) * by_chance)
    return np.asarray(np.where(failures > 0, posterior, 0.0), dtype=np.float64)


def clean_executions_needed(rate_low: Floats, confidence: float, minimum: int) -> Floats:
    """Return how many passes in a row show that a rate of at least `rate_low` is gone.

    The smallest n with (1 - rate_low)^n <= 1 - confidence, the zero-failure test plan (for small rates about
    3 / rate at 95 %: the "rule of three", Hanley and Lippman-Hand, JAMA 249, 1983), and at least `minimum`.
    Infinite where `rate_low` is 0.
    """
    with np.errstate(divide="ignore"):
        needed = np.ceil(np.log1p(-confidence) / np.log1p(-rate_low))
    return np.asarray(np.maximum(needed, float(minimum)), dtype=np.float64)
