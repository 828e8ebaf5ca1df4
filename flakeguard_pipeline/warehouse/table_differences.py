"""How a warehouse's tables differ from the metadata. Belongs here: comparing. Not here: mending."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flakeguard_pipeline.warehouse.catalogue import Catalogue, FoundColumn, read_catalogue
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.dialects import Dialect
from flakeguard_pipeline.warehouse.load import name_of
from flakeguard_pipeline.warehouse.migrate import VERSION_TABLE
from flakeguard_pipeline.warehouse.tables import metadata

TYPES: Mapping[Dialect, Mapping[type[Any], str]] = {
    "duckdb": {
        sa.Text: "varchar",
        sa.BigInteger: "bigint",
        sa.Integer: "integer",
        sa.Boolean: "boolean",
        sa.Double: "double",
        sa.DateTime: "timestamp with time zone",
    },
    "postgres": {
        sa.Text: "text",
        sa.BigInteger: "bigint",
        sa.Integer: "integer",
        sa.Boolean: "boolean",
        sa.Double: "double precision",
        sa.DateTime: "timestamp with time zone",
    },
}
"""What each engine calls the metadata's types."""

COLLATION = "C"
"""Bytewise: what comparisons and orderings rest on."""

WRITE_COMMENTS = "`flakeguard migrate up` writes it"

RESTORE = "restore the warehouse from a backup, or let `flakeguard run` load the landing zone into a new one"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a table is not what the metadata says, and what to do about it."""

    table: str
    column: str
    found: str
    remedy: str
    is_comment: bool = False


def differences(connection: Connection) -> list[Difference]:
    """Return every difference, by table in the metadata's order; tables that we do not know come last."""
    found = read_catalogue(connection)
    ours = {name_of(table): table for table in metadata.tables.values()}
    told = [each for name, table in ours.items() for each in _of_table(name, table, found, connection.dialect)]
    foreign = [name for name in sorted(found.columns) if name not in ours and name != f"core.{VERSION_TABLE}"]
    return told + [
        Difference(name, "", "not one of FlakeGuard's", "move it to a schema of your own") for name in foreign
    ]


def _of_table(name: str, table: sa.Table, found: Catalogue, dialect: Dialect) -> Iterator[Difference]:
    if name not in found.comments:
        kind = "a view, and not a table" if name in found.columns else "missing"
        yield Difference(name, "", kind, RESTORE)
        return
    columns = {each.name: each for each in found.columns[name]}
    for column in table.columns:
        yield from _of_column(name, column, columns.pop(column.name, None), dialect)
    for left in columns.values():
        yield Difference(
            name, left.name, "not one of FlakeGuard's", f"alter table {name} drop column {_quoted(left.name)}"
        )
    yield from _of_key(name, table, found.keys.get(name, ()), dialect)
    yield from _of_indexes(name, table, found, dialect)
    if found.comments[name] != (table.comment or ""):
        yield Difference(name, "", "its comment is another", WRITE_COMMENTS, is_comment=True)


def _of_column(name: str, column: sa.Column[Any], found: FoundColumn | None, dialect: Dialect) -> Iterator[Difference]:
    wanted = TYPES[dialect][type(column.type)]
    typed = f'{wanted} collate "C"' if dialect == "postgres" and wanted == "text" else wanted
    alter = f"alter table {name} alter column {_quoted(column.name)}"
    if found is None:
        null = "" if column.nullable else ", fill it, and set it not null"
        yield Difference(
            name,
            column.name,
            "missing",
            f"restore it from a backup, or: alter table {name} add column {_quoted(column.name)} {typed}{null}",
        )
        return
    if found.type != wanted:
        yield Difference(name, column.name, f"{found.type}, and not {wanted}", f"{alter} type {typed}")
    elif found.collation not in {"", COLLATION}:
        yield Difference(
            name, column.name, f'collation "{found.collation}", and not "{COLLATION}"', f"{alter} type {typed}"
        )
    if found.is_nullable and not column.nullable:
        yield Difference(name, column.name, "may be null", f"{alter} set not null")
    elif column.nullable and not found.is_nullable:
        yield Difference(name, column.name, "may not be null", f"{alter} drop not null")
    if found.comment != (column.comment or ""):
        yield Difference(name, column.name, "its comment is another", WRITE_COMMENTS, is_comment=True)


def _of_key(name: str, table: sa.Table, found: tuple[str, ...], dialect: Dialect) -> Iterator[Difference]:
    is_primary = table.info["enforced"] and not (dialect == "postgres" and table.info["hashed"])
    wanted: tuple[str, ...] = table.info["key"] if is_primary else ()
    if found == wanted:
        return
    said = f"primary key ({', '.join(found)})" if found else "no primary key"
    if wanted:
        remedy = f"alter table {name} add primary key ({', '.join(wanted)})"
        yield Difference(name, "", f"{said}, and not ({', '.join(wanted)})", remedy)
    else:
        yield Difference(name, "", f"{said}, and should have none", f"drop the primary key of {name}")


def _of_indexes(name: str, table: sa.Table, found: Catalogue, dialect: Dialect) -> Iterator[Difference]:
    """Compare the indexes that we make; others, which people add for their own queries, are welcome."""
    if dialect != "postgres":
        return
    there = {each.name: each for each in found.indexes.get(name, ())}
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        covered = ", ".join(getattr(each, "name", None) or str(each) for each in index.expressions)
        make = f"create {'unique ' if index.unique else ''}index {index.name} on {name} ({covered})"
        at = there.get(str(index.name))
        if at is None:
            yield Difference(name, "", f"no index {index.name}", make)
        elif (at.definition, at.is_unique) != (_plain(covered), bool(index.unique)):
            yield Difference(
                name, "", f"index {index.name} covers ({at.definition}), and not ({covered})", f"drop it, and {make}"
            )


def _plain(covered: str) -> str:
    """Return what an index covers as Postgres shows it."""
    return covered.replace(", 0)", ", 0::bigint)")


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name == name.lower() else '"' + name.replace('"', '""') + '"'
