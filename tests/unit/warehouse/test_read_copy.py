"""The read-only copy: whole at any time, refreshed only where it is behind, and readable while others write."""

import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.read_copy import is_behind, read_copy_of, refresh_read_copy, remove_read_copy
from tests.support.drops import flaky_history
from tests.support.places import Place, make_place


@pytest.fixture(scope="module")
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaded")
    place = make_place(folder)
    flaky_history(place.source.path, runs=2)
    place.ingest()
    return folder


@pytest.fixture
def loaded(loaded_once: Path, tmp_path: Path) -> Place:
    shutil.copytree(loaded_once, tmp_path / "own")
    return make_place(tmp_path / "own")


def rows(warehouse: Warehouse, sql: str) -> list[tuple[object, ...]]:
    with warehouse.connect(read_only=True) as connection:
        return connection.read(sql).rows()


def test_the_copy_lies_beside_the_warehouse_under_its_name() -> None:
    assert read_copy_of(Warehouse("ci/shop.duckdb")).path == Path("ci/shop.read.duckdb")
    assert read_copy_of(Warehouse("ci/shop")).path == Path("ci/shop.read.duckdb")


def test_the_copy_has_what_the_warehouse_has_and_its_views_read_the_copy(loaded: Place) -> None:
    with loaded.warehouse.connect() as connection:
        connection.execute('create schema marts; create view "warehouse".marts.run as select * from core.run_attempt')
        connection.execute('create view marts.named as select run_id from "warehouse"."core"."run_attempt"')
    made = refresh_read_copy(loaded.warehouse)
    assert (made.is_changed, made.path.name) == (True, "warehouse.read.duckdb")
    assert made.size_bytes == made.path.stat().st_size
    loaded.warehouse.path.unlink()
    copy = read_copy_of(loaded.warehouse)
    assert rows(copy, "select count(*) from marts.run") == [(4,)]
    assert rows(copy, "select count(*) from marts.named") == [(4,)]
    assert rows(copy, "select count(*) from core.test_execution") == [(16,)]


def test_a_copy_that_is_current_is_left_alone(loaded: Place) -> None:
    first = refresh_read_copy(loaded.warehouse)
    inode = first.path.stat().st_ino
    again = refresh_read_copy(loaded.warehouse)
    assert not again.is_changed
    assert again.path.stat().st_ino == inode


CHANGES = {
    "a run attempt": "update core.run_attempt set load_digest = 'other' where run_id = '1' and run_attempt = 1",
    "a repository's name": "update core.repository set full_name = 'acme/store'",
    "a decision on an alias": "insert into core.alias_decision values "
    "('acme', 'github:7', 'a', 0, 'b', 'accepted', 'me', 'same', '2026-03-03 00:00:00+00')",
    "a scoring": "insert into flakiness.current_scoring values ('acme', 'github:7', '2026-03-03 00:00:00+00')",
    "a build": "insert into flakiness.dbt_build values ('*', 'marts', 'digest', '')",
    "a check": "insert into core.data_check_result values ('*', 'suite', 'version', true, '')",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_behind_when_something_that_people_see_has_changed(loaded: Place, change: str) -> None:
    refresh_read_copy(loaded.warehouse)
    assert not is_behind(loaded.warehouse)
    with loaded.warehouse.connect() as connection:
        connection.execute(CHANGES[change])
    assert is_behind(loaded.warehouse)
    assert refresh_read_copy(loaded.warehouse).is_changed
    assert not is_behind(loaded.warehouse)


def test_scores_that_change_under_the_same_moment_are_noticed(loaded: Place) -> None:
    with loaded.warehouse.connect() as connection:
        connection.execute(CHANGES["a scoring"])
        columns = connection.read("select * from flakiness.health_snapshot limit 0").schema
        values = {name: "" if kind == pl.String else 0 for name, kind in columns.items()}
        moments = dict.fromkeys(("first_seen_at", "last_seen_at", "last_failed_at"), None)
        row = {**values, **moments, "org": "acme", "repository_id": "github:7", "as_of": None}
        frame = pl.DataFrame([row], schema=columns).with_columns(
            pl.lit("2026-03-03").str.to_datetime(time_zone="UTC").alias(name)
            for name in ("as_of", "first_seen_at", "last_seen_at")
        )
        connection.insert("flakiness.health_snapshot", frame)
    refresh_read_copy(loaded.warehouse)
    with loaded.warehouse.connect() as connection:
        connection.execute("update flakiness.health_snapshot set flake_rate = 0.5")
    assert is_behind(loaded.warehouse)


def test_a_damaged_copy_is_replaced(loaded: Place) -> None:
    path = refresh_read_copy(loaded.warehouse).path
    path.write_bytes(b"no database")
    assert refresh_read_copy(loaded.warehouse).is_changed
    assert rows(read_copy_of(loaded.warehouse), "select count(*) from core.run_attempt") == [(4,)]


def test_who_reads_the_old_copy_goes_on_reading_it_while_it_is_replaced(loaded: Place) -> None:
    path = refresh_read_copy(loaded.warehouse).path
    with duckdb.connect(str(path), read_only=True) as reader:
        with loaded.warehouse.connect() as connection:
            connection.execute(CHANGES["a repository's name"])
        assert refresh_read_copy(loaded.warehouse).is_changed
        assert reader.execute("select full_name from core.repository").fetchall() == [("acme/shop",)]


def test_what_a_kill_left_beside_the_copy_is_overwritten(loaded: Place) -> None:
    partial = loaded.warehouse.path.with_name(".warehouse.read.duckdb.partial")
    partial.write_bytes(b"half a copy")
    refresh_read_copy(loaded.warehouse)
    assert not partial.exists()


def test_a_copy_that_cannot_be_written_says_what_to_do_and_leaves_the_old_one(loaded: Place) -> None:
    path = refresh_read_copy(loaded.warehouse).path
    before = path.read_bytes()
    path.with_name(f".{path.name}.partial").mkdir()
    with loaded.warehouse.connect() as connection:
        connection.execute(CHANGES["a build"])
    with pytest.raises(WarehouseError, match=r"cannot write the read-only copy .+ switch it off with `read_copy: fal"):
        refresh_read_copy(loaded.warehouse)
    assert path.read_bytes() == before


def test_a_copy_that_nobody_wants_any_more_is_removed(loaded: Place) -> None:
    path = refresh_read_copy(loaded.warehouse).path
    assert remove_read_copy(loaded.warehouse)
    assert not path.exists()
    assert not remove_read_copy(loaded.warehouse)
