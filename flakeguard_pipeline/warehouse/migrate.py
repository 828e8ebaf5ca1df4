"""Migrations of the schemas that FlakeGuard owns: where a warehouse is, and bringing it elsewhere.

Belongs here: what every command calls. A warehouse that is up to date costs one query and no import. Does not belong
here: how Alembic runs (`migration_session`), and what the tables look like (`table_differences`).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flakeguard_pipeline.domain.errors import UsageError, WarehouseError
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.driver_errors import told
from flakeguard_pipeline.warehouse.revisions import BASE, History, Revision, history

if TYPE_CHECKING:
    from flakeguard_pipeline.warehouse.migration_session import Lost

VERSION_TABLE = "alembic_version"

OURS = re.compile(r"\d{4}")
"""What our revisions are called; Alembic's own names are of twelve hexadecimal digits."""


def head(warehouse: Warehouse, migrations: Path | None = None) -> str:  # noqa: ARG001 - equal for every warehouse
    """Return the revision that this code needs."""
    return history(migrations).head


def current(warehouse: Warehouse, *, read_only: bool = False) -> str | None:
    """Return the revision that the warehouse is at, or None where it is empty.

    Raises:
        WarehouseError: the warehouse cannot be opened or read.
    """
    try:
        with warehouse.connect(read_only=read_only) as connection:
            return revision_of(connection)
    except Exception as error:
        raise told(error, warehouse, f"cannot read the revision of the warehouse {warehouse.shown}") from error


def revision_of(connection: Connection) -> str | None:
    """Return the revision by one query; only an empty warehouse, which has no table to ask, costs a second one."""
    try:
        revision = connection.value(f"select max(version_num) from core.{VERSION_TABLE}")  # noqa: S608 - a constant
    except Exception:
        known = connection.value(
            "select count(*) from information_schema.tables where table_schema = 'core' and table_name = $name",
            {"name": VERSION_TABLE},
        )
        if known:
            raise
        return None
    return None if revision is None else str(revision)


def upgrade(warehouse: Warehouse, *, to: str | None = None, migrations: Path | None = None) -> bool:
    """Bring the warehouse to this code's revision, or to `to`; return whether anything had to be done.

    Each migration is one transaction: what was completed stays, and nothing is left half-done.

    Raises:
        UsageError: `to` is no revision, or lies behind the warehouse.
        WarehouseError: the warehouse is newer than this code, is no warehouse of ours, or a migration failed.
    """
    known = history(migrations)
    target = known.head if to is None else known.require(to)
    now = current(warehouse)
    if now == target:
        return False
    require_known(warehouse, now, known)
    if known.place(now) > known.place(target):
        raise UsageError(
            f"the warehouse {warehouse.shown} is at revision {now}, after {target}; "
            f"`flakeguard migrate down --to {target}` goes back"
        )
    from flakeguard_pipeline.warehouse import migration_session  # noqa: PLC0415 - imports Alembic

    return migration_session.upgrade(warehouse, known, target)


def downgrade(
    warehouse: Warehouse, *, to: str, lose_rows: bool = False, migrations: Path | None = None
) -> "Sequence[Lost]":
    """Take the warehouse back to revision `to` (`base`: before the first one), in one transaction.

    Returns:
        the tables and columns that held rows and are gone.

    Raises:
        UsageError: `to` is no revision behind the warehouse's, or rows would be lost without `lose_rows`.
        WarehouseError: as `upgrade`.
    """
    known = history(migrations)
    target = None if to == BASE else known.require(to)
    now = current(warehouse)
    require_known(warehouse, now, known)
    if known.place(now) <= known.place(target):
        raise UsageError(f"the warehouse {warehouse.shown} is at revision {now or BASE}, not after {to}; nothing to do")
    from flakeguard_pipeline.warehouse import migration_session  # noqa: PLC0415 - imports Alembic

    return migration_session.downgrade(warehouse, known, target, lose_rows=lose_rows)


def pending(warehouse: Warehouse, migrations: Path | None = None) -> tuple[str | None, Sequence[Revision]]:
    """Return the warehouse's revision and what it still needs, and change nothing.

    Raises:
        WarehouseError: the warehouse cannot be read, is newer than this code, or is no warehouse of ours.
    """
    known = history(migrations)
    now = current(warehouse, read_only=True) if warehouse.exists else None
    require_known(warehouse, now, known)
    return now, known.after(now)


def require_known(warehouse: Warehouse, now: str | None, known: History) -> None:
    """Refuse a warehouse whose revision this code does not know.

    Raises:
        WarehouseError: it is newer, or another program's.
    """
    if now is None or known.knows(now):
        return
    if OURS.fullmatch(now) is None:
        raise WarehouseError(
            f"{warehouse.shown} is no warehouse of FlakeGuard: core.{VERSION_TABLE} holds {now!r}, which another "
            "program wrote; name another database with --warehouse"
        )
    raise WarehouseError(
        f"the warehouse {warehouse.shown} was made by a newer FlakeGuard (revision {now}); update FlakeGuard"
    )
