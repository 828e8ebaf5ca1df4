"""Each question finds what was planted for it in a warehouse of the main job, and `flakeguard sql` asks them."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from flakeguard_pipeline.cli import cli
from flakeguard_pipeline.operations.asking import ask
from flakeguard_pipeline.simulator.model import SimulatedHistory, TruthKind
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from flakeguard_pipeline.warehouse.questions import find_question, questions
from tests.assets.workspaces import run
from tests.support.asked_history import (
    AS_OF,
    CLASS,
    EARLIER,
    MASS_RUN,
    PLANTED,
    PULL_REQUEST,
    REFUSED,
    RERUN_SECONDS,
    TIMED_OUT,
    sha,
    write_asked_history,
)
from tests.support.peer import copy_warehouse
from tests.support.places import make_place
from tests.support.plans import reads_of
from tests.support.postgres import PostgresDatabase, PostgresServer

FLAKEGUARD = Path(sys.executable).with_name("flakeguard")

# Holds a warehouse open for writing until its standard input ends.
HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A warehouse that was scored twice, and the truth of the simulated repository in it."""

    warehouse: Warehouse
    history: SimulatedHistory

    def ask(self, name: str, **given: str) -> list[Row]:
        question = find_question(name)
        with ask(self.warehouse, question.sql, question.bind(given)) as answer:
            names = [column.name for column in answer.columns]
            return [dict(zip(names, row, strict=True)) for batch in answer.batches() for row in batch]

    def planted(self, name: str, **given: str) -> list[Row]:
        rows = self.ask(name, repository=PLANTED, **given)
        assert {row["repository"] for row in rows} <= {PLANTED}
        return rows

    def simulated(self, name: str, **given: str) -> list[Row]:
        return self.ask(name, repository="acme/shop", **given)

    def names(self, *kinds: TruthKind) -> set[str]:
        """Return the names of the simulated tests that are of one of these kinds in some variant."""
        return {self.history.tests[truth.test].name for truth in self.history.truth if truth.kind in kinds}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("asked")
    place = make_place(folder)
    history = write_asked_history(place.source.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "nowhere"))
        for as_of in (EARLIER, AS_OF):
            assert run(place, as_of=as_of).faults == ()
    return Asked(place.warehouse, history)


@dataclass(frozen=True)
class Peer:
    """The same data on Postgres."""

    asked: Asked
    database: PostgresDatabase


@pytest.fixture(scope="module")
def peer(asked: Asked, postgres_server: PostgresServer) -> Iterator[Peer]:
    database = postgres_server.database()
    warehouse = Warehouse(database.url)
    copy_warehouse(asked.warehouse, warehouse)
    yield Peer(Asked(warehouse, asked.history), database)
    close_pools()
    database.drop()


LARGE = {"test_execution", "int_reported_test", "int_reported_failure", "int_failed_code"}
"""Relations that grow with every day of history."""

READ_WHOLE = {
    "default_branch_breakage": {"int_failed_code"},
    "failure_signatures": {"int_failed_code"},
    "failures_of_run": {"int_failed_code"},
    "known_failure": {"int_failed_code"},
    "pull_request_flakes": {"int_failed_code"},
}
"""These ask which failures were flakes, of all code: that relation holds failed tests alone."""


