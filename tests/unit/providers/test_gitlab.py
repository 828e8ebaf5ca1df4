"""GitLab as a source: pipelines become runs, jobs' artifacts become files, and a server that goes wrong is survived."""

import contextlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

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
from flakeguard_pipeline.providers.gitlab import GitLabSource, build_gitlab, repack
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, ArtifactSource, FoundFile, FoundFolder, Window
from flakeguard_pipeline.source_sections import GitLabSection
from tests.support.gitlab_server import (
    ARCHIVE,
    ARTIFACTS,
    JOBS,
    JUNIT,
    METADATA,
    NO_SCOPE,
    PIPELINES,
    SHA,
    SIGNATURE,
    TOKEN,
    TRACE,
    GitLabServer,
    files_of,
    gitlab_serving,
    gzip_of,
    job,
    pipeline,
    stored,
    zip_of,
)
from tests.support.provider_server import Answer, Fault, cut, json_answer, serving

NOW = datetime(2026, 3, 10, tzinfo=UTC)
REPORT = b'<testsuite name="a"><testcase classname="C" name="t"/></testsuite>'
OTHER = b'<testsuite name="b"><testcase classname="C" name="u"/></testsuite>'


class Sleeps(list[float]):
    """The waits that were asked for; none is made."""


OPENED: list[GitLabSource] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def gitlab() -> Iterator[GitLabServer]:
    with gitlab_serving() as server:
        yield server


def source_of(gitlab: GitLabServer, sleeps: Sleeps | None = None, token: str = TOKEN, **more: Any) -> GitLabSource:
    section = GitLabSection.model_validate(
        {
            "kind": "gitlab",
            "name": "lab",
            "url": gitlab.url,
            "projects": ["acme/web/shop"],
            "token": {"env": "GITLAB_TOKEN"},
            **more,
        }
    )
    waits = sleeps if sleeps is not None else Sleeps()
    source = build_gitlab(section, lambda _: token, clock=Clock(now=lambda: NOW, sleep=waits.append))
    OPENED.append(source)
    return source


def found_in(source: ArtifactSource, window: Window = EVERYTHING) -> dict[str, FoundFolder]:
    folders = list(source.discover(window))
    assert len(folders) == len({each.folder for each in folders}), "a folder came twice"
    return {each.folder: each for each in folders}


def attempt_of(files: tuple[FoundFile, ...]) -> RunAttempt:
    run, jobs = files[0], files[1]
    assert (run.kind, run.path, jobs.kind, jobs.path) == ("run", "run.json", "jobs", "job.json")
    assert run.inline is not None
    return parse_run(run.inline, jobs.inline, provider="gitlab")


def landed(source: ArtifactSource, found: FoundFolder) -> dict[tuple[str, str, str], bytes]:
    """Return all bytes of a folder by kind, artifact and path."""
    everything: dict[tuple[str, str, str], bytes] = {}
    for file in source.contents(found):
        if file.kind == "expired":
            everything[file.kind, file.artifact, file.path] = b""
            continue
        with source.open(file) as stream:
            everything[file.kind, file.artifact, file.path] = stream.read()
    return everything


def with_one_run(gitlab: GitLabServer, *jobs: dict[str, Any], **more: Any) -> FoundFolder:
    gitlab.pipelines = [pipeline(12, **more)]
    gitlab.jobs = {12: list(jobs)}
    return FoundFolder("7/12", "f")


# -- what a pipeline becomes -----------------------------------------------------------------------------------


def test_a_pipeline_becomes_a_run_attempt_that_the_parser_of_runs_reads(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(102, "lint", status="failed"), job(101, "rspec 1/2"))
    attempt = attempt_of(source_of(gitlab).contents(found))
    assert attempt.key.provider == "gitlab"
    assert (attempt.key.repository_ref, attempt.key.run_id, attempt.key.run_attempt) == ("7", "12", 1)
    assert (attempt.full_name, attempt.default_branch, attempt.branch) == ("acme/web/shop", "main", "main")
    assert (attempt.event, attempt.status, attempt.conclusion) == ("push", RunStatus.COMPLETED, "success")
    assert (attempt.head_sha, attempt.pr_number, attempt.is_partial) == (SHA, None, False)
    assert attempt.created_at == datetime(2026, 3, 2, 7, 12, tzinfo=UTC)
    assert attempt.run_started_at == datetime(2026, 3, 2, 7, 12, 5, 250_000, tzinfo=UTC)
    assert attempt.updated_at == datetime(2026, 3, 2, 8, 12, tzinfo=UTC)
    assert attempt.run_url == "https://gitlab.example.com/acme/shop/-/pipelines/12"
    assert [(each.job_id, each.name, each.conclusion) for each in attempt.jobs] == [
        ("101", "rspec 1/2", "success"),
        ("102", "lint", "failure"),
    ]
    assert (attempt.jobs[0].labels, attempt.jobs[0].runner_name) == (("docker", "linux"), "runner-3")
    assert attempt.jobs[0].started_at == datetime(2026, 3, 2, 7, 0, 10, tzinfo=UTC)


