"""What materialisations tell people: tables, bars, counts. Markdown and inline SVG, made from plain values."""

import base64
import html
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from flakeguard_pipeline.domain.model import ISSUES, IssueCode

PREVIEW_ROWS = 20
"""Rows in a preview: what fits a screen."""

CELL_CHARACTERS = 90


def table(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return a Markdown table of at most `PREVIEW_ROWS` rows."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in itertools.islice(rows, PREVIEW_ROWS)]
    return dg.MetadataValue.md("\n".join(lines))


def preview(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Return the first rows of a frame as a Markdown table."""
    return table(frame.head(PREVIEW_ROWS).iter_rows(), frame.columns)


def reasons(rejected: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """Return reason codes and how often each occurred."""
    ordered = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    return table(ordered, ("reason code", "files")) if ordered else dg.MetadataValue.md("nothing was rejected")


def issues(found: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """Return issue codes, in how many reports each was found, and what it means."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    rows = [(code, reports, ISSUES[IssueCode(code)]) for code, reports in ordered]
    return table(rows, ("issue code", "reports", "each")) if rows else dg.MetadataValue.md("nothing to mend")


def lines(texts: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return texts as a list, each whole: such lines say what to do at their end."""
    shown = (html.escape(" ".join(text.split()), quote=False) for text in texts[:PREVIEW_ROWS])
    return dg.MetadataValue.md("\n".join(f"- {text}" for text in shown) or "none")


def texts_of(markdown: str) -> list[str]:
    """Return the texts that `lines` made a list of."""
    return [html.unescape(line.removeprefix("- ")) for line in markdown.splitlines()]


def bars(values: Mapping[str, int], title: str) -> dg.MarkdownMetadataValue:
    """Return a bar chart of `values` in their order, as an image inside Markdown."""
    width, height, gap = 640, 120, 1
    most = max(values.values(), default=0) or 1
    step = width / max(len(values), 1)
    shapes = "".join(
        f'<rect x="{index * step:.2f}" y="{height - value / most * height:.2f}" width="{max(step - gap, 0.5):.2f}" '
        f'height="{value / most * height:.2f}"><title>{html.escape(label)}: {value}</title></rect>'
        for index, (label, value) in enumerate(values.items())
    )
    ends = list(values)
    first, last = (html.escape(ends[0]), html.escape(ends[-1])) if ends else ("", "")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 18}" font-size="12" '
        f'font-family="sans-serif" fill="#4f6bed">{shapes}<g fill="#666"><text x="0" y="{height + 14}">{first}</text>'
        f'<text x="{width}" y="{height + 14}" text-anchor="end">{last} (most: {most})</text></g></svg>'
    )
    encoded = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return dg.MetadataValue.md(f"{title}\n\n![{title}](data:image/svg+xml;base64,{encoded})")


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    text = text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"
    return html.escape(text, quote=False).replace("|", "\\|")
