"""`flakeguard upload`: what it says, what it refuses, and that nothing of the environment is written but the run."""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flakeguard_pipeline.cli import cli
from flakeguard_pipeline.domain.errors import ConfigurationError, UsageError
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.providers.drop_folder import DropFolder
from tests.unit.providers.test_ci_environment import GITHUB_PULL_REQUEST, GITLAB_MERGE_REQUEST, OPENED, SHA

REPORT = '<testsuite name="s"><testcase classname="c" name="test_a"/></testsuite>'
OPTIONS = ("--repository", "acme/shop", "--run-id", "7", "--sha", SHA, "--branch", "main")
OF_PROVIDERS = ("GITHUB_", "CI_", "CIRCLE", "BUILDKITE", "GITLAB_", "JENKINS_", "BUILD_", "JOB_", "GIT_", "CHANGE_")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "junit.xml").write_text(REPORT)
    return tmp_path / "reports"


def invoke(*arguments: object, environment: Mapping[str, str] | None = None) -> Result:
    """Run the command in an environment that has no variables of a CI but those that are given."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith(OF_PROVIDERS)}
    return CliRunner().invoke(cli, ["upload", *map(str, arguments)], env={**cleared, **(environment or {})})


def refusal(result: Result) -> str:
    assert isinstance(result.exception, UsageError), result.output
    assert result.exception.exit_status == 2
    return str(result.exception)


def test_a_job_uploads_with_the_variables_of_its_ci_alone(reports: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps(OPENED))
    environment = {**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": str(event)}
    (reports / "log.txt").write_text("nothing")
    result = invoke(
        reports, "--to", tmp_path / "ci", "--variant", "linux", "--conclusion", "failure", environment=environment
    )
    assert result.exit_code == 0, result.exception
    folder = tmp_path / "ci" / "github/acme/shop/9012345678/2"
    size = (folder / "test-results-linux.zip").stat().st_size
    assert result.output == (
        f"uploaded 1 report ({size} bytes) to {folder}/test-results-linux.zip; other files passed over: 1\n"
    )
    run = parse_run((folder / "run.json").read_bytes(), None, provider="github")
    assert (run.key.run_attempt, run.head_sha, run.pr_number, run.conclusion) == (2, SHA, 77, "failure")


def test_no_secret_of_the_environment_reaches_what_is_written_or_said(reports: Path, tmp_path: Path) -> None:
    planted = {**GITLAB_MERGE_REQUEST, "AWS_SECRET_ACCESS_KEY": "planted-too", "DATABASE_URL": "planted://db"}
    result = invoke(reports, "--to", tmp_path / "ci", environment=planted)
    assert result.exit_code == 0, result.exception
    written = [path for path in (tmp_path / "ci").rglob("*") if path.is_file()]
    assert len(written) == 2
    for path in written:
        assert b"planted" not in path.read_bytes()
    assert "planted" not in result.output


def test_a_second_upload_of_the_same_says_so(reports: Path, tmp_path: Path) -> None:
    arguments = (reports, "--to", tmp_path / "ci", *OPTIONS)
    assert invoke(*arguments).output.startswith("uploaded 1 report ")
    again = invoke(*arguments)
    assert again.output.startswith("there already: 1 report ")
    assert again.output.rstrip().endswith(f" at {tmp_path}/ci/github/acme/shop/7/1/test-results.zip")


def test_a_store_is_named_by_its_url(reports: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/ci"
    result = invoke(reports, "--to", url, *OPTIONS, "--provider", "jenkins", "--artifact", "unit")
    assert result.output.rstrip().endswith(f"to {url}/jenkins/acme/shop/7/1/unit.zip")
    (only,) = DropFolder(url).discover()
    assert [(file.artifact, file.kind) for file in only.files] == [("", "run"), ("unit", "zip")]


def test_a_dry_run_prints_run_json_and_writes_nothing(reports: Path, tmp_path: Path) -> None:
    result = invoke(reports, "--to", tmp_path / "ci", *OPTIONS, "--run-attempt", 3, "--workflow", "ci", "--dry-run")
    run = json.loads(result.output)
    assert (run["id"], run["run_attempt"], run["head_sha"], run["name"], run["status"]) == (
        7,
        3,
        SHA,
        "ci",
        "completed",
    )
    assert not (tmp_path / "ci").exists()


def test_everything_that_is_missing_is_named_at_once(reports: Path, tmp_path: Path) -> None:
    said = refusal(invoke(reports, "--to", tmp_path / "ci"))
    assert said == (
        "the CI's variables do not tell the repository, the run's id, the commit and the branch; give --repository, "
        "--run-id, --sha and --branch"
    )
    said = refusal(invoke(reports, "--to", tmp_path / "ci", *OPTIONS[:-2]))
    assert said == "the CI's variables do not tell the branch; give --branch"


@pytest.mark.parametrize("event", [None, "{", "[]", '{"pull_request": 7}'])
def test_an_event_that_cannot_be_read_makes_a_pull_request_ask_for_its_commit(
    reports: Path, tmp_path: Path, event: str | None
) -> None:
    if event is not None:
        (tmp_path / "event.json").write_text(event)
    environment = {**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    assert refusal(invoke(reports, "--to", tmp_path / "ci", environment=environment)).endswith("the commit; give --sha")


def test_a_folder_without_reports_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "log.txt").write_text("nothing")
    arguments = (tmp_path / "empty", "--to", tmp_path / "ci", *OPTIONS)
    assert refusal(invoke(*arguments)).startswith(f"{tmp_path}/empty holds no test report")
    assert not (tmp_path / "ci").exists()
    allowed = invoke(*arguments, "--allow-empty")
    assert (allowed.exit_code, allowed.output) == (
        0,
        f"no test reports in {tmp_path}/empty; recorded the run at {tmp_path}/ci/github/acme/shop/7/1/run.json\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sha", "main"), "'main' is no commit"),
        (("--repository", "shop"), "'shop' is no repository"),
        (("--artifact", "../x"), "an artifact cannot be called"),
        (("--to", "nowhere://x"), "nothing is known of nowhere://"),
    ],
)
def test_what_cannot_be_meant_is_refused(reports: Path, tmp_path: Path, arguments: tuple[str, str], said: str) -> None:
    result = invoke(reports, "--to", tmp_path / "ci", *OPTIONS, *arguments)
    assert said in refusal(result)
    assert isinstance(result.exception, ConfigurationError | UsageError)
    assert not (tmp_path / "ci").exists()
