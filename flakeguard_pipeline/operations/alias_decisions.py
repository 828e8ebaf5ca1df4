"""Decide on aliases: what is proposed or was decided, accepting and rejecting. Decisions are appended, never changed.

Belongs here: which pair is meant, what may be accepted, and the rows. Does not belong here: what an accepted alias
does, which follows from the rows (dbt/models/staging/stg_test_alias.sql and policy/carry_over.py).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.aliases import AliasDecision, AliasState, accepted, alias_id, final_keys, state_of
from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.operations.repositories import Repository, repositories
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query

ACCEPTED = AliasState.ACCEPTED.value
REJECTED = AliasState.REJECTED.value

SHOWN_MATCHES = 5
"""Ids that a message about an ambiguous one lists."""


@dataclass(frozen=True, slots=True)
class TestName:
    """What a test is called; all '' where no execution of it is loaded any more."""

    __test__ = False  # no test, though pytest takes classes called Test... for some

    suite: str = ""
    classname: str = ""
    name: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """A pair of tests that was proposed, decided on, or both.

    `confidence` and `evidence` are None for a pair that nobody proposed, or whose proposal newer results have undone.
    `decision` is the newest on the pair.
    """

    alias_id: str
    repository: Repository
    old_test_key: str
    new_test_key: str
    old: TestName
    new: TestName
    state: AliasState
    head_sha: str
    confidence: float | None
    evidence: Mapping[str, Any] | None
    decision: AliasDecision | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of one decision: `alias` as it stands now, `was` how it stood before, and what it replaced."""

    alias: Alias
    was: AliasState
    replaced: Alias | None = None

    @property
    def is_new(self) -> bool:
        """Whether the decision changes anything."""
        return self.alias.state is not self.was


def read_alias_decisions(connection: Connection, repository: Repository) -> list[AliasDecision]:
    """Return every decision on one repository's aliases, in the order in which they were made for each old test."""
    frame = connection.read(
        query("alias_decisions_of_repository"), {"org": repository.org, "repository_id": repository.repository_id}
    )
    return [
        AliasDecision(row["old_test_key"], row["new_test_key"], row["decision"] == ACCEPTED, *_who(row))
        for row in frame.iter_rows(named=True)
    ]


def known_aliases(warehouse: Warehouse, *, repository: str | None = None) -> list[Alias]:
    """Return all pairs that were proposed or decided on: by repository, the surest first, then those not proposed.

    Args:
        warehouse: the warehouse.
        repository: full name or id of the only repository that counts.

    Raises:
        UsageError: there is no such repository.
    """
    members = _chosen(repositories(warehouse), repository)
    with warehouse.connect() as connection:
        proposals = connection.read(query("alias_proposals"))
        decisions = {each: read_alias_decisions(connection, each) for each in members}
        pairs = {
            (each, (row["old_test_key"], row["new_test_key"])): row
            for each in members
            for row in proposals.filter(
                pl.col("org") == each.org, pl.col("repository_id") == each.repository_id
            ).iter_rows(named=True)
        }
        for each, made in decisions.items():
            for pair in sorted({(decision.old_test_key, decision.new_test_key) for decision in made}):
                pairs.setdefault((each, pair), {})
        unnamed = {(each, key) for (each, pair), row in pairs.items() if not row for key in pair}
        names = _names(connection, unnamed)
    order = sorted(members, key=lambda each: (each.full_name, each))
    return [
        _alias(each, pair, row, decisions[each], names)
        for member in order
        for (each, pair), row in pairs.items()
        if each == member
    ]


def find_aliases(known: Iterable[Alias], ids: Sequence[str]) -> list[Alias]:
    """Return the aliases that `ids`, which may be cut short, mean.

    Raises:
        UsageError: an id means none, or more than one.
    """
    by_id = {each.alias_id: each for each in known}
    found: dict[str, Alias] = {}
    for text in ids:
        matches = [each for each in by_id if each.startswith(text.lower())] if text else []
        if not matches:
            raise UsageError(f"there is no alias {text!r}; `flakeguard alias list --all` shows those there are")
        if len(matches) > 1:
            shown = ", ".join(sorted(matches)[:SHOWN_MATCHES])
            raise UsageError(f"{text!r} may mean {len(matches)} aliases ({shown}); write more of the id")
        found[matches[0]] = by_id[matches[0]]
    return list(found.values())


def pair_of(warehouse: Warehouse, *, repository: str, old: str, new: str) -> Alias:
    """Return the pair of two tests, whether anybody proposed it or not.

    Raises:
        UsageError: the repository or one of the tests is not known, or both are one.
    """
    members = _chosen(repositories(warehouse), repository)
    if len(members) > 1:
        listed = ", ".join(each.repository_id for each in members)
        raise UsageError(f"several repositories are called {repository} ({listed}); name one by its id")
    (member,) = members
    if old == new:
        raise UsageError("--old and --new name the same test; an alias joins two")
    with warehouse.connect() as connection:
        names = _names(connection, {(member, old), (member, new)})
        decisions = read_alias_decisions(connection, member)
    for option, key in (("--old", old), ("--new", new)):
        if (member, key) not in names:
            raise UsageError(
                f"{member.full_name} has no test {key!r} ({option}); `reported_test_key` in marts.test_execution has "
                "the keys"
            )
    known = {(each.old_test_key, each.new_test_key): each for each in known_aliases(warehouse, repository=repository)}
    return known.get((old, new)) or _alias(member, (old, new), {}, decisions, names)


