"""Which reader reads which document: told by the root element."""

from collections.abc import Callable

from flakeguard_pipeline.parsing import junit
from flakeguard_pipeline.parsing.elements import DialectReader, Report

MakeReader = Callable[[Report, str, dict[str, str]], DialectReader]

READERS: dict[str, MakeReader] = {
    **dict.fromkeys(junit.ROOTS, junit.JUnitReader),
}
"""Readers by root element, without its namespace."""


def reader_for(tag: str, attributes: dict[str, str]) -> MakeReader | None:
    """Return what reads a document with this root; None where it is no test report."""
    del attributes
    return READERS.get(tag)
