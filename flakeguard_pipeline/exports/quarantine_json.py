"""The quarantine export: the one file that CI reads.

Its shape is `quarantine.schema.json` beside this module. Equal content is equal bytes: keys and entries are
sorted, floats rounded, times written one way.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flakeguard_pipeline.policy.events import Entry
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import QuarantineState

SCHEMA_VERSION = 1
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class ExportEntry:
    """One quarantined test variant.

    `runs` are pairs of run id and attempt. `clean_runs_needed` counts the passes that are still missing until
    the test counts as fixed; None where nobody worked it out. `owner` is None where there is none.
    """

    test_key: str
    test_id: str
    suite: str
    classname: str
    name: str
    file: str
    variant: str
    reason: str
    flake_rate: float
    flake_rate_low: float
    flake_rate_high: float
    executions: int
    failures: int
    same_commit_flips: int
    runs: tuple[tuple[str, int], ...]
    known_signatures: tuple[str, ...]
    quarantined_at: datetime
    expires_at: datetime
    decision_id: str
    owner: str | None = None
    clean_runs_needed: int | None = None


def export_entry(entry: Entry, *, owner: str | None = None, clean_runs_needed: int | None = None) -> ExportEntry:
    """Return the export's entry for a quarantined test; what it shows is what the decision rested on.

    Raises:
        ValueError: `entry` is not quarantined.
    """
    event = entry.event
    if entry.state is not QuarantineState.QUARANTINED or entry.quarantined_at is None or event.expires_at is None:
        raise ValueError(f"test {event.test_id} is not quarantined")
    evidence: dict[str, Any] = json.loads(event.evidence)
    return ExportEntry(
        test_key=event.test_key,
        test_id=event.test_id,
        suite=event.suite,
        classname=event.classname,
        name=event.name,
        file=event.file,
        variant=event.variant,
        reason=event.reason,
        flake_rate=event.flake_rate,
        flake_rate_low=event.flake_rate_low,
        flake_rate_high=event.flake_rate_high,
        executions=evidence.get("executions", 0),
        failures=evidence.get("failures", 0),
        same_commit_flips=evidence.get("same_commit_flips", 0),
        runs=tuple((run["run_id"], run["run_attempt"]) for run in evidence.get("runs", ())),
        known_signatures=tuple(evidence.get("known_signatures", ())),
        quarantined_at=entry.quarantined_at,
        expires_at=event.expires_at,
        decision_id=event.decision_id,
        owner=owner,
        clean_runs_needed=clean_runs_needed,
    )


def render_export(
    org: str,
    repository: str,
    *,
    as_of: datetime,
    valid_until: datetime,
    policy: Policy,
    entries: Iterable[ExportEntry],
) -> bytes:
    """Return the export of one repository (its full name) as UTF-8 JSON.

    A gate excuses nothing after `valid_until`.
    """
    ordered = sorted(entries, key=lambda entry: (entry.test_key.encode(), entry.variant.encode()))
    document = {
        "schema_version": SCHEMA_VERSION,
        "org": org,
        "repository": repository,
        "as_of": _time(as_of),
        "valid_until": _time(valid_until),
        "policy_version": policy.version,
        "excuse": policy.excuse,
        "entries": [_entry(entry) for entry in ordered],
    }
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _entry(entry: ExportEntry) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "test_key": entry.test_key,
        "test_id": entry.test_id,
        "suite": entry.suite,
        "classname": entry.classname,
        "name": entry.name,
        "file": entry.file,
        "variant": entry.variant,
        "reason": entry.reason,
        "owner": entry.owner,
        "flake_rate": {
            "mean": round(float(entry.flake_rate), DECIMALS),
            "low": round(float(entry.flake_rate_low), DECIMALS),
            "high": round(float(entry.flake_rate_high), DECIMALS),
        },
        "evidence": {
            "executions": entry.executions,
            "failures": entry.failures,
            "same_commit_flips": entry.same_commit_flips,
            "runs": [{"run_id": run_id, "run_attempt": attempt} for run_id, attempt in entry.runs],
        },
        "known_signatures": sorted(set(entry.known_signatures)),
        "quarantined_at": _time(entry.quarantined_at),
        "expires_at": _time(entry.expires_at),
        "decision_id": entry.decision_id,
    }
    if entry.clean_runs_needed is not None:
        rendered["clean_runs_needed"] = entry.clean_runs_needed
    return rendered


def _time(moment: datetime) -> str:
    """Return `moment` as RFC 3339 in UTC, such as `2026-01-31T08:00:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
