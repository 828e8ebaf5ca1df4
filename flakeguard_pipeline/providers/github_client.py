"""Asking GitHub: typed requests through githubkit, pages, downloads, and errors that say what to do.

githubkit builds the requests from GitHub's published OpenAPI description and knows the identities. Answers are read as
plain JSON: its models refuse answers that GitHub gives, and run.json is to hold what GitHub said.
"""

import contextlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

from flakeguard_pipeline.domain.errors import (
    FlakeGuardError,
    SourceBusyError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.providers.answers import object_of, require_list, require_object
from flakeguard_pipeline.providers.github_cache import AnswerCache
from flakeguard_pipeline.providers.github_transport import (
    API_VERSION,
    Identified,
    WholeAnswers,
)
from flakeguard_pipeline.providers.http import MAX_REDIRECTS, USER_AGENT, HttpSession, is_same_origin, read_json, shown
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import SourceReport
from flakeguard_pipeline.providers.transport import PoliteTransport

if TYPE_CHECKING:
    from githubkit import Response
    from githubkit.auth import BaseAuthStrategy
    from githubkit_schemas.core import RestVersionSwitcher

PER_PAGE = 100
"""Entries a page: the most that GitHub gives."""

MAX_PAGES = 400
"""Pages of one listing: GitHub itself ends an unfiltered one there. A source that has more repeats itself."""

HEADERS = {"X-GitHub-Api-Version": API_VERSION}

_PERMISSIONS = re.compile(r"[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+)*")
_NEXT = re.compile(r'<[^<>]*>\s*;[^,]*\brel="?next"?')


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `key` tells it apart from others without telling the secret; `kind` is for people."""

    kind: str
    key: str
    auth: "BaseAuthStrategy"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: its new entries, each with an `id`; how many GitHub says there are; whether more follow."""

    entries: tuple[dict[str, Any], ...]
    total: int | None
    is_full: bool
    has_next: bool


class GitHubClient:
    """GitHub's REST API for one identity. Threads may use it at once; close it in the end."""

    def __init__(
        self,
        base_url: str,
        identity: Identity,
        report: SourceReport,
        *,
        timeout_seconds: float,
        downloads: int,
        requests_per_second: float | None,
        cache_dir: Path | None,
        clock: Clock,
    ) -> None:
        # imported here and not above: it takes half a second, which a command that asks nothing need not wait for
        from githubkit import GitHub  # noqa: PLC0415
        from githubkit.cache import MemCacheStrategy  # noqa: PLC0415
        from githubkit.exception import GitHubException  # noqa: PLC0415

        self._errors = (GitHubException, ValueError)
        self.identity = identity
        self.report = report
        # one more than downloads, so that a listing need not wait for them
        self._network = PoliteTransport(
            report, requests_per_second=requests_per_second, connections=downloads + 1, clock=clock
        )
        cache = None if cache_dir is None else AnswerCache(cache_dir, identity.key, clock=clock)
        answers = WholeAnswers(self._network, report, timeout_seconds=timeout_seconds, cache=cache, clock=clock)
        # githubkit keeps its HTTP client in a context variable, so a thread gets one of its own for each request. That
        # costs little, because they all share the transport, which is not theirs to close.
        self._github = GitHub(
            identity.auth,
            base_url=base_url,
            user_agent=USER_AGENT,
            follow_redirects=False,
            timeout=timeout_seconds,
            transport=answers,
            # its own default is shared by all clients of a process, and knows an installation by its number alone
            cache_strategy=MemCacheStrategy(),
            http_cache=False,
            auto_retry=False,
        )
        self._base = self._github.config.base_url
        self._downloads = HttpSession(
            str(self._base),
            report,
            timeout_seconds=timeout_seconds,
            transport=Identified(self._network, answers, self._base, identity.auth.get_auth_flow(self._github)),
            clock=clock,
        )

    @property
    def rest(self) -> "RestVersionSwitcher":
        """The requests that GitHub's description knows, for `ask`, `json` and `pages`."""
        return self._github.rest

    def close(self) -> None:
        """Close all connections."""
        self._downloads.close()
        self._network.close()

    def ask(self, request: Callable[..., "Response[Any, Any]"], *arguments: Any, **parameters: Any) -> httpx.Response:
        """Return the answer to one of `rest`'s requests, 2xx.

        Raises:
            SourceDeniedError: 401 or 403.
            SourceNotFoundError: 404 or 410.
            SourceBusyError: a limit is used up for longer than is worth waiting.
            SourceError: anything else.
        """
        response = self._followed(request, *arguments, **parameters)
        if not response.is_success:
            raise SourceError(f"{shown(response.url)} answers with {response.status_code}; run again later")
        return response

    def leads_away(self, request: Callable[..., "Response[Any, Any]"], *arguments: Any) -> bool:
        """Say whether a request is answered with a redirect to another server, as downloads are. Raises as `ask`."""
        return self._followed(request, *arguments).has_redirect_location

    def _followed(
        self, request: Callable[..., "Response[Any, Any]"], *arguments: Any, **parameters: Any
    ) -> httpx.Response:
        """Return an answer after all redirects within GitHub: our identity goes nowhere else."""
        response = self._sent(request, *arguments, **parameters)
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("location", "")
            if not response.is_redirect or not location:
                break
            # a repository that was renamed: GitHub answers for its number
            target = response.url.join(location)
            if not is_same_origin(target, self._base):
                break
            if not target.query:
                target = target.copy_with(query=response.url.query or None)
            response = self._sent(self._github.request, "GET", target)
        return response

    def json(
        self, request: Callable[..., "Response[Any, Any]"], *arguments: Any, **parameters: Any
    ) -> Mapping[str, Any]:
        """Return the JSON object that a request answers with. Raises as `ask`."""
        response = self.ask(request, *arguments, **parameters)
        return require_object(read_json(response), shown(response.url), "an object")

    def pages(
        self,
        request: Callable[..., "Response[Any, Any]"],
        *arguments: Any,
        items: str,
        what: str,
        **parameters: Any,
    ) -> Generator[Page, None, None]:
        """Yield the pages of a listing until GitHub has no more, or nothing new. Each entry comes once.

        Args:
            request: one of `rest`'s requests that takes `page` and `per_page`.
            *arguments: what it is asked for.
            items: the field of the answer that holds the entries.
            what: what is listed, for notes.
            **parameters: its other parameters.
        """
        seen: set[int] = set()
        totals: list[int] = []
        for number in range(1, MAX_PAGES + 1):
            response = self.ask(request, *arguments, **parameters, per_page=PER_PAGE, page=number)
            where = shown(response.url)
            told = require_object(read_json(response), where, "a page")
            listed = require_list(told.get(items), where, what)
            entries = self._new(listed, seen, what)
            total = told.get("total_count")
            total = total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None
            if total is not None:
                totals.append(total)
            link = response.headers.get("link", "")
            is_full = len(listed) >= PER_PAGE
            # a proxy may have dropped `Link`; then the total tells, or that the page is full
            is_short = is_full if total is None else len(seen) < total
            has_next = bool(_NEXT.search(link)) or (not link and is_short)
            if entries or number == 1:
                yield Page(entries, total, is_full, has_next)
            if not has_next or not listed:
                break
            if not entries:
                self.report.note(f"a listing of {what} goes on with entries that it had before")
                break
        else:
            self.report.note(f"a listing of {what} has more than {MAX_PAGES} pages; the rest was left out")
        # entries come and go while the pages are asked for, and the total with them
        if totals and not min(totals) <= len(seen) <= max(totals):
            self.report.note(f"a listing of {what} has another number of entries than its total says")

    @contextlib.contextmanager
    def download(self, location: str) -> Iterator[BinaryIO]:
        """Yield a file with all that a location answers with; redirects are followed without our identity.

        Raises:
            ArtifactGoneError: GitHub no longer has it.
            SourceError: anything else.
        """
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._downloads.download(location))
            except self._errors as error:
                raise self._explained(error) from None
            yield file

    def _new(self, listed: list[Any], seen: set[int], what: str) -> tuple[dict[str, Any], ...]:
        """Return the entries that have an id and were not seen; add them to `seen`."""
        entries = []
        for entry in listed:
            identity = object_of(entry).get("id")
            if isinstance(identity, bool) or not isinstance(identity, int) or identity <= 0:
                self.report.note(f"a listing of {what} has an entry without an id; it was left out")
            elif identity not in seen:
                seen.add(identity)
                entries.append(dict(entry))
        return tuple(entries)

    def _sent(self, request: Callable[..., "Response[Any, Any]"], *arguments: Any, **parameters: Any) -> httpx.Response:
        try:
            return request(*arguments, **parameters, headers=HEADERS).raw_response
        # githubkit wraps whatever goes wrong below it, and lets through what goes wrong in reading a header
        except self._errors as error:
            raise self._explained(error) from None  # what is below may quote an answer that holds a token

    def _explained(self, error: Exception) -> FlakeGuardError:
        """Return what to tell of an error of githubkit's or httpx's."""
        cause: Exception = error
        while isinstance(inner := getattr(cause, "exc", None), Exception):
            cause = inner
        if isinstance(cause, FlakeGuardError):
            return cause
        if isinstance(cause, httpx.HTTPStatusError):
            return self._refused(cause.response)
        if isinstance(cause, httpx.HTTPError):
            told = type(cause).__name__
            return SourceError(
                f"{shown(self._base)} cannot be reached ({told}); check the source's `url` and the network, then run "
                "again"
            )
        if isinstance(error, ValueError):
            return SourceBusyError(
                f"{shown(self._base)} asks us to slow down, and does not say how long; run again later"
            )
        if isinstance(cause, ValueError):
            return SourceError(f"{shown(self._base)} answers to the GitHub App with something that is no token")
        return SourceError(f"{shown(self._base)} cannot be asked ({type(cause).__name__}); run again later")

    def _refused(self, response: httpx.Response) -> SourceError:
        status, where = response.status_code, shown(response.url)
        if response.request.method == "POST":
            return SourceDeniedError(
                f"{where} gives no token to the GitHub App ({status}); check `app_id`, `installation_id` and "
                "`private_key`, and that the installation has the permission `actions: read`"
            )
        if status == 401:
            return SourceDeniedError(f"{where} refuses our identity (401); the token has run out or is none: renew it")
        if status == 403:
            needs = response.headers.get("x-accepted-github-permissions", "")
            needs = needs.replace("=", ": ") if _PERMISSIONS.fullmatch(needs) else "actions: read"
            told = f"{where} refuses us (403); {self.identity.kind} needs the permission `{needs}`"
            if b"SAML" in response.content:
                told += ", and has to be authorized for the organization's single sign-on"
            return SourceDeniedError(told)
        if status in (404, 410):
            return SourceNotFoundError(
                f"{where} is not there ({status}); check the name, and whether {self.identity.kind} may see it"
            )
        if status == 429:
            return SourceBusyError(f"{where} asks us to slow down (429) after every try; run again later")
        return SourceError(f"{where} answers with {status} after every try; run again later")
