"""Asking a CI provider over HTTP: answers and downloads, whole, without telling its secret to anyone else.

Belongs here: HTTP. Does not belong here: waiting and trying again (transport.py), what an answer means.
"""

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

import httpx

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.providers.patience import BACKOFF_SECONDS, MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import SourceReport
from flakeguard_pipeline.providers.transport import PoliteTransport, number_of

USER_AGENT = "flakeguard"

MAX_ANSWER_BYTES = 256 * 1024**2
"""Bytes of the largest answer that is held in memory: a page of a listing has some hundred kilobytes."""

MAX_DOWNLOAD_BYTES = 16 * 1024**3
"""Bytes of the largest artifact: GitHub's limit for one is ten gigabytes."""

PROGRESS_BYTES = 256 * 1024
"""Bytes that a download which is taken up must bring to count as progress: then the tries are counted anew, so that a
line that breaks now and then brings the largest artifact, and one that brings a byte each time ends."""

MAX_REFUSALS = 3
"""Times that a store refuses what the provider sent us to it with: one address may have run out, not each."""

SPOOL_BYTES = 8 * 1024**2
"""Bytes of a download that stay in memory; larger ones wait on disk."""

MAX_REDIRECTS = 5
"""Redirects in a row: one to the store, perhaps one more to its region; more are a circle."""

MAX_REDIRECT_BYTES = 64 * 1024
"""Bytes of the largest text beside a redirect or a refusal that is worth reading."""

CHUNK_BYTES = 1 << 18

