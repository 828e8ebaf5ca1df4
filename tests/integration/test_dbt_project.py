"""The dbt project itself: its unit tests on both engines, its documentation, its keys, and what it owes other engines.

One `dbt build` of everything per engine (models, tests of keys, unit tests) is what all tests here look at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.load import frame_of
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from flakeguard_pipeline.warehouse.tables import current_scoring, health_snapshot, metadata
from tests.support import loaded_history
from tests.support.loaded_history import KEY, Attempt, Told
from tests.support.postgres import PostgresServer
from tests.support.rolled_up import Project, make_tables, project

DBT = bundled("dbt")
MODELS = sorted((DBT / "models").glob("*/*.sql"))

WITHOUT_LOGIC = {
    "int_rolled_name": "copies what int_test_name says",
    "test_execution": "chooses columns of stg_test_execution",
}
"""Models without a unit test, and why: there is nothing to get wrong that the tests of columns would not find."""


@dataclass(frozen=True)
class Built:
    """A warehouse that one `dbt build` has made everything in, and what the build said."""

    project: Project
    warehouse: Warehouse
    results: list[Any]

    def of(self, kind: str) -> list[Any]:
        """Return the results of one kind of node."""
        return [each for each in self.results if each.node.resource_type == kind]


@pytest.fixture(scope="module")
def dbt() -> Iterator[Project]:
    with project() as made:
        yield made


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def built(request: pytest.FixtureRequest, dbt: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    if request.param == "duckdb":
        yield _build(dbt, Warehouse(str(tmp_path_factory.mktemp("dbt") / "warehouse.duckdb")))
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    database = server.database()
    yield _build(dbt, Warehouse(database.url))
    close_pools()
    database.drop()


def _build(dbt: Project, warehouse: Warehouse) -> Built:
    make_tables(warehouse)
    with warehouse.connect() as connection:
        loaded_history.describe(connection, default_branch="main")
        loaded_history.put(connection, Attempt(1, 1, 0, "ci", "aaa", (Told("A", "", "failed"),)))
    return Built(dbt, warehouse, list(dbt.run(warehouse, "build").results))


def described() -> dict[str, dict[str, Any]]:
    """Return what the pages say of each model."""
    pages = [DBT / "models" / folder / f"{folder}.yml" for folder in ("staging", "intermediate", "marts")]
    told = [model for page in pages for model in yaml.safe_load(page.read_text(encoding="utf-8"))["models"]]
    return {model["name"]: model for model in told}


def unit_tests() -> list[dict[str, Any]]:
    """Return the unit tests as they are written."""
    pages = sorted((DBT / "models").glob("*/unit_tests.yml"))
    return [test for page in pages for test in yaml.safe_load(page.read_text(encoding="utf-8"))["unit_tests"]]


# -- unit tests ----------------------------------------------------------------------------------------------


def test_the_unit_tests_hold(built: Built) -> None:
    passed = [each.node.name for each in built.of("unit_test") if each.status in ("pass", "success")]
    assert sorted(passed) == sorted(test["name"] for test in unit_tests())


def test_every_model_with_logic_has_a_unit_test() -> None:
    tested = {test["model"] for test in unit_tests()}
    names = {file.stem for file in MODELS}
    assert names - tested == set(WITHOUT_LOGIC)
    assert tested <= names
    assert all(test["given"] and test["expect"]["rows"] for test in unit_tests())


# -- documentation and keys ----------------------------------------------------------------------------------


def test_every_column_of_every_model_is_described_and_no_other(built: Built) -> None:
    folders = {file.stem: file.parent.name for file in MODELS}
    with built.warehouse.connect() as connection:
        made = {name: connection.read(f"select * from {folders[name]}.{name} limit 0").columns for name in folders}
    told = {name: [column["name"] for column in model["columns"]] for name, model in described().items()}
    assert {name: sorted(columns) for name, columns in told.items()} == {
        name: sorted(columns) for name, columns in made.items()
    }


def test_every_description_says_something() -> None:
    for name, model in described().items():
        assert model["description"].strip(), name
        assert [column["name"] for column in model["columns"] if not column.get("description", "").strip()] == [], name


def test_every_model_has_a_key_of_columns_that_are_never_null(built: Built) -> None:
    keys: dict[str, list[str]] = {}
    for name, model in described().items():
        (key,) = [test["is_key"] for test in model.get("data_tests", ()) if "is_key" in test]
        keys[name] = key["arguments"]["columns"]
        assert set(keys[name]) <= {column["name"] for column in model["columns"]}, name
    tested = {each.node.attached_node.rpartition(".")[2] for each in built.of("test") if each.status == "pass"}
    assert tested == set(keys)


def test_sources_have_the_columns_of_the_tables() -> None:
    page = yaml.safe_load((DBT / "models" / "sources.yml").read_text(encoding="utf-8"))
    for source in page["sources"]:
        for told in source["tables"]:
            table = metadata.tables[f"{source['schema']}.{told['name']}"]
            assert told["description"].strip(), table.name
            assert {column["name"]: column["description"] for column in told["columns"]} == {
                column.name: column.comment for column in table.columns
            }, table.name


# -- freshness of sources ------------------------------------------------------------------------------------


def test_the_freshness_of_sources_is_told(built: Built) -> None:
    now = datetime.now(UTC)
    with built.warehouse.connect() as connection:
        connection.execute("update core.repository set last_run_at = $now", {"now": now})
        connection.execute("update core.run_attempt set updated_at = $now", {"now": now})
        connection.execute("update core.test_execution set started_at = $now", {"now": now})
        for table in (current_scoring, health_snapshot):
            empty: dict[str, Any] = {
                column.name: "" if column.type.python_type is str else 0 for column in table.columns
            }
            times = {column.name: now for column in table.columns if column.type.python_type is datetime}
            connection.execute(f"delete from flakiness.{table.name}")
            connection.insert(f"flakiness.{table.name}", frame_of(table, [{**empty, **times, **KEY}]))
    found = built.project.run(built.warehouse, "source", "freshness").results
    assert {each.node.name: str(each.status) for each in found} == {
        "repository": "pass",
        "run_attempt": "pass",
        "test_execution": "pass",
        "current_scoring": "pass",
        "health_snapshot": "pass",
    }


# -- other engines -------------------------------------------------------------------------------------------


def test_what_the_models_compile_to_can_be_said_in_spark(built: Built) -> None:
    """Every model's SQL parses, and sqlglot knows a form of all of it for Spark.

    It does not prove that Spark runs it, that it gives the same rows, or that the incremental strategy and the macros
    of that engine work: text that sqlglot passes through unknown (a function by name, say) is not looked at, and what
    macros say for Spark is not compiled here, where the adapter is another.
    """
    models = built.of("model")
    assert {each.node.name for each in models} == {file.stem for file in MODELS}
    for each in models:
        told = sqlglot.transpile(
            each.node.compiled_code,
            read=built.warehouse.dialect,
            write="spark",
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
        assert len(told) == 1, each.node.name


OF_ONE_ENGINE = {
    "a cast by colons": r"::",
    "a filtered aggregate": r"\bfilter\s*\(\s*where\b",
    "qualify": r"\bqualify\b",
    "joined text": r"\b(string_agg|group_concat|listagg|array_agg|list)\s*\(",
    "arithmetic with a date": r"(\bdate\s*\)|_day|_start)\s*[+-]\s*\d",
    "an interval without its unit beside it": r"\binterval\s+''\s*(?!\s|hour|minute|second)",
    "an array or a struct": r"\barray\b|\bunnest\b|\bstruct\b|\[\s*\d|\bany\s*\(",
    "distinct on": r"\bdistinct\s+on\b",
    "a regular expression": r"~|\bregexp_|\bsimilar\s+to\b",
    "a comparison without case": r"\bilike\b",
    "a time zone": r"\bat\s+time\s+zone\b",
    "parts of a time": r"\bdate_part\b|\bextract\s*\(",
    "all columns but some": r"\*\s+(exclude|replace|except)\b",
    "all columns by a word": r"\b(group|order)\s+by\s+all\b",
    "a lateral join": r"\blateral\b",
    "returned rows": r"\breturning\b",
    "a merge of conflicts": r"\bon\s+conflict\b",
    "a quantile": r"\bquantile|\bapprox_|\bmedian\s*\(",
    "the newest of a group": r"\b(arg_max|max_by|arg_min|min_by|any_value)\s*\(",
}

COMMENT = re.compile(r"--[^\n]*|\{#.*?#\}", re.DOTALL)
DISPATCHED = re.compile(r"\{%-? macro (?:default|postgres|duckdb|spark)__.*?endmacro -?%\}", re.DOTALL)
MATERIALIZATION = re.compile(r"\{%-? materialization .*?endmaterialization -?%\}", re.DOTALL)
JINJA = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
TEXT = re.compile(r"'[^'\n]*'")


def said(file: Path) -> str:
    """Return the SQL of a file outside dispatched macros, comments and texts, in small letters."""
    text = file.read_text(encoding="utf-8")
    for left_out in (MATERIALIZATION, DISPATCHED, COMMENT, JINJA):
        text = left_out.sub(" ", text)
    return TEXT.sub("''", text).lower()


@pytest.mark.parametrize("file", [*MODELS, *sorted((DBT / "macros").glob("*.sql"))], ids=lambda file: file.stem)
def test_what_engines_say_differently_is_said_in_dispatched_macros(file: Path) -> None:
    text = said(file)
    assert [what for what, pattern in OF_ONE_ENGINE.items() if re.search(pattern, text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "a::int",
        "count(*) FILTER (where b)",
        "cast('2026-03-02' as date) + 6",
        "run_day - 7",
        "distinct on (a)",
        "a - interval '7 days'",
    ],
)
def test_the_scan_sees_what_it_looks_for(text: str, tmp_path: Path) -> None:
    file = tmp_path / "model.sql"
    file.write_text(f"select {text} from b", encoding="utf-8")
    assert any(re.search(pattern, said(file)) for pattern in OF_ONE_ENGINE.values())
