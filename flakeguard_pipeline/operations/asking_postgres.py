"""Ask a Postgres warehouse: in a transaction that can only read, while others write.

Belongs here: what is particular to Postgres about asking. Does not belong here: how an answer is shown.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import chain, islice
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.errors import OperationError, UsageError
from flakeguard_pipeline.operations.answers import Answer, Column, position_of_caret, where
from flakeguard_pipeline.postgres_address import Address, read_address
from flakeguard_pipeline.warehouse import postgres_session as session
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.dialects import Parameters, positional, unnamed
from flakeguard_pipeline.warehouse.postgres_errors import NO_RIGHTS, READ_ONLY, failed, said
from flakeguard_pipeline.warehouse.statements import first_word, without_end

READING = frozenset({"select", "with", "values", "table", "explain", "show"})
"""First words of statements that read. Whatever else they try, the transaction refuses to write."""

COPIED = frozenset({"select", "with", "values", "table"})
"""Those of them that can be read row by row as they come, by COPY; the others answer in some lines."""

SEARCH_PATH = "public"
"""Where functions of extensions are found; every relation of ours is named with its schema."""

DIGITS = 38
"""Digits that a decimal of a frame, of Arrow or of Parquet has room for."""

_TYPE = b"ADBC:postgresql:typname"


@contextmanager
def ask_postgres(warehouse: Warehouse, sql: str, parameters: Parameters, limit: int | None) -> Iterator[Answer]:
    """Ask one statement that only reads; see `asking.ask`."""
    import adbc_driver_postgresql as driver  # noqa: PLC0415 - not paid where the warehouse is a file
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415

    address = read_address(warehouse.url)
    word = _first_word(sql)
    try:
        # the driver writes the statement into one of its own, where no semicolon and no comment may end it
        text, values = positional(f"{without_end(sql)}\n", parameters)
    except KeyError as error:
        raise UsageError(f"the statement names the parameter ${error.args[0]}, which is not given") from error
    if excess := unnamed(sql, parameters):
        raise UsageError(f"the statement does not name the parameter ${excess[0]}, which is given; leave it out")
    with session.borrowed(warehouse.url, read_only=True) as raw, raw.cursor() as cursor:
        with _explained(sql, address, raw):
            cursor.execute(f"set search_path = {SEARCH_PATH}")
            cursor.execute("begin transaction read only")
            copied = "true" if word in COPIED and not values else "false"
            cursor.adbc_statement.set_options(**{driver.StatementOptions.USE_COPY.value: copied})
            cursor.execute(text, values or None)
            reader = cursor.fetch_record_batch()
        columns = tuple(Column(each.name, _type_of(each)) for each in reader.schema)
        exact = [place for place, column in enumerate(columns) if column.type == "numeric"]
        rows = chain.from_iterable(_rows(batch, exact) for batch in _batches(reader, sql, address, raw))

        def whole() -> pl.DataFrame:
            import pyarrow as pa  # noqa: PLC0415

            table = pa.Table.from_batches(_batches(reader, sql, address, raw), reader.schema)
            for place in exact:  # texts of a type of the driver's own
                texts = [chunk.storage for chunk in table.column(place).chunks]
                table = table.set_column(place, columns[place].name, pa.chunked_array(texts, pa.string()))
            frame = pl.DataFrame(pl.from_arrow(table))
            return frame.with_columns(exact_numbers(frame.to_series(place)) for place in exact)

        try:
            yield Answer(columns, None, lambda number: list(islice(rows, number)), whole, limit)
        finally:
            reader.close()
            with suppress(adbc.Error), raw.cursor() as last:  # a lost session is dropped as it is
                last.execute("rollback")
                last.execute("set search_path = ''")


def exact_numbers(texts: pl.Series) -> pl.Series:
    """Return the numbers that texts of the type `numeric` say: exact wherever a column can hold all of them.

    Whole numbers are 64-bit integers, so that a sum is one on both engines, also a sum of nothing. Others, and larger
    ones, are decimals. What fits neither (more digits, NaN, infinity) is floating point.
    """
    parts = texts.str.split_exact(".", 1).struct.rename_fields(["whole", "fraction"]).struct.unnest()
    fractions = parts["fraction"].str.strip_chars_end("0").fill_null("")
    if not fractions.str.len_bytes().sum():
        whole = parts["whole"].cast(pl.Int64, strict=False)
        if whole.null_count() == texts.null_count():
            return whole.alias(texts.name)
    # as written where that fits, for the places of a column of money are not chance
    for written in (parts["fraction"].fill_null(""), fractions):
        places = written.str.len_bytes().max()
        decimals = _decimals(texts, places if isinstance(places, int) else 0)
        if decimals is not None:
            return decimals
    return texts.cast(pl.Float64)


def _decimals(texts: pl.Series, scale: int) -> pl.Series | None:
    """Return texts as decimals with `scale` places after the point, or None where some do not fit."""
    if scale > DIGITS:
        return None
    decimals = texts.cast(pl.Decimal(DIGITS, scale), strict=False)
    return decimals if decimals.null_count() == texts.null_count() else None


def _first_word(sql: str) -> str:
    """Return the word that a statement begins with; refuse what is no statement, or begins like one that writes."""
    if not without_end(sql):
        raise UsageError("the SQL is empty; write one statement")
    word = first_word(sql)
    if word not in READING:
        raise UsageError(
            f"`flakeguard sql` only reads, and this is a statement of the kind {word.upper() or 'unknown'}; write a "
            "select"
        )
    return word


def _type_of(field: Any) -> str:
    """Return the type of a column as Postgres calls it."""
    said_by_driver = (field.metadata or {}).get(_TYPE) or (field.metadata or {}).get(b"POSTGRESQL:type")
    return said_by_driver.decode().strip("'") if said_by_driver else str(field.type)


def _batches(reader: Any, sql: str, address: Address, raw: Any) -> Iterator[Any]:
    while True:
        with _explained(sql, address, raw):
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        yield batch


def _rows(batch: Any, exact: list[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a batch; exact numbers, which the driver brings as texts, as decimals."""
    columns = [column.to_pylist() for column in batch.columns]
    for place in exact:
        columns[place] = [None if value is None else Decimal(value) for value in columns[place]]
    return zip(*columns, strict=True)


