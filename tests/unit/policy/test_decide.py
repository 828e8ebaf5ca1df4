import json
from dataclasses import replace

import pytest

from flakeguard_pipeline.policy.events import QuarantineEvent, fold
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.rationale import MAX_RUNS
from flakeguard_pipeline.policy.states import QuarantineState
from tests.unit.policy.scores import DAY, NOW, decisions, flake, health_row

QUARANTINED, RELEASED, EXPIRED = (
    QuarantineState.QUARANTINED,
    QuarantineState.RELEASED,
    QuarantineState.EXPIRED,
)


@pytest.fixture
def quarantined() -> list[QuarantineEvent]:
    return decisions([health_row()])


def test_a_flaky_test_is_quarantined(quarantined):
    (event,) = quarantined
    assert (event.from_state, event.to_state) == (QuarantineState.NONE, QUARANTINED)
    assert event.expires_at == NOW + 30 * DAY
    assert event.reason == "flaky"
    assert event.rationale == (
        "failed 7 of 412 executions (flake rate 1.7 %, 90 %: 0.8 to 3.0); passed and failed on the same commit 5 times"
    )
    assert event.policy_version == Policy().version
    assert fold(quarantined)["t"].quarantined_at == NOW


def test_the_evidence_of_a_decision():
    (event,) = decisions(
        [health_row(infra_failures=2)],
        [flake(run="r1", known_at=NOW - 2 * DAY), flake(run="r2", attempt=2)],
        signatures={"t": ["sig-b", "sig-a", "sig-b"], "other": ["x"]},
    )
    evidence = json.loads(event.evidence)
    assert event.evidence == json.dumps(evidence, sort_keys=True, separators=(",", ":"))
    assert evidence["executions"] == 412
    assert evidence["runs"] == [{"run_id": "r2", "run_attempt": 2}, {"run_id": "r1", "run_attempt": 1}]
    assert evidence["known_signatures"] == ["sig-a", "sig-b"]
    assert evidence["posterior"]["mean"] == 0.017
    assert "2 of them in run-wide outages" in event.rationale


def test_a_decision_tells_of_the_inferred_passes_that_its_flake_rate_rests_on():
    (event,) = decisions([health_row(inferred_passes=1200)])
    assert event.rationale.startswith("failed 7 of 412 executions, and passed 1200 times by inference (flake rate ")
    assert json.loads(event.evidence)["inferred_passes"] == 1200


def test_inferred_passes_are_no_executions_that_a_floor_asks_for():
    assert decisions([health_row(executions=9, inferred_passes=1200)]) == []


def test_the_evidence_lists_only_the_newest_flakes():
    flakes = [flake(run=f"r{number:03d}", known_at=NOW - number * DAY) for number in range(50)]
    (event,) = decisions([health_row()], flakes)
    runs = [run["run_id"] for run in json.loads(event.evidence)["runs"]]
    assert runs == [f"r{number:03d}" for number in range(MAX_RUNS)]


@pytest.mark.parametrize(
    "short_of",
    [
        {"status": "insufficient_evidence"},
        {"status": "healthy"},
        {"status": "broken"},
        {"status": "fixed"},
        {"p_flaky": 0.94},
        {"flake_rate": 0.004},
        {"same_commit_flips": 1},
        {"executions": 9},
    ],
)
def test_a_test_that_misses_one_floor_is_not_quarantined(short_of):
    assert decisions([health_row(**short_of)]) == []


def test_nothing_is_quarantined_while_the_policy_is_off():
    assert decisions([health_row()], policy=Policy(enabled=False)) == []


def test_decisions_are_sorted_by_test():
    events = decisions([health_row("b"), health_row("a"), health_row("c")])
    assert [event.test_id for event in events] == ["a", "b", "c"]


def test_a_broken_test_leaves_quarantine(quarantined):
    broken = health_row(status="broken", p_broken=0.9999)
    (event,) = decisions([broken], current=fold(quarantined), as_of=NOW + DAY)
    assert (event.from_state, event.to_state, event.expires_at) == (QUARANTINED, RELEASED, None)
    assert event.rationale == "it is broken now (99.9 % sure); a quarantine must not hide that"


