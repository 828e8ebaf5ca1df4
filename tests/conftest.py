"""What all tests share."""

import os
from pathlib import Path

import pytest

from tests.support.places import Place, make_place

OF_TESTS = {"FLAKEGUARD_TEST_DATA", "FLAKEGUARD_LARGE_TESTS"}
"""Settings of the tests themselves: a folder with real data, and whether to take minutes for a gigabyte."""

for name in [name for name in os.environ if name.startswith(("FLAKEGUARD_", "DAGSTER_")) and name not in OF_TESTS]:
    del os.environ[name]  # a developer's own settings must not reach the tests


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty drop folder, landing zone and warehouse."""
    return make_place(tmp_path)
