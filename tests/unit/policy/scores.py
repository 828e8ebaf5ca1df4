"""Health and evidence frames, written row by row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from flakeguard_pipeline.policy.decide import decide
from flakeguard_pipeline.policy.events import Entry, QuarantineEvent
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.stats.frames import EVIDENCE_SCHEMA, HEALTH_SCHEMA

DAY = timedelta(days=1)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def health_row(test: str = "t", status: str = "flaky", as_of: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """Return a test that qualifies for quarantine, with changes."""
    return {
        "org": "acme",
        "repository_id": "7",
        "test_key": f"key-{test}",
        "test_id": test,
        "variant": "linux",
        "suite": "unit",
        "classname": "pkg.Case",
        "name": f"test_{test}",
        "file": "pkg/case.py",
        "status": status,
        "p_flaky": 0.999,
        "p_broken": 0.0,
        "flake_rate": 0.017,
        "flake_rate_low": 0.008,
        "flake_rate_high": 0.0304,
        "executions": 412,
        "failures": 7,
        "same_commit_flips": 5,
        "inferred_passes": 0,
        "infra_failures": 0,
        "clean_executions": 3,
        "first_seen_at": as_of - 50 * DAY,
        "last_seen_at": as_of - DAY,
        "last_failed_at": as_of - DAY,
        "as_of": as_of,
        "prior_version": "documented-1-00000000",
    } | changes


def flake(test: str = "t", run: str = "r1", attempt: int = 1, known_at: datetime = NOW - DAY) -> dict[str, Any]:
    """Return one flake."""
    return {
        "org": "acme",
        "repository_id": "7",
        "test_key": f"key-{test}",
        "variant": "linux",
        "run_id": run,
        "run_attempt": attempt,
        "code_version": "sha",
        "known_at": known_at,
    }


def decisions(
    rows: list[dict[str, Any]],
    flakes: list[dict[str, Any]] | None = None,
    current: dict[str, Entry] | None = None,
    *,
    policy: Policy | None = None,
    as_of: datetime = NOW,
    **options: Any,
) -> list[QuarantineEvent]:
    """Decide on these rows."""
    return decide(
        pl.DataFrame(rows, schema=HEALTH_SCHEMA),
        pl.DataFrame([flake()] if flakes is None else flakes, schema=EVIDENCE_SCHEMA),
        current or {},
        policy=policy or Policy(),
        as_of=as_of,
        code_version="0.1.0",
        repository="acme/shop",
        **options,
    )
