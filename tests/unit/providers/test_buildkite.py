"""Buildkite as a source: what is found, what is landed of it, and what becomes of answers that are wrong."""

import json
import re
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
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.domain.model import Job, RunAttempt, RunStatus
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.providers import buildkite as subject
from flakeguard_pipeline.providers.answers import full_name_of
from flakeguard_pipeline.providers.buildkite import BuildkiteSource, build_buildkite, run_of
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder, Window
from flakeguard_pipeline.source_sections import BuildkiteSection
from tests.support.buildkite_server import SIGNATURE, TOKEN, Buildkite, buildkite, job
from tests.support.provider_server import Answer, Fault, Request, cut, json_answer

NOW = datetime(2026, 3, 9, tzinfo=UTC)
PULL_REQUEST = {"id": "12", "base": "main", "repository": "git://github.com/fork/shop.git"}
REPORT = b"<testsuite><testcase name='a'/></testsuite>"


@pytest.fixture
def server() -> Iterator[Buildkite]:
    with buildkite() as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def source(server: Buildkite, slept: list[float]) -> BuildkiteSource:
    return connect(server, slept)


def connect(server: Buildkite, slept: list[float] | None = None, **keys: Any) -> BuildkiteSource:
    section = BuildkiteSection.model_validate(
        {
            "name": "bk",
            "kind": "buildkite",
            "url": server.api.url,
            "organization": "acme",
            "token": {"env": "BUILDKITE_TOKEN"},
            **keys,
        }
    )
    waits: list[float] = [] if slept is None else slept
    clock = Clock(now=lambda: NOW, sleep=waits.append)
    return opened(server, build_buildkite(section, lambda _: TOKEN, clock=clock))


def opened(server: Buildkite, source: BuildkiteSource) -> BuildkiteSource:
    server.closing.callback(source.close)
    return source


def read(source: BuildkiteSource, file: FoundFile) -> bytes:
    with source.open(file) as stream:
        return stream.read()


def landed(source: BuildkiteSource, found: FoundFolder) -> dict[tuple[str, str], bytes | str]:
    """Return what a landing would keep of a folder: bytes, or the kind of what has none."""
    return {
        (file.artifact, file.path): "expired" if file.kind == "expired" else read(source, file)
        for file in source.contents(found)
    }


def everything(source: BuildkiteSource) -> dict[str, dict[tuple[str, str], bytes | str]]:
    return {found.folder: landed(source, found) for found in source.discover()}


def attempt(source: BuildkiteSource, found: FoundFolder) -> RunAttempt:
    files = landed(source, found)
    run, jobs = files["", "run.json"], files["", "job.json"]
    assert isinstance(run, bytes)
    assert isinstance(jobs, bytes)
    return parse_run(run, jobs, provider="buildkite")


def only(source: BuildkiteSource) -> FoundFolder:
    (found,) = source.discover()
    return found


# -- what is found and landed --------------------------------------------------------------------------------


