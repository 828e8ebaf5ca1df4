"""Quarantines follow tests to their new names, and back."""

import json
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.aliases import AliasDecision
from flakeguard_pipeline.policy.carry_over import carry_over, inherited
from flakeguard_pipeline.policy.decide import decide
from flakeguard_pipeline.policy.events import Entry, QuarantineEvent, fold
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import TRANSITIONS
from flakeguard_pipeline.stats.frames import EVIDENCE_SCHEMA, HEALTH_SCHEMA
from tests.unit.policy.scores import DAY, NOW, flake, health_row

LATER = NOW + DAY


def row(key: str, **changes: Any) -> dict[str, Any]:
    """Return the health of test `key` as the marts have it: `test_id` follows from key and variant."""
    return health_row(key, test_key=key, test_id=f"{key}@linux", name=f"test_{key}", **changes)


def step(
    events: list[QuarantineEvent],
    rows: list[dict[str, Any]],
    aliases: list[AliasDecision],
    as_of: Any = LATER,
    flakes: list[dict[str, Any]] | None = None,
) -> list[QuarantineEvent]:
    """Return `events` and what one run adds to them."""
    health = pl.DataFrame(rows, schema=HEALTH_SCHEMA)
    shared = {"as_of": as_of, "code_version": "0.1.0"}
    carried = carry_over(health, fold(events, as_of=as_of), aliases, policy_version=Policy().version, **shared)
    evidence = pl.DataFrame(flakes or [], schema=EVIDENCE_SCHEMA)
    entries = inherited(fold([*events, *carried], as_of=as_of), aliases)
    decided = decide(health, evidence, entries, policy=Policy(), repository="acme/shop", **shared)
    return [*events, *carried, *decided]


def quarantined(*keys: str) -> list[QuarantineEvent]:
    """Return the events that quarantine these tests."""
    flakes = [{**flake(), "test_key": key} for key in keys]
    events = step([], [row(key) for key in keys], [], as_of=NOW, flakes=flakes)
    assert [event.test_key for event in events] == list(keys)
    return events


def alias(old: str, new: str, *, accepted: bool = True) -> AliasDecision:
    return AliasDecision(old, new, accepted, "ada", "renamed", NOW)


def open_keys(events: list[QuarantineEvent], as_of: Any = LATER) -> dict[str, Entry]:
    found = {key: entry for key, entry in fold(events, as_of=as_of).items() if entry.state == "quarantined"}
    return {entry.event.test_key: entry for entry in found.values()}


HEALTHY = {"status": "healthy", "p_flaky": 0.01}


def test_an_open_quarantine_goes_on_under_the_new_name():
    before = quarantined("a")
    after = step(before, [row("b", **HEALTHY)], [alias("a", "b")])
    ended, begun = after[1:]
    assert (ended.test_id, ended.from_state, ended.to_state) == ("a@linux", "quarantined", "released")
    assert (begun.test_id, begun.from_state, begun.to_state) == ("b@linux", "", "quarantined")
    assert begun.expires_at == before[0].expires_at
    assert (begun.test_key, begun.variant, begun.name) == ("b", "linux", "test_b")
    assert (begun.reason, begun.actor, begun.as_of) == (before[0].reason, "policy", LATER)
    assert "accepted by ada" in begun.rationale
    assert begun.rationale.startswith("carried over from pkg.Case test_a: ")
    assert ended.expires_at is None
    kept = json.loads(before[0].evidence)
    assert json.loads(begun.evidence) == {**kept, "carried_over_from": "a"}
    assert ended.decision_id != begun.decision_id
    # and it is done once
    assert step(after, [row("b", **HEALTHY)], [alias("a", "b")], as_of=LATER + DAY) == after


def test_a_quarantine_that_both_have_is_not_doubled():
    before = quarantined("a", "b")
    after = step(before, [row("b")], [alias("a", "b")])
    (ended,) = after[2:]
    assert (ended.test_key, ended.to_state) == ("a", "released")
    assert ended.rationale.endswith("; it is quarantined there already")
    assert list(open_keys(after)) == ["b"]


def test_two_quarantines_that_meet_under_one_name_become_one():
    after = step(quarantined("a", "b"), [row("c")], [alias("a", "c"), alias("b", "c")])
    assert list(open_keys(after)) == ["c"]
    assert len(after) == 5


