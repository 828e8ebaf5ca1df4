"""The read-only copy: a second file beside the warehouse that people and tools may open while a run writes.

DuckDB lets one process write, and nobody read meanwhile. The copy is replaced in one step, so a reader has the state
after some run, whole. It is the warehouse byte for byte: every relation that can be queried there can be queried here.

Belongs here: where the copy is, whether it is behind, and replacing it. Does not belong here: when that is due.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query

COPY_SUFFIX = ".read.duckdb"
"""Ends the copy's name. DuckDB calls a database what stands before the first dot of its file's name, and views name
the database that they read: so the copy's views read the copy."""


@dataclass(frozen=True, slots=True)
class ReadCopy:
    """The copy after it was looked at: where it is, its size in bytes, and whether it was replaced."""

    path: Path
    size_bytes: int
    is_changed: bool


def read_copy_of(warehouse: Warehouse) -> Warehouse:
    """Return the read-only copy of a warehouse as a warehouse of its own, whether it is there or not."""
    return Warehouse(str(warehouse.path.with_name(f"{warehouse.path.stem}{COPY_SUFFIX}")))


def copied_at(copy: Warehouse) -> datetime:
    """Return when a copy was made, in UTC.

    Raises:
        OSError: there is none.
    """
    return datetime.fromtimestamp(copy.path.stat().st_mtime, UTC)


def is_behind(warehouse: Warehouse) -> bool:
    """Say whether the copy is missing, damaged, or shows another state than the warehouse does."""
    copy = read_copy_of(warehouse)
    if not copy.exists:
        return True
    try:
        with copy.connect(read_only=True) as connection:
            shown = _state(connection)
    except (WarehouseError, duckdb.Error):
        return True
    with warehouse.connect() as connection:
        return shown != _state(connection)


def refresh_read_copy(warehouse: Warehouse, progress: Progress | None = None) -> ReadCopy:
    """Replace the copy where it is behind.

    A kill leaves the old copy whole; what it leaves beside it is overwritten by the next refresh.

    Raises:
        WarehouseError: the warehouse cannot be read, or the copy cannot be written.
    """
    path = read_copy_of(warehouse).path
    is_changed = is_behind(warehouse)
    if is_changed:
        (progress or Silent()).stage("copy", None)
        # One fixed name: what a kill leaves behind is overwritten by the next attempt instead of piling up.
        temporary = path.with_name(f".{path.name}.partial")
        # While the connection is open no other process writes, and nothing is left in the write-ahead log. The lock
        # goes when the source is closed, and by then every byte is copied.
        with warehouse.connect() as connection:
            connection.execute("checkpoint")
            try:
                shutil.copyfile(warehouse.path, temporary)
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
                temporary.replace(path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise WarehouseError(
                    f"cannot write the read-only copy {path}: {error.strerror}; make room or mend the permissions, or "
                    "switch it off with `read_copy: false`"
                ) from error
    return ReadCopy(path, path.stat().st_size, is_changed)


def remove_read_copy(warehouse: Warehouse) -> bool:
    """Remove the copy, which nobody would refresh any more; return whether there was one.

    Raises:
        WarehouseError: it cannot be removed.
    """
    path = read_copy_of(warehouse).path
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WarehouseError(
            f"cannot remove the read-only copy {path}: {error.strerror}; mend the permissions of its folder"
        ) from error
    return True


def _state(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what two warehouses have in common exactly where they show people the same."""
    return connection.read(query("shown_state")).rows()
