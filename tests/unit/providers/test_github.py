"""GitHub Actions against a server that speaks GitHub's documented API: what is found, and what goes wrong."""

import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    SourceBusyError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.providers.github import GitHubSource, build_github
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder, Window
from flakeguard_pipeline.source_sections import GitHubSection
from tests.support.github_server import FakeArtifact, FakeAttempt, FakeGitHub, FakeRun, github
from tests.support.provider_server import Answer, Fault, cut, json_answer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
MORNING = datetime(2026, 1, 9, 7, tzinfo=UTC)
WEEK = Window(since=NOW - timedelta(days=7))
TOKEN = "ghp_" + "t" * 36


@pytest.fixture
def server() -> Iterator[FakeGitHub]:
    with github() as running:
        yield running


class Sleeps:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self.now = NOW
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            self.now += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


def source(
    server: FakeGitHub, cache: Path | None = None, sleeps: Sleeps | None = None, token: str = TOKEN, **keys: Any
) -> closing[GitHubSource]:
    identity = {} if "app" in keys or not token else {"token": {"env": "GITHUB_TOKEN"}}
    section = GitHubSection.model_validate(
        {
            "kind": "github",
            "name": "gh",
            "url": server.url,
            "repositories": ["acme/shop"],
            "timeout_seconds": 5,
            **identity,
            **keys,
        }
    )
    return closing(build_github(section, lambda _: token, clock=(sleeps or Sleeps()).clock, cache_dir=cache))


def run(number: int, started: datetime = MORNING, **keys: Any) -> FakeRun:
    return FakeRun(number, [FakeAttempt(started)], **keys)


def many(count: int, begin: datetime, gap: timedelta) -> list[FakeRun]:
    return [run(1000 + number, begin + gap * number) for number in range(count)]


def folders(source: GitHubSource, window: Window = WEEK) -> list[str]:
    return [each.folder for each in source.discover(window)]


def everything(source: GitHubSource, window: Window = WEEK) -> dict[str, tuple[FoundFile, ...]]:
    return {each.folder: source.contents(each) for each in source.discover(window)}


def read(source: GitHubSource, file: FoundFile) -> bytes:
    with source.open(file) as stream:
        return stream.read()


def only(source: GitHubSource, window: Window = WEEK) -> tuple[FoundFolder, tuple[FoundFile, ...]]:
    (found,) = source.discover(window)
    return found, source.contents(found)


def archive(text: str = "<testsuite/>", size: int = 0) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("report.xml", text + "x" * size)
    return stream.getvalue()


# -- what is found -------------------------------------------------------------------------------------------


def test_a_run_with_its_jobs_and_artifacts(server: FakeGitHub) -> None:
    content = archive()
    attempt = FakeAttempt(
        MORNING,
        jobs=("unit", "lint"),
        artifacts=[FakeArtifact(5, "junit-linux", MORNING + timedelta(minutes=4), content)],
    )
    server.add("acme/shop", FakeRun(42, [attempt]))
    with source(server) as gh:
        found, files = only(gh)
        assert (found.folder, found.day, found.is_finished) == ("acme/shop/42/1", "2026-01-09", True)
        assert [(file.kind, file.artifact, file.path) for file in files] == [
            ("run", "", "run.json"),
            ("jobs", "", "job.json"),
            ("zip", "junit-linux", "junit-linux.zip"),
        ]
        assert read(gh, files[2]) == content
        landed = parse_run(read(gh, files[0]), read(gh, files[1]), provider="github")
    assert (landed.key.run_id, landed.key.run_attempt, landed.key.repository_ref) == ("42", 1, "77")
    assert (landed.default_branch, landed.workflow, landed.pr_number) == ("trunk", "CI", 3)
    assert sorted(job.name for job in landed.jobs) == ["lint", "unit"]


