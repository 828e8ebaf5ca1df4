"""CircleCI's test metadata as a JUnit report: the same answers always give the same bytes.

Source of the shape: https://circleci.com/docs/api/v2/#tag/Job/operation/getTests.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from flakeguard_pipeline.providers.answers import text_of
from flakeguard_pipeline.providers.source import SourceReport

PASSED = "success"
SKIPPED = "skipped"

ELEMENTS = {"failure": "failure", "error": "error", SKIPPED: SKIPPED}
"""JUnit's element for each result but a pass, which has none."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_TEXT_REFERENCES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def junit_of(tests: Iterable[Mapping[str, Any]], report: SourceReport) -> bytes | None:
    """Return a JUnit report of a job's test metadata, in the order of names; None where there is nothing to tell.

    Tests without a name and with a result that CircleCI does not document are left out, and noted in `report`. What XML
    cannot hold becomes U+FFFD.
    """
    known = []
    for test in tests:
        name, result = text_of(test, "name"), text_of(test, "result")
        if not name:
            report.note("CircleCI listed a test without a name; it was left out")
        elif result != PASSED and result not in ELEMENTS:
            report.note("CircleCI listed a test with an unknown result; it was left out")
        else:
            known.append(test)
    if not known:
        return None
    # a stable order of names: that of equal ones, which are retries, stays
    known.sort(key=lambda test: [text_of(test, name) for name in ("file", "classname", "name")])
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<testsuites>",
        "<testsuite>",
        *map(_case, known),
        "</testsuite>",
        "</testsuites>",
        "",
    ]
    return "\n".join(lines).encode()


def _case(test: Mapping[str, Any]) -> str:
    attributes = "".join(
        f' {name}="{_attribute(value)}"' for name in ("classname", "name", "file") if (value := text_of(test, name))
    )
    seconds = test.get("run_time")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and _is_duration(seconds):
        attributes += f' time="{float(seconds):.6f}"'
    element = ELEMENTS.get(text_of(test, "result"))
    if element is None:
        return f"<testcase{attributes}/>"
    message = text_of(test, "message")
    if element == SKIPPED:
        return f'<testcase{attributes}><skipped message="{_attribute(message)}"/></testcase>'
    first = message.lstrip().partition("\n")[0].rstrip()
    return f'<testcase{attributes}><{element} message="{_attribute(first)}">{_text(message)}</{element}></testcase>'


def _is_duration(seconds: float) -> bool:
    try:
        return math.isfinite(seconds) and seconds >= 0
    except OverflowError:
        return False


def _attribute(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text).translate(_REFERENCES)


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text).translate(_TEXT_REFERENCES)
