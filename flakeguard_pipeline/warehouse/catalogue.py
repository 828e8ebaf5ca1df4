"""What an engine's own catalogue says of our tables: columns, keys, indexes and comments, in one form for both.

SQLAlchemy's inspector would read the same, but names DuckDB's schemas by database and schema, so that Alembic's own
comparison takes every table there for missing; and it does not tell collations.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.dialects import Dialect

_COLUMNS: Mapping[Dialect, str] = {
    "duckdb": """
        select
            schema_name || '.' || table_name as table_name,
            column_name,
            lower(data_type) as data_type,
            is_nullable,
            'C' as collation_name,
            coalesce(comment, '') as comment
        from duckdb_columns()
        where database_name = current_database() and schema_name in ($core, $flakiness, $quarantine)
        order by schema_name, table_name, column_index
    """,
    "postgres": """
        select
            n.nspname || '.' || c.relname as table_name,
            a.attname::text as column_name,
            format_type(a.atttypid, a.atttypmod) as data_type,
            not a.attnotnull as is_nullable,
            coalesce(o.collname::text, '') as collation_name,
            coalesce(col_description(c.oid, a.attnum), '') as comment
        from pg_attribute as a
        inner join pg_class as c on a.attrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        left join pg_collation as o on a.attcollation = o.oid
        where
            n.nspname in ($core, $flakiness, $quarantine)
            and c.relkind in ('r', 'p', 'v', 'm', 'f')
            and a.attnum > 0
            and not a.attisdropped
        order by n.nspname, c.relname, a.attnum
    """,
}

_TABLES: Mapping[Dialect, str] = {
    "duckdb": """
        select schema_name || '.' || table_name as table_name, coalesce(comment, '') as comment
        from duckdb_tables()
        where database_name = current_database() and schema_name in ($core, $flakiness, $quarantine)
        order by schema_name, table_name
    """,
    "postgres": """
        select n.nspname || '.' || c.relname as table_name, coalesce(obj_description(c.oid, 'pg_class'), '') as comment
        from pg_class as c
        inner join pg_namespace as n on c.relnamespace = n.oid
        where n.nspname in ($core, $flakiness, $quarantine) and c.relkind in ('r', 'p')
        order by n.nspname, c.relname
    """,
}

_KEYS: Mapping[Dialect, str] = {
    "duckdb": """
        select schema_name || '.' || table_name as table_name, unnest(constraint_column_names) as column_name
        from duckdb_constraints()
        where
            database_name = current_database()
            and schema_name in ($core, $flakiness, $quarantine)
            and constraint_type = 'PRIMARY KEY'
    """,
    "postgres": """
        select n.nspname || '.' || c.relname as table_name, a.attname::text as column_name
        from pg_constraint as k
        inner join pg_class as c on k.conrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        cross join lateral unnest(k.conkey) with ordinality as p (attnum, place)
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum = p.attnum
        where n.nspname in ($core, $flakiness, $quarantine) and k.contype = 'p'
        order by n.nspname, c.relname, p.place
    """,
}

_INDEXES: Mapping[Dialect, str] = {
    "duckdb": """
        select schema_name || '.' || table_name as table_name, index_name, is_unique, expressions as definition
        from duckdb_indexes()
        where database_name = current_database() and schema_name in ($core, $flakiness, $quarantine)
        order by schema_name, table_name, index_name
    """,
    "postgres": """
        select
            n.nspname || '.' || c.relname as table_name,
            x.relname::text as index_name,
            i.indisunique as is_unique,
            (
                select string_agg(pg_get_indexdef(i.indexrelid, place, true), ', ' order by place)
                from generate_series(1, i.indnkeyatts) as place
            ) as definition
        from pg_index as i
        inner join pg_class as x on i.indexrelid = x.oid
        inner join pg_class as c on i.indrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where n.nspname in ($core, $flakiness, $quarantine) and not i.indisprimary and i.indisvalid
        order by n.nspname, c.relname, x.relname
    """,
}


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as the engine has it. `collation` is '' where the type has none."""

    name: str
    type: str
    is_nullable: bool
    collation: str
    comment: str


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index that is no primary key; `definition` is what it covers, in the engine's words."""

    name: str
    is_unique: bool
    definition: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is in our schemas, each by `schema.table`."""

    columns: Mapping[str, Sequence[FoundColumn]]
    keys: Mapping[str, tuple[str, ...]]
    indexes: Mapping[str, Sequence[FoundIndex]]
    comments: Mapping[str, str]


def read_catalogue(connection: Connection) -> Catalogue:
    """Return what the engine says of the schemas that we own."""
    names = {"core": "core", "flakiness": "flakiness", "quarantine": "quarantine"}
    dialect = connection.dialect
    columns: dict[str, list[FoundColumn]] = defaultdict(list)
    for table, *rest in connection.read(_COLUMNS[dialect], names).iter_rows():
        columns[table].append(FoundColumn(*rest))
    keys: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for table, column in connection.read(_KEYS[dialect], names).iter_rows():
        keys[table] += (column,)
    indexes: dict[str, list[FoundIndex]] = defaultdict(list)
    for table, *rest in connection.read(_INDEXES[dialect], names).iter_rows():
        indexes[table].append(FoundIndex(*rest))
    comments = dict(connection.read(_TABLES[dialect], names).iter_rows())
    return Catalogue(columns, keys, indexes, comments)
