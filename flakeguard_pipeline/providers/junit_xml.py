"""Writing test results that a provider serves as JSON as a JUnit report: equal results give equal bytes."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET  # written, never parsed

Outcome = Literal["passed", "failure", "error", "skipped"]

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class WrittenCase:
    """A test case. `message` is short, `details` may be a stack trace; `seconds` is None where it is not known."""

    name: str
    classname: str = ""
    file: str = ""
    seconds: float | None = None
    outcome: Outcome = "passed"
    message: str = ""
    details: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class WrittenSuite:
    """A suite; `timestamp` is ISO 8601, or ''."""

    name: str
    cases: tuple[WrittenCase, ...]
    timestamp: str = ""
    stdout: str = ""
    stderr: str = ""


def junit_xml(suites: Iterable[WrittenSuite]) -> bytes:
    """Return a JUnit report in UTF-8; characters that XML cannot hold become U+FFFD."""
    root = ET.Element("testsuites")
    for suite in suites:
        element = ET.SubElement(root, "testsuite", _attributes(name=suite.name, timestamp=suite.timestamp))
        for case in suite.cases:
            _case(element, case)
        _outputs(element, suite.stdout, suite.stderr)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def seconds_of(value: object) -> float | None:
    """Return a duration in seconds as JSON has it; None for anything that is no duration."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _case(suite: ET.Element, case: WrittenCase) -> None:
    time = "" if case.seconds is None else f"{case.seconds:.6f}"
    element = ET.SubElement(
        suite, "testcase", _attributes(classname=case.classname, name=case.name, file=case.file, time=time)
    )
    # a test without a name is told apart from others all the same
    element.attrib.setdefault("name", "")
    if case.outcome != "passed":
        result = ET.SubElement(element, case.outcome, _attributes(message=case.message))
        if case.details:
            result.text = _storable(case.details)
    _outputs(element, case.stdout, case.stderr)


def _outputs(parent: ET.Element, stdout: str, stderr: str) -> None:
    for tag, text in (("system-out", stdout), ("system-err", stderr)):
        if text:
            ET.SubElement(parent, tag).text = _storable(text)


def _attributes(**values: str) -> dict[str, str]:
    return {name: _storable(value) for name, value in values.items() if value}


def _storable(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
