"""The native parser: joined reports in, tables by declared paths out."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from xml2arrow import XmlToArrowParser

from flakeguard_pipeline.parsing.bulk.simple import SimpleReport

SUITE = ["report", "suite_number"]
"""Identity of a suite: position of its report, position of the suite in it."""

CASE = [*SUITE, "case"]
"""Identity of a test case."""

END = b"</report>"
"""What ends each of the joined reports."""


def joined(reports: Sequence[SimpleReport]) -> bytes:
    """Return one document of all reports; a single suite gets the root that it could have had."""
    parts: list[bytes | memoryview] = [b"<reports>"]
    for report in reports:
        if report.is_single_suite:
            parts += (b"<report><testsuites>", report.root, b"</testsuites></report>")
        else:
            parts += (b"<report>", report.root, END)
    parts.append(b"</reports>")
    return b"".join(parts)


@cache
def parser(name: str) -> XmlToArrowParser:
    """Return the parser of one of the declarations beside this module; threads may share it."""
    return XmlToArrowParser(Path(__file__).with_name(f"{name}.yml"))


def table(parsed: dict[str, Any], name: str) -> pl.DataFrame:
    """Return a table of a parse; its positions are called `report`, `suite_number`, `case` and `child`."""
    frame = pl.DataFrame(pl.from_arrow(parsed[name]))
    positions = {"<report>": "report", "<suite>": "suite_number", "<case>": "case", "<child>": "child"}
    return frame.rename({old: new for old, new in positions.items() if old in frame.columns})