def test_run_json_holds_what_github_said_but_nothing_that_changes_without_the_run(server: FakeGitHub) -> None:
    repository = server.add("acme/shop", run(42))
    with source(server) as gh:
        found, _ = only(gh)
        repository.default_branch = "trunk"
        told = json.loads(found.files[0].inline or b"")
    assert told["display_title"] == "Add a test"
    assert told["head_commit"]["message"] == "Add a test"
    assert told["repository"]["default_branch"] == "trunk"
    assert "description" not in told["repository"]
    assert told["actor"] == {"id": 1, "login": "ada", "type": "User"}
    assert told["pull_requests"][0]["base"] == {"ref": "trunk", "repo": {"id": 77, "name": "shop", "url": "u"}}
    assert "temp_clone_token" not in json.dumps(told)


def test_every_attempt_is_a_folder_and_gets_the_artifacts_that_were_made_during_it(server: FakeGitHub) -> None:
    second, third = MORNING + timedelta(days=1), MORNING + timedelta(days=1, hours=1)
    attempts = [
        FakeAttempt(
            MORNING,
            artifacts=[
                FakeArtifact(1, "junit", MORNING - timedelta(seconds=1)),
                FakeArtifact(2, "junit", MORNING + timedelta(minutes=5)),
            ],
        ),
        FakeAttempt(second, artifacts=[FakeArtifact(3, "junit", second)]),
        FakeAttempt(third, conclusion="success", artifacts=[FakeArtifact(4, "junit", third + timedelta(minutes=2))]),
    ]
    server.add("acme/shop", FakeRun(42, attempts))
    with source(server) as gh:
        found = list(gh.discover(WEEK))
        assert [(each.folder, each.day) for each in found] == [
            ("acme/shop/42/3", "2026-01-10"),
            ("acme/shop/42/2", ""),
            ("acme/shop/42/1", ""),
        ]
        assert len(server.api.requests) == len(server.api.asked(r"/repos/acme/shop$|/actions/runs\?"))
        files = {each.folder: gh.contents(each) for each in found}
    ids = {name: re.findall(r"artifacts/(\d+)/zip", str(each)) for name, each in files.items()}
    assert ids == {"acme/shop/42/3": ["4"], "acme/shop/42/2": ["3"], "acme/shop/42/1": ["2", "1"]}
    assert [file.path for file in files["acme/shop/42/1"] if file.kind == "zip"] == ["junit-2.zip", "junit.zip"]
    assert len({each.fingerprint for each in found}) == 3
    for name, listed in files.items():
        assert json.loads(listed[0].inline or b"")["run_attempt"] == int(name[-1])
        assert {job["run_attempt"] for job in json.loads(listed[1].inline or b"")["jobs"]} == {int(name[-1])}


def test_an_attempt_that_begins_after_the_listing_keeps_its_own_artifacts(server: FakeGitHub) -> None:
    listed = FakeRun(42, [FakeAttempt(MORNING, artifacts=[FakeArtifact(1, "a", MORNING + timedelta(minutes=9))])])
    server.add("acme/shop", listed)
    with source(server) as gh:
        (found,) = gh.discover(WEEK)
        later = MORNING + timedelta(hours=2)
        listed.attempts.append(FakeAttempt(later, artifacts=[FakeArtifact(2, "b", later + timedelta(minutes=1))]))
        assert [file.artifact for file in gh.contents(found) if file.kind == "zip"] == ["a"]


def test_an_unfinished_run_is_its_run_json_alone_and_is_told_apart_when_it_ends(server: FakeGitHub) -> None:
    attempt = FakeAttempt(MORNING, status="in_progress", conclusion=None, artifacts=[FakeArtifact(1, "a", MORNING)])
    server.add("acme/shop", FakeRun(42, [attempt]))
    with source(server) as gh:
        found, files = only(gh)
        assert (found.is_finished, [file.kind for file in files]) == (False, ["run"])
        attempt.status, attempt.conclusion, attempt.minutes = "completed", "success", 30
        again, files = only(gh)
        assert (again.folder, again.is_finished) == (found.folder, True)
        assert again.fingerprint != found.fingerprint
        assert [file.kind for file in files] == ["run", "jobs", "zip"]


