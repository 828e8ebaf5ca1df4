"""`flakeguard` as people run it, in processes of its own: what it says, what it leaves, how it ends.

What a first run leaves is shared by the stories of this file; it takes most of the time.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb
import pytest

from flakeguard_pipeline import cli
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from tests.support.drops import add_run, case, flaky_history, report, run_object

FLAKEGUARD = Path(sys.executable).with_name("flakeguard")
AS_OF = "2026-03-03T00:00:00Z"
FLAKY = "tests.shop.test_cart test_flaky"

# Holds a warehouse open until its standard input ends.
HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """What it said to the person."""
        return [line for line in self.err.splitlines() if line.startswith("flakeguard: ")]


@dataclass(frozen=True)
class Workspace:
    """A working folder with nothing of anybody else's in it."""

    folder: Path

    def flakeguard(self, *arguments: object, variables: Mapping[str, str] | None = None) -> Ended:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
        done = subprocess.run(
            [str(FLAKEGUARD), *map(str, arguments)],
            cwd=self.folder,
            env={**clean, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: object, as_of: str = AS_OF) -> Ended:
        return self.flakeguard("run", "--drop", "drop", "--as-of", as_of, *arguments)

    @property
    def drop(self) -> Path:
        return self.folder / "drop"

    def exports(self) -> dict[str, bytes]:
        root = self.folder / ".flakeguard" / "quarantine"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    def read(self, sql: str) -> list[tuple[object, ...]]:
        with Warehouse(str(self.folder / ".flakeguard" / "warehouse.duckdb")).connect(read_only=True) as connection:
            return connection.read(sql).rows()


def make_history(drop: Path) -> None:
    """A flaky history, whose last run also left one report that cannot be read and one that breaks off."""
    flaky_history(drop)
    broken_off = report(case("test_steady"), case("test_lost"))[:-30]
    add_run(drop, run_object(13), {"empty.xml": b"", "junit/half.xml": broken_off})


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drop = tmp_path_factory.mktemp("history") / "drop"
    make_history(drop)
    return drop


@pytest.fixture
def workspace(tmp_path: Path, history: Path) -> Workspace:
    """A fresh working folder that sees the history."""
    (tmp_path / "drop").symlink_to(history, target_is_directory=True)
    return Workspace(tmp_path)


def one_line(ended: Ended, status: int) -> str:
    """Return the one line that a failed command said; nothing else may look like an accident."""
    assert ended.status == status, ended.err
    assert "Traceback" not in ended.err + ended.out
    assert len(ended.said) == 1, ended.err
    assert ended.err.splitlines()[-1] == ended.said[0]
    assert ended.out == ""
    return ended.said[0]


# -- wrong usage and configuration: 2 ------------------------------------------------------------------------


def test_a_drop_folder_that_is_missing(workspace: Workspace) -> None:
    ended = workspace.flakeguard("run", "--drop", "nowhere")
    assert "the drop folder nowhere does not exist" in one_line(ended, 2)
    assert ended.err.count("\n") == 1
    assert not (workspace.folder / ".flakeguard").exists()


def test_a_drop_folder_without_any_run(workspace: Workspace) -> None:
    (workspace.folder / "bare").mkdir()
    (workspace.folder / "bare" / "report.xml").write_bytes(report(case("test_a")))
    assert "holds no run.json and no job.json" in one_line(workspace.flakeguard("run", "--drop", "bare"), 2)


@pytest.mark.parametrize("moment", ["garbage", "2026-02-30", "9999-12-31T23:59:59-23:00"])
def test_a_moment_that_is_none(workspace: Workspace, moment: str) -> None:
    ended = workspace.run(as_of=moment)
    assert ended.status == 2
    assert f"Invalid value for '--as-of': '{moment}' is no moment" in ended.err
    assert "Traceback" not in ended.err


def test_an_option_that_does_not_exist(workspace: Workspace) -> None:
    ended = workspace.run("--asof", AS_OF)
    assert ended.status == 2
    assert "No such option '--asof'" in ended.err.replace(": --asof", " '--asof'")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("org: acme\npolicy: {enabled: [true}\n", "flakeguard.yml:2:24: is no valid YAML: "),
        ("org: acme\n\torg: two\n", "flakeguard.yml:2:1: is no valid YAML: "),
        ("a: " + "[" * 3000, "is nested too deeply"),
        ("ogr: acme\n", "flakeguard.yml:1:1: ogr: is no known key"),
        ("policy: {min_flips: 2}\n", "flakeguard.yml:1:10: policy.min_flips: is no known key"),
        ("scoring: {window_days: many}\n", "flakeguard.yml:1:24: scoring.window_days: input should be a valid integer"),
        ("scoring: {window_days: true}\n", "flakeguard.yml:1:24: scoring.window_days: input should be a valid integer"),
        ('policy: {enabled: "yes"}\n', "flakeguard.yml:1:19: policy.enabled: input should be a valid boolean"),
        ("- acme\n", "must be a mapping of keys to values"),
        ("variant: {pattern: '('}\n", "flakeguard.yml:1:10: variant: "),
        ('warehouse: "postgresql://user:secret@host/d@b"\n', "the warehouse's postgresql:// address cannot be read"),
        ('org: "a\\0b"\n', "flakeguard.yml:1:6: org: holds the character NUL"),
    ],
)
def test_a_damaged_configuration(workspace: Workspace, text: str, says: str) -> None:
    (workspace.folder / "flakeguard.yml").write_text(text)
    line = one_line(workspace.run(), 2)
    assert says in line
    assert "secret" not in line