_HEADERS = {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive"}
_PLAIN_PATH = re.compile(r"\w[\w-]*(?:[./][\w-]+)*", re.ASCII)
"""A path that joins an address as it is: no scheme, query, empty part or step upwards."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_CUT = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.TimeoutException)
_OTHER_RANGE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


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
        """Prepare to ask `base_url`; `transport` is a PoliteTransport unless a test says otherwise.

        Raises:
            ConfigurationError: a secret cannot be sent.
        """
        self.base_url = httpx.URL(base_url if base_url.endswith("/") else base_url + "/")
        self._is_plain = not self.base_url.query and not self.base_url.fragment
        self.report = report
        self._secrets = dict(secret_headers or {})
        if not all(text.isascii() and text.isprintable() and text == text.strip() for text in self._secrets.values()):
            # httpx would quote the value
            raise ConfigurationError(
                f"the secret for {shown(self.base_url)} is empty, or holds a line end, blanks around it, or "
                "characters beyond ASCII; look at what its environment variable or file really holds"
            )
        self._clock = clock or Clock()
        self._headers = {**_HEADERS, **(headers or {})}
        self._extensions = {"timeout": httpx.Timeout(timeout_seconds).as_dict()}
        # No client around it: what one adds (cookies, which are secrets and go to every port and subdomain of a host;
        # redirects, which are followed here) is not wanted, and takes a fifth of the time of a small download.
        self._transport = transport or PoliteTransport(
            report, requests_per_second=requests_per_second, connections=connections, clock=self._clock
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def url(self, path: str) -> httpx.URL:
        """Return the address of a path below the base; an absolute address stays as it is.

        Raises:
            SourceError: it is none.
        """
        if self._is_plain and _PLAIN_PATH.fullmatch(path):
            # the same as below, in a third of the time
            return httpx.URL(f"{self.base_url}{path}")
        return _joined(self.base_url, path)

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Return the answer to a GET, read to its end: 2xx or 304.

        Raises:
            SourceDeniedError: 401 or 403.
            SourceNotFoundError: 404 or 410.
            SourceError: anything else.
        """
        for tries in range(1, MAX_TRIES + 1):
            try:
                with self._stream(path, params, headers) as response:
                    response._content = self._body(response)  # what `response.read` would have set, had it a limit
                break
            except (*_CUT, httpx.DecodingError) as error:
                self._wait_or_give_up(path, tries, error)
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
            self._fetch(path, {"accept-encoding": "identity", **(headers or {})}, file)
            file.seek(0)
            yield file

    def _fetch(self, path: str, headers: Mapping[str, str], file: BinaryIO) -> None:
        """Write everything that a GET answers with to a file, from its begin."""
        partial = _Partial(file)
        tries, refusals, furthest = 1, 0, 0
        while True:
            try:
                with self._stream(path, None, {**headers, **partial.wanted()}, also=_OTHER_RANGE) as response:
                    partial.begin(response)
                    self._receive(response, file)
                    partial.end()
                break
            except SourceNotFoundError as error:
                raise ArtifactGoneError(str(error)) from error
            except SourceDeniedError as error:
                # a store's signed address may have run out meanwhile: the provider gives another
                refusals += 1
                if not error.is_elsewhere or refusals == MAX_REFUSALS:
                    raise
                self.report.add(retries=1)
            except _CUT as error:
                if partial.is_resumed and file.tell() >= furthest + PROGRESS_BYTES:
                    tries = 1
                furthest = max(furthest, file.tell())
                self._wait_or_give_up(path, tries, error)
                tries += 1

    def _wait_or_give_up(self, path: str, tries: int, error: httpx.HTTPError) -> None:
        """Wait before the next try to receive what broke off."""
        if tries == MAX_TRIES:
            raise _unreachable(self.url(path), error) from error
        seconds = BACKOFF_SECONDS * 2 ** (tries - 1)
        self.report.add(retries=1, waited_seconds=seconds)
        self._clock.sleep(seconds)

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        try:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise SourceError(f"{shown(response.url)} answers with more than {MAX_ANSWER_BYTES} bytes")
        finally:
            self.report.add(received_bytes=response.num_bytes_downloaded)
        return bytes(body)

    def _receive(self, response: httpx.Response, file: BinaryIO) -> None:
        # pieces as they come: larger ones would be lost with the connection
        for chunk in response.iter_raw():
            file.write(chunk)
            self.report.add(received_bytes=len(chunk))
            if file.tell() > MAX_DOWNLOAD_BYTES:
                raise SourceError(f"{shown(response.url)} is larger than {MAX_DOWNLOAD_BYTES} bytes")

    @contextlib.contextmanager
    def _stream(
        self, path: str, params: Mapping[str, Any] | None, headers: Mapping[str, str] | None, also: int | None = None
    ) -> Iterator[httpx.Response]:
        """Yield an answer whose body was not read yet, after all redirects: 2xx, 304, or `also`."""
        url = self.url(path)
        for _ in range(MAX_REDIRECTS + 1):
            secrets = self._secrets if is_same_origin(url, self.base_url) else {}
            told = {**self._headers, **(headers or {}), **secrets}
            request = httpx.Request("GET", url, params=params, headers=told, extensions=self._extensions)
            try:
                response = self._transport.handle_request(request)
            except httpx.HTTPError as error:
                raise _unreachable(url, error) from error
            response.request = request
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    _read_to_its_end(response)
                    url, params = _joined(response.url, response.headers["location"]), None
                    continue
                if response.status_code != also:
                    _require(response, is_elsewhere=not is_same_origin(url, self.base_url))
                yield response
                return
            finally:
                response.close()
        raise SourceError(f"{shown(self.url(path))} redirects more than {MAX_REDIRECTS} times")


def _read_to_its_end(response: httpx.Response) -> None:
    """Read a short text, as beside a redirect: a connection is used again only when its answer was read to the end."""
    length = number_of(response.headers.get("content-length"))
    if length is not None and length <= MAX_REDIRECT_BYTES:
        with contextlib.suppress(httpx.HTTPError):
            response.read()


def read_json(response: httpx.Response) -> Any:
    """Return the JSON of an answer.

    Raises:
        SourceError: it is no JSON.
    """
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{shown(response.url)} answers with something that is no JSON; is the source's `url` the provider's API?"
        ) from error