def test_the_workflow_is_not_the_pipelines_own_name_which_may_hold_a_branch(gitlab: GitLabServer) -> None:
    gitlab.pipelines = [pipeline(12)]
    gitlab.children = [pipeline(13, source="parent_pipeline")]
    source = source_of(gitlab)
    attempts = [attempt_of(source.contents(each)) for each in source.discover()]
    assert [(each.workflow, each.event) for each in attempts] == [
        ("pipeline", "push"),
        ("child pipeline", "workflow_call"),
    ]


@pytest.mark.parametrize(
    ("said", "ref", "event", "number"),
    [
        ("push", "main", "push", None),
        ("web", "main", "workflow_dispatch", None),
        ("schedule", "main", "schedule", None),
        ("trigger", "main", "repository_dispatch", None),
        ("pipeline", "main", "workflow_run", None),
        ("merge_request_event", "refs/merge-requests/5/head", "pull_request", 5),
        ("merge_request_event", "refs/merge-requests/6/merge", "pull_request", 6),
        ("parent_pipeline", "refs/merge-requests/7/train", "pull_request", 7),
        ("external_pull_request_event", "topic", "pull_request", None),
        ("security_orchestration_policy", "main", "security_orchestration_policy", None),
    ],
)
def test_the_event_and_the_merge_request(
    gitlab: GitLabServer, said: str, ref: str, event: str, number: int | None
) -> None:
    attempt = attempt_of(source_of(gitlab).contents(with_one_run(gitlab, source=said, ref=ref)))
    assert (attempt.event, attempt.pr_number, attempt.branch) == (event, number, ref)


@pytest.mark.parametrize(
    ("status", "conclusion", "is_finished"),
    [
        ("success", "success", True),
        ("failed", "failure", True),
        ("canceled", "cancelled", True),
        ("skipped", "skipped", True),
        ("manual", "action_required", True),
        ("running", "", False),
        ("pending", "", False),
        ("canceling", "", False),
        ("scheduled", "", False),
        ("something_new", "", False),
    ],
)
def test_a_pipeline_has_finished_when_nothing_runs_on_its_own(
    gitlab: GitLabServer, status: str, conclusion: str, is_finished: bool
) -> None:
    gitlab.pipelines = [pipeline(12, status=status)]
    source = source_of(gitlab)
    (found,) = source.discover()
    attempt = attempt_of(source.contents(found))
    assert found.is_finished is is_finished
    assert (attempt.status is RunStatus.COMPLETED, attempt.conclusion) == (is_finished, conclusion)


def test_a_manual_job_that_nobody_started_was_skipped(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(1, "deploy", status="manual", started_at=None, finished_at=None, runner=None))
    (only,) = attempt_of(source_of(gitlab).contents(found)).jobs
    assert (only.name, only.conclusion, only.started_at, only.runner_name) == ("deploy", "skipped", None, "")


def test_the_bytes_of_run_and_jobs_are_equal_for_equal_answers(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(2), job(1))
    first = source_of(gitlab).contents(found)
    gitlab.jobs[12].reverse()
    assert source_of(gitlab).contents(found) == first


