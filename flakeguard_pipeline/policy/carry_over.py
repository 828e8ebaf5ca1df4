"""Quarantines follow tests to their new names: an accepted alias moves them, and taking it back moves them back.

A quarantine belongs to the test that it was decided for, its *origin*. Where that test's history now goes on under
another name, the quarantine ends there with an event, and another event begins it under the new name with the same
end: no alias makes a quarantine longer. Whether it still is right is for the rules of `decide`, which see the whole
history under the new name and come after this.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.aliases import AliasDecision, accepted, alias_id, final_keys
from flakeguard_pipeline.policy.events import Entry, QuarantineEvent, decision_id
from flakeguard_pipeline.policy.states import QuarantineState

ACTOR = "policy"
"""Who moved the quarantine; its rationale names the person who accepted the alias."""

ORIGIN = "carried_over_from"
"""Key in an event's evidence that names the test which the quarantine was decided for."""

IDENTITY = ("test_key", "variant", "suite", "classname", "name", "file")


def carry_over(
    health: pl.DataFrame,
    current: Mapping[str, Entry],
    decisions: list[AliasDecision],
    *,
    as_of: datetime,
    policy_version: str,
    code_version: str,
) -> list[QuarantineEvent]:
    """Return the events that move quarantines to where their tests' histories go on, sorted by test_id.

    Args:
        health: one row per test variant (`stats.frames.HEALTH_SCHEMA`): what the tests are called now.
        current: the repository's entries by test_id.
        decisions: every decision on the repository's aliases, in the order in which they were made.
        as_of: the moment of the decision.
        policy_version: the policy's.
        code_version: FlakeGuard's version.
    """
    as_of = as_of.astimezone(UTC)
    holding = accepted(decisions)
    final = final_keys({old: each.new_test_key for old, each in holding.items()})
    named = {row["test_id"]: row for row in health.select("test_id", *IDENTITY).iter_rows(named=True)}
    ending = {
        test_id: _goal(entry.event, final)
        for test_id, entry in sorted(current.items())
        if entry.state is QuarantineState.QUARANTINED and _goal(entry.event, final) != entry.event.test_key
    }
    ended: dict[str, QuarantineEvent] = {}
    moved: dict[str, QuarantineEvent] = {}
    for test_id, goal in ending.items():
        event = current[test_id].event
        goal_id = f"{goal}@{event.variant}"
        there = current.get(goal_id)
        stays = there is not None and there.state is QuarantineState.QUARANTINED and goal_id not in ending
        why = _why(event, goal, holding)
        if not stays and goal_id not in moved:
            moved[goal_id] = _moved(event, goal_id, goal, named.get(goal_id), why)
        text = f"{why}; it is quarantined there already" if stays else why
        ended[test_id] = replace(event, to_state=QuarantineState.RELEASED, rationale=text, expires_at=None)
    return [
        _made(event, current, as_of=as_of, policy_version=policy_version, code_version=code_version)
        for _, event in sorted({**ended, **moved}.items())
    ]


def inherited(current: Mapping[str, Entry], decisions: list[AliasDecision]) -> dict[str, Entry]:
    """Return `current` with what expired under an old name where the new name has no entry of its own.

    Flakes that a quarantine has expired for count no more under the new name than under the old one.
    """
    final = final_keys({old: each.new_test_key for old, each in accepted(decisions).items()})
    entries = dict(current)
    for _, entry in sorted(current.items()):
        goal = final.get(entry.event.test_key)
        if goal is not None and entry.state is QuarantineState.EXPIRED:
            goal_id = f"{goal}@{entry.event.variant}"
            event = replace(entry.event, test_key=goal, test_id=goal_id)
            known = entries.get(goal_id)
            if known is None or (goal_id not in current and known.decided_at < entry.decided_at):
                entries[goal_id] = Entry(event, None)
    return entries


def _origin(event: QuarantineEvent) -> str:
    """Return the test that a quarantine was decided for."""
    origin: str = json.loads(event.evidence).get(ORIGIN, event.test_key)
    return origin


def _goal(event: QuarantineEvent, final: Mapping[str, str]) -> str:
    """Return where the history of a quarantine's test goes on now."""
    origin = _origin(event)
    return final.get(origin, origin)


def _why(event: QuarantineEvent, goal: str, holding: Mapping[str, AliasDecision]) -> str:
    """Return which alias moves the quarantine, or that one was taken back."""
    origin = _origin(event)
    if goal == origin:
        return "the alias that its quarantine was carried over by was taken back"
    first = holding[origin]
    short = alias_id(event.org, event.repository_id, first.old_test_key, first.new_test_key)
    return f"its history goes on under another name: alias {short}, accepted by {first.actor}"


def _moved(event: QuarantineEvent, goal_id: str, goal: str, row: Mapping[str, Any] | None, why: str) -> QuarantineEvent:
    """Return the quarantine as it goes on under `goal`."""
    evidence = json.loads(event.evidence)
    origin = evidence.pop(ORIGIN, event.test_key)
    if goal != origin:
        evidence[ORIGIN] = origin
    # what the test is called there; one without results under its new name keeps its old one's
    names = {name: row[name] for name in IDENTITY} if row else {"test_key": goal}
    return replace(
        event,
        **names,
        test_id=goal_id,
        rationale=f"carried over from {f'{event.classname} {event.name}'.strip()}: {why}",
        evidence=json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    )


def _made(
    event: QuarantineEvent, current: Mapping[str, Entry], *, as_of: datetime, policy_version: str, code_version: str
) -> QuarantineEvent:
    """Return the event with who made it, when, and its id."""
    entry = current.get(event.test_id)
    made = replace(
        event,
        as_of=as_of,
        from_state=entry.state if entry else QuarantineState.NONE,
        actor=ACTOR,
        policy_version=policy_version,
        code_version=code_version,
    )
    return replace(
        made,
        decision_id=decision_id(
            org=made.org,
            repository_id=made.repository_id,
            test_id=made.test_id,
            as_of=as_of,
            from_state=made.from_state,
            to_state=made.to_state,
            policy_version=policy_version,
        ),
    )
