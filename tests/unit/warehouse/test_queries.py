"""The hand-written queries: each says what it yields and what it needs, and each runs on an empty warehouse."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flakeguard_pipeline import bundled as package
from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.queries import query

NAMES = sorted(file.stem for file in (bundled("sql") / "queries").glob("*.sql"))

OF_DBT = re.compile(r"\b(?:marts|intermediate|staging)\.\w+")
"""Relations that dbt makes: an empty warehouse has none of them."""

VALUES = {
    "org": "acme",
    "repository_id": "github:7",
    "as_of": datetime(2026, 3, 1, tzinfo=UTC),
    "default_branch": "main",
    "shown": 3,
    "roster_days": 30,
    "roster_reports": 2,
    "sources_off": ["drop"],
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("queries") / "warehouse.duckdb"))
    upgrade(warehouse)
    return warehouse


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
    with connection.frame("_replaced", replaced), connection.frame("_wanted", wanted):
        connection.execute(query(name), {each: VALUES[each] for each in parameters(name)} or None)


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
            with pytest.raises(duckdb.CatalogException, match="does not exist"):
                run(connection, name)
        else:
            run(connection, name)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_is_asked_somewhere(name: str) -> None:
    code = Path(package.__file__).parent
    assert any(f'query("{name}")' in file.read_text(encoding="utf-8") for file in code.rglob("*.py"))


def test_rows_that_people_or_exports_see_come_in_a_fixed_order() -> None:
    unordered = [name for name in NAMES if not name.startswith("refresh_") and "order by" not in body(name)]
    assert unordered == ["inferred_pass_counts", "summary_counts"]  # one row each
