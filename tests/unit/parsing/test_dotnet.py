"""TRX, NUnit's and xUnit.net's XML, told case by case."""

import pytest

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReasonCode, ReportCase
from flakeguard_pipeline.parsing import trx, xunit_net
from flakeguard_pipeline.parsing.elements import SUITE_FAILURE_NAME
from flakeguard_pipeline.parsing.reports import parse_report

TRX_DEFINITIONS = (
    '<TestDefinitions><UnitTest name="n" storage="{storage}" id="A1"><Execution id="x"/>'
    '<TestMethod codeBase="c" className="{classname}" name="m"/></UnitTest></TestDefinitions>'
)


def parse(text: str) -> ParsedReport:
    return parse_report(text.encode())


def only(report: ParsedReport) -> ReportCase:
    assert report.issues == ()
    (case,) = report.cases
    return case


def trx_report(
    results: str, *, storage: str = "/b/a.dll", classname: str = "N.C", definitions: str = TRX_DEFINITIONS
) -> ParsedReport:
    return parse(
        '<TestRun id="1" xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010">'
        f"<Results>{results}</Results>{definitions.format(storage=storage, classname=classname)}</TestRun>"
    )


def trx_case(attributes: str = 'outcome="Passed"', children: str = "", **how: str) -> ReportCase:
    return only(trx_report(f'<UnitTestResult testId="a1" testName="T" {attributes}>{children}</UnitTestResult>', **how))


def nunit_case(attributes: str, children: str = "") -> ReportCase:
    return only(parse(f"<test-run><test-suite><test-case {attributes}>{children}</test-case></test-suite></test-run>"))


def xunit_case(attributes: str, children: str = "") -> ReportCase:
    return only(
        parse(
            '<assemblies><assembly name="/b/a.dll" run-date="2026-03-02" run-time="09:00:00"><collection>'
            f"<test {attributes}>{children}</test></collection></assembly></assemblies>"
        )
    )


