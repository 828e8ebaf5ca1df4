"""What a CI job's environment says of its run, in the shape of GitHub's workflow run.

One function a provider reads the variables that its documentation lists, and only those, so that nothing else of the
environment is ever written anywhere:

    GitHub Actions  https://docs.github.com/en/actions/reference/workflows-and-actions/variables
                    https://docs.github.com/en/webhooks/webhook-events-and-payloads (the event's payload)
    GitLab          https://docs.gitlab.com/ci/variables/predefined_variables/
                    https://docs.gitlab.com/ci/jobs/job_rules/#ci_pipeline_source-predefined-variable
    Jenkins         https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables
                    https://plugins.jenkins.io/git/ (GIT_*)
    Buildkite       https://buildkite.com/docs/pipelines/configure/environment-variables
    CircleCI        https://circleci.com/docs/reference/variables/

Belongs here: variables and what they mean. Does not belong here: reading the environment, writing anything.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flakeguard_pipeline.providers.answers import full_name_of, iso, moment_of, object_of, text_of

Environment = Mapping[str, str]
Run = dict[str, Any]

GITHUB = "github"
"""The provider that is assumed where no variable tells one, because a drop folder's is."""

MAX_ATTEMPT = 2**31 - 1
"""The largest attempt that a database's integer holds."""

GITLAB_EVENTS = {
    "push": "push",
    "webide": "push",
    "merge_request_event": "pull_request",
    "external_pull_request_event": "pull_request",
    "schedule": "schedule",
    "web": "workflow_dispatch",
    "chat": "workflow_dispatch",
    "api": "repository_dispatch",
    "trigger": "repository_dispatch",
    "pipeline": "workflow_run",
    "parent_pipeline": "workflow_call",
}
"""CI_PIPELINE_SOURCE with GitHub's name for it; others keep GitLab's."""

GITLAB_CONCLUSIONS = {"success": "success", "failed": "failure", "canceled": "cancelled"}
"""CI_JOB_STATUS, which GitLab sets in `after_script` only."""

BUILDKITE_EVENTS = {
    "ui": "workflow_dispatch",
    "api": "workflow_dispatch",
    "trigger_job": "workflow_run",
    "schedule": "schedule",
}
"""BUILDKITE_SOURCE with GitHub's name for it; `webhook` is a push or a pull request."""

_SHA = re.compile(r"[0-9a-fA-F]{7,64}")
_FULL_NAME = re.compile(r"[^/\s]+(?:/[^/\s]+)+")
_TRAILING_NUMBER = re.compile(r"(?:^|[/!#])([1-9][0-9]{0,9})/?$")


@dataclass(frozen=True, slots=True)
class GivenRun:
    """What a person says of a run; it stands in front of what the environment says. None says nothing."""

    repository: str | None = None
    run_id: str | None = None
    run_attempt: int | None = None
    sha: str | None = None
    branch: str | None = None
    workflow: str | None = None
    conclusion: str | None = None


def provider_of(environment: Environment) -> str | None:
    """Return the CI provider whose variables an environment holds: `github`, `gitlab`, ...; None for none of them."""
    return next((name for name, (is_there, _) in PROVIDERS.items() if is_there(environment)), None)


def run_from_environment(
    environment: Environment, event: Mapping[str, Any] | None, now: datetime, provider: str | None = None
) -> Run:
    """Return the run that a CI job's environment tells, as GitHub's workflow run.

    What the environment does not tell is None; `missing` lists what has to be told. The status is `completed`, because
    nobody comes back to say so later.

    Args:
        environment: the environment variables.
        event: what the file at GITHUB_EVENT_PATH holds, on GitHub Actions.
        now: the moment of the upload, in UTC. It stands for the run's beginning where the provider does not tell that.
        provider: whose variables to read; None means whichever are there.
    """
    known = provider or provider_of(environment)
    read = PROVIDERS[known][1] if known in PROVIDERS else _nothing
    said = read({name: value for name, value in environment.items() if value.strip()}, event or {})
    began = said.created_at or now
    repository: dict[str, Any] = {
        "full_name": said.full_name or None,
        "default_branch": said.default_branch or None,
    }
    if said.repository_id is not None:
        repository["id"] = said.repository_id
    run: Run = {
        "id": said.run_id or None,
        "run_attempt": said.run_attempt,
        "name": said.workflow or None,
        "event": said.event or None,
        "status": "completed",
        "conclusion": said.conclusion or None,
        "head_branch": said.branch or None,
        "head_sha": said.sha if said.sha and _SHA.fullmatch(said.sha) else None,
        "created_at": iso(began),
        "run_started_at": iso(began),
        "updated_at": iso(max(now, began)),
        "html_url": _address(said.url) or None,
        "pull_requests": [{"number": said.pull_request}] if said.pull_request else [],
        "repository": repository,
    }
    if said.head_repository:
        run["head_repository"] = said.head_repository
    return run