def test_an_unfinished_pipeline_is_taken_up_later_with_another_fingerprint(gitlab: GitLabServer) -> None:
    gitlab.pipelines = [pipeline(12, status="running")]
    (running,) = source_of(gitlab).discover()
    gitlab.pipelines = [pipeline(12, status="success", updated_at="2026-03-02T09:00:00.000Z")]
    (finished,) = source_of(gitlab).discover()
    gitlab.pipelines = [pipeline(12, status="success", updated_at="2026-03-05T09:00:00.000Z")]
    (retried,) = source_of(gitlab).discover()
    assert running.folder == finished.folder == retried.folder == "7/12"
    assert [running.is_finished, finished.is_finished] == [False, True]
    assert len({running.fingerprint, finished.fingerprint, retried.fingerprint}) == 3
    assert list(source_of(gitlab).discover()) == [retried]


# -- artifacts -------------------------------------------------------------------------------------------------


def test_an_archive_is_called_after_its_job_and_lies_under_the_jobs_id(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, "rspec 1/2", artifacts=[TRACE, METADATA, ARCHIVE]))
    gitlab.archives[101] = zip_of({"a.xml": REPORT})
    everything = landed(source_of(gitlab), found)
    assert everything["zip", "rspec 1/2", "101/artifacts.zip"] == gitlab.archives[101]
    assert len(everything) == 3


def test_junit_reports_come_as_a_zip_archive_of_the_files_that_the_runner_packed(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[TRACE, JUNIT]))
    gitlab.reports[101] = gzip_of({"build/a.xml": REPORT, "build/b.xml": OTHER})
    everything = landed(source_of(gitlab), found)
    assert files_of(everything["zip", "rspec", "101/junit.zip"]) == {"build/a.xml": REPORT, "build/b.xml": OTHER}
    assert landed(source_of(gitlab), found) == everything


def test_where_a_job_has_junit_reports_its_archive_is_left_alone(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE, JUNIT]))
    gitlab.reports[101], gitlab.archives[101] = gzip_of({"a.xml": REPORT}), zip_of({"a.xml": REPORT})
    assert [file.path for file in source_of(gitlab).contents(found)[2:]] == ["101/junit.zip"]


def test_a_gitlab_that_gives_no_junit_reports_gives_the_archive_and_it_is_noted(gitlab: GitLabServer) -> None:
    gitlab.knows_file_type = False
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE, JUNIT]))
    gitlab.reports[101], gitlab.archives[101] = gzip_of({"a.xml": REPORT}), zip_of({"a.xml": REPORT})
    source = source_of(gitlab)
    assert files_of(landed(source, found)["zip", "rspec", "101/junit.zip"]) == {"a.xml": REPORT}
    (note,) = source.report.notes
    assert "`artifacts:paths`" in note


TEST_REPORT = {
    "total_count": 4,
    "test_suites": [
        {
            "name": "rspec",
            "test_cases": [
                {"status": "success", "name": "adds", "classname": "Cart", "execution_time": 0.5, "file": "cart.rb"},
                {
                    "status": "failed",
                    "name": "sorts",
                    "classname": "Cart",
                    "system_output": "1 != 2",
                    "stack_trace": None,
                },
                {"status": "error", "name": "loads", "classname": "Cart", "system_output": {"odd": 1}},
                {"status": "skipped", "name": "waits", "classname": "Cart"},
                {"status": "unheard of", "name": "odd", "classname": "Cart"},
            ],
        },
        {"name": "other", "test_cases": [{"status": "success", "name": "elsewhere"}]},
    ],
}


def test_a_gitlab_that_gives_neither_reports_nor_an_archive_gives_the_pipelines_test_report(
    gitlab: GitLabServer,
) -> None:
    gitlab.knows_file_type = False
    found = with_one_run(
        gitlab,
        job(101, retried=True, artifacts=[JUNIT]),
        job(105, artifacts=[JUNIT]),
        job(106, "gone", artifacts=[JUNIT]),
    )
    gitlab.test_reports[12] = TEST_REPORT
    source = source_of(gitlab)
    retried, latest, gone = sorted(source.contents(found)[2:], key=lambda file: file.path)
    with source.open(latest) as stream:
        (data,) = files_of(stream.read()).values()
    cases = {
        (each.name, each.classname, each.file, each.outcome.value, each.failure_text or each.output)
        for each in parse_report(data).cases
    }
    assert cases == {
        ("adds", "Cart", "cart.rb", "passed", ""),
        ("sorts", "Cart", "", "failed", "1 != 2"),
        ("loads", "Cart", "", "errored", ""),
        ("waits", "Cart", "", "skipped", ""),
    }
    assert any("test reports were read" in note for note in source.report.notes)
    # the test report tells nothing of a job that was retried, nor of one that it does not name
    for file in (retried, gone):
        with pytest.raises(ArtifactGoneError), source.open(file):
            pass