class TestTrx:
    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            ("Passed", Outcome.PASSED),
            ("PassedButRunAborted", Outcome.PASSED),
            ("Completed", Outcome.PASSED),
            ("Warning", Outcome.PASSED),
            ("Failed", Outcome.FAILED),
            ("Error", Outcome.ERRORED),
            ("Timeout", Outcome.ERRORED),
            ("Aborted", Outcome.ERRORED),
            ("Disconnected", Outcome.ERRORED),
            ("Inconclusive", Outcome.SKIPPED),
            ("NotExecuted", Outcome.SKIPPED),
            ("NotRunnable", Outcome.SKIPPED),
            ("Pending", Outcome.SKIPPED),
            ("InProgress", Outcome.SKIPPED),
        ],
    )
    def test_outcomes(self, outcome: str, expected: Outcome) -> None:
        assert trx_case(f'outcome="{outcome}"').outcome is expected

    def test_the_writer_leaves_out_the_outcome_error(self) -> None:
        assert trx_case("").outcome is Outcome.ERRORED

    def test_class_and_assembly_come_from_the_definition_below(self) -> None:
        case = trx_case(storage=r"D:\a\1\s\bin\shop.tests.dll", classname="N.C, Shop, Version=1.0.0.0")
        assert (case.suite, case.classname, case.name) == ("shop.tests.dll", "N.C", "T")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("N.C.Works", "Works"),
            ("N.C.Works(a: 1.5)", "Works(a: 1.5)"),
            ("N.C.", "N.C."),
            ("Custom name", "Custom name"),
        ],
    )
    def test_the_class_is_taken_off_the_name(self, name: str, expected: str) -> None:
        case = only(trx_report(f'<UnitTestResult testId="a1" testName="{name}" outcome="Passed"/>'))
        assert case.name == expected

    def test_commas_of_generic_arguments_are_no_assembly(self) -> None:
        assert trx_case(classname="N.C`2[[A, B],[C, D]], Shop").classname == "N.C`2[[A, B],[C, D]]"

    def test_time_and_duration(self) -> None:
        case = trx_case('outcome="Passed" duration="00:01:02.3456789" startTime="2026-03-02T10:00:00.1234567+01:00"')
        assert case.duration_us == 62_345_679
        assert case.started_at is not None
        assert case.started_at.isoformat() == "2026-03-02T09:00:00.123456+00:00"

    def test_a_failure_has_message_trace_and_output(self) -> None:
        case = trx_case(
            'outcome="Failed"',
            "<Output><StdOut>out</StdOut><StdErr>err</StdErr><ErrorInfo><Message>System.IO.IOException : gone\nnow"
            "</Message><StackTrace>at N.C.T()</StackTrace></ErrorInfo><TextMessages><Message>trace</Message>"
            "</TextMessages></Output>",
        )
        assert (case.failure_type, case.failure_message) == (
            "System.IO.IOException",
            "System.IO.IOException : gone\nnow",
        )
        assert case.failure_text == "System.IO.IOException : gone\nnow\nat N.C.T()"
        assert case.output == "out\nerr"

    def test_what_passed_keeps_no_output(self) -> None:
        assert trx_case(children="<Output><StdOut>out</StdOut></Output>").output == ""

    def test_rows_speak_for_a_data_driven_test(self) -> None:
        report = trx_report(
            '<UnitTestResult testId="a1" testName="T" outcome="Failed" resultType="DataDrivenTest"><InnerResults>'
            '<UnitTestResult testId="a1" testName="T (1)" outcome="Passed"/>'
            '<UnitTestResult testId="a1" testName="T (2)" outcome="Failed"/></InnerResults></UnitTestResult>'
        )
        assert [(case.name, case.outcome) for case in report.cases] == [
            ("T (1)", Outcome.PASSED),
            ("T (2)", Outcome.FAILED),
        ]

    def test_a_test_that_failed_beside_its_rows_is_kept(self) -> None:
        report = trx_report(
            '<UnitTestResult testId="a1" testName="T" outcome="Failed"><InnerResults>'
            '<UnitTestResult testId="a1" testName="T (1)" outcome="Passed"/></InnerResults></UnitTestResult>'
        )
        assert [case.name for case in report.cases] == ["T (1)", "T"]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("N.C.T(1.5)", ("N.C", "T(1.5)")), ("T", ("", "T")), ("is 1.5 times", ("", "is 1.5 times"))],
    )
    def test_a_result_without_a_definition_is_kept(self, name: str, expected: tuple[str, str]) -> None:
        case = only(trx_report(f'<UnitTestResult testId="b2" testName="{name}" outcome="Passed"/>'))
        assert (case.suite, case.classname, case.name) == ("", *expected)

    def test_a_report_that_breaks_off_keeps_its_whole_results(self) -> None:
        report = parse(
            '<TestRun><Results><UnitTestResult testId="a1" testName="T" outcome="Passed"/>'
            '<UnitTestResult testId="a2" testName="U" outcome="Passed"><Output>'
        )
        assert [case.name for case in report.cases] == ["T"]
        assert [issue.code for issue in report.issues] == [ReasonCode.NOT_WELL_FORMED]

    def test_too_many_results_before_their_definitions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trx, "MAX_HELD", 2)
        report = trx_report('<UnitTestResult testId="a1" testName="T" outcome="Passed"/>' * 4)
        assert [issue.code for issue in report.issues] == [ReasonCode.REPORT_TOO_LARGE]
        assert len(report.cases) == 3

    def test_texts_beyond_the_limit_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trx, "MAX_HELD_CHARACTERS", 10)
        case = trx_case(
            'outcome="Failed"', "<Output><ErrorInfo><Message>far more than ten</Message></ErrorInfo></Output>"
        )
        assert (case.failure_message, case.failure_text) == ("far more than ten", "")

    def test_a_retry_is_a_second_result_of_the_same_test(self) -> None:
        report = trx_report(
            '<UnitTestResult testId="a1" testName="T" outcome="Failed"/>'
            '<UnitTestResult testId="a1" testName="T" outcome="Passed"/>'
        )
        assert [(case.retry_index, case.is_final) for case in report.cases] == [(0, False), (1, True)]


