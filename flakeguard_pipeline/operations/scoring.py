"""Score a repository: roll-up in, health snapshot and its evidence out."""

from datetime import datetime, timedelta

import polars as pl

from flakeguard_pipeline.operations.repositories import Repository
from flakeguard_pipeline.stats.frames import Scoring
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.load import name_of
from flakeguard_pipeline.warehouse.queries import query


def score_repository(
    warehouse: Warehouse, repository: Repository, *, as_of: datetime, parameters: ScoringParameters
) -> Scoring:
    """Score one repository as of `as_of` and make that its current scoring.

    The snapshot of an `as_of` replaces an earlier one of the same `as_of`, in one transaction with the pointer to
    it; so a kill leaves the former scoring, whole.
    """
    key = {"org": repository.org, "repository_id": repository.repository_id}
    asked = {**key, "as_of": as_of, "opened_at": as_of - timedelta(days=parameters.window_days)}
    with warehouse.connect() as connection:
        rollup = connection.read(query("rollup_of_repository"), asked)
        inferred = connection.read(query("inferred_of_repository"), asked)
    scoring = score(rollup, as_of=as_of, parameters=parameters, inferred=inferred)
    evidence = scoring.evidence.with_columns(pl.lit(as_of).cast(pl.Datetime("us", "UTC")).alias("as_of"))
    pointer = pl.DataFrame([{**key, "as_of": as_of}], schema_overrides={"as_of": pl.Datetime("us", "UTC")})
    where = "where org = $org and repository_id = $repository_id"
    with warehouse.connect() as connection, connection.transaction():
        for table, frame in ((tables.health_snapshot, scoring.health), (tables.flake_evidence, evidence)):
            connection.execute(
                f"delete from {name_of(table)} {where} and as_of = $as_of",  # noqa: S608 - names from our metadata
                {**key, "as_of": as_of},
            )
            connection.insert(name_of(table), frame)
        connection.execute(f"delete from {name_of(tables.current_scoring)} {where}", key)  # noqa: S608
        connection.insert(name_of(tables.current_scoring), pointer)
    return scoring
