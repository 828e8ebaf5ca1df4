"""Reports made to harm, and reports that harm by accident: nothing raises, nothing is fetched, little is held."""

import builtins
import codecs
import io
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flakeguard_pipeline.domain.model import ParsedReport, ReasonCode
from flakeguard_pipeline.parsing import reports
from flakeguard_pipeline.parsing.document import MAX_DEPTH
from flakeguard_pipeline.parsing.reports import ReportReading, ReportSource, ReportsReading, parse_report
from tests.support.report_frames import assert_equal, read_alone, read_together

CROWD = 100_000
MANY_CASES = 1_000_000
BEFORE = "<testsuites><testsuite name='s'><testcase name='before'/>"
AFTER = "<testcase name='after'/></testsuite></testsuites>"
WHOLE = BEFORE + AFTER
SAMPLE = (
    '<testsuites><testsuite name="s"><testcase name="a" classname="c"/><testcase name="b"><failure message="é">'
    '<![CDATA[text]]></failure></testcase><testcase name="c"><skipped/></testcase></testsuite></testsuites>'
).encode()


@pytest.fixture
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be opened or connected to."""

    # the compiled parser is imported with the first report
    read_together([SAMPLE])

    def refuse(*arguments: object, **named: object) -> object:
        raise AssertionError(f"opened {arguments}")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)


def both_ways(data: bytes) -> ParsedReport:
    """Read the report twice alone and once together with another; all must be equal but for what is not well-formed."""
    report = parse_report(data)
    assert parse_report(data) == report
    alone = read_alone(data)
    assert alone[1].count == len(report.cases)
    together, other = read_together([data, WHOLE.encode()])
    assert_equal(other, read_alone(WHOLE.encode()))
    if not report.issues:
        assert_equal(together, alone)
    return report


def names(report: ParsedReport) -> list[str]:
    return [case.name for case in report.cases]


def codes(report: ParsedReport) -> list[ReasonCode]:
    return [issue.code for issue in report.issues]


# entities and documents elsewhere

LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
SECRET = "/etc/hostname"


@pytest.mark.parametrize(
    "doctype",
    [
        f"<!DOCTYPE testsuites [<!ENTITY l0 'lol'>{LAUGHS}]>",
        f"<!DOCTYPE testsuites [<!ENTITY l9 '{'a' * 50_000}'>]>",
        f'<!DOCTYPE testsuites [<!ENTITY l9 SYSTEM "file://{SECRET}">]>',
        '<!DOCTYPE testsuites [<!ENTITY l9 SYSTEM "http://127.0.0.1:9/x">]>',
        '<!DOCTYPE testsuites [<!ENTITY l9 PUBLIC "-//X//Y" "http://127.0.0.1:9/x">]>',
        '<!DOCTYPE testsuites [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
        "<!DOCTYPE testsuites [<!ENTITY % p \"<!ENTITY l9 'x'>\"> %p;]>",
        f'<!DOCTYPE testsuites [<!ENTITY l9 SYSTEM "file://{SECRET}" NDATA gif>]>',
        '<!DOCTYPE testsuites SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY l9 "x">]>',
    ],
)
@pytest.mark.usefixtures("no_way_out")
def test_a_report_that_declares_entities_is_refused(doctype: str) -> None:
    report = both_ways(f"{doctype}<testsuites><testsuite name='&l9;'><testcase name='&l9;'/>&l9;{AFTER}".encode())
    assert codes(report) == [ReasonCode.ENTITY_DECLARATION]
    assert report.cases == ()


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE testsuites>",
        '<!DOCTYPE testsuites SYSTEM "http://127.0.0.1:9/x.dtd">',
        f'<!DOCTYPE testsuites SYSTEM "file://{SECRET}">',
        '<!DOCTYPE testsuites PUBLIC "-//X//Y" "http://127.0.0.1:9/x.dtd">',
        "<!DOCTYPE testsuites [<!ELEMENT testsuites ANY><!-- <!ENTITY a 'b'> -->]>",
        '<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>',
    ],
)
@pytest.mark.usefixtures("no_way_out")
def test_what_a_report_refers_to_is_never_fetched(doctype: str) -> None:
    report = both_ways((doctype + WHOLE).encode())
    assert names(report) == ["before", "after"]
    assert report.issues == ()


@pytest.mark.usefixtures("no_way_out")
def test_inclusions_and_schema_locations_are_never_fetched() -> None:
    inside = (
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname" parse="text"/>'
        '<x xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x http://127.0.0.1:9/x.xsd"/>'
    )
    report = both_ways((BEFORE + inside + AFTER).encode())
    assert names(report) == ["before", "after"]


def test_an_attribute_default_of_the_doctype_makes_no_case_fail() -> None:
    doctype = '<!DOCTYPE testsuites [<!ATTLIST testcase name CDATA "made up">]>'
    assert len(both_ways(f"{doctype}<testsuites><testsuite><testcase/></testsuite></testsuites>".encode()).cases) == 1


# shapes


@pytest.mark.parametrize("tag", ["testsuite", "x"])
def test_a_depth_bomb_ends_the_reading_and_keeps_what_came_before(tag: str) -> None:
    report = both_ways((BEFORE + f"<{tag}>" * CROWD).encode())
    assert names(report) == ["before"]
    assert codes(report) == [ReasonCode.TOO_DEEP]


def test_elements_may_be_as_deep_as_the_limit() -> None:
    deep = MAX_DEPTH - 2
    report = both_ways((BEFORE + "<x>" * deep + "</x>" * deep + AFTER).encode())
    assert names(report) == ["before", "after"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("tag", ["testcase", "testsuite", "failure", "x"])
def test_a_tag_with_a_hundred_thousand_attributes_takes_no_time(tag: str) -> None:
    crowd = "".join(f" a{number}='1'" for number in range(CROWD))
    inside = f"<testcase name='crowded'><{tag}{crowd}/></testcase>" if tag == "failure" else f"<{tag}{crowd}/>"
    report = both_ways((BEFORE + inside + AFTER).encode())
    assert names(report)[0] == "before"
    assert names(report)[-1] == "after"


@pytest.mark.timeout(60)
def test_attributes_that_are_equal_in_all_but_the_end_take_no_time() -> None:
    crowd = "".join(f" {'a' * 50}{number}='1'" for number in range(CROWD // 5))
    assert names(both_ways((BEFORE + f"<x{crowd}/>" + AFTER).encode())) == ["before", "after"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "long", [" ", "<!-- " + "-x" * 2_000_000, "<?p " + "x" * 4_000_000, "<![CDATA[" + "]" * 4_000_000, "&" * 1_000_000]
)
def test_a_part_without_an_end_takes_no_time(long: str) -> None:
    report = both_ways((BEFORE + "<testcase name='open'><failure>" + long).encode())
    assert names(report) == ["before"]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]


@pytest.mark.timeout(60)
def test_a_tag_of_many_megabytes_is_refused_or_read_but_never_scanned_for_ever() -> None:
    value = "v" * (20 * 1024**2)
    report = parse_report(f"{BEFORE}<testcase name='{value}'/>{AFTER}".encode())
    assert names(report)[0] == "before"
    assert len(report.cases) in {1, 3}


@pytest.mark.parametrize("attribute", ["name", "time", "other"])
def test_a_repeated_attribute_ends_the_reading_and_keeps_what_came_before(attribute: str) -> None:
    report = parse_report((BEFORE + f"<testcase {attribute}='1' {attribute}='2'/>" + AFTER).encode())
    assert names(report) == ["before"]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
    assert "duplicate attribute" in report.issues[0].detail


@pytest.mark.parametrize("blanks", ["\n", " \t\r\n", "\n" * 3000])
def test_blanks_before_the_declaration_do_no_harm(blanks: str) -> None:
    report = both_ways((blanks + '<?xml version="1.0" encoding="UTF-8"?>' + WHOLE).encode())
    assert names(report) == ["before", "after"]
    assert report.issues == ()


@pytest.mark.parametrize("before", ["<!-- x -->", "<?p x?>"])
def test_a_declaration_that_is_not_first_is_a_fault(before: str) -> None:
    report = both_ways((before + '<?xml version="1.0"?>' + WHOLE).encode())
    assert report.cases == ()
    if before != "x":
        assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
        assert report.is_report


@pytest.mark.parametrize("end", ["</testsuites>", "<testsuites/>", "text", "<![CDATA[x]]>", "&amp;"])
def test_what_follows_the_root_is_a_fault_that_costs_no_case(end: str) -> None:
    report = parse_report((WHOLE + end).encode())
    assert names(report) == ["before", "after"]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]


# encodings


def with_encoding(declared: str, encoding: str, name: str = "naïve") -> bytes:
    document = f'<?xml version="1.0" encoding="{declared}"?><testsuite name="s"><testcase name="{name}"/></testsuite>'
    return document.encode(encoding)


@pytest.mark.parametrize(
    ("declared", "encoding", "name"),
    [
        ("UTF-8", "utf-8", "naïve"),
        ("utf8", "utf-8", "naïve"),
        ("UTF-16", "utf-8", "naïve"),
        ("UTF-16LE", "utf-8", "naïve"),
        ("UTF-32", "utf-8", "naïve"),
        ("US-ASCII", "utf-8", "naïve"),
        ("ISO-8859-1", "latin-1", "naïve"),
        ("latin1", "latin-1", "naïve"),
        ("windows-1252", "cp1252", "naïve “quoted”"),
        ("ISO-8859-15", "iso-8859-15", "10 €"),
        ("Shift_JIS", "shift_jis", "テスト表ソ"),
        ("EUC-JP", "euc_jp", "テスト"),
        ("GBK", "gbk", "测试"),
        ("GB18030", "gb18030", "测试😀"),
        ("Big5", "big5", "測試"),
        ("KOI8-R", "koi8-r", "тест"),
        ("UTF-16", "utf-16", "naïve 😀"),
        ("UTF-16", "utf-16-le", "naïve 😀"),
        ("UTF-16BE", "utf-16-be", "naïve 😀"),
        ("UTF-8", "utf-16", "naïve 😀"),
        ("UTF-8", "utf-8-sig", "naïve"),
        ("ISO-8859-1", "utf-8-sig", "naïve"),
        ("UTF-32", "utf-32", "naïve 😀"),
    ],
)
def test_encodings_true_and_lying_are_read(declared: str, encoding: str, name: str) -> None:
    report = both_ways(with_encoding(declared, encoding, name))
    assert (names(report), report.issues) == ([name], ())


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_is_believed(mark: bytes, encoding: str) -> None:
    for declaration in ("", '<?xml version="1.0" encoding="ISO-8859-1"?>'):
        report = both_ways(mark + (declaration + WHOLE.replace("after", "naïve")).encode(encoding))
        assert (names(report), report.issues) == (["before", "naïve"], ())


@pytest.mark.parametrize("declared", ["x-none", "UTF-7", "hex", "idna", "rot13", "zlib", "unicode_escape", "\x80"])
def test_an_encoding_that_is_none_is_refused(declared: str) -> None:
    report = both_ways(with_encoding(declared, "latin-1"))
    assert report.cases == ()
    assert codes(report) in ([ReasonCode.UNSUPPORTED_ENCODING], [ReasonCode.NOT_WELL_FORMED])


@pytest.mark.parametrize(
    "bad",
    [
        b"\xe9",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xc0\x80",
        b"\xf5\x80\x80\x80",
        b"\xf0\x9f\x98",
        b"\x00",
        b"\x01",
        b"\x0b",
        b"\x0c",
        b"\x1b[31m",
        b"\xef\xbf\xbe",
        b"\xef\xbf\xbf",
        b"&#0;",
        b"&#1;",
        b"&#x1b;",
        b"&#xD800;",
        b"&#xDFFF;",
        b"&#xFFFE;",
        b"&#xFFFF;",
        b"&#x110000;",
        b"&#99999999999999999999;",
        b"&nbsp;",
        b"&",
    ],
)
@pytest.mark.parametrize("place", ["name='x%y'", "name='x'><failure message='x%y'/></testcase><testcase name='y'", ""])
def test_characters_that_xml_forbids_cost_themselves_alone(bad: bytes, place: str) -> None:
    middle = f"<testcase {place}/>" if place else "<testcase name='x'><failure>x%y</failure></testcase>"
    data = (BEFORE + middle + AFTER).encode().replace(b"%", bad)
    report = both_ways(data)
    assert names(report)[0] == "before"
    assert names(report)[-1] == "after"
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
    for case in report.cases:
        assert "\x00" not in case.name + case.failure_message + case.failure_text
        (case.name + case.failure_message + case.failure_text).encode()


# files that are no reports


@pytest.mark.parametrize("data", [b"", b" ", b"\n\n", b"\x00\x00", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b" " * 5000])
def test_an_empty_file_is_a_report_that_was_not_written(data: bytes) -> None:
    report = both_ways(data)
    assert codes(report) == [ReasonCode.EMPTY_FILE]


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body><p>404<br></body></html>",
        b"<html><testsuite><testcase name='a'/></testsuite></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>",
        b"<?xml version='1.0'?><project xmlns='http://maven.apache.org/POM/4.0.0'><modelVersion>4.0.0</modelVersion></project>",
        b"<coverage line-rate='0.9'/>",
        b"<checkstyle version='8'><file name='a'/></checkstyle>",
        b'{"tests": []}',
        b"PK\x03\x04",
        b"\x89PNG\r\n",
        b"testsuite",
        b"< testsuite>",
    ],
)
def test_other_files_are_passed_over_without_an_issue(data: bytes) -> None:
    report = both_ways(data)
    if data.startswith(b"< "):
        return
    assert (report.is_report, report.issues, report.cases, report.dialect) == (False, (), (), "")


@pytest.mark.parametrize("data", [b"<testsuites/>", b"<testsuite/>", b"<testsuites><testsuite/></testsuites>"])
def test_a_report_without_a_test_case_says_so(data: bytes) -> None:
    report = both_ways(data)
    assert report.is_report
    assert codes(report) == [ReasonCode.NO_TEST_CASES]


# cuts


def test_a_report_cut_off_anywhere_keeps_the_whole_cases_before_the_cut() -> None:
    whole = parse_report(SAMPLE)
    assert whole.issues == ()
    ends = [
        SAMPLE.index(end) + len(end) for end in (b'classname="c"/>', b"</failure></testcase>", b"<skipped/></testcase>")
    ]
    for cut in range(len(SAMPLE)):
        report = both_ways(SAMPLE[:cut])
        expected = sum(end <= cut for end in ends)
        assert report.cases == whole.cases[:expected], cut
        if cut >= len(b"<testsuites>"):
            assert codes(report) == [ReasonCode.NOT_WELL_FORMED], cut


def test_a_report_cut_off_in_utf_16_keeps_the_whole_cases_before_the_cut() -> None:
    data = SAMPLE.decode().encode("utf-16")
    whole = parse_report(data)
    for cut in range(0, len(data), 3):
        report = parse_report(data[:cut])
        assert report.cases == whole.cases[: len(report.cases)], cut


# sizes


def cases_of(count: int) -> Iterator[bytes]:
    yield b'<testsuite name="s">'
    for start in range(0, count, 1000):
        yield b"".join(b'<testcase name="t%d"/>' % number for number in range(start, min(start + 1000, count)))
    yield b"</testsuite>"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("before", "count"), [(b"", MANY_CASES), (b"<!-- not simple -->", MANY_CASES // 5)])
def test_a_million_test_cases_are_read_whole(before: bytes, count: int) -> None:
    data = before + b"".join(cases_of(count))
    reading = ReportsReading([ReportSource(len(data), data, None)])
    ordinals = 0
    for frame in reading.frames():
        assert frame.height <= 2 * reports.ROWS_A_FRAME
        ordinals += frame["ordinal"].cast(pl.Int64).sum()
    assert reading.outcomes[0].count == count
    assert reading.outcomes[0].issues == ()
    assert ordinals == count * (count - 1) // 2


def test_reports_that_are_read_together_are_cut_as_if_each_was_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "ROWS_A_FRAME", 10)
    sizes = [4, 7, 3, 25, 5, 5, 1]
    documents = [b"".join(cases_of(size)) for size in sizes]
    reading = ReportsReading([ReportSource(len(data), data, None) for data in documents])
    frames = [frame.group_by("report", maintain_order=True).len().rows() for frame in reading.frames()]
    assert frames == [[(0, 4)], [(1, 7), (2, 3)], [(3, 10)], [(3, 10)], [(3, 5)], [(4, 5), (5, 5)], [(6, 1)]]


def test_a_file_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_REPORT_BYTES", 100)
    reading = ReportReading(io.BytesIO(SAMPLE), len(SAMPLE))
    assert list(reading.executions()) == []
    assert [issue.code for issue in reading.issues] == [ReasonCode.REPORT_TOO_LARGE]


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [
        ("1e999999999", "2024-01-02T03:04:05"),
        ("9" * 60, "9999-12-31T23:59:59.999999-14:00"),
        ("9" * 100_000, "2" * 100_000),
        ("-0", "0000-00-00T00:00:00"),
        ("0x1p3", "2024-W01-1"),
        ("١٢٣", "٢٠٢٤-٠١-٠٢"),
        ("P99999999999999999999D", "20240102T030405Z"),
        ("sNaN", "nan"),
        ("1_000", "2024-01-02T03:04:05+24:00"),
        ("1" + "0" * 50 + "e-50", "1e9"),
        ("\x85 1 \u2003", "\u20032024-01-02\u2003"),
        ("inf", "now"),
    ],
)
def test_odd_durations_and_timestamps_are_read_alike_both_ways(time: str, timestamp: str) -> None:
    case = f"<testcase name='t' time='{time}' timestamp='{timestamp}' line='{time}'/>"
    report = both_ways((BEFORE + case + AFTER).encode())
    assert (names(report), report.issues) == (["before", "t", "after"], ())
    assert report.cases[1].duration_us is None or report.cases[1].duration_us >= 0
