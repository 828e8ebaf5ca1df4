"""A scoring reads a window of the history and little besides, and says what one of the whole history says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flakeguard_pipeline.stats.frames import ROLLUP_SCHEMA
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from flakeguard_pipeline.warehouse.queries import query

AS_OF = datetime(2026, 3, 20, tzinfo=UTC)
PARAMETERS = ScoringParameters(window_days=5, outage_min_tests=2)
OPENED_AT = AS_OF - timedelta(days=PARAMETERS.window_days)
KEY = {"org": "acme", "repository_id": "github:7"}
SHARED_KNOWN_AT = AS_OF - timedelta(days=1)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Run attempts before, in and after the window, some of them known too late, each with some of four tests."""
    rows = []
    for number in range(draw(st.integers(1, 12))):
        started = AS_OF + timedelta(hours=draw(st.sampled_from([-500, -300, -121, -120, -119, -48, -2, 0, 5])))
        common = {
            **KEY,
            "provider": "github",
            "run_id": str(number // 2),
            "run_attempt": number % 2 + 1,
            "run_day": started.date(),
            "code_version": draw(st.sampled_from("abcd")),
            "is_default_branch": draw(st.booleans()),
            "run_started_at": started,
            "known_at": started + timedelta(hours=draw(st.sampled_from([0, 1, 60]))),
            "suite": "",
            "classname": draw(st.sampled_from(["Old", "New"])),
            "file": "",
        }
        for test in draw(st.lists(st.sampled_from("TUVW"), min_size=1, unique=True)):
            executions = draw(st.integers(0, 3))
            shared = draw(st.none() | st.just(SHARED_KNOWN_AT) | st.just(AS_OF + timedelta(days=1)))
            rows.append({
                **common,
                "test_key": test,
                "base_variant": "",
                "variant": "" if shared is None else "workflow=ci",
                "shared_known_at": shared,
                "name": test,
                "executions": executions,
                "failures": draw(st.integers(0, executions)),
                "skips": 1,
            })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("set timezone = 'UTC'")
    made.execute("create schema intermediate")
    return made


@given(rows=histories())
@settings(max_examples=150, deadline=None)
def test_the_scoring_of_what_is_read_is_that_of_the_whole_history(
    connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]
) -> None:
    history = pl.DataFrame(rows, schema_overrides={"shared_known_at": pl.Datetime("us", "UTC")})
    connection.register("history", history)
    connection.execute("create or replace table intermediate.int_test_attempt as select * from history")
    read = connection.execute(query("rollup_of_repository"), {**KEY, "as_of": AS_OF, "opened_at": OPENED_AT}).pl()
    is_shared = pl.col("shared_known_at") > AS_OF
    named = history.with_columns(variant=pl.when(is_shared).then("base_variant").otherwise("variant"))
    whole = named.with_columns(test_id=pl.col("test_key") + "@" + pl.col("variant")).select(
        pl.col(name).cast(kind) for name, kind in ROLLUP_SCHEMA.items()
    )
    event(f"rows left out: {read.height < whole.filter(pl.col('known_at') <= AS_OF).height}")
    grain = ["test_key", "variant", "run_id", "run_attempt"]
    assert not read.select(grain).is_duplicated().any()
    of_read = score(read, as_of=AS_OF, parameters=PARAMETERS)
    of_whole = score(whole, as_of=AS_OF, parameters=PARAMETERS)
    assert_frame_equal(of_read.health, of_whole.health)
    assert_frame_equal(of_read.evidence, of_whole.evidence)


def test_what_is_older_and_says_nothing_is_not_read(connection: duckdb.DuckDBPyConnection) -> None:
    old = [
        {**KEY, "test_key": "T", "base_variant": "", "variant": "", "shared_known_at": None, "suite": "", "name": "T",
         "classname": "", "file": "", "provider": "github", "run_id": f"{number:03}", "run_attempt": 1,
         "run_day": (OPENED_AT - timedelta(days=number)).date(), "code_version": f"c{number}",
         "is_default_branch": True, "run_started_at": OPENED_AT - timedelta(days=number),
         "known_at": OPENED_AT - timedelta(days=number), "executions": 1, "failures": int(number == 7), "skips": 0}
        for number in range(100)
    ]  # fmt: skip
    history = pl.DataFrame(old, schema_overrides={"shared_known_at": pl.Datetime("us", "UTC")})
    connection.register("history", history)
    connection.execute("create or replace table intermediate.int_test_attempt as select * from history")
    read = connection.execute(query("rollup_of_repository"), {**KEY, "as_of": AS_OF, "opened_at": OPENED_AT}).pl()
    assert read.get_column("run_id").to_list() == ["000", "007", "099"]
