"""Who asks GitHub and what it costs: identities, permissions, secrets, answers that still hold."""

import json
import logging
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import ConfigurationError, SourceDeniedError, SourceError
from flakeguard_pipeline.providers.github import GitHubSource, build_github
from flakeguard_pipeline.providers.github_cache import AnswerCache, CachedAnswer
from flakeguard_pipeline.providers.github_runs import DAY, MAX_DAYS_APART, middle, spans
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import Access, FoundFile, Window
from flakeguard_pipeline.source_sections import GitHubSection
from tests.support.github_server import SIGNATURE, FakeArtifact, FakeAttempt, FakeGitHub, FakeRun, github
from tests.support.provider_server import Answer, Fault, json_answer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
MORNING = datetime(2026, 1, 9, 7, tzinfo=UTC)
WEEK = Window(since=NOW - timedelta(days=7))
CLOCK = Clock(now=lambda: NOW, sleep=lambda _: None)
TOKEN = "ghp_" + "t" * 36
APP = {"app_id": "Iv1.abc", "installation_id": 42, "private_key": {"env": "APP_KEY"}}

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()


@pytest.fixture
def server() -> Iterator[FakeGitHub]:
    with github() as running:
        yield with_runs(running)


def with_runs(server: FakeGitHub) -> FakeGitHub:
    """Give a server two runs, one of them with two attempts, and an artifact each."""
    one = FakeAttempt(MORNING, artifacts=[FakeArtifact(1, "junit", MORNING, b"PK one")])
    two = FakeAttempt(
        MORNING + timedelta(hours=1), artifacts=[FakeArtifact(2, "junit", MORNING + timedelta(hours=1), b"PK two")]
    )
    three = FakeAttempt(MORNING, artifacts=[FakeArtifact(3, "junit", MORNING, b"PK three")])
    server.add("acme/shop", FakeRun(42, [one, two]), FakeRun(43, [three]))
    return server


def source(
    server: FakeGitHub, cache: Path | None = None, secret: str = TOKEN, url: str = "", **keys: Any
) -> closing[GitHubSource]:
    identity = {"token": {"env": "GITHUB_TOKEN"}} if secret and "app" not in keys else {}
    section = GitHubSection.model_validate(
        {
            "kind": "github",
            "name": "gh",
            "url": url or server.url,
            "repositories": ["acme/shop"],
            "timeout_seconds": 5,
            **identity,
            **keys,
        }
    )
    return closing(build_github(section, lambda _: secret, clock=CLOCK, cache_dir=cache))


def everything(gh: GitHubSource) -> dict[str, list[tuple[FoundFile, bytes]]]:
    """Return every file of the window with its bytes, by folder."""
    return {
        found.folder: [(file, read(gh, file)) for file in gh.contents(found) if file.kind != "expired"]
        for found in gh.discover(WEEK)
    }


def read(gh: GitHubSource, file: FoundFile) -> bytes:
    with gh.open(file) as stream:
        return stream.read()


def with_app(server: FakeGitHub) -> FakeGitHub:
    server.token = None
    server.app_id, server.app_public_key, server.installation_id = "Iv1.abc", KEY.public_key(), 42
    return server


# -- identities ----------------------------------------------------------------------------------------------


def test_an_installation_of_an_app_gets_one_token_with_no_more_rights_than_are_needed(server: FakeGitHub) -> None:
    with_app(server)
    with source(server, secret=PEM, app=APP) as gh:
        assert sorted(everything(gh)) == ["acme/shop/42/1", "acme/shop/42/2", "acme/shop/43/1"]
    assert server.requested_permissions == [{"actions": "read", "metadata": "read"}]
    asked = [request for request in server.api.requests if "/repos/" in request.path]
    assert {request.headers["authorization"] for request in asked} == {f"token {server.installation_tokens[0]}"}
    assert not any("authorization" in request.headers for request in server.store.requests)


def test_a_download_may_be_the_first_that_needs_an_installations_token(server: FakeGitHub) -> None:
    with_app(server)
    with source(server, secret=PEM, app=APP) as gh:
        file = FoundFile("junit", "junit.zip", "zip", "repos/acme/shop/actions/artifacts/3/zip")
        assert read(gh, file) == b"PK three"
    assert len(server.installation_tokens) == 1


def test_the_token_of_an_installation_is_asked_for_again_when_the_server_fails(server: FakeGitHub) -> None:
    with_app(server)
    server.api.faults.append(Fault("access_tokens", json_answer({}, 502), times=2))
    with source(server, secret=PEM.replace("\n", "\\n"), app=APP) as gh:
        assert len(list(gh.discover(WEEK))) == 3
        assert gh.report.retries == 2


