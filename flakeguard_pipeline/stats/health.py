"""Scores every test variant of one repository at one moment.

What it can say rests on executions of the same code. Inferred passes (a job succeeded, and left no report) are
passes in the flake rate's denominator, at full weight, because reports that are uploaded only on failure show a test on
its bad days alone. They are nothing else, since nobody saw them: a job may succeed though a test failed, where the
failure was excused or a retry passed. So they are in no other count, prove no flip, end and prove no breakage, are no
part of the clean stretch that a fix takes, and give no status to a test that was not observed.

Known limits:

- A test whose code is never executed twice is never called flaky; its rate is a lower estimate.
- Any failure but an outage's ends a clean stretch, also one that a pull request caused: a fix is called late
  rather than early.
- Failures of a code version outside the default branch that failed throughout are put down to that code.
- An outage that fails only some of a run's tests, or that no other attempt contradicts, is not recognised.
- Something outside the code that changes once and for good (a certificate that expires) looks like a flake on
  the commit during which it changed.
- A test that was deleted while it failed stays broken until its failures leave the window.
- Where reports are uploaded only on failure, a breakage that was repaired looks broken until a report shows a pass.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from flakeguard_pipeline.domain.model import HealthStatus
from flakeguard_pipeline.stats import posterior
from flakeguard_pipeline.stats.code_versions import (
    by_code_version,
    default_branch_failures,
    default_branch_order,
)
from flakeguard_pipeline.stats.frames import EVIDENCE_SCHEMA, HEALTH_SCHEMA, INFERRED_SCHEMA, Scoring
from flakeguard_pipeline.stats.outages import outage_attempts
from flakeguard_pipeline.stats.parameters import ScoringParameters

DECIMALS = 9
"""Probabilities and rates are rounded to this: it hides the last bits, in which platforms differ."""


def score(
    rollup: pl.DataFrame, *, as_of: datetime, parameters: ScoringParameters, inferred: pl.DataFrame | None = None
) -> Scoring:
    """Score all test variants in `rollup` (`ROLLUP_SCHEMA`, one repository) as of `as_of`.

    Rows that were not yet known at `as_of` do not exist. Every known test variant has a row in the result,
    also when the window holds none of its executions. The order of the input's rows does not matter.
    `inferred` (`INFERRED_SCHEMA`) are the same repository's inferred passes; those of a test variant that was never
    observed are left out.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of has no time zone; give it in UTC")
    as_of = as_of.astimezone(UTC)
    known = rollup.filter(pl.col("known_at") <= as_of)
    tests = _tests(known)
    rows = _numbered(known, tests)
    opened_at = as_of - timedelta(days=parameters.window_days)
    window = rows.filter(pl.col("run_started_at") > opened_at)
    trusted = _without_outages(window, rows, parameters)
    versions = by_code_version(trusted)
    broken = default_branch_failures(versions, default_branch_order(rows), parameters=parameters)
    observed = _counts(tests, trusted, versions, broken)
    counted = _with_inferred(
        observed,
        (pl.DataFrame(schema=INFERRED_SCHEMA) if inferred is None else inferred).filter(
            pl.col("known_at") <= as_of, pl.col("run_started_at") > opened_at
        ),
    )
    judged = counted.with_columns(_judgement(counted, parameters))
    health = judged.with_columns(
        as_of=pl.lit(as_of),
        prior_version=pl.lit(parameters.prior_version),
    )
    return Scoring(
        health=health.sort("test").select(pl.col(name).cast(kind) for name, kind in HEALTH_SCHEMA.items()),
        evidence=_flakes(trusted, versions, tests),
    )


