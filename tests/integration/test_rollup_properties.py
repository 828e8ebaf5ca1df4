"""Roll-ups are exact: however `core` came to be, and however often it was rolled up on the way, they are the same.

The histories are small and rich: reruns, retries, tests of one name in one report, two workflows, pull requests,
renames. Each is loaded in some order with builds in between, some of them killed, and compared with one full build.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query
from tests.support import light_dbt, loaded_history
from tests.support.light_dbt import Model
from tests.support.loaded_history import KEY, OF_ATTEMPTS, START, Attempt, Told
from tests.support.postgres import PostgresDatabase
from tests.support.rolled_up import ROLLED_UP, Project, contents, make_tables, project

AS_OF = START + timedelta(days=25)


@dataclass(frozen=True)
class Step:
    """What happens next: `put`, `remove`, `decide`, `declare`, `build` or `kill`."""

    kind: str
    value: object = None


@st.composite
def told(draw: st.DrawFn) -> Told:
    outcome = draw(st.sampled_from(["passed", "passed", "failed", "failed", "skipped"]))
    retry = draw(st.integers(0, 1))
    return Told(
        test=draw(st.sampled_from("ABC")),
        variant=draw(st.sampled_from(["", "linux"])),
        outcome=outcome,
        signature=draw(st.sampled_from("st")),
        report=draw(st.sampled_from(["r1", "r2"])),
        is_final=draw(st.booleans()),
        retry_index=retry,
        duration_us=draw(st.none() | st.integers(0, 5000)),
    )


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    return Attempt(
        run=draw(st.integers(1, 4)),
        attempt=draw(st.integers(1, 2)),
        day=draw(st.sampled_from([0, 1, 6, 7, 20])),
        workflow=draw(st.sampled_from(["", "ci", "nightly"])),
        sha=draw(st.sampled_from(["", "aaa", "bbb"])),
        event=draw(st.sampled_from(["push", "push", "pull_request"])),
        branch=draw(st.sampled_from(["main", "topic"])),
        known_after=draw(st.sampled_from([1, 30, 300])),
        told=tuple(draw(st.lists(told(), max_size=5))),
    )


STEPS = st.lists(
    st.one_of(
        attempts().map(lambda each: Step("put", each)),
        attempts().map(lambda each: Step("put", each)),
        st.tuples(st.integers(1, 4), st.integers(1, 2)).map(lambda key: Step("remove", key)),
        st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC"), st.booleans()).map(lambda each: Step("decide", each)),
        st.sampled_from(["main", "topic", ""]).map(lambda branch: Step("declare", branch)),
        st.just(Step("build")),
        st.just(Step("build")),
        st.integers(1, 11).map(lambda until: Step("kill", until)),
    ),
    min_size=4,
    max_size=14,
)


def apply(connection: Connection, steps: list[Step], models: list[Model]) -> None:
    """Take the steps, in one warehouse."""
    decisions: list[tuple[str, str, bool]] = []
    loaded_history.describe(connection, default_branch="")
    for step in steps:
        match step:
            case Step("build"):
                light_dbt.build(connection, models)
            case Step("kill", int() as until):
                light_dbt.build(connection, models, until=until)
            case _:
                apply_one(connection, step, decisions)


def empty(connection: Connection) -> None:
    for name in ("repository", "alias_decision", *(table.name for table in OF_ATTEMPTS)):
        connection.execute(f"delete from core.{name}")


def seen(connection: Connection) -> dict[str, pl.DataFrame]:
    frames = {name: connection.read(f"select * from {name}") for name in ROLLED_UP}
    return {name: frame.select(sorted(frame.columns)).sort(sorted(frame.columns)) for name, frame in frames.items()}


def health(connection: Connection) -> pl.DataFrame:
    parameters = ScoringParameters()
    asked = {**KEY, "as_of": AS_OF, "opened_at": AS_OF - timedelta(days=parameters.window_days)}
    rollup = connection.read(query("rollup_of_repository"), asked)
    inferred = connection.read(query("inferred_of_repository"), asked)
    return score(rollup, as_of=AS_OF, parameters=parameters, inferred=inferred).health


@pytest.fixture(scope="module")
def dbt() -> Iterator[Project]:
    with project() as made:
        yield made


class Built:
    """A warehouse that dbt has built, and the project's incremental models; too much to be shown."""

    def __init__(self, warehouse: Warehouse, models: list[Model]) -> None:
        self.warehouse = warehouse
        self.models = models

    def __repr__(self) -> str:
        return "Built()"


