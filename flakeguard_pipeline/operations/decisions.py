"""Decide for a repository: its last scoring in, appended events out."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime

import polars as pl

from flakeguard_pipeline import __version__
from flakeguard_pipeline.operations.alias_decisions import read_alias_decisions
from flakeguard_pipeline.operations.repositories import Repository
from flakeguard_pipeline.policy.carry_over import carry_over, inherited
from flakeguard_pipeline.policy.decide import decide
from flakeguard_pipeline.policy.events import QuarantineEvent, fold
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import QuarantineState
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided. `is_dry` means: `as_of` lies before the newest decision, so nothing was appended."""

    as_of: datetime | None
    events: tuple[QuarantineEvent, ...]
    is_dry: bool


def decide_repository(warehouse: Warehouse, repository: Repository, *, policy: Policy) -> Decisions:
    """Decide on one repository as of its last scoring, and append what was decided.

    Deciding the same again appends nothing: the state that the first time led to calls for no further change. Reading
    and appending are one transaction, so that nobody decides in between.
    """
    with warehouse.connect() as connection, connection.transaction():
        return _decide(connection, repository, policy)


def _decide(connection: Connection, repository: Repository, policy: Policy) -> Decisions:
    key = {"org": repository.org, "repository_id": repository.repository_id}
    health = connection.read(query("health_of_repository"), key)
    if health.is_empty():
        return Decisions(None, (), is_dry=False)
    as_of: datetime = health["as_of"][0]
    evidence = connection.read(query("evidence_of_repository"), key)
    signatures = connection.read(query("flake_signatures"), {**key, "as_of": as_of})
    events = read_events(connection, repository)
    aliases = read_alias_decisions(connection, repository)
    carried = carry_over(
        health,
        fold(events, as_of=as_of),
        aliases,
        as_of=as_of,
        policy_version=policy.version,
        code_version=__version__,
    )
    decided = decide(
        health,
        evidence,
        inherited(fold([*events, *carried], as_of=as_of), aliases),
        policy=policy,
        as_of=as_of,
        code_version=__version__,
        repository=repository.full_name,
        signatures=_by_test(signatures),
    )
    is_dry = any(event.as_of > as_of for event in events)
    # A policy that is switched off and on at one and the same `as_of` makes a decision that is there already.
    made = {event.decision_id for event in events}
    sequences = Counter(event.test_id for event in events)
    rows = []
    for event in (*carried, *decided):
        if event.decision_id not in made:
            rows.append({**_row(event), "sequence": sequences[event.test_id]})
            sequences[event.test_id] += 1
    if rows and not is_dry:
        connection.insert(load.name_of(tables.quarantine_event), load.frame_of(tables.quarantine_event, rows))
    return Decisions(as_of, (*carried, *decided), is_dry)


def read_events(connection: Connection, repository: Repository) -> list[QuarantineEvent]:
    """Return every decision on one repository, oldest first."""
    frame = connection.read(
        query("events_of_repository"), {"org": repository.org, "repository_id": repository.repository_id}
    )
    return [
        QuarantineEvent(
            **{
                **row,
                "repository": repository.full_name,
                "from_state": QuarantineState(row["from_state"]),
                "to_state": QuarantineState(row["to_state"]),
            }
        )
        for row in frame.iter_rows(named=True)
    ]


def _row(event: QuarantineEvent) -> dict[str, object]:
    fields = asdict(event)
    del fields["repository"]  # the repository's name may change; its id does not
    return {**fields, "from_state": event.from_state.value, "to_state": event.to_state.value}


def _by_test(signatures: pl.DataFrame) -> dict[str, list[str]]:
    by_test: dict[str, list[str]] = {}
    for test_id, signature in signatures.iter_rows():
        by_test.setdefault(test_id, []).append(signature)
    return by_test