def test_a_build_is_one_attempt_with_its_jobs(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(7)
    found = only(source)
    assert (found.folder, found.day, found.is_finished) == ("acme/shop/7/1", "2026-03-02", True)
    run = attempt(source, found)
    assert (run.key.provider, run.key.repository_ref) == ("buildkite", "name:acme/shop")
    assert (run.key.run_id, run.key.run_attempt) == ("shop-build-7", 1)
    assert (run.full_name, run.default_branch, run.workflow, run.event) == ("acme/shop", "main", "Shop", "push")
    assert (run.status, run.conclusion, run.branch) == (RunStatus.COMPLETED, "success", "main")
    assert run.head_sha == f"{7:040x}"
    assert run.head_repository_ref == run.key.repository_ref
    assert run.run_started_at == datetime(2026, 3, 2, 7, 7, tzinfo=UTC)
    assert run.updated_at == datetime(2026, 3, 2, 7, 16, tzinfo=UTC)
    assert run.run_url == "https://buildkite.com/acme/shop/builds/7"
    assert run.jobs == (
        Job(
            job_id="shop-7-a",
            name="RSpec",
            conclusion="success",
            started_at=datetime(2026, 3, 2, 7, 1, tzinfo=UTC),
            completed_at=datetime(2026, 3, 2, 7, 5, tzinfo=UTC),
            labels=("os=linux", "queue=default"),
            runner_name="my-agent-123",
        ),
    )


def test_reports_and_archives_of_a_build_are_brought_and_nothing_else(
    server: Buildkite, source: BuildkiteSource
) -> None:
    server.fake.add_build(1)
    server.fake.add_artifact(1, "tmp/rspec.XML", REPORT)
    server.fake.add_artifact(1, "all.zip", b"PK")
    server.fake.add_artifact(1, "shot.png", b"png")
    files = source.contents(only(source))
    assert [(file.artifact, file.path, file.kind) for file in files] == [
        ("", "run.json", "run"),
        ("", "job.json", "jobs"),
        ("RSpec", "shop-1-a/all.zip", "zip"),
        ("RSpec", "shop-1-a/tmp/rspec.XML", "file"),
    ]
    assert read(source, files[3]) == REPORT


def test_globs_choose_artifacts_by_their_path(server: Buildkite) -> None:
    server.fake.add_build(1)
    for path in ("junit/a/b.xml", "junit/a.txt", "other.xml"):
        server.fake.add_artifact(1, path, REPORT)
    source = connect(server, artifacts=["junit/*"])
    assert [file.path for file in source.contents(only(source))[2:]] == [
        "shop-1-a/junit/a.txt",
        "shop-1-a/junit/a/b.xml",
    ]


def test_a_retried_job_keeps_its_reports_beside_those_of_its_retry(server: Buildkite, source: BuildkiteSource) -> None:
    first = job("j1", state="failed", retried=True, retried_in_job_id="j2")
    server.fake.add_build(1, jobs=[job("j2", retries_count=1), first])
    server.fake.add_artifact(1, "r.xml", b"failed", job_id="j1")
    server.fake.add_artifact(1, "r.xml", b"passed", job_id="j2")
    found = only(source)
    assert {key: body for key, body in landed(source, found).items() if key[0]} == {
        ("RSpec", "j1/r.xml"): b"failed",
        ("RSpec", "j2/r.xml"): b"passed",
    }
    assert [(each.job_id, each.conclusion) for each in attempt(source, found).jobs] == [
        ("j1", "failure"),
        ("j2", "success"),
    ]


def test_jobs_that_run_no_command_are_no_jobs_and_a_job_without_a_label_has_its_steps_key(
    server: Buildkite, source: BuildkiteSource
) -> None:
    jobs = [job("a", None), job("b", None, step_key=None), job("w", type="waiter"), job("t", type="trigger")]
    server.fake.add_build(1, jobs=jobs)
    assert [(each.job_id, each.name) for each in attempt(source, only(source)).jobs] == [("a", "rspec"), ("b", "")]


@pytest.mark.parametrize(
    ("fields", "event", "number"),
    [
        ({"source": "webhook", "pull_request": None}, "push", None),
        ({"source": "webhook", "pull_request": {}}, "push", None),
        ({"source": "webhook", "pull_request": PULL_REQUEST}, "pull_request", 12),
        ({"source": "ui"}, "workflow_dispatch", None),
        ({"source": "schedule"}, "schedule", None),
        ({"source": "trigger_job"}, "workflow_run", None),
        ({"source": "something new"}, "something new", None),
    ],
)
def test_how_a_build_was_triggered(
    server: Buildkite, source: BuildkiteSource, fields: dict[str, Any], event: str, number: int | None
) -> None:
    server.fake.add_build(1, **fields)
    run = attempt(source, only(source))
    assert (run.event, run.pr_number) == (event, number)
    assert run.head_repository_ref == ("name:fork/shop" if number else "name:acme/shop")


@pytest.mark.parametrize(
    ("state", "finished_at", "conclusion"),
    [
        ("passed", "2026-03-02T08:00:00Z", "success"),
        ("failed", "2026-03-02T08:00:00Z", "failure"),
        ("canceled", "2026-03-02T08:00:00Z", "cancelled"),
        ("not_run", None, "skipped"),
        ("blocked", None, "neutral"),
        ("running", None, None),
        ("failing", None, None),
        ("scheduled", None, None),
        ("brand_new", None, None),
        ("brand_new", "2026-03-02T08:00:00Z", "brand_new"),
    ],
)
def test_which_builds_are_over(
    server: Buildkite, source: BuildkiteSource, state: str, finished_at: str | None, conclusion: str | None
) -> None:
    server.fake.add_build(1, state=state, finished_at=finished_at)
    found = only(source)
    run = attempt(source, found)
    assert (found.is_finished, run.conclusion) == (conclusion is not None, conclusion or "")
    assert run.status == (RunStatus.IN_PROGRESS if conclusion is None else RunStatus.COMPLETED)


@pytest.mark.parametrize(
    ("address", "full_name"),
    [
        ("git@github.com:acme/shop.git", "acme/shop"),
        ("git@github.com:acme/shop", "acme/shop"),
        ("https://user:planted@github.com/acme/shop.git/", "acme/shop"),
        ("ssh://git@gitlab.example:2222/acme/deep/shop.git", "acme/deep/shop"),
        ("git://github.com/acme/shop", "acme/shop"),
        ("/srv/git/shop", ""),
        ("shop", ""),
        ("http://[broken/acme/shop", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_repository_is_what_its_address_says_without_host_and_password(
    address: str, full_name: str
) -> None:
    assert full_name_of(address) == full_name


def test_a_repository_without_a_name_is_called_by_organization_and_pipeline(
    server: Buildkite, source: BuildkiteSource
) -> None:
    server.fake.add_build(1)["pipeline"]["repository"] = "/srv/git/shop"
    assert attempt(source, only(source)).full_name == "acme/shop"


# -- the listing ---------------------------------------------------------------------------------------------


def test_all_pages_of_builds_and_artifacts_are_read(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PER_PAGE", 3)
    for number in range(1, 11):
        server.fake.add_build(number)
    for index in range(7):
        server.fake.add_artifact(10, f"{index}.xml", b"%d" % index)
    folders = list(source.discover())
    assert [found.folder for found in folders] == [f"acme/shop/{number}/1" for number in range(10, 0, -1)]
    assert [file.path for file in source.contents(folders[0])[2:]] == [f"shop-10-a/{index}.xml" for index in range(7)]
    assert source.report.notes == {}


def test_a_listing_that_is_too_deep_for_buildkite_is_read_in_slices(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PER_PAGE", 2)
    monkeypatch.setattr(subject, "PAGES_A_SLICE", 2)
    server.fake.deepest = 2
    for number in range(1, 22):
        server.fake.add_build(number)
    for build in server.fake.builds[3:5]:  # created at once, where one slice ends and the next begins
        build["created_at"] = server.fake.builds[3]["created_at"]
    assert [found.folder for found in source.discover()] == [f"acme/shop/{number}/1" for number in range(21, 0, -1)]
    assert source.report.notes == {}


def test_builds_of_the_window_alone_are_asked_for(server: Buildkite, source: BuildkiteSource) -> None:
    for number in range(1, 6):
        server.fake.add_build(number)
    window = Window(datetime(2026, 3, 2, 7, 2, tzinfo=UTC), datetime(2026, 3, 2, 7, 4, tzinfo=UTC))
    assert [found.folder for found in source.discover(window)] == ["acme/shop/3/1", "acme/shop/2/1"]
    later = Window(since=datetime(2026, 3, 2, 7, 4, 30, tzinfo=UTC))
    assert [found.folder for found in source.discover(later)] == ["acme/shop/5/1"]


def test_pipelines_that_are_named_are_listed_one_by_one_and_once(server: Buildkite) -> None:
    for pipeline in ("shop", "web", "docs"):
        server.fake.add_build(1, pipeline=pipeline)
    source = connect(server, pipelines=["web", "shop", "web"])
    assert [found.folder for found in source.discover()] == ["acme/web/1/1", "acme/shop/1/1"]
    assert [request.path for request in server.api.requests] == [
        "/v2/organizations/acme/pipelines/web/builds",
        "/v2/organizations/acme/pipelines/shop/builds",
    ]


def test_a_listing_costs_one_request_a_page_and_leaves_jobs_out(server: Buildkite, source: BuildkiteSource) -> None:
    for number in range(1, 6):
        server.fake.add_build(number)
    assert len(list(source.discover())) == 5
    assert [request.query["exclude_jobs"] for request in server.api.requests] == ["true"]
    assert source.report.rate_limit is not None
    assert (source.report.rate_limit.limit, source.report.rate_limit.remaining) == (200, 180)


def test_an_unfinished_build_is_taken_up_again_when_it_has_changed(server: Buildkite, source: BuildkiteSource) -> None:
    build = server.fake.add_build(1, state="running", finished_at=None)
    running = only(source)
    assert only(source) == running
    build.update(state="passed", finished_at="2026-03-02T07:30:00.000Z")
    passed = only(source)
    assert passed.folder == running.folder
    assert (running.is_finished, passed.is_finished) == (False, True)
    build.update(finished_at="2026-03-02T07:40:00.000Z")  # a job was retried
    assert len({running.fingerprint, passed.fingerprint, only(source).fingerprint}) == 3


def test_a_discovery_that_stops_midway_and_begins_again_finds_the_same(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PER_PAGE", 2)
    for number in range(1, 8):
        server.fake.add_build(number)
        server.fake.add_artifact(number, "r.xml", b"%d" % number)
    undisturbed = everything(connect(server))
    server.api.faults.append(Fault(r"/builds\?.*page=3", json_answer({"message": "no"}, 403)))
    found: list[FoundFolder] = []
    with pytest.raises(SourceDeniedError):
        found.extend(source.discover())
    assert len(found) == 4
    assert everything(source) == undisturbed
    assert len(undisturbed) == 7


def test_a_listing_is_read_page_by_page(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PER_PAGE", 2)
    for number in range(1, 8):
        server.fake.add_build(number)
    assert next(source.discover()).folder == "acme/shop/7/1"
    assert len(server.api.requests) == 1


def test_threads_may_fetch_builds_at_once(server: Buildkite, source: BuildkiteSource) -> None:
    for number in range(1, 13):
        server.fake.add_build(number)
        server.fake.add_artifact(number, "r.xml", b"%d" % number * 1000)
    folders = list(source.discover())
    with ThreadPoolExecutor(6) as threads:
        fetched = list(threads.map(lambda found: landed(source, found), folders))
    assert dict(zip((found.folder for found in folders), fetched, strict=True)) == everything(source)
    assert server.api.most_connections <= 8


# -- what goes wrong on the way ------------------------------------------------------------------------------


def test_a_limit_that_is_used_up_is_waited_for(server: Buildkite, source: BuildkiteSource, slept: list[float]) -> None:
    server.fake.add_build(1)
    server.api.faults.append(Fault("/builds", json_answer({}, 429, Retry_After="37"), times=2))
    assert only(source).folder == "acme/shop/1/1"
    assert slept == [37.0, 37.0]
    assert (source.report.retries, source.report.waited_seconds) == (2, 74.0)


def test_a_limit_is_waited_for_as_buildkite_documents_it(
    server: Buildkite, source: BuildkiteSource, slept: list[float]
) -> None:
    server.fake.add_build(1)
    limits = {"RateLimit-Remaining": "0", "RateLimit-Limit": "200", "RateLimit-Reset": "42"}
    server.api.faults.append(Fault("/builds", Answer(429, b"{}", limits)))
    assert only(source).folder == "acme/shop/1/1"
    assert 42 <= sum(slept) <= 60


def test_a_limit_that_lasts_too_long_ends_the_work_with_a_word_on_when_to_go_on(
    server: Buildkite, source: BuildkiteSource
) -> None:
    server.api.faults.append(Fault("/builds", json_answer({}, 429, Retry_After="7200")))
    with pytest.raises(SourceBusyError, match="2026-03-09 02:00 UTC"):
        list(source.discover())


def test_a_server_error_is_tried_again_and_a_lasting_one_is_told(
    server: Buildkite, source: BuildkiteSource, slept: list[float]
) -> None:
    server.fake.add_build(1)
    server.api.faults.append(Fault("/builds", json_answer({}, 503), times=3))
    assert only(source).folder == "acme/shop/1/1"
    assert len(slept) == 3
    server.api.faults.append(Fault("/builds", json_answer({}, 500), times=100))
    with pytest.raises(SourceError, match="answers with 500 after every try"):
        list(source.discover())


def test_a_download_that_is_cut_goes_on_where_it_broke(server: Buildkite, source: BuildkiteSource) -> None:
    body = bytes(range(256)) * 4096
    server.fake.add_build(1)
    server.fake.add_artifact(1, "all.zip", body)
    server.store.faults.append(Fault("/store/", cut(300_000)))
    server.store.faults.append(Fault("/store/", cut(600_000)))
    assert landed(source, only(source))["RSpec", "shop-1-a/all.zip"] == body
    starts = [int(request.headers.get("range", "bytes=0-")[6:-1]) for request in server.store.requests]
    assert starts[0] < starts[1] < starts[2]
    # the address of the store lives a minute: it is asked for anew each time
    assert len(server.api.asked("/download")) == 3


def test_the_store_is_not_told_the_token(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1)
    server.fake.add_artifact(1, "r.xml", REPORT)
    assert landed(source, only(source))["RSpec", "shop-1-a/r.xml"] == REPORT
    assert len(server.store.requests) == 1
    assert TOKEN not in json.dumps([asdict(request) for request in server.store.requests])
    assert all("authorization" not in request.headers for request in server.store.requests)
    assert all("authorization" in request.headers for request in server.api.requests)


def test_artifacts_that_are_gone_are_said_to_be_and_unfinished_uploads_are_noted(
    server: Buildkite, source: BuildkiteSource
) -> None:
    server.fake.add_build(1)
    for state in ("deleted", "expired", "new", "error", "finished"):
        server.fake.add_artifact(1, f"{state}.xml", REPORT, state=state)
    files = source.contents(only(source))[2:]
    assert [(file.path, file.kind) for file in files] == [
        ("shop-1-a/deleted.xml", "expired"),
        ("shop-1-a/expired.xml", "expired"),
        ("shop-1-a/finished.xml", "file"),
    ]
    assert [re.findall("`(.*)`", note) for note in sorted(source.report.notes)] == [["error"], ["new"]]
    server.fake.contents.clear()
    with pytest.raises(ArtifactGoneError, match="is not there"):
        read(source, files[2])


def test_a_page_that_comes_again_and_again_ends_the_listing(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1)
    server.fake.add_artifact(1, "r.xml", REPORT)
    right = server.fake.respond

    def circling(request: Request) -> Answer:
        answer = right(request)
        link = f'<{server.api.url}{request.path}?page=2>; rel="next"'
        return Answer(answer.status, answer.body, {**answer.headers, "Link": link})

    server.api.respond = circling
    found = only(source)
    assert len(source.contents(found)) == 3
    assert any("brought nothing new" in note for note in source.report.notes)
    assert len(server.api.requests) == 5  # two pages of builds, the build, two pages of artifacts


def test_a_listing_that_never_ends_is_ended(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MAX_PAGES", 20)
    template = server.fake.add_build(1)

    def endless(request: Request) -> Answer:
        number = len(server.api.requests)
        build = {**template, "id": f"b{number}", "number": number}
        return json_answer([build], Link='<x>; rel="next"')

    server.api.respond = endless
    assert len(list(source.discover())) == 20
    assert any("more than 20 pages" in note for note in source.report.notes)


def test_builds_that_come_twice_are_found_once(
    server: Buildkite, source: BuildkiteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PER_PAGE", 2)
    for number in range(1, 6):
        server.fake.add_build(number)
    right = server.fake.respond

    def growing(request: Request) -> Answer:
        # a new build is pushed between two pages, so that one comes twice
        answer = right(request)
        server.fake.add_build(100 + len(server.api.requests))
        return answer

    server.api.respond = growing
    folders = [found.folder for found in source.discover()]
    assert len(folders) == len(set(folders))
    assert {f"acme/shop/{number}/1" for number in range(1, 6)} <= set(folders)


@pytest.mark.parametrize("answer", [{"message": "hello"}, None, "text", 7, True])
def test_a_listing_that_is_none_is_an_error_with_its_place(
    server: Buildkite, source: BuildkiteSource, answer: object
) -> None:
    server.api.faults.append(Fault("/builds", json_answer(answer)))
    with pytest.raises(SourceError, match=r"/v2/organizations/acme/builds answers with .* where a list of builds"):
        list(source.discover())


def test_an_answer_that_is_no_json_is_an_error_with_its_place(server: Buildkite, source: BuildkiteSource) -> None:
    server.api.faults.append(Fault("/builds", Answer(200, b"<html>log in</html>")))
    with pytest.raises(SourceError, match=r"/builds answers with something that is no JSON"):
        list(source.discover())


def test_entries_that_cannot_be_used_are_left_out_and_noted(server: Buildkite, source: BuildkiteSource) -> None:
    good = server.fake.add_build(1)
    server.fake.add_artifact(1, "good.xml", REPORT)
    server.fake.artifacts["shop", 1] += [{}, {"id": "x", "path": "a.xml"}, {"id": "y", "job_id": "shop-1-a"}]
    odd: list[Any] = [None, 3, {}, {**good, "id": None}, {**good, "id": "n", "number": None}]
    odd += [{**good, "id": "p", "pipeline": None}, {**good, "id": "c", "created_at": "soon"}, good]
    server.api.faults.append(Fault(r"/builds\?", json_answer(odd)))
    found = only(source)
    assert [file.path for file in source.contents(found)] == ["run.json", "job.json", "shop-1-a/good.xml"]
    assert sorted(source.report.notes) == [
        "Buildkite listed a build without a number, a pipeline or a date; it was left out",
        "Buildkite listed a build without an id; it was left out",
        "Buildkite listed an artifact without a job; it was left out",
        "Buildkite listed an artifact without an id; it was left out",
        "Buildkite listed builds that are no objects; they were left out",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
@settings(max_examples=150)
def test_fields_of_any_type_make_a_run_that_can_be_read(data: st.DataObject) -> None:
    build = {"id": "b", "number": 1, "created_at": "2026-03-02T07:00:00Z"}
    fields = ["state", "branch", "commit", "source", "web_url", "pull_request", "pipeline", "started_at", "finished_at"]
    build |= {name: data.draw(json_values, label=name) for name in fields}
    run = run_of(build, "acme")
    assert run is not None
    jobs = json.dumps(
        subject.job_list([{"id": "j", "state": data.draw(json_values), "agent": data.draw(json_values)}], "b")
    )
    parsed = parse_run(json.dumps(run).encode(), jobs.encode(), provider="buildkite")
    assert parsed.key.run_id == "b"
    assert [each.job_id for each in parsed.jobs] == ["j"]


def test_a_build_that_vanishes_before_it_is_fetched_is_an_error(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1)
    found = only(source)
    server.fake.builds.clear()
    with pytest.raises(SourceNotFoundError, match="builds/1 is not there"):
        source.contents(found)


# -- secrets -------------------------------------------------------------------------------------------------


def test_no_secret_is_in_what_is_written_or_said(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1, jobs=[job("a", command="deploy --password planted-command-secret")])
    server.fake.builds[0]["pipeline"]["repository"] = "https://user:planted-password@github.com/acme/shop.git"
    server.fake.add_artifact(1, "r.xml", REPORT, job_id="a")
    found = only(source)
    files = source.contents(found)
    server.store.faults.append(Fault("/store/", json_answer({}, 400)))
    with pytest.raises(SourceError) as caught:
        read(source, files[2])
    said = repr((source, source.title, found, files, source.report, list(source.check()), str(caught.value)))
    assert "/store/" in str(caught.value)
    for secret in (TOKEN, SIGNATURE, "planted"):
        assert secret not in said


@pytest.mark.parametrize("token", ["", " \n", "two words", "a\nb", "ümlaut"])
def test_a_token_that_is_none_is_refused_without_showing_it(server: Buildkite, token: str) -> None:
    section = BuildkiteSection.model_validate(
        {"name": "bk", "kind": "buildkite", "url": server.api.url, "organization": "acme", "token": {"env": "X"}}
    )
    with pytest.raises(ConfigurationError, match="the token of the source bk") as caught:
        build_buildkite(section, lambda _: token)
    assert not token.strip() or token not in str(caught.value)


def test_the_line_end_of_a_token_in_a_file_is_no_part_of_it(server: Buildkite) -> None:
    server.fake.add_build(1)
    section = BuildkiteSection.model_validate(
        {"name": "bk", "kind": "buildkite", "url": server.api.url, "organization": "acme", "token": {"env": "X"}}
    )
    assert only(opened(server, build_buildkite(section, lambda _: TOKEN + "\n"))).folder == "acme/shop/1/1"


# -- checking ------------------------------------------------------------------------------------------------


def test_a_check_says_what_may_be_read(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1)
    assert [(access.what, access.ok) for access in source.check()] == [
        ("the token's scope read_builds", True),
        ("the token's scope read_artifacts", True),
        ("builds at organizations/acme/builds", True),
        ("artifacts of acme/shop/1/1", True),
    ]


def test_a_check_names_the_scope_that_is_missing(server: Buildkite, source: BuildkiteSource) -> None:
    server.fake.add_build(1)
    server.fake.scopes = ("read_builds",)
    failed = [access for access in source.check() if not access.ok]
    assert [access.what for access in failed] == ["the token's scope read_artifacts", "artifacts of acme/shop/1/1"]
    assert all("read_artifacts" in access.what + access.detail for access in failed)
    server.fake.scopes = ()
    assert [access.ok for access in source.check()] == [False, False, False]


def test_a_check_of_an_unknown_token_and_of_an_unknown_pipeline_raises_nothing(server: Buildkite) -> None:
    source = connect(server, pipelines=["nowhere"])
    assert [access.ok for access in source.check()] == [True, True, True]
    server.api.faults.append(Fault("/v2/", json_answer({}, 401), times=2))
    rows = list(source.check())
    assert [access.ok for access in rows] == [False, False]
    assert all("refuses us (401)" in access.detail for access in rows)


@pytest.mark.parametrize("answer", [None, [], {}, {"scopes": None}, {"scopes": {"a": 1}}, [None], [{}], "x"])
def test_a_check_survives_any_answer(server: Buildkite, source: BuildkiteSource, answer: object) -> None:
    server.api.faults.append(Fault("/v2/", json_answer(answer), times=9))
    assert not all(access.ok for access in source.check())
