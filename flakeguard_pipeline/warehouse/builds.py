"""What the derived parts of the warehouse were last built from, so that a run with nothing new skips them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl
import sqlalchemy as sa

from flakeguard_pipeline.bundled import dbt_models
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.load import name_of, schema_of

ALL_ORGANISATIONS = "*"

Part = Literal["rollups", "marts", "tables", "inferred_passes", "alias_proposals"]
"""`tables`: the incremental tables among the roll-ups, whose project digest decides whether they are built anew."""

Repository = tuple[str, str]
"""Org and repository id."""

State = tuple[str, str]
"""What something was made from: a digest of the rules, and the state of `core`."""


def is_built(connection: Connection, part: Part, *, project_digest: str, core_version: str) -> bool:
    """Say whether a part of the dbt project was last built from exactly this."""
    built = connection.value(
        "select count(*) from flakiness.dbt_build "
        "where org = $org and part = $part and project_digest = $digest and core_version = $version",
        {"org": ALL_ORGANISATIONS, "part": part, "digest": project_digest, "version": core_version},
    )
    return bool(built)


def missing_models(connection: Connection) -> tuple[str, ...]:
    """Return what the dbt project makes and the warehouse has not, as `schema.name`, sorted.

    Something that was dropped by hand is built again by the next run; nothing new in `core` would tell it to.
    """
    made = {f"{schema}.{name}" for name, schema in dbt_models().items()}
    found = connection.read("select table_schema || '.' || table_name as name from information_schema.tables")
    return tuple(sorted(made - set(found.get_column("name").to_list())))


def record_build(connection: Connection, part: Part, *, project_digest: str, core_version: str) -> None:
    """Remember what a part of the dbt project was built from."""
    row = {
        "org": ALL_ORGANISATIONS,
        "part": part,
        "project_digest": project_digest,
        "core_version": core_version,
    }
    _replace(connection, tables.dbt_build, row, {"part": part})


def forget_builds(connection: Connection, parts: Sequence[Part]) -> None:
    """Forget what parts were built from, because they are about to be built; a killed build is then made again."""
    with connection.transaction():
        for part in parts:
            connection.execute(
                "delete from flakiness.dbt_build where org = $org and part = $part",
                {"org": ALL_ORGANISATIONS, "part": part},
            )


def repository_builds(connection: Connection, part: Part) -> dict[Repository, State]:
    """Return what a part was last made from, of those parts that are made repository by repository."""
    frame = connection.read(
        "select org, part, project_digest, core_version from flakiness.dbt_build where starts_with(part, $prefix)",
        {"prefix": f"{part}:"},
    )
    return {(org, named.partition(":")[2]): (digest, version) for org, named, digest, version in frame.iter_rows()}


def record_repository_build(connection: Connection, part: Part, repository: Repository, state: State | None) -> None:
    """Remember what a part was made from for one repository (None: forget it), in the caller's transaction."""
    org, repository_id = repository
    key = {"org": org, "part": f"{part}:{repository_id}"}
    connection.execute("delete from flakiness.dbt_build where org = $org and part = $part", key)
    if state is not None:
        row = {**key, "project_digest": state[0], "core_version": state[1]}
        connection.insert(name_of(tables.dbt_build), pl.DataFrame([row], schema=schema_of(tables.dbt_build)))


def is_checked(connection: Connection, suite_name: str, core_version: str) -> bool:
    """Say whether a suite of expectations held for this state of `core`."""
    passed = connection.value(
        "select is_passed from core.data_check_result "
        "where org = $org and suite_name = $suite and core_version = $version",
        {"org": ALL_ORGANISATIONS, "suite": suite_name, "version": core_version},
    )
    return bool(passed)


def check_detail(connection: Connection, suite_name: str) -> str:
    """Return what the newest result of a suite found, as JSON."""
    detail = connection.value(
        "select detail from core.data_check_result where org = $org and suite_name = $suite",
        {"org": ALL_ORGANISATIONS, "suite": suite_name},
    )
    return str(detail or "")


def record_check(connection: Connection, suite_name: str, *, core_version: str, is_passed: bool, detail: str) -> None:
    """Remember the newest result of a suite of expectations."""
    row = {
        "org": ALL_ORGANISATIONS,
        "suite_name": suite_name,
        "core_version": core_version,
        "is_passed": is_passed,
        "detail": detail,
    }
    _replace(connection, tables.data_check_result, row, {"suite_name": suite_name})


def _replace(connection: Connection, table: sa.Table, row: Mapping[str, object], key: Mapping[str, object]) -> None:
    name = name_of(table)
    where = " and ".join(f"{column} = ${column}" for column in ("org", *key))
    with connection.transaction():
        connection.execute(f"delete from {name} where {where}", {"org": ALL_ORGANISATIONS, **key})  # noqa: S608
        connection.insert(name, pl.DataFrame([row], schema=schema_of(table)))