def test_a_configuration_that_is_missing(workspace: Workspace) -> None:
    line = one_line(workspace.run("--config", "other.yml"), 2)
    assert line == "flakeguard: cannot read the configuration other.yml: No such file or directory; check --config"


def test_a_postgres_warehouse_that_nobody_serves(workspace: Workspace) -> None:
    line = one_line(workspace.run("--warehouse", "postgresql://user:secret@127.0.0.1:1/db"), 1)
    assert "cannot connect to the warehouse postgresql://user:***@127.0.0.1:1/db: " in line
    assert "secret" not in line


def test_help_shows_no_escape() -> None:
    for name, command in cli.cli.commands.items():
        shown = command.get_help(click.Context(command, info_name=name))
        assert "\\b" not in shown, name


# -- failures: 1 ---------------------------------------------------------------------------------------------


def test_a_warehouse_that_is_a_folder(workspace: Workspace) -> None:
    (workspace.folder / "blocked").mkdir()
    assert "cannot open the warehouse blocked: " in one_line(workspace.run("--warehouse", "blocked"), 1)


def test_a_warehouse_that_is_a_file_of_another_kind(workspace: Workspace) -> None:
    (workspace.folder / "notes.txt").write_text("no database")
    line = one_line(workspace.run("--warehouse", "duckdb:///notes.txt"), 1)
    assert "cannot open the warehouse notes.txt: " in line
    assert "not a valid DuckDB database file" in line
    assert (workspace.folder / "notes.txt").read_text() == "no database"


def test_a_warehouse_below_a_file(workspace: Workspace) -> None:
    (workspace.folder / "notes.txt").write_text("no folder")
    line = one_line(workspace.run("--warehouse", "notes.txt/warehouse.duckdb"), 1)
    assert "cannot make the folder notes.txt for the warehouse: " in line


def test_a_warehouse_that_another_process_holds(workspace: Workspace) -> None:
    held = workspace.folder / "held.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(held)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        line = one_line(workspace.run("--warehouse", "held.duckdb"), 1)
        assert holder.stdin is not None
        holder.stdin.close()
    assert f"the warehouse held.duckdb is locked by another process (process {holder.pid}); wait" in line


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_a_warehouse_of_a_newer_version(workspace: Workspace, command: str) -> None:
    warehouse = Warehouse(str(workspace.folder / "newer.duckdb"))
    upgrade(warehouse)
    with warehouse.connect() as connection:
        connection.execute("update core.alembic_version set version_num = '9999'")
    arguments = ("--warehouse", "newer.duckdb")
    ended = workspace.run(*arguments) if command == "run" else workspace.flakeguard("migrate", *arguments)
    assert "the warehouse newer.duckdb was made by a newer FlakeGuard (revision 9999)" in one_line(ended, 1)


