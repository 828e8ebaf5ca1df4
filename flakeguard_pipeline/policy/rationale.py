"""What is written down with a decision: a sentence for a person and the evidence as JSON."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

MAX_RUNS = 20
"""Run attempts listed in an event's evidence, the newest flakes: enough to look at, and a bounded event. All
of them are kept with the scoring."""

DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Run:
    """A run attempt in which the test flaked."""

    run_id: str
    run_attempt: int


def evidence_json(row: Mapping[str, Any] | None, runs: Collection[Run], signatures: Collection[str] | None) -> str:
    """Return what a decision rests on as canonical JSON: sorted keys, no spaces, floats rounded.

    `row` is the test's row of the health frame; None where it has none any more, which leaves counts of 0.
    `runs` come newest first. `known_signatures` is there only where they were given.
    """
    counts = (
        "executions", "failures", "same_commit_flips", "inferred_passes", "infra_failures", "clean_executions",
    )  # fmt: skip
    evidence: dict[str, Any] = {name: row[name] if row else 0 for name in counts}
    evidence["runs"] = [{"run_id": run.run_id, "run_attempt": run.run_attempt} for run in runs]
    if row:
        evidence["status"] = row["status"]
        evidence["prior_version"] = row["prior_version"]
        evidence["posterior"] = {
            "mean": round(row["flake_rate"], DECIMALS),
            "low": round(row["flake_rate_low"], DECIMALS),
            "high": round(row["flake_rate_high"], DECIMALS),
            "p_flaky": round(row["p_flaky"], DECIMALS),
            "p_broken": round(row["p_broken"], DECIMALS),
        }
    if signatures is not None:
        evidence["known_signatures"] = sorted(set(signatures))
    return json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def flaky_text(row: Mapping[str, Any]) -> str:
    """Return why a test counts as flaky, such as `failed 7 of 412 executions (flake rate 1.7 %, ...)`."""
    flips = row["same_commit_flips"]
    infra = row["infra_failures"]
    outages = f", {infra} of them in run-wide outages" if infra else ""
    inferred = row["inferred_passes"]
    unseen = f", and passed {_times(inferred)} by inference" if inferred else ""
    return (
        f"failed {row['failures']} of {_count(row['executions'], 'execution')}{outages}{unseen} "
        f"(flake rate {percent(row['flake_rate'])} %, 90 %: {percent(row['flake_rate_low'])} to "
        f"{percent(row['flake_rate_high'])}); passed and failed on the same commit {_times(flips)}"
    )


def fixed_text(row: Mapping[str, Any]) -> str:
    """Return why a test counts as fixed."""
    clean = _count(row["clean_executions"], "execution")
    return f"it is fixed: {clean} passed since its last failure, too many for its old flake rate"


def broken_text(row: Mapping[str, Any]) -> str:
    """Return why a broken test leaves quarantine."""
    # cut, not rounded: 99.97 % is not certainty
    certain = int(row["p_broken"] * 1000) / 10
    return f"it is broken now ({certain:.1f} % sure); a quarantine must not hide that"


def percent(rate: float) -> str:
    """Return `rate` in percent: one decimal, more where it would read 0."""
    value = rate * 100
    return f"{value:.1f}" if value >= 0.05 or value == 0 else f"{value:.1g}" if value >= 1e-3 else "0.0"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