@pytest.mark.parametrize(("installation", "app_id"), [(43, "Iv1.abc"), (42, "Iv1.other")])
def test_an_app_that_is_refused_says_what_to_look_at(server: FakeGitHub, installation: int, app_id: str) -> None:
    with_app(server)
    app = {**APP, "installation_id": installation, "app_id": app_id}
    with source(server, secret=PEM, app=app) as gh, pytest.raises(SourceDeniedError, match="check `app_id`") as caught:
        list(gh.discover(WEEK))
    assert "PRIVATE KEY" not in str(caught.value)


def test_two_servers_never_share_an_installations_token(server: FakeGitHub) -> None:
    with_app(server)
    with github() as other:
        with_app(with_runs(other))
        other.installation_tokens.append("of-another-server")
        with source(server, secret=PEM, app=APP) as one, source(other, secret=PEM, app=APP) as two:
            assert everything(one).keys() == everything(two).keys()
        assert len(other.installation_tokens) == 2


@pytest.mark.parametrize("key", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"])
def test_a_key_that_is_none_is_refused_at_once_and_not_shown(server: FakeGitHub, key: str) -> None:
    with pytest.raises(ConfigurationError, match="private key of the source gh is none") as caught:
        source(server, secret=key or " ", app=APP)
    assert not key or key not in str(caught.value)


def test_a_public_key_in_the_place_of_the_private_one_is_refused(server: FakeGitHub) -> None:
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigurationError, match="private key of the source gh is none"):
        source(server, secret=public.decode(), app=APP)


@pytest.mark.parametrize("repository", ["shop", "acme/shop/x", "acme/../x", "acme/..", "acme/shop?x", " acme/shop", ""])
def test_a_repository_is_an_owner_and_a_name(server: FakeGitHub, repository: str) -> None:
    with pytest.raises(ConfigurationError, match="write it as owner/name"):
        source(server, repositories=[repository])


def test_a_public_repository_may_be_listed_without_a_token() -> None:
    with github(token=None) as server:
        with_runs(server).repositories["acme/shop"].private = False
        with source(server, secret="") as gh:
            assert len([gh.contents(found) for found in gh.discover(WEEK)]) == 3
            downloads = [access for access in gh.check() if access.what.endswith("downloads")]
            assert [access.ok for access in downloads] == [False]
            assert "needs a token even where listing needs none" in downloads[0].detail
        assert not any("authorization" in request.headers for request in server.api.requests)


def test_an_enterprise_server_is_asked_below_its_prefix() -> None:
    with github(prefix="/api/v3") as server:
        with_runs(server)
        with_app(server)
        for url in (server.url, server.url + "/"):
            with source(server, secret=PEM, app=APP, url=url) as gh:
                assert [content for _, content in everything(gh)["acme/shop/43/1"]][2] == b"PK three"
        assert all(request.path.startswith("/api/v3/") for request in server.api.requests)


def test_every_request_says_which_api_and_who_we_are(server: FakeGitHub) -> None:
    with source(server) as gh:
        everything(gh)
        list(gh.check())
    for request in server.api.requests:
        assert request.headers["user-agent"] == "flakeguard"
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"] == "2022-11-28"


def test_a_redirect_to_another_server_takes_no_listing_and_no_token_along(server: FakeGitHub) -> None:
    server.api.faults.append(
        Fault(r"/actions/runs\?", Answer(302, b"", {"location": f"{server.store.url}/elsewhere"}), times=9)
    )
    with source(server) as gh, pytest.raises(SourceError, match="answers with 302"):
        list(gh.discover(WEEK))
    assert not server.store.requests


# -- answers that still hold ---------------------------------------------------------------------------------


def test_an_unchanged_repository_costs_nothing_of_the_rate_limit(server: FakeGitHub, tmp_path: Path) -> None:
    with source(server, tmp_path) as gh:
        first = everything(gh)
        # the artifacts of a run are asked for once for each of its attempts
        assert gh.report.not_modified == 1
    left, asked = server.remaining, len(server.api.requests)
    with source(server, tmp_path) as gh:
        assert everything(gh) == first
        # downloads are no answers that may still hold
        assert gh.report.not_modified == len(server.api.requests) - asked - 3
    assert server.remaining == left


def test_what_changed_is_told_anew(server: FakeGitHub, tmp_path: Path) -> None:
    with source(server, tmp_path) as gh:
        before = {found.folder: found.fingerprint for found in gh.discover(WEEK)}
    server.repositories["acme/shop"].runs[1].attempts[0].minutes += 5
    with source(server, tmp_path) as gh:
        after = {found.folder: found.fingerprint for found in gh.discover(WEEK)}
        assert gh.report.not_modified > 0
    assert {name for name in after if after[name] != before[name]} == {"acme/shop/43/1"}


