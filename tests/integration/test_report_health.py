"""What people learn about their uploads: levels and reasons, in the warehouse and in the summary of a run."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from flakeguard_pipeline.warehouse.connection import Warehouse
from tests.support.drops import add_run, case, report, run_object, zipped


@dataclass(frozen=True)
class Ran:
    """What one run of the main job said and left."""

    said: str
    warehouse: Warehouse

    def read(self, sql: str) -> pl.DataFrame:
        with self.warehouse.connect(read_only=True) as connection:
            return connection.read(sql)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("health")
    whole = report(case("test_one"), case("test_two"), case("test_three"))
    add_run(folder / "drop", run_object(1), {"junit.zip": zipped({"r.xml": whole})})
    files = {
        "junit.zip": zipped({"cut.xml": whole[:-40], "r.xml": whole, "note.txt": b"no report"}),
        "repeated.xml": report(case("test_one"), case("test_one")),
        "empty.xml": b"",
        "damaged.zip": b"PK\x03\x04 and no more",
    }
    add_run(folder / "drop", run_object(2), files)
    add_run(folder / "drop", run_object(3, status="in_progress"), {"junit.zip": zipped({"r.xml": whole})})
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
    command = [str(Path(sys.executable).with_name("flakeguard")), "run", "--drop", "drop", "--as-of", "2026-03-03"]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Ran(done.stdout, Warehouse(str(folder / ".flakeguard" / "warehouse.duckdb")))


def test_each_file_has_a_level_and_the_codes_of_what_there_is_to_mend(ran: Ran) -> None:
    rows = ran.read(
        "select path, level, reason_codes, executions from marts.report_health where run_id = '2' order by path"
    )
    assert rows.rows() == [
        ("cut.xml", "suboptimal", "not_well_formed", 2),
        ("damaged.zip", "invalid", "not_a_zip", 0),
        ("empty.xml", "invalid", "empty_file", 0),
        ("r.xml", "valid", "", 3),
        ("repeated.xml", "suboptimal", "repeated_name", 2),
    ]


def test_the_reasons_say_where_the_fault_is_and_what_to_do(ran: Ran) -> None:
    reasons = dict(ran.read("select path, reasons from marts.report_health where level <> 'valid'").iter_rows())
    assert "line 1, column" in reasons["cut.xml"]
    assert reasons["repeated.xml"].endswith("give parameters ids (2 of 2, first: test_one)")


def test_the_newest_run_that_left_files_comes_first_and_an_unfinished_one_not_at_all(ran: Ran) -> None:
    rows = ran.read("select distinct recency, run_id from marts.report_health order by recency")
    assert rows.rows() == [(1, "2"), (2, "1")]


def test_the_summary_of_the_run_says_what_to_mend(ran: Ran) -> None:
    assert "To mend in CI (marts.report_health says which):" in ran.said
    assert "1  repeated_name: has several test cases of one name" in ran.said
    assert "1  not_well_formed: is not well-formed XML; the test cases before the fault were kept" in ran.said