def with_given(run: Run, given: GivenRun) -> Run:
    """Return a run with what a person said of it.

    A repository of another name loses the id that belongs to the environment's.
    """
    said = {
        "id": _as_environments_do(given.run_id),
        "run_attempt": given.run_attempt,
        "head_sha": given.sha,
        "head_branch": given.branch,
        "name": given.workflow,
        "conclusion": given.conclusion,
    }
    changed = {**run, **{name: value for name, value in said.items() if value is not None}}
    if given.repository is not None and given.repository != run["repository"]["full_name"]:
        changed["repository"] = {"full_name": given.repository, "default_branch": run["repository"]["default_branch"]}
        changed.pop("head_repository", None)
    return changed


def _as_environments_do(run_id: str | None) -> int | str | None:
    """Return a run's id in the type that it has where the environment tells it, so that both give the same bytes."""
    number = _number(run_id or "")
    return number if str(number) == run_id else run_id


def missing(run: Run) -> list[tuple[str, str]]:
    """Return what a run needs and does not have, each with the option that gives it."""
    needed = {
        "the repository": ("--repository", run["repository"]["full_name"]),
        "the run's id": ("--run-id", run["id"]),
        "the commit": ("--sha", run["head_sha"]),
        "the branch": ("--branch", run["head_branch"]),
    }
    return [(what, option) for what, (option, value) in needed.items() if not value]


def faults(run: Run) -> list[str]:
    """Return what of a run cannot be true, with what to do about it."""
    found = []
    if not _FULL_NAME.fullmatch(run["repository"]["full_name"] or ""):
        found.append(f"{run['repository']['full_name']!r} is no repository; write --repository owner/name")
    if not _SHA.fullmatch(run["head_sha"] or ""):
        found.append(f"{run['head_sha']!r} is no commit; give --sha its 40 hexadecimal digits")
    return found


@dataclass(frozen=True, slots=True)
class _Said:
    """What an environment says of a run. '' and None mean: nothing."""

    run_id: int | str = ""
    run_attempt: int = 1
    workflow: str = ""
    event: str = ""
    conclusion: str = ""
    branch: str = ""
    sha: str = ""
    created_at: datetime | None = None
    url: str = ""
    pull_request: int | None = None
    full_name: str = ""
    repository_id: int | str | None = None
    default_branch: str = ""
    head_repository: dict[str, Any] | None = None


def _nothing(_environment: Environment, _event: Mapping[str, Any]) -> _Said:
    return _Said()


