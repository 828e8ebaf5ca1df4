"""Jenkins as a source: builds become runs, reports or test results become files, and a bad server is survived."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.domain.model import RunAttempt, RunStatus
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.parsing.reports import parse_report
from flakeguard_pipeline.providers.jenkins import JenkinsSource, build_jenkins
from flakeguard_pipeline.providers.junit_xml import WrittenCase, WrittenSuite, junit_xml
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, FoundFile, FoundFolder, Window
from flakeguard_pipeline.source_sections import JenkinsSection
from tests.support.jenkins_server import (
    ARTIFACTS,
    BASIC,
    BUILDS,
    FIRST,
    FOLDER,
    FORBIDDEN,
    HAS_TESTS,
    HIDDEN,
    LIBRARY_SHA,
    MATRIX,
    MULTIBRANCH,
    REPORT,
    SHA,
    SIGNATURE,
    TOKEN,
    USER,
    JenkinsServer,
    build,
    case,
    caused_by,
    jenkins_serving,
    revision,
    stored,
    suite,
)
from tests.support.provider_server import Answer, Fault, cut, json_answer, serving

NOW = datetime(2026, 3, 10, tzinfo=UTC)
XML = b'<testsuite name="a"><testcase classname="C" name="t"/></testsuite>'
BEGINNING = datetime.fromtimestamp(FIRST / 1000, UTC)


class Sleeps(list[float]):
    """The waits that were asked for; none is made."""


OPENED: list[JenkinsSource] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def jenkins() -> Iterator[JenkinsServer]:
    with jenkins_serving() as server:
        yield server


def source_of(jenkins: JenkinsServer, *jobs: str, sleeps: Sleeps | None = None, **more: Any) -> JenkinsSource:
    section = JenkinsSection.model_validate(
        {
            "kind": "jenkins",
            "name": "ci",
            "url": jenkins.url,
            "jobs": jobs or ["shop"],
            "user": USER,
            "token": {"env": "JENKINS_TOKEN"},
            **more,
        }
    )
    waits = sleeps if sleeps is not None else Sleeps()
    source = build_jenkins(section, lambda _: TOKEN, clock=Clock(now=lambda: NOW, sleep=waits.append))
    OPENED.append(source)
    return source


def found_in(source: JenkinsSource, window: Window = EVERYTHING) -> dict[str, FoundFolder]:
    folders = list(source.discover(window))
    assert len(folders) == len({each.folder for each in folders}), "a folder came twice"
    return {each.folder: each for each in folders}


def attempt_of(files: tuple[FoundFile, ...]) -> RunAttempt:
    run, jobs = files[0], files[1]
    assert (run.kind, run.path, jobs.kind, jobs.path) == ("run", "run.json", "jobs", "job.json")
    assert run.inline is not None
    return parse_run(run.inline, jobs.inline, provider="jenkins")


def landed(source: JenkinsSource, folder: str) -> dict[tuple[str, str], bytes]:
    """Return the bytes of what is no metadata, by artifact and path."""
    everything: dict[tuple[str, str], bytes] = {}
    for file in source.contents(FoundFolder(folder, ""))[2:]:
        with source.open(file) as stream:
            everything[file.artifact, file.path] = stream.read()
    return everything


def run_of(jenkins: JenkinsServer, only: dict[str, Any], job: str = "shop") -> RunAttempt:
    jenkins.builds[job] = [only]
    return attempt_of(source_of(jenkins).contents(FoundFolder(f"{job}/{only['number']}", "")))


# -- what a build becomes ----------------------------------------------------------------------------------------


def test_a_build_becomes_a_run_attempt_that_the_parser_of_runs_reads(jenkins: JenkinsServer) -> None:
    jenkins.items = {"team": FOLDER}
    jenkins.builds["team/shop"] = [build(12, caused_by("hudson.triggers.SCMTrigger$SCMTriggerCause"), revision())]
    attempt = attempt_of(source_of(jenkins).contents(FoundFolder("team/shop/12", "")))
    assert (attempt.key.provider, attempt.key.run_id, attempt.key.run_attempt) == ("jenkins", "team/shop#12", 1)
    assert (attempt.key.repository_ref, attempt.full_name) == ("name:acme/shop", "acme/shop")
    assert (attempt.workflow, attempt.event, attempt.branch, attempt.head_sha) == ("team/shop", "push", "main", SHA)
    assert (attempt.status, attempt.conclusion, attempt.pr_number) == (RunStatus.COMPLETED, "success", None)
    assert attempt.created_at == attempt.run_started_at == BEGINNING + timedelta(hours=12)
    assert attempt.updated_at == BEGINNING + timedelta(hours=12, seconds=90.5)
    assert attempt.run_url == "https://ci.example.com/job/somewhere/12/"
    (only,) = attempt.jobs
    assert (only.job_id, only.name, only.conclusion, only.runner_name) == (
        "team/shop#12",
        "team/shop",
        "success",
        "agent-3",
    )
    assert only.completed_at == attempt.updated_at


@pytest.mark.parametrize(
    ("result", "building", "status", "conclusion"),
    [
        ("SUCCESS", False, RunStatus.COMPLETED, "success"),
        ("UNSTABLE", False, RunStatus.COMPLETED, "failure"),
        ("FAILURE", False, RunStatus.COMPLETED, "failure"),
        ("ABORTED", False, RunStatus.COMPLETED, "cancelled"),
        ("NOT_BUILT", False, RunStatus.COMPLETED, "skipped"),
        (None, True, RunStatus.IN_PROGRESS, ""),
        ("UNSTABLE", True, RunStatus.IN_PROGRESS, ""),
    ],
)
def test_the_result_of_a_build(
    jenkins: JenkinsServer, result: str | None, building: bool, status: RunStatus, conclusion: str
) -> None:
    attempt = run_of(jenkins, build(1, result=result, building=building))
    assert (attempt.status, attempt.conclusion) == (status, conclusion)


@pytest.mark.parametrize(
    ("cause", "event"),
    [
        ("hudson.triggers.TimerTrigger$TimerTriggerCause", "schedule"),
        ("hudson.model.Cause$UserIdCause", "workflow_dispatch"),
        ("hudson.model.Cause$UpstreamCause", "workflow_run"),
        ("com.cloudbees.jenkins.GitHubPushCause", "push"),
        ("jenkins.branch.BranchEventCause", "push"),
        ("org.example.SomeOtherCause", "SomeOtherCause"),
    ],
)
def test_the_cause_of_a_build_is_its_event(jenkins: JenkinsServer, cause: str, event: str) -> None:
    assert run_of(jenkins, build(1, {}, caused_by(cause))).event == event


@pytest.mark.parametrize(
    ("remote", "full_name"),
    [
        ("https://github.com/acme/shop.git", "acme/shop"),
        ("git@github.com:acme/shop.git", "acme/shop"),
        ("ssh://git@gitlab.example.com:2222/acme/web/shop", "acme/web/shop"),
        ("https://bot:hunter2@git.example.com/acme/shop", "acme/shop"),
        ("", "shop"),
    ],
)
def test_the_repository_is_what_the_remote_says_else_the_job(
    jenkins: JenkinsServer, remote: str, full_name: str
) -> None:
    assert run_of(jenkins, build(1, revision(remote=remote))).full_name == full_name


@pytest.mark.parametrize(
    ("said", "branch"),
    [
        ("refs/remotes/origin/feature/x", "feature/x"),
        ("origin/main", "main"),
        ("refs/heads/main", "main"),
        ("main", "main"),
        ("feature/x", "feature/x"),
        ("detached", ""),
    ],
)
def test_the_branch_without_its_remote(jenkins: JenkinsServer, said: str, branch: str) -> None:
    assert run_of(jenkins, build(1, revision(said))).branch == branch


def multibranch(jenkins: JenkinsServer, **builds: list[dict[str, Any]]) -> None:
    jenkins.items = {"acme": FOLDER, "acme/shop": MULTIBRANCH}
    jenkins.primary = "main"
    names = {"main": "main", "topic": "feature%2Fcart", "pull": "PR-5"}
    jenkins.builds = {f"acme/shop/{names[name]}": value for name, value in builds.items()}


def test_jobs_of_a_multibranch_project_are_branches_of_one_workflow(jenkins: JenkinsServer) -> None:
    event = caused_by("jenkins.branch.BranchEventCause")
    multibranch(
        jenkins,
        main=[build(3, event, revision("main"))],
        topic=[build(2, event, revision("feature/cart"))],
        pull=[build(1, event, revision("PR-5"))],
    )
    source = source_of(jenkins, "acme")
    attempts = {folder: attempt_of(source.contents(found)) for folder, found in found_in(source).items()}
    assert {
        folder: (each.workflow, each.branch, each.event, each.pr_number, each.default_branch)
        for folder, each in attempts.items()
    } == {
        "acme/shop/PR-5/1": ("acme/shop", "PR-5", "pull_request", 5, "main"),
        "acme/shop/feature%2Fcart/2": ("acme/shop", "feature/cart", "push", None, "main"),
        "acme/shop/main/3": ("acme/shop", "main", "push", None, "main"),
    }
    assert jenkins.http.asked("feature%252Fcart/2/")


def test_the_revision_of_a_shared_library_is_not_the_builds_own(jenkins: JenkinsServer) -> None:
    library = revision("master", LIBRARY_SHA, "https://git.example.com/acme/library.git")
    multibranch(jenkins, main=[build(3, library, revision("main"))])
    attempt = attempt_of(source_of(jenkins).contents(FoundFolder("acme/shop/main/3", "")))
    assert (attempt.head_sha, attempt.full_name) == (SHA, "acme/shop")


@pytest.mark.parametrize("name", ["CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid"])
def test_a_pull_request_may_be_told_by_a_parameter_and_no_other_parameter_is_kept(
    jenkins: JenkinsServer, name: str
) -> None:
    parameters = {"parameters": [{"name": "DEPLOY_KEY", "value": "planted-parameter"}, {"name": name, "value": "17"}]}
    jenkins.builds["shop"] = [build(1, parameters)]
    files = source_of(jenkins).contents(FoundFolder("shop/1", ""))
    attempt = attempt_of(files)
    assert (attempt.event, attempt.pr_number) == ("pull_request", 17)
    assert b"planted-parameter" not in (files[0].inline or b"")


def test_an_unfinished_build_is_taken_up_later_with_another_fingerprint(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(4, result=None, building=True, duration=0)]
    (running,) = source_of(jenkins).discover()
    jenkins.builds["shop"] = [build(4)]
    (finished,) = source_of(jenkins).discover()
    assert running.folder == finished.folder == "shop/4"
    assert [running.is_finished, finished.is_finished] == [False, True]
    assert running.fingerprint != finished.fingerprint
    assert list(source_of(jenkins).discover()) == [finished]


# -- archived files ------------------------------------------------------------------------------------------------


def test_archived_reports_are_files_of_the_artifact_without_a_name(jenkins: JenkinsServer) -> None:
    paths = ("top.xml", "target/a b/TEST-x.xml", "deep/er/y.TRX", "out/z.trx", "app.jar", "logs/build.txt")
    jenkins.builds["shop"] = [build(1, artifacts=paths)]
    jenkins.files = {f"shop/1/{path}": path.encode() for path in paths}
    assert landed(source_of(jenkins), "shop/1") == {
        ("", "top.xml"): b"top.xml",
        ("", "target/a b/TEST-x.xml"): b"target/a b/TEST-x.xml",
        ("", "out/z.trx"): b"out/z.trx",
    }


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (["*.xml"], ["a.xml"]),
        (["**/*.xml"], ["a.xml", "r/b.xml", "r/s/c.xml"]),
        (["r/*"], ["r/b.xml", "r/d.zip"]),
        (["r/"], ["r/b.xml", "r/d.zip", "r/s/c.xml"]),
        (["r/**/c.xml", "?.xml"], ["a.xml", "r/s/c.xml"]),
        (["**"], ["a.xml", "r/b.xml", "r/d.zip", "r/s/c.xml"]),
        (["[ab].xml"], []),
    ],
)
def test_patterns_mean_what_they_mean_to_jenkins(jenkins: JenkinsServer, globs: list[str], expected: list[str]) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("a.xml", "r/b.xml", "r/s/c.xml", "r/d.zip"))]
    files = source_of(jenkins, artifacts=globs).contents(FoundFolder("shop/1", ""))[2:]
    assert [file.path for file in files] == expected
    assert {file.path: file.kind for file in files}.get("r/d.zip", "zip") == "zip"


def test_a_matrix_build_has_an_artifact_and_a_job_for_each_configuration_that_it_built(jenkins: JenkinsServer) -> None:
    place = "https://ci.example.com/job/shop"
    runs = [
        build(7, url=f"{place}/jdk=21,os=linux/7/", artifacts=("r/a.xml",), result="UNSTABLE"),
        build(7, url=f"{place}/jdk=17,os=linux/7/", artifacts=("r/a.xml", "r.zip")),
        build(6, url=f"{place}/jdk=11,os=linux/6/", artifacts=("r/a.xml",)),
    ]
    jenkins.items["shop"] = MATRIX
    jenkins.builds["shop"] = [build(7, runs=runs, result="UNSTABLE")]
    jenkins.files = {f"shop/jdk={jdk},os=linux/7/r/a.xml": b"<%d/>" % jdk for jdk in (17, 21)}
    source = source_of(jenkins, artifacts=["**/*.xml"])
    assert landed(source, "shop/7") == {
        ("jdk=17,os=linux", "r/a.xml"): b"<17/>",
        ("jdk=21,os=linux", "r/a.xml"): b"<21/>",
    }
    attempt = attempt_of(source.contents(FoundFolder("shop/7", "")))
    assert [(each.name, each.conclusion) for each in attempt.jobs] == [
        ("jdk=17,os=linux", "success"),
        ("jdk=21,os=linux", "failure"),
    ]
    zips = source_of(jenkins, artifacts=["*.zip"]).contents(FoundFolder("shop/7", ""))[2:]
    assert [(file.artifact, file.kind) for file in zips] == [("jdk=17,os=linux", "nested_zip")]


def test_artifacts_with_odd_paths_are_passed_over(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("../up.xml", "/root.xml", "a//b.xml", "ok.xml", "ok.xml"))]
    source = source_of(jenkins)
    assert [file.path for file in source.contents(FoundFolder("shop/1", ""))[2:]] == ["ok.xml"]
    assert source.report.notes == {"an artifact with an odd path was passed over": 3}


def test_an_artifact_that_was_deleted_after_it_was_listed_is_gone(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("a.xml",))]
    source = source_of(jenkins)
    file = source.contents(FoundFolder("shop/1", ""))[2]
    with pytest.raises(ArtifactGoneError, match=r"artifact/a\.xml is not there"), source.open(file):
        pass


# -- test results ----------------------------------------------------------------------------------------------------


def test_a_build_that_archived_no_report_is_asked_for_its_test_results(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS, artifacts=("app.jar",))]
    jenkins.results["shop/1"] = {
        "_class": "hudson.tasks.junit.TestResult",
        "suites": [
            suite(
                "cart",
                case("adds"),
                case(
                    "removes",
                    "REGRESSION",
                    errorDetails="1 != 2",
                    errorStackTrace="at <Cart>:5\n\x00",
                    stderr="e\x1b[m",
                ),
                case("sorts", "SKIPPED", skippedMessage="not yet", skipped=True),
                case("fixed", "FIXED", duration=None),
                case("fails", "FAILED", errorStackTrace="boom"),
                case("odd", "UNHEARD_OF"),
                stdout="out",
            )
        ],
    }
    source = source_of(jenkins)
    ((name, data),) = landed(source, "shop/1").items()
    assert name == ("test-results", "testReport.xml")
    assert landed(source, "shop/1") == {name: data}
    (only,) = ET.fromstring(data)
    assert (only.get("name"), only.get("timestamp"), only.findtext("system-out")) == (
        "cart",
        "2026-03-02T07:00:00",
        "out",
    )
    cases = {each.get("name"): each for each in only.iter("testcase")}
    assert list(cases) == ["adds", "removes", "sorts", "fixed", "fails"]
    assert {each.get("classname") for each in cases.values()} == {"com.acme.CartTest"}
    assert (cases["adds"].get("time"), cases["fixed"].get("time")) == ("0.250000", None)
    assert [list(cases[name]) for name in ("adds", "fixed")] == [[], []]
    failure = cases["removes"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("1 != 2", "at <Cart>:5\n\ufffd")
    assert cases["removes"].findtext("system-err") == "e\ufffd[m"
    skipped = cases["sorts"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not yet"
    assert cases["fails"].findtext("failure") == "boom"
    assert "a test case with a status that the JUnit plugin does not have was left out" in source.report.notes


def test_the_warehouse_reads_the_report_that_is_written(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS)]
    jenkins.results["shop/1"] = {"suites": [suite("cart", case("adds"), case("removes", "FAILED", errorDetails="x"))]}
    ((_, data),) = landed(source_of(jenkins), "shop/1").items()
    parsed = parse_report(data)
    assert [(each.classname, each.name, each.outcome.value) for each in parsed.cases] == [
        ("com.acme.CartTest", "adds", "passed"),
        ("com.acme.CartTest", "removes", "failed"),
    ]


def test_test_results_of_two_stages_are_two_artifacts(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS)]
    jenkins.results["shop/1"] = {
        "suites": [
            suite("cart", case("on linux"), blocks=("linux", "Test")),
            suite("cart", case("on windows", "FAILED"), blocks=("windows", "Test")),
            suite("shop", case("too"), blocks=("linux", "Test")),
            suite("lint", case("plain")),
        ]
    }
    tests = {
        artifact: [each.get("name") for each in ET.fromstring(data).iter("testcase")]
        for (artifact, _), data in landed(source_of(jenkins), "shop/1").items()
    }
    assert tests == {
        "test-results": ["plain"],
        "test-results-Test / linux": ["on linux", "too"],
        "test-results-Test / windows": ["on windows"],
    }


def test_archived_reports_stand_in_front_of_test_results(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS, artifacts=("a.xml",))]
    jenkins.files["shop/1/a.xml"] = XML
    jenkins.results["shop/1"] = {"suites": [suite("cart", case("adds"))]}
    assert landed(source_of(jenkins), "shop/1") == {("", "a.xml"): XML}
    assert not jenkins.http.asked(REPORT)


def test_test_results_of_modules_are_read_from_the_reports_of_the_children(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS)]
    jenkins.results["shop/1"] = {
        "childReports": [
            {"child": {"number": 1}, "result": {"suites": [suite("one", case("a"))]}},
            {"child": {"number": 1}, "result": {"suites": [suite("two", case("b"))]}},
            {"child": None, "result": None},
        ]
    }
    ((_, data),) = landed(source_of(jenkins), "shop/1").items()
    assert [each.get("name") for each in ET.fromstring(data)] == ["one", "two"]


def test_a_matrix_configuration_without_archived_reports_gives_its_own_test_results(jenkins: JenkinsServer) -> None:
    runs = [build(7, HAS_TESTS, url="https://ci.example.com/job/shop/os=linux/7/")]
    jenkins.items["shop"] = MATRIX
    jenkins.builds["shop"] = [build(7, HAS_TESTS, runs=runs)]
    jenkins.results["shop/os=linux/7"] = {"suites": [suite("cart", case("adds"), blocks=("Test",))]}
    assert list(landed(source_of(jenkins), "shop/7")) == [("os=linux", "testReport.xml")]


def test_test_results_that_are_not_there_are_noted(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS)]
    source = source_of(jenkins)
    assert landed(source, "shop/1") == {}
    assert list(source.report.notes) == ["a build says that it has test results, and has none"]


def test_test_results_that_went_before_they_were_read_are_gone(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, HAS_TESTS)]
    jenkins.results["shop/1"] = {"suites": [suite("cart", case("adds"))]}
    source = source_of(jenkins)
    file = source.contents(FoundFolder("shop/1", ""))[2]
    jenkins.results.clear()
    with pytest.raises(ArtifactGoneError), source.open(file):
        pass


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4), TEXTS)
@settings(max_examples=100, deadline=None)
def test_whatever_text_a_result_holds_the_report_is_xml_and_the_same_each_time(
    cases: list[tuple[str, str, str]], name: str
) -> None:
    written = WrittenSuite(
        name,
        tuple(WrittenCase(a, b, outcome="failure", message=b, details=c, stdout=c) for a, b, c in cases),
        stdout=name,
    )
    data = junit_xml([written])
    assert junit_xml([written]) == data
    assert len(list(ET.fromstring(data).iter("testcase"))) == len(cases)


# -- listing -----------------------------------------------------------------------------------------------------------


def builds_of(count: int) -> list[dict[str, Any]]:
    return [build(number) for number in range(count, 0, -1)]


def test_all_pages_of_builds_are_read(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = builds_of(250)
    source = source_of(jenkins)
    assert list(found_in(source)) == [f"shop/{number}" for number in range(250, 0, -1)]
    assert len(jenkins.http.requests) == 3
    assert source.report.notes == {}


def test_folders_are_walked_down_to_their_jobs(jenkins: JenkinsServer) -> None:
    jenkins.items = {"acme": FOLDER, "acme/web": FOLDER, "acme/web/shop": MULTIBRANCH}
    jenkins.builds = {"acme/web/shop/main": builds_of(2), "acme/tools": builds_of(1), "other": builds_of(1)}
    assert list(found_in(source_of(jenkins, "/acme/", "acme/tools"))) == [
        "acme/tools/1",
        "acme/web/shop/main/2",
        "acme/web/shop/main/1",
    ]


def test_folders_that_never_end_are_left_at_a_depth(jenkins: JenkinsServer) -> None:
    bottomless = json_answer({"_class": FOLDER, "jobs": [{"name": "again"}]})
    jenkins.http.faults = [Fault("api/json", bottomless, times=10_000)]
    source = source_of(jenkins, "a")
    assert found_in(source) == {}
    assert len(jenkins.http.requests) == 11
    assert any("deeper than" in note for note in source.report.notes)


def test_paging_ends_where_the_rest_is_older_than_the_window(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = builds_of(1000)
    since, until = BEGINNING + timedelta(hours=850), BEGINNING + timedelta(hours=852)
    found = found_in(source_of(jenkins), Window(since, until))
    assert list(found) == ["shop/851", "shop/850"]
    assert found["shop/850"].day == since.date().isoformat()
    assert len(jenkins.http.requests) == 3


def test_discovery_that_was_stopped_in_the_middle_gives_the_same_folders_when_begun_again(
    jenkins: JenkinsServer,
) -> None:
    jenkins.builds["shop"] = builds_of(350)
    undisturbed = found_in(source_of(jenkins))
    part = list(islice(source_of(jenkins).discover(), 170))
    jenkins.http.faults = [Fault(BUILDS, Answer(500), times=6, after=2)]
    with pytest.raises(SourceError, match="500"):
        list(source_of(jenkins).discover())
    assert found_in(source_of(jenkins)) == undisturbed
    assert all(undisturbed[each.folder] == each for each in part)


def test_a_server_under_a_path_of_its_own_is_asked_there() -> None:
    with jenkins_serving(JenkinsServer(prefix="/ci/jenkins")) as jenkins:
        jenkins.builds["shop"] = [build(1, artifacts=("a.xml",))]
        jenkins.files["shop/1/a.xml"] = XML
        source = source_of(jenkins)
        assert list(found_in(source)) == ["shop/1"]
        assert landed(source, "shop/1") == {("", "a.xml"): XML}
        assert all(request.path.startswith("/ci/jenkins/job/shop/") for request in jenkins.http.requests)


def test_a_job_that_is_deleted_while_its_folder_is_read_is_noted(jenkins: JenkinsServer) -> None:
    jenkins.items = {"acme": FOLDER}
    jenkins.builds = {"acme/a": builds_of(1), "acme/b": builds_of(1)}
    jenkins.http.faults = [Fault("job/a/", HIDDEN)]
    source = source_of(jenkins, "acme")
    assert list(found_in(source)) == ["acme/b/1"]
    assert any("deleted" in note for note in source.report.notes)


# -- a server that lies ----------------------------------------------------------------------------------------------


def test_the_same_page_again_and_again_ends_and_is_noted(jenkins: JenkinsServer) -> None:
    jenkins.http.faults = [Fault(BUILDS, json_answer({"allBuilds": builds_of(100)}), times=10_000)]
    source = source_of(jenkins)
    assert len(found_in(source)) == 100
    assert len(jenkins.http.requests) == 3
    assert any("again and again" in note for note in source.report.notes)


def test_builds_that_start_while_we_page_lose_none(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = builds_of(230)

    def started(_: Any, right: Answer) -> Answer:
        jenkins.builds["shop"] = builds_of(len(jenkins.builds["shop"]) + 40)
        return right

    jenkins.http.faults = [Fault(BUILDS, started, times=2)]
    assert {f"shop/{number}" for number in range(1, 231)} <= set(found_in(source_of(jenkins)))


def test_builds_without_a_number_are_passed_over_and_noted(jenkins: JenkinsServer) -> None:
    odd: list[Any] = [None, 5, [], {}, {"number": None}, {"number": True}, {"number": "7"}, {"number": -1}]
    jenkins.http.faults = [Fault(BUILDS, json_answer({"allBuilds": [*odd, build(1), build(1)]}))]
    source = source_of(jenkins)
    assert list(found_in(source)) == ["shop/1"]
    assert source.report.notes == {
        "shop: a build without a number was passed over": len(odd),
        "shop: a build came twice": 1,
    }


def test_null_fields_are_survived(jenkins: JenkinsServer) -> None:
    nothing = dict.fromkeys(build(1))
    jenkins.builds["shop"] = [{**nothing, "number": 1, "timestamp": FIRST}]
    source = source_of(jenkins)
    (found,) = source.discover()
    attempt = attempt_of(source.contents(found))
    assert (attempt.key.run_id, attempt.event, attempt.branch, attempt.head_sha) == ("shop#1", "", "", "")
    assert attempt.full_name == "shop"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*build(1), *case("a"), *suite("s"), "jobs", "name", "allBuilds", "causes", "runs", "childReports"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.dictionaries(st.sampled_from([*sorted(build(1)), "runs"]), JSON), JSON)
@settings(max_examples=60, deadline=None)
def test_whatever_json_a_server_answers_the_source_raises_nothing_but_its_own_errors(
    listed: Any, odd_build: dict[str, Any], results: Any
) -> None:
    with jenkins_serving() as jenkins:
        jenkins.http.faults = [
            Fault(BUILDS, json_answer({"allBuilds": listed} if isinstance(listed, list) else listed)),
            Fault(r"shop/1/api", json_answer({"timestamp": FIRST, "actions": [HAS_TESTS], **odd_build})),
            Fault(REPORT, json_answer(results), times=9),
        ]
        source = source_of(jenkins)
        with contextlib.suppress(SourceError):
            list(source.discover())
        with contextlib.suppress(SourceError, ArtifactGoneError):
            for file in source.contents(FoundFolder("shop/1", "")):
                with source.open(file) as stream:
                    assert stream.read() is not None
        source.close()


@pytest.mark.parametrize("answer", [json_answer([1]), json_answer(None), Answer(200, b"<html>sign in</html>")])
def test_an_answer_of_another_shape_says_where_and_what_to_do(jenkins: JenkinsServer, answer: Answer) -> None:
    jenkins.http.faults = [Fault("api/json", answer)]
    with pytest.raises(SourceError, match=r"127\.0\.0\.1.*`url`"):
        list(source_of(jenkins).discover())


@pytest.mark.parametrize("folder", ["", "12", "shop/", "shop/x", "shop/-1"])
def test_a_folder_that_is_no_builds_is_refused(jenkins: JenkinsServer, folder: str) -> None:
    with pytest.raises(SourceError, match="no build's folder"):
        source_of(jenkins).contents(FoundFolder(folder, ""))


# -- a server that falters ---------------------------------------------------------------------------------------------


def test_a_limit_is_waited_for_as_long_as_the_server_asks(jenkins: JenkinsServer, sleeps: Sleeps) -> None:
    jenkins.builds["shop"] = builds_of(1)
    jenkins.http.faults = [Fault(BUILDS, Answer(429, b"", {"retry-after": "17"}))]
    assert list(found_in(source_of(jenkins, sleeps=sleeps))) == ["shop/1"]
    assert sleeps == [17.0]


def test_a_limit_that_lasts_too_long_says_when_to_come_again(jenkins: JenkinsServer) -> None:
    jenkins.http.faults = [Fault(BUILDS, Answer(429, b"", {"retry-after": "7200"}))]
    with pytest.raises(SourceBusyError, match="2026-03-10 02:00 UTC"):
        list(source_of(jenkins).discover())


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_the_server_is_tried_again(jenkins: JenkinsServer, status: int, sleeps: Sleeps) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("a.xml",))]
    jenkins.files["shop/1/a.xml"] = XML
    jenkins.http.faults = [Fault(pattern, Answer(status), times=2) for pattern in (BUILDS, r"/1/api", ARTIFACTS)]
    source = source_of(jenkins, sleeps=sleeps)
    assert list(found_in(source)) == ["shop/1"]
    assert landed(source, "shop/1") == {("", "a.xml"): XML}
    assert source.report.retries == len(sleeps) == 6


def test_a_connection_that_is_cut_in_the_middle_of_a_file_brings_all_its_bytes(
    jenkins: JenkinsServer, sleeps: Sleeps
) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("a.xml", "b.zip"))]
    jenkins.files = {"shop/1/a.xml": XML * 3000, "shop/1/b.zip": bytes(range(256)) * 1000}
    jenkins.http.faults = [Fault(ARTIFACTS, cut(1000), times=3)]
    source = source_of(jenkins, sleeps=sleeps, artifacts=["**"])
    assert landed(source, "shop/1") == {("", "a.xml"): XML * 3000, ("", "b.zip"): bytes(range(256)) * 1000}
    assert source.report.retries == 3


def test_a_download_is_redirected_to_an_object_storage_without_the_token(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("r/a.xml",))]
    jenkins.files["shop/1/r/a.xml"] = XML * 100
    with serving(lambda request: stored(jenkins, request)) as storage:
        jenkins.storage = storage.url
        storage.faults = [Fault(".", cut(30))]
        assert landed(source_of(jenkins), "shop/1") == {("", "r/a.xml"): XML * 100}
        assert len(storage.requests) == 2
        for request in storage.requests:
            assert not {"authorization", "cookie"} & set(request.headers)
            assert TOKEN not in str(request)
            assert BASIC not in str(request)
    assert all(request.headers["authorization"] == BASIC for request in jenkins.http.requests)


# -- secrets, and what may be read -------------------------------------------------------------------------------------


def test_no_secret_is_in_anything_that_is_kept_or_shown(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(1, revision(), artifacts=("a.xml",), url="https://u:hunter2@ci.example.com/x/1/")]
    jenkins.files["shop/1/a.xml"] = XML
    with serving(lambda request: stored(jenkins, request)) as storage:
        jenkins.storage = storage.url
        storage.faults = [Fault(".", Answer(403), times=9)]
        source = source_of(jenkins)
        shown = [str(each) for each in source.discover()]
        files = source.contents(FoundFolder("shop/1", ""))
        shown += [str(file) for file in files]
        with pytest.raises(SourceDeniedError) as denied, source.open(files[2]):
            pass
        shown += [str(denied.value), str(source.report), source.title, repr(source)]
        shown += [str(row) for row in source.check()]
    jenkins.http.faults = [Fault(".", Answer(500), times=99)]
    with pytest.raises(SourceError) as failed:
        list(source_of(jenkins).discover())
    shown.append(str(failed.value))
    for text in shown:
        for planted in (TOKEN, BASIC.removeprefix("Basic "), SIGNATURE, "hunter2"):
            assert planted not in text


def test_a_token_without_its_user_is_refused(jenkins: JenkinsServer) -> None:
    with pytest.raises(ConfigurationError, match="name the user"):
        source_of(jenkins, user=None)


def test_without_a_token_jenkins_is_asked_as_anyone(jenkins: JenkinsServer) -> None:
    with pytest.raises(SourceDeniedError, match="token"):
        list(source_of(jenkins, token=None, user=None).discover())
    assert "authorization" not in jenkins.http.requests[0].headers


def test_a_job_that_is_not_there_says_so(jenkins: JenkinsServer) -> None:
    with pytest.raises(SourceNotFoundError, match="job/none"):
        list(source_of(jenkins, "none").discover())


def test_check_says_what_may_be_read(jenkins: JenkinsServer) -> None:
    jenkins.builds["shop"] = [build(2, artifacts=("a.xml", "b.xml")), build(1)]
    jenkins.builds["new"] = []
    jenkins.files["shop/2/a.xml"] = XML
    rows = list(source_of(jenkins, "shop", "new").check())
    assert [(row.what, row.ok) for row in rows] == [
        ("Jenkins", True),
        ("job shop", True),
        ("artifacts of shop", True),
        ("job new", True),
    ]
    assert "shop/2" in rows[2].detail
    assert [request.headers["range"] for request in jenkins.http.asked(ARTIFACTS)] == ["bytes=0-0"]


@pytest.mark.parametrize(
    ("pattern", "answer", "ok", "permission"),
    [
        (r"^/api/json", FORBIDDEN, [False], "Overall/Read"),
        (r"/job/shop/", HIDDEN, [True, False], "Job/Read"),
        (ARTIFACTS, FORBIDDEN, [True, True, False], "Run/Artifacts"),
    ],
)
def test_check_names_the_permission_that_is_missing(
    jenkins: JenkinsServer, pattern: str, answer: Answer, ok: list[bool], permission: str
) -> None:
    jenkins.builds["shop"] = [build(1, artifacts=("a.xml",))]
    jenkins.files["shop/1/a.xml"] = XML
    jenkins.http.faults = [Fault(pattern, answer, times=9)]
    rows = list(source_of(jenkins).check())
    assert [row.ok for row in rows] == ok
    assert permission in rows[-1].detail
