"""What the databases' drivers say, as one line for a person: what is wrong and what to do, never a password.

Three drivers speak to the warehouse (DuckDB's own, ADBC, psycopg2), alone or wrapped by SQLAlchemy. Postgres' errors
are told apart by SQLSTATE, since their wording depends on the server's language.
"""

import re
from urllib.parse import unquote

from flakeguard_pipeline.domain.errors import FlakeGuardError, WarehouseError
from flakeguard_pipeline.warehouse.connection import Warehouse

ADVICE = {
    "42501": "grant that right to the role, or connect as the role that owns the tables",
    "2BP01": "drop what depends on it, migrate, and make it again",
    "55P03": "another session uses the table; close it, or try again when it has finished",
    "53100": "make room on the server's disk and run the command again",
    "57014": "raise or lift `statement_timeout` for this role and run the command again",
    "3D000": "create the database, or name another with --warehouse",
    "28P01": "check the role and its password",
    "28000": "check the role, and the server's pg_hba.conf",
}
"""What to do, by SQLSTATE."""

UNREACHABLE = "check the address, the role and its password, and that the server is up"

_NOISE = re.compile(r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:Failed to [a-z ]+: )?(?:[A-Za-z ]*Error: )?(?:ERROR:\s+)?")
_TAIL = re.compile(r"\. SQLSTATE: \w{5}$")
_USERINFO = re.compile(r"//(?:[^@/?#]*:)?([^@/?#]*)@")
_PARAMETER = re.compile(r"[?&](?:ssl)?password=([^&]*)")

HIDDEN = "***"


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters by which Postgres tells errors apart, whichever driver brings them."""
    own = getattr(error, "orig", None) or error
    code = getattr(own, "sqlstate", None) or getattr(own, "pgcode", None)
    return str(code) if code else None


def cause(error: BaseException, warehouse: Warehouse) -> str:
    """Return what went wrong as one line, without the password."""
    own = getattr(error, "orig", None) or error
    primary = getattr(getattr(own, "diag", None), "message_primary", None)
    lines = str(primary or own).strip().splitlines() or [type(own).__name__]
    line = _TAIL.sub("", _NOISE.sub("", lines[0], count=1)).strip() or type(own).__name__
    detail = getattr(getattr(own, "diag", None), "message_detail", None)
    if detail and sqlstate(error) == "2BP01":
        line = f"{line} ({'; '.join(str(detail).splitlines())})"
    return without_password(line, warehouse)


def without_password(text: str, warehouse: Warehouse) -> str:
    """Return `text` with the warehouse's password blotted out, wherever the driver may have quoted it."""
    if warehouse.dialect == "postgres":
        for found in (*_USERINFO.findall(warehouse.url), *_PARAMETER.findall(warehouse.url)):
            for each in {found, unquote(found)} - {"", *_users(warehouse.url)}:
                text = text.replace(each, HIDDEN)
    return text


def _users(url: str) -> set[str]:
    """Return what stands before the `@` where that is a name without a password."""
    found = re.search(r"//([^@/?#:]*)@", url)
    return {found[1], unquote(found[1])} if found else set()


def told(error: BaseException, warehouse: Warehouse, doing: str) -> FlakeGuardError:
    """Return what to raise in place of a driver's error; an error that is meant for people stays what it is.

    Args:
        error: what was raised.
        warehouse: where.
        doing: what could not be done, e.g. `cannot read the revision of the warehouse X`.
    """
    if isinstance(error, FlakeGuardError):
        return error
    advice = ADVICE.get(sqlstate(error) or "", UNREACHABLE if is_of_connecting(error) else "")
    return WarehouseError(f"{doing}: {cause(error, warehouse)}" + (f"; {advice}" if advice else ""))


def is_of_connecting(error: BaseException) -> bool:
    """Say whether a Postgres driver did not even get a session: then there is no SQLSTATE."""
    own = getattr(error, "orig", None) or error
    return sqlstate(error) is None and type(own).__module__.partition(".")[0] in {"psycopg2", "adbc_driver_manager"}
