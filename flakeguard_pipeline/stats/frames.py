"""Shapes of the frames that scoring reads and returns."""

from dataclasses import dataclass

import polars as pl

UTC_TIME = pl.Datetime("us", "UTC")

ROLLUP_SCHEMA: dict[str, pl.DataType] = {
    "org": pl.String(),
    "repository_id": pl.String(),
    "test_key": pl.String(),
    "variant": pl.String(),
    "test_id": pl.String(),
    "suite": pl.String(),
    "classname": pl.String(),
    "name": pl.String(),
    "file": pl.String(),
    "provider": pl.String(),
    "run_id": pl.String(),
    "run_attempt": pl.Int32(),
    "code_version": pl.String(),
    "is_default_branch": pl.Boolean(),
    "run_started_at": UTC_TIME,
    "known_at": UTC_TIME,
    "executions": pl.Int64(),
    "failures": pl.Int64(),
    "skips": pl.Int64(),
}
"""The roll-up of one repository: one row per (test_key, variant, run_id, run_attempt).

`executions` counts the retries too and leaves skips out; `failures` counts what failed or errored.
`code_version` is equal for equal code. `known_at` is when the attempt's results were known, `run_started_at`
when it began.
"""

INFERRED_SCHEMA: dict[str, pl.DataType] = {
    "test_key": pl.String(),
    "variant": pl.String(),
    "run_id": pl.String(),
    "run_attempt": pl.Int32(),
    "run_started_at": UTC_TIME,
    "known_at": UTC_TIME,
    "inferred_passes": pl.Int64(),
}
"""The inferred passes of one repository: one row per (test_key, variant, run_id, run_attempt), as in the roll-up.

No report tells of them: a job that succeeded without one implies them.
"""

HEALTH_SCHEMA: dict[str, pl.DataType] = {
    "org": pl.String(),
    "repository_id": pl.String(),
    "test_key": pl.String(),
    "test_id": pl.String(),
    "variant": pl.String(),
    "suite": pl.String(),
    "classname": pl.String(),
    "name": pl.String(),
    "file": pl.String(),
    "status": pl.String(),
    "p_flaky": pl.Float64(),
    "p_broken": pl.Float64(),
    "flake_rate": pl.Float64(),
    "flake_rate_low": pl.Float64(),
    "flake_rate_high": pl.Float64(),
    "executions": pl.Int64(),
    "failures": pl.Int64(),
    "same_commit_flips": pl.Int64(),
    "inferred_passes": pl.Int64(),
    "infra_failures": pl.Int64(),
    "clean_executions": pl.Int64(),
    "first_seen_at": UTC_TIME,
    "last_seen_at": UTC_TIME,
    "last_failed_at": UTC_TIME,
    "as_of": UTC_TIME,
    "prior_version": pl.String(),
}
"""One row per (test_key, variant), sorted by them bytewise.

`executions`, `failures` and `infra_failures` count what was observed in the window (the outages' failures are
among the failures too); `same_commit_flips` counts code versions on which the test both passed and failed;
`clean_executions` counts the passes since its last failure, outages aside. All of these are of observed executions;
`inferred_passes` counts the inferred ones in the window. The three times are of all known runs with a report, not only
the window's; `last_failed_at` is null where it never failed.
"""

EVIDENCE_SCHEMA: dict[str, pl.DataType] = {
    "org": pl.String(),
    "repository_id": pl.String(),
    "test_key": pl.String(),
    "variant": pl.String(),
    "run_id": pl.String(),
    "run_attempt": pl.Int32(),
    "code_version": pl.String(),
    "known_at": UTC_TIME,
}
"""One row per flake: a run attempt in which the test failed on code on which it also passed. Sorted by
(test_key, variant, run_id, run_attempt) bytewise. `known_at` tells evidence that is newer than a decision."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What one scoring says: `health` has `HEALTH_SCHEMA`, `evidence` has `EVIDENCE_SCHEMA`."""

    health: pl.DataFrame
    evidence: pl.DataFrame
