"""`flakeguard run` may be killed at any moment: running it again gives what one undisturbed run gives."""

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support.killing import Moment, Workspace, two_repositories
from tests.support.postgres import PostgresDatabase, PostgresServer

SEED = 20260302

STAGES = {"start", "look", "land", "load", "check", "rollups", "score", "decide", "marts", "export", "copy"}

MIGRATION = [("start: migration begins", 1), ("start: table made", 14), ("start: migrated", 1)]
INSTANCE = [("start: instance file written", 2), ("start: instance file renamed", 1), ("look: begins", 1)]
BURIAL = [("start: event stored", 1)]
"""While it marks the run that was killed before as failed."""
DECIDED = "decide: committed"
EXPORTED = "export: export renamed"

# A chain of kills in one workspace, in the order of the work: moments by label, and among how many first occurrences
# of it one is drawn. Roll-ups that nobody has recorded are built again by the next run, which costs seconds; so
# most kills lie in the stages before them, or after the marts.
CHAINS: list[list[tuple[str, int]]] = [
    [
        *MIGRATION,
        *INSTANCE,
        ("look: dbt manifest written", 1),
        ("look: event stored", 20),
        *BURIAL,
        ("land: begins", 1),
        ("land: object written", 8),
        ("land: object renamed", 8),
        ("land: manifest written", 2),
        ("land: manifest renamed", 2),
        ("load: begins", 1),
        ("load: rows inserted", 5),
    ],
    [
        ("land: event stored", 5),
        *BURIAL,
        ("load: rows inserted", 10),
        ("load: before commit", 2),
        ("load: committed", 2),
        ("load: event stored", 5),
        ("check: begins", 1),
        ("check: rows inserted", 1),
        ("check: before commit", 1),
        ("check: committed", 1),
        ("rollups: dbt event", 38),
    ],
    [
        ("land: object renamed", 30),
        ("load: committed", 7),
        ("check: event stored", 10),
        ("rollups: committed", 1),
        ("score: committed", 2),
    ],
    [
        ("land: manifest renamed", 8),
        ("load: before commit", 8),
        ("marts: before commit", 1),
        ("marts: committed", 1),
        ("score: rows inserted", 6),
        ("score: before commit", 2),
        ("score: event stored", 5),
        ("decide: begins", 1),
        ("decide: event stored", 4),
        ("export: begins", 1),
        ("export: export written", 1),
        ("export: export written", 2),
        (EXPORTED, 1),
        ("export: event stored", 5),
        ("copy: begins", 1),
        ("copy: read copy written", 1),
        ("copy: read copy renamed", 1),
    ],
    [
        ("start: table made", 14),
        ("land: object written", 30),
        ("check: committed", 1),
        ("decide: before commit", 2),
        (DECIDED, 2),
    ],
]


ON_POSTGRES: list[tuple[str, int]] = [
    ("start: migrated", 1),
    ("load: rows inserted", 9),
    ("rollups: begins", 1),
    ("rollups: dbt event", 60),
    (DECIDED, 1),
]
"""A chain for the shared warehouse: where a kill leaves a session to the server, and what it did."""

OF_LAST_BUILD = "intermediate.int_changed_"
"""How the names of tables begin that hold what the last build had to do, which differs with the builds before it."""


@dataclass(frozen=True)
class Contents:
    """All that a run leaves for others."""

    tables: dict[str, list[tuple[Any, ...]]]
    read_copy: dict[str, list[tuple[Any, ...]]]
    landing: dict[str, bytes]
    exports: dict[str, bytes]


def contents(workspace: Workspace) -> Contents:
    warehouse = Warehouse(workspace.url)
    left = tables(warehouse)
    copy = workspace.warehouse.with_name("warehouse.read.duckdb")
    # a Postgres warehouse has no copy: it is read while it is written
    copied = tables(Warehouse(str(copy))) if warehouse.dialect == "duckdb" else left
    return Contents(left, copied, files(workspace.landing), files(workspace.exports))