def decide_aliases(
    warehouse: Warehouse, aliases: Sequence[Alias], *, is_accepted: bool, actor: str, reason: str, decided_at: datetime
) -> list[Decided]:
    """Accept or reject all of `aliases`, or none: append the decisions that change something, in one transaction.

    Secrets in `reason` are redacted: people paste what they see.

    Raises:
        UsageError: an acceptance would close a circle.
    """
    reason = redact(reason)
    made: list[Decided] = []
    rows: list[dict[str, object]] = []
    with warehouse.connect() as connection, connection.transaction():
        for member in sorted({each.repository for each in aliases}):
            decisions = read_alias_decisions(connection, member)
            counts = Counter(each.old_test_key for each in decisions)
            for alias in (each for each in aliases if each.repository == member):
                pair = (alias.old_test_key, alias.new_test_key)
                was = state_of(*pair, decisions)
                if was is (AliasState.ACCEPTED if is_accepted else AliasState.REJECTED):
                    made.append(Decided(_decided(alias, decisions), was))
                    continue
                held = accepted(decisions).get(alias.old_test_key)
                decision = AliasDecision(*pair, is_accepted, actor, reason, decided_at)
                if is_accepted:
                    _require_no_circle([*decisions, decision], alias)
                decisions.append(decision)
                rows.append(_row(member, decision, counts[alias.old_test_key]))
                counts[alias.old_test_key] += 1
                replaced = _replaced(connection, member, held, decisions) if held and is_accepted else None
                made.append(Decided(_decided(alias, decisions), was, replaced))
        connection.insert(load.name_of(tables.alias_decision), load.frame_of(tables.alias_decision, rows))
    return made


def _chosen(members: Sequence[Repository], named: str | None) -> list[Repository]:
    chosen = [each for each in members if named in {None, each.full_name, each.repository_id}]
    if named is not None and not chosen:
        known = ", ".join(sorted({each.full_name for each in members})[:SHOWN_MATCHES]) or "none"
        raise UsageError(f"the warehouse has no repository {named!r}; it has: {known}")
    return chosen


def _who(row: Mapping[str, Any]) -> tuple[str, str, datetime]:
    return row["actor"], row["reason"], row["decided_at"]


def _names(connection: Connection, wanted: Iterable[tuple[Repository, str]]) -> dict[tuple[Repository, str], TestName]:
    """Return what tests are called, those that are known."""
    asked = {(member.org, member.repository_id, key): member for member, key in wanted}
    if not asked:
        return {}
    frame = pl.DataFrame(sorted(asked), schema=["org", "repository_id", "test_key"], orient="row")
    with connection.frame("_wanted", frame):
        rows = connection.read(query("tests_by_key")).rows()
    return {(asked[org, repository_id, key], key): TestName(*rest) for org, repository_id, key, *rest in rows}


def _alias(
    member: Repository,
    pair: tuple[str, str],
    proposal: Mapping[str, Any],
    decisions: Sequence[AliasDecision],
    names: Mapping[tuple[Repository, str], TestName],
) -> Alias:
    sides = [
        TestName(*(proposal[f"{side}_{name}"] for name in TestName.__slots__))
        if proposal
        else names.get((member, key), TestName())
        for side, key in zip(("old", "new"), pair, strict=True)
    ]
    undecided = Alias(
        alias_id=alias_id(member.org, member.repository_id, *pair),
        repository=member,
        old_test_key=pair[0],
        new_test_key=pair[1],
        old=sides[0],
        new=sides[1],
        state=AliasState.PROPOSED,
        head_sha=proposal.get("head_sha", ""),
        confidence=proposal.get("confidence"),
        evidence=json.loads(proposal["evidence"]) if proposal else None,
        decision=None,
    )
    return _decided(undecided, decisions)


def _decided(alias: Alias, decisions: Sequence[AliasDecision]) -> Alias:
    """Return the alias as it stands after `decisions`."""
    pair = (alias.old_test_key, alias.new_test_key)
    own = [each for each in decisions if (each.old_test_key, each.new_test_key) == pair]
    return replace(alias, state=state_of(*pair, decisions), decision=own[-1] if own else None)


def _replaced(
    connection: Connection, member: Repository, held: AliasDecision, decisions: Sequence[AliasDecision]
) -> Alias:
    pair = (held.old_test_key, held.new_test_key)
    return _alias(member, pair, {}, decisions, _names(connection, {(member, key) for key in pair}))


def _require_no_circle(decisions: Sequence[AliasDecision], alias: Alias) -> None:
    try:
        final_keys({old: each.new_test_key for old, each in accepted(decisions).items()})
    except ValueError as error:
        raise UsageError(
            f"accepting {alias.alias_id} would close a circle: its new test is an alias of its old one already, "
            "directly or through others; reject that alias first (`flakeguard alias list --all`)"
        ) from error


def _row(member: Repository, decision: AliasDecision, sequence: int) -> dict[str, object]:
    return {
        "org": member.org,
        "repository_id": member.repository_id,
        "old_test_key": decision.old_test_key,
        "sequence": sequence,
        "new_test_key": decision.new_test_key,
        "decision": ACCEPTED if decision.is_accepted else REJECTED,
        "actor": decision.actor,
        "reason": decision.reason,
        "decided_at": decision.decided_at,
    }
