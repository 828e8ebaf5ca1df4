"""How an answer of the warehouse is asked for and shown: the options that its commands share, and its forms."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flakeguard_pipeline.operations.answers import Answer

FORMATS = ("table", "csv", "json", "parquet")

TABLE_ROWS = 50
"""Rows of a table unless --limit says otherwise: what somebody reads."""


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, --out and --limit to a command, as `form`, `out` and `limit`."""
    options = (
        click.option(
            "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True,
            help="Form of the answer.",
        ),
        click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE. [default: print]"),
        click.option(
            "--limit",
            type=click.IntRange(0),
            metavar="N",
            help=f"At most N rows, 0 for all. [default: {TABLE_ROWS} in a table, else all]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def require_place(form: str, out: Path | None) -> None:
    """Refuse to print what is no text.

    Raises:
        UsageError: Parquet without a file.
    """
    if form == "parquet" and out is None:
        raise click.UsageError("Parquet is no text: name a file with --out.")


def rows_wanted(form: str, out: Path | None, limit: int | None) -> int | None:
    """Return after how many rows an answer is cut; None: never."""
    return TABLE_ROWS if limit is None and form == "table" and out is None else limit or None


def show_cut(answer: "Answer", form: str, out: Path | None, rows: int | None) -> None:
    """Write or print an answer that was asked with one row more than `rows`; say where it comes from and was cut."""
    say_whence(answer)
    if show_answer(answer, form, out, rows):
        click.echo(f"There are more than these {rows:,} rows; --limit 0 shows all.", err=True)


def say_whence(answer: "Answer") -> None:
    """Say so where the read-only copy answers."""
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


def show_answer(answer: "Answer", form: str, out: Path | None, limit: int | None) -> bool:
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