@contextmanager
def _explained(sql: str, address: Address, raw: Any) -> Iterator[None]:
    """Turn the driver's errors into a line with the place in the text.

    Raises:
        UsageError: the statement is wrong.
        OperationError: the server cannot do it.
    """
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - not paid where the warehouse is a file
    import pyarrow as pa  # noqa: PLC0415

    try:
        yield
    except (adbc.Error, pa.ArrowException, OSError) as error:
        code, text = getattr(error, "sqlstate", None) or _code(str(error)), str(error)
    else:
        return
    raise _error(code, text, sql, address, is_lost=session.is_lost(raw))


def _code(text: str) -> str | None:
    found = re.search(r"SQLSTATE: (\w{5})", text)
    return found[1] if found else None


def _error(code: str | None, text: str, sql: str, address: Address, *, is_lost: bool) -> OperationError | UsageError:
    reason = said(text)
    if is_lost or code == NO_RIGHTS:
        return failed(code, text, address, is_lost=is_lost)
    if code == READ_ONLY:
        return UsageError(f"`flakeguard sql` only reads: {reason}; write a select")
    if code == "42601" and "multiple commands" in text:
        return UsageError("the SQL has several statements; write one statement")
    # what goes wrong while rows are read comes without a code
    if code is None or code[:2] in {"42", "22", "2F", "21", "0A", "3F"}:
        _, _, place = text.partition("\nLINE ")
        return UsageError(f"the statement is wrong: {reason}{where(sql, position_of_caret(place, sql))}")
    return failed(code, text, address, is_lost=is_lost)
