"""What holds for every report, and for every other pile of bytes."""

from xml.sax.saxutils import escape, quoteattr

from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReportCase
from flakeguard_pipeline.parsing.decoding import Repair
from flakeguard_pipeline.parsing.reports import parse_report

XML_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=30)
CHILDREN = {
    Outcome.PASSED: "",
    Outcome.FAILED: "<failure message={}>{}</failure>",
    Outcome.ERRORED: "<error message={}>{}</error>",
    Outcome.SKIPPED: "<skipped message={}>{}</skipped>",
}
CASES = st.lists(st.tuples(XML_TEXT, XML_TEXT, st.sampled_from(Outcome), XML_TEXT), max_size=8)
VALID = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE testsuites SYSTEM "x"><testsuites>'
    b'<testsuite name="s" timestamp="2024-01-01T00:00:00"><testcase classname="a.B" name="x" time="0.1">'
    b'<failure message="m&amp;" type="T">'
    b"<![CDATA[text]]></failure><rerunFailure><stackTrace>t</stackTrace></rerunFailure><system-out>&#65;o</system-out>"
    b'</testcase><testcase name="y"><flakyFailure/></testcase><error>e</error>'
    b"</testsuite></testsuites>"
)


def check(report: ParsedReport) -> None:
    assert [case.ordinal for case in report.cases] == list(range(len(report.cases)))
    assert report.is_report or not report.cases
    failed: dict[tuple[str, str, str, str], ReportCase] = {}
    for case in report.cases:
        text = "".join(
            (
                case.suite,
                case.classname,
                case.name,
                case.file,
                case.failure_type,
                case.failure_message,
                case.failure_text,
                case.output,
            )
        )
        assert "\x00" not in text
        text.encode()
        assert case.duration_us is None or case.duration_us >= 0
        assert case.started_at is None or case.started_at.utcoffset() is not None
        key = (case.suite, case.classname, case.name, case.file)
        if case.name and case.outcome is not Outcome.SKIPPED:
            earlier = failed.pop(key, None)
            assert earlier is None or not earlier.is_final
            assert case.retry_index == (0 if earlier is None else earlier.retry_index + 1)
            if case.outcome is not Outcome.PASSED:
                failed[key] = case
            else:
                assert case.is_final
    assert all(case.is_final or case.outcome in {Outcome.FAILED, Outcome.ERRORED} for case in report.cases)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    check(parse_report(data))
    check(parse_report(b"<testsuite><testcase name='a'/>" + data))


@settings(deadline=None)
@given(st.data())
def test_no_damage_to_a_report_makes_the_parser_raise(data: st.DataObject) -> None:
    damaged = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(at, min(len(damaged), at + 20)))
        damaged[at:end] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"<", b"&", b"&#0;", b"\x00", b"<!ENTITY a 'b'>"])
        )
    first = parse_report(bytes(damaged))
    check(first)
    assert parse_report(bytes(damaged)) == first


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from(["", "<!-- ", "<![CDATA[", '<a b="', "&#"]), st.integers(1, 9))
def test_repairs_do_not_depend_on_the_pieces(text: str, opening: str, size: int) -> None:
    text = opening + text
    whole, pieces = Repair(), Repair()
    out = [pieces.feed(text[at : at + size], final=at + size >= len(text)) for at in range(0, len(text), size)]
    assert "".join(out) == whole.feed(text, final=True)


@settings(deadline=None)
@given(CASES, XML_TEXT, st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_a_well_formed_report_is_read_whole(
    cases: list[tuple[str, str, Outcome, str]], suite: str, encoding: str
) -> None:
    body = "".join(
        f"<testcase classname={quoteattr(classname)} name={quoteattr(name)}>"
        + CHILDREN[outcome].format(quoteattr(text), escape(text))
        + "</testcase>"
        for classname, name, outcome, text in cases
    )
    report = parse_report(
        f"<testsuites><testsuite name={quoteattr(suite)}>{body}</testsuite></testsuites>".encode(encoding)
    )
    check(report)
    assert len(report.issues) == (0 if cases else 1)
    assert [(case.classname, case.name, case.outcome) for case in report.cases] == [case[:3] for case in cases]
    assert {case.suite for case in report.cases} <= {suite}
    for case, (_, _, outcome, text) in zip(report.cases, cases, strict=True):
        assert case.failure_message == ("" if outcome is Outcome.PASSED else text.strip())
