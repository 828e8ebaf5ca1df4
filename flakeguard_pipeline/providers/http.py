"""Asking a CI provider over HTTP: politely, patiently, and without telling its secret to anyone else.

    transport   counts, keeps to the provider's limits and tries again what may be tried again (PoliteTransport)
    session     answers, pages and downloads of one provider (HttpSession)

Belongs here: HTTP. Does not belong here: what an answer means.
"""

import contextlib
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import httpx
from httpx_retries import Retry, RetryTransport

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.providers.source import RateLimit, SourceReport

USER_AGENT = "flakeguard"

MAX_TRIES = 6
"""Requests for one thing before giving up: with the waits between them about a minute, which outlasts a deployment."""

BACKOFF_SECONDS = 0.5
"""The first wait between two tries; each further one is twice as long."""

MAX_WAIT_SECONDS = 15 * 60.0
"""The longest wait that a provider may ask of us. Beyond it the work ends, says when, and goes on there next time."""

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""

MAX_ANSWER_BYTES = 256 * 1024**2
"""Bytes of the largest answer that is held in memory: a page of a listing has some hundred kilobytes."""

MAX_DOWNLOAD_BYTES = 16 * 1024**3
"""Bytes of the largest artifact: GitHub's limit for one is ten gigabytes."""

SPOOL_BYTES = 8 * 1024**2
"""Bytes of a download that stay in memory; larger ones wait on disk."""

MAX_REDIRECTS = 5
"""Redirects in a row: one to the store, perhaps one more to its region; more are a circle."""

CHUNK_BYTES = 1 << 18

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_CUT = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.TimeoutException)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's clock, and waiting; tests pass their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