def picked(rows: list[Row], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# -- every question ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [each.name for each in questions()])
def test_the_answer_has_the_columns_that_the_header_names_and_exact_numbers(asked: Asked, name: str) -> None:
    question = find_question(name)
    given = {each.name: "1" for each in question.parameters if each.default is None}
    with ask(asked.warehouse, question.sql, question.bind(given)) as answer:
        assert [column.name for column in answer.columns] == list(question.columns)
        assert {column.type for column in answer.columns} <= {
            "VARCHAR", "BIGINT", "INTEGER", "BOOLEAN", "DATE", "TIMESTAMP WITH TIME ZONE",
        }  # fmt: skip


@pytest.mark.parametrize("name", [each.name for each in questions()])
def test_the_default_parameters_find_something_in_a_warehouse_of_this_kind(asked: Asked, name: str) -> None:
    given = {"failures_of_run": {"run_id": str(MASS_RUN)}, "pull_request_flakes": {"pull_request": str(PULL_REQUEST)}}
    assert asked.ask(name, **given.get(name, {}))


GIVEN = {"failures_of_run": {"run_id": str(MASS_RUN)}, "pull_request_flakes": {"pull_request": str(PULL_REQUEST)}}

MORE = {
    "changed_since": {"since": "2026-09-08"},
    "default_branch_breakage": {"since": "2026-08-01", "commits": "1"},
    "failure_signatures": {"since": "2026-09-03", "repository": PLANTED},
    "flakiest_tests": {"until": "2026-09-11T12:00:00Z", "days": "30"},
    "known_failure": {"text": "QUEUE"},
    "mass_failures": {"percent": "1", "tests": "1"},
    "never_failing_tests": {"executions": "1", "days": "90"},
}


@pytest.mark.parametrize("name", [each.name for each in questions()])
def test_postgres_gives_the_same_answer_row_by_row(asked: Asked, peer: Peer, name: str) -> None:
    takes = {each.name for each in find_question(name).parameters}
    for more in ({}, MORE.get(name, {"repository": PLANTED} if "repository" in takes else {})):
        given = {**GIVEN.get(name, {}), **more}
        assert peer.asked.ask(name, **given) == asked.ask(name, **given)


@pytest.mark.parametrize("name", [each.name for each in questions()])
def test_postgres_reads_large_relations_by_an_index(peer: Peer, name: str) -> None:
    question = find_question(name)
    reads = reads_of(peer.database, question.sql, question.bind(GIVEN.get(name, {})))
    assert reads
    whole = {each.relation for each in reads if not each.is_bounded}
    assert whole & LARGE == READ_WHOLE.get(name, set())


def test_duckdb_pushes_what_bounds_a_question_into_its_scans(asked: Asked) -> None:
    def scans(name: str) -> dict[str, str]:
        question = find_question(name)
        statement = f"explain (format json) {question.sql}"
        with ask(asked.warehouse, statement, question.bind(GIVEN.get(name, {}))) as answer:
            (row,) = [row for batch in answer.batches() for row in batch]
        return dict(_scans(json.loads(row[1])))

    assert f"run_id='{MASS_RUN}'" in scans("failures_of_run")["int_reported_failure"]
    assert "test_execution" not in scans("flakiest_tests")
    assert "final_failures>0" in scans("flakiest_tests")["int_reported_failure"]


def _scans(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield tables and the conditions by which their scans skip what they need not read."""
    for node in nodes:
        told = node["extra_info"]
        if "Table" in told:
            yield told["Table"].rpartition(".")[2], "".join(told.get("Filters", "")).replace(" ", "")
        yield from _scans(node["children"])


@pytest.mark.parametrize("name", [each.name for each in questions()])
def test_questions_read_executions_only_where_they_say_so(name: str) -> None:
    question = find_question(name)
    statement = "\n".join(line for line in question.sql.splitlines() if not line.startswith("--"))
    says = any("read from executions" in meaning for meaning in question.columns.values())
    assert says == any(each in statement for each in ("test_execution", "test_duration"))


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "table"])
def test_both_engines_answer_in_the_same_bytes(asked: Asked, peer: Peer, tmp_path: Path, form: str) -> None:
    for name in ("slowed_tests", "flake_trend", "failure_signatures", "failures_of_run", "changed_since"):
        command = ["sql", "--query", name, "--format", form, "--limit", "5"]
        for key, value in GIVEN.get(name, {}).items():
            command += ["--param", f"{key}={value}"]
        mine, theirs = tmp_path / "mine", tmp_path / "theirs"
        for file, url in ((mine, str(asked.warehouse.path)), (theirs, peer.asked.warehouse.url)):
            done = CliRunner().invoke(cli, [*command, "--out", str(file), "--warehouse", url])
            assert done.exit_code == 0, done.output
        if form == "parquet":
            assert pl.read_parquet(theirs).rows() == pl.read_parquet(mine).rows()
            assert pl.read_parquet(theirs).schema == pl.read_parquet(mine).schema
        else:
            assert theirs.read_bytes() == mine.read_bytes()


# -- what was planted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "told"), [("changed_since", "changed_at"), ("default_branch_breakage", "broke_at")])
def test_after_a_scoring_of_an_earlier_moment_nothing_later_is_told(
    asked: Asked, tmp_path: Path, name: str, told: str
) -> None:
    copy = tmp_path / asked.warehouse.path.name
    shutil.copyfile(asked.warehouse.path, copy)
    earlier = Asked(Warehouse(str(copy)), asked.history)
    with earlier.warehouse.connect() as connection:
        connection.execute("update flakiness.current_scoring set as_of = $as_of", {"as_of": EARLIER})
    since = (EARLIER - timedelta(days=60)).date().isoformat()
    assert max(row[told] for row in asked.ask(name, since=since)) > EARLIER
    assert max(row[told] for row in earlier.ask(name, since=since)) <= EARLIER


def test_flakiest_tests_by_builds_held_up_and_what_was_run_again(asked: Asked) -> None:
    rows = asked.planted("flakiest_tests")
    both_jobs = 2 * RERUN_SECONDS * 1_000_000
    assert picked(rows, "name", "variant", "builds_held_up", "flaked_run_attempts", "rerun_us", "retry_us") == [
        ("test_flaky", "linux", 2, 2, 2 * both_jobs, 0),
        ("test_retried", "linux", 0, 1, 0, 1_000_000),
    ]
    assert picked(rows, "status", "is_quarantined")[0] == ("flaky", True)
    # 1002 is from before the week
    assert asked.planted("flakiest_tests", days="30")[0]["builds_held_up"] == 3
    assert asked.planted("flakiest_tests", until="2026-09-08")[0:] == []


def test_the_simulators_flakiest_tests_are_flaky_in_truth(asked: Asked) -> None:
    certain = [row for row in asked.simulated("flakiest_tests", days="30") if row["status"] == "flaky"]
    assert certain
    assert {row["name"] for row in certain} <= asked.names(TruthKind.FLAKY, TruthKind.FIXED)


def test_the_commit_that_broke_the_default_branch_and_the_one_that_mended_it(asked: Asked) -> None:
    rows = asked.planted("default_branch_breakage")
    assert picked(rows, "name", "variant", "last_good_sha", "broke_at_sha", "broken_commits", "mended_at_sha") == [
        ("test_broken", variant, sha(1003), sha(1004), 2, sha(1006)) for variant in ("linux", "windows")
    ]
    assert rows[0]["broke_at"] == at("2026-08-31T10:00:00")
    assert rows[0]["run_url"] == "https://ci.example/runs/1004"
    assert asked.planted("default_branch_breakage", since="2026-09-01") == []
    assert asked.planted("default_branch_breakage", commits="3") == []


def test_the_simulators_regression_is_found_at_its_commit(asked: Asked) -> None:
    broken = {truth.broken_from for truth in asked.history.truth if truth.kind is TruthKind.REGRESSED}
    rows = [row for row in asked.simulated("default_branch_breakage") if row["last_good_sha"] and row["mended_at_sha"]]
    regressed = [row for row in rows if row["name"] in asked.names(TruthKind.REGRESSED)]
    assert {row["name"] for row in regressed} == asked.names(TruthKind.REGRESSED)
    commits = {each.sha: each for each in asked.history.runs}
    assert {commits[row["broke_at_sha"]].created_at for row in regressed} <= broken | {
        each.created_at for each in asked.history.runs if each.broken_tests
    }


def test_a_failure_is_known_by_its_text_in_any_case_and_by_its_signature(asked: Asked) -> None:
    (row,) = asked.planted("known_failure", text="WAITING FOR the queue")
    assert (row["name"], row["failures"], row["flaky_failures"], row["status"]) == ("test_flaky", 3, 3, "flaky")
    assert (row["failure_message"], row["is_quarantined"]) == (TIMED_OUT, True)
    assert (row["first_seen_at"], row["last_seen_at"]) == (at("2026-08-27T10:00:00"), at("2026-09-12T10:00:00"))
    assert asked.planted("known_failure", signature=row["failure_signature"]) == [row]
    assert asked.planted("known_failure", text="100% new'; drop table core.job; --") == []


def test_the_slowest_suites_name_the_test_that_takes_most(asked: Asked) -> None:
    rows = asked.planted("slowest_suites")
    columns = ("suite", "variant", "total_us", "run_attempts", "us_per_run_attempt", "retry_us", "slowest_test_us")
    assert picked(rows, *columns) == [
        ("planted", "linux", 97_000_000, 8, 12_125_000, 1_000_000, 24_000_000),
        ("planted", "windows", 96_000_000, 8, 12_000_000, 0, 24_000_000),
    ]
    assert {row["slowest_test"] for row in rows} == {f"{CLASS} test_slow"}
    assert {row["unknown_durations"] for row in rows} == {0}


def test_what_has_changed_since_a_day(asked: Asked) -> None:
    rows = asked.planted("changed_since", since="2026-09-08")
    assert picked(rows, "change", "name", "variant") == [
        ("decision", "test_flaky", "linux"),
        ("status", "test_broken", "linux"),
        ("status", "test_broken", "windows"),
        ("new test", "test_new", "linux"),
        ("new test", "test_new", "windows"),
    ]
    assert rows[0]["detail"].startswith("quarantined by policy: failed 4 of 14 executions")
    assert rows[1]["detail"].startswith("was broken, is ")
    # by default three days before the last scoring: the new test is older
    assert {row["change"] for row in asked.planted("changed_since")} == {"decision", "status"}


def test_tests_that_never_fail_outages_aside(asked: Asked) -> None:
    found = set(picked(asked.planted("never_failing_tests", executions="14"), "name", "variant"))
    always = {(f"test_{name}", variant) for name in ("a", "b", "c", "d", "slow") for variant in ("linux", "windows")}
    one = {("test_flaky", "windows"), ("test_retried", "windows"), ("test_windows", "linux")}
    assert found == always | one
    assert asked.planted("never_failing_tests", executions="15") == []
    costly = asked.planted("never_failing_tests", executions="14")[0]
    assert (costly["name"], costly["total_us"]) == ("test_slow", 3 * 8 * 1_000_000)
    assert asked.planted("never_failing_tests", executions="14", days="30")[0]["total_us"] == (6 + 3 * 8) * 1_000_000


def test_the_newest_tests(asked: Asked) -> None:
    rows = asked.planted("newest_tests")
    columns = ("name", "variant", "first_seen_at", "executions", "failures", "last_failed_at")
    first = at("2026-09-09T10:00:00")
    assert picked(rows, *columns) == [("test_new", variant, first, 8, 0, None) for variant in ("linux", "windows")]
    assert asked.planted("newest_tests", days="5") == []


def test_the_tests_that_slowed_down_most(asked: Asked) -> None:
    rows = asked.planted("slowed_tests")
    columns = ("name", "variant", "slowdown_us", "recent_median_us", "earlier_median_us")
    assert picked(rows, *columns) == [
        ("test_slow", variant, 2_000_000, 3_000_000, 1_000_000) for variant in ("linux", "windows")
    ]
    assert picked(rows, "recent_executions", "earlier_executions") == [(7, 6)] * 2
    assert asked.planted("slowed_tests", executions="7") == []


def test_tests_that_fail_on_one_variant_only(asked: Asked) -> None:
    rows = asked.planted("variant_only_failures")
    columns = ("name", "failing_variant", "failures", "executions", "passing_variants", "passing_executions")
    assert picked(rows, *columns) == [
        ("test_windows", "windows", 2, 14, "linux", 14),
        ("test_retried", "linux", 1, 15, "windows", 14),
    ]


def test_flakes_that_retries_hide(asked: Asked) -> None:
    (row,) = asked.planted("hidden_flakes")
    assert (row["name"], row["variant"], row["hidden_failures"]) == ("test_retried", "linux", 1)
    assert (row["retry_us"], row["last_hidden_at"]) == (1_000_000, at("2026-09-13T10:00:00"))
    retried = {test.name for test in asked.history.tests if test.max_tries > 1}
    assert {each["name"] for each in asked.simulated("hidden_flakes")} <= retried


def test_failure_signatures_with_their_tests(asked: Asked) -> None:
    rows = asked.planted("failure_signatures")
    assert picked(rows, "failure_message", "failures", "flaky_failures", "test_variants") == [
        (REFUSED, 12, 12, 12),
        ("total is 12, not 13", 4, 0, 2),
        (TIMED_OUT, 3, 3, 1),
        ("no such drive: c", 2, 0, 1),
        ("flickers", 1, 1, 1),
    ]
    assert rows[2]["example_test"] == f"{CLASS} test_flaky"
    assert "total is 12, not 13" not in {
        row["failure_message"] for row in asked.planted("failure_signatures", since="2026-09-03")
    }


def test_the_tests_that_failed_together_in_a_run(asked: Asked) -> None:
    rows = asked.planted("failures_of_run", run_id=str(MASS_RUN))
    assert len(rows) == 12
    assert len({row["failure_signature"] for row in rows}) == 1
    assert set(picked(rows, "run_attempt", "tests_with_signature", "passed_on_same_code")) == {(1, 12, True)}
    assert not any(row["passed_on_same_code"] for row in asked.planted("failures_of_run", run_id="1004"))


def test_what_a_pull_request_ran_into_that_was_flaky(asked: Asked) -> None:
    (row,) = asked.planted("pull_request_flakes", pull_request=str(PULL_REQUEST))
    assert (row["name"], row["variant"], row["failed_run_attempts"]) == ("test_flaky", "linux", 1)
    assert (row["passed_on_same_code"], row["status"], row["is_quarantined"]) == (True, "flaky", True)
    assert asked.planted("pull_request_flakes", pull_request="43") == []


def test_files_with_most_flakes(asked: Asked) -> None:
    (row,) = asked.planted("flakes_by_owner")
    columns = ("owner", "file", "flaky", "quarantined", "test_variants", "same_commit_flips")
    assert picked([row], *columns) == [("", CLASS, 1, 1, 20, 4)]


def test_what_quarantined_tests_wait_for(asked: Asked) -> None:
    (row,) = asked.planted("quarantined_tests")
    assert (row["name"], row["quarantined_at"], row["clean_executions"]) == ("test_flaky", AS_OF, 2)
    assert row["waits_for"].startswith("a repair: it still flakes")


def test_how_good_reports_are(asked: Asked) -> None:
    rows = asked.planted("report_health")
    assert picked(rows, "reason_codes", "level", "reports", "run_attempts", "example") == [
        ("empty_file", "invalid", 1, 1, "empty.xml"),
        ("", "valid", 28, 14, "test-results-linux r.xml"),
    ]


def test_how_fresh_each_source_is(asked: Asked) -> None:
    rows = {row["repository"]: row for row in asked.ask("source_freshness")}
    planted = rows[PLANTED]
    known_at = at("2026-09-13T18:10:00")
    assert planted["behind_us"] == (AS_OF - known_at).total_seconds() * 1_000_000
    assert (planted["source"], planted["run_attempts"], planted["rejected_files"]) == ("drop", 16, 1)
    assert rows["acme/shop"]["run_attempts"] == len(asked.history.runs)


def test_the_flake_rate_week_by_week(asked: Asked) -> None:
    rows = asked.planted("flake_trend")
    columns = ("week_start", "flakes_per_million", "flaky_failures", "executions", "run_attempts")
    assert picked(rows, *columns) == [
        (date(2026, 9, 7), 15 * 1_000_000 // 161, 15, 161, 10),
        (date(2026, 8, 31), 0, 0, 36, 2),
        (date(2026, 8, 24), 1_000_000 // 72, 1, 72, 4),
    ]
    assert len(asked.planted("flake_trend", weeks="2")) == 2


def test_which_runs_leave_reports(asked: Asked) -> None:
    rows = {row["workflow"]: row for row in asked.planted("report_coverage")}
    counts = ("run_attempts", "with_reports", "with_rejected_only", "without_files")
    assert {name: picked([row], *counts)[0] for name, row in rows.items()} == {
        "ci": (14, 14, 0, 0),
        "lint": (1, 0, 0, 1),
        "CI": (1, 0, 1, 0),
    }
    assert rows["lint"]["newest_without_url"] == "https://ci.example/runs/1011"
    assert rows["ci"]["newest_without_url"] == ""


def test_run_attempts_in_which_most_tests_failed(asked: Asked) -> None:
    (row,) = asked.planted("mass_failures")
    assert (row["run_id"], row["run_attempt"]) == (str(MASS_RUN), 1)
    columns = ("failed_test_variants", "test_variants", "percent_failed", "signatures")
    assert picked([row], *columns) == [(12, 20, 60, 1)]
    assert asked.planted("mass_failures", percent="61") == []


# -- the command ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    status: int
    out: bytes
    err: str


def sql(asked: Asked, *arguments: object) -> Ended:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
    folder = asked.warehouse.path.parent
    command = [str(FLAKEGUARD), "sql", "--warehouse", "warehouse.duckdb", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=120
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def test_the_list_names_every_question(asked: Asked) -> None:
    ended = sql(asked, "--list")
    assert ended.status == 0
    assert all(each.name in ended.out.decode() and each.asks in ended.out.decode() for each in questions())


def test_a_question_as_a_table(asked: Asked) -> None:
    ended = sql(asked, "--query", "slowed_tests", "--param", f"repository={PLANTED}")
    assert (ended.status, ended.err) == (0, "")
    head, rule, *rows = ended.out.decode().splitlines()
    assert head.split()[:6] == ["repository", "classname", "name", "variant", "slowdown", "recent_median"]
    assert set(rule) == {"-", " "}
    assert [row.split()[2:4] for row in rows] == [["test_slow", "linux"], ["test_slow", "windows"]]
    assert all("  2.0 s  " in row and "  3.0 s  " in row for row in rows)


def test_a_statement_as_json_has_iso_times_and_integers(asked: Asked) -> None:
    statement = (
        "select sum(executions) as total, max(run_started_at) as newest, cast('2026-03-06' as date) as day, "
        "0.5::double as half, true as flag, null as nothing from core.report cross join core.run_attempt "
        f"where full_name = '{PLANTED}'"
    )
    ended = sql(asked, "--format", "json", statement)
    (row,) = json.loads(ended.out)
    assert isinstance(row["total"], int)
    assert (row["newest"], row["day"]) == ("2026-09-13T18:00:00Z", "2026-03-06")
    assert (row["half"], row["flag"], row["nothing"]) == (0.5, True, None)
    assert json.loads(sql(asked, "--format", "json", "select 1 as one where false").out) == []


def test_a_statement_as_csv_follows_rfc_4180(asked: Asked) -> None:
    ended = sql(asked, "--format", "csv", "select 'a \"b\", c' as x, null as y, 'two' || chr(10) || 'lines' as z")
    assert ended.out == b'x,y,z\r\n"a ""b"", c",,"two\nlines"\r\n'
    (row,) = csv.DictReader(io.StringIO(ended.out.decode(), newline=""))
    assert row == {"x": 'a "b", c', "y": "", "z": "two\nlines"}


def test_a_statement_as_parquet_keeps_types(asked: Asked, tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"
    statement = "select sum(executions) as total, max(run_started_at) as newest from core.report, core.run_attempt"
    assert sql(asked, "--format", "parquet", "--out", file, statement).status == 0
    frame = pl.read_parquet(file)
    assert frame.schema["total"] == pl.Int64
    assert isinstance(frame["newest"][0], datetime)
    assert sql(asked, "--format", "parquet", statement).status == 2


def test_an_answer_that_was_cut_says_so(asked: Asked, tmp_path: Path) -> None:
    statement = "select run_id from core.run_attempt order by run_id, run_attempt"
    ended = sql(asked, "--format", "csv", "--limit", 3, "--out", tmp_path / "three.csv", statement)
    assert ended.err == "There are more than these 3 rows; --limit 0 shows all.\n"
    assert len((tmp_path / "three.csv").read_bytes().splitlines()) == 4
    whole = sql(asked, "--limit", 3, "select * from range(3)")
    assert whole.err == ""


def test_who_has_read_enough_may_close_the_pipe(asked: Asked) -> None:
    folder = asked.warehouse.path.parent
    command = [str(FLAKEGUARD), "sql", "--warehouse", "warehouse.duckdb", "--format", "csv", "from range(200000)"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"range\r\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("delete from core.job", "only reads, and this is a statement of the kind DELETE; write a select"),
        ("create table t (a int)", "only reads"),
        ("copy core.job to 'jobs.csv'", "only reads, and this is a statement of the kind COPY"),
        ("attach 'other.duckdb'", "only reads"),
        ("install httpfs", "only reads"),
        ("explain analyze delete from core.job", "read-only mode"),
        ("select 1; select 2", "the SQL has 2 statements; write one"),
        ("/* nothing */", "the SQL is empty; write one statement"),
        ("select * from read_text('/etc/hostname')", "file system operations are disabled by configuration"),
        ("selec 1", 'syntax error at or near "selec" (line 1, column 1)'),
        ("select run_id,\n  nonsense\nfrom core.job", "(line 2, column 3)"),
        ("select $x + 1", "Values were not provided for the following prepared statement parameters: x"),
        ("select cast(name as integer) from core.job", "Could not convert string"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(asked: Asked, statement: str, says: str) -> None:
    ended = sql(asked, statement)
    assert (ended.status, ended.out) == (2, b"")
    (line,) = ended.err.splitlines()
    assert line.startswith("flakeguard: ")
    assert says in line


@pytest.mark.parametrize(
    "arguments", [(), ("--list", "select 1"), ("--query", "newest_tests", "select 1"), ("select 1", "--param", "x")]
)
def test_wrong_usage_is_told(asked: Asked, arguments: tuple[str, ...]) -> None:
    ended = sql(asked, *arguments)
    assert ended.status == 2
    assert "Traceback" not in ended.err


def test_while_another_process_writes_the_copy_is_read_and_its_age_is_told(asked: Asked) -> None:
    path = asked.warehouse.path
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        ended = sql(asked, "--format", "csv", "select count(*) as tests from marts.test_health")
        copy = path.with_name("warehouse.read.duckdb")
        copy.rename(path.with_name("away.duckdb"))
        without = sql(asked, "select 1")
        path.with_name("away.duckdb").rename(copy)
        assert holder.stdin is not None
        holder.stdin.close()
    assert ended.status == 0
    assert ended.err.startswith("The warehouse is being written; this is its copy of 20")
    assert ended.err.endswith(" old.\n")
    assert ended.out.startswith(b"tests\r\n")
    assert without.status == 1
    assert "is being written by another process and has no read-only copy; wait" in without.err


def test_without_a_warehouse_there_is_nothing_to_ask(asked: Asked) -> None:
    ended = sql(asked, "--warehouse", "none.duckdb", "select 1")
    assert ended.status == 2
    assert "there is no warehouse at none.duckdb; `flakeguard run` makes it" in ended.err
    assert not asked.warehouse.path.with_name("none.duckdb").exists()