def test_the_answers_to_one_identity_are_not_offered_for_another(server: FakeGitHub, tmp_path: Path) -> None:
    with source(server, tmp_path) as gh:
        everything(gh)
    server.token = "ghp_" + "o" * 36
    asked = len(server.api.requests)
    with source(server, tmp_path, secret=server.token) as gh:
        assert len(list(gh.discover(WEEK))) == 3
    assert not any("if-none-match" in request.headers for request in server.api.requests[asked:])


def test_a_cache_that_is_damaged_deleted_or_cannot_be_written_costs_requests_and_nothing_else(
    server: FakeGitHub, tmp_path: Path
) -> None:
    with source(server, tmp_path / "cache") as gh:
        first = everything(gh)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    with source(server, tmp_path / "cache") as gh:
        assert everything(gh) == first
        assert gh.report.not_modified == 1
    (tmp_path / "file").write_text("no folder")
    with source(server, tmp_path / "file" / "below") as gh:
        assert everything(gh) == first


def test_a_304_to_a_question_that_was_not_asked_is_an_error(server: FakeGitHub) -> None:
    server.api.faults.append(Fault(r"/actions/runs\?", Answer(304, b"")))
    with source(server) as gh, pytest.raises(SourceError, match="answers with 304"):
        list(gh.discover(WEEK))


def test_a_page_that_still_holds_leads_to_the_next(server: FakeGitHub, tmp_path: Path) -> None:
    more = [FakeRun(100 + number, [FakeAttempt(MORNING + timedelta(seconds=number))]) for number in range(240)]
    server.repositories["acme/shop"].runs.extend(more)
    with source(server, tmp_path) as gh:
        first = list(gh.discover(WEEK))
    with source(server, tmp_path) as gh:
        assert list(gh.discover(WEEK)) == first
        assert gh.report.requests == gh.report.not_modified
    assert len(first) == 243


def test_the_cache_keeps_to_its_bounds_and_drops_what_was_not_used(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, "me", max_answers=40)
    for number in range(100):
        cache.put(f"url {number}", CachedAnswer(f'"{number}"', "", b"body"))
        if number:
            assert cache.get(f"url {number}") == CachedAnswer(f'"{number}"', "", b"body")
        assert len(list(tmp_path.iterdir())) <= 40
    assert cache.get("url 0") is None
    small = AnswerCache(tmp_path, "me", max_bytes=2000)
    for number in range(50):
        small.put(f"big {number}", CachedAnswer("e", "", bytes((number * each) % 251 for each in range(300))))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2000
    small.put("too big", CachedAnswer("e", "", bytes((each * each) % 251 for each in range(90_000))))
    assert len(small.get("big 49").body) == 300  # type: ignore[union-attr]


