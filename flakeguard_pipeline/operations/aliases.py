"""Propose aliases: tests that disappeared and appeared at one commit in, `core.alias_proposal` out.

Belongs here: reading what the comparison needs, repository by repository, and when it is made anew. Does not belong
here: what speaks for an alias (stats/renames.py), and deciding (operations/alias_decisions.py).

Proposals follow from the loaded rows alone, not from decisions nor from `as_of`: what a test was reported as is what
is compared, and `known_at` says from when on a pair can be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from flakeguard_pipeline.domain.aliases import alias_id
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.operations.repositories import Repository, for_each, outdated
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.stats.renames import (
    DETECTOR_VERSION,
    GROUP_RUN_SCHEMA,
    POSITION_SCHEMA,
    SIGHTING_SCHEMA,
    SPAN_SCHEMA,
    moved,
    propose,
)
from flakeguard_pipeline.warehouse import builds, load, tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query

PART: builds.Part = "alias_proposals"

QUERIES = ("branch_positions", "test_spans", "test_sightings", "group_runs")


@dataclass(frozen=True, slots=True)
class Proposals:
    """The proposals of a warehouse; `renewed` counts the repositories that were compared anew just now."""

    proposals: pl.DataFrame
    renewed: int
    faults: tuple[str, ...]


def propose_aliases(warehouse: Warehouse, *, progress: Progress | None = None) -> Proposals:
    """Bring `core.alias_proposal` up to date with `core`; repositories without new results cost nothing.

    A repository that fails keeps its proposals, and is compared again when this is called next.
    """
    teller = progress or Silent()
    digest = stable_id(["aliases", DETECTOR_VERSION, *(query(name) for name in QUERIES)])
    due = outdated(warehouse, PART, digest, lambda connection, gone: _replace(connection, gone, None, None))
    teller.stage("compare", len(due))
    done = for_each(due, lambda each: _compare(warehouse, each, due[each]), teller)
    with warehouse.connect() as connection:
        proposals = connection.read(query("alias_proposals"))
    return Proposals(proposals, len(done.results), tuple(done.faults))


def _compare(warehouse: Warehouse, repository: Repository, state: builds.State) -> int:
    """Replace one repository's proposals, together with the note of what they follow from; return how many."""
    key = {"org": repository.org, "repository_id": repository.repository_id}
    with warehouse.connect() as connection:
        positions = _read(connection, query("branch_positions"), key, POSITION_SCHEMA)
        with connection.frame("_position", positions):
            spans = _read(connection, query("test_spans"), key, SPAN_SCHEMA)
            candidates = moved(spans)
            with connection.frame("_moved", candidates.select("test_key", "first_position")):
                sightings = _read(connection, query("test_sightings"), key, SIGHTING_SCHEMA)
            group_runs = _read(connection, query("group_runs"), key, GROUP_RUN_SCHEMA)
    found = propose(positions, spans, sightings, group_runs)
    ids = [alias_id(*repository.key, *pair) for pair in found.select("old_test_key", "new_test_key").iter_rows()]
    rows = found.with_columns(
        pl.Series("alias_id", ids, dtype=pl.String),
        **{name: pl.lit(value) for name, value in key.items()},
    )
    with warehouse.connect() as connection:
        _replace(connection, repository.key, rows.select(*load.schema_of(tables.alias_proposal)), state)
    return rows.height


def _read(connection: Connection, sql: str, key: Mapping[str, str], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return the rows of a query in the columns and types that the comparison takes."""
    return connection.read(sql, key).select(pl.col(name).cast(kind) for name, kind in schema.items())


def _replace(
    connection: Connection, repository: builds.Repository, rows: pl.DataFrame | None, state: builds.State | None
) -> None:
    """Replace one repository's proposals in one transaction; None forgets what is known of it."""
    name = load.name_of(tables.alias_proposal)
    key = {"org": repository[0], "repository_id": repository[1]}
    with connection.transaction():
        connection.execute(
            f"delete from {name} where org = $org and repository_id = $repository_id",  # noqa: S608 - our metadata
            key,
        )
        if rows is not None:
            connection.insert(name, rows)
        builds.record_repository_build(connection, PART, repository, state)
