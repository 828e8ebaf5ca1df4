"""Which rights on a Postgres database a migrator needs, asked for before it begins.

The server's own refusals come late, and do not name the statement that would mend them.
"""

import sqlalchemy as sa

from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.tables import SCHEMAS


def require_rights(connection: sa.Connection, warehouse: Warehouse) -> None:
    """Refuse a role that may not create schemas and tables, or does not own the tables that are there.

    Raises:
        WarehouseError: it says which right is missing, and the statement that grants it.
    """
    asked = connection.execute(
        sa.text("select current_user, current_database(), has_database_privilege(current_database(), 'CREATE')")
    ).one()
    role, database, may_create = str(asked[0]), str(asked[1]), bool(asked[2])
    schemas = {
        str(row.nspname): row
        for row in connection.execute(
            sa.text(
                "select nspname, has_schema_privilege(oid, 'CREATE') as may_create, "
                "has_schema_privilege(oid, 'USAGE') as may_use from pg_namespace where nspname in :schemas"
            ).bindparams(sa.bindparam("schemas", expanding=True)),
            {"schemas": SCHEMAS},
        )
    }
    missing = [name for name in SCHEMAS if name not in schemas]
    quoted = connection.dialect.identifier_preparer.quote
    told = f"the role {role} may not migrate the warehouse {warehouse.shown}"
    lines = []
    if missing and not may_create:
        lines.append(f"it may create no schema; `grant create on database {quoted(database)} to {quoted(role)}`")
    closed = [name for name, row in sorted(schemas.items()) if not (row.may_create and row.may_use)]
    if closed:
        named = ", ".join(closed)
        lines.append(f"it may create nothing in {named}; `grant usage, create on schema {named} to {quoted(role)}`")
    foreign = connection.execute(
        sa.text(
            "select c.oid::regclass::text as name, pg_get_userbyid(c.relowner) as owner from pg_class as c "
            "where c.relnamespace in (select oid from pg_namespace where nspname in :schemas) "
            "and c.relkind in ('r', 'p') and not pg_has_role(c.relowner, 'USAGE') order by c.relname limit 1"
        ).bindparams(sa.bindparam("schemas", expanding=True)),
        {"schemas": SCHEMAS},
    ).one_or_none()
    if foreign:
        lines.append(
            f"{foreign.name} belongs to {foreign.owner}; connect as {foreign.owner}, or "
            f"`grant {quoted(foreign.owner)} to {quoted(role)}`"
        )
    connection.rollback()
    if lines:
        raise WarehouseError(f"{told}: {'; '.join(lines)}")