def test_a_retried_job_is_another_file_of_the_same_artifact(gitlab: GitLabServer) -> None:
    found = with_one_run(
        gitlab,
        job(101, status="failed", retried=True, artifacts=[JUNIT]),
        job(105, artifacts=[JUNIT]),
    )
    gitlab.reports = {101: gzip_of({"a.xml": REPORT}), 105: gzip_of({"a.xml": OTHER})}
    source = source_of(gitlab)
    files = source.contents(found)
    assert [(file.artifact, file.path) for file in files[2:]] == [
        ("rspec", "101/junit.zip"),
        ("rspec", "105/junit.zip"),
    ]
    assert [each.conclusion for each in attempt_of(files).jobs] == ["failure", "success"]
    everything = landed(source, found)
    assert files_of(everything["zip", "rspec", "101/junit.zip"]) == {"a.xml": REPORT}
    assert files_of(everything["zip", "rspec", "105/junit.zip"]) == {"a.xml": OTHER}


def test_an_artifact_that_has_expired_is_recorded_and_never_asked_for(gitlab: GitLabServer) -> None:
    found = with_one_run(
        gitlab,
        job(101, artifacts=[TRACE], artifacts_expire_at="2026-03-09T23:59:59.000Z"),
        job(102, "later", artifacts=[TRACE], artifacts_expire_at="2026-03-11T00:00:00.000Z"),
        job(103, "none", artifacts=[]),
    )
    (expired,) = source_of(gitlab).contents(found)[2:]
    assert (expired.kind, expired.artifact, expired.path) == ("expired", "rspec", "101/artifacts.zip")
    assert not gitlab.http.asked(ARTIFACTS)


def test_an_artifact_that_went_between_listing_and_download_is_gone(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE]))
    source = source_of(gitlab)
    file = source.contents(found)[2]
    with pytest.raises(ArtifactGoneError, match="jobs/101/artifacts is not there"), source.open(file):
        pass


@pytest.mark.parametrize(
    ("artifacts", "jobs", "expected"),
    [
        ((), (), ["deploy", "e2e 1/2", "rspec"]),
        (("e2e*",), (), ["e2e 1/2"]),
        (("junit*",), (), ["rspec"]),
        (("*.zip",), (), ["deploy", "e2e 1/2"]),
        ((), ("rspec", "e2e*"), ["e2e 1/2", "rspec"]),
        (("nothing",), (), []),
    ],
)
def test_globs_choose_artifacts_by_job_or_file_name_and_jobs_by_name(
    gitlab: GitLabServer, artifacts: tuple[str, ...], jobs: tuple[str, ...], expected: list[str]
) -> None:
    found = with_one_run(
        gitlab,
        job(1, "rspec", artifacts=[JUNIT]),
        job(2, "e2e 1/2", artifacts=[ARCHIVE]),
        job(3, "deploy", artifacts=[ARCHIVE]),
    )
    files = source_of(gitlab, artifacts=artifacts, jobs=jobs).contents(found)
    assert [file.artifact for file in files[2:]] == expected
    names = {each.name for each in attempt_of(files).jobs}
    assert names == ({"rspec", "e2e 1/2"} if jobs else {"rspec", "e2e 1/2", "deploy"})


def test_a_junit_report_that_is_damaged_is_handed_on_as_it_is_and_noted(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[JUNIT]))
    gitlab.reports[101] = gzip_of({"a.xml": REPORT})[:-12]
    source = source_of(gitlab)
    assert landed(source, found)["zip", "rspec", "101/junit.zip"] == gitlab.reports[101]
    assert any("damaged" in note for note in source.report.notes)


NAMES = st.text("ab/.\\:é ", min_size=0, max_size=12)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=200)), min_size=1, max_size=5), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_whatever_names_a_runner_packs_each_report_arrives_under_a_harmless_one(
    members: list[tuple[str, bytes]], padding: int
) -> None:
    packed = b"".join(gzip_of({name: data}) for name, data in members) + b"\0" * padding
    target, again = io.BytesIO(), io.BytesIO()
    repack(io.BytesIO(packed), target)
    repack(io.BytesIO(packed), again)
    assert target.getvalue() == again.getvalue()
    unpacked = files_of(target.getvalue())
    assert list(unpacked.values()) == [data for _, data in members]
    for name in unpacked:
        assert not name.startswith("/")
        assert ".." not in name.split("/")