def _github(environment: Environment, event: Mapping[str, Any]) -> _Said:
    variable = environment.get
    name = variable("GITHUB_EVENT_NAME", "")
    full_name, run_id = variable("GITHUB_REPOSITORY", ""), _number(variable("GITHUB_RUN_ID", ""))
    own = _repository(full_name, _number(variable("GITHUB_REPOSITORY_ID", "")))
    pull_request = object_of(event.get("pull_request"))
    head = object_of(pull_request.get("head"))
    of_pull_request = name.startswith("pull_request")
    # a pull request's GITHUB_SHA is of a merge that exists for this run alone; the run is of its head
    sha = text_of(head, "sha") if of_pull_request else variable("GITHUB_SHA", "")
    server = variable("GITHUB_SERVER_URL", "")
    source = object_of(head.get("repo"))
    return _Said(
        run_id=run_id or "",
        run_attempt=_attempt(variable("GITHUB_RUN_ATTEMPT", "")),
        workflow=variable("GITHUB_WORKFLOW", ""),
        event=name,
        branch=variable("GITHUB_HEAD_REF", "") or variable("GITHUB_REF_NAME", ""),
        sha=sha,
        url=f"{server}/{full_name}/actions/runs/{run_id}" if server and full_name and run_id else "",
        pull_request=_number(text_of(pull_request, "number")),
        full_name=full_name,
        repository_id=_number(variable("GITHUB_REPOSITORY_ID", "")),
        default_branch=text_of(object_of(event.get("repository")), "default_branch"),
        head_repository=(
            _repository(text_of(source, "full_name"), _number(text_of(source, "id"))) if of_pull_request else own
        ),
    )


