"""Decisions as events, and the state that a history of them adds up to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.policy.states import QuarantineState


def decision_id(
    *,
    org: str,
    repository_id: str,
    test_id: str,
    as_of: datetime,
    from_state: QuarantineState,
    to_state: QuarantineState,
    policy_version: str,
) -> str:
    """Return the id of a decision: the same decision, made again, has the same id."""
    moment = as_of.astimezone(UTC).isoformat(timespec="microseconds")
    return stable_id([org, repository_id, test_id, moment, from_state.value, to_state.value, policy_version])


@dataclass(frozen=True, slots=True)
class QuarantineEvent:
    """One decision on one test variant, as it is kept for ever.

    `actor` is who decided, `rationale` one sentence for a person, `evidence` canonical JSON with what the
    decision rests on. `code_version` is FlakeGuard's. `flake_rate` is the posterior mean; with
    `flake_rate_low` and `flake_rate_high` it is a fraction of 1. `reason` is `flaky` or `manual`. Every
    quarantine has an `expires_at`; what ends one has none.
    """

    decision_id: str
    org: str
    repository: str
    repository_id: str
    test_key: str
    test_id: str
    variant: str
    suite: str
    classname: str
    name: str
    file: str
    as_of: datetime
    from_state: QuarantineState
    to_state: QuarantineState
    reason: str
    actor: str
    rationale: str
    evidence: str
    flake_rate: float
    flake_rate_low: float
    flake_rate_high: float
    expires_at: datetime | None
    policy_version: str
    code_version: str

    def __post_init__(self) -> None:
        """Refuse a quarantine without an end."""
        if (self.to_state is QuarantineState.QUARANTINED) != (self.expires_at is not None):
            raise ValueError("expires_at belongs to a quarantine, and only to one")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one test variant stands: its newest event, and since when it is quarantined without a break.

    `quarantined_at` is kept by renewals; it is None outside quarantine.
    """

    event: QuarantineEvent
    quarantined_at: datetime | None

    @property
    def state(self) -> QuarantineState:
        """The state that the newest event led to."""
        return self.event.to_state

    @property
    def decided_at(self) -> datetime:
        """When the newest event was decided."""
        return self.event.as_of

    @property
    def expires_at(self) -> datetime | None:
        """When the quarantine ends; None outside quarantine."""
        return self.event.expires_at


def fold(events: Iterable[QuarantineEvent], *, as_of: datetime | None = None) -> dict[str, Entry]:
    """Return the entry of each `test_id` that `events`, in any order, add up to; sorted by test_id.

    Events later than `as_of` are ignored. They are applied by (as_of, decision_id); where several decisions
    on one test share a moment, an event that continues from the state reached so far comes first.
    """
    counted = [event for event in events if as_of is None or event.as_of <= as_of]
    counted.sort(key=lambda event: (event.test_id, event.as_of, event.decision_id))
    entries: dict[str, Entry] = {}
    for (test_id, _), group in groupby(counted, key=lambda event: (event.test_id, event.as_of)):
        pending = list({event.decision_id: event for event in group}.values())
        while pending:
            entry = entries.get(test_id)
            state = entry.state if entry else QuarantineState.NONE
            event = next((event for event in pending if event.from_state is state), pending[0])
            pending.remove(event)
            entries[test_id] = Entry(event, _quarantined_at(entry, event))
    return entries


def _quarantined_at(entry: Entry | None, event: QuarantineEvent) -> datetime | None:
    if event.to_state is not QuarantineState.QUARANTINED:
        return None
    if entry is not None and entry.quarantined_at is not None:
        return entry.quarantined_at
    return event.as_of
