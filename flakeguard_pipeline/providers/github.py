"""GitHub Actions, on github.com or GitHub Enterprise Server: the attempts of workflow runs, their jobs and artifacts.

    runs         GET /repos/{owner}/{repo}/actions/runs                                      in discover
    attempts     GET .../actions/runs/{run_id}/attempts/{attempt_number}                     earlier ones, in contents
    jobs         GET .../actions/runs/{run_id}/attempts/{attempt_number}/jobs                in contents
    artifacts    GET .../actions/runs/{run_id}/artifacts                                     in contents
    bytes        GET .../actions/artifacts/{artifact_id}/zip, a redirect to a store          in open

https://docs.github.com/en/rest/actions. What a window means here: GitHub lists runs by when they were created, so an
attempt is found in the window of its run's creation; a re-run of an older run is found by looking back as far.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.providers import github_runs as runs
from flakeguard_pipeline.providers.answers import moment_of, text_of
from flakeguard_pipeline.providers.github_check import check_access
from flakeguard_pipeline.providers.github_client import GitHubClient, Page
from flakeguard_pipeline.providers.github_identity import identity_of
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, Access, FoundFile, FoundFolder, SourceReport, Window
from flakeguard_pipeline.source_sections import GitHubSection, SecretReference

RUN_FILE = "run.json"
JOB_FILE = "job.json"

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_FOLDER = re.compile(r"(?P<repository>[^/]+/[^/]+)/(?P<run>[0-9]+)/(?P<attempt>[0-9]+)")


def build_github(
    section: GitHubSection,
    secret: Callable[[SecretReference], str],
    *,
    clock: Clock | None = None,
    cache_dir: Path | None = None,
) -> "GitHubSource":
    """Return the source that a section of the configuration describes.

    Args:
        section: what to read, and as whom.
        secret: returns the text of a secret.
        clock: the clock, and waiting.
        cache_dir: where answers are kept that GitHub may say 304 to; None keeps none.

    Raises:
        ConfigurationError: a repository's name, the token or the App's key cannot be meant.
    """
    for repository in section.repositories:
        if not _REPOSITORY.fullmatch(repository) or set(repository.split("/")) & {".", ".."}:
            raise ConfigurationError(
                f"the source {section.name} names the repository {repository!r}; write it as owner/name"
            )
    clock = clock or Clock()
    report = SourceReport()
    client = GitHubClient(
        section.url,
        identity_of(section, secret),
        report,
        timeout_seconds=section.timeout_seconds,
        downloads=section.downloads,
        requests_per_second=section.requests_per_second,
        cache_dir=cache_dir,
        clock=clock,
    )
    return GitHubSource(section, client, report, clock)


class GitHubSource:
    """The workflow runs of some repositories. Threads may call `contents` and `open` at once; close it in the end."""

    def __init__(self, section: GitHubSection, client: GitHubClient, report: SourceReport, clock: Clock) -> None:
        self._section = section
        self._client = client
        self._report = report
        self._clock = clock
        self._repositories: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What its folders are entered under in the landing zone."""
        return self._section.name

    @property
    def title(self) -> str:
        """What a message calls it, with its place."""
        return f"the source {self.name}, GitHub Actions at {self._section.url}"

    @property
    def provider(self) -> str:
        """The CI provider whose run ids and repository ids these are."""
        return "github"

    @property
    def report(self) -> SourceReport:
        """What asking has cost so far, and what was odd."""
        return self._report

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield a folder for each attempt of each run that was created in the window, the newest runs first.

        A repository that cannot be listed does not keep the others from being listed; its error comes at the end.

        Raises:
            SourceError: a repository cannot be listed, or GitHub cannot be asked at all.
        """
        failed: list[SourceError] = []
        names = dict.fromkeys(name.lower() for name in self._section.repositories)
        for name in names:
            try:
                for begin, end in runs.spans(window, self._clock.now()):
                    for run in self._runs(name, begin, end):
                        if runs.is_wanted(run, self._section.workflows) and runs.overlaps(run, window):
                            yield from self._folders(name, run)
            except (SourceDeniedError, SourceNotFoundError) as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return run.json, job.json and the artifacts of one attempt; of an unfinished one run.json alone.

        An attempt that GitHub has deleted since has no files.
        """
        match = _FOLDER.fullmatch(found.folder)
        if match is None:
            raise SourceError(f"{self.title} has no folder {found.folder!r}; it is of another source")
        name, run_id, attempt = match["repository"], int(match["run"]), int(match["attempt"])
        full_name, branch = self._full_name(name), text_of(self._repository(name), "default_branch")
        listed = next((file for file in found.files if file.kind == "run" and file.inline is not None), None)
        try:
            run = self._attempt(name, run_id, attempt) if listed is None else _read(listed)
        except SourceNotFoundError:
            self._report.note(f"{name}: an earlier attempt of a run is no longer there")
            return ()
        run_file = listed or FoundFile("", RUN_FILE, "run", "", runs.run_bytes(run, branch))
        if not found.is_finished:
            return (run_file,)
        jobs = self._listing(
            name, self._client.rest.actions.list_jobs_for_workflow_run_attempt, run_id, attempt, items="jobs"
        )
        artifacts = self._listing(
            name, self._client.rest.actions.list_workflow_run_artifacts, run_id, items="artifacts"
        )
        following = self._following(name, run_id, attempt, run, artifacts or [], is_last=listed is not None)
        started = moment_of(run, "run_started_at")
        own = [each for each in artifacts or [] if runs.is_of_attempt(each, attempt, started, following)]
        job_files = [] if jobs is None else [FoundFile("", JOB_FILE, "jobs", "", runs.jobs_bytes(jobs))]
        return (run_file, *job_files, *sorted(runs.artifact_files(own, full_name, self._section.artifacts)))

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file; an artifact was received whole, from wherever GitHub redirects to."""
        if file.inline is not None:
            return cast("AbstractContextManager[BinaryIO]", io.BytesIO(file.inline))
        if file.kind == "expired":
            raise ArtifactGoneError(f"the artifact {file.artifact} at {file.location} has expired")
        return self._client.download(file.location)

    def check(self) -> Iterator[Access]:
        """Try what the source is to read, and say for each whether it may; raises nothing."""
        return check_access(self._client, self._section)

    def _runs(self, name: str, begin: int, end: int) -> Iterator[dict[str, Any]]:
        """Yield the runs that were created in a span, each once; a span with too many is halved."""
        owner, repository = self._full_name(name).split("/")
        half = runs.middle(begin, end)
        listed: set[int] = set()
        is_filtered = True
        pages = self._client.pages(
            self._client.rest.actions.list_workflow_runs_for_repo,
            owner,
            repository,
            items="workflow_runs",
            what=f"the runs of {name}",
            created=runs.created_filter(begin, end),
        )
        for page in pages:
            is_filtered &= _is_inside(page, begin, end)
            has_too_many = (page.total or 0) >= runs.SEARCH_LIMIT and page.is_full and page.has_next
            if not listed and half is not None and has_too_many and is_filtered:
                pages.close()
                yield from self._runs(name, half, end)
                yield from self._runs(name, begin, half)
                return
            for run in page.entries:
                listed.add(run["id"])
                created = runs.created_second(run)
                if created is None:
                    self._report.note(f"{name}: a run has no `created_at`; it was left out")
                elif begin <= created < end:
                    yield run
        if not is_filtered:
            self._report.note(f"{name}: GitHub lists runs that were created at another time than was asked for")
        elif len(listed) >= runs.SEARCH_LIMIT:
            # its total was too low, and what lies behind the thousandth was never listed
            if half is None:
                self._report.note(f"{name}: more than {runs.SEARCH_LIMIT} runs of one second; the rest was left out")
                return
            for first, last in ((half, end), (begin, half)):
                yield from (run for run in self._runs(name, first, last) if run["id"] not in listed)

    def _folders(self, name: str, run: Mapping[str, Any]) -> Iterator[FoundFolder]:
        """Yield a run's attempts, the newest first, of which the listing tells."""
        attempt = runs.attempt_of(run)
        if attempt is None:
            self._report.note(f"{name}: a run has no number of an attempt; it was left out")
            return
        started = moment_of(run, "run_started_at") or moment_of(run, "created_at")
        branch = text_of(self._repository(name), "default_branch")
        folder = f"{name}/{run['id']}"
        yield FoundFolder(
            f"{folder}/{attempt}",
            runs.fingerprint(run, attempt),
            (FoundFile("", RUN_FILE, "run", "", runs.run_bytes(run, branch)),),
            day=started.date().isoformat() if started else "",
            is_finished=runs.is_finished(run),
        )
        first = max(1, attempt - runs.MAX_ATTEMPTS + 1)
        if first > 1:
            self._report.note(f"{name}: a run has more than {runs.MAX_ATTEMPTS} attempts; the oldest were left out")
        for earlier in range(attempt - 1, first - 1, -1):
            yield FoundFolder(f"{folder}/{earlier}", runs.final_fingerprint(run, earlier))

    def _listing(
        self, name: str, request: Callable[..., Any], *arguments: int, items: str
    ) -> list[dict[str, Any]] | None:
        """Return all entries of a run's listing; None where GitHub no longer has it."""
        owner, repository = self._full_name(name).split("/")
        what = f"the {items} of a run of {name}"
        try:
            pages = self._client.pages(request, owner, repository, *arguments, items=items, what=what)
            return [entry for page in pages for entry in page.entries]
        except SourceNotFoundError:
            self._report.note(f"{what} is no longer there")
            return None

    def _attempt(self, name: str, run_id: int, attempt: int) -> Mapping[str, Any]:
        owner, repository = self._full_name(name).split("/")
        return self._client.json(self._client.rest.actions.get_workflow_run_attempt, owner, repository, run_id, attempt)

    def _following(
        self,
        name: str,
        run_id: int,
        attempt: int,
        run: Mapping[str, Any],
        artifacts: list[dict[str, Any]],
        *,
        is_last: bool,
    ) -> datetime | None:
        """Return when the next attempt began; None where there is none.

        The newest attempt of the listing may have been followed by another since. Only an artifact that is younger than
        what was listed makes it worth a request to know.
        """
        updated = moment_of(run, "updated_at")
        times = [created for each in artifacts if (created := moment_of(each, "created_at")) is not None]
        if is_last and (updated is None or all(time <= updated for time in times)):
            return None
        try:
            return moment_of(self._attempt(name, run_id, attempt + 1), "run_started_at")
        except SourceNotFoundError:
            # GitHub has deleted the next attempt; this one ended before it
            return None if is_last or updated is None else updated + timedelta(seconds=1)

    def _full_name(self, name: str) -> str:
        """Return what GitHub calls a repository now: it may have been renamed."""
        told = text_of(self._repository(name), "full_name")
        return told if _REPOSITORY.fullmatch(told) else name

    def _repository(self, name: str) -> Mapping[str, Any]:
        """Return GitHub's object of a repository, asked for once: runs do not tell its default branch."""
        known = self._repositories.get(name)
        if known is None:
            owner, _, repository = name.partition("/")
            known = self._client.json(self._client.rest.repos.get, owner, repository)
            with self._lock:
                self._repositories[name] = known
        return known


def _is_inside(page: Page, begin: int, end: int) -> bool:
    """Say whether GitHub kept to the span that was asked for; its end belongs to it."""
    times = [second for run in page.entries if (second := runs.created_second(run)) is not None]
    return all(begin <= second <= end for second in times)


def _read(file: FoundFile) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", json.loads(file.inline or b"{}"))
