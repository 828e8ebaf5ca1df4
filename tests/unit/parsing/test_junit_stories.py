"""What a test report says, told case by case."""

import pytest

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReasonCode, ReportCase
from flakeguard_pipeline.parsing import document, elements, reports
from flakeguard_pipeline.parsing.decoding import sniff
from flakeguard_pipeline.parsing.reports import parse_report
from flakeguard_pipeline.parsing.text import MAX_ATTRIBUTE, MAX_FAILURE_TEXT, MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL


def parse(text: str) -> ParsedReport:
    return parse_report(text.encode())


def only(report: ParsedReport) -> ReportCase:
    assert [issue.code for issue in report.issues] == []
    (case,) = report.cases
    return case


def one_case(children: str = "", attributes: str = "") -> ReportCase:
    return only(parse(f'<testsuite name="s"><testcase name="t" {attributes}>{children}</testcase></testsuite>'))


def codes(report: ParsedReport) -> list[ReasonCode]:
    return [issue.code for issue in report.issues]


def story(report: ParsedReport) -> list[tuple[str, str, int, bool]]:
    return [(case.name, case.outcome.value, case.retry_index, case.is_final) for case in report.cases]


def test_a_passing_case_carries_its_identity_and_times() -> None:
    report = parse(
        '<testsuites><testsuite name="org.acme.A" timestamp="2024-05-06T07:08:09+02:00">'
        '<testcase classname="org.acme.A" name="adds" file="a.py" line="12" time="1,234.5"/>'
        "</testsuite></testsuites>"
    )
    case = only(report)
    assert report.is_report
    assert report.dialect == "junit"
    assert (case.suite, case.classname, case.name, case.file, case.line) == (
        "org.acme.A",
        "org.acme.A",
        "adds",
        "a.py",
        12,
    )
    assert (case.outcome, case.retry_index, case.is_final) == (Outcome.PASSED, 0, True)
    assert case.duration_us == 1_234_500_000
    assert case.started_at is not None
    assert case.started_at.isoformat() == "2024-05-06T05:08:09+00:00"


def test_nested_suites_lend_their_name_file_and_time_to_the_cases_within() -> None:
    report = parse(
        '<testsuites><testsuite name="outer" file="o.php" timestamp="2024-01-01T00:00:00">'
        '<testcase name="a"/>'
        '<testsuite name="inner"><testcase name="b" timestamp="2024-01-02T00:00:00Z"/></testsuite>'
        '<testsuite><testcase name="c" file="c.php"/></testsuite></testsuite>'
        '<testcase name="d"/></testsuites>'
    )
    assert [(case.name, case.suite, case.file) for case in report.cases] == [
        ("a", "outer", "o.php"),
        ("b", "inner", "o.php"),
        ("c", "outer", "c.php"),
        ("d", "", ""),
    ]
    assert [case.started_at and case.started_at.day for case in report.cases] == [1, 2, 1, None]


@pytest.mark.parametrize(
    ("children", "outcome"),
    [
        ("", Outcome.PASSED),
        ("<failure/>", Outcome.FAILED),
        ("<error/>", Outcome.ERRORED),
        ("<failure/><error/>", Outcome.ERRORED),
        ("<error/><failure/>", Outcome.ERRORED),
        ("<failure/><failure/>", Outcome.FAILED),
        ("<skipped/>", Outcome.SKIPPED),
        ("<skipped/><failure/>", Outcome.FAILED),
        ("<properties><property name='x'/></properties><system-out>error</system-out>", Outcome.PASSED),
    ],
)
def test_the_worst_child_decides_the_outcome(children: str, outcome: Outcome) -> None:
    assert one_case(children).outcome is outcome


@pytest.mark.parametrize("status", ["notrun", "disabled", "skipped", "Skipped"])
def test_a_case_that_was_not_run_is_skipped(status: str) -> None:
    assert one_case(attributes=f'status="{status}"').outcome is Outcome.SKIPPED


def test_a_skip_tells_its_reason() -> None:
    assert one_case('<skipped message="no docker"/>').failure_message == "no docker"
    assert one_case("<skipped>\n no network\n</skipped>").failure_message == "no network"


