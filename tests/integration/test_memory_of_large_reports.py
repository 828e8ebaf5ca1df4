"""The memory that a report takes does not grow with the report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.large_reports import STATUS, cases, one_text, write

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
