"""What stands between GitHub's client and the network: whole answers, asked for again only where they changed.

    WholeAnswers    JSON: read to its end, within bounds, from the cache where GitHub says that it still holds
    Identified      downloads: GitHub hears who asks, the store that it redirects to does not

Both send through one PoliteTransport. Belongs here: HTTP as GitHub speaks it
(https://docs.github.com/en/rest/using-the-rest-api). Does not belong here: what an answer means.
"""

import contextlib
import json

import httpx

from flakeguard_pipeline.domain.errors import SourceError
from flakeguard_pipeline.providers.github_cache import AnswerCache, CachedAnswer
from flakeguard_pipeline.providers.http import CHUNK_BYTES, MAX_ANSWER_BYTES, is_same_origin, shown
from flakeguard_pipeline.providers.patience import BACKOFF_SECONDS, MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import SourceReport
from flakeguard_pipeline.providers.transport import RETRIED

API_VERSION = "2022-11-28"
"""The version of the API that is asked for, `X-GitHub-Api-Version`: the one that github.com and every supported GitHub
Enterprise Server know. A server refuses one that it does not know with 400."""

SECONDARY_LIMIT_SECONDS = 60.0
"""The first wait where GitHub names a secondary limit and no time: `wait for at least one minute`, then longer."""

SECONDARY_LIMIT_TRIES = 4
"""Tries under a secondary limit: the waits between them are seven minutes in all. GitHub bans those who go on."""

_CUT = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.TimeoutException, httpx.DecodingError)
_HOP_BY_HOP = ("content-encoding", "content-length", "transfer-encoding")


class WholeAnswers(httpx.BaseTransport):
    """Sends requests for JSON; answers hold their whole body, 304 is answered from the cache with 200."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        report: SourceReport,
        *,
        timeout_seconds: float,
        cache: AnswerCache | None,
        clock: Clock,
    ) -> None:
        self._inner = inner
        self._report = report
        self._timeout = httpx.Timeout(timeout_seconds).as_dict()
        self._cache = cache
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, read to its end.

        Raises:
            SourceError: it is too large.
            httpx.HTTPError: it did not come whole, however often it was asked for.
        """
        # githubkit makes the request for an installation's token itself, and sets no time limit
        request.extensions.setdefault("timeout", self._timeout)
        url = str(request.url)
        cache = self._cache if request.method == "GET" else None
        known = cache.get(url) if cache is not None else None
        if known is not None:
            request.headers["If-None-Match"] = known.etag
        response = self._patiently(request)
        if response.status_code == 304 and known is not None:
            headers = httpx.Headers(response.headers)
            headers.setdefault("link", known.link)
            return httpx.Response(200, headers=headers, content=known.body, request=request)
        etag = response.headers.get("etag", "")
        if cache is not None and response.status_code == 200 and etag:
            cache.put(url, CachedAnswer(etag, response.headers.get("link", ""), response.content))
        return response

    def close(self) -> None:
        """Do nothing: githubkit closes its transport after each request of a thread; the owner closes it in the end."""

    def _patiently(self, request: httpx.Request) -> httpx.Response:
        """Return an answer to what PoliteTransport leaves: bodies that break off, tokens, limits without a header."""
        tries = 0
        while True:
            tries += 1
            try:
                response = self._whole(request)
            except _CUT:
                if tries == MAX_TRIES:
                    raise
                seconds = BACKOFF_SECONDS * 2 ** (tries - 1)
            else:
                if _is_secondary_limit(response) and tries < SECONDARY_LIMIT_TRIES:
                    seconds = SECONDARY_LIMIT_SECONDS * 2 ** (tries - 1)
                # a POST here asks for an installation's token, which may be asked for twice
                elif request.method == "POST" and response.status_code in RETRIED and tries < MAX_TRIES:
                    seconds = BACKOFF_SECONDS * 2 ** (tries - 1)
                else:
                    return response
            self._report.add(retries=1, waited_seconds=seconds)
            self._clock.sleep(seconds)

    def _whole(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        response.request = request
        body = bytearray()
        try:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise SourceError(f"{shown(request.url)} answers with more than {MAX_ANSWER_BYTES} bytes")
        finally:
            response.close()
        self._report.add(received_bytes=len(body))
        headers = [each for each in response.headers.multi_items() if each[0] not in _HOP_BY_HOP]
        return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=request)


class Identified(httpx.BaseTransport):
    """Sends requests for downloads: those to GitHub itself say who asks, all others are sent as they are."""

    def __init__(
        self, inner: httpx.BaseTransport, answers: httpx.BaseTransport, base: httpx.URL, auth: httpx.Auth
    ) -> None:
        self._inner = inner
        self._answers = answers
        self._base = base
        self._auth = auth

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, its body unread.

        Raises:
            SourceError: what githubkit says of an identity that is refused.
        """
        if not is_same_origin(request.url, self._base):
            return self._inner.handle_request(request)
        request.headers["X-GitHub-Api-Version"] = API_VERSION
        request.headers["Accept"] = "application/vnd.github+json"
        flow = self._auth.sync_auth_flow(request)
        outgoing = next(flow)
        while outgoing is not request:  # an installation's token comes first
            outgoing = flow.send(self._answers.handle_request(outgoing))
        flow.close()
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Do nothing: the owner closes the transport that both kinds of requests share."""


def _is_secondary_limit(response: httpx.Response) -> bool:
    """Say whether GitHub names a secondary limit in the text alone: it need not set a header."""
    if response.status_code not in (403, 429) or "retry-after" in response.headers:
        return False
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(response.content)
        return isinstance(told, dict) and "secondary rate limit" in str(told.get("message", "")).lower()
    return False
