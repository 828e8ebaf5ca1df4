"""Real processes that migrate: two at once do no harm, and one that is killed leaves nothing half-done."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flakeguard_pipeline.warehouse import migrate
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.revisions import history
from flakeguard_pipeline.warehouse.table_differences import differences
from tests.support.migrated import catalogue, contents, fill, migrator, with_migration

HEAD = history().head

DIES = """
def upgrade():
    op.execute("alter table core.job add column shout text")
    op.execute("create table core.half (x integer)")
    op.execute("delete from core.job")
    op.execute("drop table core.alias_decision")
    if MARK.exists():
        os.kill(os.getpid(), signal.SIGKILL)

def downgrade():
    pass
"""


@pytest.fixture(params=["duckdb", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse of each engine with nothing in it."""
    if request.param == "duckdb":
        yield Warehouse(str(tmp_path / "warehouse.duckdb"))
    else:
        yield Warehouse(request.getfixturevalue("postgres").url)


def test_of_two_migrators_at_once_one_migrates_and_both_succeed(empty: Warehouse, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with migrator(empty, go=go) as first, migrator(empty, go=go) as second:
        go.touch()
        ended = [each.communicate(timeout=60) for each in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), ended
    assert sorted(out for out, _ in ended) == ["False\n", "True\n"]
    with empty.connect() as connection:
        assert differences(connection) == []


def test_a_migrator_that_is_killed_leaves_nothing_half_done_and_the_next_completes(
    empty: Warehouse, tmp_path: Path
) -> None:
    migrate.upgrade(empty)
    fill(empty)
    before, rows = catalogue(empty), contents(empty)
    mark = tmp_path / "mark"
    mark.touch()
    folder = with_migration(tmp_path, f"from pathlib import Path\nMARK = Path({str(mark)!r})\n{DIES}")
    with migrator(empty, migrations=folder) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert migrate.current(empty) == HEAD
    assert (catalogue(empty), contents(empty)) == (before, rows)
    mark.unlink()
    assert migrate.upgrade(empty, migrations=folder)
    assert migrate.current(empty) == "9998"
    assert "core.half" in catalogue(empty).columns
