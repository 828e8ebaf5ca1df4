from datetime import date

import pytest

from flakeguard_pipeline.simulator.parameters import SimulationParameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed must lie between 0 and"),
        ({"full_name": "shop"}, "full_name must be 'owner/name'"),
        ({"full_name": "../shop"}, "full_name must be 'owner/name'"),
        ({"full_name": "acme/shop/x"}, "full_name must be 'owner/name'"),
        ({"repository_id": 0}, "repository_id must lie between 1 and"),
        ({"default_branch": "a b"}, "default_branch must consist of"),
        ({"start": date(1970, 1, 1)}, "start must lie in the years"),
        ({"days": 9}, "days must lie between 10 and"),
        ({"runs_per_day": 0}, "runs_per_day must lie between 1 and"),
        ({"variants": ()}, "variants must name at least one"),
        ({"variants": ("a/b",)}, "variants must consist of"),
        ({"variants": ("linux", "Linux")}, "variants must differ by more than case"),
        ({"flake_rates": (0.1, 1.0)}, "flake_rates must lie strictly between 0 and 1: got 1.0"),
        ({"flake_rates": (0.0,)}, "flake_rates must lie strictly between 0 and 1: got 0.0"),
        ({"rerun_share": 1.01}, "rerun_share must lie between 0 and 1"),
        ({"outage_share": float("nan")}, "outage_share must lie between 0 and 1: got nan"),
        ({"regression_commits": 19}, "regression_commits must lie between 1 and 18: got 19"),
        ({"retried_tests": -1}, "retried_tests must lie between 0 and"),
        ({"tests": 16}, "tests=16 leaves no stable test: 11 tests .* at least 17"),
    ],
)
def test_values_that_make_no_history_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SimulationParameters(**change)


def test_the_least_number_of_tests_is_accepted():
    assert SimulationParameters(tests=17).special_tests == 11


def test_the_history_ends_by_its_parameters_not_by_the_clock():
    assert SimulationParameters(start=date(2026, 9, 1), days=45).end == date(2026, 10, 15)