def test_the_error_speaks_for_a_case_that_failed_and_errored() -> None:
    case = one_case(
        '<failure type="AssertionError" message="1 != 2">first</failure>'
        '<error type="OSError" message="gone">second</error>'
    )
    assert (case.failure_type, case.failure_message) == ("OSError", "gone")
    assert case.failure_text == "first\n\nsecond"


def test_a_failure_without_message_takes_the_first_line_of_its_text() -> None:
    case = one_case("<failure><![CDATA[\n\n  boom: 41 > 26\n\tat x\n]]></failure>")
    assert case.failure_message == "boom: 41 > 26"
    assert case.failure_text == "boom: 41 > 26\n\tat x"


def test_a_failure_s_own_place_is_no_part_of_the_identity() -> None:
    assert one_case('<failure file="helper.c" line="7"/>').file == ""


def test_surefire_a_flaky_test_failed_before_it_passed() -> None:
    report = parse(
        '<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/xsd/surefire.xsd" name="s">'
        '<testcase name="t" time="0.5"><flakyFailure message="m1" type="T"><stackTrace>trace 1</stackTrace>'
        "<system-out>out 1</system-out></flakyFailure><flakyError message='m2'>trace 2</flakyError>"
        "<system-out>of the pass</system-out></testcase></testsuite>"
    )
    assert report.dialect == "surefire"
    assert story(report) == [("t", "failed", 0, False), ("t", "errored", 1, False), ("t", "passed", 2, True)]
    first, second, last = report.cases
    assert (first.failure_type, first.failure_message, first.failure_text) == ("T", "m1", "trace 1")
    assert (first.output, first.duration_us) == ("out 1", None)
    assert (second.failure_message, second.failure_text) == ("m2", "trace 2")
    assert (last.failure_message, last.output, last.duration_us) == ("", "", 500_000)


def test_surefire_reruns_that_all_fail_end_with_the_last() -> None:
    report = parse(
        '<testsuite name="s"><testcase name="t" time="0.5"><failure message="first"/>'
        "<system-out>out 0</system-out>"
        '<rerunFailure message="second" time="0.25" timestamp="2024-01-01T00:00:00Z"/>'
        '<rerunError message="third"/>'
        "</testcase></testsuite>"
    )
    assert story(report) == [("t", "failed", 0, False), ("t", "failed", 1, False), ("t", "errored", 2, True)]
    assert [case.failure_message for case in report.cases] == ["first", "second", "third"]
    assert [case.duration_us for case in report.cases] == [500_000, 250_000, None]
    assert report.cases[0].output == "out 0"


def test_a_case_reported_twice_was_retried() -> None:
    report = parse(
        '<testsuite name="s"><testcase classname="C" name="t"><failure/></testcase>'
        '<testcase classname="C" name="u"/>'
        '<testcase classname="C" name="t"/><testcase classname="D" name="t"/></testsuite>'
    )
    assert story(report) == [
        ("t", "failed", 0, False),
        ("u", "passed", 0, True),
        ("t", "passed", 1, True),
        ("t", "passed", 0, True),
    ]
    assert [case.ordinal for case in report.cases] == [0, 1, 2, 3]


def test_cases_without_a_name_are_not_retries_of_each_other() -> None:
    report = parse('<testsuite><testcase classname="e2e"/><testcase classname="e2e"/></testsuite>')
    assert [case.is_final for case in report.cases] == [True, True]


def test_a_suite_that_failed_itself_is_a_case() -> None:
    report = parse('<testsuite name="a.B"><error type="NoClassDefFoundError" message="m">text</error></testsuite>')
    case = only(report)
    assert (case.suite, case.classname, case.name) == ("a.B", "a.B", elements.SUITE_FAILURE_NAME)
    assert (case.outcome, case.failure_type, case.failure_text) == (
        Outcome.ERRORED,
        "NoClassDefFoundError",
        "text",
    )


def test_output_is_kept_for_failures_only() -> None:
    output = "<system-out>o</system-out><system-err>e</system-err>"
    assert one_case(f"{output}<failure/>").output == "o\ne"
    assert one_case(output).output == ""
    assert one_case(f"<skipped/>{output}").output == ""