def test_an_attempt_that_another_followed_is_final_whatever_becomes_of_the_run(server: FakeGitHub) -> None:
    again = run(42)
    again.attempts.append(FakeAttempt(MORNING + timedelta(hours=1), status="queued", conclusion=None))
    server.add("acme/shop", again)
    with source(server) as gh:
        before = {each.folder: each for each in gh.discover(WEEK)}
        again.attempts[1].status = "completed"
        after = {each.folder: each for each in gh.discover(WEEK)}
    assert before["acme/shop/42/1"] == after["acme/shop/42/1"]
    assert before["acme/shop/42/1"].is_finished
    assert before["acme/shop/42/2"].fingerprint != after["acme/shop/42/2"].fingerprint


def test_equal_answers_give_equal_folders_and_bytes(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(5, MORNING, timedelta(minutes=1)))
    with source(server) as one, source(server) as other:
        assert list(one.discover(WEEK)) == list(other.discover(WEEK))
        assert everything(one) == everything(other)


def test_artifacts_by_pattern_and_expired_ones_are_named_and_never_opened(server: FakeGitHub) -> None:
    artifacts = [
        FakeArtifact(1, "junit-linux", MORNING),
        FakeArtifact(2, "junit-mac", MORNING, expired=True),
        FakeArtifact(3, "coverage", MORNING),
    ]
    server.add("acme/shop", FakeRun(42, [FakeAttempt(MORNING, artifacts=artifacts)]))
    with source(server, artifacts=["junit-*"]) as gh:
        _, files = only(gh)
        assert [(file.artifact, file.kind) for file in files[2:]] == [("junit-linux", "zip"), ("junit-mac", "expired")]
        with pytest.raises(ArtifactGoneError, match="junit-mac"):
            gh.open(files[3])
        assert not server.api.asked("/zip")


@pytest.mark.parametrize("glob", ["CI", "ci.yml", ".github/workflows/c*", "ci.y*"])
def test_workflows_by_name_path_or_file_name(server: FakeGitHub, glob: str) -> None:
    server.add(
        "acme/shop",
        run(1, path=".github/workflows/ci.yml@refs/heads/main"),
        run(2, name="Release", path=".github/workflows/release.yml"),
    )
    with source(server, workflows=[glob]) as gh:
        assert folders(gh) == ["acme/shop/1/1"]


def test_several_repositories_one_of_which_is_not_there(server: FakeGitHub) -> None:
    server.add("acme/shop", run(1))
    server.add("acme/bank", run(2), number=78)
    with source(server, repositories=["acme/gone", "acme/shop", "ACME/bank"]) as gh:
        listing = gh.discover(WEEK)
        assert [next(listing).folder, next(listing).folder] == ["acme/shop/1/1", "acme/bank/2/1"]
        with pytest.raises(SourceNotFoundError, match="repos/acme/gone is not there"):
            next(listing)


def test_a_renamed_repository_keeps_its_folders(server: FakeGitHub) -> None:
    server.add("acme/store", FakeRun(1, [FakeAttempt(MORNING, artifacts=[FakeArtifact(9, "a", MORNING, b"PKx")])]))
    server.renamed["acme/shop"] = "acme/store"
    with source(server) as gh:
        found, files = only(gh)
        assert found.folder == "acme/shop/1/1"
        assert json.loads(files[0].inline or b"")["repository"]["full_name"] == "acme/store"
        assert read(gh, files[2]) == b"PKx"


# -- listing -------------------------------------------------------------------------------------------------


def test_all_pages_are_listed_in_the_order_of_time(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(250, MORNING, timedelta(minutes=1)))
    with source(server) as gh:
        assert folders(gh) == [f"acme/shop/{1000 + number}/1" for number in reversed(range(250))]
        pages = [request.query["page"] for request in server.api.asked(r"created=2026-01-09T")]
        assert pages == ["1", "2", "3"]
        assert not gh.report.notes


