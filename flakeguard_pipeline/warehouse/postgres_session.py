"""Sessions of the server: a small pool of them for each process, made alike whatever the server's settings are.

Belongs here: making, keeping, testing and dropping sessions. Does not belong here: what is done in them.
"""

import atexit
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.postgres_address import completed, read_address
from flakeguard_pipeline.warehouse.postgres_errors import cannot_connect

POOL_SIZE = 2
"""Sessions that are kept open: one step reads or writes at a time, and a second one may hold a lock."""

POOL_OVERFLOW = 8
"""Further sessions, closed after use, so that a service with some threads need not wait."""

STATEMENT_TIMEOUT_MS = 60 * 60 * 1000
"""An hour, where neither role, database nor address says otherwise: the longest statement, a first roll-up of a year,
takes minutes, and a statement that hangs keeps every later run waiting."""

LOCK_TIMEOUT_MS = 120 * 1000
"""Two minutes: longer than a transaction of the loader takes, and short enough that a person learns the cause."""

IDLE_IN_TRANSACTION_MS = 15 * 60 * 1000
"""A quarter of an hour: a batch is read from the landing zone in less, and a client that vanished within a transaction
keeps its locks no longer."""

_SETTINGS = f"""
select
    current_setting('server_encoding') as encoding,
    set_config('timezone', 'UTC', false),
    set_config('search_path', '', false),
    set_config('standard_conforming_strings', 'on', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('idle_session_timeout', '0', false),
    set_config('idle_in_transaction_session_timeout', '{IDLE_IN_TRANSACTION_MS}', false),
    case current_setting('statement_timeout')
        when '0' then set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', false) end,
    case current_setting('lock_timeout') when '0' then set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', false) end
"""
"""Makes sessions alike. The transactions' lock needs `read committed`: what waited for it sees what the other wrote."""

UTF8 = "UTF8"

_pools: dict[tuple[str, bool], sa.pool.QueuePool] = {}


@contextmanager
def borrowed(url: str, *, read_only: bool) -> Iterator[Any]:
    """Lend a session of the pool, in autocommit mode. One that is not idle afterwards is closed.

    Raises:
        WarehouseInterruptedError: the server starts, ends, or has too many sessions.
        WarehouseError: there is no connecting.
    """
    lent = _lent(url, read_only=read_only)
    try:
        yield lent.dbapi_connection
    finally:
        if is_idle(lent.dbapi_connection):
            lent.close()
        else:
            lent.invalidate()


@contextmanager
def own(url: str) -> Iterator[Any]:
    """Open a session outside of the pool for the length of the block: what it locks ends with it."""
    raw = _made(url, read_only=False)
    try:
        yield raw
    finally:
        with suppress(Exception):  # gone already
            raw.close()


def psycopg2_session(url: str, *, search_path: str, read_only: bool) -> Any:
    """Open a session by psycopg2, for libraries that know no other driver; made like the others, in a transaction.

    Raises:
        WarehouseError: there is no connecting.
    """
    import psycopg2  # noqa: PLC0415 - not paid where it is not needed

    address = read_address(url)
    try:
        raw = psycopg2.connect(completed(url))
    except psycopg2.Error as error:
        raise cannot_connect(str(error), address) from None
    with raw.cursor() as cursor:
        cursor.execute(_SETTINGS)
        cursor.execute("select set_config('search_path', %s, false)", (search_path,))
    raw.commit()
    raw.set_session(readonly=read_only)
    return raw


def is_idle(raw: Any) -> bool:
    """Say whether a session is alive and outside of any transaction."""
    return _status(raw) == "idle"


def is_lost(raw: Any) -> bool:
    """Say whether a session's connection is gone."""
    return _status(raw) == "unknown"


def _status(raw: Any) -> str:
    from adbc_driver_postgresql import ConnectionOptions  # noqa: PLC0415

    try:
        return str(raw.adbc_connection.get_option(ConnectionOptions.TRANSACTION_STATUS.value))
    except Exception:  # noqa: BLE001 - closed
        return "unknown"


def _lent(url: str, *, read_only: bool) -> Any:
    key = (url, read_only)
    if key not in _pools:
        _pools[key] = sa.pool.QueuePool(
            lambda: _made(url, read_only=read_only),
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            # nothing to roll back: whoever borrows a session ends its transaction, see `borrowed`
            reset_on_return=None,
        )
    while True:
        lent: Any = _pools[key].connect()
        if _answers(lent.dbapi_connection):
            return lent
        # ended by the server while nobody used it; one that is made now answers, or making it fails
        lent.invalidate()


def _answers(raw: Any) -> bool:
    try:
        with raw.cursor() as cursor:
            cursor.execute("select 1")
            return bool(cursor.fetchone())
    except Exception:  # noqa: BLE001 - whatever it is, another session is needed
        return False


def _made(url: str, *, read_only: bool) -> Any:
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - not paid where the warehouse is a file

    address = read_address(url)
    try:
        raw = adbc.connect(completed(url), autocommit=True)
    except adbc.Error as error:
        text = str(error)
    else:
        text = ""
    if text:
        # outside of the handler, without its cause: a traceback shows the address
        raise cannot_connect(text, address)
    try:
        with raw.cursor() as cursor:
            cursor.execute(_SETTINGS)
            encoding = cursor.fetchone()[0]
            if read_only:
                cursor.execute("set default_transaction_read_only = on")
    except BaseException:
        raw.close()
        raise
    if encoding != UTF8:
        raw.close()
        raise WarehouseError(
            f"the database of the warehouse {address.shown} has the encoding {encoding}; make one with "
            "`encoding 'UTF8'`, and name it with --warehouse"
        )
    return raw


def close_pools() -> None:
    """Close the sessions that nobody uses."""
    while _pools:
        _pools.popitem()[1].dispose()


def _forget_pools() -> None:
    """Leave the parent's sessions to the parent: closing one in the child would end it there, too."""
    global _pools  # noqa: PLW0603 - one per process
    if _pools:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_pools))  # never collected, not even at exit
        _pools = {}


atexit.register(close_pools)
os.register_at_fork(after_in_child=_forget_pools)
