"""`flakeguard sql`: ask the warehouse, in SQL or by one of the questions that come with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flakeguard_pipeline.cli.options import config_option, warehouse_option

if TYPE_CHECKING:
    from flakeguard_pipeline.operations.answers import Answer

FORMATS = ("table", "csv", "json", "parquet")

TABLE_ROWS = 50
"""Rows of a table unless --limit says otherwise: what somebody reads."""


@click.command(short_help="Ask the warehouse: SQL, or a question by its name.")
@click.argument("statement", required=False, metavar="[SQL]")
@click.option("--query", metavar="NAME", help="Instead of SQL: a question by its name.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--list", "show_list", is_flag=True, help="List the questions.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the answer."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE. [default: print]")
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help=f"At most N rows, 0 for all. [default: {TABLE_ROWS} in a table, else all]",
)
@warehouse_option
@config_option
def sql(
    *,
    statement: str | None,
    query: str | None,
    params: tuple[str, ...],
    show_list: bool,
    form: str,
    out: Path | None,
    limit: int | None,
    warehouse: str | None,
    config: Path | None,
) -> None:
    """Ask the warehouse one statement that only reads, or one of the questions that come with FlakeGuard.

    While a run writes the warehouse, its read-only copy is asked. A table shows columns in microseconds in units that
    people read; the other forms keep them exact.

    \b
    flakeguard sql --list
    flakeguard sql --query flakiest_tests --param days=14
    flakeguard sql --format csv "select * from marts.test_health"
    """
    if sum((statement is not None, query is not None, show_list)) != 1:
        raise click.UsageError("Give one of: a statement in SQL, --query NAME, or --list.")
    if show_list:
        if params:
            raise click.UsageError("--param goes with a statement or with --query.")
        _list()
        return
    if form == "parquet" and out is None:
        raise click.UsageError("Parquet is no text: name a file with --out.")

    from flakeguard_pipeline.operations.asked_revision import explained_by_revision
    from flakeguard_pipeline.operations.asking import ask
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse
    from flakeguard_pipeline.warehouse.questions import find_question

    values: Mapping[str, Any] = _given(params)
    text = statement or ""
    if query is not None:
        question = find_question(query)
        text, values = question.sql, question.bind(_given(params))
    place = Warehouse(load_settings(config, {"warehouse": warehouse}).warehouse)
    rows = TABLE_ROWS if limit is None and form == "table" and out is None else limit or None
    with explained_by_revision(place), ask(place, text, values, limit=None if rows is None else rows + 1) as answer:
        _say_whence(answer)
        is_cut = _answer(answer, form, out, rows)
    if is_cut:
        click.echo(f"There are more than these {rows:,} rows; --limit 0 shows all.", err=True)


def _list() -> None:
    from flakeguard_pipeline.warehouse.questions import questions

    known = questions()
    longest = max(len(each.name) for each in known)
    for each in known:
        click.echo(f"{each.name:<{longest}}  {each.asks}")
        for parameter in each.parameters:
            said = "needed" if parameter.default is None else f"default {parameter.default}"
            click.echo(
                f"{'':{longest}}    --param {parameter.name}=... ({parameter.kind}, {said}): {parameter.meaning}"
            )


def _given(params: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in params:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{each!r} is no parameter; write it like --param days=14.")
        if name in given:
            raise click.UsageError(f"The parameter {name!r} is given twice.")
        given[name] = value
    return given


def _say_whence(answer: "Answer") -> None:
    from datetime import UTC, datetime

    if answer.copied_at is not None:
        age = int((datetime.now(UTC) - answer.copied_at).total_seconds())
        click.echo(
            f"The warehouse is being written; this is its copy of {answer.copied_at:%Y-%m-%d %H:%M} UTC, "
            f"{_age(max(age, 0))} old.",
            err=True,
        )


def _age(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


def _answer(answer: "Answer", form: str, out: Path | None, limit: int | None) -> bool:
    """Write or print the answer; return whether it was cut at `limit`."""
    import io
    from itertools import chain, islice

    from flakeguard_pipeline.exports.rows import csv_lines, json_lines, write_parquet

    if form == "parquet":
        frame = answer.frame()
        buffer = io.BytesIO()
        write_parquet(frame if limit is None else frame.head(limit), buffer)
        _write(out, buffer.getvalue())
        return limit is not None and frame.height > limit
    names = [column.name for column in answer.columns]
    rows = chain.from_iterable(answer.batches())
    shown = rows if limit is None else islice(rows, limit)
    if form == "table":
        from flakeguard_pipeline.cli.table import render_table

        parts = iter([render_table(names, list(shown), width=_width() if out is None else None) + "\n"])
    else:
        parts = csv_lines(names, shown) if form == "csv" else json_lines(names, shown)
    if out is None:
        try:
            for part in parts:
                # as bytes: CSV ends its lines by itself, also where the platform would add to that
                click.echo(part.encode(), nl=False)
        except BrokenPipeError:  # `| head` has read enough
            _drop_output()
            return False
    else:
        _write(out, "".join(parts).encode())
    return limit is not None and next(rows, None) is not None


def _width() -> int | None:
    """Return the width of the terminal; None where standard output is none, so that nothing is cut."""
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain about the closed pipe at its end."""
    import os
    import sys

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _write(out: Path | None, data: bytes) -> None:
    from flakeguard_pipeline.exports.files import write_atomically

    if out is not None:
        write_atomically(out, data)