class TestNUnit:
    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ('result="Passed"', Outcome.PASSED),
            ('result="Warning"', Outcome.PASSED),
            ('result="Failed"', Outcome.FAILED),
            ('result="Failed" label="Error"', Outcome.ERRORED),
            ('result="Failed" label="Invalid"', Outcome.ERRORED),
            ('result="Failed" label="Cancelled"', Outcome.ERRORED),
            ('result="Skipped" label="Ignored"', Outcome.SKIPPED),
            ('result="Skipped" label="Explicit"', Outcome.SKIPPED),
            ('result="Inconclusive"', Outcome.SKIPPED),
            ('result="Success"', Outcome.PASSED),
            ('result="Failure"', Outcome.FAILED),
            ('result="Error"', Outcome.ERRORED),
            ('result="NotRunnable"', Outcome.ERRORED),
            ('result="Ignored"', Outcome.SKIPPED),
            ('executed="False"', Outcome.SKIPPED),
            ('executed="True" success="False"', Outcome.FAILED),
            ('executed="True" success="True"', Outcome.PASSED),
        ],
    )
    def test_outcomes(self, attributes: str, expected: Outcome) -> None:
        assert nunit_case(f'name="T" {attributes}').outcome is expected

    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ('name="T(1.5)" fullname="N.C.T(1.5)" classname="N.C"', ("N.C", "T(1.5)")),
            ('name="T" fullname="N.C(&quot;a.b&quot;).T" classname="N.C"', ('N.C("a.b")', "T")),
            ('name="odd" fullname="something else" classname="N.C"', ("N.C", "odd")),
            ('name="N.C.T(1.5)"', ("N.C", "T(1.5)")),
            ('name="T"', ("", "T")),
            ('fullname="N.C.T"', ("", "N.C.T")),
        ],
    )
    def test_class_and_name(self, attributes: str, expected: tuple[str, str]) -> None:
        case = nunit_case(f'{attributes} result="Passed"')
        assert (case.classname, case.name) == expected

    def test_a_fixture_that_failed_itself_is_a_case(self) -> None:
        report = parse(
            '<test-run><test-suite type="Assembly" name="a.dll" result="Failed" site="Child">'
            "<failure><message>One or more child tests had errors</message></failure>"
            '<test-suite type="TestFixture" fullname="N.C" result="Failed" label="Error" site="TearDown">'
            "<failure><message>TearDown : System.Exception : gone</message><stack-trace>at X</stack-trace></failure>"
            '<test-case name="T" fullname="N.C.T" result="Passed"/></test-suite></test-suite></test-run>'
        )
        assert [(case.suite, case.classname, case.name, case.outcome) for case in report.cases] == [
            ("a.dll", "N.C", "T", Outcome.PASSED),
            ("a.dll", "N.C", SUITE_FAILURE_NAME, Outcome.ERRORED),
        ]
        assert report.cases[1].failure_text == "TearDown : System.Exception : gone\nat X"

    def test_a_fixture_that_only_sums_up_is_no_case(self) -> None:
        report = parse(
            '<test-results name="a.dll"><test-suite type="TestFixture" name="C" result="Failure">'
            "<failure><message>Child test failed</message></failure><results>"
            '<test-case name="N.C.T" result="Failure"/></results></test-suite></test-results>'
        )
        assert [case.name for case in report.cases] == ["T"]

    def test_an_assertion_is_not_told_twice(self) -> None:
        case = nunit_case(
            'name="T" result="Failed"',
            "<failure><message>both</message></failure><assertions><assertion><message>one</message></assertion>"
            "</assertions><output>o</output>",
        )
        assert (case.failure_message, case.failure_text, case.output) == ("both", "both", "o")

    def test_a_skip_tells_its_reason(self) -> None:
        case = nunit_case('name="T" result="Skipped"', "<reason><message>no disk</message></reason>")
        assert (case.failure_message, case.failure_text) == ("no disk", "")

    def test_times(self) -> None:
        case = nunit_case('name="T" result="Passed" start-time="2026-03-02 09:00:00Z" duration="0.25"')
        assert case.duration_us == 250_000
        assert case.started_at is not None
        assert case.started_at.isoformat() == "2026-03-02T09:00:00+00:00"

    def test_a_report_that_breaks_off_keeps_its_whole_cases(self) -> None:
        report = parse(
            '<test-run><test-suite type="TestFixture" fullname="N.C" result="Failed" site="SetUp">'
            '<failure><message>m</message></failure><test-case name="T" result="Passed"/><test-case name="U">'
        )
        assert [case.name for case in report.cases] == ["T", SUITE_FAILURE_NAME]


