"""run.json out of a CI job's environment: environments as the providers set them, of pushes and pull requests."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.domain.model import RunAttempt, RunStatus
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.providers.ci_environment import (
    PROVIDERS,
    GivenRun,
    faults,
    missing,
    provider_of,
    run_from_environment,
    with_given,
)

NOW = datetime(2026, 3, 2, 9, 31, 12, tzinfo=UTC)
SHA = "5f2d6c1e0b7a49d3c8e1f0a2b3c4d5e6f7a8b9c0"
MERGE = "ffffffffffffffffffffffffffffffffffffffff"

GITHUB_PUSH = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "octocat",
    "GITHUB_API_URL": "https://api.github.com",
    "GITHUB_BASE_REF": "",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_HEAD_REF": "",
    "GITHUB_JOB": "test",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_REPOSITORY_ID": "482117093",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_RUN_ID": "9012345678",
    "GITHUB_RUN_NUMBER": "314",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_SHA": SHA,
    "GITHUB_TOKEN": "ghs_PlantedSecretPlantedSecretPlanted000",
    "GITHUB_WORKFLOW": "ci",
    "ACTIONS_RUNTIME_TOKEN": "eyJ.planted.secret",
}
PUSHED = {"repository": {"id": 482117093, "full_name": "acme/shop", "default_branch": "main"}}
GITHUB_PULL_REQUEST = {
    **GITHUB_PUSH,
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_BASE_REF": "main",
    "GITHUB_HEAD_REF": "feature/cart",
    "GITHUB_REF": "refs/pull/77/merge",
    "GITHUB_REF_NAME": "77/merge",
    "GITHUB_SHA": MERGE,
}
OPENED = {
    **PUSHED,
    "action": "opened",
    "number": 77,
    "pull_request": {
        "number": 77,
        "head": {"sha": SHA, "ref": "feature/cart", "repo": {"id": 5, "full_name": "octocat/shop"}},
        "base": {"ref": "main"},
    },
}
GITLAB_PUSH = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_SERVER_URL": "https://gitlab.example.com",
    "CI_PROJECT_ID": "17",
    "CI_PROJECT_PATH": "acme/backend/shop",
    "CI_DEFAULT_BRANCH": "trunk",
    "CI_PIPELINE_ID": "4711",
    "CI_PIPELINE_IID": "12",
    "CI_PIPELINE_SOURCE": "push",
    "CI_PIPELINE_CREATED_AT": "2026-03-02T09:14:00Z",
    "CI_PIPELINE_URL": "https://gitlab.example.com/acme/backend/shop/-/pipelines/4711",
    "CI_COMMIT_SHA": SHA,
    "CI_COMMIT_REF_NAME": "trunk",
    "CI_COMMIT_BRANCH": "trunk",
    "CI_JOB_ID": "90001",
    "CI_JOB_NAME": "test",
    "CI_JOB_TOKEN": "glcbt-planted-secret",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:planted-secret@gitlab.example.com/acme/backend/shop.git",
}
GITLAB_MERGE_REQUEST = {
    **{name: value for name, value in GITLAB_PUSH.items() if name != "CI_COMMIT_BRANCH"},
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_COMMIT_REF_NAME": "refs/merge-requests/9/head",
    "CI_MERGE_REQUEST_IID": "9",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/cart",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "99",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "octocat/shop",
    "CI_JOB_STATUS": "failed",
}
JENKINS_BRANCH = {
    "JENKINS_URL": "https://jenkins.example.com/",
    "BUILD_NUMBER": "153",
    "BUILD_ID": "153",
    "BUILD_TAG": "jenkins-acme-shop-main-153",
    "BUILD_URL": "https://jenkins.example.com/job/acme/job/shop/job/main/153/",
    "JOB_NAME": "acme/shop/main",
    "JOB_BASE_NAME": "main",
    "BRANCH_NAME": "main",
    "BRANCH_IS_PRIMARY": "true",
    "GIT_BRANCH": "main",
    "GIT_COMMIT": SHA,
    "GIT_URL": "https://ci-bot:planted-secret@github.com/acme/shop.git",
}
JENKINS_CHANGE = {
    **{name: value for name, value in JENKINS_BRANCH.items() if name != "BRANCH_IS_PRIMARY"},
    "BRANCH_NAME": "PR-77",
    "JOB_NAME": "acme/shop/PR-77",
    "GIT_BRANCH": "PR-77",
    "CHANGE_ID": "77",
    "CHANGE_BRANCH": "feature/cart",
    "CHANGE_TARGET": "main",
}
JENKINS_FREESTYLE = {
    "BUILD_TAG": "jenkins-shop-153",
    "BUILD_NUMBER": "153",
    "JOB_NAME": "shop",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": SHA,
    "GIT_URL": "git@github.com:acme/shop.git",
}
BUILDKITE_PUSH = {
    "BUILDKITE": "true",
    "BUILDKITE_AGENT_ACCESS_TOKEN": "planted-secret",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_BUILD_ID": "4735ba57-80d0-46e2-8fa0-b28223a86586",
    "BUILDKITE_BUILD_NUMBER": "1514",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/acme/shop/builds/1514",
    "BUILDKITE_COMMIT": SHA,
    "BUILDKITE_JOB_ID": "e44f9784-e20e-4b93-a21d-f41fd5869db9",
    "BUILDKITE_ORGANIZATION_SLUG": "acme",
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "main",
    "BUILDKITE_PIPELINE_NAME": "Shop",
    "BUILDKITE_PIPELINE_SLUG": "shop",
    "BUILDKITE_PULL_REQUEST": "false",
    "BUILDKITE_PULL_REQUEST_REPO": "",
    "BUILDKITE_REPO": "git@github.com:acme/shop.git",
    "BUILDKITE_RETRY_COUNT": "0",
    "BUILDKITE_SOURCE": "webhook",
    "BUILDKITE_TAG": "",
}
BUILDKITE_PULL_REQUEST = {
    **BUILDKITE_PUSH,
    "BUILDKITE_BRANCH": "octocat:feature/cart",
    "BUILDKITE_PULL_REQUEST": "77",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
    "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/octocat/shop.git",
    "BUILDKITE_RETRY_COUNT": "1",
    "BUILDKITE_COMMAND_EXIT_STATUS": "1",
}
CIRCLECI_PUSH = {
    "CI": "true",
    "CIRCLECI": "true",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_BUILD_NUM": "99",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/99",
    "CIRCLE_JOB": "test",
    "CIRCLE_OIDC_TOKEN": "eyJ.planted.secret",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
    "CIRCLE_SHA1": SHA,
    "CIRCLE_WORKFLOW_ID": "0b1c2d3e-0000-4000-8000-aabbccddeeff",
}
CIRCLECI_FORK = {
    **CIRCLECI_PUSH,
    "CIRCLE_BRANCH": "pull/77",
    "CIRCLE_PR_NUMBER": "77",
    "CIRCLE_PR_REPONAME": "shop",
    "CIRCLE_PR_USERNAME": "octocat",
    "CIRCLE_PULL_REQUEST": "https://github.com/acme/shop/pull/77",
}
ENVIRONMENTS: dict[str, tuple[Mapping[str, str], Mapping[str, Any] | None]] = {
    "github push": (GITHUB_PUSH, PUSHED),
    "github pull request": (GITHUB_PULL_REQUEST, OPENED),
    "gitlab push": (GITLAB_PUSH, None),
    "gitlab merge request": (GITLAB_MERGE_REQUEST, None),
    "jenkins branch": (JENKINS_BRANCH, None),
    "jenkins change": (JENKINS_CHANGE, None),
    "jenkins freestyle": (JENKINS_FREESTYLE, None),
    "buildkite push": (BUILDKITE_PUSH, None),
    "buildkite pull request": (BUILDKITE_PULL_REQUEST, None),
    "circleci push": (CIRCLECI_PUSH, None),
    "circleci fork": (CIRCLECI_FORK, None),
}


def read(
    environment: Mapping[str, str], event: Mapping[str, Any] | None = None, given: GivenRun | None = None
) -> RunAttempt:
    """Return the run attempt that the ingestion reads of what an environment tells."""
    run = with_given(run_from_environment(environment, event, NOW), given or GivenRun())
    assert missing(run) == []
    assert faults(run) == []
    return parse_run(json.dumps(run).encode(), None, provider=provider_of(environment) or "github")


# -- each provider -------------------------------------------------------------------------------------------


def test_github_of_a_push() -> None:
    found = read(GITHUB_PUSH, PUSHED)
    assert (found.key.provider, found.key.repository_ref) == ("github", "482117093")
    assert (found.key.run_id, found.key.run_attempt) == ("9012345678", 2)
    assert (found.full_name, found.default_branch, found.workflow, found.event) == ("acme/shop", "main", "ci", "push")
    assert (found.branch, found.head_sha, found.pr_number) == ("main", SHA, None)
    assert found.run_url == "https://github.com/acme/shop/actions/runs/9012345678"
    assert found.head_repository_ref == "482117093"
    assert (found.created_at, found.run_started_at, found.updated_at) == (NOW, NOW, NOW)
    assert (found.status, found.conclusion) == (RunStatus.COMPLETED, "")


def test_github_of_a_pull_request_is_of_its_head_and_not_of_the_merge_that_was_tested() -> None:
    found = read(GITHUB_PULL_REQUEST, OPENED)
    assert (found.event, found.branch, found.head_sha, found.pr_number) == ("pull_request", "feature/cart", SHA, 77)
    assert found.head_repository_ref == "5"


def test_github_of_a_pull_request_without_its_event_asks_for_the_commit() -> None:
    run = run_from_environment(GITHUB_PULL_REQUEST, None, NOW)
    assert missing(run) == [("the commit", "--sha")]
    assert MERGE not in json.dumps(run)


def test_github_of_a_pull_request_whose_fork_was_deleted() -> None:
    event = {**OPENED, "pull_request": {"number": 77, "head": {"sha": SHA, "repo": None}}}
    assert read(GITHUB_PULL_REQUEST, event).head_repository_ref == ""


def test_gitlab_of_a_push() -> None:
    found = read(GITLAB_PUSH)
    assert (found.key.provider, found.key.repository_ref, found.key.run_id) == ("gitlab", "17", "4711")
    assert (found.full_name, found.default_branch, found.event) == ("acme/backend/shop", "trunk", "push")
    assert (found.branch, found.head_sha, found.pr_number) == ("trunk", SHA, None)
    assert found.created_at == found.run_started_at == datetime(2026, 3, 2, 9, 14, tzinfo=UTC)
    assert found.updated_at == NOW
    assert found.run_url == "https://gitlab.example.com/acme/backend/shop/-/pipelines/4711"
    assert found.conclusion == ""


def test_gitlab_of_a_merge_request() -> None:
    found = read(GITLAB_MERGE_REQUEST)
    assert (found.event, found.branch, found.pr_number) == ("pull_request", "feature/cart", 9)
    assert (found.head_repository_ref, found.conclusion) == ("99", "failure")


@pytest.mark.parametrize(
    ("source", "event"),
    [("schedule", "schedule"), ("web", "workflow_dispatch"), ("parent_pipeline", "workflow_call"), ("odd", "odd")],
)
def test_gitlab_of_other_sources(source: str, event: str) -> None:
    assert read({**GITLAB_PUSH, "CI_PIPELINE_SOURCE": source}).event == event


def test_jenkins_of_a_branch() -> None:
    found = read(JENKINS_BRANCH)
    assert (found.key.provider, found.key.repository_ref) == ("jenkins", "name:acme/shop")
    assert (found.key.run_id, found.workflow) == ("acme/shop/main#153", "acme/shop")
    assert (found.branch, found.head_sha, found.event, found.default_branch) == ("main", SHA, "push", "main")
    assert found.run_url == "https://jenkins.example.com/job/acme/job/shop/job/main/153/"


def test_jenkins_of_a_change_request() -> None:
    found = read(JENKINS_CHANGE)
    assert (found.event, found.branch, found.pr_number) == ("pull_request", "feature/cart", 77)
    assert (found.workflow, found.default_branch) == ("acme/shop", "")


def test_jenkins_of_a_freestyle_job() -> None:
    found = read(JENKINS_FREESTYLE)
    assert (found.key.run_id, found.workflow, found.branch) == ("shop#153", "shop", "main")


def test_jenkins_on_a_detached_head_asks_for_the_branch() -> None:
    run = run_from_environment({**JENKINS_FREESTYLE, "GIT_BRANCH": "detached"}, None, NOW)
    assert missing(run) == [("the branch", "--branch")]


def test_buildkite_of_a_push() -> None:
    found = read(BUILDKITE_PUSH)
    assert (found.key.provider, found.key.repository_ref) == ("buildkite", "name:acme/shop")
    assert (found.key.run_id, found.key.run_attempt) == ("4735ba57-80d0-46e2-8fa0-b28223a86586", 1)
    assert (found.workflow, found.event, found.branch, found.default_branch) == ("Shop", "push", "main", "main")
    assert (found.pr_number, found.conclusion) == (None, "")


def test_buildkite_of_a_retried_job_of_a_pull_request() -> None:
    found = read(BUILDKITE_PULL_REQUEST)
    assert (found.event, found.pr_number, found.key.run_attempt) == ("pull_request", 77, 2)
    assert (found.head_repository_ref, found.conclusion) == ("name:octocat/shop", "failure")


def test_buildkite_of_a_build_that_names_no_commit_asks_for_it() -> None:
    run = run_from_environment({**BUILDKITE_PUSH, "BUILDKITE_COMMIT": "HEAD"}, None, NOW)
    assert missing(run) == [("the commit", "--sha")]


def test_circleci_of_a_push() -> None:
    found = read(CIRCLECI_PUSH)
    assert (found.key.provider, found.key.repository_ref) == ("circleci", "name:acme/shop")
    assert found.key.run_id == "0b1c2d3e-0000-4000-8000-aabbccddeeff"
    assert (found.branch, found.head_sha, found.event, found.pr_number) == ("main", SHA, "push", None)
    assert found.run_url == "https://app.circleci.com/pipelines/workflows/0b1c2d3e-0000-4000-8000-aabbccddeeff"


def test_circleci_of_a_pull_request() -> None:
    fork = read(CIRCLECI_FORK)
    assert (fork.event, fork.pr_number, fork.head_repository_ref) == ("pull_request", 77, "name:octocat/shop")
    own = read({**CIRCLECI_PUSH, "CIRCLE_PULL_REQUEST": "https://github.com/acme/shop/pull/78"})
    assert (own.event, own.pr_number) == ("pull_request", 78)


def test_circleci_of_a_tag_and_of_a_project_without_names() -> None:
    environment = {name: value for name, value in CIRCLECI_PUSH.items() if not name.startswith("CIRCLE_PROJECT_")}
    del environment["CIRCLE_BRANCH"]
    found = read({**environment, "CIRCLE_TAG": "v1.2.3"})
    assert (found.branch, found.full_name) == ("v1.2.3", "acme/shop")


# -- all of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_secret_of_an_environment_is_told(name: str) -> None:
    environment, event = ENVIRONMENTS[name]
    told = json.dumps(run_from_environment(environment, event, NOW)).lower()
    assert "planted" not in told
    assert "ci-bot" not in told


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_variable_that_nobody_reads_changes_nothing(name: str) -> None:
    environment, event = ENVIRONMENTS[name]
    more = {**environment, "SOME_SECRET": "x", "CI_RUNNER_ID": "7", "PATH": "/bin"}
    assert run_from_environment(more, event, NOW) == run_from_environment(environment, event, NOW)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_provider_is_known_by_its_variables(name: str) -> None:
    assert provider_of(ENVIRONMENTS[name][0]) == name.split(maxsplit=1)[0]


def test_a_web_address_is_told_without_user_and_query() -> None:
    run = run_from_environment(
        {**JENKINS_BRANCH, "BUILD_URL": "https://me:planted@ci.test/job/1/?token=planted"}, None, NOW
    )
    assert run["html_url"] == "https://ci.test/job/1/"


def test_an_empty_environment_tells_nothing_and_names_every_option() -> None:
    run = run_from_environment({}, None, NOW)
    assert provider_of({}) is None
    assert [option for _, option in missing(run)] == ["--repository", "--run-id", "--sha", "--branch"]


def test_what_a_person_gives_stands_in_front_and_a_repository_of_another_name_loses_the_id() -> None:
    given = GivenRun("acme/blog", "8", 3, MERGE, "other", "nightly", "failure")
    found = read(GITHUB_PUSH, PUSHED, given)
    assert (found.key.repository_ref, found.key.run_id, found.key.run_attempt) == ("name:acme/blog", "8", 3)
    assert (found.head_sha, found.branch, found.workflow, found.conclusion) == (MERGE, "other", "nightly", "failure")
    assert read(GITHUB_PUSH, PUSHED, GivenRun(repository="acme/shop")).key.repository_ref == "482117093"


def test_what_a_person_gives_makes_the_same_run_as_the_environment_does() -> None:
    run = run_from_environment(GITHUB_PUSH, PUSHED, NOW)
    assert with_given(run, GivenRun(run_id="9012345678", sha=SHA, run_attempt=2)) == run


def test_what_cannot_be_true_is_told_with_its_option() -> None:
    run = with_given(run_from_environment(GITHUB_PUSH, PUSHED, NOW), GivenRun(repository="shop", sha="main"))
    assert [text.partition(";")[0] for text in faults(run)] == ["'shop' is no repository", "'main' is no commit"]


variables = st.sampled_from(sorted({name for environment, _ in ENVIRONMENTS.values() for name in environment}))
values = st.one_of(st.text(max_size=12), st.sampled_from(["true", "false", "0", "-1", "9" * 30, "https://[", SHA]))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["pull_request", "head", "repo", "number", "sha", "repository", "id"]), inner)
    ),
    max_leaves=8,
)


@given(
    provider=st.sampled_from(sorted(PROVIDERS)),
    environment=st.dictionaries(variables, values),
    event=st.dictionaries(st.sampled_from(["pull_request", "repository"]), anything),
)
def test_any_environment_gives_a_run_that_is_read_or_says_what_is_missing(
    provider: str, environment: dict[str, str], event: dict[str, Any]
) -> None:
    run = run_from_environment(environment, event, NOW, provider)
    if not missing(run) and not faults(run):
        assert parse_run(json.dumps(run).encode(), None, provider=provider).head_sha == run["head_sha"]