def test_output_of_a_suite_goes_to_its_failures_that_have_none() -> None:
    report = parse(
        '<testsuites><testsuite name="s"><testcase name="a"><failure/></testcase><testcase name="b"/>'
        '<testcase name="c"><error/><system-err>own</system-err></testcase>'
        "<system-out>of the suite</system-out>"
        '</testsuite><testsuite name="z"><testcase name="d"><failure/></testcase></testsuite></testsuites>'
    )
    assert [case.output for case in report.cases] == ["of the suite", "", "own", ""]


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    lines = "".join(f"line {number}\n" for number in range(200_000))
    output = one_case(f"<failure/><system-out>{lines}</system-out>").output
    assert output.startswith("line 0\nline 1\n")
    assert output.endswith("line 199998\nline 199999")
    assert "characters left out" in output
    assert len(output) < MAX_OUTPUT_HEAD + MAX_OUTPUT_TAIL + 100


def test_long_texts_are_bounded_and_long_names_stay_apart() -> None:
    case = one_case(f'<failure message="{"m" * 50_000}">{"x" * 100_000}</failure>')
    assert len(case.failure_message) == MAX_ATTRIBUTE
    assert len(case.failure_text) < MAX_FAILURE_TEXT + 100
    names = [one_case(attributes=f'classname="{"n" * 50_000}{end}"').classname for end in "ab"]
    assert names[0] != names[1]
    assert {len(name) for name in names} == {MAX_ATTRIBUTE}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ReasonCode.EMPTY_FILE),
        (b" \n", ReasonCode.EMPTY_FILE),
        (b"\xef\xbb\xbf", ReasonCode.EMPTY_FILE),
        (bytes(512), ReasonCode.EMPTY_FILE),
        (b"<testsuites/>", ReasonCode.NO_TEST_CASES),
        (b'<?xml version="1.0" encoding="klingon"?><testsuite/>', ReasonCode.UNSUPPORTED_ENCODING),
        (b'<?xml version="1.0" encoding="hex"?><testsuite/>', ReasonCode.UNSUPPORTED_ENCODING),
        (b"<testsuite>" + b"<a>" * document.MAX_DEPTH, ReasonCode.TOO_DEEP),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>', ReasonCode.ENTITY_DECLARATION),
        (b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://x/">%a;]><testsuite/>', ReasonCode.ENTITY_DECLARATION),
        (b"<testsuite", ReasonCode.NOT_WELL_FORMED),
        (b"<testsuite name='" + b"x" * (document.MAX_TOKEN_BYTES + 200_000), ReasonCode.NOT_WELL_FORMED),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_report_that_cannot_be_read_says_why(data: bytes, code: ReasonCode) -> None:
    report = parse_report(data)
    assert report.is_report
    assert report.cases == ()
    assert codes(report) == [code]


def test_a_report_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_REPORT_BYTES", 10)
    assert codes(parse("<testsuite><testcase/></testsuite>")) == [ReasonCode.REPORT_TOO_LARGE]


def test_a_report_with_too_many_executions_keeps_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_CASES", 2)
    report = parse("<testsuite>" + "<testcase/>" * 5 + "</testsuite>")
    assert codes(report) == [ReasonCode.REPORT_TOO_LARGE]
    assert 2 <= len(report.cases) <= 3


@pytest.mark.parametrize(
    "data",
    [
        b"<html><p>unclosed",
        b'<?xml version="1.0"?><project><testsuite/></project>',
        b"PK\x03\x04 zip",
        b'{"testsuite": 1}',
        b"just < text",
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_test_report_is_passed_over_without_an_issue(data: bytes) -> None:
    report = parse_report(data)
    assert (report.is_report, report.cases, report.issues) == (False, (), ())


def test_broken_xml_without_a_sign_of_a_report_keeps_its_issue() -> None:
    report = parse('<?xml version="1.0"?>\n')
    assert not report.is_report
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]


def test_a_truncated_report_keeps_its_whole_cases_and_tells_where_it_ends() -> None:
    report = parse(
        '\n<testsuite name="s">\n<testcase name="a"/>\n<testcase name="b"><failure/></testcase>\n'
        '<system-out>late</system-out><testcase name="c"><failure>cut'
    )
    assert report.is_report
    assert [case.name for case in report.cases] == ["a", "b"]
    assert report.cases[1].output == "late"
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
    assert report.issues[0].detail.startswith("line 5, column ")


@pytest.mark.parametrize(
    "fault",
    [
        "\x00",
        "\x0b",
        "\x1b[31m",
        "\ufffe",
        "&#0;",
        "&#x1B;",
        "&#55296;",
        "&#99999999;",
        "&nbsp;",
        "a & b",
        "a < b",
    ],
)
def test_illegal_characters_are_replaced_and_the_cases_after_them_kept(fault: str) -> None:
    report = parse(
        f'<testsuite><testcase name="a"><failure>x{fault}y</failure></testcase><testcase name="b"/></testsuite>'
    )
    assert [case.name for case in report.cases] == ["a", "b"]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
    assert "replaced" in report.issues[0].detail
    assert "\x00" not in report.cases[0].failure_text


def test_a_raw_less_than_sign_in_an_attribute_is_read() -> None:
    report = parse(
        '<testsuite><testcase name="a" time="<<computed>>" classname="x>y"/><testcase name="b"/></testsuite>'
    )
    assert [(case.name, case.classname, case.duration_us) for case in report.cases] == [
        ("a", "x>y", None),
        ("b", "", None),
    ]


def test_bytes_of_another_encoding_are_replaced() -> None:
    report = parse_report(b'<testsuite><testcase name="caf\xe9"/><testcase name="b"/></testsuite>')
    assert [case.name for case in report.cases] == ["caf\ufffd", "b"]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_repairs_do_not_depend_on_where_the_chunks_end(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (
        '<testsuite><!-- a & < b --><testcase name="ä<b&#0;" classname="&lt;&amp;"><failure>&#1;&x;'
        "<![CDATA[&#0; & <]]></failure></testcase>\x01</testsuite>"
    ).encode()
    whole = parse_report(data)
    monkeypatch.setattr("flakeguard_pipeline.parsing.decoding.CHUNK_BYTES", chunk)
    pieces = parse_report(data)
    assert pieces.cases == whole.cases
    assert (whole.cases[0].name, whole.cases[0].classname) == ("ä<b\ufffd", "<&")
    assert whole.cases[0].failure_text == "\ufffd&x;&#0; & <"


@pytest.mark.parametrize(
    ("encoding", "declared", "mark"),
    [
        ("utf-8", "", b""),
        ("utf-8", "UTF-8", b"\xef\xbb\xbf"),
        ("utf-8", "utf8", b""),
        ("utf-8", "UTF-16", b""),
        ("utf-8", "US-ASCII", b""),
        ("utf-16", "UTF-16", b""),
        ("utf-16-be", "UTF-16", b"\xfe\xff"),
        ("utf-16-le", "UTF-16", b""),
        ("utf-32", "UTF-32", b""),
        ("iso-8859-1", "ISO-8859-1", b""),
        ("iso-8859-15", "ISO-8859-15", b""),
        ("windows-1252", "windows-1252", b""),
    ],
)
def test_encodings_and_byte_order_marks(encoding: str, declared: str, mark: bytes) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    data = mark + f'{declaration}<testsuite><testcase name="Prüfung"/></testsuite>'.encode(encoding)
    assert sniff(data[:16])
    assert only(parse_report(data)).name == "Prüfung"


def test_encodings_that_only_python_knows() -> None:
    data = '<?xml version="1.0" encoding="Shift_JIS"?><testsuite><testcase name="試験"/></testsuite>'.encode(
        "shift_jis"
    )
    assert only(parse_report(data)).name == "試験"


@pytest.mark.parametrize("blank", ["\n", " \r\n\t", "\ufeff\n"])
def test_blanks_before_the_declaration_are_tolerated(blank: str) -> None:
    assert only(parse(blank + '<?xml version="1.0" encoding="UTF-8"?><testsuite><testcase name="a"/></testsuite>'))


def test_a_doctype_without_entities_is_fine() -> None:
    report = parse('<!DOCTYPE testsuite SYSTEM "http://example.org/x.dtd"><testsuite><testcase name="a"/></testsuite>')
    assert only(report).name == "a"


def test_prefixed_elements_are_read() -> None:
    assert only(parse('<j:testsuite xmlns:j="u"><j:testcase name="a"/></j:testsuite>')).name == "a"


def test_a_control_character_never_reaches_a_name() -> None:
    assert one_case(attributes='classname="a&#13;b&#9;c&#10;d"').classname == "ab\tc\nd"


@pytest.mark.parametrize(
    ("head", "maybe"),
    [
        (b"<?xml", True),
        (b"\n  <a", True),
        (b"\xef\xbb\xbf<a", True),
        (b"\xff\xfe<\x00", True),
        (b"\xfe\xff\x00<", True),
        (b"\x00<\x00a", True),
        (b"", False),
        (b"  ", False),
        (b"{", False),
        (b"PK", False),
        (b"\x89PNG", False),
    ],
)
def test_sniffing(head: bytes, maybe: bool) -> None:
    assert sniff(head) is maybe


@pytest.mark.parametrize("before", ["npm WARN deprecated\n", "\ufeff\ufeff", "\x00\x01"])
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-8"?>\n'])
def test_what_was_written_before_the_xml_is_told_and_the_rest_is_read(before: str, declaration: str) -> None:
    report = parse(f'{before}{declaration}<testsuite name="s"><testcase name="a"/><testcase name="b"/></testsuite>')
    assert story(report) == [("a", "passed", 0, True), ("b", "passed", 0, True)]
    assert codes(report) == [ReasonCode.NOT_WELL_FORMED]
    assert report.issues[0].detail.endswith("bytes of something else come before the XML; it was read from there")


def test_suites_of_one_name_are_not_each_others_retries() -> None:
    suite = '<testsuite name="C"><testcase name="a">{}</testcase></testsuite>'
    report = parse(f"<testsuites>{suite.format('<failure/>')}{suite.format('')}</testsuites>")
    assert story(report) == [("a", "failed", 0, True), ("a", "passed", 0, True)]


def test_merged_reports_of_pytests_are_not_each_others_reruns() -> None:
    suite = '<testsuite name="pytest" hostname="{}"><testcase classname="t.a" name="x"/></testsuite>'
    report = parse(f"<testsuites>{suite.format('a')}{suite.format('b')}</testsuites>")
    assert story(report) == [("x", "passed", 0, True), ("x", "passed", 0, True)]


def test_only_pytests_own_suites_have_attempts_that_look_like_passes() -> None:
    case = '<testcase classname="t.a" name="x"/>'
    report = parse(
        f'<testsuites><testsuite name="pytest">{case}{case}</testsuite><testsuite name="m">{case}{case}</testsuite>'
        "</testsuites>"
    )
    assert [case.outcome.value for case in report.cases] == ["failed", "passed", "passed", "passed"]


def test_a_writer_with_a_spelling_for_retries_repeats_no_test_for_one() -> None:
    schema = 'xmlns:xsi="x" xsi:noNamespaceSchemaLocation="https://maven/surefire-test-report.xsd"'
    case = '<testcase classname="o.P" name="param">{}</testcase>'
    report = parse(f'<testsuite {schema} name="o.P">{case.format("<failure/>")}{case.format("")}</testsuite>')
    assert story(report) == [("param", "failed", 0, True), ("param", "passed", 0, True)]


def test_a_project_of_playwrights_is_an_environment() -> None:
    suite = '<testsuite name="a" hostname="{}"><testcase classname="a.spec.ts" name="pays">{}</testcase></testsuite>'
    report = parse(
        f'<testsuites id="" name="">{suite.format("chromium", "<failure/>")}{suite.format("firefox", "")}</testsuites>'
    )
    assert [(case.environment, case.outcome.value, case.is_final) for case in report.cases] == [
        ("chromium", "failed", True),
        ("firefox", "passed", True),
    ]


def test_a_pass_whose_fixtures_failed_afterwards_is_one_errored_execution() -> None:
    case = '<testcase classname="t.a" name="x">{}</testcase>'
    error = '<error message="failed on teardown with &quot;OSError&quot;">no space</error>'
    report = parse(
        f'<testsuites><testsuite name="pytest">{case.format("")}{case.format(error)}</testsuite></testsuites>'
    )
    assert story(report) == [("x", "errored", 0, True)]


@pytest.mark.parametrize(("status", "outcome"), [("timeout", "errored"), ("broken", "errored"), ("run", "passed")])
def test_a_status_may_say_that_a_test_came_to_no_verdict(status: str, outcome: str) -> None:
    assert one_case(attributes=f'status="{status}"').outcome.value == outcome
