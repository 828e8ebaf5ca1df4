"""What Postgres and libpq say, as errors that a person can act on. The codes are SQLSTATE's.

Belongs here: which error means what, and its one line. Does not belong here: what is tried again, and when.
"""

import re
from typing import Final

from flakeguard_pipeline.domain.errors import (
    OperationError,
    WarehouseError,
    WarehouseInterruptedError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from flakeguard_pipeline.postgres_address import Address

SERIALIZATION_FAILURE: Final = "40001"
DEADLOCK: Final = "40P01"
LOCK_TIMEOUT: Final = "55P03"
CANCELLED: Final = "57014"
NO_RIGHTS: Final = "42501"
READ_ONLY: Final = "25006"
OUTDATED_TABLES: Final = frozenset({"42P01", "42703", "3F000", "42804", "22P03", "08P01"})
"""A table, column or schema that is not there, or is of another type (a binary COPY then breaks the protocol)."""

INTERRUPTIONS: Final = frozenset(
    {SERIALIZATION_FAILURE, DEADLOCK, "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
)
"""The transaction was undone though nothing was wrong with it: lost a race, or the server ended or restarts."""

LOST = (
    WarehouseInterruptedError,
    "the connection to {where} was lost: {reason}; the transaction was undone, and running again completes the work",
)
UNDONE = (
    WarehouseInterruptedError,
    "{where} undid a transaction: {reason}; nothing is half-written, and running again completes the work",
)
OUTDATED = (
    WarehouseError,
    "{where} has other tables than FlakeGuard made: {reason}; `flakeguard migrate check` shows what differs",
)
FULL = (
    WarehouseError,
    "{where} is out of room: {reason}; nothing is half-written; make room on the server, and run again",
)
REFUSED = (OperationError, "{where} refuses a value: {reason}")
BY_CODE: dict[str, tuple[type[OperationError], str]] = {
    LOCK_TIMEOUT: (
        WarehouseLockedError,
        "{where} is locked by another process; wait until it has finished, and run again ({reason})",
    ),
    CANCELLED: (
        WarehouseError,
        "{where} ended a statement: {reason}; nothing is half-written; allow more time (docs/reference/postgres.md)",
    ),
    NO_RIGHTS: (WarehouseError, "{where} refuses the role {role}: {reason}; {grant}"),
    READ_ONLY: (WarehouseError, "{where} takes no writes: {reason}; name the primary server with --warehouse"),
}
BY_CLASS: dict[str, tuple[type[OperationError], str]] = {"53": FULL, "22": REFUSED, "23": REFUSED}

_SAID = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<said>.*?)(?:\n|$)")
_DETAIL = re.compile(r"\nDETAIL:\s+(?P<said>[^\n]*)")
_DENIED = re.compile(r"permission denied for (?P<kind>table|view|schema|database|sequence|function) (?P<name>\S+)")
_CONNECTING = (
    (
        r"password authentication failed|no password supplied|role \".*\" does not exist|role \".*\" is not permitted",
        "check the user and the password in the address, PGPASSWORD or ~/.pgpass",
    ),
    (r"database \".*\" does not exist", "make it (`create database`), or name another with --warehouse"),
    (
        r"could not translate host name|Connection refused|timeout expired|No route|unreachable|No such file",
        "check the host and the port in the address, and that the server runs",
    ),
    (r"SSL|certificate|TLS", "check `sslmode` and `sslrootcert` in the address or PGSSLMODE and PGSSLROOTCERT"),
    (r"no pg_hba\.conf entry", "have the server's administrator let this role in from here (pg_hba.conf)"),
    (r"permission denied for database", "`grant connect on database` to the role"),
    (r"invalid URI query parameter|invalid .* value", "check the settings after the `?` in the address"),
)
_PASSING = re.compile(
    r"starting up|shutting down|in recovery mode|too many (?:clients|connections)|remaining connection"
)


def said(text: str) -> str:
    """Return what the server or libpq says, in one line, without the statement, its values and their place."""
    found = _SAID.search(text)
    if found:
        detail = _DETAIL.search(text)
        # a detail may quote a row; of a full disk or a lock it says nothing
        return found["said"].strip() + (f" ({detail['said'].strip()})" if detail and "Key (" in detail["said"] else "")
    line = text.strip().partition("\n")[0]
    for prefix in ("IO: ", "[libpq] ", "Failed to connect: "):
        line = line.removeprefix(prefix)
    return line


def cannot_connect(text: str, address: Address) -> WarehouseError:
    """Return the error for a connection that could not be made; `text` is libpq's."""
    reason = said(text)
    line = f"cannot connect to the warehouse {address.shown}: {reason}"
    if _PASSING.search(text):
        return WarehouseInterruptedError(f"{line}; wait until the server takes connections, and run again")
    hints = [hint for pattern, hint in _CONNECTING if re.search(pattern, text)]
    return WarehouseUnreachableError(
        f"{line}; {hints[0] if hints else 'check the address and that the server takes connections'}"
    )


def failed(code: str | None, text: str, address: Address, *, is_lost: bool) -> OperationError:
    """Return the error for a statement that failed.

    Args:
        code: SQLSTATE, where the driver says it.
        text: the driver's message.
        address: the warehouse.
        is_lost: whether the connection is gone.
    """
    reason = said(text)
    where = f"the warehouse {address.shown}"
    kind, line = _meaning(code, text, is_lost=is_lost)
    grant = _grant(text, address) if code == NO_RIGHTS else ""
    return kind(line.format(where=where, reason=reason, code=code or "unknown", role=address.user, grant=grant))


def _meaning(code: str | None, text: str, *, is_lost: bool) -> tuple[type[OperationError], str]:
    """Return the kind of an error and the pattern of its line."""
    of_tables = code in OUTDATED_TABLES or (code is None and "does not exist" in text)
    if is_lost or (code is not None and code.startswith("08") and not of_tables):
        return LOST
    if of_tables:
        return OUTDATED
    if code in INTERRUPTIONS:
        return UNDONE
    by_code = BY_CODE.get(code or "") or BY_CLASS.get((code or "")[:2])
    return by_code or (WarehouseError, "{where} failed: {reason} (SQLSTATE {code})")


def _grant(text: str, address: Address) -> str:
    """Return what would give the role the right it lacks."""
    role = f'"{address.user}"' if address.user else "the role"
    denied = _DENIED.search(text)
    if denied is None:
        return "run as the role that owns the tables (docs/reference/postgres.md)"
    kind, name = denied["kind"], denied["name"]
    rights = {
        "schema": f"grant usage, create on schema {name} to {role}",
        "database": f"grant connect, create on database {name} to {role}",
        "function": f"grant execute on function {name} to {role}",
    }.get(kind, f"grant select, insert, update, delete on {name} to {role}")
    return f"`{rights}`, or run as the role that owns the {kind} (docs/reference/postgres.md)"