def test_a_day_with_more_runs_than_github_lists_is_halved_until_it_fits(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(2300, MORNING, timedelta(seconds=20)))
    with source(server) as gh:
        found = folders(gh)
    assert len(found) == len(set(found)) == 2300
    assert {request.query["per_page"] for request in server.api.asked("/actions/runs")} == {"100"}


def test_a_long_window_asks_for_few_spans_and_finds_all(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(1500, datetime(2025, 3, 1, tzinfo=UTC), timedelta(hours=5)))
    with source(server) as gh:
        found = folders(gh, Window())
        assert len(found) == len(set(found)) == 1500
        assert gh.report.requests < 40


def test_a_window_yields_no_day_outside_it(server: FakeGitHub) -> None:
    server.add("acme/shop", *[run(number, datetime(2026, 1, number, 5, tzinfo=UTC)) for number in range(1, 11)])
    window = Window(since=datetime(2026, 1, 3, tzinfo=UTC), until=datetime(2026, 1, 6, tzinfo=UTC))
    with source(server) as gh:
        assert folders(gh, window) == ["acme/shop/5/1", "acme/shop/4/1", "acme/shop/3/1"]


def test_a_listing_that_is_stopped_in_the_middle_and_begun_again_ends_with_the_same(
    server: FakeGitHub, tmp_path: Path
) -> None:
    server.add("acme/shop", *many(350, MORNING, timedelta(minutes=1)))
    with source(server) as gh:
        undisturbed = list(gh.discover(WEEK))
    for stop in (1, 99, 100, 101, 250):
        with source(server, tmp_path) as gh:
            listing = gh.discover(WEEK)
            begun = [next(listing) for _ in range(stop)]
            listing.close()  # type: ignore[attr-defined]
            assert begun == undisturbed[:stop]
        with source(server, tmp_path) as gh:
            assert list(gh.discover(WEEK)) == undisturbed


def test_jobs_and_artifacts_are_paged_to_their_end(server: FakeGitHub) -> None:
    names = [f"junit-{number:03}" for number in range(230)]
    artifacts = [FakeArtifact(1000 + number, name, MORNING) for number, name in enumerate(names)]
    server.add("acme/shop", FakeRun(42, [FakeAttempt(MORNING, jobs=tuple(names[:201]), artifacts=artifacts)]))
    with source(server) as gh:
        _, files = only(gh)
        told = json.loads(files[1].inline or b"")
        assert [file.artifact for file in files[2:]] == names
        assert told["total_count"] == len(told["jobs"]) == 201
        assert {request.query["per_page"] for request in server.api.asked("jobs|artifacts")} == {"100"}
        assert not gh.report.notes


# -- a source that lies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [lambda _: 0, lambda _: 10**9, lambda _: None, lambda _: "many", lambda n: n - 1])
def test_totals_that_do_not_fit_lose_nothing(server: FakeGitHub, total: Callable[[int], Any]) -> None:
    server.add("acme/shop", *many(230, MORNING, timedelta(seconds=97)))
    server.tells_total = total
    with source(server) as gh:
        assert len(set(folders(gh))) == 230


def test_a_total_that_is_too_low_hides_no_run_beyond_the_thousandth(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(1300, MORNING, timedelta(seconds=10)))
    server.tells_total = lambda total: min(total, 999)
    with source(server) as gh:
        found = folders(gh)
        assert len(found) == len(set(found)) == 1300
        assert any("another number of entries" in note for note in gh.report.notes)


def test_a_server_that_ignores_the_span_yields_each_run_once(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(1200, NOW - timedelta(days=5), timedelta(minutes=5)))
    server.knows_search = False
    with source(server) as gh:
        found = folders(gh)
        assert len(found) == len(set(found)) == 1200
        assert any("another time than was asked" in note for note in gh.report.notes)


