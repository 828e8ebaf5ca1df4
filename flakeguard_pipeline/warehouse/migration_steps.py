"""What migrations are made of besides Alembic's operations; called from `upgrade()` and `downgrade()` only.

Belongs here: what DuckDB cannot alter, and what stands in the way on Postgres. A released migration rests on these, so
what they do is not changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

DBT_SCHEMAS = ("staging", "intermediate", "marts")
"""Where dbt makes views. They hold nothing of their own, and dbt makes them again."""

_DEPENDENT = """
with recursive dependent (oid, depth) as (
    select cast(:name as regclass)::oid, 0
    union
    select r.ev_class, d.depth + 1
    from dependent as d
    inner join pg_depend as p on p.refobjid = d.oid and p.refclassid = 'pg_class'::regclass
    inner join pg_rewrite as r on r.oid = p.objid and p.classid = 'pg_rewrite'::regclass
    where r.ev_class <> d.oid
)
select format('%I.%I', n.nspname, c.relname) as name, c.relkind = 'm' as is_materialized
from dependent as d
inner join pg_class as c on c.oid = d.oid
inner join pg_namespace as n on n.oid = c.relnamespace
where d.depth > 0 and n.nspname in :schemas
group by 1, 2
order by max(d.depth) desc, 1
"""


def is_postgres() -> bool:
    """Say whether the migration runs on Postgres."""
    return op.get_bind().dialect.name == "postgresql"


def release_views(*tables: str) -> None:
    """Drop the views of dbt that rest on `tables` (`schema.name`), and have the next run build them again.

    To be called before a table or a column of it is dropped or changed: Postgres refuses that while a view names it.
    DuckDB binds views when they are read, so there they stay. A view that somebody else made is never dropped: where
    one stands in the way the migration fails, and says which.
    """
    if not is_postgres():
        return
    connection = op.get_bind()
    asked = sa.text(_DEPENDENT).bindparams(sa.bindparam("schemas", expanding=True))
    has_dropped = False
    for table in tables:
        for view in connection.execute(asked, {"name": table, "schemas": DBT_SCHEMAS}).all():
            op.execute(f"drop {'materialized ' if view.is_materialized else ''}view {view.name}")
            has_dropped = True
    if has_dropped:
        op.execute("delete from flakiness.dbt_build")


def rebuild_table(
    name: str,
    *columns: sa.Column[Any],
    key: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
) -> None:
    """Make a table of DuckDB anew with other columns or another key, and keep every row.

    For what DuckDB cannot alter: primary keys, and columns that its index rests on. Postgres alters tables in place,
    which keeps the grants on them. Everything happens in the migration's transaction. Comments are written again when
    the newest revision is reached.

    Args:
        name: the table, `schema.name`.
        columns: all its columns from now on, in order.
        key: its primary key from now on; empty for none.
        values: by column, the SQL expression over the old columns that fills it, where that is not the old column of
            the same name.

    Raises:
        RuntimeError: on Postgres, or when rows would be lost.
    """
    if is_postgres():
        raise RuntimeError(f"{name} is to be altered in place on Postgres")
    schema, _, old = name.partition(".")
    new = f"{old}__rebuilt"
    op.create_table(new, *columns, *([sa.PrimaryKeyConstraint(*key)] if key else []), schema=schema)
    given = values or {}
    into = ", ".join(f'"{column.name}"' for column in columns)
    expressions = ", ".join(given.get(column.name, f'"{column.name}"') for column in columns)
    op.execute(f"insert into {schema}.{new} ({into}) select {expressions} from {name}")  # noqa: S608 - the migration's
    kept, had = (_count(each) for each in (f"{schema}.{new}", name))
    if kept != had:
        raise RuntimeError(f"{name} has {had} rows, of which {kept} were kept")
    op.drop_table(old, schema=schema)
    op.rename_table(new, old, schema=schema)


def _count(table: str) -> int:
    return int(op.get_bind().scalar(sa.text(f"select count(*) from {table}")) or 0)  # noqa: S608 - the migration's