# -- listing ---------------------------------------------------------------------------------------------------


def test_all_pages_of_pipelines_child_pipelines_and_jobs_are_read(gitlab: GitLabServer) -> None:
    gitlab.most_per_page = 7
    gitlab.pipelines = [pipeline(number) for number in range(1, 31)]
    gitlab.children = [pipeline(number, source="parent_pipeline") for number in range(40, 49)]
    gitlab.jobs = {30: [job(number, f"job {number}") for number in range(1, 24)]}
    source = source_of(gitlab)
    found = found_in(source)
    assert list(found) == [f"7/{number}" for number in [*range(30, 0, -1), *range(48, 39, -1)]]
    assert len(gitlab.http.asked(r"/pipelines\?")) == 5 + 2
    assert len(attempt_of(source.contents(found["7/30"])).jobs) == 23
    assert source.report.notes == {}


@pytest.mark.parametrize("headers", [{}, {"link": '<http://elsewhere.example/?page=2>; rel="next"'}])
def test_paging_goes_on_without_gitlabs_own_header(gitlab: GitLabServer, headers: dict[str, str]) -> None:
    gitlab.pipelines = [pipeline(number) for number in range(1, 151)]

    def stripped(_: Any, right: Answer) -> Answer:
        count = len(json.loads(right.body))
        return Answer(200, right.body, headers if count == 100 else {})

    gitlab.http.faults = [Fault(PIPELINES, stripped, times=10)]
    assert len(found_in(source_of(gitlab))) == 150


def test_discovery_makes_listing_requests_only(gitlab: GitLabServer) -> None:
    gitlab.pipelines = [pipeline(number) for number in range(1, 4)]
    found_in(source_of(gitlab))
    assert [request.path.removeprefix("/api/v4/projects/") for request in gitlab.http.requests] == [
        "acme%2Fweb%2Fshop",
        "7/pipelines",
        "7/pipelines",
    ]


def test_the_window_is_asked_for_and_kept_to_where_a_server_does_not(gitlab: GitLabServer) -> None:
    gitlab.pipelines = [
        pipeline(1, created_at="2026-02-01T00:00:00Z", updated_at="2026-02-01T01:00:00Z"),
        pipeline(2, created_at="2026-02-01T00:00:00Z", updated_at="2026-03-02T01:00:00Z"),
        pipeline(3, created_at="2026-03-02T23:59:59Z", updated_at="2026-03-03T01:00:00Z"),
        pipeline(4, created_at="2026-03-03T00:00:00Z", updated_at="2026-03-03T01:00:00Z"),
    ]
    window = Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    by_server = found_in(source_of(gitlab), window)
    asked = gitlab.http.asked(PIPELINES)[0].query
    assert (asked["updated_after"], asked["created_before"]) == ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    gitlab.filters = False
    assert found_in(source_of(gitlab), window) == by_server
    assert list(by_server) == ["7/3", "7/2"]
    assert {each.folder: each.day for each in by_server.values()} == {"7/3": "2026-03-02", "7/2": "2026-02-01"}


def test_discovery_that_was_stopped_in_the_middle_gives_the_same_folders_when_begun_again(
    gitlab: GitLabServer,
) -> None:
    gitlab.most_per_page = 10
    gitlab.pipelines = [pipeline(number) for number in range(1, 46)]
    undisturbed = found_in(source_of(gitlab))
    part = list(islice(source_of(gitlab).discover(), 17))
    gitlab.http.faults = [Fault(PIPELINES, Answer(500), times=6, after=2)]
    with pytest.raises(SourceError, match="500"):
        list(source_of(gitlab).discover())
    assert found_in(source_of(gitlab)) == undisturbed
    assert all(undisturbed[each.folder] == each for each in part)


def test_a_server_under_a_path_of_its_own_is_asked_there() -> None:
    with gitlab_serving(GitLabServer(prefix="/tools/gitlab")) as gitlab:
        gitlab.pipelines = [pipeline(12)]
        assert list(found_in(source_of(gitlab))) == ["7/12"]
        assert all(request.path.startswith("/tools/gitlab/api/v4/") for request in gitlab.http.requests)