@pytest.fixture(scope="module")
def built(dbt: Project, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A warehouse with nothing in it, built by dbt, and its models."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("rollups") / "warehouse.duckdb"))
    make_tables(warehouse)
    dbt.build(warehouse, full_refresh=True)
    return Built(warehouse, light_dbt.incremental_models(dbt, warehouse))


@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_the_same_history_gives_what_one_full_build_gives(built: Built, steps: list[Step]) -> None:
    models = built.models
    with built.warehouse.connect() as connection:
        empty(connection)
        light_dbt.build(connection, models, anew=True)
        apply(connection, steps, models)
        light_dbt.build(connection, models)
        found, scored = seen(connection), health(connection)
        assert connection.value("select count(*) from intermediate.int_changed_attempt") == 0
        light_dbt.build(connection, models, anew=True)
        expected, rescored = seen(connection), health(connection)
    event(f"names: {expected['intermediate.int_test_name'].height > 0}")
    event(f"flakes: {expected['intermediate.int_flaky_code'].height > 0}")
    for name in ROLLED_UP:
        _equal(name, found, expected)
    assert_frame_equal(scored, rescored)


def _equal(name: str, found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    assert found[name].equals(expected[name]), f"{name}:\n{found[name]}\nis not\n{expected[name]}"


FAILED = Told("A", "", "failed")
PASSED = Told("A", "", "passed")
FIRST = Attempt(1, 1, 0, "ci", "aaa", (FAILED, replace(PASSED, test="B")))
STORY = [
    Step("put", FIRST),
    Step("put", Attempt(2, 1, 7, "ci", "bbb", (FAILED, FAILED))),
    Step("build"),
    # the rerun is of another week, and makes the first week's failure a flake
    Step("put", Attempt(1, 2, 8, "ci", "aaa", (PASSED,))),
    Step("build"),
    # from now on two workflows hold the test; the default branch is declared; A goes on as B
    Step("put", Attempt(3, 1, 1, "nightly", "aaa", (FAILED,))),
    Step("declare", "main"),
    Step("decide", ("A", "B", True)),
    Step("build"),
    # the first sighting is loaded again, on another day, and another attempt is gone
    Step("put", replace(FIRST, day=2, told=(FAILED, replace(PASSED, test="C")))),
    Step("remove", (2, 1)),
]
"""A rerun, late data, a second workflow, an alias, a default branch, other content, a removal."""


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_dbt_keeps_the_roll_ups_exact_on_both_engines(
    dbt: Project, tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    warehouse = Warehouse(str(tmp_path / "warehouse.duckdb"))
    if engine == "postgres":
        database: PostgresDatabase = request.getfixturevalue("postgres")
        warehouse = Warehouse(database.url)
    make_tables(warehouse)
    batches: list[list[Step]] = [[]]
    for step in STORY:
        if step.kind == "build":
            batches.append([])
        else:
            batches[-1].append(step)
    decisions: list[tuple[str, str, bool]] = []
    with warehouse.connect() as connection:
        loaded_history.describe(connection, default_branch="")
    for number, batch in enumerate(batches):
        with warehouse.connect() as connection:
            for step in batch:
                apply_one(connection, step, decisions)
        if number == 2:
            # a build that ends half-way leaves the rest to the next
            dbt.build(warehouse, "+int_first_sighting")
            with warehouse.connect() as connection:
                assert connection.value("select count(*) from intermediate.int_changed_attempt") == 1
        dbt.build(warehouse)
    found = contents(warehouse)
    with warehouse.connect() as connection:
        assert connection.value("select count(*) from intermediate.int_changed_attempt") == 0
        scored = health(connection)
    dbt.build(warehouse, full_refresh=True, rows="all")
    expected = contents(warehouse)
    for name in ROLLED_UP:
        if name != "marts.source_freshness":  # no file is landed here
            assert expected[name].height > 0, name
        _equal(name, found, expected)
    with warehouse.connect() as connection:
        assert_frame_equal(scored, health(connection))


def apply_one(connection: Connection, step: Step, decisions: list[tuple[str, str, bool]]) -> None:
    """Take one step that changes `core`."""
    match step:
        case Step("put", Attempt() as attempt):
            loaded_history.put(connection, attempt)
        case Step("remove", (int() as run, int() as number)):
            loaded_history.remove(connection, (run, number))
        case Step("decide", (str() as old, str() as new, bool() as accepted)):
            if old < new:  # the command refuses circles
                decisions.append((old, new, accepted))
                loaded_history.decide(connection, decisions)
        case Step("declare", str() as branch):
            loaded_history.describe(connection, default_branch=branch)
