"""Which writers reports are from, by the attributes of their roots and first suites that the kernel took note of."""

from flakeguard_pipeline.parsing.bulk import layout
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.writers import PYTEST_ROOT, writer_of

_NAMES = tuple(mark.decode() for mark in layout.MARKS)


def writers(scanned: Scanned) -> tuple[list[str | None], set[int]]:
    """Return the dialect of each report that was read, None for others; and the reports whose root is pytest's."""
    found: list[str | None] = [None] * len(scanned.good)
    pytests = set[int]()
    rows = scanned.marks.tolist()
    for number in scanned.good.nonzero()[0].tolist():
        is_single_suite, *spans = rows[number]
        half = 2 * len(_NAMES)
        root = _said(scanned, number, spans[:half])
        if is_single_suite:
            found[number] = writer_of("testsuite", root, root)
        else:
            found[number] = writer_of("testsuites", root, _said(scanned, number, spans[half:]))
        if root.get("name") == PYTEST_ROOT:
            pytests.add(number)
    return found, pytests


def _said(scanned: Scanned, report: int, spans: list[int]) -> dict[str, str]:
    said = {}
    for name, start, length in zip(_NAMES, spans[::2], spans[1::2], strict=True):
        if start >= 0:
            said[name] = scanned.value(report, start, length)
    return said
