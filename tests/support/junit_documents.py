"""Well-formed JUnit documents of great variety, and ways to damage them, from any source of random numbers.

A `random.Random` with a seed makes many of them fast; Hypothesis' own makes them shrink.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

WORDS = (
    "a",
    "b",
    "test_x",
    "org.acme.CartTest",
    "adds[1-2]",
    "",
    " ",
    "  spaced  ",
    "d'accord",
    'say "no"',
    "1 < 2 & 3 > 2",
    "naïve",
    "日本語",
    "😀",
    "\ufffd",
    "\u00a0",
    "\u0085",
    "\u2028",
    "\u200b",
    "\ufeff",
    "\x7f",
    "a\tb",
    "line\nline",
    "\n",
    "\n  indented\n\n",
    "é\u0301",
    "x]]y",
    "<testcase name='in text'/>",
    "</testsuite>",
    "</report>",
    "&lt;",
    "invocations",
    "pytest",
    "AssertionError: 1 != 2",
    "null",
    "NaN",
)
REFERENCES = (
    "&#10;",
    "&#x41;",
    "&#13;",
    "&#9;",
    "&lt;",
    "&gt;",
    "&amp;",
    "&quot;",
    "&apos;",
    "&#x1F600;",
    "&#160;",
    "&#32;",
)
TIMES = (
    "0",
    "0.1",
    "1,234.5",
    "1,234",
    "0,25",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "+1",
    "1_0",
    "PT1.2S",
    "0.0000005",
    "0.0000015",
    "0.00000049",
    "2.5000005",
    "-1",
    "-0.0",
    "1e-3",
    "1E3",
    ".5",
    "5.",
    " 0.5 ",
    "",
    "00:00:01.5",
    "31622400",
    "31622400.1",
    "99999999999",
    "1e400",
    "0x10",
    "true",
    "٣",
    "0.1 s",
    "123456.7890125",
)
TIMESTAMPS = (
    "2024-01-02T03:04:05",
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.123456789+02:00",
    "2024-01-02 03:04:05-11:30",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59",
    "9999-12-31T23:59:59Z",
    "2024-02-30T00:00:00",
    "Tue Jan 2 2024",
    "2024-01-02",
    "",
    " 2024-01-02T03:04:05 ",
)
STATUSES = ("run", "notrun", "disabled", "Skipped", "FAILED", "error", "pending", "passed", "", "fail", "suspended")
LINES = ("1", "0", "-1", "12 ", "999999999", "9999999999", "", "x")
MARKS = (
    ("hostname", "build-7"),
    ("hostname", "tbd"),
    ("package", ""),
    ("id", "0"),
    ("id", ""),
    ("disabled", "0"),
    ("assertions", "1"),
    ("errors", "0"),
    ("skipped", "0"),
    ("tests", "3"),
    ("failures", "1"),
    ("time", "1.5"),
    ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
    ("xsi:noNamespaceSchemaLocation", "https://maven.apache.org/surefire/surefire-test-report.xsd"),
    ("xmlns", "http://example.org/junit"),
)
SUITE_NAMES = ("pytest", "Mocha Tests", "rspec", "Shop.Tests.dll", "s", "t", "")
ROOT_NAMES = ("jest tests", "pytest tests", "AllTests", "nextest-run", "Mocha Tests", "", "all")
PREFIXED = ("x:name", "x:file", "xmlns:classname", "xml:id", "xsi:type", "x:message", "x:time", "x:other", "x:status")
UNKNOWN = ("note", "annotation", "testcases", "x:thing", "flaky", "Testcase", "report", "reports", "testsuites")
LONG_NAME = 10_050
LONG_TEXT = 17_000
LONG_OUTPUT = 9_000
MAX_CHILDREN = 4

WELL_FORMED_PROLOGS = (
    "",
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="UTF-8"?>\n',
    "<?xml version='1.0' encoding='utf-8' standalone='yes'?>",
    '<?xml version="1.0" encoding="us-ascii"?>\n\n',
)
ODD_PROLOGS = (
    '<?xml version="1.0" encoding="UTF-8"?><!-- <testsuite name="no"> -->\n',
    '<?xml version="1.0"?><?xml-stylesheet href="a.xsl"?>',
    '<?xml version="1.0"?><!DOCTYPE testsuites SYSTEM "junit.dtd">',
    "<!DOCTYPE testsuites [<!ELEMENT testsuites ANY>]>",
    "<!-- x -->",
)
EPILOGS = ("", "", "\n", "<!-- end -->", "\n<?done?>\n", "<!-- </testsuites> -->")


class Writer:
    """Writes one document. `plain` leaves out what a report of the simple shape never has."""

    def __init__(self, random: Random, *, plain: bool = False) -> None:
        self._random = random
        self._plain = plain
        self._names = [self._text(2) for _ in range(2)] if self._rarely() else ["adds", "breaks", "test_x", "t[1]"]

    def document(self) -> bytes:
        """Return a well-formed document."""
        root = "testsuite" if self._chance(3) else "testsuites"
        if not self._plain and self._rarely():
            root = "testrun"
        if root == "testsuite":
            body = self._suite(0)
        else:
            inner = self._many(lambda: self._suite(1), 3) if not self._plain else self._suites()
            if not self._plain and self._rarely():
                inner += self._case() + self._suite_child()
            body = self._element(root, self._root_attributes(), self._shuffled_noise(inner))
        prolog = self._pick(WELL_FORMED_PROLOGS)
        if not self._plain and self._chance(5):
            prolog = self._pick(ODD_PROLOGS)
        text = prolog + body + ("" if self._plain else self._pick(EPILOGS))
        if not self._plain and self._chance(6):
            text = text.replace("\n", "\r\n")
        if not self._plain and self._chance(12):
            text = body
            return self._pick(
                (
                    text.encode("utf-16"),
                    b'<?xml version="1.0" encoding="ISO-8859-1"?>' + text.encode("latin-1", "xmlcharrefreplace"),
                    b'<?xml version="1.0" encoding="windows-1252"?>' + text.encode("ascii", "xmlcharrefreplace"),
                )
            )
        return (b"\xef\xbb\xbf" if self._rarely() else b"") + text.encode()

    # structure

    def _suites(self) -> str:
        return "".join(self._suite(1) for _ in range(1 + self._below(3)))

    def _suite(self, depth: int) -> str:
        attributes = self._some(
            ("name", lambda: self._pick(SUITE_NAMES) if self._chance(2) else self._text()),
            ("timestamp", lambda: self._pick(TIMESTAMPS)),
            ("file", lambda: self._pick(("a.py", "b/c.rb", "", "x.cy.js"))),
        )
        attributes += [(name, value) for name, value in MARKS if self._chance(6)]
        children: list[str] = []
        if self._plain:
            children += [self._case() for _ in range(1 + self._below(4))]
        else:
            children += [self._case() for _ in range(self._below(5))]
            if depth < 4 and self._chance(6):
                children.append(self._suite(depth + 1))
        children += [self._suite_child() for _ in range(self._below(3))]
        return self._element("testsuite", attributes, self._shuffled_noise(*children))

    def _suite_child(self) -> str:
        kind = self._below(5 if self._plain else 8)
        if kind < 3:
            return self._output()
        if kind < 5:
            inner = self._element("property", [("name", "os"), ("value", "linux")], "")
            return self._element("properties", [], inner if self._chance(2) else "")
        if kind < 7:
            return self._unknown()
        return self._told(self._pick(("failure", "error")))

    def _case(self) -> str:
        attributes = self._some(
            ("classname", lambda: self._pick(("org.acme.A", "B", "", self._text(1)))),
            ("class", lambda: self._pick(("C", ""))),
            ("file", lambda: self._pick(("a.py", "", "z.py"))),
            ("line", lambda: self._pick(LINES)),
            ("time", lambda: self._pick(TIMES)),
            ("timestamp", lambda: self._pick(TIMESTAMPS)),
        )
        if self._chance(6):
            attributes.append(("status", self._pick(STATUSES)))
        if self._plain or not self._chance(12):
            name = self._pick(self._names)
            if self._chance(8):
                name = self._text()
            elif self._chance(60):
                name = "n" * LONG_NAME + self._pick(("1", "2"))
            attributes.append(("name", name))
        if self._chance(20) and not self._plain:
            attributes.append((self._pick(PREFIXED), self._text()))
        children = [self._case_child() for _ in range(self._below(MAX_CHILDREN) if self._chance(2) else 0)]
        return self._element("testcase", attributes, self._shuffled_noise(*children))

    def _case_child(self) -> str:  # noqa: PLR0911 - a table of children
        kind = self._below(9 if self._plain else 16)
        if kind < 5:
            return self._told(self._pick(("failure", "failure", "error", "skipped")))
        if kind < 8:
            return self._output()
        if kind == 8:
            return self._element("properties", [], self._element("property", [("name", "os")], ""))
        if kind == 9:
            return self._element(self._pick(("skipped", "failure", "error")), [], "")
        if kind < 13:
            tag = self._pick(("flakyFailure", "flakyError", "rerunFailure", "rerunError"))
            inner = self._element("stackTrace", [], self._content()) if self._chance(2) else self._content()
            return self._element(tag, self._said(), inner + (self._output() if self._chance(3) else ""))
        if kind == 13:
            attributes = [
                ("name", self._pick(("invocations", "test.invocations", "other invocations"))),
                ("value", self._pick(("2", "0", "-1", "300", "x", ""))),
            ]
            return self._element("properties", [], self._element("property", attributes, ""))
        return self._unknown()

    def _told(self, tag: str) -> str:
        inner = self._content() if self._chance(2) else ""
        attributes = self._said()
        if self._plain and not attributes and not inner.strip():
            attributes = [("message", "m")]
        if not self._plain and self._chance(8):
            inner += self._element(self._pick(("stackTrace", "b", "system-out")), [], "inner") + self._content()
        if not self._plain and self._chance(20):
            attributes.append((self._pick(PREFIXED), "odd"))
        return self._element(tag, attributes, inner)

    def _said(self) -> list[tuple[str, str]]:
        return self._some(
            ("message", self._text),
            ("type", lambda: self._pick(("AssertionError", "", "flaky failure", self._text(1)))),
        )

    def _output(self) -> str:
        inner = "" if self._chance(4) else self._content()
        if self._chance(40):
            inner += "line of output\n" * (LONG_OUTPUT // 15)
        if not self._plain and self._chance(10):
            inner += self._pick(("<b>bold</b>", "<failure/>", "<testcase name='no'/>", "<stackTrace>no</stackTrace>"))
            inner += self._content()
        return self._element(self._pick(("system-out", "system-err")), [], inner)

    def _unknown(self) -> str:
        inner = self._pick(("", "text", '<testcase name="hidden"/>', "<failure>hidden</failure>", "<a><b/></a>"))
        if self._chance(3):
            inner += self._case()
        return self._element(self._pick(UNKNOWN), self._some(("name", lambda: "n"), ("message", lambda: "m")), inner)

    # markup

    def _element(self, tag: str, attributes: Sequence[tuple[str, str]], inner: str) -> str:
        written, seen = [], set()
        order = list(attributes)
        if self._chance(3):
            self._random.shuffle(order)
        for name, value in order:
            if name not in seen:
                seen.add(name)
                written.append(self._attribute(name, value))
        # a prefix needs no declaration where namespaces are not looked at
        if not self._plain and self._chance(60):
            tag = f"x:{tag}"
        opening = f"<{tag}{''.join(written)}"
        if not inner and not self._chance(4):
            return f"{opening}{self._blank()}/>"
        return f"{opening}{self._blank()}>{inner}</{tag}{self._blank()}>"

    def _attribute(self, name: str, value: str) -> str:
        quote = "'" if self._chance(4) else '"'
        value = value.replace("&", "&amp;").replace("<", "&lt;")
        value = value.replace("'", "&apos;") if quote == "'" else value.replace('"', "&quot;")
        if self._chance(6):
            value += self._reference()
        return f"{self._blank(1)}{name}{self._blank()}={self._blank()}{quote}{value}{quote}"

    def _content(self) -> str:
        return "".join(self._piece() for _ in range(1 + self._below(3)))

    def _piece(self) -> str:
        text = self._text()
        if self._chance(100):
            text += "0123456789\n" * (LONG_TEXT // 11)
        kind = self._below(6)
        if kind == 0:
            return f"<![CDATA[{text.replace(']]>', '')}]]>"
        if kind == 1:
            return self._reference()
        if kind == 2 and self._chance(2):
            return self._noise()
        return text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")

    def _text(self, most: int = 3) -> str:
        return "".join(self._pick(WORDS) for _ in range(1 + self._below(most)))

    def _reference(self) -> str:
        return self._pick(REFERENCES if not self._plain else REFERENCES[3:])

    def _noise(self) -> str:
        return self._pick(("<!-- <testcase name='c'> - -->", "<?php echo '<testcase>' ?>", "<!---->", " ", "\n"))

    def _shuffled_noise(self, *children: str) -> str:
        parts = list(children)
        if len(parts) > 1 and self._chance(3):
            self._random.shuffle(parts)
        if self._chance(4):
            parts.insert(self._below(len(parts) + 1), self._noise() if self._chance(3) else "\n")
        return "".join(parts)

    def _blank(self, least: int = 0) -> str:
        return (self._pick(("", " ", "\n", "\t")) if self._chance(12) else "") + " " * least

    # choices

    def _root_attributes(self) -> list[tuple[str, str]]:
        attributes = self._some(("name", lambda: self._pick(ROOT_NAMES)))
        return attributes + [(name, value) for name, value in MARKS if self._chance(8)]

    def _many(self, make: Callable[[], str], most: int) -> str:
        return "".join(make() for _ in range(self._below(most + 1)))

    def _some(self, *attributes: tuple[str, Callable[[], str]]) -> list[tuple[str, str]]:
        return [(name, value()) for name, value in attributes if self._chance(2)]

    def _pick(self, options: Sequence[T]) -> T:
        return options[self._below(len(options))]

    def _below(self, bound: int) -> int:
        return self._random.randrange(bound)

    def _chance(self, one_in: int) -> bool:
        # the small numbers, to which Hypothesis shrinks, mean that nothing happens
        return self._random.randrange(one_in) == one_in - 1

    def _rarely(self) -> bool:
        return self._chance(10)


def well_formed(random: Random) -> bytes:
    """Return a well-formed JUnit document of any shape."""
    return Writer(random).document()


def plain(random: Random) -> bytes:
    """Return a flat document of the shape that most writers write."""
    return Writer(random, plain=True).document()


DAMAGES = (
    b"<",
    b">",
    b"&",
    b"]]>",
    b"--",
    b'"',
    b"</testsuite>",
    b"</testsuites>",
    b"<testsuite>",
    b"\x00",
    b"\xff",
    b"&#0;",
    b"<x a='1' a='2'/>",
    b"</report>",
    b"<!ENTITY a 'b'>",
)


def damaged(random: Random, document: bytes) -> bytes:
    """Return `document` cut off or with something in it that does not belong there."""
    at = random.randrange(len(document) + 1)
    if random.randrange(2):
        return document[:at]
    return document[:at] + DAMAGES[random.randrange(len(DAMAGES))] + document[at:]


OTHERS = (
    b"",
    b" \n",
    b"<html><body>no report</body></html>",
    b"<project xmlns='http://maven.apache.org/POM/4.0.0'/>",
    b"no XML at all",
    b"\x00\x01\x02",
    b"<testsuites/>",
    b"<testsuite><testcase name='a'/>",
    b"<test-run><test-suite/></test-run>",
    b'<?xml version="1.0" encoding="x-none"?><testsuite/>',
)
"""Files that are no reports, or hardly."""
