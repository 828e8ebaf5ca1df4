"""What a person wants to know after a run, read from the warehouse."""

from dataclasses import dataclass
from datetime import datetime

from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.queries import query

FINDINGS_SHOWN = 10
"""Findings in a summary: the worst, on one screen."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A test variant that is flaky or broken."""

    repository: str
    test: str
    variant: str
    status: str
    flake_rate: float
    flake_rate_low: float
    flake_rate_high: float
    failures: int
    executions: int
    same_commit_flips: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A test variant that is quarantined now, and why."""

    repository: str
    test: str
    variant: str
    rationale: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of the warehouse in the terms of the command line's last words."""

    repositories: int
    run_attempts: int
    unfinished: int
    partial: int
    reports: int
    executions: int
    inferred_passes: int
    newest_known_at: datetime | None
    rejected: tuple[tuple[str, str, int], ...]
    issues: tuple[tuple[str, str, int], ...]
    by_status: dict[str, int]
    findings: tuple[Finding, ...]
    quarantined: tuple[Quarantined, ...]


def summarise(warehouse: Warehouse) -> Summary:
    """Read the summary of a warehouse whose marts are built."""
    with warehouse.connect() as connection:
        counts = connection.read(query("summary_counts")).row(0, named=True)
        rejected = connection.read(query("summary_rejected"))
        issues = connection.read(query("summary_issues"))
        statuses = connection.read(query("summary_statuses"))
        findings = connection.read(query("summary_findings"), {"shown": FINDINGS_SHOWN})
        quarantined = connection.read(query("summary_quarantined"))
    return Summary(
        **counts,
        rejected=tuple(rejected.iter_rows()),
        issues=tuple(issues.iter_rows()),
        by_status=dict(statuses.iter_rows()),
        findings=tuple(Finding(**row) for row in findings.iter_rows(named=True)),
        quarantined=tuple(Quarantined(**row) for row in quarantined.iter_rows(named=True)),
    )
