"""Scores and a policy to decisions. Pure: the same scores, entries and moment give the same events."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.model import HealthStatus
from flakeguard_pipeline.policy import rationale
from flakeguard_pipeline.policy.events import Entry, QuarantineEvent, decision_id
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import QuarantineState

ACTOR = "policy"
"""Who decided, where no person did."""

FLAKY = "flaky"
MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What shall become of a test, and why."""

    to_state: QuarantineState
    rationale: str


@dataclass(frozen=True, slots=True)
class _Flakes:
    """The flakes of one test variant: the newest run attempts, and when the newest became known."""

    runs: tuple[rationale.Run, ...] = ()
    newest: datetime | None = None


def decide(
    health: pl.DataFrame,
    evidence: pl.DataFrame,
    current: Mapping[str, Entry],
    *,
    policy: Policy,
    as_of: datetime,
    code_version: str,
    repository: str,
    signatures: Mapping[str, Collection[str]] | None = None,
) -> list[QuarantineEvent]:
    """Return the decisions of `as_of` on one repository, sorted by test_id; none where nothing changes.

    Args:
        health: one row per test variant (`stats.frames.HEALTH_SCHEMA`), scored as of `as_of`.
        evidence: its flakes (`stats.frames.EVIDENCE_SCHEMA`).
        current: the repository's entries by test_id, folded from all events up to `as_of`.
        policy: the rules.
        as_of: the moment of the decision; nothing that became known later may be in the frames.
        code_version: FlakeGuard's version, kept with each event.
        repository: the repository's full name, as it is shown.
        signatures: by test_id, the failure signatures seen as flakes; kept in the evidence of a quarantine.
    """
    as_of = as_of.astimezone(UTC)
    qualifies = _qualifies(policy)
    decided = pl.Series("test_id", list(current), dtype=pl.String).implode()
    concerned = (
        health.filter(pl.col("test_id").is_in(decided) | qualifies).with_columns(qualifies=qualifies).sort("test_id")
    )
    flakes = _flakes(concerned, evidence)
    rows = {row["test_id"]: row for row in concerned.iter_rows(named=True)}
    events = []
    for test_id in sorted(rows.keys() | current.keys()):
        row, entry = rows.get(test_id), current.get(test_id)
        seen = flakes.get(test_id, _Flakes())
        verdict = _verdict(row, entry, seen.newest, policy=policy, as_of=as_of)
        if verdict is None:
            continue
        identity = row if row is not None else _identity(entry)
        from_state = entry.state if entry else QuarantineState.NONE
        quarantined = verdict.to_state is QuarantineState.QUARANTINED
        known = (signatures or {}).get(test_id) if quarantined else None
        events.append(
            QuarantineEvent(
                decision_id=decision_id(
                    org=identity["org"],
                    repository_id=identity["repository_id"],
                    test_id=test_id,
                    as_of=as_of,
                    from_state=from_state,
                    to_state=verdict.to_state,
                    policy_version=policy.version,
                ),
                org=identity["org"],
                repository=repository,
                repository_id=identity["repository_id"],
                test_key=identity["test_key"],
                test_id=test_id,
                variant=identity["variant"],
                suite=identity["suite"],
                classname=identity["classname"],
                name=identity["name"],
                file=identity["file"],
                as_of=as_of,
                from_state=from_state,
                to_state=verdict.to_state,
                reason=FLAKY if quarantined or entry is None else entry.event.reason,
                actor=ACTOR,
                rationale=verdict.rationale,
                evidence=rationale.evidence_json(row, seen.runs, known),
                flake_rate=identity["flake_rate"],
                flake_rate_low=identity["flake_rate_low"],
                flake_rate_high=identity["flake_rate_high"],
                expires_at=as_of + timedelta(days=policy.expiry_days) if quarantined else None,
                policy_version=policy.version,
                code_version=code_version,
            )
        )
    return events


