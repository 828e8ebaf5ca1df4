"""What a source may read of GitHub, tried with one request each.

Permissions: https://docs.github.com/en/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens
and .../permissions-required-for-github-apps ("Actions", read).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from flakeguard_pipeline.domain.errors import SourceDeniedError, SourceError, SourceNotFoundError
from flakeguard_pipeline.providers.answers import object_of, objects_of, text_of
from flakeguard_pipeline.providers.github_client import GitHubClient
from flakeguard_pipeline.providers.github_runs import attempt_of
from flakeguard_pipeline.providers.http import read_json
from flakeguard_pipeline.providers.source import Access
from flakeguard_pipeline.source_sections import GitHubSection

ADVICE = (
    "a fine-grained token or a GitHub App needs the repository permission `Actions: read` (`Metadata: read` comes with "
    "it), a classic token the scope `repo` for a private repository and for fetching, and listing a public one needs "
    "nothing"
)


def check_access(client: GitHubClient, section: GitHubSection) -> Iterator[Access]:
    """Yield what the identity is, then for each repository whether runs, jobs and artifacts may be read."""
    yield _try("identity", lambda: _identity(client))
    for repository in section.repositories:
        yield from _repository(client, repository)


def _try(what: str, probe: Callable[[], str]) -> Access:
    try:
        return Access(what, True, probe())
    except SourceDeniedError as error:
        return Access(what, False, f"{error}; {ADVICE}")
    except (SourceError, OSError) as error:
        return Access(what, False, str(error))


def _identity(client: GitHubClient) -> str:
    try:
        response = client.ask(client.rest.rate_limit.get)
    except SourceNotFoundError:
        # https://docs.github.com/en/enterprise-server/rest/rate-limit: 404 where an administrator set no limits
        return f"{client.identity.kind}; this server has no rate limit"
    core = object_of(object_of(object_of(read_json(response)).get("resources")).get("core"))
    told = f"{client.identity.kind}; {_limit(core)}"
    scopes = response.headers.get("x-oauth-scopes")
    if scopes is not None:
        told += f"; its scopes: {scopes.strip() or 'none, which lists public repositories and fetches nothing'}"
    return told


def _limit(core: Mapping[str, Any]) -> str:
    reset = core.get("reset")
    when = ""
    if isinstance(reset, int) and 0 < reset < 10**11:
        when = f" until {datetime.fromtimestamp(reset, UTC):%H:%M} UTC"
    return f"{text_of(core, 'remaining') or '?'} of {text_of(core, 'limit') or '?'} requests an hour are left{when}"


def _repository(client: GitHubClient, name: str) -> Iterator[Access]:
    owner, _, repository = name.partition("/")
    actions = client.rest.actions
    run: dict[str, Any] = {}
    artifact: dict[str, Any] = {}

    def first(response: httpx.Response, items: str) -> Mapping[str, Any]:
        return next(iter(objects_of(object_of(read_json(response)).get(items))), {})

    def list_runs() -> str:
        run.update(
            first(client.ask(actions.list_workflow_runs_for_repo, owner, repository, per_page=1), "workflow_runs")
        )
        return "may be listed" if run else "may be listed; there are none"

    def list_jobs() -> str:
        number, attempt = run.get("id"), attempt_of(run)
        if not isinstance(number, int) or attempt is None:
            return "there is no run to try it with"
        client.ask(actions.list_jobs_for_workflow_run_attempt, owner, repository, number, attempt, per_page=1)
        return "may be listed"

    def list_artifacts() -> str:
        response = client.ask(actions.list_artifacts_for_repo, owner, repository, per_page=1)
        artifact.update(first(response, "artifacts"))
        return "may be listed" if artifact else "may be listed; there are none"

    def fetch_artifact() -> str:
        number = artifact.get("id")
        if not isinstance(number, int):
            return "there is no artifact to try it with"
        try:
            # the redirect is enough of an answer
            client.leads_away(actions.download_artifact, owner, repository, number, "zip")
        except SourceNotFoundError:
            return "the newest artifact has expired; otherwise it may be fetched"
        except SourceDeniedError as error:
            raise SourceDeniedError(f"{error} (fetching needs a token even where listing needs none)") from error
        return "may be fetched"

    yield _try(f"{name}: runs", list_runs)
    yield _try(f"{name}: jobs", list_jobs)
    yield _try(f"{name}: artifacts", list_artifacts)
    yield _try(f"{name}: downloads", fetch_artifact)
