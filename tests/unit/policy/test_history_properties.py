from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import HealthStatus
from flakeguard_pipeline.policy.events import QuarantineEvent, fold
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import TRANSITIONS, QuarantineState
from tests.unit.policy.scores import DAY, NOW, decisions, flake, health_row

POLICIES = [Policy(), Policy(enabled=False), Policy(expiry_days=2), Policy(min_p_flaky=0.5, expiry_days=5)]

Step = tuple[int, Policy, list[dict[str, Any]], list[dict[str, Any]]]


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Draw scorings at growing moments: day, policy, health rows and the flakes known by then."""
    steps: list[Step] = []
    flakes: list[dict[str, Any]] = []
    for number, day in enumerate(sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=8)))):
        failing = sorted(draw(st.sets(st.sampled_from("ab"))))
        flakes.extend(flake(test, run=f"r{number}", known_at=NOW + day * DAY) for test in failing)
        rows = [
            health_row(
                test,
                status=draw(st.sampled_from([*HealthStatus, HealthStatus.FLAKY, HealthStatus.FLAKY])).value,
                as_of=NOW + day * DAY,
                p_flaky=draw(st.sampled_from([0.6, 0.99])),
            )
            for test in sorted(draw(st.sets(st.sampled_from("abc"))))
        ]
        steps.append((day, draw(st.sampled_from(POLICIES)), rows, list(flakes)))
    return steps


def decide_step(step: Step, events: list[QuarantineEvent]) -> list[QuarantineEvent]:
    day, policy, rows, flakes = step
    as_of = NOW + day * DAY
    return decisions(rows, flakes, fold(events, as_of=as_of), policy=policy, as_of=as_of)


def play(steps: list[Step]) -> list[QuarantineEvent]:
    events: list[QuarantineEvent] = []
    for step in steps:
        events += decide_step(step, events)
    return events


@given(histories())
@settings(max_examples=80, deadline=None)
def test_only_the_tables_transitions_occur_and_they_chain(steps: list[Step]):
    states: dict[str, QuarantineState] = {}
    events = play(steps)
    for event in events:
        assert (event.from_state, event.to_state) in TRANSITIONS
        assert event.from_state is states.get(event.test_id, QuarantineState.NONE)
        states[event.test_id] = event.to_state
    assert {test: entry.state for test, entry in fold(events).items()} == states
    assert len({event.decision_id for event in events}) == len(events)


@given(histories())
@settings(max_examples=80, deadline=None)
def test_deciding_again_at_the_same_moment_changes_nothing(steps: list[Step]):
    events: list[QuarantineEvent] = []
    for step in steps:
        events += decide_step(step, events)
        assert decide_step(step, events) == []


@given(histories())
@settings(max_examples=80, deadline=None)
def test_a_broken_test_is_never_in_quarantine_after_a_decision(steps: list[Step]):
    events: list[QuarantineEvent] = []
    for step in steps:
        events += decide_step(step, events)
        entries = fold(events)
        for row in step[2]:
            if row["status"] == HealthStatus.BROKEN and row["test_id"] in entries:
                assert entries[row["test_id"]].state is not QuarantineState.QUARANTINED


@given(histories(), st.randoms(use_true_random=False), st.integers(0, 60))
@settings(max_examples=80, deadline=None)
def test_folding_needs_no_order_and_knows_no_future(steps: list[Step], random: Random, day: int):
    events = play(steps)
    shuffled = events * 2
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(events)
    as_of = NOW + day * DAY
    assert fold(shuffled, as_of=as_of) == fold([event for event in events if event.as_of <= as_of])


def test_decisions_that_share_a_moment_are_applied_in_their_chain():
    (first,) = decisions([health_row()])
    (second,) = decisions([health_row(status="broken")], current=fold([first]))
    (third,) = decisions([health_row()], current=fold([first, second]))
    for events in ([first, second, third], [third, second, first], [second, first, third]):
        entry = fold(events)["t"]
        assert entry.event == third
        assert entry.quarantined_at == NOW
