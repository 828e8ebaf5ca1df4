"""The suite of expectations on `core.test_execution`, on a real embedded warehouse: what passes, what is caught."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.quality import execution_suite
from flakeguard_pipeline.quality.checked_attempts import record_sound, unchecked
from flakeguard_pipeline.quality.execution_suite import (
    ATTEMPT_IS_LOADED,
    LONGEST_DURATION,
    NO_SIGNATURE_WITHOUT_FAILURE,
    Finding,
    SuiteResult,
    check_changed_executions,
    check_executions,
)
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support.rolled_up import make_tables

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTCOMES = tuple(outcome.value for outcome in Outcome)
SIGNATURE = "0123456789abcdef"

EXECUTION: dict[str, Any] = {
    "org": "acme",
    "provider": "github",
    "repository_id": "github:1",
    "run_id": "7",
    "run_attempt": 1,
    "artifact": "reports",
    "report_id": "a" * 32,
    "ordinal": 0,
    "test_key": "b" * 32,
    "variant": "",
    "suite": "unit",
    "classname": "tests.TestCart",
    "name": "test_total",
    "file": "tests/test_cart.py",
    "raw_name": "test_total",
    "outcome": "passed",
    "retry_index": 0,
    "is_final": True,
    "started_at": NOW,
    "duration_us": 1_500,
    "job_id": "",
    "failure_type": "",
    "failure_message": "",
    "failure_signature": "",
    "failure_text": "",
    "output": "",
    "raw_classname": "",
}

ATTEMPT: dict[str, Any] = {
    "org": "acme",
    "repository_id": "github:1",
    "run_id": "7",
    "run_attempt": 1,
    "provider": "github",
    "full_name": "acme/shop",
    "workflow": "ci",
    "event": "push",
    "status": "completed",
    "conclusion": "success",
    "branch": "main",
    "head_sha": "c" * 40,
    "head_repository_id": "",
    "declared_default_branch": "main",
    "created_at": NOW,
    "run_started_at": NOW,
    "updated_at": NOW,
    "run_url": "",
    "pr_number": None,
    "is_partial": False,
    "passed_over_files": 0,
    "load_digest": "d" * 32,
}

REPORT: dict[str, Any] = {
    "org": "acme",
    "repository_id": "github:1",
    "run_id": "7",
    "run_attempt": 1,
    "report_id": "a" * 32,
    "artifact": "reports",
    "path": "r.xml",
    "job_id": "",
    "variant": "",
    "digest": "e" * 64,
    "size_bytes": 1,
    "dialect": "pytest",
    "executions": 40,
    "is_whole": True,
}

SOUND: list[dict[str, Any]] = [
    EXECUTION
    | {
        "ordinal": ordinal,
        "outcome": OUTCOMES[ordinal % len(OUTCOMES)],
        "duration_us": None if ordinal % 5 == 0 else ordinal,
        "failure_signature": SIGNATURE if OUTCOMES[ordinal % len(OUTCOMES)] in ("failed", "errored") else "",
    }
    for ordinal in range(40)
]

MakeWarehouse = Callable[..., Warehouse]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "empty.duckdb"
    upgrade(Warehouse(str(path)))
    return path


@pytest.fixture
def make(tmp_path: Path, empty: Path) -> MakeWarehouse:
    def warehouse(*executions: Mapping[str, Any], name: str = "warehouse.duckdb") -> Warehouse:
        path = tmp_path / name
        path.write_bytes(empty.read_bytes())
        made = Warehouse(str(path))
        with made.connect() as connection:
            connection.insert("core.run_attempt", load.frame_of(tables.run_attempt, [ATTEMPT]))
            connection.insert("core.test_execution", load.frame_of(tables.test_execution, executions))
        return made

    return warehouse


def test_sound_executions_pass(make: MakeWarehouse):
    result = check_executions(make(*SOUND))
    assert result == SuiteResult(is_passed=True, expectations=result.expectations, rows=40, findings=())
    assert result.expectations > len(tables.test_execution.columns)


def test_an_empty_table_passes(empty: Path):
    result = check_executions(Warehouse(str(empty)))
    assert result.is_passed
    assert result.rows == 0


KEY = ", ".join(tables.test_execution.info["key"])
BETWEEN = "expect_column_values_to_be_between"
REGEX = "expect_column_values_to_match_regex"
LENGTHS = "expect_column_value_lengths_to_be_between"

FAULTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "unknown outcome": ({"outcome": "flaky"}, "expect_column_values_to_be_in_set", "outcome", "flaky"),
    "outcome in capitals": ({"outcome": "PASSED"}, "expect_column_values_to_be_in_set", "outcome", "PASSED"),
    "negative duration": ({"duration_us": -1}, BETWEEN, "duration_us", "-1"),
    "endless duration": (
        {"duration_us": 1 + int(LONGEST_DURATION.total_seconds() * 1_000_000)},
        BETWEEN,
        "duration_us",
        "2678400000001",
    ),
    "negative retry index": ({"retry_index": -1}, BETWEEN, "retry_index", "-1"),
    "negative ordinal": ({"ordinal": -1}, BETWEEN, "ordinal", "-1"),
    "start before clocks": (
        {"started_at": datetime(1969, 12, 31, tzinfo=UTC)},
        BETWEEN,
        "started_at",
        "1969-12-31 00:00:00+00:00",
    ),
    "short test key": ({"test_key": "b" * 31}, REGEX, "test_key", "b" * 31),
    "test key with a line feed": ({"test_key": "b" * 32 + "\n"}, REGEX, "test_key", "b" * 32 + "\n"),
    "no test key": ({"test_key": ""}, REGEX, "test_key", ""),
    "report id in capitals": ({"report_id": "A" * 32}, REGEX, "report_id", "A" * 32),
    "short signature": ({"outcome": "failed", "failure_signature": "0"}, REGEX, "failure_signature", "0"),
    "signature on a passed execution": (
        {"failure_signature": SIGNATURE},
        NO_SIGNATURE_WITHOUT_FAILURE,
        "failure_signature",
        SIGNATURE,
    ),
    "signature on a skipped execution": (
        {"outcome": "skipped", "failure_signature": SIGNATURE},
        NO_SIGNATURE_WITHOUT_FAILURE,
        "failure_signature",
        SIGNATURE,
    ),
    "attempt of another number": (
        {"run_attempt": 2},
        ATTEMPT_IS_LOADED,
        "org, repository_id, run_id, run_attempt",
        '"run_attempt": 2',
    ),
    "attempt of another org": (
        {"org": "zenith"},
        ATTEMPT_IS_LOADED,
        "org, repository_id, run_id, run_attempt",
        '"org": "zenith"',
    ),
}


@pytest.mark.parametrize(("change", "expectation", "column", "example"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_caught_by_name_and_alone(
    make: MakeWarehouse, change: dict[str, Any], expectation: str, column: str, example: str
):
    result = check_executions(make(*SOUND, EXECUTION | {"ordinal": 1_000} | change))
    (finding,) = result.findings
    assert not result.is_passed
    assert (finding.expectation, finding.column, finding.unexpected_count) == (expectation, column, 1)
    assert example in finding.examples[0]


def test_a_repeated_execution_is_caught(make: MakeWarehouse):
    result = check_executions(make(*SOUND, SOUND[3]))
    (finding,) = result.findings
    assert (finding.expectation, finding.column) == ("expect_compound_columns_to_be_unique", KEY)
    assert finding.unexpected_count == 2
    assert '"ordinal": 3' in finding.examples[0]


@pytest.mark.parametrize(
    ("change", "expectations"),
    [
        ({"run_attempt": 0}, {(BETWEEN, "run_attempt")}),
        ({"org": ""}, {(LENGTHS, "org")}),
        ({"repository_id": ""}, {(LENGTHS, "repository_id")}),
        ({"run_id": ""}, {(LENGTHS, "run_id")}),
    ],
    ids=["attempt zero", "no org", "no repository", "no run"],
)
def test_a_broken_identity_is_an_orphan_besides(
    make: MakeWarehouse, change: dict[str, Any], expectations: set[tuple[str, str]]
):
    result = check_executions(make(*SOUND, EXECUTION | {"ordinal": 1_000} | change))
    orphan = (ATTEMPT_IS_LOADED, "org, repository_id, run_id, run_attempt")
    assert {(finding.expectation, finding.column) for finding in result.findings} == {*expectations, orphan}


def test_a_start_beyond_every_calendar_is_caught(make: MakeWarehouse):
    warehouse = make(*SOUND)
    with warehouse.connect() as connection:
        connection.execute("update core.test_execution set started_at = 'infinity' where ordinal = 0")
        connection.execute("update core.test_execution set started_at = '20000-01-01 00:00:00+00' where ordinal = 1")
    (finding,) = check_executions(warehouse).findings
    assert (finding.expectation, finding.column, finding.unexpected_count) == (BETWEEN, "started_at", 2)


def test_a_null_is_caught_where_the_database_lets_it_in(make: MakeWarehouse):
    warehouse = make(*SOUND)
    with warehouse.connect() as connection:
        connection.execute("alter table core.test_execution alter variant drop not null")
        connection.execute("update core.test_execution set variant = null where ordinal = 5")
    assert check_executions(warehouse).findings == (
        Finding("expect_column_values_to_not_be_null", "variant", 1, ("None",)),
    )


def test_other_columns_are_caught_and_nothing_passes_unevaluated(make: MakeWarehouse):
    warehouse = make(*SOUND)
    with warehouse.connect() as connection:
        connection.execute("alter table core.test_execution rename outcome to verdict")
    findings = {(finding.expectation, finding.column): finding for finding in check_executions(warehouse).findings}
    columns = findings["expect_table_columns_to_match_set", ""]
    assert columns.unexpected_count == 2
    assert columns.examples == ("missing: outcome", "unexpected: verdict")
    for broken in (
        ("expect_column_values_to_be_in_set", "outcome"),
        (NO_SIGNATURE_WITHOUT_FAILURE, "failure_signature"),
    ):
        assert findings[broken].examples[0].startswith("could not be evaluated: ")


def test_examples_are_few_and_detail_is_canonical(make: MakeWarehouse):
    faulty = [EXECUTION | {"ordinal": 1_000 + index, "outcome": f"odd{index}"} for index in range(30)]
    result = check_executions(make(*SOUND, *faulty))
    (finding,) = result.findings
    assert finding.unexpected_count == 30
    assert len(finding.examples) == execution_suite.MAX_EXAMPLES
    detail = json.loads(result.detail())
    assert result.detail() == json.dumps(detail, sort_keys=True, separators=(",", ":"))
    assert detail[0]["expectation"] == "expect_column_values_to_be_in_set"


def test_the_file_is_free_afterwards_and_nothing_is_left_behind(
    make: MakeWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    warehouse = make(*SOUND, name="a $HOME ${x} 100% ?read_only=1#.duckdb")
    assert check_executions(warehouse).rows == 40
    assert not list(elsewhere.iterdir())
    script = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('delete from core.test_execution')"
    subprocess.run([sys.executable, "-c", script, str(warehouse.path)], check=True, timeout=60)


def test_the_file_is_free_after_a_failure_too(tmp_path: Path):
    warehouse = Warehouse(str(tmp_path / "bare.duckdb"))
    with pytest.raises(Exception, match="test_execution"):
        check_executions(warehouse)
    script = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, str(warehouse.path)], check=True, timeout=60)


@pytest.mark.parametrize("module", ["flakeguard_pipeline.quality.execution_suite", "assets.checks.execution_suite"])
def test_importing_the_check_does_not_import_great_expectations(module: str):
    script = f"import sys, {module}; sys.exit('great_expectations' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


# -- what has changed ----------------------------------------------------------------------------------------


@pytest.fixture(params=["duckdb", "postgres"])
def history(request: pytest.FixtureRequest, tmp_path: Path, empty: Path) -> Iterator[Warehouse]:
    """Ten run attempts that are known to be sound."""
    if request.param == "duckdb":
        path = tmp_path / "history.duckdb"
        path.write_bytes(empty.read_bytes())
        warehouse = Warehouse(str(path))
    else:
        warehouse = Warehouse(request.getfixturevalue("postgres").url)
        make_tables(warehouse)
    for run in range(10):
        load_attempt(warehouse, str(run), *SOUND)
    known = {"suite_name": execution_suite.SUITE_NAME, "suite_digest": execution_suite.suite_digest()}
    with warehouse.connect() as connection:
        record_sound(connection, connection.read(unchecked(**known)), **known)
    yield warehouse
    if request.param == "postgres":
        close_pools()


def load_attempt(warehouse: Warehouse, run_id: str, *executions: Mapping[str, Any], digest: str = "d") -> None:
    replaced = pl.DataFrame({"repository_id": ["github:1"], "run_id": [run_id], "run_attempt": [1]})
    attempt = ATTEMPT | {"run_id": run_id, "load_digest": digest}
    rows = [each | {"run_id": run_id} for each in executions]
    with warehouse.connect() as connection, load.replacing_attempts(connection, replaced, default_branch=None):
        connection.insert("core.run_attempt", load.frame_of(tables.run_attempt, [attempt]))
        connection.insert("core.test_execution", load.frame_of(tables.test_execution, rows))
        connection.insert("core.report", load.frame_of(tables.report, [REPORT | {"run_id": run_id}]))


def test_only_what_has_changed_is_looked_at(history: Warehouse) -> None:
    unchanged = check_changed_executions(history)
    assert (unchanged.is_passed, unchanged.rows) == (True, 0)
    load_attempt(history, "3", *SOUND[:7], digest="other")
    load_attempt(history, "99", *SOUND[:5])
    changed = check_changed_executions(history)
    assert (changed.is_passed, changed.rows) == (True, 12)
    assert changed.expectations > len(tables.test_execution.columns)
    assert check_changed_executions(history).rows == 0


def test_what_is_not_sound_is_found_until_it_is_loaded_again(history: Warehouse) -> None:
    load_attempt(history, "3", *SOUND, SOUND[3], digest="other")
    load_attempt(history, "4", EXECUTION | {"outcome": "odd"}, digest="other")
    broken = {"expect_compound_columns_to_be_unique", "expect_column_values_to_be_in_set"}
    for _ in range(2):
        result = check_changed_executions(history)
        assert {finding.expectation for finding in result.findings} == broken
    load_attempt(history, "4", *SOUND, digest="mended")
    assert {finding.column for finding in check_changed_executions(history).findings} == {KEY}
    load_attempt(history, "3", *SOUND, digest="mended")
    assert check_changed_executions(history).is_passed
    assert check_executions(history).is_passed


def test_executions_without_a_run_attempt_are_found_by_their_report(history: Warehouse) -> None:
    with history.connect() as connection:
        connection.execute("delete from core.run_attempt where run_id = '3'")
    (finding,) = check_changed_executions(history).findings
    assert (finding.expectation, finding.unexpected_count) == (ATTEMPT_IS_LOADED, len(SOUND))
    assert '"run_id": "3"' in finding.examples[0]


def test_another_suite_looks_at_everything_again(history: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_suite, "suite_digest", lambda: "another")
    assert check_changed_executions(history).rows == 400
    assert check_changed_executions(history).rows == 0


def test_an_attempt_that_is_loaded_again_meanwhile_is_not_taken_for_sound(history: Warehouse) -> None:
    known = {"suite_name": execution_suite.SUITE_NAME, "suite_digest": execution_suite.suite_digest()}
    load_attempt(history, "3", *SOUND[:7], digest="read")
    with history.connect() as connection:
        read = connection.read(unchecked(**known))
    load_attempt(history, "3", *SOUND[:9], digest="newer")
    with history.connect() as connection:
        record_sound(connection, read, **known)
    assert check_changed_executions(history).rows == 9
