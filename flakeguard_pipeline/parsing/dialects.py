"""Which reader reads which document: told by the root element."""

from collections.abc import Callable

from flakeguard_pipeline.parsing import junit, nunit, trx, xunit_net
from flakeguard_pipeline.parsing.elements import DialectReader, Report

MakeReader = Callable[[Report, str, dict[str, str]], DialectReader]

READERS: dict[str, MakeReader] = {
    **dict.fromkeys(junit.ROOTS, junit.JUnitReader),
    **dict.fromkeys(trx.ROOTS, trx.TrxReader),
    **dict.fromkeys(nunit.ROOTS, nunit.NUnitReader),
    **dict.fromkeys(xunit_net.ROOTS, xunit_net.XunitNetReader),
}
"""Readers by root element, without its namespace."""


def reader_for(tag: str, attributes: dict[str, str]) -> MakeReader | None:
    """Return what reads a document with this root; None where it is no test report."""
    if tag in xunit_net.ROOTS and not xunit_net.claims(tag, attributes):
        return None
    return READERS.get(tag)
