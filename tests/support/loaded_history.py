"""A small CI history, written into `core` as the loader would: attempts in any order, again, or taken away."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.load import frame_of, name_of

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday."""

ORG, REPOSITORY_ID = "acme", "github:7"
OF_ATTEMPTS = (tables.run_attempt, tables.report, tables.test_execution)
WHERE = "where org = $org and repository_id = $repository_id"
KEY = {"org": ORG, "repository_id": REPOSITORY_ID}
NULLABLE = {"pr_number": None}


@dataclass(frozen=True)
class Told:
    """What a report tells of one execution."""

    test: str
    variant: str
    outcome: str
    signature: str = "s"
    report: str = "r1"
    is_final: bool = True
    retry_index: int = 0
    duration_us: int | None = 1000


@dataclass(frozen=True)
class Attempt:
    """A run attempt: when it started and became known, what it is of, what it tells."""

    run: int
    attempt: int
    day: int
    workflow: str
    sha: str
    told: tuple[Told, ...]
    event: str = "push"
    branch: str = "main"
    known_after: int = 1

    @property
    def key(self) -> tuple[int, int]:
        """Its run and attempt."""
        return self.run, self.attempt


def put(connection: Connection, attempt: Attempt) -> None:
    """Load an attempt in place of what was loaded of it."""
    remove(connection, attempt.key)
    started = START + timedelta(days=attempt.day, minutes=attempt.run)
    common: dict[str, Any] = {**KEY, "provider": "github", "run_id": str(attempt.run), "run_attempt": attempt.attempt}
    run: dict[str, Any] = {
        **common,
        "full_name": "acme/shop",
        "workflow": attempt.workflow,
        "event": attempt.event,
        "status": "completed",
        "conclusion": "failure" if any(each.outcome == "failed" for each in attempt.told) else "success",
        "branch": attempt.branch,
        "head_sha": attempt.sha,
        "head_repository_id": REPOSITORY_ID,
        "created_at": started,
        "run_started_at": started,
        "updated_at": started + timedelta(hours=attempt.known_after),
        "run_url": f"https://ci/{attempt.run}",
        "is_partial": False,
        "passed_over_files": 0,
        "load_digest": stable_id([str(asdict(attempt))]),
    }
    executions = [
        {
            **common,
            "artifact": "results",
            "report_id": each.report,
            "ordinal": number,
            "test_key": each.test,
            "variant": each.variant,
            "suite": f"suite-{each.report}",
            "classname": "tests",
            "name": each.test,
            "outcome": each.outcome,
            "retry_index": each.retry_index,
            "is_final": each.is_final,
            "started_at": started,
            "duration_us": each.duration_us,
            "failure_signature": each.signature if each.outcome == "failed" else "",
            "failure_message": f"{each.signature} {number}" if each.outcome == "failed" else "",
        }
        for number, each in enumerate(attempt.told)
    ]
    reports = [
        {**common, "report_id": name, "artifact": "results", "path": f"{name}.xml", "digest": name, "size_bytes": 1,
         "executions": sum(each.report == name for each in attempt.told), "is_whole": True}
        for name in sorted({each.report for each in attempt.told})
    ]  # fmt: skip
    for table, rows in zip(OF_ATTEMPTS, ([run], reports, executions), strict=True):
        connection.insert(name_of(table), frame_of(table, [_whole(table, row) for row in rows]))


def _whole(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    return {column.name: row.get(column.name, None if column.nullable else "") for column in table.columns}


def remove(connection: Connection, key: tuple[int, int]) -> None:
    """Take an attempt out of `core`."""
    values = {**KEY, "run_id": str(key[0]), "run_attempt": key[1]}
    for table in OF_ATTEMPTS:
        connection.execute(
            f"delete from {name_of(table)} {WHERE} and run_id = $run_id and run_attempt = $run_attempt", values
        )


def describe(connection: Connection, *, default_branch: str) -> None:
    """Describe the repository, as the loader does after each batch."""
    connection.execute(f"delete from core.repository {WHERE}", KEY)
    row = {**KEY, "provider": "github", "full_name": "acme/shop", "default_branch": default_branch}
    times = {"first_run_at": START, "last_run_at": START}
    connection.insert("core.repository", frame_of(tables.repository, [{**row, **times}]))


def decide(connection: Connection, decisions: Sequence[tuple[str, str, bool]]) -> None:
    """Make these the decisions on aliases: old test, new test, and whether it was accepted."""
    connection.execute(f"delete from core.alias_decision {WHERE}", KEY)
    rows = [
        {
            **KEY,
            "old_test_key": old,
            "sequence": number,
            "new_test_key": new,
            "decision": "accepted" if accepted else "rejected",
            "actor": "ada",
            "reason": "",
            "decided_at": START,
        }
        for number, (old, new, accepted) in enumerate(decisions)
    ]
    connection.insert("core.alias_decision", frame_of(tables.alias_decision, rows))
