"""Plans of Postgres: which relations a statement reads, and how."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2

from flakeguard_pipeline.warehouse.dialects import Parameters, positional
from tests.support.postgres import PostgresDatabase


@dataclass(frozen=True)
class Read:
    """One reading of a relation. `is_bounded`: by a condition on an index, so that other rows are not looked at."""

    relation: str
    node: str
    is_bounded: bool


def reads_of(database: PostgresDatabase, sql: str, parameters: Parameters) -> list[Read]:
    """Return how Postgres reads the relations of a statement where it avoids reading any of them whole.

    A test's tables are small, and reading them whole is right: `enable_seqscan = off` shows whether there is another
    way, which is what large tables need.
    """
    text, values = positional(sql, parameters)
    with closing(psycopg2.connect(database.url)) as connection, connection.cursor() as cursor:
        cursor.execute("set enable_seqscan = off; set plan_cache_mode = force_custom_plan; set jit = off")
        cursor.execute(f"prepare asked as {text}")
        execute = f"execute asked({', '.join(['%s'] * len(values))})" if values else "execute asked"
        cursor.execute(f"explain (format json) {execute}", values)
        row = cursor.fetchone()
        assert row is not None
        told = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(_reads(told[0]["Plan"]))


def _reads(node: dict[str, Any]) -> Iterator[Read]:
    if "Relation Name" in node:
        is_bounded = "Index Cond" in node or "Recheck Cond" in node
        yield Read(node["Relation Name"], node["Node Type"], is_bounded)
    for each in node.get("Plans", ()):
        yield from _reads(each)