class PoliteTransport(httpx.BaseTransport):
    """Sends requests within the provider's limits, and again where that may help; counts what it costs.

    What may be tried again: RETRIED answers and broken connections, of requests that change nothing. `Retry-After` is
    honoured, and so is a limit that is used up (`X-RateLimit-Remaining: 0`, `RateLimit-Remaining: 0`), which some
    providers answer with 403.
    """

    def __init__(
        self,
        report: SourceReport,
        *,
        requests_per_second: float | None = None,
        connections: int = 8,
        inner: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to send at most `connections` requests at once and `requests_per_second` of them."""
        self._clock = clock or Clock()
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        counted = _Counted(
            inner or httpx.HTTPTransport(limits=limits), report, _Pace(requests_per_second, self._clock), self._clock
        )
        self._retrying = RetryTransport(counted, _Patience(report=report, clock=self._clock))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return the last answer."""
        return self._retrying.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._retrying.close()


class _Pace:
    """Spreads requests so that no second sees more of them than it may."""

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._gap = 1.0 / per_second if per_second else 0.0
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        if not self._gap:
            return 0.0
        with self._lock:
            now = self._clock.now().timestamp()
            begin = max(now, self._next)
            self._next = begin + self._gap
        if begin > now:
            self._clock.sleep(begin - now)
        return begin - now


class _Counted(httpx.BaseTransport):
    """Sends one request once, keeps to the pace, and reads what the answer says of limits."""

    def __init__(self, inner: httpx.BaseTransport, report: SourceReport, pace: _Pace, clock: Clock) -> None:
        self._inner = inner
        self._report = report
        self._pace = pace
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        waited = self._pace.wait()
        response = self._inner.handle_request(request)
        self._report.add(requests=1, not_modified=int(response.status_code == 304), waited_seconds=waited)
        limit = _rate_limit(response.headers, self._clock.now())
        if limit is not None:
            self._report.limit_is(limit)
        if response.status_code == 403 and _is_limited(response.headers, limit):
            # says the same as 429, and is to be treated as that
            response.status_code = 429
            if "retry-after" not in response.headers and limit is not None and limit.resets_at is not None:
                seconds = (limit.resets_at - self._clock.now()).total_seconds()
                response.headers["retry-after"] = str(max(1, round(seconds) + 1))
        return response

    def close(self) -> None:
        self._inner.close()


def _is_limited(headers: httpx.Headers, limit: RateLimit | None) -> bool:
    return "retry-after" in headers or (limit is not None and limit.remaining == 0)


def _rate_limit(headers: httpx.Headers, now: datetime) -> RateLimit | None:
    """Return what an answer says of limits, in GitHub's spelling or the draft standard's (GitLab, Buildkite)."""
    for prefix in ("x-ratelimit-", "ratelimit-"):
        remaining = _number(headers.get(prefix + "remaining"))
        if remaining is None:
            continue
        reset = _number(headers.get(prefix + "reset"))
        resets_at = None
        if reset is not None:
            # a moment for some providers, seconds from now for others
            moment = float(reset) if reset > 1_000_000_000 else now.timestamp() + reset
            with contextlib.suppress(ValueError, OverflowError, OSError):
                resets_at = datetime.fromtimestamp(moment, UTC)
        return RateLimit(_number(headers.get(prefix + "limit")), remaining, resets_at)
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


class _Patience(Retry):
    """How often and how long to wait; a wait that is too long ends the work with a word on when to go on."""

    def __init__(
        self, report: SourceReport, clock: Clock, *, attempts_made: int = 0, elapsed_sleep: float = 0.0
    ) -> None:
        super().__init__(
            total=MAX_TRIES - 1,
            status_forcelist=RETRIED,
            backoff_factor=BACKOFF_SECONDS,
            max_backoff_wait=MAX_WAIT_SECONDS,
            attempts_made=attempts_made,
            elapsed_sleep=elapsed_sleep,
        )
        self._report = report
        self._clock = clock

    def increment(self) -> "_Patience":
        self._report.add(retries=1)
        return _Patience(
            self._report, self._clock, attempts_made=self.attempts_made + 1, elapsed_sleep=self.elapsed_sleep
        )

    def sleep(self, response: httpx.Response | Exception) -> None:
        seconds = self._wanted(response)
        if seconds > MAX_WAIT_SECONDS:
            when = datetime.fromtimestamp(self._clock.now().timestamp() + seconds, UTC)
            raise SourceBusyError(
                f"the provider's rate limit is used up until {when:%Y-%m-%d %H:%M} UTC; what was fetched is kept, run "
                "again then"
            )
        self._report.add(waited_seconds=seconds)
        self._clock.sleep(seconds)

    def _wanted(self, response: httpx.Response | Exception) -> float:
        if isinstance(response, httpx.Response):
            asked = response.headers.get("retry-after", "").strip()
            with contextlib.suppress(ValueError):
                if asked:
                    return max(0.0, self.parse_retry_after(asked))
        return self.backoff_strategy()


class HttpSession:
    """Asks one provider. `secret_headers` go to its own address alone, never to where it redirects us.

    Threads may use one session at once. Everything raises SourceError, with the address but without its query, which
    may hold a signature.
    """

    def __init__(
        self,
        base_url: str,
        report: SourceReport,
        *,
        secret_headers: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30.0,
        connections: int = 8,
        requests_per_second: float | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to ask `base_url`; `transport` is a PoliteTransport unless a test says otherwise."""
        self.base_url = httpx.URL(base_url if base_url.endswith("/") else base_url + "/")
        self.report = report
        self._secrets = dict(secret_headers or {})
        self._clock = clock or Clock()
        self._client = httpx.Client(
            headers={"user-agent": USER_AGENT, **(headers or {})},
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=True,
            transport=transport
            or PoliteTransport(
                report, requests_per_second=requests_per_second, connections=connections, clock=self._clock
            ),
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def url(self, path: str) -> httpx.URL:
        """Return the address of a path below the base; an absolute address stays as it is."""
        return self.base_url.join(path)

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Return the answer to a GET, read to its end: 2xx or 304.

        Raises:
            SourceDeniedError: 401 or 403.
            SourceNotFoundError: 404 or 410.
            SourceError: anything else.
        """
        with self._stream(path, params, headers) as response:
            body = bytearray()
            try:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise SourceError(f"{_shown(response.url)} answers with more than {MAX_ANSWER_BYTES} bytes")
            except httpx.HTTPError as error:
                raise _unreachable(response.url, error) from error
            self.report.add(received_bytes=len(body))
            response._content = bytes(body)  # what `response.read` would have set, had it a limit
            return response

    def get_json(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON that a GET answers with. Raises as `get`."""
        response = self.get(path, params, {"accept": "application/json", **(headers or {})})
        return read_json(response)

    @contextlib.contextmanager
    def download(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[BinaryIO]:
        """Yield a file with everything that a GET answers with; a connection that is cut is taken up where it broke.

        Raises:
            ArtifactGoneError: 404 or 410.
            SourceError: anything else.
        """
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            file = cast("BinaryIO", spool)
            mark = ""
            for tries in range(1, MAX_TRIES + 1):
                resumed = {"range": f"bytes={file.tell()}-", "if-range": mark} if mark and file.tell() else {}
                try:
                    with self._stream(
                        path, None, {"accept-encoding": "identity", **(headers or {}), **resumed}
                    ) as response:
                        if not _goes_on(response, file.tell()):
                            file.seek(0)
                            file.truncate()
                        mark = _validator(response)
                        self._receive(response, file)
                    break
                except SourceNotFoundError as error:
                    raise ArtifactGoneError(str(error)) from error
                except _CUT as error:
                    if tries == MAX_TRIES:
                        raise _unreachable(self.url(path), error) from error
                    self.report.add(retries=1)
                    self._clock.sleep(BACKOFF_SECONDS * 2 ** (tries - 1))
            file.seek(0)
            yield file

    def _receive(self, response: httpx.Response, file: BinaryIO) -> None:
        for chunk in response.iter_raw(CHUNK_BYTES):
            file.write(chunk)
            self.report.add(received_bytes=len(chunk))
            if file.tell() > MAX_DOWNLOAD_BYTES:
                raise SourceError(f"{_shown(response.url)} is larger than {MAX_DOWNLOAD_BYTES} bytes")

    @contextlib.contextmanager
    def _stream(
        self, path: str, params: Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> Iterator[httpx.Response]:
        """Yield an answer whose body was not read yet, after all redirects."""
        url = self.url(path)
        for _ in range(MAX_REDIRECTS + 1):
            secrets = self._secrets if _same_origin(url, self.base_url) else {}
            request = self._client.build_request("GET", url, params=params, headers={**(headers or {}), **secrets})
            try:
                response = self._client.send(request, stream=True)
            except httpx.HTTPError as error:
                raise _unreachable(url, error) from error
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url, params = response.url.join(response.headers["location"]), None
                    continue
                _require(response)
                yield response
                return
            finally:
                response.close()
        raise SourceError(f"{_shown(self.url(path))} redirects more than {MAX_REDIRECTS} times")


def read_json(response: httpx.Response) -> Any:
    """Return the JSON of an answer.

    Raises:
        SourceError: it is no JSON.
    """
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{_shown(response.url)} answers with something that is no JSON; is the source's `url` the provider's API?"
        ) from error


def _goes_on(response: httpx.Response, position: int) -> bool:
    """Say whether an answer takes up a download where it broke."""
    if response.status_code != 206:
        return False
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    return found is not None and int(found[1]) == position


def _validator(response: httpx.Response) -> str:
    """Return what tells these very bytes from others of the same address: a strong ETag, as RFC 9110 wants it."""
    etag: str = response.headers.get("etag", "")
    return "" if etag.startswith("W/") else etag


def _require(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success or status == 304:
        return
    place = _shown(response.url)
    if status in (401, 403):
        raise SourceDeniedError(f"{place} refuses us ({status}); check the source's token and what it may read")
    if status in _GONE:
        raise SourceNotFoundError(f"{place} is not there ({status}); check the name, and whether the token may see it")
    if status == 429:
        raise SourceBusyError(f"{place} asks us to slow down ({status}) after {MAX_TRIES} tries; run again later")
    raise SourceError(f"{place} answers with {status} after every try; run again later")


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _shown(url: httpx.URL) -> str:
    """Return an address without what may be secret: user, password, query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> SourceError:
    return SourceError(
        f"{_shown(url)} cannot be reached ({type(error).__name__}: {str(error) or 'no answer'}); check the source's "
        "`url` and the network, then run again"
    )