def test_the_same_page_again_and_again_comes_to_an_end(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(230, MORNING, timedelta(minutes=1)))

    def first_page(request: Any, right: Answer) -> Answer:
        return server.answer(type(request)(request.path, {**request.query, "page": "1"}, request.headers, ""))

    server.api.faults.append(Fault(r"&page=[2-9]&created=2026-01-09T", first_page, times=10**6))
    with source(server) as gh:
        assert len(folders(gh)) == 100
        assert any("goes on with entries that it had before" in note for note in gh.report.notes)
    assert len(server.api.requests) < 30


@pytest.mark.parametrize("entry", [{}, {"id": None}, {"id": "7"}, {"id": True}, None, 5, {"id": 7}, {"id": -7}])
def test_entries_without_an_id_or_a_time_are_left_out_and_noted(server: FakeGitHub, entry: Any) -> None:
    server.add("acme/shop", run(42))

    def odd(_: Any, right: Answer) -> Answer:
        told = json.loads(right.body)
        return json_answer({**told, "workflow_runs": [entry, *told["workflow_runs"], *told["workflow_runs"]]})

    server.api.faults.append(Fault(r"/actions/runs\?", odd, times=10**6))
    with source(server) as gh:
        assert folders(gh) == ["acme/shop/42/1"]
        assert any("was left out" in note for note in gh.report.notes)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"workflow_runs": {}}', b"{}", b"\xff" * 9])
def test_an_answer_of_another_shape_says_where_and_what_to_do(server: FakeGitHub, body: bytes) -> None:
    server.add("acme/shop", run(42))
    server.api.faults.append(Fault(r"/actions/runs\?", Answer(200, body), times=10**6))
    with source(server) as gh, pytest.raises(SourceError, match="repos/acme/shop/actions/runs answers with"):
        folders(gh)


@pytest.mark.parametrize("attempt", [0, -1, "2", True, 1.5, [], 10**9])
def test_a_number_of_attempts_that_cannot_be_meant(server: FakeGitHub, attempt: Any) -> None:
    server.add("acme/shop", run(42))

    def odd(_: Any, right: Answer) -> Answer:
        told = json.loads(right.body)
        return json_answer(
            {**told, "workflow_runs": [{**each, "run_attempt": attempt} for each in told["workflow_runs"]]}
        )

    server.api.faults.append(Fault(r"/actions/runs\?", odd, times=10**6))
    with source(server) as gh:
        assert len(folders(gh)) == (100 if attempt == 10**9 else 0)
        assert gh.report.notes


def test_an_attempt_that_github_has_deleted_has_no_files(server: FakeGitHub) -> None:
    again = run(42)
    again.attempts.append(FakeAttempt(MORNING + timedelta(hours=1)))
    server.add("acme/shop", again)
    server.api.faults.append(Fault(r"/attempts/1$", json_answer({"message": "Not Found"}, 404)))
    with source(server) as gh:
        newest, oldest = gh.discover(WEEK)
        assert gh.contents(oldest) == ()
        assert len(gh.contents(newest)) == 2
        assert any("no longer there" in note for note in gh.report.notes)


