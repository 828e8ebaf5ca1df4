from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.domain.aliases import (
    ID_DIGITS,
    AliasDecision,
    AliasState,
    accepted,
    alias_id,
    final_keys,
    state_of,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def decisions(*texts: str) -> list[AliasDecision]:
    """Return decisions from texts such as `+A B` (accepted) and `-A B` (rejected)."""
    return [
        AliasDecision(*text[1:].split(), is_accepted=text[0] == "+", actor="ada", reason="", decided_at=NOW)
        for text in texts
    ]


def held(*texts: str) -> dict[str, str]:
    return {old: each.new_test_key for old, each in accepted(decisions(*texts)).items()}


def test_an_id_is_short_stable_and_of_the_pair_in_its_direction():
    one = alias_id("acme", "github:7", "old", "new")
    assert len(one) == ID_DIGITS
    assert one == alias_id("acme", "github:7", "old", "new")
    assert len({one, alias_id("acme", "github:7", "new", "old"), alias_id("acme", "github:8", "old", "new")}) == 3


def test_the_newest_acceptance_of_a_test_holds():
    assert held("+A B") == {"A": "B"}
    assert held("+A B", "+A C") == {"A": "C"}
    assert held("+A B", "+C D") == {"A": "B", "C": "D"}


def test_a_rejection_ends_the_acceptance_of_its_own_pair_only():
    assert held("+A B", "-A B") == {}
    assert held("+A B", "-A C") == {"A": "B"}
    assert held("+A B", "+A C", "-A B") == {"A": "C"}
    assert held("+A B", "+A C", "-A C") == {}
    assert held("-A B", "+A B") == {"A": "B"}


@pytest.mark.parametrize(
    ("made", "state"),
    [
        ([], AliasState.PROPOSED),
        (["-A C"], AliasState.PROPOSED),
        (["+A B"], AliasState.ACCEPTED),
        (["+A B", "-A C"], AliasState.ACCEPTED),
        (["+A B", "+A C"], AliasState.REPLACED),
        (["+A B", "+A C", "-A C"], AliasState.REPLACED),
        (["+A B", "-A B"], AliasState.REJECTED),
        (["+A B", "-A B", "+A B"], AliasState.ACCEPTED),
    ],
)
def test_the_state_of_a_pair(made: list[str], state: AliasState):
    assert state_of("A", "B", decisions(*made)) is state


def test_chains_are_followed_to_their_end():
    assert final_keys({"A": "B", "B": "C", "X": "C", "P": "Q"}) == {"A": "C", "B": "C", "X": "C", "P": "Q"}
    assert final_keys({}) == {}


@pytest.mark.parametrize("pairs", [{"A": "A"}, {"A": "B", "B": "A"}, {"A": "B", "B": "C", "C": "B"}])
def test_a_circle_has_no_end(pairs: dict[str, str]):
    with pytest.raises(ValueError, match="close a circle"):
        final_keys(pairs)


@given(st.dictionaries(st.integers(0, 30), st.integers(1, 10), max_size=20))
def test_an_end_is_never_an_old_test_itself(steps: dict[int, int]):
    pairs = {str(old): str(old + step) for old, step in steps.items()}
    final = final_keys(pairs)
    assert final.keys() == pairs.keys()
    assert not final.keys() & set(final.values())
