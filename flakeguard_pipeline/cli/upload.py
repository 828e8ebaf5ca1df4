"""`flakeguard upload`: a CI job hands its test reports over to a drop folder."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from flakeguard_pipeline.domain.errors import UsageError

MAX_EVENT_BYTES = 32 * 1024**2
"""Bytes of the largest event that is read: GitHub caps what it delivers at 25 megabytes."""

CONCLUSIONS = ("success", "failure")
DEFAULT_ARTIFACT = "test-results"


@click.command(short_help="Hand a CI job's test reports over to a drop folder.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "to", required=True, metavar="URL", help="The drop folder: a path, or s3://, gs://, az://, ...")
@click.option("--artifact", default=DEFAULT_ARTIFACT, show_default=True, metavar="NAME", help="The artifact's name.")
@click.option("--variant", metavar="TEXT", help="What these tests ran on; becomes the end of the artifact's name.")
@click.option("--conclusion", type=click.Choice(CONCLUSIONS), help="How the job ended. [default: not known]")
@click.option("--repository", metavar="NAME", help="The repository: owner/name. [default: the CI's variables]")
@click.option("--run-id", metavar="ID", help="The run, pipeline or build. [default: the CI's variables]")
@click.option(
    "--run-attempt", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Its attempt. [default: the CI's variables]"
)
@click.option("--sha", metavar="SHA", help="The commit that was tested. [default: the CI's variables]")
@click.option("--branch", metavar="NAME", help="The branch that was tested. [default: the CI's variables]")
@click.option("--workflow", metavar="NAME", help="The workflow or pipeline. [default: the CI's variables]")
@click.option("--provider", metavar="NAME", help="The CI provider. [default: the one whose variables are there]")
@click.option("--endpoint-url", metavar="URL", help="The object store's address, where it is not the usual one.")
@click.option("--allow-empty", is_flag=True, help="Succeed where DIR has no report: only the run is recorded.")
@click.option("--dry-run", is_flag=True, help="Print run.json and write nothing.")
def upload(
    *,
    folder: Path,
    to: str,
    artifact: str,
    variant: str | None,
    conclusion: str | None,
    repository: str | None,
    run_id: str | None,
    run_attempt: int | None,
    sha: str | None,
    branch: str | None,
    workflow: str | None,
    provider: str | None,
    endpoint_url: str | None,
    allow_empty: bool,
    dry_run: bool,
) -> None:
    """Write the test reports in DIR to the drop folder URL, as one artifact of this CI run.

    Reads the variables of GitHub Actions, GitLab, Jenkins, Buildkite and CircleCI; what they do not tell, options do.
    Readers never see a half-written upload, and uploading again changes nothing. Exit status: 0 when the reports are
    there; 2 for wrong usage, without reports, or when something is not known of the run; 1 for a failure.

    \b
    flakeguard upload --to s3://ci-results build/test-results
    flakeguard upload --to /mnt/ci --variant linux-py312 --conclusion failure reports
    """
    from flakeguard_pipeline.ingest.uploading import artifact_name, gather_reports, place_at, run_bytes
    from flakeguard_pipeline.ingest.uploading import upload as write
    from flakeguard_pipeline.providers.ci_environment import GITHUB, GivenRun, provider_of

    name = artifact_name(artifact, variant)
    given = GivenRun(
        repository=repository,
        run_id=run_id,
        run_attempt=run_attempt,
        sha=sha,
        branch=branch,
        workflow=workflow,
        conclusion=conclusion,
    )
    run = _run_of(given, provider)
    gathered = gather_reports(folder)
    if not gathered.reports and not allow_empty:
        raise UsageError(
            f"{folder} holds no test report and no zip archive ({gathered.passed_over} other files); name the folder "
            "that the test reports are in, or allow this with --allow-empty"
        )
    if dry_run:
        click.echo(run_bytes(run).decode(), nl=False)
        return
    written = write(
        gathered.reports,
        run,
        provider=provider or provider_of(os.environ) or GITHUB,
        artifact=name,
        place=place_at(to, endpoint_url),
    )
    if not gathered.reports:
        click.echo(f"no test reports in {folder}; recorded the run at {written.run}")
        return
    others = f"; other files passed over: {gathered.passed_over}" if gathered.passed_over else ""
    done = "uploaded" if written.is_new else "there already:"
    reports = "1 report" if len(gathered.reports) == 1 else f"{len(gathered.reports)} reports"
    click.echo(
        f"{done} {reports} ({written.size_bytes} bytes) {'to' if written.is_new else 'at'} {written.artifact}{others}"
    )


def _run_of(given: Any, provider: str | None) -> dict[str, Any]:
    """Return the run that the environment and the options tell.

    Raises:
        UsageError: something that a run needs is not known, or is nothing that it can be.
    """
    from flakeguard_pipeline.providers.ci_environment import faults, missing, run_from_environment, with_given

    now = datetime.now(UTC).replace(microsecond=0)
    run = with_given(run_from_environment(os.environ, _event(os.environ), now, provider), given)
    unknown = missing(run)
    if unknown:
        raise UsageError(
            f"the CI's variables do not tell {_listed([what for what, _ in unknown])}; give "
            f"{_listed([option for _, option in unknown])}"
        )
    wrong = faults(run)
    if wrong:
        raise UsageError("; ".join(wrong))
    return run


def _event(environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the event that GitHub Actions keeps in a file; None where there is none that can be read."""
    path = environment.get("GITHUB_EVENT_PATH")
    try:
        if not path or Path(path).stat().st_size > MAX_EVENT_BYTES:
            return None
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # what it would have told is asked for
    return event if isinstance(event, Mapping) else None


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
