import pytest

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.rationale import percent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_p_flaky": 95}, "min_p_flaky must lie between 0 and 1"),
        ({"min_p_flaky": float("nan")}, "min_p_flaky must be a number"),
        ({"min_flake_rate": -0.1}, "min_flake_rate must lie between 0 and 1"),
        ({"min_flake_rate": "1 %"}, "min_flake_rate must be a number"),
        ({"min_same_commit_flips": 0}, "min_same_commit_flips must be a whole number from 1 on"),
        ({"min_executions": True}, "min_executions must be a whole number"),
        ({"expiry_days": 1.5}, "expiry_days must be a whole number"),
        ({"enabled": "no"}, "enabled must be true or false"),
        ({"excuse": "all"}, "excuse must be one of known_signatures, any, not 'all'"),
    ],
)
def test_a_wrong_value_is_named(change, message):
    with pytest.raises(ConfigurationError, match=message):
        Policy(**change)


def test_the_version_is_that_of_the_values():
    assert Policy().version == Policy(min_p_flaky=0.95).version
    assert Policy(min_p_flaky=1).version == Policy(min_p_flaky=1.0).version
    changes = [
        {"enabled": False}, {"min_p_flaky": 0.9}, {"min_flake_rate": 0.01}, {"min_same_commit_flips": 3},
        {"min_executions": 20}, {"expiry_days": 14}, {"excuse": "any"},
    ]  # fmt: skip
    assert len({Policy().version, *(Policy(**change).version for change in changes)}) == 8


@pytest.mark.parametrize(
    ("rate", "text"), [(0.017, "1.7"), (0.0, "0.0"), (0.0002, "0.02"), (0.0000001, "0.0"), (1.0, "100.0")]
)
def test_percent(rate, text):
    assert percent(rate) == text
