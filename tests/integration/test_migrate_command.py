"""`flakeguard migrate`: what it prints and how it exits, on both engines."""

import re
from dataclasses import dataclass

import pytest

from flakeguard_pipeline import cli
from flakeguard_pipeline.warehouse import migrate
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.revisions import history
from tests.support.migrated import fill

HEAD = history().head


@dataclass
class Command:
    """The command on one warehouse, in this process."""

    warehouse: Warehouse
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit status and what was printed; an error is one line."""
        self.monkeypatch.setattr("sys.argv", ["flakeguard", "migrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = self.capsys.readouterr()
        assert len(told.err.splitlines()) <= 1 or "Usage:" in told.err
        return int(str(ended.value.code)), told.out + told.err

    def execute(self, *statements: str) -> None:
        with self.warehouse.connect() as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(params=["duckdb", "postgres"])
def command(
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    folder = request.getfixturevalue("tmp_path")
    monkeypatch.chdir(folder)
    url = "new.duckdb" if request.param == "duckdb" else request.getfixturevalue("postgres").url
    (folder / "flakeguard.yml").write_text(f"warehouse: {url}\n")
    return Command(Warehouse(url), capsys, monkeypatch)


def test_a_warehouse_is_brought_up_looked_at_and_taken_back(command: Command) -> None:
    code, out = command("status")
    assert code == 0
    assert re.search(r"^0001 +pending +The first tables", out, re.MULTILINE)
    assert f"{len(history().revisions)} pending" in out
    code, out = command("check")
    assert code == 1
    assert "`flakeguard migrate up`" in out

    assert command("up", "--to", "0001") == (0, f"{command.warehouse.shown}: brought to revision 0001\n")
    assert re.search(r"^0001 +applied .*\n0002 +pending ", command("status")[1], re.MULTILINE)
    assert command() == (0, f"{command.warehouse.shown}: brought to revision {HEAD}\n")
    assert command("up") == (0, f"{command.warehouse.shown}: is at revision {HEAD}\n")
    assert command("check") == (
        0,
        f"{command.warehouse.shown}: revision {HEAD}, every table as it should be\n",
    )

    fill(command.warehouse)
    code, out = command("down", "--to", "0001")
    assert code == 2
    assert "core.report_issue (3 rows)" in out
    assert migrate.current(command.warehouse) == HEAD
    code, out = command("down", "--to", "0001", "--yes")
    assert code == 0
    assert "dropped core.report_issue (3 rows)\n" in out
    assert out.endswith("taken back to revision 0001\n")
    assert command("up", "--to", "77")[0] == 2


def test_a_difference_is_shown_with_what_to_do_and_a_comment_is_mended(command: Command) -> None:
    migrate.upgrade(command.warehouse)
    command.execute("comment on table core.job is 'mine'")
    assert command("check")[0] == 1
    assert command("up")[1].endswith("; comments written anew\n")
    assert command("check")[0] == 0
    command.execute("alter table core.job alter column labels drop not null")
    code, out = command("check")
    assert code == 1
    assert re.search(
        r"^core\.job +labels +may be null +alter table core\.job alter column labels set not null", out, re.MULTILINE
    )
    assert out.endswith("1 difference from what FlakeGuard needs\n")


def test_where_there_is_no_file_looking_makes_none(
    tmp_path: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    command = Command(Warehouse("none.duckdb"), capsys, monkeypatch)
    assert command("--warehouse", "none.duckdb", "status")[0] == 0
    assert command("check", "--warehouse", "none.duckdb")[0] == 1
    assert command("down", "--to", "base", "--warehouse", "none.duckdb")[0] == 2
    assert not command.warehouse.exists


def test_the_data_check_finds_what_no_index_forbids(
    tmp_path: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    command = Command(Warehouse("new.duckdb"), capsys, monkeypatch)
    migrate.upgrade(command.warehouse)
    fill(command.warehouse)
    command.execute("insert into core.test_execution from core.test_execution")
    code, out = command("check", "--data", "--warehouse", "new.duckdb")
    assert code == 1
    assert "expect_compound_columns_to_be_unique" in out
