"""What a team asks of a test before its failures are excused."""

import math
from dataclasses import dataclass, fields

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError

EXCUSES = ("known_signatures", "any")


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of quarantine. All floors must be met.

    Raises:
        ConfigurationError: a value is outside its range.
    """

    enabled: bool = True
    """Off: nothing is quarantined, and what the policy had quarantined is released."""

    min_p_flaky: float = 0.95
    """Posterior probability of a flake rate above the floor."""

    min_flake_rate: float = 0.005
    """Posterior mean of the flake rate: a test that fails once in a thousand executions is a nuisance that a
    rerun deals with, while an excuse for it could hide a regression."""

    min_same_commit_flips: int = 2
    """Code versions on which the test passed and failed: one may have been a bad machine."""

    min_executions: int = 10
    """Executions in the window."""

    expiry_days: int = 30
    """Days until a quarantine ends, unless newer flakes renew it: an excuse that nobody looks at must not
    last."""

    excuse: str = "known_signatures"
    """Which failures the gate excuses: those with a signature that was seen as a flake, or `any`."""

    def __post_init__(self) -> None:
        """Check every value, so that a wrong one is named before anything is decided."""
        _fraction("min_p_flaky", self.min_p_flaky)
        _fraction("min_flake_rate", self.min_flake_rate)
        _at_least("min_same_commit_flips", self.min_same_commit_flips, 1)
        _at_least("min_executions", self.min_executions, 1)
        _at_least("expiry_days", self.expiry_days, 1)
        if not isinstance(self.enabled, bool):
            raise ConfigurationError(f"policy: enabled must be true or false, not {self.enabled!r}")
        if self.excuse not in EXCUSES:
            raise ConfigurationError(f"policy: excuse must be one of {', '.join(EXCUSES)}, not {self.excuse!r}")

    @property
    def version(self) -> str:
        """Digest over all values: equal for equal policies."""
        return stable_id([f"{field.name}={_plain(getattr(self, field.name))!r}" for field in fields(self)])


def _plain(value: object) -> object:
    """Return `value`, whole floats as integers: 1 and 1.0 are the same policy."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fraction(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigurationError(f"policy: {name} must be a number, not {value!r}")
    if not 0 <= value <= 1:
        raise ConfigurationError(f"policy: {name} must lie between 0 and 1 (0.95 for 95 %), not be {value!r}")


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"policy: {name} must be a whole number from {least} on, not {value!r}")
