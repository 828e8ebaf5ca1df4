"""Infer the passes that were not uploaded: a job that succeeded passed the tests that it usually runs.

Projects often upload reports only when a job fails, so what is observed are the bad days. Where job.json says that a
job succeeded and left no report, the tests of its roster passed: those told of by complete reports of the same job
shortly before. Such passes go into `core.inferred_pass`, never among the executions, and what they may count for is
said in `stats/health.py` (docs/adr/0008).

Belongs here: when passes are inferred anew, and where they are not. The rule itself is one query
(sql/queries/refresh_inferred_pass_insert.sql).
"""

from dataclasses import dataclass

import polars as pl

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.operations.repositories import Repository, for_each, outdated
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.settings import InferenceSwitches
from flakeguard_pipeline.warehouse import builds, load
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query

PART: builds.Part = "inferred_passes"

ROSTER_DAYS = 30
"""Days before a run attempt whose reports say what its job runs: suites change, so an old report names tests that are
gone, while jobs that seldom fail leave only a few reports a month."""

ROSTER_REPORTS = 2
"""Run attempts with a complete report that must tell of a test before it is taken to run always: one alone may be of a
branch that adds or selects tests, and of a test that never was merged."""


@dataclass(frozen=True, slots=True)
class Inference:
    """The inferred passes of a warehouse.

    `passes` is how many there are, `jobs` from how many runs of jobs, `repositories` of how many repositories.
    `renewed` counts the repositories whose passes were inferred anew just now; `faults` has a line for each where that
    failed, which keeps what it had and is tried again next time.
    """

    passes: int
    jobs: int
    repositories: int
    renewed: int
    faults: tuple[str, ...]


def inference_digest(switches: InferenceSwitches) -> str:
    """Return a digest of all that decides what is inferred, but for the rows of `core`."""
    numbers = (ROSTER_DAYS, ROSTER_REPORTS)
    rule = query("refresh_inferred_pass_insert")
    return stable_id(["inference", rule, *numbers, str(switches.enabled), *switches.sources_off])


def is_inferred(connection: Connection, switches: InferenceSwitches, *, core_version: str) -> bool:
    """Say whether all passes were last inferred from exactly this, for every repository."""
    return builds.is_built(connection, PART, project_digest=inference_digest(switches), core_version=core_version)


def infer_passes(
    warehouse: Warehouse, switches: InferenceSwitches, *, core_version: str, progress: Progress | None = None
) -> Inference:
    """Bring `core.inferred_pass` up to date with `core` and the switches; untouched repositories cost nothing.

    Args:
        warehouse: the warehouse.
        switches: where passes are inferred.
        core_version: the state of `core` as a whole, under which a complete result is remembered.
        progress: is told of each repository that is worked on.
    """
    teller = progress or Silent()
    digest = inference_digest(switches)
    due = outdated(warehouse, PART, digest, _forget)
    if due:
        with warehouse.connect() as connection:
            load.refresh_statistics(connection)
    teller.stage("infer", len(due))
    done = for_each(due, lambda each: _infer(warehouse, each, switches, due[each]), teller)
    with warehouse.connect() as connection:
        if not done.faults:
            builds.record_build(connection, PART, project_digest=digest, core_version=core_version)
        counts = connection.read(query("inferred_pass_counts")).row(0, named=True)
    return Inference(**counts, renewed=len(done.results), faults=tuple(done.faults))


def _infer(warehouse: Warehouse, repository: Repository, switches: InferenceSwitches, state: builds.State) -> None:
    """Replace one repository's inferred passes, together with the note of what they follow from."""
    key = {"org": repository.org, "repository_id": repository.repository_id}
    roster = {"roster_days": ROSTER_DAYS, "roster_reports": ROSTER_REPORTS}
    off = pl.DataFrame({"source": switches.sources_off}, schema={"source": pl.String})
    with warehouse.connect() as connection, connection.transaction(), connection.frame("_source_off", off):
        connection.execute(query("refresh_inferred_pass_delete"), key)
        if switches.enabled:
            connection.execute(query("refresh_inferred_pass_insert"), {**key, **roster})
        builds.record_repository_build(connection, PART, repository.key, state)


def _forget(connection: Connection, repository: builds.Repository) -> None:
    """Remove what was inferred for a repository that is known under another id or org now."""
    org, repository_id = repository
    with connection.transaction():
        connection.execute(query("refresh_inferred_pass_delete"), {"org": org, "repository_id": repository_id})
        builds.record_repository_build(connection, PART, repository, None)
