"""Failures are found by the words of their messages: the same ones, in the same order, on both engines."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.operations.searching import search_failures, search_statement
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from flakeguard_pipeline.warehouse.words import words_of
from tests.support.loaded_history import START, Attempt, Told, describe, put
from tests.support.plans import reads_of
from tests.support.postgres import PostgresDatabase, PostgresServer
from tests.support.rolled_up import Project, make_tables, project

FLAKEGUARD = Path(sys.executable).with_name("flakeguard")

REFUSED = "java.net.ConnectException: Connection refused (db-1.acme:5432)"
ERRNO = "[Errno 111] Connection to db refused: /srv/app/test_cart.py"
LATER = "refused again, the connection that was so good"
CLASS = "org.acme.FooTest.adds: expected <3> but was <4>"
BLOB = "blob " + "x" * 3000
PHRASES = "nothing of the sort"
ODD = "日本語\u3000テスト “naïve” É \U0001f600 a_b it's 100% \\d+ 'quoted' & | ! <-> :* $x {y} --"
MESSAGES = (REFUSED, ERRNO, LATER, CLASS, BLOB, PHRASES, ODD)
"""The failures; each is its own signature, and its message ends in a number."""

FOUND = {
    "connection refused": [REFUSED, LATER, ERRNO],
    "refused CONNECTION": [LATER, REFUSED, ERRNO],
    "Connection refused": [REFUSED, LATER, ERRNO],
    "java.net.ConnectException": [REFUSED],
    "ConnectException": [REFUSED],
    "connectexception.java": [REFUSED],
    "org.acme.FooTest": [CLASS],
    "[Errno 111]": [ERRNO],
    "/srv/app/test_cart.py": [ERRNO],
    "cart": [ERRNO],
    "db-1": [REFUSED, ERRNO],
    "of the": [PHRASES],
    "x" * 3000: [BLOB],
    "日本語": [ODD],
    "naïve": [ODD],
    "\U0001f600": [ODD],
    "É": [ODD],
    "é": [],
    "Connect": [],
    "refused nowhere": [],
    "refused refused": [LATER, REFUSED, ERRNO],
    "it's 'quoted' & | ! <-> :* --": [ODD],
    "quoted'; drop table core.job; --": [],
    "refused\0connection": [LATER, REFUSED, ERRNO],
    "\udcff good \udcff": [LATER],
    "refused " * 1250: [LATER, REFUSED, ERRNO],
    "a b c d e f " * 900: [],
}
"""What is found by a text, in its order. docs/reference/search.md shows some of them."""


@dataclass(frozen=True)
class Searched:
    warehouse: Warehouse
    built: Warehouse
    dbt: Project

    def search(self, text: str, **more: Any) -> list[dict[str, Any]]:
        with search_failures(self.warehouse, text, **more) as answer:
            names = [column.name for column in answer.columns]
            return [dict(zip(names, row, strict=True)) for batch in answer.batches() for row in batch]

    def inline(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that uses macros."""
        result = self.dbt.run(self.built, "compile", "--inline", sql)
        with self.built.connect() as connection:
            return connection.read(result.results[0].node.compiled_code).rows()


def attempts() -> list[Attempt]:
    told = [
        tuple(Told(f"t{n}", "", "failed", signature=each, report="r1") for n, each in enumerate(MESSAGES)),
        (Told("t0", "", "failed", signature=REFUSED), Told("t9", "linux", "failed", signature=REFUSED)),
        (Told("t0", "", "passed"), Told("t2", "", "failed", signature=LATER, is_final=False), Told("t2", "", "passed")),
    ]
    return [Attempt(n + 1, 1, n, "ci", f"sha{min(n, 1)}", each) for n, each in enumerate(told)]


@pytest.fixture(scope="module")
def dbt() -> Iterator[Project]:
    with project() as parsed:
        yield parsed


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    made = postgres_server.database()
    yield made
    close_pools()
    made.drop()


def filled(warehouse: Warehouse, dbt: Project) -> Searched:
    make_tables(warehouse)
    with warehouse.connect() as connection:
        for attempt in attempts():
            put(connection, attempt)
        describe(connection, default_branch="main")
    dbt.run(warehouse, "run", "--exclude", "tag:scores", "--full-refresh")
    if warehouse.dialect == "postgres":
        return Searched(warehouse, warehouse, dbt)
    # dbt keeps its file open in this process, and who only reads opens it in another way
    with warehouse.connect() as connection:
        connection.execute("checkpoint")
    asked = warehouse.path.parent / "asked" / warehouse.path.name
    asked.parent.mkdir()
    shutil.copyfile(warehouse.path, asked)
    return Searched(Warehouse(str(asked)), warehouse, dbt)


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory, dbt: Project) -> Searched:
    return filled(Warehouse(str(tmp_path_factory.mktemp("search") / "warehouse.duckdb")), dbt)


@pytest.fixture(scope="module")
def on_postgres(database: PostgresDatabase, dbt: Project) -> Searched:
    return filled(Warehouse(database.url), dbt)


