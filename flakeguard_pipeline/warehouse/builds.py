"""What the derived parts of the warehouse were last built from, so that a run with nothing new skips them."""

from collections.abc import Mapping
from typing import Literal

import polars as pl
import sqlalchemy as sa

from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.load import name_of, schema_of

ALL_ORGANISATIONS = "*"

Part = Literal["rollups", "marts"]


def is_built(connection: Connection, part: Part, *, project_digest: str, core_version: str) -> bool:
    """Say whether a part of the dbt project was last built from exactly this."""
    built = connection.value(
        "select count(*) from flakiness.dbt_build "
        "where org = $org and part = $part and project_digest = $digest and core_version = $version",
        {"org": ALL_ORGANISATIONS, "part": part, "digest": project_digest, "version": core_version},
    )
    return bool(built)


def record_build(connection: Connection, part: Part, *, project_digest: str, core_version: str) -> None:
    """Remember what a part of the dbt project was built from."""
    row = {
        "org": ALL_ORGANISATIONS,
        "part": part,
        "project_digest": project_digest,
        "core_version": core_version,
    }
    _replace(connection, tables.dbt_build, row, {"part": part})


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
