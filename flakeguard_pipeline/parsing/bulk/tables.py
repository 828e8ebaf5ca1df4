"""The native parser: joined reports in, tables by declared paths out."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from xml2arrow import Xml2ArrowError, XmlToArrowParser

from flakeguard_pipeline.parsing.bulk.simple import SimpleReport

SUITE = ["report", "suite_number"]
"""Identity of a suite: position of its report, position of the suite in it."""

CASE = [*SUITE, "case"]
"""Identity of a test case."""

NO_KEY = ""

_CONTROLS = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]"


class ParseFaultError(Exception):
    """The joined reports could not be parsed."""


def joined(reports: Sequence[SimpleReport], key: str = NO_KEY) -> bytes:
    """Return one document of all reports, each in an element with `key`; a single suite gets the root it lacks."""
    opening = f'<report key="{key}">'.encode() if key else b"<report>"
    parts: list[bytes | memoryview] = [b"<reports>"]
    for report in reports:
        if report.is_single_suite:
            parts += (opening, b"<testsuites>", report.root, b"</testsuites></report>")
        else:
            parts += (opening, report.root, b"</report>")
    parts.append(b"</reports>")
    return b"".join(parts)


def parse(name: str, document: bytes) -> dict[str, Any]:
    """Return the tables of joined reports by one of the declarations beside this module; threads may do so at once.

    Raises:
        ParseFaultError: a report is not well-formed, or not as declared.
    """
    try:
        return _parser(name).parse(document)
    except (Xml2ArrowError, ValueError, OSError) as error:
        raise ParseFaultError from error
    except BaseException as error:
        # a panic of the native code is no Exception; it must not end a run of thousands of reports
        if type(error).__name__ == "PanicException":
            raise ParseFaultError from error
        raise


@cache
def _parser(name: str) -> XmlToArrowParser:
    return XmlToArrowParser(Path(__file__).with_name(f"{name}.yml"))


def table(parsed: dict[str, Any], name: str) -> pl.DataFrame:
    """Return a table of a parse; its positions are called `report`, `suite_number`, `case` and `child`."""
    frame = pl.DataFrame(pl.from_arrow(parsed[name]))
    positions = {"<report>": "report", "<suite>": "suite_number", "<case>": "case", "<child>": "child"}
    return frame.rename({old: new for old, new in positions.items() if old in frame.columns})


def without(frame: pl.DataFrame, reports: set[int]) -> pl.DataFrame:
    """Return a frame without the rows of some reports."""
    if not reports:
        return frame
    return frame.filter(~pl.col("report").is_in(pl.Series(sorted(reports), dtype=pl.UInt32()).implode()))


def with_odd_characters(frame: pl.DataFrame) -> set[int]:
    """Return the reports with characters that only a reference can have brought in."""
    texts = [
        name for name, kind in frame.schema.items() if kind == pl.String and frame[name].null_count() < frame.height
    ]
    if not texts:
        return set()
    odd = frame.filter(pl.any_horizontal(pl.col(name).str.contains(_CONTROLS) for name in texts))
    return set(odd["report"].to_list())


def placed(values: pl.Series, rows: pl.Series, height: int) -> pl.Series:
    """Return a text column of `height` rows that has `values` at `rows` and is '' elsewhere."""
    return pl.Series(values.name, [""]).new_from_index(0, height).scatter(rows, values)