def test_a_fixed_test_leaves_quarantine(quarantined):
    fixed = health_row(status="fixed", clean_executions=180)
    (event,) = decisions([fixed], current=fold(quarantined), as_of=NOW + DAY)
    assert event.to_state is RELEASED
    assert "180 executions passed since its last failure" in event.rationale


def test_switching_the_policy_off_releases(quarantined):
    off = Policy(enabled=False)
    (event,) = decisions([health_row()], current=fold(quarantined), policy=off, as_of=NOW + DAY)
    assert event.to_state is RELEASED
    assert event.rationale == "the policy is switched off"


def test_a_quarantined_test_stays_while_it_is_flaky_or_nobody_knows(quarantined):
    for status in ("flaky", "insufficient_evidence", "healthy"):
        assert decisions([health_row(status=status)], current=fold(quarantined), as_of=NOW + DAY) == []


def test_a_quarantine_is_renewed_by_newer_flakes(quarantined):
    end = NOW + 30 * DAY
    flakes = [flake(), flake(run="r9", known_at=NOW + DAY)]
    events = decisions([health_row()], flakes, fold(quarantined), as_of=end)
    (event,) = events
    assert (event.from_state, event.to_state) == (QUARANTINED, QUARANTINED)
    assert event.expires_at == end + 30 * DAY
    assert event.rationale.startswith("renewed: failed 7 of 412 executions")
    assert fold(quarantined + events)["t"].quarantined_at == NOW


def test_a_quarantine_without_newer_flakes_expires_and_does_not_come_back(quarantined):
    end = NOW + 30 * DAY
    (event,) = decisions([health_row()], current=fold(quarantined), as_of=end)
    assert event.to_state is EXPIRED
    assert event.rationale == "its time is up, and it has not flaked since the last decision"
    entries = fold([*quarantined, event])
    assert decisions([health_row()], current=entries, as_of=end + DAY) == []
    (again,) = decisions([health_row()], [flake(known_at=end + DAY)], entries, as_of=end + 2 * DAY)
    assert (again.from_state, again.to_state) == (EXPIRED, QUARANTINED)


def test_a_quarantine_of_a_test_below_the_floors_expires(quarantined):
    flakes = [flake(known_at=NOW + DAY)]
    (event,) = decisions([health_row(p_flaky=0.5)], flakes, fold(quarantined), as_of=NOW + 31 * DAY)
    assert event.rationale == "its time is up, and it no longer meets the policy"


def test_a_quarantined_test_that_is_gone_stays_until_it_expires(quarantined):
    assert decisions([], [], fold(quarantined), as_of=NOW + 29 * DAY) == []
    (event,) = decisions([], [], fold(quarantined), as_of=NOW + 30 * DAY)
    assert event.to_state is EXPIRED
    assert event.name == "test_t"
    assert json.loads(event.evidence)["executions"] == 0


def test_a_released_test_that_is_flaky_again_is_quarantined_again(quarantined):
    released = decisions([health_row(status="fixed")], current=fold(quarantined), as_of=NOW + DAY)
    entries = fold(quarantined + released)
    assert entries["t"].quarantined_at is None
    (event,) = decisions([health_row()], current=entries, as_of=NOW + 2 * DAY)
    assert (event.from_state, event.to_state) == (RELEASED, QUARANTINED)


def test_a_quarantine_by_hand_ends_only_by_expiry(quarantined):
    by_hand = [replace(quarantined[0], reason="manual", actor="ann")]
    broken = [health_row(status="broken", p_broken=1.0)]
    assert decisions(broken, current=fold(by_hand), as_of=NOW + DAY) == []
    newer = [flake(known_at=NOW + DAY)]
    (event,) = decisions([health_row()], newer, fold(by_hand), as_of=NOW + 30 * DAY)
    assert (event.to_state, event.reason) == (EXPIRED, "manual")


def test_a_renamed_repository_keeps_its_decisions(quarantined):
    (other,) = decisions([health_row()])
    assert other.decision_id == quarantined[0].decision_id
    assert other.decision_id != decisions([health_row(repository_id="8")])[0].decision_id


def test_a_quarantine_without_an_end_is_refused(quarantined):
    with pytest.raises(ValueError, match="expires_at"):
        replace(quarantined[0], expires_at=None)
