"""The hand-written queries: each says what it yields and what it needs, and each runs on an empty warehouse."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
import sqlalchemy as sa

from flakeguard_pipeline import bundled as package
from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from flakeguard_pipeline.warehouse.queries import query
from tests.support.postgres import PostgresServer

FILES = sorted(file.stem for file in (bundled("sql") / "queries").glob("*.sql"))

OF_POSTGRES = [stem.removesuffix(".postgres") for stem in FILES if stem.endswith(".postgres")]
"""Queries that Postgres needs in another form."""

NAMES = [stem for stem in FILES if not stem.endswith(".postgres")]

OF_DBT = re.compile(r"\b(?:marts|intermediate|staging)\.\w+")
"""Relations that dbt makes: an empty warehouse has none of them."""

VALUES = {
    "org": "acme",
    "repository_id": "github:7",
    "as_of": datetime(2026, 3, 1, tzinfo=UTC),
    "opened_at": datetime(2025, 12, 1, tzinfo=UTC),
    "default_branch": "main",
    "shown": 3,
    "roster_days": 30,
    "roster_reports": 2,
    "phrase": "connection refused",
    "words": "connection refused",
    "repository": "",
    "since": None,
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("queries") / "warehouse.duckdb"))
    upgrade(warehouse)
    return warehouse


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer) -> Iterator[Warehouse]:
    database = postgres_server.database()
    warehouse = Warehouse(database.url)
    upgrade(warehouse)
    yield warehouse
    close_pools()
    database.drop()


def header(name: str) -> str:
    lines = query(name).splitlines()
    comment = [
        line.removeprefix("--").strip() for line in lines[: next(i for i, line in enumerate(lines) if line[:2] != "--")]
    ]
    return " ".join(comment)


def body(name: str) -> str:
    return "\n".join(line for line in query(name).splitlines() if not line.lstrip().startswith("--"))


def parameters(name: str) -> set[str]:
    return set(re.findall(r"\$(\w+)", body(name)))


def run(connection: Connection, name: str) -> None:
    replaced = pl.DataFrame({"repository_id": ["github:7"], "run_id": ["1"], "run_attempt": [1]})
    wanted = pl.DataFrame({"org": ["acme"], "repository_id": ["github:7"], "test_key": ["1"]})
    off = pl.DataFrame({"source": ["drop"]})
    with (
        connection.frame("_replaced", replaced),
        connection.frame("_wanted", wanted),
        connection.frame("_source_off", off),
    ):
        connection.execute(query(name, connection.dialect), {each: VALUES[each] for each in parameters(name)} or None)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_states_its_grain_and_its_parameters(name: str) -> None:
    said = re.search(r"^.+\. Grain: one row(?: per [^.]+)?\. Parameters: (.+)$", header(name))
    assert said, f"{name}.sql: the header must read: -- What.  -- Grain: one row per X. Parameters: $a, $b."
    assert set(re.findall(r"\$(\w+)", said[1])) == parameters(name)
    assert parameters(name) or said[1].startswith("none")


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_one_statement(name: str) -> None:
    assert len(duckdb.extract_statements(query(name))) == 1
    assert ";" not in body(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_names_its_columns(name: str) -> None:
    assert not re.search(r"^select (?:distinct )?\*", body(name), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_runs_on_an_empty_warehouse_where_it_reads_nothing_of_dbt(empty: Warehouse, name: str) -> None:
    with empty.connect() as connection:
        if OF_DBT.search(body(name)):
            with pytest.raises(WarehouseError, match="does not exist"):
                run(connection, name)
        else:
            run(connection, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "shown_state"])
def test_every_query_runs_on_an_empty_postgres_where_it_reads_nothing_of_dbt(shared: Warehouse, name: str) -> None:
    with shared.connect() as connection:
        if OF_DBT.search(body(name)):
            with pytest.raises(WarehouseError, match="does not exist"):
                run(connection, name)
        else:
            run(connection, name)


@pytest.mark.parametrize("name", OF_POSTGRES)
def test_a_query_of_postgres_s_own_has_the_same_parameters(name: str) -> None:
    assert name in NAMES
    own = query(name, "postgres")
    assert set(re.findall(r"\$(\w+)", own)) == parameters(name)
    assert own.splitlines()[:2] == query(name).splitlines()[:2]


def test_no_query_adds_floats_up_and_none_depends_on_an_engine_s_default_order() -> None:
    floats = {
        column.name
        for table in tables.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.Double)
    }
    texts = {path: path.read_text(encoding="utf-8") for part in ("sql", "dbt") for path in bundled(part).rglob("*.sql")}
    assert floats
    for path, text in texts.items():
        plain = re.sub(r"--[^\n]*", "", text)
        for what in re.findall(r"\b(?:sum|avg)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", plain):
            assert not floats & set(re.findall(r"\w+", what)), f"{path} adds floats up: {what}"
        assert not re.search(r"\border by all\b", plain), path


@pytest.mark.parametrize("name", NAMES)
def test_every_query_is_asked_somewhere(name: str) -> None:
    code = Path(package.__file__).parent
    assert any(re.search(rf'query\("{name}"[,)]', file.read_text(encoding="utf-8")) for file in code.rglob("*.py"))


def test_rows_that_people_or_exports_see_come_in_a_fixed_order() -> None:
    unordered = [name for name in NAMES if not name.startswith("refresh_") and "order by" not in body(name)]
    assert unordered == [
        "inferred_pass_counts",  # one row
        "search_match",  # read by `search_failures`, which orders
        "summary_counts",  # one row
    ]
