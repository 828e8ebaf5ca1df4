"""Any statement that reads is taken and answered alike by both engines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.operations.asking import ask
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[list[Warehouse]]:
    """A warehouse of each engine, without tables."""
    file: Path = tmp_path_factory.mktemp("asking") / "warehouse.duckdb"
    duckdb.connect(str(file)).close()
    database = postgres_server.database()
    yield [Warehouse(f"duckdb:///{file}"), Warehouse(database.url)]
    close_pools()
    database.drop()


def answers(
    engines: list[Warehouse], sql: str, parameters: dict[str, Any] | None = None
) -> list[list[tuple[Any, ...]]]:
    told = []
    for engine in engines:
        with ask(engine, sql, parameters) as answer:
            told.append([row for batch in answer.batches() for row in batch])
    return told


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("select 1 as a; -- done", 1),
        ("select 1 as a ; /* so; /* nested */ */ ;\n-- done", 1),
        ("/* a /* nested */ comment */ select 1", 1),
        ("select /* costs $x */ 1", 1),
        ("select 1 -- costs $x\r+ 1", 2),
        ("select $$body $name$$", "body $name"),
        ("select $t$ $x $$ ; $t$", " $x $$ ; "),
        (r"select E'it\'s $foo'", "it's $foo"),
        ("select E'a'\n'b\\'$foo'", "ab'$foo"),
        ("select 'a;--'", "a;--"),
        (r"select 'a\'", "a\\"),
        ("select a$b from (select 1 as a$b) as t", 1),
    ],
)
def test_both_engines_take_the_statement(engines: list[Warehouse], sql: str, value: object) -> None:
    assert answers(engines, sql) == [[(value,)]] * 2


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("select $x || $$ $x $$ || e'\\'$x' -- $x", {"x": "a"}),
        ("select $X::text || $x", {"x": "a"}),
        ("select $2::text || $1", {"1": "a", "2": "b"}),
    ],
)
def test_both_engines_find_the_same_parameters(engines: list[Warehouse], sql: str, parameters: dict[str, str]) -> None:
    mine, theirs = answers(engines, sql, parameters)
    assert mine == theirs


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("-- nothing\n;", {}),
        ("select 1; select 2; -- two", {}),
        ("select 'not closed $x", {}),
        ("select 1 /* not closed", {}),
        ("select $$ not closed", {}),
        ("select $x::text", {}),
        ("select /* $x */ 1", {"x": "a"}),
        ("select $x::text", {"x": "a", "y": "b"}),
    ],
)
def test_both_engines_refuse_the_statement(engines: list[Warehouse], sql: str, parameters: dict[str, str]) -> None:
    for engine in engines:
        with pytest.raises(UsageError), ask(engine, sql, parameters):
            pass
