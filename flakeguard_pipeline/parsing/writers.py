"""Which writer a JUnit report is from, as far as its first elements tell. It is shown; nothing rests on it."""

from collections.abc import Mapping

UNKNOWN_WRITER = "junit"
"""The dialect of a JUnit report whose writer leaves no mark."""

ROOT_MARKS = ("name", "id", "noNamespaceSchemaLocation", "schemaLocation")
"""Attributes of the root, without their namespaces, that tell a writer."""

SUITE_MARKS = ("name", "file", "id", "package", "hostname")
"""Attributes of the first suite that tell a writer."""

_BY_ROOT_NAME = {
    "jest tests": "jest",
    "vitest tests": "vitest",
    "pytest tests": "pytest",
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
    for name, value in attributes.items():
        if name.endswith("chemaLocation") and "surefire" in value:
            return "surefire"
    name = attributes.get("name")
    suite_name = suite.get("name", "")
    if root == "testsuites" and name in _BY_ROOT_NAME:
        return _BY_ROOT_NAME[name]
    if suite_name == "pytest":
        return "pytest"
    if name == "Mocha Tests":
        file = suite.get("file", "")
        return "cypress" if "cypress" in file or ".cy." in file else "mocha"
    if root == "testsuites" and name == "" and attributes.get("id") == "":
        return "playwright"
    return UNKNOWN_WRITER
