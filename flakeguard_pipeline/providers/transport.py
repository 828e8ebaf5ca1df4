"""Sending requests to a CI provider politely: counted, within its limits, and again where that may help.

Belongs here: waiting, limits, proxies, connections. Does not belong here: sessions and secrets (http.py).
"""

import contextlib
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

import httpx
from httpx_retries import Retry, RetryTransport

from flakeguard_pipeline.domain.errors import ConfigurationError, SourceBusyError
from flakeguard_pipeline.providers.patience import BACKOFF_SECONDS, MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import RateLimit, SourceReport

MAX_WAIT_SECONDS = 15 * 60.0
"""The longest wait that a provider may ask of us. Beyond it the work ends, says when, and goes on there next time."""

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""

KEPT_SERVERS = 4
"""Servers whose connections are all kept for a moment: the provider, its store, and where that sends us to."""


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
        network = inner or _Network(connections)
        counted = _Counted(network, report, _Pace(requests_per_second, self._clock), self._clock)
        self._retrying = RetryTransport(counted, _Patience(report=report, clock=self._clock))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return the last answer."""
        return self._retrying.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._retrying.close()


class _Network(httpx.BaseTransport):
    """Sends requests through the proxies that the environment names (HTTPS_PROXY, ALL_PROXY, NO_PROXY, ...).

    A client that is given a transport does not look for them. Requests at once are counted here and not by httpcore's
    pool: at its bound that closes a connection to the one server for each to the other, so that neither a provider nor
    its store keeps them, and sometimes one that another thread begins to use
    (https://github.com/encode/httpcore/issues/1110). So each request at once has a pool of its own, too: threads that
    share one wait for its lock a sixth of the time.
    """

    def __init__(self, connections: int) -> None:
        self._slots = threading.BoundedSemaphore(connections)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_SERVERS * connections)
        certificates = httpx.create_ssl_context()
        kept = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_SERVERS)
        self._direct = [httpx.HTTPTransport(verify=certificates, limits=kept) for _ in range(connections)]
        # the last one that was given back is the next to be used: its connections are the least likely to be closed
        self._free = deque(self._direct)
        self._through: dict[str, httpx.BaseTransport] = {}
        named = urllib.request.getproxies()
        by_address: dict[str, httpx.BaseTransport] = {}
        for scheme in ("http", "https"):
            address = named.get(scheme) or named.get("all")
            if address:
                if address not in by_address:
                    by_address[address] = _proxied(address, limits)
                self._through[scheme] = by_address[address]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxied = self._through.get(request.url.scheme)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._slots)
            if proxied is None or _is_direct(request.url):
                direct = self._free.pop()
                stack.callback(self._free.append, direct)
                response = direct.handle_request(request)
            else:
                response = proxied.handle_request(request)
            response.stream = _Slotted(cast("httpx.SyncByteStream", response.stream), stack.pop_all())
        return response

    def close(self) -> None:
        for transport in (*self._direct, *self._through.values()):
            transport.close()


class _Slotted(httpx.SyncByteStream):
    """A body that gives back the place among the requests at once when it is closed."""

    def __init__(self, body: httpx.SyncByteStream, slot: contextlib.ExitStack) -> None:
        self._body = body
        self._slot = slot

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body

    def close(self) -> None:
        # a second time there is nothing left to give back
        with self._slot:
            self._body.close()


def _proxied(address: str, limits: httpx.Limits) -> httpx.BaseTransport:
    try:
        return httpx.HTTPTransport(limits=limits, proxy=address if "://" in address else f"http://{address}")
    except (ValueError, ImportError, httpx.InvalidURL):
        # what is below may quote a password
        raise ConfigurationError(
            "the proxy that the environment names cannot be used; give HTTPS_PROXY, HTTP_PROXY and ALL_PROXY as "
            "http://host:port"
        ) from None


def _is_direct(url: httpx.URL) -> bool:
    """Say whether NO_PROXY names a host, with or without its port."""
    return bool(urllib.request.proxy_bypass(url.host) or urllib.request.proxy_bypass(url.netloc.decode("ascii")))


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
        self._report.add(requests=1, waited_seconds=self._pace.wait())
        response = self._inner.handle_request(request)
        self._report.add(not_modified=int(response.status_code == 304))
        limit = _rate_limit(response.headers, self._clock.now())
        if limit is not None:
            self._report.limit_is(limit)
        if response.status_code == 403 and _is_limited(response.headers, limit):
            # says the same as 429, and is to be treated as that
            response.status_code = 429
        resets_at = limit.resets_at if limit is not None and limit.remaining == 0 else None
        if response.status_code == 429 and resets_at is not None and "retry-after" not in response.headers:
            # not every provider says how long to wait, but most say when the next period begins
            seconds = (resets_at - self._clock.now()).total_seconds()
            response.headers["retry-after"] = str(max(1, round(seconds) + 1))
        return response

    def close(self) -> None:
        self._inner.close()


def _is_limited(headers: httpx.Headers, limit: RateLimit | None) -> bool:
    return "retry-after" in headers or (limit is not None and limit.remaining == 0)


def _rate_limit(headers: httpx.Headers, now: datetime) -> RateLimit | None:
    """Return what an answer says of limits, in GitHub's spelling or the draft standard's (GitLab, Buildkite)."""
    for prefix in ("x-ratelimit-", "ratelimit-"):
        remaining = number_of(headers.get(prefix + "remaining"))
        if remaining is None:
            continue
        reset = number_of(headers.get(prefix + "reset"))
        resets_at = None
        if reset is not None:
            # a moment for some providers, seconds from now for others
            moment = float(reset) if reset > 1_000_000_000 else now.timestamp() + reset
            with contextlib.suppress(ValueError, OverflowError, OSError):
                resets_at = datetime.fromtimestamp(moment, UTC)
        return RateLimit(number_of(headers.get(prefix + "limit")), remaining, resets_at)
    return None


def number_of(text: str | None) -> int | None:
    """Return the number that a header holds, None where it holds none."""
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
        return _Patience(
            self._report, self._clock, attempts_made=self.attempts_made + 1, elapsed_sleep=self.elapsed_sleep
        )

    def sleep(self, response: httpx.Response | Exception) -> None:
        seconds = self._asked_for(response) or self.backoff_strategy()
        if seconds > MAX_WAIT_SECONDS:
            raise SourceBusyError(
                f"the provider's rate limit is used up until {self._moment(seconds)}; what was fetched is kept, run "
                "again then"
            )
        self._report.add(retries=1, waited_seconds=seconds)
        self._clock.sleep(seconds)

    def _asked_for(self, response: httpx.Response | Exception) -> float:
        """Return the seconds that `Retry-After` asks for, as a number or as a moment; 0 where it asks for none."""
        asked = response.headers.get("retry-after", "").strip() if isinstance(response, httpx.Response) else ""
        if asked.isascii() and asked.isdigit():
            return float(asked)
        # ValueError is no moment; the others are moments beyond all calendars
        with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
            moment = parsedate_to_datetime(asked)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - self._clock.now()).total_seconds())
        return 0.0

    def _moment(self, seconds: float) -> str:
        with contextlib.suppress(ValueError, OverflowError, OSError):
            return f"{datetime.fromtimestamp(self._clock.now().timestamp() + seconds, UTC):%Y-%m-%d %H:%M} UTC"
        return "the end of all calendars"