def tables(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table and view, sorted by all columns."""
    with warehouse.connect(read_only=True) as connection:
        found = connection.read(
            "select table_schema || '.' || table_name as name from information_schema.tables "
            "where table_schema not in ('information_schema', 'pg_catalog')"
        )
        names = sorted(name for name in found["name"].to_list() if not name.startswith(OF_LAST_BUILD))
        return {name: sorted(connection.read(f"select * from {name}").rows(), key=repr) for name in names}


def assert_equal(left: Contents, undisturbed: Contents, told: str) -> None:
    assert left.tables.keys() == undisturbed.tables.keys(), told
    for name, rows in undisturbed.tables.items():
        assert left.tables[name] == rows, f"{name}: {told}"
    assert left.read_copy == left.tables, told
    assert left.exports == undisturbed.exports, told
    assert left.landing.keys() == undisturbed.landing.keys(), told
    assert left.landing == undisturbed.landing, told


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history") / "drop"
    two_repositories(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, drop: Path) -> Contents:
    workspace = Workspace(tmp_path_factory.mktemp("undisturbed"), drop)
    ended = workspace.run()
    assert ended.code == 0, ended.stderr
    left = contents(workspace)
    assert set(left.exports) == {"acme/shop/quarantine.json", "acme/till/quarantine.json"}
    filled = ("core.rejected_artifact", "quarantine.quarantine_event", "marts.test_health", "marts.quarantine")
    assert all(left.tables[name] for name in filled)
    return left


def test_the_chains_kill_in_every_stage_and_fifty_times() -> None:
    labels = [label for chain in CHAINS for label, _ in chain]
    assert len(labels) >= 50
    assert {label.partition(":")[0] for label in labels} == STAGES


@pytest.mark.parametrize("number", range(len(CHAINS)))
def test_after_kills_the_command_completes_the_work(
    number: int, drop: Path, undisturbed: Contents, tmp_path: Path
) -> None:
    seed = f"{SEED}/{number}"
    assert_completes(Workspace(tmp_path, drop), CHAINS[number], undisturbed, seed)


@pytest.fixture
def second_postgres(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    database = postgres_server.database()
    yield database
    database.drop()


def test_after_kills_the_command_completes_the_work_on_postgres(
    drop: Path, tmp_path: Path, postgres: PostgresDatabase, second_postgres: PostgresDatabase
) -> None:
    undisturbed = Workspace(tmp_path / "undisturbed", drop, second_postgres.url)
    ended = undisturbed.run()
    assert ended.code == 0, ended.stderr
    killed = Workspace(tmp_path / "killed", drop, postgres.url)
    assert_completes(killed, ON_POSTGRES, contents(undisturbed), f"{SEED}/postgres")
    close_pools()


def assert_completes(workspace: Workspace, chain: list[tuple[str, int]], undisturbed: Contents, seed: str) -> None:
    """Kill the command at moments of the chain, one after the other; then it completes the work."""
    chosen = random.Random(seed)
    moments = [Moment(label, chosen.randint(1, most)) for label, most in chain]
    between_decisions_and_export = 0
    for moment in moments:
        ended = workspace.run(kill_at=moment)
        told = f"seed {seed}, {moment} of {[str(each) for each in moments]}: {ended.stderr}"
        assert ended.code == -signal.SIGKILL, told
        assert ended.labels[-1] == moment.label, told
        between_decisions_and_export += DECIDED in workspace.labels and EXPORTED not in workspace.labels
    assert between_decisions_and_export or DECIDED not in {moment.label for moment in moments}
    ended = workspace.run()
    assert ended.code == 0, f"seed {seed}: {ended.stderr}"
    assert_equal(contents(workspace), undisturbed, f"seed {seed}, killed at {[str(each) for each in moments]}")


def test_of_two_runs_at_once_the_second_says_so_and_ends(drop: Path, undisturbed: Contents, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, drop)
    first = workspace.start(Moment("land: object renamed", 5), signal.SIGSTOP)
    try:
        first.wait_until_stopped()
        second = workspace.run()
    finally:
        first.go_on()
    assert second.code == 1
    home = workspace.home
    assert second.stderr.splitlines() == [
        f"flakeguard: another `flakeguard run` is at work in {home}; wait until it has finished, or end it"
    ]
    assert second.stdout == ""
    ended = first.wait()
    assert ended.code == 0, ended.stderr
    assert_equal(contents(workspace), undisturbed, "after two runs at once")
