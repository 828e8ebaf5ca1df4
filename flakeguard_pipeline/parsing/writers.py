"""Which writer a JUnit report is from, as far as its first elements tell.

It is shown, and it decides what a repeated test case means; see REPEATING and pytest_cases.py.
"""

from collections.abc import Mapping

UNKNOWN_WRITER = "junit"
"""The dialect of a JUnit report whose writer leaves no mark."""

SCHEMA = "xsi:noNamespaceSchemaLocation"
"""Where Surefire's reports, and those of its imitators, name their schema."""

ROOT_MARKS = ("name", "id", "tests", SCHEMA)
"""Attributes of the root that tell a writer."""

SUITE_MARKS = (
    "name",
    "file",
    "id",
    "package",
    "hostname",
    "assertions",
    "disabled",
    "errors",
    "skipped",
    "time",
    "timestamp",
)
"""Attributes of the first suite (of the root where that is a suite) that tell a writer, by value or presence."""

PYTEST = "pytest"
"""The dialect in which a repeated test case has a meaning of its own."""

PLAYWRIGHT = "playwright"
"""The dialect whose suites name the environment that they ran in."""

REPEATING = frozenset({UNKNOWN_WRITER, PYTEST, "gradle", "gotestsum", "go-junit-report"})
"""Dialects in which a test case that failed and comes again was retried. The other writers hide retries, or have
elements for them; what repeats there is another test of the same name."""

PYTEST_ROOT = "pytest tests"
"""Name of the root of pytest's reports."""

_BY_ROOT_NAME = {
    "jest tests": "jest",
    "vitest tests": "vitest",
    PYTEST_ROOT: PYTEST,
    "nextest-run": "nextest",
    "AllTests": "googletest",
}


def writer_of(root: str, attributes: Mapping[str, str], suite: Mapping[str, str]) -> str:
    """Return the dialect of a report.

    Args:
        root: tag of the root element without its namespace.
        attributes: attributes of the root; those of ROOT_MARKS count.
        suite: attributes of the first suite, those of SUITE_MARKS count; empty where none is known yet.
    """
    if "surefire" in attributes.get(SCHEMA, ""):
        return "surefire"
    if root == "testsuite":
        return _of_suite(attributes)
    name = attributes.get("name")
    if name in _BY_ROOT_NAME:
        return _BY_ROOT_NAME[name]
    if name == "Mocha Tests":
        file = suite.get("file", "")
        return "cypress" if "cypress" in file or ".cy." in file else "mocha"
    if name == "" and attributes.get("id") == "":
        return PLAYWRIGHT
    return _of_suites(attributes, suite)


def is_pytests(root: Mapping[str, str], suite: Mapping[str, str]) -> bool:
    """Say whether a suite was written by pytest, whatever stands beside it in a merged report."""
    return suite.get("name") == PYTEST or root.get("name") == PYTEST_ROOT


def _of_suite(  # noqa: PLR0911 - a table of marks
    suite: Mapping[str, str],
) -> str:
    name = suite.get("name", "")
    if name == "pytest":
        return PYTEST
    if name == "Mocha Tests":
        return "mocha"
    if "disabled" in suite and "hostname" in suite:
        return "ctest"
    if "package" in suite and suite.get("id") == "0" and "skipped" not in suite:
        return "karma"
    if "package" in suite or "id" in suite or "skipped" not in suite:
        return UNKNOWN_WRITER
    timestamp = suite.get("timestamp", "")
    if "hostname" in suite:
        if name.startswith("rspec"):
            return "rspec"
        # an instant in milliseconds; RSpec's, pytest's and Ant's have none or another zone
        return "gradle" if timestamp.endswith("Z") else UNKNOWN_WRITER
    return "robot" if "." in timestamp and not timestamp.endswith("Z") else UNKNOWN_WRITER


def _of_suites(  # noqa: PLR0911 - a table of marks
    root: Mapping[str, str], suite: Mapping[str, str]
) -> str:
    name = suite.get("name", "")
    if name == "pytest":
        return PYTEST
    if suite.get("hostname") == "tbd":
        return "catch2"
    if name.lower().endswith((".dll", ".exe")) and suite.get("package") == name:
        return "junit-logger"
    if "package" in suite or "disabled" in suite or not suite:
        return UNKNOWN_WRITER
    if "id" in suite:
        return "go-junit-report" if "name" not in root and "tests" in root else UNKNOWN_WRITER
    if "tests" in root:
        bare = not suite.keys() & {"errors", "hostname", "file"}
        return "gotestsum" if bare and "timestamp" in suite else UNKNOWN_WRITER
    if "name" in root or "hostname" in suite:
        return UNKNOWN_WRITER
    if "assertions" in suite and "timestamp" not in suite:
        return "phpunit"
    if "time" in suite or "errors" not in suite:
        return UNKNOWN_WRITER
    return "dart" if "skipped" in suite else "bazel" if "timestamp" not in suite else UNKNOWN_WRITER