def test_a_project_may_be_named_by_its_id_and_its_folders_are_the_same(gitlab: GitLabServer) -> None:
    gitlab.pipelines = [pipeline(12)]
    assert found_in(source_of(gitlab, projects=["7"])) == found_in(source_of(gitlab))


# -- a server that lies ------------------------------------------------------------------------------------------


def test_the_same_page_again_and_again_ends_and_is_noted(gitlab: GitLabServer) -> None:
    page = [pipeline(number) for number in range(1, 101)]
    lie = json_answer(page, x_next_page="2")
    gitlab.http.faults = [Fault(PIPELINES, lie, times=1000)]
    source = source_of(gitlab)
    assert len(found_in(source)) == 100
    assert len(gitlab.http.asked(PIPELINES)) <= 8
    assert any("again and again" in note for note in source.report.notes)
    assert any("came twice" in note for note in source.report.notes)


def test_pages_that_shift_because_pipelines_start_lose_none(gitlab: GitLabServer) -> None:
    gitlab.most_per_page = 10
    gitlab.pipelines = [pipeline(number) for number in range(1, 31)]

    def started(_: Any, right: Answer) -> Answer:
        newest = len(gitlab.pipelines)
        gitlab.pipelines += [pipeline(number) for number in range(newest + 1, newest + 11)]
        return right

    gitlab.http.faults = [Fault(PIPELINES, started, times=1)]
    assert {f"7/{number}" for number in range(1, 31)} <= set(found_in(source_of(gitlab)))


def test_a_count_that_does_not_fit_is_noted(gitlab: GitLabServer) -> None:
    gitlab.http.faults = [Fault(PIPELINES, json_answer([pipeline(1)], x_next_page="", x_total="9"))]
    source = source_of(gitlab)
    assert list(found_in(source)) == ["7/1"]
    assert any("count" in note for note in source.report.notes)


def test_entries_without_an_id_are_passed_over_and_noted(gitlab: GitLabServer) -> None:
    odd: list[Any] = [None, 5, [], {}, {"id": None}, {"id": True}, {"id": "12"}, {"id": -1}]
    gitlab.http.faults = [Fault(PIPELINES, json_answer([*odd, pipeline(1)]))]
    source = source_of(gitlab)
    assert list(found_in(source)) == ["7/1"]
    (count,) = (times for note, times in source.report.notes.items() if "without an id" in note)
    assert count == len(odd)


def test_null_fields_are_survived(gitlab: GitLabServer) -> None:
    nothing = dict.fromkeys(pipeline(12))
    gitlab.pipelines = [{**nothing, "id": 12, "single": {}, "created_at": "2026-03-02T07:00:00Z"}]
    gitlab.jobs = {12: [{**dict.fromkeys(job(1)), "id": 1}]}
    source = source_of(gitlab)
    (found,) = source.discover()
    attempt = attempt_of(source.contents(found))
    assert (found.day, found.is_finished) == ("2026-03-02", False)
    assert (attempt.key.run_id, attempt.event, attempt.branch, attempt.status) == ("12", "", "", RunStatus.IN_PROGRESS)
    assert [each.job_id for each in attempt.jobs] == ["1"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*job(1), *pipeline(1)]), inner),
    max_leaves=12,
)


@given(JSON, JSON, JSON, st.dictionaries(st.sampled_from(sorted(job(1))), JSON))
@settings(max_examples=60, deadline=None)
def test_whatever_json_a_server_answers_the_source_raises_nothing_but_its_own_errors(
    listed: Any, single: Any, jobs: Any, odd_job: dict[str, Any]
) -> None:
    with gitlab_serving() as gitlab:
        gitlab.http.faults = [
            Fault(PIPELINES, json_answer(listed), times=2),
            Fault(r"/pipelines/12$", json_answer(single)),
            Fault(JOBS, json_answer(jobs if isinstance(jobs, list) else [{**odd_job, "id": 5}]), times=2),
        ]
        source = source_of(gitlab)
        for act in (lambda: list(source.discover()), lambda: source.contents(FoundFolder("7/12", ""))):
            with contextlib.suppress(SourceError):
                act()
        source.close()


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        (PIPELINES, json_answer({"message": "no list"})),
        (PIPELINES, Answer(200, b"<html>sign in</html>")),
        (r"projects/acme%2Fweb%2Fshop$", json_answer([1])),
        (r"projects/acme%2Fweb%2Fshop$", json_answer({"id": None})),
    ],
)
def test_an_answer_of_another_shape_says_where_and_what_to_do(
    gitlab: GitLabServer, pattern: str, answer: Answer
) -> None:
    gitlab.http.faults = [Fault(pattern, answer)]
    with pytest.raises(SourceError, match=r"127\.0\.0\.1.*`url`"):
        list(source_of(gitlab).discover())


