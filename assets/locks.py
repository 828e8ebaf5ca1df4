"""Locks that live as long as the process that took them, also when it is killed: who has one is at work.

Belongs here: taking them and asking for them, where Dagster's history is kept in files and where it is in Postgres.
Does not belong here: what a lock stands for.
"""

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dagster as dg

from assets.dagster_yaml import SCHEME

LOOKS = 4
"""Who asks for a lock in a file holds it for an instant, and a server takes one to see that a process is gone; so who
wants a lock tries again before giving up."""

LOOK_SECONDS = 0.1

SESSION = (
    # a machine that vanishes says no good-bye: the server notices within a minute, and frees what the session held
    "set tcp_keepalives_idle = 30",
    "set tcp_keepalives_interval = 10",
    "set tcp_keepalives_count = 3",
    # the session idles for as long as a run takes
    "set idle_session_timeout = 0",
)


class LockTakenError(Exception):
    """Another process has the lock."""


class Lock(Protocol):
    """A lock that was taken."""

    def is_ours(self) -> bool:
        """Say whether we still have it; one that was lost with its connection is taken again where it is free."""

    def release(self) -> None:
        """Give it back."""


class Locks(Protocol):
    """The locks of an instance, by name."""

    def take(self, name: str, *, once: bool = False) -> Lock:
        """Take a lock. `once`: nobody will take one of that name again, so that nothing of it need stay.

        Raises:
            LockTakenError: another process has it.
        """

    def is_held(self, name: str) -> bool:
        """Say whether any process has a lock."""


@contextlib.contextmanager
def held(locks: Locks, name: str, *, once: bool = False) -> Iterator[Lock]:
    """Hold a lock for the length of the block.

    Raises:
        LockTakenError: another process has it.
    """
    lock = locks.take(name, once=once)
    try:
        yield lock
    finally:
        lock.release()


def locks_of(instance: dg.DagsterInstance) -> Locks:
    """Return the locks of an instance: they are where its history is."""
    url = getattr(instance.run_storage, "postgres_url", None)
    if url is None:
        return FileLocks(Path(instance.root_directory))
    return PostgresLocks(str(url).replace(f"{SCHEME}://", "postgresql://", 1))


@dataclass(frozen=True)
class FileLocks:
    """Locks for the processes of one machine, in `folder`."""

    folder: Path

    def take(self, name: str, *, once: bool = False) -> "Lock":
        """Take a lock; see `Locks`."""
        path = self.folder / f"{name}.lock"
        file = path.open("a+")
        for look in range(LOOKS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if look == LOOKS - 1:
                    file.close()
                    raise LockTakenError(name) from error
                time.sleep(LOOK_SECONDS)
            else:
                break
        return _FileLock(file, path if once else None)

    def is_held(self, name: str) -> bool:
        """Say whether any process has a lock; see `Locks`."""
        try:
            with (self.folder / f"{name}.lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


@dataclass(frozen=True)
class _FileLock:
    file: Any
    to_remove: Path | None

    def is_ours(self) -> bool:
        return True

    def release(self) -> None:
        if self.to_remove is not None:
            self.to_remove.unlink(missing_ok=True)
        self.file.close()


@dataclass(frozen=True)
class PostgresLocks:
    """Locks for the processes of all machines: advisory locks of sessions of the database at `url`."""

    url: str = field(repr=False)

    def take(self, name: str, *, once: bool = False) -> "Lock":  # noqa: ARG002 - nothing of it stays
        """Take a lock; see `Locks`."""
        lock = _PostgresLock(self, name)
        for look in range(LOOKS):
            if lock.is_ours():
                return lock
            if look < LOOKS - 1:
                time.sleep(LOOK_SECONDS)
        raise LockTakenError(name)

    def is_held(self, name: str) -> bool:
        """Say whether any process has a lock; see `Locks`."""
        with contextlib.closing(self.session()) as session, session.cursor() as cursor:
            cursor.execute(
                """
                select exists (
                    select from pg_locks
                    where
                        locktype = 'advisory' and granted and objsubid = 1
                        and database = (select oid from pg_database where datname = current_database())
                        and (classid::bigint << 32) | objid::bigint = %s
                )
                """,
                [_key(cursor, name)],
            )
            (is_held,) = cursor.fetchone()
        return bool(is_held)

    def session(self) -> Any:
        """Open a session that stands long idleness."""
        import psycopg2

        connection = psycopg2.connect(self.url, application_name="flakeguard")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in SESSION:
                cursor.execute(statement)
        return connection


class _PostgresLock:
    def __init__(self, locks: PostgresLocks, name: str) -> None:
        self._locks = locks
        self._name = name
        self._session: Any = None

    def is_ours(self) -> bool:
        import psycopg2

        if self._session is not None:
            with contextlib.suppress(psycopg2.Error), self._session.cursor() as cursor:
                cursor.execute("select 1")
                return True
            self.release()
        self._session = self._locks.session()
        with self._session.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(%s)", [_key(cursor, self._name)])
            (is_taken,) = cursor.fetchone()
        if not is_taken:
            self.release()
        return bool(is_taken)

    def release(self) -> None:
        import psycopg2

        if self._session is not None:
            # closing alone leaves it to the server when the lock is free
            with contextlib.suppress(psycopg2.Error), self._session.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock_all()")
            self._session.close()
            self._session = None


def _key(cursor: Any, name: str) -> int:
    """Return the number of a lock: instances may share a database, each in a schema of its own."""
    cursor.execute("select current_schema()")
    (schema,) = cursor.fetchone()
    digest = hashlib.blake2b(f"flakeguard/{schema}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
