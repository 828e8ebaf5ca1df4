"""Any statement that reads is taken and answered alike by both engines."""

import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.exports.rows import csv_lines, json_lines, write_parquet
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


@pytest.mark.parametrize("parameters", [{}, {"one": 1}])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("sum(9007199254740993::bigint)", pl.Int64),
        ("sum(1::bigint) filter (where false)", pl.Int64),
        ("sum(-9223372036854775807::bigint) - 1", pl.Int64),
        ("2.50", pl.Decimal),
        ("-123456789012345678901.0001", pl.Decimal),
        ("sum(9223372036854775807::bigint) + 1", pl.Decimal),
    ],
)
def test_parquet_holds_the_same_exact_numbers_from_both_engines(
    engines: list[Warehouse], number: str, kind: type[pl.DataType], parameters: dict[str, int]
) -> None:
    # with a parameter the driver brings the rows another way
    bound = "where $one::int = 1" if parameters else ""
    frames = []
    for engine in engines:
        with ask(engine, f"select {number} as n, 'x' as x from (select 1) as t {bound}", parameters) as answer:
            file = io.BytesIO()
            write_parquet(answer.frame(), file)
            frames.append(pl.read_parquet(file.getvalue()))
    mine, theirs = frames
    assert mine.rows() == theirs.rows()
    assert [frame.schema["n"].base_type() for frame in frames] == [kind, kind]


def test_a_column_of_numbers_that_has_no_rows_is_one_of_integers(engines: list[Warehouse]) -> None:
    with ask(engines[1], "select 1.5 as n, 2 as m where false") as answer:
        assert answer.frame().schema == {"n": pl.Int64, "m": pl.Int32}


def test_other_forms_say_numbers_as_the_server_does(engines: list[Warehouse]) -> None:
    numbers = "sum(9007199254740993::bigint), 2.50, 3.00, null::numeric, 'nan'::numeric, 1e30::numeric"
    with ask(engines[1], f"select {numbers}") as answer:
        (row,) = next(answer.batches())
    assert next(islice(csv_lines("abcdef", [row]), 1, None)) == f"9007199254740993,2.50,3.00,,NaN,1{'0' * 30}\r\n"
    said = json.loads("".join(json_lines("abcdef", [row])))
    assert list(said[0].values()) == [9007199254740993, 2.5, 3, None, "NaN", 10**30]
