"""What Postgres and libpq say, as errors that a person can act on. The codes are SQLSTATE's.

Belongs here: which error means what, and its one line. Does not belong here: what is tried again, and when.
"""

import re
from dataclasses import dataclass
from typing import Final

from flakeguard_pipeline.bundled import dbt_models
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

DEPENDED_ON: Final = "2BP01"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error means: its kind, what it says of the warehouse, and what to do about it."""

    kind: type[OperationError]
    what: str
    advice: str = ""


LOST = Meaning(
    WarehouseInterruptedError,
    "the connection to {where} was lost",
    "the transaction was undone, and running again completes the work",
)
UNDONE = Meaning(
    WarehouseInterruptedError,
    "{where} undid a transaction",
    "nothing is half-written, and running again completes the work",
)
OUTDATED = Meaning(
    WarehouseError, "{where} has other tables than FlakeGuard made", "`flakeguard migrate check` shows what differs"
)
FULL = Meaning(
    WarehouseError, "{where} is out of room", "nothing is half-written; make room on the server, and run again"
)
REFUSED = Meaning(OperationError, "{where} refuses a value")
BY_CODE: dict[str, Meaning] = {
    LOCK_TIMEOUT: Meaning(
        WarehouseLockedError,
        "{where} is locked by another process",
        "another session uses the table; wait until it has finished, or end it, and run again",
    ),
    CANCELLED: Meaning(
        WarehouseError,
        "{where} ended a statement",
        "nothing is half-written; allow more time (`statement_timeout`, docs/reference/postgres.md)",
    ),
    NO_RIGHTS: Meaning(WarehouseError, "{where} refuses the role {role}", "{grant}"),
    READ_ONLY: Meaning(WarehouseError, "{where} takes no writes", "name the primary server with --warehouse"),
    DEPENDED_ON: Meaning(
        WarehouseError,
        "{where} has something that FlakeGuard did not make and that depends on its tables",
        "drop it, migrate, and make it again",
    ),
}
BY_CLASS: dict[str, Meaning] = {"53": FULL, "58": FULL, "22": REFUSED, "23": REFUSED}
"""Classes of SQLSTATE: 58 is the operating system's, which is how a full or broken disk often shows."""

_SAID = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<said>.*?)(?:\n|$)")
_DRIVER = re.compile(r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:Failed to connect: )?")
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
    return _DRIVER.sub("", line)


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
    meaning = meaning_of(code, text, is_lost=is_lost)
    if meaning is None:
        meaning = Meaning(WarehouseError, "{where} failed", f"SQLSTATE {code or 'unknown'}")
    what = meaning.what.format(where=f"the warehouse {address.shown}", role=address.user)
    advice = advice_on(code, text, address, is_lost=is_lost) if meaning.advice.startswith("{") else meaning.advice
    return meaning.kind(f"{what}: {said(text)}" + (f"; {advice}" if advice else ""))


def meaning_of(code: str | None, text: str, *, is_lost: bool = False) -> Meaning | None:
    """Return what an error means; None: nothing that we know of."""
    of_tables = code in OUTDATED_TABLES or (code is None and "does not exist" in text)
    if is_lost or (code is not None and code.startswith("08") and not of_tables):
        return LOST
    if of_tables:
        return OUTDATED
    if code in INTERRUPTIONS:
        return UNDONE
    return BY_CODE.get(code or "") or BY_CLASS.get((code or "")[:2])


def advice_on(code: str | None, text: str, address: Address, *, is_lost: bool = False) -> str:
    """Return what to do about an error; '' where nothing is known."""
    meaning = meaning_of(code, text, is_lost=is_lost)
    grant = _grant(text, address) if code == NO_RIGHTS else ""
    return meaning.advice.format(grant=grant) if meaning else ""


def _grant(text: str, address: Address) -> str:
    """Return what would give the role the right it lacks."""
    owned = "run as the role that owns {} (docs/reference/postgres.md)"
    denied = _DENIED.search(text)
    if denied is None:
        return owned.format("the tables")
    role = '"{}"'.format(address.user.replace('"', '""')) if address.user else "the role"
    kind, name = denied["kind"], denied["name"]
    match kind:
        case "schema":
            right = f"grant usage, create on schema {name} to {role}"
        case "database":
            right = f"grant connect, create on database {name} to {role}"
        case "function":
            right = f"grant execute on function {name} to {role}"
        case _:
            schema = _schema_of(kind, name)
            if schema is None:
                return f"have the owner of the {kind} {name} grant {role} what is needed, or {owned.format('it')}"
            # views are only read, but by those who own them
            rights = "select" if kind == "view" else "select, insert, update, delete"
            # who may not use one table of a schema will lack the next one, too
            right = f"grant {rights} on all tables in schema {schema} to {role}"
    return f"`{right}`, or {owned.format(f'the {kind}')}"


def _schema_of(kind: str, name: str) -> str | None:
    """Return the schema of a table or view of ours, which the server does not say; None: it is not ours."""
    # not paid where no right is lacking
    from flakeguard_pipeline.warehouse.migrate import VERSION_TABLE  # noqa: PLC0415
    from flakeguard_pipeline.warehouse.tables import metadata  # noqa: PLC0415

    # some marts, which are views, bear the name of a table
    if kind == "table":
        schemas = {table.name: table.schema for table in metadata.tables.values()} | {VERSION_TABLE: "core"}
        if name in schemas:
            return schemas[name]
    return dbt_models().get(name)
