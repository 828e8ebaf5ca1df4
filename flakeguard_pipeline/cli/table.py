"""Rows as a table that fits the terminal. Belongs here: what people see. For programs there are CSV and JSON."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

GAP = "  "

MIN_WIDTH = 12
"""Cells in which a name can still be told from others; a table that needs narrower columns is shown as a list."""

MICROSECONDS = "_us"
"""Ends the names of columns in microseconds; a table shows them in units that people read."""


def render_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int | None) -> str:
    """Return rows as a table of at most `width` cells (None: as wide as it gets).

    Long texts lose their beginning, since the end of a name tells tests apart. Where even that does not make it fit,
    each row is a list of its columns.
    """
    if not columns:
        return ""
    heads = [name.removesuffix(MICROSECONDS) for name in columns]
    shown = [[_shown(name, value) for name, value in zip(columns, row, strict=True)] for row in rows]
    is_number = [_is_number(index, rows) for index in range(len(columns))]
    wanted = [max([cells(head), *(cells(row[index]) for row in shown)], default=0) for index, head in enumerate(heads)]
    widths = _fitted(wanted, is_number, width)
    if widths is None:
        return "\n".join(_as_lists(heads, shown, width or 0))
    lines = [_line(heads, widths, is_number), _line(["-" * each for each in widths], widths, is_number)]
    lines += [_line(row, widths, is_number) for row in shown]
    return "\n".join(lines)


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def _shown(column: str, value: Any) -> str:
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case int() if column.endswith(MICROSECONDS):
            text = _duration(value)
        case float():
            text = f"{value:.4g}"
        case datetime():
            text = value.strftime("%Y-%m-%d %H:%M")
        case _:
            # what a test wrote into its message must not steer the terminal
            text = "".join(each if each.isprintable() else " " for each in str(value))
    return text


def _duration(microseconds: int) -> str:
    """Return a duration in the unit in which it has one to four digits before the point."""
    size = abs(microseconds)
    for unit, factor in (("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1000)):
        if size >= factor * (2 if unit in {"h", "min"} else 1):
            return f"{microseconds / factor:.1f} {unit}"
    return f"{microseconds} us"


def _is_number(index: int, rows: Sequence[Sequence[Any]]) -> bool:
    values = [row[index] for row in rows if row[index] is not None]
    return bool(values) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _fitted(wanted: list[int], is_number: list[bool], width: int | None) -> list[int] | None:
    """Return widths that fit, the widest texts cut first; None where there are none."""
    widths = list(wanted)
    if width is None:
        return widths
    room = width - len(GAP) * (len(widths) - 1)
    while sum(widths) > room:
        texts = [each for index, each in enumerate(widths) if not is_number[index] and each > MIN_WIDTH]
        if not texts:
            return None
        widest = max(texts)
        widths[next(i for i, each in enumerate(widths) if each == widest and not is_number[i])] -= 1
    return widths


def _line(row: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    parts = []
    for text, width, right in zip(row, widths, is_number, strict=True):
        cut = _cut(text, width)
        fill = " " * (width - cells(cut))
        parts.append(fill + cut if right else cut + fill)
    return GAP.join(parts).rstrip()


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    kept = text
    while cells(kept) > width - 1:
        kept = kept[1:]
    return "…" + kept


def _as_lists(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    longest = max(cells(head) for head in heads)
    for number, row in enumerate(rows):
        if number:
            yield ""
        for head, text in zip(heads, row, strict=True):
            line = f"{head}{' ' * (longest - cells(head))}{GAP}{text}".rstrip()
            yield _cut_end(line, max(width, longest + MIN_WIDTH))


def _cut_end(text: str, width: int) -> str:
    kept = text
    while cells(kept) > width:
        kept = kept[:-2] + "…"
    return kept
