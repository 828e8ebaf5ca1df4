"""Every number that scoring rests on, each with its reason."""

from dataclasses import dataclass, fields

from flakeguard_pipeline.domain.digests import stable_id

PRIOR_NAME = "documented-2"
"""Changes when the formulas change; the digest beside it changes when a number does."""


@dataclass(frozen=True, slots=True)
class ScoringParameters:
    """The constants of one scoring. Rates and probabilities are fractions of 1."""

    window_days: int = 90
    """Days before `as_of` whose runs are evidence: a test's flakiness changes with its code, so old runs
    mislead, while a shorter window leaves tests that run nightly with too few executions to say anything."""

    prior_alpha: float = 0.05
    """Beta prior of the flake rate, first shape: failures believed in before any was seen. Far below 1, so
    that most of the mass lies next to zero: most tests never flake. With `prior_beta`, P(rate > 0.2 %) is
    13 %."""

    prior_beta: float = 20.0
    """Beta prior, second shape: passes believed in. It keeps one flake in two executions from reading as a
    rate of 50 %, and is outweighed by a week of runs. Ten clean executions change little (P = 11 %), 3,000
    settle it."""

    flaky_rate_floor: float = 0.002
    """`p_flaky` is the probability that the flake rate is above this: 0.2 %, as `marts.test_health` promises."""

    interval: float = 0.90
    """Mass of the central credible interval that is reported: 90 %, as `marts.test_health` promises."""

    flaky_from: float = 0.95
    """Called flaky from this `p_flaky` on, so at most one such call in twenty is wrong if the model holds.
    One flake reaches it among up to about 10 executions, two among up to about 165."""

    healthy_to: float = 0.05
    """Called healthy up to this `p_flaky`: the same one in twenty. About 115 clean executions reach it; a
    test with one flake needs some 1,530 passes."""

    broken_prior: float = 0.02
    """Probability, before looking at its results, that the default branch is broken for one test: teams
    repair their default branch within hours or days, so a test spends about a day or two in a 90-day window
    broken."""

    broken_from: float = 0.90
    """Called broken from this `p_broken` on. Lower than `flaky_from`: a breakage that is called late is
    hidden or waved through as a flake, which costs more than a look at a false alarm."""

    broken_min_failures: int = 2
    """Failing executions without a pass that a breakage takes. The model knows no failures of single
    machines, so a lone failing execution never is enough, however good the test's record."""

    fixed_confidence: float = 0.95
    """A flaky test counts as fixed when a test with its old rate would show so many passes in a row with
    probability 1 - this at most."""

    fixed_min_clean: int = 30
    """Passes since the last failure that a fix takes in any case: with a high old rate the formula alone
    would be content with a handful, which one quiet machine or one quiet day can produce."""

    outage_share: float = 0.5
    """Share of a run attempt's executed test variants that fail in a run-wide outage."""

    outage_min_tests: int = 20
    """Executed test variants a run attempt needs before it can be an outage: half of a handful of tests
    fails together for reasons that are their own."""

    @property
    def prior_version(self) -> str:
        """Stable name of these parameters, such as `documented-2-0a1b2c3d`."""
        parts = [f"{field.name}={getattr(self, field.name)!r}" for field in fields(self)]
        return f"{PRIOR_NAME}-{stable_id(parts)[:8]}"