@pytest.fixture(params=["duckdb", "postgres"])
def searched(request: pytest.FixtureRequest) -> Searched:
    engine: Searched = request.getfixturevalue(f"on_{request.param}")
    return engine


@pytest.mark.parametrize("text", FOUND, ids=lambda text: repr(text[:30]))
def test_a_text_finds_the_failures_with_all_of_its_words_by_relevance(searched: Searched, text: str) -> None:
    assert [row["failure_signature"] for row in searched.search(text)] == FOUND[text]


def test_both_engines_tell_the_same_of_what_they_find(on_duckdb: Searched, on_postgres: Searched) -> None:
    for text in FOUND:
        assert on_postgres.search(text) == on_duckdb.search(text)


def test_a_finding_has_counts_times_and_an_example(searched: Searched) -> None:
    (row,) = searched.search("java.net.ConnectException")
    assert row["failure_message"] == f"{REFUSED} 1"
    assert (row["failures"], row["flaky_failures"], row["test_variants"]) == (3, 1, 2)
    assert (row["first_seen_at"] - START).days == 0
    assert (row["last_seen_at"] - row["first_seen_at"]).days == 1
    assert (row["example_run_id"], row["example_run_url"]) == ("2", "https://ci/2")
    assert row["example_test"] == "tests t9"


def test_a_search_is_bounded_by_repository_day_and_number(searched: Searched) -> None:
    first = START.date()
    found = searched.search("refused", since=first.replace(day=first.day + 1))
    assert [row["failure_signature"] for row in found] == [LATER, REFUSED]
    assert searched.search("refused", since=first.replace(day=first.day + 9)) == []
    assert len(searched.search("refused", repository="acme/shop")) == 3
    assert searched.search("refused", repository="acme/none") == []
    assert len(searched.search("refused", limit=2)) == 2


@pytest.mark.parametrize("text", ["", " ", "\0", "-- ; ' \" & | !", "“…”", "\udcff"])
def test_a_text_without_words_is_told_in_a_line(searched: Searched, text: str) -> None:
    with pytest.raises(UsageError, match="no word to search for"):
        searched.search(text)


def test_words_are_the_same_in_python_and_in_the_macro(searched: Searched) -> None:
    texts = [*MESSAGES, *(text.replace("\0", " ") for text in FOUND if text.isprintable())]
    texts += ["".join(map(chr, range(first, first + 96))) for first in (1, 97, 0xA0, 0xD0, 0x2000, 0x2060, 0x3000)]
    texts += ["Straße İI ǅ " + "é" * 150 + "! y", "A" * 3999 + "bc d", "x " * 4000]
    rows = " union all ".join(f"select {n} as n, {literal(text)} as t" for n, text in enumerate(texts))
    told = searched.inline(f"select n, {{{{ words_of('t') }}}} as words from ({rows}) as sample order by n")
    assert [words for _, words in told] == [" ".join(words_of(text)) for text in texts]


def test_the_macro_holds_in_statements_of_ones_own(searched: Searched) -> None:
    sql = (
        "select failure_signature from intermediate.int_failure_text "
        "where {{ has_words('words', \"'refused: CONNECTION'\") }} order by failure_signature"
    )
    assert [name for (name,) in searched.inline(sql)] == sorted([REFUSED, ERRNO, LATER])
    nothing = "select count(*) from intermediate.int_failure_text where {{ has_words('words', \"'--'\") }}"
    assert searched.inline(nothing) == [(0,)]


def test_postgres_finds_words_by_the_index(on_postgres: Searched, database: PostgresDatabase) -> None:
    assert on_postgres.search("good")
    values = {"phrase": "good", "words": "good", "repository": "", "since": None}
    reads = reads_of(database, search_statement("postgres"), values)
    big = [each for each in reads if each.relation in ("int_failure_text", "int_reported_failure")]
    assert {each.relation for each in big} == {"int_failure_text", "int_reported_failure"}
    assert [each for each in big if not each.is_bounded] == []
    assert [each.node for each in big if each.relation == "int_failure_text"] == ["Bitmap Heap Scan"]


def test_the_command_prints_what_was_found(on_duckdb: Searched) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}

    def command(*arguments: str) -> tuple[int, str, str]:
        told = [str(FLAKEGUARD), "search", "--warehouse", on_duckdb.warehouse.path.name, *arguments]
        done = subprocess.run(
            told, cwd=on_duckdb.warehouse.path.parent, env=clean, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    status, out, err = command("connection refused", "--format", "json", "--limit", "2", "--since", "2026-03-01")
    assert (status, err) == (0, "There are more than these 2 rows; --limit 0 shows all.\n")
    assert [row["failure_signature"] for row in json.loads(out)] == [REFUSED, LATER]
    status, out, err = command("!!")
    assert (status, out) == (2, "")
    assert err.startswith("flakeguard: there is no word to search for")
    assert command("x", "--since", "yesterday")[0] == 2
    assert command("x", "--format", "parquet")[0] == 2


def literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("{", "(").replace("}", ")") + "'"
