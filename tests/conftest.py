"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import Place, make_place
from tests.support.postgres import SERVER_VARIABLE, PostgresDatabase, PostgresServer, oldest_programs, running

OF_TESTS = {"FLAKEGUARD_TEST_DATA", "FLAKEGUARD_LARGE_TESTS", SERVER_VARIABLE}
"""Settings of the tests themselves: a folder with real data, whether to take minutes for a gigabyte, a server."""

for name in [name for name in os.environ if name.startswith(("FLAKEGUARD_", "DAGSTER_")) and name not in OF_TESTS]:
    del os.environ[name]  # a developer's own settings must not reach the tests


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty drop folder, landing zone and warehouse."""
    return make_place(tmp_path)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The newest PostgreSQL that FlakeGuard is tested on."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def oldest_postgres_server() -> Iterator[PostgresServer]:
    """The oldest PostgreSQL that FlakeGuard is tested on; skips where it is not installed."""
    with running(oldest_programs()) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """An empty database that belongs to an ordinary role."""
    database = postgres_server.database()
    yield database
    database.drop()