class TestXunitNet:
    @pytest.mark.parametrize(
        ("result", "expected"),
        [
            ("Pass", Outcome.PASSED),
            ("Fail", Outcome.FAILED),
            ("Skip", Outcome.SKIPPED),
            ("NotRun", Outcome.SKIPPED),
        ],
    )
    def test_outcomes(self, result: str, expected: Outcome) -> None:
        assert xunit_case(f'name="T" result="{result}"').outcome is expected

    def test_identity_place_and_times(self) -> None:
        case = xunit_case(
            'name="N.C.T(x: 1.5)" type="N.C" method="T" result="Pass" time="0.125" '
            'source-file="/b/c.cs" source-line="7"'
        )
        assert (case.suite, case.classname, case.name, case.file, case.line) == (
            "a.dll",
            "N.C",
            "T(x: 1.5)",
            "/b/c.cs",
            7,
        )
        assert case.duration_us == 125_000
        assert case.started_at is not None
        assert case.started_at.isoformat() == "2026-03-02T09:00:00+00:00"

    def test_a_failure_has_type_message_trace_and_output(self) -> None:
        case = xunit_case(
            'name="T" result="Fail"',
            '<failure exception-type="N.E"><message>m</message><stack-trace>at X</stack-trace></failure>'
            "<output>o</output>",
        )
        assert (case.failure_type, case.failure_message, case.failure_text, case.output) == ("N.E", "m", "m\nat X", "o")

    @pytest.mark.parametrize("children", ["<reason>why</reason>", "<reason><message>why</message></reason>"])
    def test_a_skip_tells_its_reason(self, children: str) -> None:
        assert xunit_case('name="T" result="Skip"', children).failure_message == "why"

    def test_errors_of_an_assembly_are_one_case(self) -> None:
        report = parse(
            '<assembly name="a.dll" run-date="2026-03-02"><errors>'
            '<error type="fatal"><failure exception-type="N.E"><message>one</message></failure></error>'
            '<error type="test-class-cleanup" name="N.C"><failure><message>two</message></failure></error></errors>'
            '<class name="N.C"><test name="N.C.T" type="N.C" method="T" result="Pass"/></class></assembly>'
        )
        first, second = report.cases
        assert (first.name, first.outcome) == ("T", Outcome.PASSED)
        assert (second.suite, second.classname, second.name) == ("a.dll", "a.dll", SUITE_FAILURE_NAME)
        assert (second.outcome, second.failure_type, second.failure_message) == (Outcome.ERRORED, "N.E", "one")
        assert second.failure_text == "one\n\ntwo"

    def test_an_assembly_of_something_else_is_no_report(self) -> None:
        assert xunit_net.claims("assembly", {"name": "a.dll", "run-date": "2026-03-02"})
        assert not xunit_net.claims("assembly", {"manifestVersion": "1.0"})
        assert not parse('<assembly manifestVersion="1.0"><file name="a"/></assembly>').is_report