def test_a_chain_is_followed_at_once_or_step_by_step():
    once = step(quarantined("a"), [row("c")], [alias("a", "b"), alias("b", "c")])
    assert list(open_keys(once)) == ["c"]
    first = step(quarantined("a"), [row("b")], [alias("a", "b")])
    second = step(first, [row("c")], [alias("a", "b"), alias("b", "c")], as_of=LATER + DAY)
    entry = open_keys(second, LATER + DAY)["c"]
    assert json.loads(entry.event.evidence)["carried_over_from"] == "a"
    assert entry.expires_at == first[0].expires_at


def test_an_alias_that_is_taken_back_takes_the_quarantine_back():
    there = step(quarantined("a"), [row("b")], [alias("a", "b")])
    taken_back = [alias("a", "b"), alias("a", "b", accepted=False)]
    back = step(there, [row("a", **HEALTHY), row("b", **HEALTHY)], taken_back, as_of=LATER + DAY)
    assert list(open_keys(back, LATER + DAY)) == ["a"]
    begun = next(event for event in back[3:] if event.test_key == "a")
    assert (begun.from_state, begun.name, begun.expires_at) == ("released", "test_a", back[0].expires_at)
    assert json.loads(begun.evidence) == json.loads(back[0].evidence)


def test_what_was_quarantined_under_the_new_name_by_itself_stays_there():
    before = quarantined("b")
    taken_back = [alias("a", "b"), alias("a", "b", accepted=False)]
    assert step(before, [row("a", **HEALTHY), row("b", **HEALTHY)], taken_back) == before


def test_another_new_name_moves_it_on():
    there = step(quarantined("a"), [row("b", **HEALTHY)], [alias("a", "b")])
    replaced = [alias("a", "b"), alias("a", "c")]
    after = step(there, [row("b", **HEALTHY), row("c", **HEALTHY)], replaced, as_of=LATER + DAY)
    assert list(open_keys(after, LATER + DAY)) == ["c"]


def test_names_that_are_exchanged_with_others_keep_their_quarantines_apart():
    # b's quarantine was a's and goes back, while d's comes to b
    there = step(quarantined("a"), [row("b", **HEALTHY)], [alias("a", "b")])
    there += quarantined("d")
    changed = [alias("a", "b"), alias("a", "b", accepted=False), alias("d", "b")]
    after = step(there, [row("a", **HEALTHY), row("b", **HEALTHY)], changed, as_of=LATER + DAY)
    origins = {key: json.loads(entry.event.evidence).get("carried_over_from") for key, entry in
               open_keys(after, LATER + DAY).items()}  # fmt: skip
    assert origins == {"a": None, "b": "d"}


def test_the_rules_apply_to_what_was_carried_over():
    broken = row("b", status="broken", p_broken=0.99)
    after = step(quarantined("a"), [broken], [alias("a", "b")])
    assert open_keys(after) == {}
    assert [(event.test_key, event.to_state) for event in after[1:]] == [
        ("a", "released"),
        ("b", "quarantined"),
        ("b", "released"),
    ]
    assert after[-1].rationale.startswith("it is broken now")
    assert all((event.from_state, event.to_state) in TRANSITIONS for event in after)


def test_a_quarantine_whose_time_is_up_ends_under_the_new_name():
    late = NOW + 40 * DAY
    after = step(quarantined("a"), [row("b", as_of=late, **HEALTHY)], [alias("a", "b")], as_of=late)
    assert open_keys(after, late) == {}
    assert after[-1].rationale.startswith("its time is up")


def test_flakes_that_a_quarantine_expired_for_do_not_count_again_under_the_new_name():
    late = NOW + 40 * DAY
    expired = step(quarantined("a"), [row("a", as_of=late, **HEALTHY)], [], as_of=late)
    assert expired[-1].to_state == "expired"
    old_flake = {**flake(), "test_key": "b"}
    now = late + DAY
    assert step(expired, [row("b", as_of=now)], [alias("a", "b")], as_of=now, flakes=[old_flake]) == expired
    new_flake = {**old_flake, "run_id": "r9", "known_at": now}
    again = step(expired, [row("b", as_of=now)], [alias("a", "b")], as_of=now, flakes=[old_flake, new_flake])
    assert [(event.test_key, event.from_state, event.to_state) for event in again[2:]] == [
        ("b", "expired", "quarantined")
    ]


def test_a_test_without_results_under_its_new_name_keeps_its_old_one():
    after = step(quarantined("a"), [], [alias("a", "b")])
    begun = open_keys(after)["b"].event
    assert (begun.test_id, begun.name) == ("b@linux", "test_a")
