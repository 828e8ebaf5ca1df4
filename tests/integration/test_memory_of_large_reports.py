"""The memory that a report takes does not grow with the report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.parsing.junit import MAX_INVOCATIONS
from tests.support.large_reports import STATUS, attempts, cases, failures_of_pytest, one_text, teardowns, write

BYTES = 1024**3 if os.environ.get("FLAKEGUARD_LARGE_TESTS") else 200 * 1024**2
LIMIT_MB = 300
"""Above what the process held before it read anything."""

MOST_BYTES_A_CASE = 700
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a process the most memory that it held")


def measured(file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.large_reports", str(file)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(file.name, file.stat().st_size, found)  # noqa: T201 - shown with -s
    return found


@pytest.mark.parametrize("suffix", [".xml", ".zip"])
def test_many_test_cases_are_read_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"cases{suffix}"
    write(file, cases(BYTES), is_zipped=suffix == ".zip")
    found = measured(file)
    file.unlink()
    assert found["issues"] == []
    assert found["count"] > BYTES / MOST_BYTES_A_CASE
    assert found["peak"] - found["before"] < LIMIT_MB


@pytest.mark.parametrize("suffix", [".xml", ".zip"])
def test_one_long_text_is_read_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"text{suffix}"
    write(file, one_text(BYTES), is_zipped=suffix == ".zip")
    found = measured(file)
    file.unlink()
    assert found["issues"] == []
    assert found["count"] == 3
    assert found["peak"] - found["before"] < LIMIT_MB


def test_a_mass_failure_with_long_names_and_texts_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "failures.xml"
    write(file, failures_of_pytest(BYTES), is_zipped=False)
    found = measured(file)
    file.unlink()
    assert found["issues"] == []
    assert found["count"] > BYTES / 50_000
    assert found["peak"] - found["before"] < LIMIT_MB


def test_a_test_that_is_retried_without_an_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "attempts.xml"
    write(file, attempts(BYTES // 4), is_zipped=False)
    found = measured(file)
    file.unlink()
    assert found["issues"] == []
    assert found["count"] == 1 + MAX_INVOCATIONS
    assert found["peak"] - found["before"] < LIMIT_MB


def test_a_clean_up_that_fails_without_an_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "teardowns.xml"
    write(file, teardowns(BYTES // 16), is_zipped=False)
    found = measured(file)
    file.unlink()
    assert found["issues"] == []
    assert found["count"] == 1
    assert found["peak"] - found["before"] < LIMIT_MB
