"""The compiled parser takes what is well-formed, and hands back everything else for the tolerant reader to judge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flakeguard_pipeline.parsing.bulk import kernel, layout
from flakeguard_pipeline.parsing.bulk.compiled import SOURCES
from flakeguard_pipeline.parsing.bulk.read import read_bulk
from flakeguard_pipeline.parsing.bulk.scanned import Scanned
from flakeguard_pipeline.parsing.values import MAX_DURATION_S
from flakeguard_pipeline.parsing.writers import ROOT_MARKS, SCHEMA, SUITE_MARKS
from tests.support.report_frames import assert_equal, read_alone, read_together

CASE = '<testcase name="a" time="1"/>'


def document(inside: str = "", *, before: str = "", after: str = "") -> bytes:
    return f'{before}<testsuites><testsuite name="s">{CASE}{inside}</testsuite></testsuites>{after}'.encode()


def is_taken(data: bytes) -> bool:
    return read_bulk([data]).dialects[0] is not None


TAKEN = {
    "a declaration": document(before='<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'),
    "single quotes": document(before="<?xml version='1.0' encoding='utf-8'?>\n"),
    "a mark": b"\xef\xbb\xbf" + document(),
    "ASCII that says so": document(before='<?xml version="1.0" encoding="US-ASCII"?>'),
    "a comment before, inside and after": document("<!-- a - b -->", before="<!--x-->", after="\n<!---->\n"),
    "an instruction": document("<?php echo '>' ?>", after="<?x?>"),
    "references": document('<testcase name="&lt;&#65;&#x1F600;&apos;">&#13;</testcase>'),
    "sections": document("<testcase name='b'><failure><![CDATA[]]]]><![CDATA[>]]></failure></testcase>"),
    "nested suites": document('<testsuite name="t"><testcase name="b"/></testsuite>'),
    "elements that nobody knows": document("<what><ever/><testcase name='no'/></what>"),
    "blanks where they may be": document('<testcase\n name = "b"\t></testcase >'),
    "line ends of all kinds": document('<testcase name="a\r\nb">\r\n<failure>x\r\ny\rz</failure></testcase>\r'),
    "beyond ASCII": document('<testcase name="日本語😀">é</testcase>'),
    "marks that have references": document().replace(b"<testsuites>", b'<testsuites name="jest&#32;tests">'),
    "a mark that is long": document().replace(b"<testsuites>", f'<testsuites name="{"&#32;" * 12_000}">'.encode()),
    "a stylesheet": document(before='<?xml-stylesheet encoding="latin-1"?>'),
    "a carriage return in a text": document('<testcase name="b"><failure>a&#13;b</failure></testcase>'),
    "a suite in pytest's": b'<testsuite name="pytest"><testcase name="a"/><testsuite name="x"><testcase name="b"/>'
    b"</testsuite></testsuite>",
    "a single suite": f"<testsuite>{CASE}</testsuite>".encode(),
}

HANDED_BACK = {
    "nothing": b"",
    "no test case": b"<testsuites><testsuite/></testsuites>",
    "another root": f"<testrun>{CASE}</testrun>".encode(),
    "a second root": document(after=f"<testsuites>{CASE}</testsuites>"),
    "text after the root": document(after="x"),
    "text before the root": document(before="x"),
    "no end": document()[:-1],
    "an end that fits nothing": document("</testcase>"),
    "crossed ends": document("<a><b></a></b>"),
    "two hyphens in a comment": document("<!-- a -- b -->"),
    "a comment that ends with three": document("<!-- a --->"),
    "a comment without end": document("<!-- a "),
    "the end of a section in text": document("a]]>b"),
    "a section without end": document("<![CDATA[ "),
    "no blank between attributes": document('<testcase name="b"time="1"/>'),
    "an attribute twice": document('<testcase name="b" name="c"/>'),
    "an attribute without a value": document("<testcase name/>"),
    "a value without quotes": document("<testcase name=b/>"),
    "quotes that differ": document("<testcase name=\"b'/>"),
    "a raw bracket in a value": document('<testcase name="a<b"/>'),
    "a raw ampersand": document("<testcase name='a & b'/>"),
    "a raw ampersand in text": document("a & b"),
    "an unknown entity": document("&nbsp;"),
    "an empty reference": document("&#;"),
    "a reference to a control": document("&#1;"),
    "a reference to a surrogate": document("&#xD800;"),
    "a reference beyond Unicode": document("&#x110000;"),
    "a reference to no character": document("&#xFFFE;"),
    "a reference in capitals": document("&#X41;"),
    "a control": document("\x01"),
    "a control in a value": document('<testcase name="\x0b"/>'),
    "a control in a section": document("<![CDATA[\x00]]>"),
    "a control in a comment": document("<!-- \x02 -->"),
    "U+FFFE": document("\ufffe"),
    "half a character": document("<x>").replace(b"<x>", b"\xc3"),
    "a byte that begins nothing": document("<x>").replace(b"<x>", b"\x80"),
    "an overlong form": document("<x>").replace(b"<x>", b"\xc0\xaf"),
    "a surrogate in UTF-8": document("<x>").replace(b"<x>", b"\xed\xa0\x80"),
    "a document type": document(before="<!DOCTYPE testsuites>"),
    "another encoding": document(before='<?xml version="1.0" encoding="latin-1"?>'),
    "ASCII that is none": document("é", before='<?xml version="1.0" encoding="us-ascii"?>'),
    "a declaration that is not first": document(before=' <?xml version="1.0"?>'),
    "a second declaration": document('<?xml version="1.0"?>'),
    "an instruction without end": document("<?x "),
    "an instruction without a name": document("<? x?>"),
    "a name that begins with a digit": document("<1/>"),
    "a slash alone": document("<a / >"),
    "attributes of an end": document('<a></a b="c">'),
    "a retry element": document('<testcase name="b"><rerunFailure/></testcase>'),
    "an element in a failure": document("<testcase name='b'><failure><b/></failure></testcase>"),
    "a failure of a suite": document("<error/>"),
    "a name that is too long": document(f'<testcase name="{"n" * (layout.MAX_VALUE_BYTES + 1)}"/>'),
    "too many attributes": document(
        f"<testcase {' '.join(f'a{n}=' + chr(34) * 2 for n in range(layout.MAX_ATTRIBUTES + 1))}/>"
    ),
    "cases before the first suite": b'<testsuites><testcase name="a"><failure/></testcase><testcase name="a"/>'
    b'<testsuite name="s" hostname="tbd"><testcase name="b"/></testsuite></testsuites>',
    "a long message with a carriage return": document(
        f'<testcase name="b"><failure message="{"&#13;" * 10 + "x " * 4998}"/></testcase>'
    ),
    "a carriage return in the encoding": document(before='<?xml version="1.0" encoding="UTF\r8"?>'),
    "a control in the encoding": document(before='<?xml version="1.0" encoding="UTF-\x18"?>'),
    "a root that is far": b" " * (layout.MAX_TAG_BYTES + 5) + document(),
    "an end that is long": document().replace(b"</testsuites>", b"</testsuites" + b" " * (17 << 20) + b">"),
    "a declaration that is long": document(before="<?xml" + " " * (17 << 20) + 'version="1.0"?>'),
    "failures that do not all wait": (
        b"<testsuite>"
        b'<testcase name="a"><failure/></testcase>'
        + b"".join(b'<testcase name="%d"><failure/></testcase>' % n for n in range(65_000))
        + b'<testcase name="a"/></testsuite>'
    ),
    "too deep": document("<a>" * layout.MAX_DEPTH + "</a>" * layout.MAX_DEPTH),
}


@pytest.mark.parametrize("what", TAKEN)
def test_takes(what: str) -> None:
    assert is_taken(TAKEN[what])
    assert_equal(read_together([TAKEN[what]])[0], read_alone(TAKEN[what]))


@pytest.mark.parametrize("what", HANDED_BACK)
def test_hands_back(what: str) -> None:
    assert not is_taken(HANDED_BACK[what])
    assert_equal(read_together([HANDED_BACK[what]])[0], read_alone(HANDED_BACK[what]))


def test_what_is_handed_back_leaves_nothing_behind() -> None:
    whole = TAKEN["sections"]
    broken = whole.replace(
        b"</testsuites>", b"<testcase name='c'><failure message='m'>t</failure></testcase></testsuit>"
    )
    scanned = Scanned([whole, broken, whole])
    assert scanned.good.tolist() == [True, False, True]
    assert len(scanned.cases) == 4
    assert scanned.column(layout.NAME, 4).to_list() == ["a", "b", "a", "b"]
    assert scanned.column(layout.TEXT, len(scanned.children)).to_list() == ["]]>", "]]>"]


@pytest.mark.parametrize("length", [*range(1, 40), 63, 64, 65, 127, 128, 129, 1000])
def test_texts_of_every_length_end_where_they_end(length: int) -> None:
    for filler in ("x", "]", "é", "&lt;", "]]x", "\n"):
        text = filler * length
        data = document(f'<testcase name="b{text}"><failure>{text}</failure></testcase><!--{"x" * length}-->')
        section = document(f"<testcase name='b'><failure><![CDATA[{text}]]></failure></testcase>")
        for one in (data, section):
            assert is_taken(one)
            assert_equal(read_together([one])[0], read_alone(one))


@pytest.mark.parametrize(
    "time",
    ["0", "1", "0.5", "0.0000005", "0.0000015", "0.0000025", "0.00000050000001", "1.9999995", "31622400", "31622401",
     "31622400.0000001", "00.1", ".5", "5.", "1e3", "-1", "+1", "1,5", "0.1234567890123456789", "", " 1", "PT1S"],
)  # fmt: skip
def test_durations_are_those_of_the_tolerant_reader(time: str) -> None:
    data = f'<testsuite><testcase name="a" time="{time}"/></testsuite>'.encode()
    assert is_taken(data)
    assert_equal(read_together([data])[0], read_alone(data))


def test_reports_that_find_no_room_are_read_with_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flakeguard_pipeline.parsing.bulk.scanned.MAX_ROWS", 1)
    documents = [TAKEN["nested suites"], TAKEN["sections"], TAKEN["references"], TAKEN["a mark"]]
    assert len(read_bulk(documents).dialects) < len(documents)
    for together, data in zip(read_together(documents), documents, strict=True):
        assert_equal(together, read_alone(data))


@pytest.mark.parametrize("name", ["scan", "count_characters", "decode_value", "decode_content"])
def test_what_is_kept_of_a_function_is_forgotten_when_any_source_changes(name: str) -> None:
    closed_over = getattr(kernel, name).py_func.__closure__
    assert SOURCES in [cell.cell_contents for cell in closed_over]


def test_the_marks_are_those_that_tell_a_writer() -> None:
    assert {mark.decode() for mark in layout.MARKS} == {*ROOT_MARKS, *SUITE_MARKS, SCHEMA}


def test_the_longest_duration_is_that_of_the_tolerant_reader() -> None:
    assert layout.MAX_PLAIN_SECONDS == MAX_DURATION_S


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_what_is_kept_of_a_function_may_be_damaged(tmp_path: Path, ending: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from flakeguard_pipeline.parsing.bulk.compiled import entered\n"
        "@entered\ndef double(number):\n    return 2 * number\n"
        "print(double(21))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
        )
        assert told.stdout == "42\n", told.stderr
        kept = list(tmp_path.rglob(f"*.{ending}"))
        assert kept
        assert all(file.stat().st_size for file in kept)
        for file in kept:
            file.write_bytes(b"")
