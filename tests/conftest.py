"""What all tests share."""

import os
from pathlib import Path

import pytest

from tests.support.places import Place, make_place

for name in [name for name in os.environ if name.startswith(("FLAKEGUARD_", "DAGSTER_"))]:
    del os.environ[name]  # a developer's own settings must not reach the tests


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty drop folder, landing zone and warehouse."""
    return make_place(tmp_path)