def test_a_folder_that_is_no_pipelines_is_refused(gitlab: GitLabServer) -> None:
    with pytest.raises(SourceError, match="no pipeline's folder"):
        source_of(gitlab).contents(FoundFolder("../etc", ""))


# -- a server that falters -----------------------------------------------------------------------------------------


def test_a_limit_is_waited_for_as_long_as_the_server_asks(gitlab: GitLabServer, sleeps: Sleeps) -> None:
    gitlab.pipelines = [pipeline(12)]
    gitlab.http.faults = [Fault(PIPELINES, Answer(429, b"Retry later", {"retry-after": "17"}))]
    source = source_of(gitlab, sleeps)
    assert list(found_in(source)) == ["7/12"]
    assert sleeps == [17.0]
    assert source.report.retries == 1


def test_a_limit_that_lasts_too_long_says_when_to_come_again(gitlab: GitLabServer) -> None:
    gitlab.http.faults = [Fault(PIPELINES, Answer(429, b"", {"retry-after": "7200"}))]
    with pytest.raises(SourceBusyError, match="2026-03-10 02:00 UTC"):
        list(source_of(gitlab).discover())


def test_gitlabs_rate_limit_headers_are_reported(gitlab: GitLabServer) -> None:
    limits = {"ratelimit-limit": "2000", "ratelimit-remaining": "1990", "ratelimit-reset": "1772323260"}
    gitlab.http.faults = [
        Fault(PIPELINES, lambda _, right: Answer(200, right.body, {**right.headers, **limits}), times=9)
    ]
    source = source_of(gitlab)
    found_in(source)
    assert source.report.rate_limit is not None
    assert (source.report.rate_limit.limit, source.report.rate_limit.remaining) == (2000, 1990)
    assert source.report.rate_limit.resets_at == datetime.fromtimestamp(1772323260, UTC)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_the_server_is_tried_again(gitlab: GitLabServer, status: int, sleeps: Sleeps) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE]))
    gitlab.archives[101] = zip_of({"a.xml": REPORT})
    gitlab.http.faults = [
        Fault(pattern, Answer(status), times=2) for pattern in (r"shop$", PIPELINES, r"/12$", JOBS, ARTIFACTS)
    ]
    source = source_of(gitlab, sleeps)
    assert list(found_in(source)) == ["7/12"]
    assert landed(source, found)["zip", "rspec", "101/artifacts.zip"] == gitlab.archives[101]
    assert source.report.retries == len(sleeps) == 10


@pytest.mark.parametrize("kind", ["archive", "junit"])
def test_a_connection_that_is_cut_in_the_middle_of_an_artifact_brings_all_its_bytes(
    gitlab: GitLabServer, kind: str, sleeps: Sleeps
) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE if kind == "archive" else JUNIT]))
    gitlab.archives[101] = zip_of({"a.xml": REPORT * 5000})
    gitlab.reports[101] = gzip_of({"a.xml": bytes(range(256)) * 400})
    source = source_of(gitlab, sleeps)
    undisturbed = landed(source, found)
    gitlab.http.faults = [Fault(ARTIFACTS, cut(300), times=2)]
    assert landed(source, found) == undisturbed
    assert source.report.retries == 2
    if kind == "archive":
        assert undisturbed["zip", "rspec", "101/artifacts.zip"] == gitlab.archives[101]


