"""CircleCI as a source: workflows as attempts, artifacts, test metadata, and answers that are wrong."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceDeniedError,
    SourceError,
)
from flakeguard_pipeline.domain.model import Job, Outcome, RunAttempt, RunStatus
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.parsing.reports import parse_report
from flakeguard_pipeline.providers import circleci as subject
from flakeguard_pipeline.providers.circleci import CircleCISource, build_circleci
from flakeguard_pipeline.providers.circleci_tests import junit_of
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder, SourceReport, Window
from flakeguard_pipeline.source_sections import CircleCISection
from tests.support.circleci_server import PROJECT_ID, SIGNATURE, SLUG, TOKEN, CircleCI, case, circleci, written
from tests.support.provider_server import Answer, Fault, Request, cut, json_answer

NOW = datetime(2026, 3, 9, tzinfo=UTC)
REPORT = b"<testsuite><testcase name='a'/></testsuite>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CircleCI]:
    with circleci() as running:
        monkeypatch.setattr(subject, "ARTIFACT_ORIGINS", {running.api.url: running.output.url})
        yield running


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def source(server: CircleCI, slept: list[float]) -> CircleCISource:
    return connect(server, slept)


def section(url: str, **keys: Any) -> CircleCISection:
    return CircleCISection.model_validate(
        {"name": "cci", "kind": "circleci", "url": url, "projects": [SLUG], "token": {"env": "CIRCLE_TOKEN"}, **keys}
    )


def connect(server: CircleCI, slept: list[float] | None = None, **keys: Any) -> CircleCISource:
    waits: list[float] = [] if slept is None else slept
    clock = Clock(now=lambda: NOW, sleep=waits.append)
    source = build_circleci(section(server.api.url, **keys), lambda _: TOKEN, clock=clock)
    server.closing.callback(source.close)
    return source


def read(source: CircleCISource, file: FoundFile) -> bytes:
    with source.open(file) as stream:
        return stream.read()


def landed(source: CircleCISource, found: FoundFolder) -> dict[tuple[str, str], bytes]:
    return {(file.artifact, file.path): read(source, file) for file in source.contents(found)}


def everything(source: CircleCISource) -> dict[str, dict[tuple[str, str], bytes]]:
    return {found.folder: landed(source, found) for found in source.discover()}


def attempt(source: CircleCISource, found: FoundFolder) -> RunAttempt:
    files = landed(source, found)
    return parse_run(files["", "run.json"], files["", "job.json"], provider="circleci")


def only(source: CircleCISource) -> FoundFolder:
    (found,) = source.discover()
    return found


# -- workflows are attempts ----------------------------------------------------------------------------------


def test_a_workflow_is_an_attempt_with_its_jobs(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    found = only(source)
    assert (found.folder, found.day, found.is_finished) == (f"{SLUG}/pipeline-1/workflow-1-0", "2026-03-02", True)
    run = attempt(source, found)
    assert (run.key.provider, run.key.repository_ref) == ("circleci", PROJECT_ID)
    assert (run.key.run_id, run.key.run_attempt) == ("pipeline-1/build-and-test", 1)
    assert (run.full_name, run.default_branch, run.workflow) == ("acme/shop", "main", "build-and-test")
    assert (run.event, run.status, run.conclusion) == ("push", RunStatus.COMPLETED, "success")
    assert (run.branch, run.head_sha, run.pr_number) == ("main", f"{1:040x}", None)
    assert run.head_repository_ref == run.key.repository_ref
    assert run.run_started_at == datetime(2026, 3, 2, 7, 10, tzinfo=UTC)
    assert run.updated_at == datetime(2026, 3, 2, 7, 15, tzinfo=UTC)
    assert run.run_url == "https://app.circleci.com/pipelines/workflows/workflow-1-0"
    assert run.jobs == (
        Job(
            job_id="job-1",
            name="test",
            conclusion="success",
            started_at=datetime(2026, 3, 2, 7, 11, tzinfo=UTC),
            completed_at=datetime(2026, 3, 2, 7, 13, tzinfo=UTC),
            labels=(),
            runner_name="",
        ),
    )


def test_workflows_of_one_name_in_a_pipeline_are_attempts_of_one_run_by_their_dates(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.add_pipeline(1)
    server.fake.add_workflow(1, minute=30)
    server.fake.add_workflow(1, minute=10)
    server.fake.add_workflow(1, "nightly", minute=20)
    server.fake.add_workflow(1, minute=50, status="running", stopped_at=None)
    runs = {found.folder.rpartition("/")[2]: attempt(source, found).key for found in source.discover()}
    assert {folder: (key.run_id, key.run_attempt) for folder, key in runs.items()} == {
        "workflow-1-1": ("pipeline-1/build-and-test", 1),
        "workflow-1-0": ("pipeline-1/build-and-test", 2),
        "workflow-1-3": ("pipeline-1/build-and-test", 3),
        "workflow-1-2": ("pipeline-1/nightly", 1),
    }


def test_a_job_that_a_rerun_took_over_leaves_its_results_to_the_attempt_that_ran_it(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.add_pipeline(1)
    first = server.fake.add_workflow(1, minute=10, status="failed")
    second = server.fake.add_workflow(1, minute=30)
    server.fake.add_job(first, 1, "lint", minute=11)
    server.fake.add_job(first, 2, "test", minute=11, status="failed")
    server.fake.add_job(second, 1, "lint", minute=11)
    server.fake.add_job(second, 3, "test", minute=31)
    for number in (1, 2, 3):
        server.fake.tests[number] = [case("a")]
    left = {
        found.folder.rpartition("/")[2]: [file.path for file in source.contents(found)[2:]]
        for found in source.discover()
    }
    assert left == {"workflow-1-0": ["1/tests.xml", "2/tests.xml"], "workflow-1-1": ["3/tests.xml"]}
    names = [[each.name for each in attempt(source, found).jobs] for found in source.discover()]
    assert names == [["lint", "test"], ["lint", "test"]]


@pytest.mark.parametrize(
    ("status", "stopped_at", "conclusion"),
    [
        ("success", written(9), "success"),
        ("failed", written(9), "failure"),
        ("error", written(9), "failure"),
        ("canceled", written(9), "cancelled"),
        ("unauthorized", written(9), "action_required"),
        ("not_run", None, "skipped"),
        ("running", None, None),
        ("failing", None, None),
        ("brand_new", None, None),
        ("brand_new", written(9), "brand_new"),
    ],
)
def test_which_workflows_are_over(
    server: CircleCI, source: CircleCISource, status: str, stopped_at: str | None, conclusion: str | None
) -> None:
    server.fake.simple(1, status=status, stopped_at=stopped_at)
    found = only(source)
    run = attempt(source, found)
    assert (found.is_finished, run.conclusion) == (conclusion is not None, conclusion or "")
    assert run.status == (RunStatus.IN_PROGRESS if conclusion is None else RunStatus.COMPLETED)


def test_a_workflow_on_hold_is_over_for_now_when_only_approvals_are_left(
    server: CircleCI, source: CircleCISource
) -> None:
    workflow = server.fake.simple(1, status="on_hold", stopped_at=None)
    server.fake.tests[1] = [case("a")]
    beside = server.fake.add_job(workflow, 2, "slow", status="running", stopped_at=None)
    server.fake.add_job(workflow, 3, "approve", type="approval", job_number=None, status="on_hold", stopped_at=None)
    server.fake.add_job(workflow, 4, "deploy", status="blocked", job_number=None, started_at=None, stopped_at=None)
    running = only(source)
    assert (running.is_finished, attempt(source, running).status) == (False, RunStatus.IN_PROGRESS)
    beside.update(status="success", stopped_at=written(20))
    server.fake.tests[2] = [case("b")]
    held = only(source)
    run = attempt(source, held)
    assert (held.is_finished, run.status, run.conclusion) == (True, RunStatus.COMPLETED, "action_required")
    assert run.updated_at == datetime(2026, 3, 2, 7, 20, tzinfo=UTC)  # when the last job ended, not when it began
    assert [file.path for file in source.contents(held)[2:]] == ["2/tests.xml", "1/tests.xml"]
    workflow.update(status="success", stopped_at=written(500))
    done = only(source)
    assert attempt(source, done).conclusion == "success"
    assert len({running.fingerprint, held.fingerprint, done.fingerprint}) == 3
    assert {running.folder, held.folder} == {done.folder}


def test_a_workflow_on_hold_whose_jobs_are_not_there_is_not_over(server: CircleCI, source: CircleCISource) -> None:
    workflow = server.fake.simple(1, status="on_hold", stopped_at=None)
    del server.fake.jobs[workflow["id"]]
    assert not only(source).is_finished


@pytest.mark.parametrize(
    ("trigger", "event", "number"),
    [
        (("webhook", {"branch": "main"}), "push", None),
        (("webhook", {"branch": None, "tag": "v1"}), "push", None),
        (("webhook", {"branch": "topic", "review_id": "12"}), "pull_request", 12),
        (("webhook", {"branch": "pull/34"}), "pull_request", 34),
        (("api", {"branch": "pull/56/merge"}), "workflow_dispatch", 56),
        (("explicit", {}), "workflow_dispatch", None),
        (("scheduled_pipeline", {}), "schedule", None),
        (("schedule", {}), "schedule", None),
        (("something_new", {"review_id": "twelve"}), "something_new", None),
    ],
)
def test_what_triggered_a_pipeline(
    server: CircleCI, source: CircleCISource, trigger: tuple[str, dict[str, Any]], event: str, number: int | None
) -> None:
    kind, vcs = trigger
    server.fake.simple(1)
    server.fake.pipelines[0]["trigger"]["type"] = kind
    server.fake.pipelines[0]["vcs"] |= vcs
    run = attempt(source, only(source))
    assert (run.event, run.pr_number) == (event, number)
    assert run.branch == (vcs.get("branch", "main") or "v1")


def test_a_pull_request_from_a_fork_runs_for_the_repository_it_goes_to(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.simple(1)
    server.fake.pipelines[0]["vcs"]["origin_repository_url"] = "https://github.com/fork/shop"
    run = attempt(source, only(source))
    assert (run.full_name, run.key.repository_ref, run.head_repository_ref) == (
        "acme/shop",
        PROJECT_ID,
        "name:fork/shop",
    )


def test_a_project_of_a_github_app_is_called_by_its_names(server: CircleCI) -> None:
    slug = "circleci/ORG/PROJECT"
    server.fake.project["vcs_info"]["vcs_url"] = "//circleci.com/ORG/PROJECT"
    server.fake.simple(1)
    server.fake.pipelines[0]["vcs"] = None
    right = server.fake.respond
    server.api.respond = lambda request: right(
        Request(request.path.replace(slug, SLUG), request.query, request.headers, request.address)
    )
    source = connect(server, projects=[slug])
    found = only(source)
    run = attempt(source, found)
    assert found.folder == f"{slug}/pipeline-1/workflow-1-0"
    assert (run.full_name, run.branch, run.head_sha) == ("acme/shop", "", "")


# -- what a job leaves ---------------------------------------------------------------------------------------


def test_reports_among_the_artifacts_are_brought_by_node_under_the_jobs_name(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.simple(1)
    server.fake.add_artifact(1, "results/junit.xml", b"<testsuite/>", node=0)
    server.fake.add_artifact(1, "results/junit.xml", REPORT, node=1)
    server.fake.add_artifact(1, "shot.png", b"png")
    server.fake.tests[1] = [case("a")]
    files = source.contents(only(source))
    assert [(file.artifact, file.path, file.kind) for file in files] == [
        ("", "run.json", "run"),
        ("", "job.json", "jobs"),
        ("test", "1/0/results/junit.xml", "file"),
        ("test", "1/1/results/junit.xml", "file"),
    ]
    assert read(source, files[3]) == REPORT


def test_globs_choose_artifacts_and_archives_are_zips(server: CircleCI) -> None:
    server.fake.simple(1)
    for path in ("junit/a.txt", "junit/b/c.ZIP", "other.xml"):
        server.fake.add_artifact(1, path, REPORT)
    source = connect(server, artifacts=["junit/*"])
    assert [(file.path, file.kind) for file in source.contents(only(source))[2:]] == [
        ("1/0/junit/a.txt", "file"),
        ("1/0/junit/b/c.ZIP", "zip"),
    ]


def test_test_metadata_stand_in_where_a_job_has_no_report(server: CircleCI, source: CircleCISource) -> None:
    server.fake.page_size = 2
    server.fake.simple(1)
    server.fake.add_artifact(1, "shot.png", b"png")
    server.fake.tests[1] = [
        case("passes"),
        case("fails", "failure", message="assert 1 == 2\n\n  line two <&>"),
        case("breaks", "error", message="KeyError: 'x'"),
        case("skips", "skipped", message="not today"),
        case("lasts", run_time=None),
    ]
    (file,) = source.contents(only(source))[2:]
    assert (file.artifact, file.path, file.kind) == ("test", "1/tests.xml", "file")
    parsed = parse_report(read(source, file))
    assert parsed.issues == ()
    assert {(each.name, each.outcome, each.duration_us) for each in parsed.cases} == {
        ("passes", Outcome.PASSED, 250_000),
        ("fails", Outcome.FAILED, 250_000),
        ("breaks", Outcome.ERRORED, 250_000),
        ("skips", Outcome.SKIPPED, 250_000),
        ("lasts", Outcome.PASSED, None),
    }
    failed = next(each for each in parsed.cases if each.name == "fails")
    assert (failed.classname, failed.file) == ("tests.test_shop", "tests/test_shop.py")
    assert (failed.failure_message, failed.failure_text) == ("assert 1 == 2", "assert 1 == 2\n\n  line two <&>")


def test_jobs_that_ran_nothing_or_still_run_are_not_asked_for_results(server: CircleCI, source: CircleCISource) -> None:
    server.fake.add_pipeline(1)
    workflow = server.fake.add_workflow(1, status="running", stopped_at=None)
    server.fake.add_job(workflow, 1, "done")
    server.fake.add_job(workflow, 2, "running", status="running", stopped_at=None)
    server.fake.add_job(workflow, 3, "blocked", status="blocked", started_at=None, stopped_at=None)
    server.fake.add_job(workflow, 4, "hold", type="approval", job_number=None)
    server.fake.tests[1] = [case("a")]
    server.fake.tests[2] = [case("a")]
    found = only(source)
    assert [file.path for file in source.contents(found)[2:]] == ["1/tests.xml"]
    assert [request.path for request in server.api.asked(rf"{SLUG}/\d")] == [
        f"/api/v2/project/{SLUG}/1/artifacts",
        f"/api/v2/project/{SLUG}/1/tests",
    ]
    assert [(each.name, each.conclusion) for each in attempt(source, found).jobs] == [
        ("done", "success"),
        ("running", ""),
        ("blocked", ""),
    ]


# -- the report made of test metadata ------------------------------------------------------------------------

RESULTS = {
    "success": Outcome.PASSED,
    "failure": Outcome.FAILED,
    "error": Outcome.ERRORED,
    "skipped": Outcome.SKIPPED,
}

any_text = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["]]>", "<failure/>", "a & b", '"', "\r\n", "\x00\x0b\ud800", "tab\there", "\ufffe", "&#0;", "<!--"]
)


@given(
    tests=st.lists(
        st.fixed_dictionaries(
            {"name": any_text.filter(bool), "classname": any_text, "result": st.sampled_from(sorted(RESULTS))},
            optional={"message": any_text | st.none(), "file": any_text, "run_time": st.floats() | st.none()},
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=300)
def test_any_test_metadata_make_a_report_with_the_same_outcomes(tests: list[dict[str, Any]]) -> None:
    made = junit_of(tests, SourceReport())
    assert made is not None
    parsed = parse_report(made)
    assert (parsed.is_report, parsed.issues) == (True, ())
    assert sorted(case.outcome for case in parsed.cases) == sorted(RESULTS[test["result"]] for test in tests)
    assert made == junit_of(tests, SourceReport())


@given(
    name=st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"]), min_size=1, max_size=40),
    message=st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]), min_size=1, max_size=80),
)
@settings(max_examples=200)
def test_names_and_messages_arrive_as_they_are(name: str, message: str) -> None:
    made = junit_of([case(name, "failure", message=message)], SourceReport())
    assert made is not None
    (parsed,) = parse_report(made).cases
    assert parsed.name == name
    assert parsed.failure_message.strip() == message.strip()


@given(tests=st.permutations([case(name, result) for name in "abc" for result in ("success", "failure")]))
def test_a_report_is_in_the_order_of_names_and_retries_keep_theirs(tests: list[dict[str, Any]]) -> None:
    made = junit_of(tests, SourceReport())
    assert made is not None
    order = [(each.name, each.outcome) for each in parse_report(made).cases]
    assert [name for name, _ in order] == ["a", "a", "b", "b", "c", "c"]
    for name in "abc":
        listed = [RESULTS[test["result"]] for test in tests if test["name"] == name]
        assert [outcome for each, outcome in order if each == name] == listed


def test_a_character_that_xml_forbids_becomes_a_replacement_character() -> None:
    made = junit_of([case("a\x00b\x1b[31m", "failure", message="\x07\ud800\ufffe")], SourceReport())
    assert made is not None
    assert 'name="a\ufffdb\ufffd[31m"' in made.decode()
    assert ">\ufffd\ufffd\ufffd</failure>" in made.decode()


def test_tests_that_say_nothing_are_left_out_and_noted() -> None:
    report = SourceReport()
    tests = [case(""), case("a", "unheard_of"), {**case("b"), "result": None}, {}]
    assert junit_of(tests, report) is None
    assert report.notes == {
        "CircleCI listed a test without a name; it was left out": 2,
        "CircleCI listed a test with an unknown result; it was left out": 2,
    }
    assert junit_of([], SourceReport()) is None


# -- the listing ---------------------------------------------------------------------------------------------


def test_all_pages_of_everything_are_read(server: CircleCI, source: CircleCISource) -> None:
    server.fake.page_size = 2
    for number in range(1, 6):
        server.fake.add_pipeline(number)
    for index in range(5):
        server.fake.add_workflow(5, f"w{index}")
    workflow = server.fake.workflows["pipeline-5"][0]
    for number in range(1, 6):
        server.fake.add_job(workflow, number, f"job {number}")
    for index in range(5):
        server.fake.add_artifact(1, f"{index}.xml", REPORT)
    server.fake.tests[2] = [case(str(index)) for index in range(5)]
    server.fake.add_workflow(1)
    folders = list(source.discover())
    assert [found.folder for found in folders] == [
        *(f"{SLUG}/pipeline-5/workflow-5-{index}" for index in range(5)),
        f"{SLUG}/pipeline-1/workflow-1-0",
    ]
    files = landed(source, folders[4])
    assert sorted(path for _, path in files) == [
        *(f"1/0/{index}.xml" for index in range(5)),
        "2/tests.xml",
        "job.json",
        "run.json",
    ]
    assert len(parse_report(files["job 2", "2/tests.xml"]).cases) == 5
    assert json.loads(files["", "job.json"])["total_count"] == 5
    assert source.report.notes == {}


def test_a_listing_ends_with_the_first_page_that_is_older_than_the_window(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.page_size = 2
    for number in range(1, 11):
        server.fake.simple(number)
    window = Window(since=datetime(2026, 3, 2, 8, 10, tzinfo=UTC), until=datetime(2026, 3, 2, 8, 30, tzinfo=UTC))
    assert [found.folder for found in source.discover(window)] == [
        f"{SLUG}/pipeline-8/workflow-8-0",
        f"{SLUG}/pipeline-7/workflow-7-0",
    ]
    assert len(server.api.asked(f"{SLUG}/pipeline")) == 3
    assert len(server.api.asked("/workflow")) == 2


def test_a_rerun_after_the_window_is_left_out_and_does_not_change_the_numbers(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.add_pipeline(1)
    server.fake.add_workflow(1, minute=300)
    server.fake.add_workflow(1, minute=10)
    window = Window(until=datetime(2026, 3, 2, 9, tzinfo=UTC))
    (found,) = source.discover(window)
    assert (found.folder, attempt(source, found).key.run_attempt) == (f"{SLUG}/pipeline-1/workflow-1-1", 1)
    (_, again) = source.discover()
    assert (again.day, attempt(source, again).key.run_attempt) == ("2026-03-02", 2)


def test_an_unfinished_workflow_is_taken_up_again_when_it_has_changed(server: CircleCI, source: CircleCISource) -> None:
    workflow = server.fake.simple(1, status="running", stopped_at=None)
    running = only(source)
    assert only(source) == running
    workflow.update(status="failed", stopped_at=written(20))
    failed = only(source)
    assert failed.folder == running.folder
    assert failed.fingerprint != running.fingerprint
    assert (running.is_finished, failed.is_finished) == (False, True)


def test_a_discovery_that_stops_midway_and_begins_again_finds_the_same(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.page_size = 2
    for number in range(1, 8):
        server.fake.simple(number)
        server.fake.add_artifact(number, "r.xml", b"%d" % number)
    undisturbed = everything(connect(server))
    server.api.faults.append(Fault("pipeline-3/workflow", json_answer({}, 403)))
    found: list[FoundFolder] = []
    with pytest.raises(SourceDeniedError):
        found.extend(source.discover())
    assert len(found) == 4
    assert everything(source) == undisturbed
    assert len(undisturbed) == 7


def test_a_listing_is_read_page_by_page(server: CircleCI, source: CircleCISource) -> None:
    server.fake.page_size = 2
    for number in range(1, 8):
        server.fake.simple(number)
    assert next(source.discover()).folder == f"{SLUG}/pipeline-7/workflow-7-0"
    assert len(server.api.requests) == 3  # the project, a page of pipelines, the workflows of one


def test_threads_may_fetch_workflows_at_once(server: CircleCI, source: CircleCISource) -> None:
    for number in range(1, 13):
        server.fake.simple(number)
        server.fake.add_artifact(number, "r.xml", b"%d" % number * 1000)
    folders = list(source.discover())
    with ThreadPoolExecutor(6) as threads:
        fetched = list(threads.map(lambda found: landed(source, found), folders))
    assert dict(zip((found.folder for found in folders), fetched, strict=True)) == everything(source)


# -- what goes wrong on the way ------------------------------------------------------------------------------


def test_a_limit_that_is_used_up_is_waited_for(server: CircleCI, source: CircleCISource, slept: list[float]) -> None:
    server.fake.simple(1)
    server.api.faults.append(Fault("/workflow", json_answer({}, 429, Retry_After="37"), times=2))
    assert only(source).folder == f"{SLUG}/pipeline-1/workflow-1-0"
    assert slept == [37.0, 37.0]


def test_a_server_error_is_tried_again_and_a_lasting_one_is_told(
    server: CircleCI, source: CircleCISource, slept: list[float]
) -> None:
    server.fake.simple(1)
    server.api.faults.append(Fault("/workflow", json_answer({}, 502), times=3))
    assert only(source).folder == f"{SLUG}/pipeline-1/workflow-1-0"
    assert len(slept) == 3
    server.api.faults.append(Fault("/workflow", json_answer({}, 500), times=100))
    with pytest.raises(SourceError, match="pipeline-1/workflow answers with 500 after every try"):
        list(source.discover())


def test_a_download_that_is_cut_goes_on_where_it_broke(server: CircleCI, source: CircleCISource) -> None:
    body = bytes(range(256)) * 4096
    server.fake.simple(1)
    server.fake.add_artifact(1, "big.xml", body)
    server.store.faults.append(Fault("big", cut(300_000)))
    assert landed(source, only(source))["test", "1/0/big.xml"] == body
    assert [bool(request.headers.get("range")) for request in server.store.requests] == [False, True]


def test_the_token_goes_to_the_hosts_of_circleci_and_to_no_other(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    server.fake.add_artifact(1, "own.xml", REPORT)
    elsewhere = server.fake.add_artifact(1, "elsewhere.xml", REPORT)
    elsewhere["url"] = f"{server.store.url}/elsewhere.xml"
    server.store.faults.append(Fault("/elsewhere.xml$", Answer(200, b"public")))
    files = landed(source, only(source))
    assert (files["test", "1/0/own.xml"], files["test", "1/0/elsewhere.xml"]) == (REPORT, b"public")
    assert all(request.headers["circle-token"] == TOKEN for request in server.api.requests + server.output.requests)
    assert len(server.store.requests) == 2
    assert TOKEN not in json.dumps([asdict(request) for request in server.store.requests])
    assert all("circle-token" not in request.headers for request in server.store.requests)


def test_a_server_of_ones_own_has_no_further_host_for_artifacts(
    server: CircleCI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    source = connect(server)
    server.fake.simple(1)
    server.fake.add_artifact(1, "r.xml", REPORT)
    file = source.contents(only(source))[2]
    with pytest.raises(ArtifactGoneError):
        read(source, file)
    assert [request.headers.get("circle-token") for request in server.output.requests] == [None]


@pytest.mark.parametrize("url", ["https://circleci.com", "https://circleci.com/"])
def test_circlecis_own_host_for_artifacts_is_known(url: str) -> None:
    source = build_circleci(section(url), lambda _: TOKEN)
    assert source.artifact_session is not None
    assert str(source.artifact_session.base_url) == "https://output.circle-artifacts.com/"
    source.close()


def test_an_address_with_a_signature_is_asked_for_anew_and_kept_nowhere(
    server: CircleCI, source: CircleCISource
) -> None:
    server.fake.page_size = 1
    server.fake.simple(1)
    for name in ("a#1.xml", "b.xml"):
        artifact = server.fake.add_artifact(1, name, name.encode())
        path = artifact["url"].removeprefix(server.output.url).replace("#", "%23")
        artifact["url"] = f"{server.store.url}{path}?X-Amz-Signature={SIGNATURE}"
        server.fake.contents[path] = name.encode()
    found = only(source)
    files = source.contents(found)[2:]
    assert [read(source, file) for file in files] == [b"a#1.xml", b"b.xml"]
    assert SIGNATURE not in repr((found, files, source.report))
    server.fake.artifacts.clear()
    with pytest.raises(ArtifactGoneError, match="no longer lists"):
        read(source, files[0])


def test_an_artifact_that_has_expired_is_gone_and_says_where(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    server.fake.add_artifact(1, "r.xml", REPORT)
    file = source.contents(only(source))[2]
    server.fake.contents.clear()
    with pytest.raises(ArtifactGoneError, match=r"/output/job/1/artifacts/0/r\.xml is not there"):
        read(source, file)


def test_jobs_and_pipelines_that_vanish_are_noted(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    server.fake.simple(2)
    del server.fake.workflows["pipeline-2"]
    server.api.faults.append(Fault("/(artifacts|tests)", json_answer({"message": "Job not found"}, 404), times=2))
    assert len(source.contents(only(source))) == 2
    assert sorted(source.report.notes) == [
        "the artifacts of a job are not there (404)",
        "the test metadata of a job are not there (404)",
        "the workflows of a pipeline are not there (404); it was left out",
    ]


@pytest.mark.parametrize("token", ["token-0", "always-the-same"])
def test_page_tokens_that_come_again_and_again_end_the_listing(
    server: CircleCI, source: CircleCISource, token: str
) -> None:
    server.fake.simple(1)
    server.fake.tests[1] = [case("a")]
    right = server.fake.respond

    def circling(request: Request) -> Answer:
        first = Request(request.path, {}, request.headers, request.address)
        answer = json.loads(right(first).body)
        return json_answer({**answer, "next_page_token": token} if "items" in answer else answer)

    server.api.respond = circling
    found = only(source)
    files = landed(source, found)
    assert len(parse_report(files["test", "1/tests.xml"]).cases) == 1
    assert any("came twice" in note for note in source.report.notes)
    assert len(server.api.requests) < 20


def test_ever_new_page_tokens_for_the_same_page_end_the_listing(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    server.fake.tests[1] = [case("a")]
    right = server.fake.respond

    def lying(request: Request) -> Answer:
        answer = json.loads(right(Request(request.path, {}, request.headers, request.address)).body)
        return json_answer({**answer, "next_page_token": f"t{len(server.api.requests)}"})

    server.api.respond = lying
    assert len(parse_report(landed(source, only(source))["test", "1/tests.xml"]).cases) == 1
    assert len(server.api.requests) < 20


def test_a_listing_that_never_ends_is_ended(
    server: CircleCI, source: CircleCISource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MAX_PAGES", 20)
    server.fake.simple(1)
    right = server.fake.respond

    def endless(request: Request) -> Answer:
        if not request.path.endswith("/pipeline"):
            return right(request)
        number = len(server.api.requests)
        pipeline = {**server.fake.pipelines[0], "id": f"p{number}"}
        return json_answer({"items": [pipeline], "next_page_token": f"t{number}"})

    server.api.respond = endless
    assert list(source.discover()) == []
    assert len(server.api.asked("/pipeline")) < 50
    assert any("more than 20 pages" in note for note in source.report.notes)


def test_pipelines_that_come_twice_are_found_once(server: CircleCI, source: CircleCISource) -> None:
    server.fake.page_size = 2
    for number in range(1, 6):
        server.fake.simple(number)
    right = server.fake.respond

    def growing(request: Request) -> Answer:
        answer = right(request)
        if request.path.endswith("/pipeline"):
            server.fake.simple(100 + len(server.api.requests))
        return answer

    server.api.respond = growing
    folders = [found.folder for found in source.discover()]
    assert len(folders) == len(set(folders))
    assert {f"{SLUG}/pipeline-{number}/workflow-{number}-0" for number in range(1, 6)} <= set(folders)


@pytest.mark.parametrize("answer", [[], None, "text", 7, {}, {"items": None}, {"items": {}}])
@pytest.mark.parametrize("place", [f"{SLUG}/pipeline", "pipeline-1/workflow"])
def test_a_listing_that_is_none_is_an_error_with_its_place(
    server: CircleCI, source: CircleCISource, answer: object, place: str
) -> None:
    server.fake.simple(1)
    server.api.faults.append(Fault(place, json_answer(answer)))
    with pytest.raises(SourceError, match=rf"{place} answers with .* belongs; is the source's `url`"):
        list(source.discover())


def test_a_project_that_is_none_is_an_error_with_its_place(server: CircleCI, source: CircleCISource) -> None:
    server.api.faults.append(Fault("/project/", json_answer(["no"])))
    with pytest.raises(SourceError, match=f"{SLUG} answers with a list where a project belongs"):
        list(source.discover())


def test_entries_that_cannot_be_used_are_left_out_and_noted(server: CircleCI, source: CircleCISource) -> None:
    workflow = server.fake.simple(1)
    server.fake.add_artifact(1, "r.xml", REPORT)
    server.fake.pipelines += [None, {}]  # type: ignore[list-item]
    server.fake.workflows["pipeline-1"] += [{**workflow, "id": None}, {**workflow, "id": "w", "created_at": None}]
    server.fake.jobs[workflow["id"]] += [{**server.fake.jobs[workflow["id"]][0], "id": None}]
    server.fake.artifacts[1] += [{}, {"path": "no.xml", "url": None}, {"path": "odd.xml", "url": "file:///etc/passwd"}]
    assert [file.path for file in source.contents(only(source))] == ["run.json", "job.json", "1/0/r.xml"]
    assert source.report.notes == {
        "CircleCI listed pipelines that are no objects; they were left out": 1,
        "CircleCI listed a pipeline without an id; it was left out": 1,
        "CircleCI listed a workflow without an id or a date; it was left out": 2,
        "CircleCI listed a job without an id; it was left out": 1,
        "CircleCI listed an artifact without an address; it was left out": 2,
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_fields_of_any_type_make_a_run_that_can_be_read(data: st.DataObject) -> None:
    with circleci() as server:
        server.fake.simple(1)
        server.fake.project = data.draw(st.dictionaries(st.sampled_from(["id", "name", "vcs_info"]), json_values))
        server.fake.pipelines[0] |= {name: data.draw(json_values) for name in ("vcs", "trigger")}
        workflow = server.fake.workflows["pipeline-1"][0]
        workflow |= {name: data.draw(json_values) for name in ("name", "status", "stopped_at")}
        job = server.fake.jobs["workflow-1-0"][0]
        job |= {name: data.draw(json_values) for name in ("name", "status", "type", "stopped_at")}
        server.fake.tests[1] = [{name: data.draw(json_values) for name in ("name", "result", "run_time", "message")}]
        source = connect(server)
        run = attempt(source, only(source))
        assert run.key.run_id.startswith("pipeline-1/")


# -- secrets -------------------------------------------------------------------------------------------------


def test_no_secret_is_in_what_is_written_or_said(server: CircleCI, source: CircleCISource) -> None:
    server.fake.simple(1)
    server.fake.pipelines[0]["vcs"]["target_repository_url"] = "https://user:planted-password@github.com/acme/shop"
    server.fake.add_artifact(1, "r.xml", REPORT)
    found = only(source)
    files = source.contents(found)
    server.store.faults.append(Fault("/output/", json_answer({}, 400)))
    with pytest.raises(SourceError) as caught:
        read(source, files[2])
    said = repr((source, source.title, found, files, source.report, list(source.check()), str(caught.value)))
    assert "/output/" in str(caught.value)
    for secret in (TOKEN, SIGNATURE, "planted"):
        assert secret not in said


def test_a_token_that_is_none_is_refused_without_showing_it(server: CircleCI) -> None:
    with pytest.raises(ConfigurationError, match="the token of the source cci") as caught:
        build_circleci(section(server.api.url), lambda _: "a\nsecret")
    assert "secret" not in str(caught.value)


# -- checking ------------------------------------------------------------------------------------------------


def test_a_check_says_what_may_be_read(server: CircleCI, source: CircleCISource) -> None:
    server.fake.add_pipeline(1)
    server.fake.simple(2)
    assert [(access.what, access.ok) for access in source.check()] == [
        ("the token", True),
        (f"project {SLUG}", True),
        (f"pipelines, artifacts and tests of {SLUG}", True),
    ]
    assert len(server.api.asked("2/tests")) == 1


def test_a_check_names_what_may_not_be_read_and_raises_nothing(server: CircleCI) -> None:
    server.fake.simple(1)
    source = connect(server, projects=[SLUG, "gh/acme/hidden"])
    server.api.faults.append(Fault("1/tests", json_answer({}, 403)))
    rows = list(source.check())
    assert [access.ok for access in rows] == [True, True, False, False]
    assert "refuses us (403)" in rows[2].detail
    assert "is not there (404)" in rows[3].detail
    server.api.faults.append(Fault("/api/", json_answer({}, 401), times=9))
    rows = list(source.check())
    assert [access.ok for access in rows] == [False, False, False]
    assert "personal" in rows[0].detail


@pytest.mark.parametrize("answer", [None, [], {}, {"items": None}, {"items": [None]}, {"items": [{}]}, "x"])
def test_a_check_survives_any_answer(server: CircleCI, source: CircleCISource, answer: object) -> None:
    server.api.faults.append(Fault("/api/v2/(project|pipeline|workflow)", json_answer(answer), times=9))
    rows = list(source.check())
    assert rows[0].ok
    assert 2 <= len(rows) <= 3