def test_migrate_says_what_it_did(workspace: Workspace) -> None:
    first = workspace.flakeguard("migrate", "--warehouse", "new.duckdb")
    again = workspace.flakeguard("migrate", "--warehouse", "new.duckdb")
    assert (first.status, again.status) == (0, 0)
    assert re.fullmatch(r"new\.duckdb: brought to revision \w+\n", first.out)
    assert re.fullmatch(r"new\.duckdb: is at revision \w+\n", again.out)


# -- a whole run, and what follows it ------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """The stages of one story, told once for all tests that look at it."""

    workspace: Workspace
    ended: Mapping[str, Ended]
    exports: Mapping[str, Mapping[str, bytes]]
    events: Mapping[str, int]
    health: Mapping[str, list[tuple[object, ...]]]


EXPIRED = "2026-04-03T00:00:00Z"
"""After the quarantine has ended by itself: the newest decision."""
BETWEEN = "2026-03-10T00:00:00Z"
"""Before that decision and after the first one."""
EARLY = "2026-03-02T12:15:00Z"
"""When three runs with their re-runs were under way: the results of two first attempts and one re-run are known."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Told:
    workspace = Workspace(tmp_path_factory.mktemp("one"))
    make_history(workspace.drop)
    ended: dict[str, Ended] = {}
    exports: dict[str, Mapping[str, bytes]] = {}
    events: dict[str, int] = {}
    health: dict[str, list[tuple[object, ...]]] = {}

    def tell(stage: str, act: Callable[[], Ended]) -> None:
        ended[stage] = act()
        assert ended[stage].status in {0, 1}, ended[stage].err
        exports[stage] = workspace.exports()
        (counted,) = workspace.read("select count(*) from marts.quarantine_event")
        events[stage] = int(str(counted[0]))
        health[stage] = workspace.read("select name, executions, failures from marts.test_health order by name")

    tell("first", workspace.run)
    tell("again", workspace.run)
    (workspace.folder / "taken").write_text("a file where exports should go")
    tell("unwritable", lambda: workspace.run("--out", "taken"))
    tell("expired", lambda: workspace.run(as_of=EXPIRED))
    tell("between", lambda: workspace.run(as_of=BETWEEN))
    tell("early", lambda: workspace.run(as_of=EARLY))
    return Told(workspace, ended, exports, events, health)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Ended]:
    """The same drop, written again, in another workspace."""
    workspace = Workspace(tmp_path_factory.mktemp("other"))
    make_history(workspace.drop)
    return workspace, workspace.run()


def test_a_first_run_succeeds_though_reports_were_rejected_and_says_what_it_found(story: Told) -> None:
    first = story.ended["first"]
    assert first.status == 0, first.err
    assert first.said == []
    assert "Traceback" not in first.err
    out = first.out
    assert out.startswith("\nAs of 2026-03-03 00:00 UTC\n")
    assert re.search(r"^  Runs +25  \(25 new\)$", out, re.MULTILINE)
    assert re.search(r"^  Reports +25  \(25 new\)$", out, re.MULTILINE)
    assert re.search(r"^  Executions +97  \(97 new\)$", out, re.MULTILINE)
    assert re.search(r"^  Rejected +2  files, kept in the landing zone:$", out, re.MULTILINE)
    assert re.search(r"^ +1  empty_file: .+$", out, re.MULTILINE)
    assert re.search(r"^ +1  not_well_formed: .+$", out, re.MULTILINE)
    assert f"\nFlaky: 1\n  {FLAKY}\n    fails " in out
    assert "passed and failed on the same commit 4 times" in out
    assert f"\nQuarantined: 1\n  {FLAKY}\n" in out
    assert re.search(r"; until 2026-04-02$", out, re.MULTILINE)
    assert out.endswith("\nExports for CI: .flakeguard/quarantine\n")


def test_a_first_run_says_on_standard_error_how_far_it_is(story: Told) -> None:
    lines = story.ended["first"].err.splitlines()
    assert lines[0] == "Looking for what is new"
    assert "Landing artifacts (25)" in lines
    assert lines[-2:] == ["Writing exports (1)", "Refreshing the read-only copy"]


def test_a_second_run_finds_nothing_new_and_leaves_the_same_bytes(story: Told) -> None:
    again = story.ended["again"]
    assert again.status == 0
    assert re.findall(r"^  (\w+) +\d+  \(0 new\)$", again.out, re.MULTILINE) == ["Runs", "Reports", "Executions"]
    assert story.exports["again"] == story.exports["first"]
    assert story.events["again"] == story.events["first"] == 1
    assert "Building" not in again.err
    assert "Refreshing" not in again.err


def test_the_same_drop_in_another_workspace_gives_the_same_exports_and_words(
    story: Told, elsewhere: tuple[Workspace, Ended]
) -> None:
    workspace, ended = elsewhere
    assert ended.status == 0, ended.err
    assert list(workspace.exports()) == ["acme/shop/quarantine.json"]
    assert workspace.exports() == story.exports["first"]
    assert ended.out == story.ended["first"].out


def test_an_export_that_cannot_be_written_is_a_failure_and_the_summary_says_of_what(story: Told) -> None:
    ended = story.ended["unwritable"]
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert "\nQuarantined: 1\n" in ended.out
    _, _, faults = ended.out.partition("\nNot everything worked:\n")
    (line,) = faults.splitlines()
    assert "acme/shop" in line
    assert "cannot write the export" in line
    assert (story.workspace.folder / "taken").read_text() == "a file where exports should go"
    assert story.exports["unwritable"] == story.exports["first"]


def test_a_quarantine_ends_by_itself_when_nothing_new_speaks_for_it(story: Told) -> None:
    assert story.ended["expired"].status == 0
    assert story.events["expired"] == 2
    assert entries(story, "expired") == []
    assert "\nQuarantined: nothing\n" in story.ended["expired"].out
    assert "add --as-of 2026-03-03\n" in story.ended["expired"].out


def test_before_the_newest_decision_nothing_is_decided_but_what_was_quarantined_then_is_exported(story: Told) -> None:
    between = story.ended["between"]
    assert between.status == 0
    assert story.events["between"] == story.events["expired"]
    assert f"\nQuarantined: 1\n  {FLAKY}\n" in between.out
    assert between.out.startswith("\nAs of 2026-03-10 00:00 UTC\n")
    assert [entry["name"] for entry in entries(story, "between")] == ["test_flaky"]
    assert entries(story, "between") == entries(story, "first")


def test_what_became_known_later_does_not_exist(story: Told) -> None:
    # Known by 12:15: attempts 10:00 to 10:10, 10:20 to 10:30, 11:00, 11:20, 12:00. Run 3, at 12:00, is a flake.
    known = [("test_always", 5, 5), ("test_broken", 5, 0), ("test_flaky", 5, 1), ("test_steady", 5, 0)]
    assert story.health["early"] == known
    assert story.events["early"] == 2
    assert entries(story, "early") == []
    assert story.health["again"] == story.health["first"]
    assert ("test_flaky", 24, 4) in story.health["first"]


def entries(story: Told, stage: str) -> list[dict[str, object]]:
    document = json.loads(story.exports[stage]["acme/shop/quarantine.json"])
    found: list[dict[str, object]] = document["entries"]
    return found


def test_every_scoring_is_kept(story: Told) -> None:
    found = story.workspace.read("select distinct as_of from flakiness.health_snapshot order by as_of")
    moments = [datetime.fromisoformat(text).astimezone(UTC) for text in (EARLY, AS_OF, BETWEEN, EXPIRED)]
    assert [row[0] for row in found] == moments


def test_a_warehouse_is_left_as_a_file_that_duckdb_opens_by_itself(story: Told) -> None:
    path = story.workspace.folder / ".flakeguard" / "warehouse.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.test_execution").fetchone() == (97,)