def test_a_download_is_redirected_to_the_object_storage_without_the_token(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE]), job(102, "unit", artifacts=[JUNIT]))
    gitlab.archives[101], gitlab.reports[102] = zip_of({"a.xml": REPORT}), gzip_of({"b.xml": OTHER})
    with serving(lambda request: stored(gitlab, request)) as storage:
        gitlab.storage = storage.url
        storage.faults = [Fault("/archive/", cut(20))]
        everything = landed(source_of(gitlab), found)
        assert everything["zip", "rspec", "101/artifacts.zip"] == gitlab.archives[101]
        assert files_of(everything["zip", "unit", "102/junit.zip"]) == {"b.xml": OTHER}
        assert len(storage.requests) == 3
        for request in storage.requests:
            assert not {"private-token", "authorization", "cookie"} & set(request.headers)
            assert TOKEN not in str(request)
    assert all(request.headers["private-token"] == TOKEN for request in gitlab.http.requests)


# -- secrets, and what may be read -----------------------------------------------------------------------------------


def test_no_secret_is_in_anything_that_is_kept_or_shown(gitlab: GitLabServer) -> None:
    found = with_one_run(gitlab, job(101, artifacts=[ARCHIVE]), job(102, "unit", artifacts=[JUNIT]))
    gitlab.archives[101], gitlab.reports[102] = zip_of({"a.xml": REPORT}), b""
    shown: list[str] = []
    with serving(lambda request: stored(gitlab, request)) as storage:
        gitlab.storage = storage.url
        storage.faults = [Fault("/junit/", Answer(403, b""), times=9)]
        gitlab.http.faults = [Fault(PIPELINES, json_answer([None, pipeline(12), pipeline(12)]))]
        source = source_of(gitlab)
        shown += [str(each) for each in source.discover()]
        files = source.contents(found)
        shown += [str(file) for file in files]
        with pytest.raises(SourceDeniedError) as denied, source.open(files[3]):
            pass
        shown += [str(denied.value), str(source.report), source.title, repr(source)]
        shown += [str(row) for row in source.check()]
    gitlab.http.faults = [Fault(".", Answer(500), times=99)]
    with pytest.raises(SourceError) as failed:
        list(source_of(gitlab).discover())
    shown.append(str(failed.value))
    for text in shown:
        assert TOKEN not in text
        assert SIGNATURE not in text


def test_a_token_that_no_header_may_hold_is_refused_without_showing_it(gitlab: GitLabServer) -> None:
    with pytest.raises(ConfigurationError, match="lab") as refused:
        source_of(gitlab, token="glpat-one\nglpat-two")
    assert "glpat" not in str(refused.value)


def test_a_wrong_token_says_what_to_check(gitlab: GitLabServer) -> None:
    with pytest.raises(SourceDeniedError, match="token"):
        list(source_of(gitlab, token="glpat-other").discover())


def test_a_project_that_is_not_there_says_so(gitlab: GitLabServer) -> None:
    with pytest.raises(SourceNotFoundError, match="acme%2Fnone"):
        list(source_of(gitlab, projects=["acme/none"]).discover())


def test_check_says_what_may_be_read(gitlab: GitLabServer) -> None:
    with_one_run(gitlab, job(101, artifacts=[ARCHIVE]))
    gitlab.archives[101] = zip_of({"a.xml": REPORT})
    rows = list(source_of(gitlab).check())
    assert [(row.what, row.ok) for row in rows] == [
        ("project acme/web/shop", True),
        ("pipelines of acme/web/shop", True),
        ("artifacts of acme/web/shop", True),
    ]
    assert "default branch main" in rows[0].detail
    assert gitlab.http.asked(ARTIFACTS)[0].headers["range"] == "bytes=0-0"


@pytest.mark.parametrize(
    ("pattern", "ok"),
    [(r"shop$", [False]), (PIPELINES, [True, False, True]), (r"7/jobs|artifacts", [True, True, False])],
)
def test_check_names_the_scope_that_is_missing(gitlab: GitLabServer, pattern: str, ok: list[bool]) -> None:
    with_one_run(gitlab, job(101, artifacts=[ARCHIVE]))
    gitlab.archives[101] = zip_of({"a.xml": REPORT})
    gitlab.http.faults = [Fault(pattern, NO_SCOPE, times=9)]
    rows = list(source_of(gitlab).check())
    assert [row.ok for row in rows] == ok
    (missing,) = (row.detail for row in rows if not row.ok)
    assert "`read_api`" in missing
    assert "Reporter" in missing