def _qualifies(policy: Policy) -> pl.Expr:
    """Return whether a row of the health frame meets all floors. Only the status `flaky` can."""
    return (
        pl.lit(policy.enabled)
        & (pl.col("status") == HealthStatus.FLAKY.value)
        & (pl.col("p_flaky") >= policy.min_p_flaky)
        & (pl.col("flake_rate") >= policy.min_flake_rate)
        & (pl.col("same_commit_flips") >= policy.min_same_commit_flips)
        & (pl.col("executions") >= policy.min_executions)
    )


def _flakes(concerned: pl.DataFrame, evidence: pl.DataFrame) -> dict[str, _Flakes]:
    """Return the flakes of the tests in `concerned` by test_id: newest first, ties by run and attempt."""
    rows = (
        evidence.join(concerned.select("test_key", "variant", "test_id"), on=["test_key", "variant"])
        .sort("test_id", "known_at", "run_id", "run_attempt", descending=[False, True, True, True])
        .group_by("test_id", maintain_order=True)
        .agg(
            pl.col("known_at").first(),
            pl.col("run_id").head(rationale.MAX_RUNS),
            pl.col("run_attempt").head(rationale.MAX_RUNS),
        )
    )
    return {
        row["test_id"]: _Flakes(_runs(row["run_id"], row["run_attempt"]), row["known_at"])
        for row in rows.iter_rows(named=True)
    }


def _runs(run_ids: Iterable[str], attempts: Iterable[int]) -> tuple[rationale.Run, ...]:
    return tuple(rationale.Run(*pair) for pair in zip(run_ids, attempts, strict=True))


def _verdict(
    row: Mapping[str, Any] | None,
    entry: Entry | None,
    newest_flake: datetime | None,
    *,
    policy: Policy,
    as_of: datetime,
) -> _Verdict | None:
    """Return what changes for one test, or None. `states.TRANSITIONS` has the reasons."""
    newer = entry is None or (newest_flake is not None and newest_flake > entry.decided_at)
    if entry is None or entry.state is not QuarantineState.QUARANTINED:
        lapsed = entry is not None and entry.state is QuarantineState.EXPIRED
        if row is None or not row["qualifies"] or (lapsed and not newer):
            return None
        return _Verdict(QuarantineState.QUARANTINED, rationale.flaky_text(row))
    expired = entry.expires_at is not None and as_of >= entry.expires_at
    if entry.event.reason == MANUAL:
        ended = _Verdict(QuarantineState.EXPIRED, "its quarantine by hand has reached its end")
        return ended if expired else None
    release = _release(row, policy)
    if release is not None:
        return _Verdict(QuarantineState.RELEASED, release)
    return _at_its_end(row, newer=newer) if expired else None


def _at_its_end(row: Mapping[str, Any] | None, *, newer: bool) -> _Verdict:
    """Return what follows a quarantine whose time is up; `newer`: it has flaked since the last decision."""
    if row is None:
        return _Verdict(QuarantineState.EXPIRED, "its time is up, and the test is no longer seen")
    if row["qualifies"] and newer:
        return _Verdict(QuarantineState.QUARANTINED, f"renewed: {rationale.flaky_text(row)}")
    why = "it no longer meets the policy" if newer else "it has not flaked since the last decision"
    return _Verdict(QuarantineState.EXPIRED, f"its time is up, and {why}")


def _release(row: Mapping[str, Any] | None, policy: Policy) -> str | None:
    """Return why a quarantined test is to be released now, or None."""
    if row is not None and row["status"] == HealthStatus.BROKEN:
        return rationale.broken_text(row)
    if row is not None and row["status"] == HealthStatus.FIXED:
        return rationale.fixed_text(row)
    return None if policy.enabled else "the policy is switched off"


def _identity(entry: Entry | None) -> Mapping[str, Any]:
    """Return what an entry knows of a test that the health frame no longer has."""
    assert entry is not None  # noqa: S101  (a test comes from the health frame or from an entry)
    event = entry.event
    names = (
        "org", "repository_id", "test_key", "variant", "suite", "classname", "name", "file",
        "flake_rate", "flake_rate_low", "flake_rate_high",
    )  # fmt: skip
    return {name: getattr(event, name) for name in names}