def _tests(known: pl.DataFrame) -> pl.DataFrame:
    """Return one row per test variant, numbered bytewise: what it is called and when it was seen."""
    grain = ["test_key", "variant"]
    started = pl.col("run_started_at")
    seen = known.group_by(grain).agg(
        first_seen_at=started.min(),
        last_seen_at=started.max(),
        last_failed_at=started.filter(pl.col("failures") > 0).max(),
    )
    # the newest row names the test; run id and attempt make the order total
    names = (
        known.join(seen, left_on=[*grain, "run_started_at"], right_on=[*grain, "last_seen_at"], how="semi")
        .sort("run_id", "run_attempt")
        .unique(grain, keep="last", maintain_order=True)
        .select(*grain, "org", "repository_id", "test_id", "suite", "classname", "name", "file")
    )
    return seen.join(names, on=grain).sort(grain).with_row_index("test")


def _numbered(known: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with numbers for their texts: `test`, `version` (in bytewise order) and `attempt`."""
    versions = known.select("code_version").unique().sort("code_version").with_row_index("version")
    attempt = ["run_id", "run_attempt"]
    attempts = known.select(attempt).unique().sort(attempt).with_row_index("attempt")
    return (
        known.join(tests.select("test", "test_key", "variant"), on=["test_key", "variant"])
        .join(versions, on="code_version")
        .join(attempts, on=attempt)
        .select(
            "test", "version", "attempt", "is_default_branch", "run_started_at", "known_at",
            "executions", "failures", *attempt, "code_version",
        )
    )  # fmt: skip


def _without_outages(window: pl.DataFrame, rows: pl.DataFrame, parameters: ScoringParameters) -> pl.DataFrame:
    """Add the failures of outages (`infra_failures`) and the counts without them (`trusted`...)."""
    outages = outage_attempts(window, rows, parameters=parameters)
    infra = pl.col("failures") * pl.col("attempt").is_in(outages.get_column("attempt").implode())
    return window.with_columns(infra_failures=infra).with_columns(
        trusted=pl.col("executions") - pl.col("infra_failures"),
        trusted_failures=pl.col("failures") - pl.col("infra_failures"),
    )


def _counts(tests: pl.DataFrame, trusted: pl.DataFrame, versions: pl.DataFrame, broken: pl.DataFrame) -> pl.DataFrame:
    """Return the tests with all counts that their judgement rests on; 0 where there is none."""
    totals = trusted.group_by("test").agg(
        pl.col("executions", "failures", "infra_failures").sum(),
        passes=(pl.col("executions") - pl.col("failures")).sum(),
        last_failure=pl.col("run_started_at").filter(pl.col("trusted_failures") > 0).max(),
    )
    later = pl.col("last_failure").is_null() | (pl.col("run_started_at") > pl.col("last_failure"))
    clean = (
        trusted.join(totals.select("test", "last_failure"), on="test")
        .filter(later)
        .group_by("test")
        .agg(clean_executions=(pl.col("executions") - pl.col("failures")).sum())
    )
    flips = (
        versions.filter("mixed")
        .group_by("test")
        .agg(same_commit_flips=pl.len().cast(pl.Int64), flakes=pl.col("trusted_failures").sum())
    )
    counts = tests
    for part in (totals, clean, flips, broken):
        counts = counts.join(part, on="test", how="left")
    return counts.with_columns(
        pl.col(
            "executions", "failures", "infra_failures", "passes", "clean_executions",
            "same_commit_flips", "flakes", "trailing_failures", "possible_flakes",
        ).fill_null(0)
    )  # fmt: skip


def _with_inferred(observed: pl.DataFrame, inferred: pl.DataFrame) -> pl.DataFrame:
    """Add the inferred passes of the window to the observed counts, and how many of them follow the last failure."""
    passes = pl.col("inferred_passes")
    later = pl.col("last_failure").is_null() | (pl.col("run_started_at") > pl.col("last_failure"))
    counts = (
        inferred.join(observed.select("test", "test_key", "variant", "last_failure"), on=["test_key", "variant"])
        .group_by("test")
        .agg(passes.sum(), inferred_since=passes.filter(later).sum())
    )
    return observed.join(counts, on="test", how="left").with_columns(
        pl.col("inferred_passes", "inferred_since").fill_null(0)
    )


def _judgement(counts: pl.DataFrame, parameters: ScoringParameters) -> list[pl.Series]:
    """Return the columns that are computed from the counts: probabilities, rates and the status."""

    def column(name: str) -> posterior.Floats:
        return counts.get_column(name).cast(pl.Float64).to_numpy()

    passes, flakes, clean = column("passes"), column("flakes"), column("clean_executions")
    trailing, flips = column("trailing_failures"), column("same_commit_flips")
    inferred, inferred_since = column("inferred_passes"), column("inferred_since")
    tail = (1.0 - parameters.interval) / 2.0
    floor = parameters.flaky_rate_floor

    # every pass counts: code on which a test has passed is code that is good for it
    alpha, beta_observed = parameters.prior_alpha + flakes, parameters.prior_beta + passes
    beta = beta_observed + inferred
    # a low rate makes failures in a row look like a breakage: only what was observed may prove one
    p_broken = posterior.broken_probability(alpha, beta_observed, trailing, parameters.broken_prior)

    # fixed: what was known up to the last failure said flaky, and too many observed passes followed for that;
    # inferred ones before the last failure lower the old rate, which makes a fix take more
    beta_then = beta - clean - inferred_since
    was_flaky = (flips >= 1) & (posterior.exceeds(alpha, beta_then, floor) >= parameters.flaky_from)
    needed = posterior.clean_executions_needed(
        posterior.quantile(alpha, beta_then, tail), parameters.fixed_confidence, parameters.fixed_min_clean
    )
    fixed = was_flaky & (clean >= needed) & (trailing == 0)

    alpha_now = np.where(fixed, parameters.prior_alpha, alpha)
    beta_now = np.where(fixed, parameters.prior_beta + clean + inferred_since, beta)
    p_flaky = posterior.exceeds(alpha_now, beta_now, floor)

    broken = (p_broken >= parameters.broken_from) & (trailing >= parameters.broken_min_failures)
    flaky = (flips >= 1) & (p_flaky >= parameters.flaky_from)
    # healthy even if the unproven failures on the default branch were flakes
    p_flaky_at_worst = posterior.exceeds(alpha + column("possible_flakes"), beta, floor)
    healthy = (
        (np.maximum(p_flaky, p_flaky_at_worst) <= parameters.healthy_to) & (trailing == 0) & (column("executions") > 0)
    )
    status = np.select(
        [broken, fixed, flaky, healthy],
        [
            HealthStatus.BROKEN.value,
            HealthStatus.FIXED.value,
            HealthStatus.FLAKY.value,
            HealthStatus.HEALTHY.value,
        ],
        default=HealthStatus.INSUFFICIENT_EVIDENCE.value,
    )
    numbers = {
        "p_flaky": p_flaky,
        "p_broken": p_broken,
        "flake_rate": alpha_now / (alpha_now + beta_now),
        "flake_rate_low": posterior.quantile(alpha_now, beta_now, tail),
        "flake_rate_high": posterior.quantile(alpha_now, beta_now, 1.0 - tail),
    }
    return [
        pl.Series("status", status.tolist(), dtype=pl.String),
        *(pl.Series(name, np.round(values, DECIMALS), dtype=pl.Float64) for name, values in numbers.items()),
    ]


def _flakes(trusted: pl.DataFrame, versions: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    """Return the failing run attempts on code versions on which the test also passed (`EVIDENCE_SCHEMA`)."""
    return (
        trusted.filter(pl.col("trusted_failures") > 0)
        .join(versions.filter("mixed"), on=["test", "version"], how="semi")
        .join(tests.select("test", "org", "repository_id", "test_key", "variant"), on="test")
        .sort("test", "run_id", "run_attempt")
        .select(pl.col(name).cast(kind) for name, kind in EVIDENCE_SCHEMA.items())
    )