def _gitlab(environment: Environment, _event: Mapping[str, Any]) -> _Said:
    variable = environment.get
    source = variable("CI_PIPELINE_SOURCE", "")
    merge_request = variable("CI_MERGE_REQUEST_IID") or variable("CI_EXTERNAL_PULL_REQUEST_IID", "")
    identity, full_name = _number(variable("CI_PROJECT_ID", "")), variable("CI_PROJECT_PATH", "")
    head = _repository(
        variable("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", ""),
        _number(variable("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "")),
    )
    return _Said(
        run_id=_number(variable("CI_PIPELINE_ID", "")) or "",
        workflow="child pipeline" if source == "parent_pipeline" else "pipeline",
        event="pull_request" if merge_request else GITLAB_EVENTS.get(source, source),
        conclusion=GITLAB_CONCLUSIONS.get(variable("CI_JOB_STATUS", ""), ""),
        branch=variable("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
        or variable("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME")
        or variable("CI_COMMIT_REF_NAME", ""),
        sha=variable("CI_COMMIT_SHA", ""),
        created_at=moment_of(environment, "CI_PIPELINE_CREATED_AT"),
        url=variable("CI_PIPELINE_URL", ""),
        pull_request=_number(merge_request or ""),
        full_name=full_name,
        repository_id=identity,
        default_branch=variable("CI_DEFAULT_BRANCH", ""),
        head_repository=head or _repository(full_name, identity),
    )


def _jenkins(environment: Environment, _event: Mapping[str, Any]) -> _Said:
    variable = environment.get
    job, number = variable("JOB_NAME", ""), variable("BUILD_NUMBER", "")
    change, branch = variable("CHANGE_ID", ""), variable("BRANCH_NAME", "")
    remote_branch = re.sub(r"^(?:refs/)?(?:remotes/)?origin/", "", variable("GIT_BRANCH", ""))
    # a branch's job lies in its project, under the branch's name as Jenkins writes it
    project = job.rpartition("/")[0] if branch else ""
    return _Said(
        run_id=f"{job}#{number}" if job and number else "",
        workflow=project or job,
        event="pull_request" if change else "push",
        branch=variable("CHANGE_BRANCH") or branch or ("" if remote_branch == "detached" else remote_branch),
        sha=variable("GIT_COMMIT", ""),
        url=variable("BUILD_URL", ""),
        pull_request=_number(change),
        full_name=full_name_of(variable("GIT_URL") or variable("GIT_URL_1", "")),
        default_branch=branch if variable("BRANCH_IS_PRIMARY") == "true" else "",
    )


def _buildkite(environment: Environment, _event: Mapping[str, Any]) -> _Said:
    variable = environment.get
    number = _number(variable("BUILDKITE_PULL_REQUEST", ""))  # `false` where there is none
    source, exit_status = variable("BUILDKITE_SOURCE", ""), variable("BUILDKITE_COMMAND_EXIT_STATUS", "")
    slug, organization = variable("BUILDKITE_PIPELINE_SLUG", ""), variable("BUILDKITE_ORGANIZATION_SLUG", "")
    named = f"{organization}/{slug}" if organization and slug else ""
    full_name = full_name_of(variable("BUILDKITE_REPO", "")) or named
    head = full_name_of(variable("BUILDKITE_PULL_REQUEST_REPO", "")) or full_name
    return _Said(
        run_id=variable("BUILDKITE_BUILD_ID", ""),
        # counts the retries of this job
        run_attempt=1 + (_number(variable("BUILDKITE_RETRY_COUNT", "")) or 0),
        workflow=variable("BUILDKITE_PIPELINE_NAME") or slug,
        event=BUILDKITE_EVENTS.get(source, "pull_request" if number else "push"),
        conclusion="" if not exit_status else "success" if exit_status == "0" else "failure",
        branch=variable("BUILDKITE_BRANCH") or variable("BUILDKITE_TAG", ""),
        sha=variable("BUILDKITE_COMMIT", ""),  # may be `HEAD`, which is no commit
        url=variable("BUILDKITE_BUILD_URL", ""),
        pull_request=number,
        full_name=full_name,
        default_branch=variable("BUILDKITE_PIPELINE_DEFAULT_BRANCH", ""),
        head_repository=_repository(head, None),
    )


def _circleci(environment: Environment, _event: Mapping[str, Any]) -> _Said:
    variable = environment.get
    # of several pull requests of one branch CircleCI names one
    number = _number(variable("CIRCLE_PR_NUMBER", "")) or _trailing_number(variable("CIRCLE_PULL_REQUEST", ""))
    owner, name = variable("CIRCLE_PROJECT_USERNAME", ""), variable("CIRCLE_PROJECT_REPONAME", "")
    full_name = f"{owner}/{name}" if owner and name else full_name_of(variable("CIRCLE_REPOSITORY_URL", ""))
    head_owner, head_name = variable("CIRCLE_PR_USERNAME", ""), variable("CIRCLE_PR_REPONAME", "")
    workflow = variable("CIRCLE_WORKFLOW_ID", "")
    return _Said(
        run_id=workflow,
        event="pull_request" if number else "push",
        branch=variable("CIRCLE_BRANCH") or variable("CIRCLE_TAG", ""),
        sha=variable("CIRCLE_SHA1", ""),
        # CIRCLE_BUILD_URL is the job's, and differs within the run
        url=f"https://app.circleci.com/pipelines/workflows/{workflow}" if workflow else "",
        pull_request=number,
        full_name=full_name,
        head_repository=_repository(f"{head_owner}/{head_name}" if head_owner and head_name else full_name, None),
    )


PROVIDERS: dict[str, tuple[Callable[[Environment], bool], Callable[[Environment, Mapping[str, Any]], _Said]]] = {
    GITHUB: (lambda variables: variables.get("GITHUB_ACTIONS") == "true", _github),
    "gitlab": (lambda variables: bool(variables.get("GITLAB_CI")), _gitlab),
    "buildkite": (lambda variables: variables.get("BUILDKITE") == "true", _buildkite),
    "circleci": (lambda variables: variables.get("CIRCLECI") == "true", _circleci),
    # last, because a job elsewhere may start a Jenkins
    "jenkins": (lambda variables: bool(variables.get("JENKINS_URL") or variables.get("BUILD_TAG")), _jenkins),
}
"""By provider: what tells that its variables are there, and what reads them."""


def _repository(full_name: str, identity: int | None) -> dict[str, Any] | None:
    if not full_name and identity is None:
        return None
    return {"full_name": full_name} if identity is None else {"id": identity, "full_name": full_name}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 20 else None


def _attempt(text: str) -> int:
    number = _number(text) or 1
    return number if number <= MAX_ATTEMPT else 1


def _trailing_number(address: str) -> int | None:
    found = _TRAILING_NUMBER.search(address.partition("?")[0].partition("#")[0])
    return int(found[1]) if found else None


def _address(url: str) -> str:
    """Return a web address without what may be secret in it; '' for what is none."""
    try:
        split = urlsplit(url)
    except ValueError:
        return ""
    host = split.netloc.rpartition("@")[2]
    return f"{split.scheme}://{host}{split.path}" if split.scheme in ("http", "https") and host else ""
