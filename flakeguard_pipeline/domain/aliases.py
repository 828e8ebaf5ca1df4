"""Aliases: one test under two names. Belongs here: their short ids, and what a list of decisions adds up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flakeguard_pipeline.domain.digests import stable_id

ID_DIGITS = 12
"""Hexadecimal digits of an alias's id: short enough to type, and 48 bits keep the pairs of a warehouse apart."""


class AliasState(StrEnum):
    """Where a pair of tests stands."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class AliasDecision:
    """One decision on one pair of tests of a repository."""

    old_test_key: str
    new_test_key: str
    is_accepted: bool
    actor: str
    reason: str
    decided_at: datetime


def alias_id(org: str, repository_id: str, old_test_key: str, new_test_key: str) -> str:
    """Return the short id of a pair, for the command line."""
    return stable_id([org, repository_id, old_test_key, new_test_key])[:ID_DIGITS]


def accepted(decisions: Iterable[AliasDecision]) -> dict[str, AliasDecision]:
    """Return by old test the decision that holds; `decisions` come in the order in which they were made.

    An acceptance replaces an earlier one of the same old test. A rejection ends the acceptance of its own pair, and
    says nothing of other pairs.
    """
    holding: dict[str, AliasDecision] = {}
    for decision in decisions:
        current = holding.get(decision.old_test_key)
        if decision.is_accepted:
            holding[decision.old_test_key] = decision
        elif current is not None and current.new_test_key == decision.new_test_key:
            del holding[decision.old_test_key]
    return holding


def state_of(old_test_key: str, new_test_key: str, decisions: Iterable[AliasDecision]) -> AliasState:
    """Return where a pair stands after `decisions`, in the order in which they were made."""
    known = list(decisions)
    own = [each for each in known if (each.old_test_key, each.new_test_key) == (old_test_key, new_test_key)]
    if not own:
        return AliasState.PROPOSED
    if not own[-1].is_accepted:
        return AliasState.REJECTED
    return AliasState.ACCEPTED if accepted(known).get(old_test_key) is own[-1] else AliasState.REPLACED


def final_keys(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return where each old test's history ends up: A to B and B to C gives A to C and B to C.

    Raises:
        ValueError: the pairs close a circle.
    """
    final: dict[str, str] = {}
    for old in pairs:
        seen = {old}
        key = pairs[old]
        while key in pairs and key not in seen:
            seen.add(key)
            key = pairs[key]
        if key in seen:
            raise ValueError(f"the aliases of {old} close a circle")
        final[old] = key
    return final
