"""Errors that come through SQLAlchemy or straight from a driver, on either engine, as one line for a person.

Migrations meet three drivers (DuckDB's own, ADBC, psycopg2), alone or wrapped by SQLAlchemy. Belongs here: unwrapping
them. What Postgres' errors mean, and what to do about them, says `postgres_errors`.
"""

import re

from flakeguard_pipeline.domain.errors import FlakeGuardError, WarehouseError
from flakeguard_pipeline.postgres_address import read_address, without_password
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_errors import DEPENDED_ON, advice_on, said

_DUCKDB_KIND = re.compile(r"^(?:[A-Za-z]+ )+Error: ")


def told(error: BaseException, warehouse: Warehouse, doing: str) -> FlakeGuardError:
    """Return what to raise in place of a driver's error; an error that is meant for people stays what it is.

    Args:
        error: what was raised.
        warehouse: where.
        doing: what could not be done, e.g. `cannot read the revision of the warehouse X`.
    """
    if isinstance(error, FlakeGuardError):
        return error
    own = getattr(error, "orig", None) or error
    if warehouse.dialect == "duckdb":
        return WarehouseError(f"{doing}: {_DUCKDB_KIND.sub('', _first_line(own))}")
    code = getattr(own, "sqlstate", None) or getattr(own, "pgcode", None)
    diagnostics = getattr(own, "diag", None)
    line = getattr(diagnostics, "message_primary", None) or said(str(own)) or type(own).__name__
    detail = getattr(diagnostics, "message_detail", None)
    if detail and code == DEPENDED_ON:  # what does; the details of others may quote a row
        line = f"{line} ({'; '.join(detail.splitlines())})"
    advice = advice_on(code, f"ERROR:  {line}", read_address(warehouse.url), is_lost=_is_lost(own))
    return WarehouseError(f"{doing}: {without_password(line, warehouse.url)}" + (f"; {advice}" if advice else ""))


def _is_lost(own: object) -> bool:
    """Say whether psycopg2 speaks of a connection that is gone, for which it has no SQLSTATE."""
    return type(own).__name__ in {"OperationalError", "InterfaceError"} and getattr(own, "pgcode", None) is None


def _first_line(own: object) -> str:
    return next(iter(str(own).strip().splitlines()), type(own).__name__)