class _Partial:
    """How much of a download a file holds, and of which bytes: what to ask for, and whether an answer fits.

    Answers that do not fit raise httpx.RemoteProtocolError, as a line that breaks does: what came is kept or forgotten,
    and the next request asks for what is missing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.is_resumed = False
        self._file = file
        self._mark = ""
        self._size: int | None = None

    def wanted(self) -> dict[str, str]:
        """Return the headers that ask for the rest, if these very bytes are still there; none for the whole."""
        position = self._file.tell()
        return {"range": f"bytes={position}-", "if-range": self._mark} if self._mark and position else {}

    def begin(self, response: httpx.Response) -> None:
        """Prepare the file for an answer's body."""
        was_wanted, position = bool(self.wanted()), self._file.tell()
        self.is_resumed, self._size = False, None
        if response.status_code == 206 and was_wanted:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            # not every store looks at `If-Range`
            if found and int(found[1]) == position and _validator(response) == self._mark:
                self.is_resumed, self._size = True, int(found[3])
                return
        self._forget()
        if response.status_code == 200:
            self._mark = _validator(response)
        elif was_wanted:
            raise httpx.RemoteProtocolError(f"answered with another part than was asked for ({response.status_code})")
        else:
            raise SourceError(
                f"{shown(response.url)} answers with {response.status_code} in the place of a file; run again later"
            )

    def end(self) -> None:
        """Check that a body was the last of the download."""
        if self._size is None or self._file.tell() == self._size:
            return
        if self._file.tell() > self._size:
            self._forget()
        raise httpx.RemoteProtocolError("answered with another number of bytes than it said")

    def _forget(self) -> None:
        self._mark = ""
        self._file.seek(0)
        self._file.truncate()


def _validator(response: httpx.Response) -> str:
    """Return what tells these very bytes from others of the same address: a strong ETag, as RFC 9110 wants it."""
    etag: str = response.headers.get("etag", "")
    return "" if etag.startswith("W/") else etag


def _require(response: httpx.Response, *, is_elsewhere: bool) -> None:
    status = response.status_code
    if response.is_success or status == 304:
        return
    place = shown(response.url)
    if is_elsewhere and (status in (401, 403) or _has_run_out(response)):
        raise SourceDeniedError(
            f"{place} refuses us ({status}), where the provider has sent us; run again later, and check what the "
            "source's token may read",
            status=status,
            is_elsewhere=True,
        )
    if status in (401, 403):
        raise SourceDeniedError(
            f"{place} refuses us ({status}); check the source's token and what it may read",
            status=status,
        )
    if status in _GONE:
        raise SourceNotFoundError(f"{place} is not there ({status}); check the name, and whether the token may see it")
    if status == 429:
        raise SourceBusyError(f"{place} asks us to slow down ({status}) after {MAX_TRIES} tries; run again later")
    raise SourceError(f"{place} answers with {status} after every try; run again later")


def _has_run_out(response: httpx.Response) -> bool:
    """Say whether a store refuses an address as too old in the way of Google's (400, and the reason in the text)."""
    if response.status_code != 400:
        return False
    _read_to_its_end(response)
    return response.is_stream_consumed and b"<Code>ExpiredToken</Code>" in response.content


def _joined(base: httpx.URL, address: str) -> httpx.URL:
    """Return an address that an answer gave us."""
    try:
        return base.join(address)
    except httpx.InvalidURL as error:
        raise SourceError(f"{shown(base)} leads to something that is no address; look there by hand") from error


def is_same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Say whether two addresses are of one server, and may hear the same secrets."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def shown(url: httpx.URL) -> str:
    """Return an address without what may be secret: user, password, query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> SourceError:
    # what is wrong with our own request would be quoted from it
    told = "" if isinstance(error, httpx.LocalProtocolError) else str(error)
    return SourceError(
        f"{shown(url)} cannot be reached ({type(error).__name__}: {told or 'no answer'}); check the source's "
        "`url` and the network, then run again"
    )