def test_an_artifact_whose_name_leads_elsewhere_stays_where_it_is(server: FakeGitHub) -> None:
    names = ["../../etc/passwd", "a\\b", "nul\0", "\ud800"]
    artifacts = [FakeArtifact(number + 1, name, MORNING) for number, name in enumerate(names)]
    server.add("acme/shop", FakeRun(42, [FakeAttempt(MORNING, artifacts=artifacts)]))
    with source(server) as gh:
        _, files = only(gh)
    assert {file.path for file in files[2:]} == {".._.._etc_passwd.zip", "a_b.zip", "nul\ufffd.zip", "?.zip"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = {
    "/repos/acme/shop$": ["id", "full_name", "default_branch", "owner"],
    r"/actions/runs\?": [
        *("id", "run_attempt", "status", "conclusion", "created_at", "run_started_at", "updated_at", "name", "path"),
        *("repository", "head_repository", "actor", "pull_requests", "total_count", "workflow_runs"),
    ],
    "/attempts/1$": ["id", "run_started_at", "updated_at", "repository", "pull_requests"],
    "/jobs": ["id", "run_attempt", "name", "jobs", "total_count"],
    "/artifacts": ["id", "name", "created_at", "expired", "artifacts", "total_count"],
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([(path, field) for path, fields in FIELDS.items() for field in fields]), VALUES)
def test_whatever_a_field_holds_the_source_survives_it_or_says_where_it_is_wrong(
    where: tuple[str, str], value: Any
) -> None:
    path, name = where

    def odd(_: Any, right: Answer) -> Answer:
        told = json.loads(right.body)
        if name in told:
            return json_answer({**told, name: value})
        items = {
            items: [{**entry, name: value} for entry in entries]
            for items, entries in told.items()
            if isinstance(entries, list)
        }
        return json_answer({**told, **items})

    with github() as server:
        artifacts = [FakeArtifact(1, "junit", MORNING)]
        attempts = [FakeAttempt(MORNING, artifacts=artifacts), FakeAttempt(MORNING + timedelta(hours=1))]
        server.add("acme/shop", FakeRun(42, attempts), FakeRun(43, [FakeAttempt(MORNING)]))
        server.api.faults.append(Fault(path, odd, times=10**6))
        with source(server) as gh:
            try:
                found = everything(gh)
            except SourceError as error:
                assert server.api.url in str(error)  # noqa: PT017 - either is right
                return
            assert len(found) <= 201
            for files in found.values():
                assert all(isinstance(json.loads(file.inline), dict) for file in files if file.inline is not None)


# -- patience ------------------------------------------------------------------------------------------------


def test_retry_after_is_honoured(server: FakeGitHub) -> None:
    server.add("acme/shop", run(42))
    server.api.faults.append(Fault(r"/actions/runs\?", json_answer({}, 429, retry_after="17")))
    sleeps = Sleeps()
    with source(server, sleeps=sleeps) as gh:
        assert folders(gh) == ["acme/shop/42/1"]
        assert (sleeps.waits, gh.report.retries) == ([17.0], 1)


def test_a_used_up_limit_is_waited_for(server: FakeGitHub) -> None:
    server.add("acme/shop", run(42))
    reset = int(NOW.timestamp()) + 300
    spent = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
    server.api.faults.append(Fault(r"/actions/runs\?", Answer(403, b'{"message": "API rate limit exceeded"}', spent)))
    sleeps = Sleeps()
    with source(server, sleeps=sleeps) as gh:
        assert folders(gh) == ["acme/shop/42/1"]
        assert sleeps.waits == [301.0]


def test_a_limit_that_is_used_up_for_long_ends_the_work_and_says_until_when(server: FakeGitHub) -> None:
    server.add("acme/shop", run(42))
    reset = int(NOW.timestamp()) + 3000
    spent = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
    server.api.faults.append(Fault(r"/actions/runs\?", Answer(403, b"{}", spent), times=9))
    with source(server) as gh, pytest.raises(SourceBusyError, match="until 2026-01-10 12:50 UTC"):
        folders(gh)


def test_a_secondary_limit_without_a_header_is_waited_for_a_minute_and_longer(server: FakeGitHub) -> None:
    server.add("acme/shop", run(42))
    told = json_answer({"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}, 403)
    server.api.faults.append(Fault(r"/actions/runs\?", told, times=2))
    sleeps = Sleeps()
    with source(server, sleeps=sleeps) as gh:
        assert folders(gh) == ["acme/shop/42/1"]
        assert sleeps.waits == [60.0, 120.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_a_server_cannot_do_now_it_is_asked_again(server: FakeGitHub, status: int) -> None:
    server.add("acme/shop", run(42))
    server.api.faults.append(Fault(".", json_answer({}, status), times=3))
    with source(server) as gh:
        assert folders(gh) == ["acme/shop/42/1"]
        assert gh.report.retries == 3


def test_a_listing_that_breaks_off_is_asked_for_again(server: FakeGitHub) -> None:
    server.add("acme/shop", *many(150, MORNING, timedelta(minutes=1)))
    server.api.faults.append(Fault(r"&page=2&created=2026-01-09T", cut(1000), times=3))
    with source(server) as gh:
        assert len(folders(gh)) == 150
        assert gh.report.retries == 3


def test_a_server_that_is_down_is_an_error_that_says_so(server: FakeGitHub) -> None:
    server.api.faults.append(Fault(".", json_answer({}, 503), times=10**6))
    with source(server) as gh, pytest.raises(SourceError, match="answers with 503 after every try"):
        folders(gh)
    with source(server, url="http://127.0.0.1:9/api/v3") as gh, pytest.raises(SourceError, match="cannot be reached"):
        folders(gh)


# -- downloads -----------------------------------------------------------------------------------------------


def artifact_of(server: FakeGitHub, content: bytes) -> FakeArtifact:
    artifact = FakeArtifact(5, "junit", MORNING, content)
    server.add("acme/shop", FakeRun(42, [FakeAttempt(MORNING, artifacts=[artifact])]))
    return artifact


def test_the_store_never_hears_who_asks(server: FakeGitHub) -> None:
    artifact = artifact_of(server, archive(size=5000))
    with source(server) as gh:
        _, files = only(gh)
        assert read(gh, files[2]) == artifact.content
    (asked,) = server.api.asked("/zip$")
    assert asked.headers["authorization"] == f"token {TOKEN}"
    (fetched,) = server.store.requests
    assert TOKEN not in str(fetched)
    assert not {"authorization", "cookie", "x-github-api-version"} & set(fetched.headers)


@pytest.mark.parametrize("cuts", [[1], [100_000, 20, 5], [0, 0]])
def test_a_zip_that_breaks_off_in_the_middle_is_whole_in_the_end(server: FakeGitHub, cuts: list[int]) -> None:
    artifact = artifact_of(server, archive(size=400_000))
    server.store.faults.extend(Fault(".", cut(after)) for after in cuts)
    with source(server) as gh:
        _, files = only(gh)
        assert read(gh, files[2]) == artifact.content
    assert len(server.store.requests) == len(cuts) + 1
    # each has a signature of its own: the first may have run out
    assert len({request.query["sig"] for request in server.store.requests}) == len(cuts) + 1


def test_an_address_that_has_run_out_is_replaced_by_a_fresh_one(server: FakeGitHub) -> None:
    artifact = artifact_of(server, archive(size=400_000))
    server.store.faults.append(Fault(".", cut(100_000)))
    server.store.faults.append(Fault(".", Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")))
    with source(server) as gh:
        _, files = only(gh)
        assert read(gh, files[2]) == artifact.content


@pytest.mark.parametrize("status", [404, 410])
def test_an_artifact_that_expires_after_the_listing_is_gone(server: FakeGitHub, status: int) -> None:
    artifact_of(server, archive())
    server.api.faults.append(Fault("/zip", json_answer({"message": "gone"}, status)))
    with source(server) as gh:
        _, files = only(gh)
        with pytest.raises(ArtifactGoneError, match="artifacts/5/zip"):
            read(gh, files[2])


def test_many_threads_fetch_at_once_over_a_bounded_number_of_connections(server: FakeGitHub) -> None:
    artifacts = [FakeArtifact(number, f"a{number}", MORNING, archive(str(number))) for number in range(1, 41)]
    server.add("acme/shop", FakeRun(42, [FakeAttempt(MORNING, artifacts=artifacts)]), *many(40, MORNING, timedelta(1)))
    with source(server, downloads=4) as gh, ThreadPoolExecutor(16) as threads:
        found = list(gh.discover(WEEK))
        files = next(gh.contents(each) for each in found if each.folder == "acme/shop/42/1")
        listed = list(threads.map(gh.contents, found))
        contents = list(threads.map(lambda file: read(gh, file), files[2:]))
    assert sorted(contents) == sorted(each.content for each in artifacts)
    assert len(listed) == len(found)
    assert server.api.most_connections + server.store.most_connections <= 2 * 5
