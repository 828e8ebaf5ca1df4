"""The read-only copy follows the main job: after all else, only where it is behind, and not where nobody wants it."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.read_copy import read_copy_of
from tests.assets.workspaces import DONE_AS_OF, run
from tests.support.places import Place, make_place

STATUSES = "select repository, test_id, status, as_of from marts.test_health order by all"


def rows(warehouse: Warehouse, sql: str) -> list[tuple[object, ...]]:
    with warehouse.connect(read_only=True) as connection:
        return connection.read(sql).rows()


def test_after_the_first_run_the_copy_has_the_marts(done: Place):
    copy = read_copy_of(done.warehouse)
    assert rows(copy, STATUSES) == rows(done.warehouse, STATUSES) != []
    assert rows(copy, "select part from flakiness.dbt_build where part = 'marts'") == [("marts",)]


def test_a_run_that_changes_nothing_leaves_the_copy_and_one_at_another_moment_replaces_it(done: Place):
    path = read_copy_of(done.warehouse).path
    inode = path.stat().st_ino
    assert run(done, as_of=DONE_AS_OF).metadata["delivery/read_copy"]["replaced"] == 0
    assert path.stat().st_ino == inode
    later = DONE_AS_OF + timedelta(days=1)
    assert run(done, as_of=later).metadata["delivery/read_copy"]["replaced"] == 1
    assert rows(read_copy_of(done.warehouse), "select distinct as_of from marts.test_health") == [(later,)]


def test_a_copy_that_is_switched_off_is_removed(done: Place, tmp_path: Path):
    place = make_place(tmp_path / "done", "read_copy: false\n")
    launched = run(place, as_of=DONE_AS_OF)
    assert launched.faults == ()
    assert launched.metadata["delivery/read_copy"]["removed"] == 1
    assert not read_copy_of(place.warehouse).exists


def test_a_copy_that_cannot_be_written_is_a_fault_and_stops_nothing(done: Place):
    path = read_copy_of(done.warehouse).path
    path.with_name(f".{path.name}.partial").mkdir()
    (fault,) = run(done, as_of=DONE_AS_OF + timedelta(days=1)).faults
    assert fault.startswith("delivery/read_copy: cannot write the read-only copy ")
    with duckdb.connect(str(path), read_only=True) as old:
        assert old.execute("select count(distinct as_of) from marts.test_health").fetchone() == (1,)


@pytest.mark.parametrize("content", [b"", b"no database"])
def test_a_damaged_copy_is_replaced_by_the_next_run(done: Place, content: bytes):
    copy = read_copy_of(done.warehouse)
    copy.path.write_bytes(content)
    assert run(done, as_of=DONE_AS_OF).faults == ()
    assert rows(copy, STATUSES) == rows(done.warehouse, STATUSES)
