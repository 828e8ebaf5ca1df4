"""Asking over HTTP: what is tried again and how long is waited, what is downloaded, and where secrets go."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
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
from flakeguard_pipeline.providers import http as subject
from flakeguard_pipeline.providers.http import MAX_REDIRECTS, MAX_REFUSALS, HttpSession
from flakeguard_pipeline.providers.patience import MAX_TRIES
from flakeguard_pipeline.providers.source import SourceReport
from tests.support.http_source import Patience
from tests.support.provider_server import Answer, Fault, ProviderServer, Request, cut, json_answer, serving

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
SECRETS = {"authorization": "Bearer s3cr3t-token", "private-token": "glpat-s3cr3t", "circle-token": "circle-s3cr3t"}
FILE = bytes(range(256)) * 8
LARGE = bytes(range(256)) * 4096
UNREACHABLE = "http://127.0.0.1:9"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def patience() -> Patience:
    return Patience(NOW)


@contextmanager
def connected(url: str, patience: Patience | None = None, **keys: Any) -> Iterator[HttpSession]:
    session = HttpSession(url, SourceReport(), clock=(patience or Patience(NOW)).clock(), **keys)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def talking(
    respond: Callable[[Request], Answer], patience: Patience | None = None, *faults: Fault, **keys: Any
) -> Iterator[tuple[ProviderServer, HttpSession]]:
    """Yield a server, and a session that asks it."""
    with serving(respond) as server:
        server.faults.extend(faults)
        with connected(server.url, patience, **keys) as session:
            yield server, session


def fine(_: Request) -> Answer:
    return json_answer({"runs": [1, 2]})


def redirect(to: str, status: int = 302, body: bytes = b"") -> Answer:
    return Answer(status, body, {"location": to})


def held(content: bytes, etag: str = '"one"', **keys: Any) -> Callable[[Request], Answer]:
    """Return what answers with a file; without an ETag where `etag` is ''."""
    return lambda _: Answer(200, content, {"etag": etag} if etag else {}, **keys)


def fetched(session: HttpSession, path: str = "file.zip") -> bytes:
    with session.download(path) as file:
        return file.read()


# -- waiting -------------------------------------------------------------------------------------------------

IN_42_SECONDS = NOW + timedelta(seconds=42)


@pytest.mark.parametrize("status", [429, 403, 503])
@pytest.mark.parametrize("value", ["42", " 42 ", format_datetime(IN_42_SECONDS, usegmt=True)])
def test_a_wait_that_is_asked_for_is_waited(patience: Patience, status: int, value: str) -> None:
    fault = Fault("/runs", Answer(status, b"{}", {"retry-after": value}))
    with talking(fine, patience, fault) as (server, session):
        assert session.get_json("runs") == {"runs": [1, 2]}
    assert patience.waited == [42.0]
    assert (len(server.requests), session.report.requests) == (2, 2)
    assert (session.report.retries, session.report.waited_seconds) == (1, 42.0)


LIMITS = [
    {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(IN_42_SECONDS.timestamp()))},
    {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "42"},
    {"RateLimit-Limit": "60", "RateLimit-Remaining": "0", "RateLimit-Reset": str(int(IN_42_SECONDS.timestamp()))},
    {"RateLimit-Limit": "60", "RateLimit-Remaining": "0", "RateLimit-Reset": "42"},
]


@pytest.mark.parametrize("status", [429, 403])
@pytest.mark.parametrize("headers", LIMITS)
def test_a_limit_that_is_used_up_is_waited_for(patience: Patience, status: int, headers: dict[str, str]) -> None:
    with talking(fine, patience, Fault("/runs", Answer(status, b"{}", headers))) as (_, session):
        assert session.get_json("runs") == {"runs": [1, 2]}
        limit = session.report.rate_limit
    assert len(patience.waited) == 1
    assert 42 <= patience.waited[0] <= 44
    assert limit is not None
    assert (limit.limit, limit.remaining, limit.resets_at) == (60, 0, IN_42_SECONDS)


def test_a_wait_that_is_asked_for_goes_before_the_end_of_a_limit(patience: Patience) -> None:
    fault = Fault("/runs", Answer(429, b"{}", {**LIMITS[3], "retry-after": "7"}))
    with talking(fine, patience, fault) as (_, session):
        session.get_json("runs")
    assert patience.waited == [7.0]


def test_a_refusal_while_the_limit_is_not_used_up_is_no_reason_to_wait(patience: Patience) -> None:
    fault = Fault("/runs", Answer(403, b"{}", {**LIMITS[0], "X-RateLimit-Remaining": "3"}))
    with (
        talking(fine, patience, fault) as (server, session),
        pytest.raises(SourceDeniedError, match=r"/runs refuses us \(403\); check the source's token") as caught,
    ):
        session.get_json("runs")
    assert (caught.value.status, caught.value.is_elsewhere) == (403, False)
    assert (patience.waited, len(server.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("headers", "until"),
    [
        ({"retry-after": "7200"}, "2026-03-09 14:00 UTC"),
        ({"retry-after": format_datetime(NOW + timedelta(hours=2), usegmt=True)}, "2026-03-09 14:00 UTC"),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "7200"}, "2026-03-09 14:00 UTC"),
        ({"retry-after": "9" * 14}, "the end of all calendars"),
        ({"retry-after": "9" * 400}, "the end of all calendars"),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "253402300799"}, "until"),
    ],
)
def test_a_wait_that_is_too_long_ends_the_work_and_says_when_to_go_on(
    patience: Patience, headers: dict[str, str], until: str
) -> None:
    with (
        talking(fine, patience, Fault("/runs", Answer(429, b"{}", headers))) as (server, session),
        pytest.raises(SourceBusyError, match=until),
    ):
        session.get_json("runs")
    assert (patience.waited, len(server.requests), session.report.retries) == ([], 1, 0)


@pytest.mark.parametrize(
    "value", ["", "0", "soon", "-5", "4.5", "٣", "Mon, 09 Mar 2026 11:59:00 GMT", "Mon, 99 Foo 2026 25:61:61 GMT"]
)
def test_a_wait_that_nobody_understands_or_that_is_over_is_an_ordinary_one(patience: Patience, value: str) -> None:
    headers = {"retry-after": value.encode().decode("latin-1")}
    with talking(fine, patience, Fault("/runs", Answer(429, b"{}", headers), times=2)) as (_, session):
        assert session.get_json("runs") == {"runs": [1, 2]}
    assert len(patience.waited) == 2
    assert all(0 < waited <= 2 for waited in patience.waited)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_asked_for_again(patience: Patience, status: int) -> None:
    with talking(fine, patience, Fault("/runs", Answer(status), times=MAX_TRIES - 1)) as (server, session):
        assert session.get_json("runs") == {"runs": [1, 2]}
    assert len(server.requests) == MAX_TRIES
    assert session.report.retries == len(patience.waited) == MAX_TRIES - 1
    assert session.report.waited_seconds == pytest.approx(sum(patience.waited))
    assert sum(patience.waited) <= 31
    assert not any(waited > 2**tries for tries, waited in enumerate(patience.waited))


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (500, SourceError, "answers with 500 after every try"),
        (503, SourceError, "answers with 503 after every try"),
        (429, SourceBusyError, "asks us to slow down"),
    ],
)
def test_an_error_that_lasts_is_told_after_every_try(
    patience: Patience, status: int, kind: type[SourceError], told: str
) -> None:
    with (
        talking(fine, patience, Fault("/runs", Answer(status), times=1000)) as (server, session),
        pytest.raises(kind, match=told),
    ):
        session.get_json("runs")
    assert len(server.requests) == MAX_TRIES


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, SourceError), (401, SourceDeniedError), (403, SourceDeniedError), (404, SourceNotFoundError)],
)
def test_an_answer_that_stays_is_asked_for_once(patience: Patience, status: int, kind: type[SourceError]) -> None:
    with talking(lambda _: Answer(status), patience) as (server, session), pytest.raises(kind, match=str(status)):
        session.get_json("runs")
    assert (len(server.requests), patience.waited) == (1, [])


def test_a_server_that_is_not_there_is_tried_and_told(patience: Patience) -> None:
    with connected(UNREACHABLE, patience) as session, pytest.raises(SourceError, match=r"cannot be reached \(Connect"):
        session.get_json("runs")
    assert len(patience.waited) == MAX_TRIES - 1
    assert session.report.requests == MAX_TRIES


def test_a_server_that_does_not_answer_in_time_is_tried_and_told(patience: Patience) -> None:
    over = threading.Event()

    def slow(request: Request) -> Answer:
        over.wait(10)
        return fine(request)

    with talking(slow, patience, timeout_seconds=0.05) as (server, session):
        try:
            with pytest.raises(SourceError, match=r"cannot be reached \(ReadTimeout"):
                session.get_json("runs")
        finally:
            over.set()
    assert len(server.requests) == MAX_TRIES
    assert len(patience.waited) == MAX_TRIES - 1


def test_requests_keep_to_their_pace(patience: Patience) -> None:
    with talking(fine, patience, requests_per_second=4) as (_, session):
        for _ in range(5):
            session.get("runs")
    assert patience.waited == pytest.approx([0.25] * 4, abs=1e-3)
    assert session.report.waited_seconds == pytest.approx(1, abs=1e-3)


def test_what_is_asked_again_keeps_to_the_pace_too(patience: Patience) -> None:
    fault = Fault("/runs", Answer(429, b"", {"retry-after": "1"}))
    with talking(fine, patience, fault, requests_per_second=0.1) as (_, session):
        session.get("runs")
    assert patience.waited == pytest.approx([1, 9], abs=1e-3)


# -- answers -------------------------------------------------------------------------------------------------


@given(where=st.integers(min_value=0, max_value=15), times=st.integers(min_value=1, max_value=MAX_TRIES - 1))
@settings(max_examples=20, deadline=None)
def test_json_that_breaks_off_is_asked_for_again(where: int, times: int) -> None:
    patience = Patience(NOW)
    with talking(fine, patience, Fault("/runs", cut(where), times=times)) as (server, session):
        assert session.get_json("runs", {"page": 2}) == {"runs": [1, 2]}
    assert [request.query for request in server.requests] == [{"page": "2"}] * (times + 1)
    assert patience.waited == [0.5 * 2**tries for tries in range(times)]
    assert session.report.received_bytes == len(b'{"runs": [1, 2]}') + where * times


def test_json_that_breaks_off_for_ever_is_told(patience: Patience) -> None:
    with (
        talking(fine, patience, Fault("/runs", cut(5), times=1000)) as (server, session),
        pytest.raises(SourceError, match=r"cannot be reached \(RemoteProtocolError"),
    ):
        session.get_json("runs")
    assert len(server.requests) == MAX_TRIES


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b'{"runs": [', b"\xff\xfe", b"[" * 100_000])
def test_something_that_is_no_json_is_told(body: bytes) -> None:
    with (
        talking(lambda _: Answer(200, body)) as (_, session),
        pytest.raises(SourceError, match="no JSON; is the source's `url` the provider's API"),
    ):
        session.get_json("runs")


def test_an_answer_that_is_too_large_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_ANSWER_BYTES", 1000)
    monkeypatch.setattr(subject, "CHUNK_BYTES", 100)
    sizes = {"/fits": 1000, "/large": 1001}
    with talking(lambda request: Answer(200, b"x" * sizes[request.path])) as (server, session):
        assert len(session.get("fits").content) == 1000
        with pytest.raises(SourceError, match="/large answers with more than 1000 bytes"):
            session.get("large")
    assert len(server.requests) == 2


def test_an_answer_that_did_not_change_is_counted() -> None:
    with talking(lambda _: Answer(304)) as (_, session):
        assert session.get("runs", headers={"if-none-match": '"1"'}).status_code == 304
    assert (session.report.requests, session.report.not_modified, session.report.received_bytes) == (1, 1, 0)


# -- downloads -----------------------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(min_value=0, max_value=len(FILE) - 1), max_size=MAX_TRIES - 1))
@settings(max_examples=40, deadline=None)
def test_a_download_is_taken_up_where_it_broke(cuts: list[int]) -> None:
    """`cuts` are places in the file: a connection breaks when it has sent so far, or at once when it is beyond."""
    with talking(held(FILE)) as (server, session):
        for place in cuts:

            def broken(request: Request, right: Answer, place: int = place) -> Answer:
                begin = begin_of(request)
                return Answer(
                    206 if begin else 200,
                    FILE[begin:],
                    {
                        "etag": '"one"',
                        **({"content-range": f"bytes {begin}-{len(FILE) - 1}/{len(FILE)}"} if begin else {}),
                    },
                    cut_after=max(0, place - begin),
                )

            server.faults.append(Fault("file", broken))
        assert fetched(session) == FILE
        # no byte is asked for twice
        assert session.report.received_bytes == len(FILE)
        assert len(server.requests) == len(cuts) + 1
        assert session.report.retries == len(cuts)
        assert [begin_of(request) for request in server.requests] == [
            max(cuts[:n], default=0) for n in range(len(cuts) + 1)
        ]


def begin_of(request: Request) -> int:
    return int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1])


@pytest.mark.parametrize("respond", [held(FILE, ""), held(FILE, 'W/"weak"'), held(FILE, ranges=False)])
@given(cuts=st.lists(st.integers(min_value=0, max_value=len(FILE) - 1), max_size=MAX_TRIES - 1))
@settings(max_examples=15, deadline=None)
def test_a_download_that_cannot_be_taken_up_begins_again(respond: Callable[[Request], Answer], cuts: list[int]) -> None:
    with talking(respond) as (server, session):
        server.faults.extend(Fault("file", cut(place)) for place in cuts)
        assert fetched(session) == FILE
        assert session.report.received_bytes == len(FILE) + sum(cuts)


def test_a_file_that_changed_meanwhile_begins_again() -> None:
    versions = [(b"old" * 500, '"one"'), (b"new!" * 400, '"two"')]

    def respond(_: Request) -> Answer:
        content, etag = versions[0] if len(server.requests) == 1 else versions[1]
        return Answer(200, content, {"etag": etag})

    with talking(respond, None, Fault("file", cut(700))) as (server, session):
        assert fetched(session) == versions[1][0]
        assert server.requests[1].headers["if-range"] == '"one"'


def test_a_store_that_sends_the_rest_of_other_bytes_is_not_believed() -> None:
    """Not every store looks at `If-Range`."""

    def respond(request: Request) -> Answer:
        begin = begin_of(request)
        if not begin:
            return Answer(200, FILE, {"etag": '"one"' if len(server.requests) == 1 else '"two"'})
        return Answer(206, b"x" * (2048 - begin), {"etag": '"two"', "content-range": f"bytes {begin}-2047/2048"})

    with talking(respond, None, Fault("file", cut(700))) as (server, session):
        assert fetched(session) == FILE
        assert [begin_of(request) for request in server.requests] == [0, 700, 0]


@pytest.mark.parametrize("told", ["", "bytes 0-2047/2048", "bytes 701-2047/2048", "bytes 700-2047/*", "lines 1-2/3"])
def test_a_part_that_was_not_asked_for_is_not_taken_for_the_rest(told: str) -> None:
    def respond(request: Request) -> Answer:
        begin = begin_of(request)
        if not begin:
            return Answer(200, FILE, {"etag": '"one"'})
        return Answer(206, FILE[begin:], {"etag": '"one"', "content-range": told})

    with talking(respond, None, Fault("file", cut(700))) as (server, session):
        assert fetched(session) == FILE
        assert [begin_of(request) for request in server.requests] == [0, 700, 0]


def test_a_store_that_sends_the_rest_in_parts_is_asked_for_each() -> None:
    def respond(request: Request) -> Answer:
        begin = begin_of(request)
        if not begin:
            return Answer(200, FILE, {"etag": '"one"'})
        end = min(begin + 500, len(FILE))
        told = {"etag": '"one"', "content-range": f"bytes {begin}-{end - 1}/{len(FILE)}"}
        return Answer(206, FILE[begin:end], told)

    with talking(respond, None, Fault("file", cut(700))) as (server, session):
        assert fetched(session) == FILE
        assert [begin_of(request) for request in server.requests] == [0, 700, 1200, 1700]


def test_a_download_whose_end_alone_is_missing_begins_again() -> None:
    """All bytes came, but not the mark of the end: there is no rest to ask for."""
    chunked = Answer(
        200,
        b"%x\r\n%s\r\n" % (len(FILE), FILE),
        {"etag": '"one"', "transfer-encoding": "chunked"},
        cut_after=len(FILE) + 100,
    )
    with talking(held(FILE), None, Fault("file", chunked)) as (server, session):
        assert fetched(session) == FILE
        assert [begin_of(request) for request in server.requests] == [0, len(FILE), 0]


def test_a_line_that_breaks_again_and_again_makes_progress(patience: Patience) -> None:
    step = subject.PROGRESS_BYTES
    content = LARGE * 3
    with talking(held(content), patience, Fault("file", cut(step), times=1000)) as (server, session):
        assert fetched(session) == content
        assert len(server.requests) == len(content) // step > MAX_TRIES
        assert session.report.received_bytes == len(content)
    assert max(patience.waited) <= 1


def test_a_line_that_breaks_without_progress_ends(patience: Patience) -> None:
    with (
        talking(held(FILE), patience, Fault("file", cut(10), times=1000)) as (server, session),
        pytest.raises(SourceError, match="cannot be reached"),
    ):
        fetched(session)
    assert len(server.requests) == MAX_TRIES
    assert patience.waited == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_line_that_breaks_where_nothing_is_taken_up_ends(patience: Patience) -> None:
    with (
        talking(held(LARGE, ranges=False), patience, Fault("file", cut(600_000), times=1000)) as (server, session),
        pytest.raises(SourceError, match="cannot be reached"),
    ):
        fetched(session)
    assert len(server.requests) == MAX_TRIES


@pytest.mark.parametrize("status", [404, 410])
def test_an_artifact_that_is_gone_is_told_as_that(patience: Patience, status: int) -> None:
    with (
        talking(lambda _: Answer(status), patience) as (_, session),
        pytest.raises(ArtifactGoneError, match=f"file.zip is not there .{status}"),
    ):
        fetched(session)
    assert patience.waited == []


@pytest.mark.parametrize("status", [202, 204, 206, 304, 416])
def test_an_answer_that_is_no_file_is_not_taken_for_one(status: int) -> None:
    headers = {"content-range": "bytes 5-7/8"} if status == 206 else {}
    with (
        talking(lambda _: Answer(status, b"", headers)) as (server, session),
        pytest.raises(SourceError, match=f"answers with {status} in the place of a file"),
    ):
        fetched(session)
    assert len(server.requests) == 1


def test_a_download_beyond_the_limit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_DOWNLOAD_BYTES", 1000)
    sizes = {"/fits": 1000, "/large": 1001}
    with talking(lambda request: Answer(200, b"x" * sizes[request.path])) as (_, session):
        assert len(fetched(session, "fits")) == 1000
        with pytest.raises(SourceError, match="/large is larger than 1000 bytes"):
            fetched(session, "large")


def test_a_download_that_a_waiting_store_answers_arrives(patience: Patience) -> None:
    faults = [
        Fault("file", Answer(503, b"", {"retry-after": "3"})),
        Fault("file", cut(100)),
        Fault("file", Answer(500)),
    ]
    with talking(held(FILE), patience, *faults) as (server, session):
        assert fetched(session) == FILE
    assert len(server.requests) == 4
    assert session.report.retries == 3
    assert patience.waited[:2] == [3.0, 0.5]
    assert session.report.waited_seconds == pytest.approx(sum(patience.waited))


# -- redirects and secrets -----------------------------------------------------------------------------------


def test_secrets_go_to_the_provider_alone() -> None:
    with serving(held(FILE)) as store:
        with talking(lambda _: redirect(f"{store.url}/blob?sig=abc"), secret_headers=SECRETS) as (server, session):
            store.faults.append(Fault("blob", cut(500)))
            assert fetched(session) == FILE
        assert len(store.requests) == len(server.requests) == 2
        for name, secret in SECRETS.items():
            assert all(request.headers[name] == secret for request in server.requests)
        for request in store.requests:
            assert not SECRETS.keys() & request.headers.keys()
            assert "s3cr3t" not in repr(request)
        assert store.requests[1].headers["range"] == "bytes=500-"


def test_an_address_elsewhere_that_an_answer_gave_gets_no_secret() -> None:
    with serving(fine) as other, talking(fine, secret_headers=SECRETS) as (_, session):
        session.get(f"{other.url}/runs")
        session.get(f"//127.0.0.1:{httpx.URL(other.url).port}/runs")
        assert len(other.requests) == 2
        assert "s3cr3t" not in repr(other.requests)


def test_a_redirect_back_to_the_provider_gets_its_secret() -> None:
    def respond(request: Request) -> Answer:
        if request.path == "/renamed":
            return redirect("/api/runs?page=2", 301)
        return fine(request)

    with talking(respond, secret_headers=SECRETS) as (server, session):
        assert session.get_json("renamed", {"page": 1}) == {"runs": [1, 2]}
    assert [request.target for request in server.requests] == ["/renamed?page=1", "/api/runs?page=2"]
    assert server.requests[1].headers["authorization"] == SECRETS["authorization"]


def test_cookies_are_neither_kept_nor_sent() -> None:
    cookie = {"set-cookie": "session=s3cr3t; Path=/"}
    with (
        serving(fine) as other,
        talking(lambda _: Answer(302, b"", {**cookie, "location": f"{other.url}/runs"})) as (server, session),
    ):
        session.get("runs")
        session.get("runs")
        assert not any("cookie" in request.headers for request in server.requests + other.requests)
        assert (len(server.requests), len(other.requests)) == (2, 2)


def test_redirects_in_a_circle_end() -> None:
    with (
        talking(lambda request: redirect(f"{request.path}x?sig=s3cr3t")) as (server, session),
        pytest.raises(SourceError, match=f"/file.zip redirects more than {MAX_REDIRECTS} times") as caught,
    ):
        fetched(session)
    assert len(server.requests) == MAX_REDIRECTS + 1
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("location", ["http://[::1/x?sig=s3cr3t", "ftp://127.0.0.1/x?sig=s3cr3t", "http://a:b/?s3cr3t"])
def test_a_redirect_to_nowhere_is_told(patience: Patience, location: str) -> None:
    with talking(lambda _: redirect(location), patience) as (_, session), pytest.raises(SourceError) as caught:
        fetched(session)
    assert "s3cr3t" not in str(caught.value)
    assert any(told in str(caught.value) for told in ("cannot be reached", "is no address"))


def test_an_address_in_an_answer_that_is_none_is_told() -> None:
    with connected(UNREACHABLE) as session, pytest.raises(SourceError, match="something that is no address"):
        session.get("http://[::1/x\x07")


@pytest.mark.parametrize(
    "refusal", [Answer(401), Answer(403, b"<Error/>"), Answer(400, b"<Error><Code>ExpiredToken</Code></Error>")]
)
def test_a_signed_address_that_has_run_out_is_asked_for_anew(refusal: Answer) -> None:
    def respond(_: Request) -> Answer:
        return redirect(f"{store.url}/blob?sig={len(server.requests)}")

    with serving(held(FILE)) as store, talking(respond) as (server, session):
        # the first address breaks off, the second has run out, the third takes up
        store.faults += [Fault("sig=1", cut(500)), Fault("sig=2", refusal)]
        assert fetched(session) == FILE
        assert [request.query["sig"] for request in store.requests] == ["1", "2", "3"]
        assert begin_of(store.requests[2]) == 500
        assert session.report.retries == 2


def test_a_store_that_finds_a_request_bad_is_asked_once() -> None:
    with (
        serving(lambda _: Answer(400, b"<Error><Code>InvalidArgument</Code></Error>")) as store,
        talking(lambda _: redirect(f"{store.url}/blob")) as (_, session),
        pytest.raises(SourceError, match="/blob answers with 400"),
    ):
        fetched(session)
    assert len(store.requests) == 1


def test_a_store_that_refuses_every_address_is_told() -> None:
    with (
        serving(lambda _: Answer(403)) as store,
        talking(lambda _: redirect(f"{store.url}/blob?sig=s3cr3t")) as (server, session),
        pytest.raises(SourceDeniedError, match=r"/blob refuses us \(403\)") as caught,
    ):
        fetched(session)
    assert (caught.value.status, caught.value.is_elsewhere) == (403, True)
    assert len(server.requests) == MAX_REFUSALS
    assert "s3cr3t" not in str(caught.value)


def test_a_provider_that_refuses_a_download_is_asked_once() -> None:
    with talking(lambda _: Answer(403)) as (server, session), pytest.raises(SourceDeniedError) as caught:
        fetched(session)
    assert (len(server.requests), caught.value.is_elsewhere) == (1, False)


@pytest.mark.parametrize("answer", [Answer(500), Answer(401), Answer(404), Answer(429), Answer(200, b"{"), Answer(418)])
def test_errors_show_neither_query_nor_user(answer: Answer) -> None:
    with serving(lambda _: answer) as server:
        url = server.url.replace("http://", "http://ada:s3cr3t@")
        with connected(url, secret_headers=SECRETS) as session, pytest.raises(SourceError) as caught:
            session.get_json("runs?private_token=s3cr3t", None)
    assert "s3cr3t" not in str(caught.value)
    assert f"{server.url}/runs" in str(caught.value)


def test_errors_of_the_line_show_neither_query_nor_user(patience: Patience) -> None:
    with connected("http://ada:s3cr3t@127.0.0.1:9", patience, secret_headers=SECRETS) as session:
        for ask in (session.get, lambda path: fetched(session, path)):
            with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/runs cannot be reached") as caught:
                ask("runs?token=s3cr3t")
            assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer s3cr3t\n",
        "Bearer s3cr3t\r\nx: y",
        "Bearer s3cr3t\x00",
        "Bearer s3cr3t ",
        " s3cr3t",
        "Bearer ",
        "s3cr3tü",
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the secret for http://127\.0\.0\.1:9/ is empty, or holds") as caught:
        HttpSession(UNREACHABLE, SourceReport(), secret_headers={"authorization": secret})
    assert "s3cr3t" not in str(caught.value)


@given(secret=st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_error_of_sending_shows_a_secret(secret: str) -> None:
    """What is not refused at once is sent as it is."""
    value = f"key-s3cr3t{secret}"
    with serving(fine) as server:
        try:
            with connected(server.url, secret_headers={"x-key": value}) as session:
                session.get("runs")
            told = ""
        except (SourceError, ConfigurationError) as error:
            told = str(error)
        assert "s3cr3t" not in told
        assert bool(told) or server.requests[0].headers["x-key"] == value


# -- connections ---------------------------------------------------------------------------------------------


def test_connections_are_bounded_and_threads_share_a_session() -> None:
    def respond(request: Request) -> Answer:
        time.sleep(0.002)
        return json_answer({"page": request.query["page"]})

    with talking(respond, connections=3) as (server, session):

        def ask(page: int) -> Any:
            return session.get_json("runs", {"page": page})

        with ThreadPoolExecutor(16) as pool:
            pages = list(pool.map(ask, range(100)))
        assert server.most_connections <= 3
    assert pages == [{"page": str(page)} for page in range(100)]
    assert session.report.requests == 100 + session.report.retries
    assert session.report.received_bytes >= sum(len(b'{"page": "%d"}' % page) for page in range(100))


def test_threads_download_at_once_each_its_own_bytes() -> None:
    def respond(request: Request) -> Answer:
        return Answer(200, request.path.encode() * 20_000, {"etag": f'"{request.path}"'})

    faults = [Fault(f"file/{number}$", cut(30_000)) for number in range(0, 30, 3)]
    with talking(respond, None, *faults, connections=4) as (_, session), ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda number: fetched(session, f"file/{number}"), range(30)))
    assert files == [f"/file/{number}".encode() * 20_000 for number in range(30)]
    # httpcore may close a connection under another thread, which costs a further try and no byte
    assert session.report.retries >= len(faults)
    assert session.report.requests == len(files) + session.report.retries
    assert session.report.received_bytes == sum(len(file) for file in files)


def test_a_thread_waits_for_a_connection_for_as_long_as_it_takes(patience: Patience) -> None:
    def respond(request: Request) -> Answer:
        time.sleep(0.15)
        return fine(request)

    with talking(respond, patience, connections=1, timeout_seconds=0.3) as (server, session):
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda _: session.get("runs"), range(5)))
        assert server.most_connections == 1
    assert (len(server.requests), patience.waited) == (5, [])


def test_connections_are_used_again_over_redirects() -> None:
    with serving(held(FILE)) as store:
        text = b"<html>moved</html>"
        with talking(lambda _: redirect(f"{store.url}/blob", body=text)) as (server, session):
            accepted = [counting(server), counting(store)]
            for _ in range(10):
                assert fetched(session) == FILE
            assert [len(each) for each in accepted] == [1, 1]
            assert len(store.requests) == 10


def test_a_provider_and_its_store_keep_their_connections() -> None:
    with (
        serving(held(FILE)) as store,
        talking(lambda _: redirect(f"{store.url}/blob"), connections=4) as (server, session),
        ThreadPoolExecutor(8) as pool,
    ):
        accepted = [counting(server), counting(store)]
        assert list(pool.map(lambda _: fetched(session), range(200))) == [FILE] * 200
        # a few are lost to races within httpcore's pool
        assert all(len(each) <= 4 + 8 for each in accepted)


def counting(server: ProviderServer) -> list[object]:
    """Return what grows by one with each connection that a server accepts."""
    accepted: list[object] = []
    process: Any = server._server.process_request

    def counted(request: socket.socket, address: object) -> None:
        accepted.append(address)
        process(request, address)

    server._server.process_request = counted  # type: ignore[assignment,method-assign]
    return accepted


def test_a_long_text_beside_a_redirect_is_not_read() -> None:
    with serving(held(FILE)) as store:
        long = Answer(302, LARGE * 20, {"location": f"{store.url}/blob"})
        with talking(lambda _: long) as (_, session):
            assert fetched(session) == FILE
            assert session.report.received_bytes == len(FILE)


# -- proxies -------------------------------------------------------------------------------------------------


@contextmanager
def proxy() -> Iterator[ProviderServer]:
    """Yield a proxy for HTTP: it asks who is asked for; nobody else knows `ci.example`."""

    def forward(request: Request) -> Answer:
        if request.headers["host"] == "ci.example":
            return json_answer({"from": "ci.example"})
        with httpx.Client(trust_env=False) as client:
            answer = client.get(f"http://{request.headers['host']}{request.target}")
        return Answer(answer.status_code, answer.content)

    with serving(forward) as server:
        yield server


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", "http://ada:pw@", ""])
def test_requests_go_through_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    with proxy() as through:
        monkeypatch.setenv(variable, scheme + through.url.removeprefix("http://"))
        with talking(fine) as (server, session):
            assert session.get_json("runs") == {"runs": [1, 2]}
            assert len(server.requests) == len(through.requests) == 1
        with connected("http://ci.example/") as session:
            assert session.get_json("runs") == {"from": "ci.example"}
        assert ("proxy-authorization" in through.requests[0].headers) is ("@" in scheme)


@pytest.mark.parametrize("named", ["127.0.0.1", "other.example, 127.0.0.1", "*", "127.0.0.1:{port}"])
def test_hosts_that_need_no_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    with proxy() as through, serving(fine) as server:
        monkeypatch.setenv("HTTP_PROXY", through.url)
        monkeypatch.setenv("NO_PROXY", named.format(port=httpx.URL(server.url).port))
        with connected(server.url) as session:
            assert session.get_json("runs") == {"runs": [1, 2]}
        assert (len(server.requests), len(through.requests)) == (1, 0)


def test_other_hosts_of_no_proxy_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as through, talking(fine) as (server, _):
        monkeypatch.setenv("HTTP_PROXY", through.url)
        monkeypatch.setenv("NO_PROXY", "27.0.0.1,127.0.0.1:1,example")
        with connected(server.url) as session:
            session.get_json("runs")
        assert len(through.requests) == 1


def test_a_proxy_for_https_alone_is_not_asked_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as through:
        monkeypatch.setenv("HTTPS_PROXY", through.url)
        with talking(fine) as (_, session):
            session.get_json("runs")
        assert through.requests == []


@pytest.mark.parametrize(
    "address", ["gopher://ada:s3cr3t@proxy:1", "http://ada:s3cr3t@proxy:port", "socks5://a:s3cr3t@p"]
)
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(ConfigurationError, match="give HTTPS_PROXY, HTTP_PROXY and ALL_PROXY as") as caught:
        HttpSession(UNREACHABLE, SourceReport())
    assert "s3cr3t" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, patience: Patience
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://ada:s3cr3t@127.0.0.1:9")
    with (
        talking(fine, patience) as (server, session),
        pytest.raises(SourceError, match=r"cannot be reached \(Connect") as caught,
    ):
        session.get("runs")
    assert "s3cr3t" not in str(caught.value)
    assert server.requests == []


# -- the server of these tests -------------------------------------------------------------------------------


def test_the_server_reads_what_is_sent_to_it() -> None:
    with serving(fine) as server, httpx.Client(trust_env=False) as client:
        for _ in range(3):
            assert client.post(f"{server.url}/token", content=b"body").status_code == 200
        assert [(each.method, each.body) for each in server.requests] == [("POST", "body")] * 3
        assert server.most_connections == 1