def test_threads_and_processes_may_share_a_cache(tmp_path: Path) -> None:
    caches = [AnswerCache(tmp_path, "me", max_answers=30) for _ in range(3)]
    wrong: list[str] = []

    def work(cache: AnswerCache, salt: int) -> None:
        for number in range(150):
            url = f"url {(number * 7 + salt) % 50}"
            cache.put(url, CachedAnswer(url, url, url.encode() * 500))
            told = cache.get(url)
            if told is not None and told != CachedAnswer(url, url, url.encode() * 500):
                wrong.append(url)

    threads = [threading.Thread(target=work, args=(cache, salt)) for salt, cache in enumerate(caches * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not list(tmp_path.glob("*.half"))


# -- secrets -------------------------------------------------------------------------------------------------


def test_no_secret_leaves_the_source(server: FakeGitHub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    with source(server, tmp_path) as gh:
        for found in gh.discover(WEEK):
            seen.append(repr(found))
            for file in gh.contents(found):
                seen += [repr(file), file.location, repr(read(gh, file))]
        seen += [repr(access) for access in gh.check()]
        seen += [repr(gh.report), repr(gh), repr(vars(gh)), gh.title]
        for status in (400, 401, 403, 404, 409, 422, 500):
            body = json.dumps({"message": f"Bad credentials: {TOKEN} {SIGNATURE}"}).encode()
            server.api.faults.append(Fault(r"/actions/runs\?", Answer(status, body), times=10))
            with pytest.raises(SourceError) as caught:
                list(gh.discover(WEEK))
            seen += [str(caught.value), repr(caught.value.__cause__)]
            server.api.faults.clear()
        server.store.faults.append(Fault(".", Answer(403, TOKEN.encode()), times=99))
        with pytest.raises(SourceError) as caught:
            read(gh, FoundFile("junit", "junit.zip", "zip", "repos/acme/shop/actions/artifacts/3/zip"))
        seen += [str(caught.value)]
    everywhere = "\n".join([*seen, *(file.name for file in tmp_path.iterdir())])
    assert TOKEN not in everywhere + caplog.text
    assert SIGNATURE not in everywhere
    kept = [zlib.decompress(file.read_bytes()) for file in tmp_path.iterdir()]
    assert kept
    assert not any(TOKEN.encode() in each for each in kept)


# -- what `flakeguard sources check` says --------------------------------------------------------------------


def told(gh: GitHubSource) -> dict[str, Access]:
    return {access.what: access for access in gh.check()}


def test_check_says_of_each_thing_that_it_may_be_read(server: FakeGitHub) -> None:
    with source(server) as gh:
        accesses = told(gh)
    assert {what: access.ok for what, access in accesses.items()} == {
        "identity": True,
        "acme/shop: runs": True,
        "acme/shop: jobs": True,
        "acme/shop: artifacts": True,
        "acme/shop: downloads": True,
    }
    assert "the classic token; 5000 of 5000 requests an hour are left" in accesses["identity"].detail
    assert "scopes: repo" in accesses["identity"].detail
    assert not server.store.requests


@pytest.mark.parametrize("thing", ["runs", "jobs", "artifacts"])
def test_check_says_which_permission_is_missing(server: FakeGitHub, thing: str) -> None:
    server.denied.add(thing)
    with source(server) as gh:
        access = told(gh)[f"acme/shop: {thing}"]
    assert not access.ok
    assert "`actions: read`" in access.detail
    assert "the scope `repo` for a private repository and for fetching" in access.detail


@pytest.mark.parametrize("status", [401, 403, 404, 500, 418])
def test_check_raises_nothing_whatever_the_server_says(server: FakeGitHub, status: int) -> None:
    server.api.faults.append(Fault(".", Answer(status, b"<html>"), times=10**6))
    with source(server) as gh:
        accesses = told(gh)
    assert not any(accesses[f"acme/shop: {thing}"].ok for thing in ("runs", "artifacts"))


def test_check_of_a_server_without_rate_limits_and_of_a_repository_without_runs(server: FakeGitHub) -> None:
    server.api.faults.append(Fault("/rate_limit", json_answer({"message": "Rate limiting is not enabled."}, 404)))
    server.repositories["acme/shop"].runs.clear()
    with source(server) as gh:
        accesses = told(gh)
    assert all(access.ok for access in accesses.values())
    assert "has no rate limit" in accesses["identity"].detail
    assert "no run to try it with" in accesses["acme/shop: jobs"].detail


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"resources": 5}', b'{"resources": {"core": {"reset": 1e99}}}'])
def test_check_survives_a_limit_that_is_none(server: FakeGitHub, answer: bytes) -> None:
    server.api.faults.append(Fault("/rate_limit", Answer(200, answer)))
    with source(server) as gh:
        assert told(gh)["acme/shop: runs"].ok


# -- spans ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(1, DAY), st.booleans())
def test_halving_makes_two_smaller_spans_down_to_one_second(begin: int, length: int, days: bool) -> None:
    unit = DAY if days else 1
    first, last = begin * unit, (begin + length) * unit
    half = middle(first, last)
    assert half is None if last - first == 1 else half is not None and first < half < last
    if half is not None and last - first > DAY:
        assert half % DAY == 0 or (half - first) <= DAY


@given(
    st.datetimes(
        datetime(2019, 1, 1, tzinfo=UTC).replace(tzinfo=None), NOW.replace(tzinfo=None), timezones=st.just(UTC)
    ),
    st.integers(0, 10**7),
)
def test_spans_are_days_that_cover_the_window_and_touch_each_other(since: datetime, seconds: int) -> None:
    until = min(since + timedelta(seconds=seconds), NOW)
    found = list(spans(Window(since, until), NOW))
    if not found:
        assert until == since
        return
    assert all(begin % DAY == end % DAY == 0 for begin, end in found)
    assert [later[0] for later in found[:-1]] == [earlier[1] for earlier in found[1:]]
    assert found[-1][0] <= since.timestamp() <= until.timestamp() <= found[0][1]
    assert found[0][1] - until.timestamp() < DAY
    assert len(found) <= MAX_DAYS_APART


def test_asking_for_help_does_not_wait_for_githubs_client() -> None:
    code = "import sys, flakeguard_pipeline.providers.github; assert 'githubkit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_key_is_checked_as_jwt_reads_it() -> None:
    claims = jwt.decode(jwt.encode({"iss": "a"}, PEM, algorithm="RS256"), KEY.public_key(), algorithms=["RS256"])
    assert claims == {"iss": "a"}
