"""CircleCI's API v2 as a source: workflows of pipelines, with the artifacts and the test metadata of their jobs.

One folder is one workflow. A re-run is a further workflow of the same name in the same pipeline, so it is a further
attempt of the same run: its number is its rank among them by date.

Source of the shapes: https://circleci.com/docs/api/v2/ (Pipeline, Workflow, Job, Project); of the addresses of
artifacts and the token for them: https://circleci.com/docs/guides/optimize/artifacts/; of re-runs:
https://circleci.com/docs/guides/orchestrate/automatic-reruns.
"""

import contextlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

import httpx

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ArtifactGoneError, SourceError, SourceNotFoundError
from flakeguard_pipeline.providers.answers import (
    full_name_of,
    is_wanted,
    iso,
    json_bytes,
    moment_of,
    object_of,
    objects_of,
    require_list,
    require_object,
    require_token,
    segment,
    text_of,
)
from flakeguard_pipeline.providers.circleci_tests import junit_of
from flakeguard_pipeline.providers.http import HttpSession
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, Access, FoundFile, FoundFolder, SourceReport, Window
from flakeguard_pipeline.providers.transport import PoliteTransport
from flakeguard_pipeline.source_sections import CircleCISection, SecretReference

PROVIDER = "circleci"

TOKEN_HEADER = "Circle-Token"  # noqa: S105 - the name of a header

ARTIFACT_ORIGINS = {"https://circleci.com": "https://output.circle-artifacts.com"}
"""CircleCI's own host for artifacts, by that of its API. It wants the token for a private project's artifacts, so it is
the one further host that the token is sent to."""

MAX_PAGES = 10_000
"""Pages of one listing: some hundred thousand pipelines, or tests of a job. More is a circle."""

DEFAULT_SUFFIXES = (".xml",)
"""Artifacts that are brought where configuration names none: reports."""

REPORT_NAME = "tests.xml"
"""What the report that is made of a job's test metadata is called."""

CONCLUSIONS = {
    "success": "success",
    "failed": "failure",
    "error": "failure",
    "canceled": "cancelled",
    "unauthorized": "action_required",
    "not_run": "skipped",
    "on_hold": "action_required",
}
"""States of a workflow that is over, in GitHub's words; one that is on hold may be (`_progress`)."""

ON_HOLD = "on_hold"

UNFINISHED = frozenset({"running", "failing"})
"""States of a workflow that goes on."""

JOB_CONCLUSIONS = {
    "success": "success",
    "failed": "failure",
    "timedout": "timed_out",
    "infrastructure_fail": "failure",
    "terminated-unknown": "failure",
    "canceled": "cancelled",
    "retried": "cancelled",
    "not_run": "skipped",
    "unauthorized": "action_required",
}
"""States of a job that is over, in GitHub's words."""

WAITING_JOBS = frozenset({"on_hold", "blocked"})
"""States of a job that waits for an approval, or for another job."""

UNFINISHED_JOBS = WAITING_JOBS | {"running", "queued", "not_running"}

EVENTS = {
    "scheduled_pipeline": "schedule",
    "schedule": "schedule",
    "api": "workflow_dispatch",
    "explicit": "workflow_dispatch",
}
"""What triggered a pipeline, in GitHub's words; `webhook` is a push or a pull request."""

NAMED_HOSTS = frozenset({"gh", "github", "bb", "bitbucket"})
"""Beginnings of slugs that go on with a repository's full name; others (`circleci/...`) go on with ids."""

_PULL_REF = re.compile(r"pull/(\d{1,9})(?:/(?:head|merge))?")


@dataclass(frozen=True, slots=True)
class _Project:
    """What a run.json needs to know of a project."""

    slug: str
    identity: str
    full_name: str
    default_branch: str


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a workflow is: its rank, whether it is over, since when; the states of its jobs where they matter."""

    attempt: int
    is_finished: bool
    updated: datetime | None
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CircleCISource:
    """The workflows of some projects. `artifact_session` asks CircleCI's host for artifacts, where it has one."""

    name: str
    projects: tuple[str, ...]
    artifacts: tuple[str, ...]
    session: HttpSession
    artifact_session: HttpSession | None = None
    report: SourceReport = field(default_factory=SourceReport)

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"CircleCI, {', '.join(self.projects)} ({self.session.base_url.host})"

    @property
    def provider(self) -> str:
        """`circleci`."""
        return PROVIDER

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield a folder for each workflow of the pipelines that were created in the window, the newest first.

        Workflows can only be listed pipeline by pipeline, so this costs a request for each pipeline.
        """
        for slug in dict.fromkeys(self.projects):
            project = self._project(slug)
            for pipeline in self._pipelines(slug, window):
                yield from self._workflows(project, pipeline, window)

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return the files of a workflow: run.json, job.json, and what its jobs left.

        A job leaves its artifacts that are wanted, or else a report made of its test metadata. A job that has not
        ended leaves nothing yet, and one that a re-run took over from the attempt before it leaves nothing again.
        """
        run_file = next((file for file in found.files if file.kind == "run" and file.inline is not None), None)
        if run_file is None:
            raise SourceError(f"the folder {found.folder} has no run.json; list the source again")
        run = json.loads(run_file.inline or b"")
        slug, _, workflow = found.folder.rsplit("/", 2)
        jobs = self._jobs(workflow)
        created = moment_of(run, "created_at")
        files: dict[tuple[str, str], FoundFile] = {}
        for job in jobs:
            if _has_run_in(job, created):
                for file in self._files(text_of(job, "project_slug") or slug, job):
                    files[file.artifact, file.path] = file
        return (
            run_file,
            FoundFile("", "job.json", "jobs", f"workflow/{workflow}/job", json_bytes(_job_list(jobs, run))),
            *(files[key] for key in sorted(files)),
        )

    @contextlib.contextmanager
    def open(self, file: FoundFile) -> Iterator[BinaryIO]:
        """Open one file. The token goes to CircleCI's own hosts alone (ARTIFACT_ORIGINS), never where they redirect."""
        if file.inline is not None:
            yield io.BytesIO(file.inline)
            return
        is_address = file.location.startswith(("http://", "https://"))
        address = file.location if is_address else self._signed_address(file.location)
        with self._session_for(address).download(address) as stream:
            yield stream

    def close(self) -> None:
        """Close all connections."""
        self.session.close()
        if self.artifact_session is not None:
            self.artifact_session.close()

    def check(self) -> Iterator[Access]:
        """Try the token, each project, its pipelines, and the artifacts and tests of a job."""
        try:
            self.session.get("api/v2/me")
            yield Access("the token", True, "is known to CircleCI")
        except SourceError as error:
            yield Access(
                "the token", False, f"{error}; make a personal one at https://app.circleci.com/settings/user/tokens"
            )
        for slug in dict.fromkeys(self.projects):
            try:
                self._project(slug)
                yield Access(f"project {slug}", True, "can be read")
            except SourceError as error:
                yield Access(
                    f"project {slug}",
                    False,
                    f"{error}; the token's owner must see the project, and the slug stands in Project Settings",
                )
                continue
            yield self._check_results(slug)

    # checking

    def _check_results(self, slug: str) -> Access:
        """Try what is below a project, down to the first job that has run."""
        what = f"pipelines, artifacts and tests of {slug}"
        try:
            for pipeline in next(self._pages(_pipelines_path(slug), "pipelines"), []):
                workflows = self._pages(f"api/v2/pipeline/{segment(text_of(pipeline, 'id'))}/workflow", "workflows")
                for workflow in next(workflows, []):
                    for job in self._jobs(text_of(workflow, "id")):
                        if _has_run_in(job, None):
                            place = _job_path(slug, job)
                            next(self._pages(f"{place}/artifacts", "artifacts"), [])
                            next(self._pages(f"{place}/tests", "tests"), [])
                            return Access(what, True, f"can be read (tried with job {text_of(job, 'job_number')})")
        except SourceError as error:
            return Access(what, False, f"{error}; the token's owner must see the project")
        return Access(what, True, "pipelines can be listed; no job has run yet")

    # listing

    def _project(self, slug: str) -> _Project:
        path = f"api/v2/project/{_slug_path(slug)}"
        answer = require_object(self.session.get_json(path), self._place(path), "a project")
        vcs = object_of(answer.get("vcs_info"))
        host, _, named = slug.partition("/")
        if host not in NAMED_HOSTS:
            organization = text_of(answer, "organization_name")
            named = full_name_of(text_of(vcs, "vcs_url")) or f"{organization}/{text_of(answer, 'name')}"
        return _Project(slug, text_of(answer, "id"), named, text_of(vcs, "default_branch"))

    def _pipelines(self, slug: str, window: Window) -> Iterator[Mapping[str, Any]]:
        """Yield the pipelines that were created in the window, each once; a page that is older ends the listing."""
        seen: set[str] = set()
        for page in self._pages(_pipelines_path(slug), "pipelines"):
            before = len(seen)
            is_older = bool(page) and window.since is not None
            for pipeline in page:
                identity, created = text_of(pipeline, "id"), moment_of(pipeline, "created_at")
                if not identity:
                    self.report.note("CircleCI listed a pipeline without an id; it was left out")
                    continue
                is_older = is_older and created is not None and window.since is not None and created < window.since
                if identity in seen:
                    continue
                seen.add(identity)
                if not _is_outside(created, window):
                    yield pipeline
            if is_older:
                return
            if page and len(seen) == before:
                self.report.note(f"a page of pipelines of {slug} brought nothing new; the listing was ended there")
                return

    def _workflows(self, project: _Project, pipeline: Mapping[str, Any], window: Window) -> Iterator[FoundFolder]:
        """Yield the folders of a pipeline's workflows; attempts are numbered before any is left out."""
        path = f"api/v2/pipeline/{segment(text_of(pipeline, 'id'))}/workflow"
        workflows: dict[str, Mapping[str, Any]] = {}
        try:
            for page in self._pages(path, "workflows"):
                for workflow in page:
                    if not text_of(workflow, "id") or moment_of(workflow, "created_at") is None:
                        self.report.note("CircleCI listed a workflow without an id or a date; it was left out")
                    else:
                        workflows.setdefault(text_of(workflow, "id"), workflow)
        except SourceNotFoundError:
            self.report.note("the workflows of a pipeline are not there (404); it was left out")
            return
        ranks: dict[str, int] = defaultdict(int)
        for workflow in sorted(workflows.values(), key=_age):
            name = text_of(workflow, "name")
            ranks[name] += 1
            created = moment_of(workflow, "created_at")
            if created is None or (window.until is not None and created >= window.until):
                continue
            progress = self._progress(workflow, ranks[name])
            run = _run(project, pipeline, workflow, progress)
            folder = f"{project.slug}/{text_of(pipeline, 'id')}/{text_of(workflow, 'id')}"
            yield FoundFolder(
                folder=folder,
                fingerprint=stable_id(
                    [
                        text_of(workflow, "id"),
                        text_of(workflow, "status"),
                        iso(created) or "",
                        iso(moment_of(workflow, "stopped_at")) or "",
                        ranks[name],
                        *progress.jobs,
                    ]
                ),
                files=(FoundFile("", "run.json", "run", path, json_bytes(run)),),
                day=created.date().isoformat(),
                is_finished=progress.is_finished,
            )

    def _progress(self, workflow: Mapping[str, Any], attempt: int) -> _Progress:
        """Say whether a workflow is over; and for one that is on hold, how far its jobs are.

        Nobody may ever approve what is on hold, often a deployment, while the tests before it are done. So such a
        workflow is over for now when nothing but approvals and what comes after them is left. Its own state does not
        change while jobs beside the approval still run.
        """
        status, stopped = text_of(workflow, "status"), moment_of(workflow, "stopped_at")
        if status != ON_HOLD:
            is_finished = status not in UNFINISHED and (status in CONCLUSIONS or stopped is not None)
            return _Progress(attempt, is_finished, stopped)
        try:
            jobs = self._jobs(text_of(workflow, "id"))
        except SourceNotFoundError:
            return _Progress(attempt, False, stopped)
        ends = [moment for job in jobs if (moment := moment_of(job, "stopped_at")) is not None]
        return _Progress(
            attempt,
            is_finished=all(_is_job_finished(job) or text_of(job, "status") in WAITING_JOBS for job in jobs),
            updated=max(ends, default=stopped),
            jobs=tuple(f"{text_of(job, 'id')}:{text_of(job, 'status')}" for job in jobs),
        )

    def _jobs(self, workflow: str) -> list[Mapping[str, Any]]:
        """Return the jobs of a workflow that run something, in the order of their ids."""
        jobs: dict[str, Mapping[str, Any]] = {}
        for page in self._pages(f"api/v2/workflow/{segment(workflow)}/job", "jobs"):
            for job in page:
                if not text_of(job, "id"):
                    self.report.note("CircleCI listed a job without an id; it was left out")
                elif text_of(job, "type") != "approval":
                    jobs.setdefault(text_of(job, "id"), job)
        return [jobs[identity] for identity in sorted(jobs)]

    def _pages(self, path: str, what: str) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the pages of a listing. One that repeats itself is ended: by its tokens, or by what it brings."""
        token, tokens, pages = "", set[str](), set[str]()
        for _ in range(MAX_PAGES):
            answer = self.session.get_json(path, {"page-token": token} if token else None)
            answer = require_object(answer, self._place(path), f"a page of {what}")
            entries = require_list(answer.get("items"), self._place(path), what)
            items = objects_of(entries)
            if len(items) < len(entries):
                self.report.note(f"CircleCI listed {what} that are no objects; they were left out")
            digest = stable_id([json.dumps(items, sort_keys=True)])
            if digest in pages:
                self.report.note(f"a page of {what} came twice; the listing was ended there")
                return
            pages.add(digest)
            yield items
            token = text_of(answer, "next_page_token")
            if not token:
                return
            if token in tokens:
                self.report.note(f"a page token of {what} came twice; the listing was ended there")
                return
            tokens.add(token)
        self.report.note(f"a listing of {what} has more than {MAX_PAGES} pages; it was ended there")

    # what a job left

    def _files(self, slug: str, job: Mapping[str, Any]) -> Iterator[FoundFile]:
        number, name = text_of(job, "job_number"), text_of(job, "name")
        place = _job_path(slug, job)
        found = False
        for artifact in self._artifacts(place):
            path, node = text_of(artifact, "path"), text_of(artifact, "node_index") or "0"
            if not path or not is_wanted(path, self.artifacts, DEFAULT_SUFFIXES):
                continue
            location = _location(place, node, path, text_of(artifact, "url"))
            if location is None:
                self.report.note("CircleCI listed an artifact without an address; it was left out")
                continue
            found = True
            is_archive = path.lower().endswith(".zip")
            # the node is a shard: it stands in the path, for the artifact's name is the variant
            yield FoundFile(name, f"{number}/{node}/{path}", "zip" if is_archive else "file", location)
        if not found:
            report = junit_of(self._tests(place), self.report)
            if report is not None:
                yield FoundFile(name, f"{number}/{REPORT_NAME}", "file", f"{place}/tests", report)

    def _artifacts(self, place: str) -> Iterator[Mapping[str, Any]]:
        try:
            for page in self._pages(f"{place}/artifacts", "artifacts"):
                yield from page
        except SourceNotFoundError:
            self.report.note("the artifacts of a job are not there (404)")

    def _tests(self, place: str) -> Iterator[Mapping[str, Any]]:
        try:
            for page in self._pages(f"{place}/tests", "tests"):
                yield from page
        except SourceNotFoundError:
            self.report.note("the test metadata of a job are not there (404)")

    def _signed_address(self, location: str) -> str:
        """Return the address of an artifact that has a signature, which is asked for anew and stands nowhere."""
        place, node, path = location.split("#", 2)
        for artifact in self._artifacts(place):
            if text_of(artifact, "path") == path and (text_of(artifact, "node_index") or "0") == node:
                return text_of(artifact, "url")
        raise ArtifactGoneError(f"{self._place(place)}/artifacts no longer lists {path}")

    def _session_for(self, address: str) -> HttpSession:
        other = self.artifact_session
        return other if other is not None and _origin(other.base_url) == _origin(httpx.URL(address)) else self.session

    def _place(self, path: str) -> str:
        return str(self.session.url(path))


def build_circleci(
    section: CircleCISection, secret: Callable[[SecretReference], str], *, clock: Clock | None = None
) -> CircleCISource:
    """Make the source that a section of the configuration describes; `secret` looks up what it refers to.

    Raises:
        ConfigurationError: the token is no token.
    """
    report = SourceReport()
    token = require_token(secret(section.token), section.name)
    # one for both hosts, so that the limits hold for all requests together
    transport = PoliteTransport(
        report, requests_per_second=section.requests_per_second, connections=section.downloads, clock=clock
    )

    def session(url: str) -> HttpSession:
        return HttpSession(
            url,
            report,
            secret_headers={TOKEN_HEADER: token},
            timeout_seconds=section.timeout_seconds,
            transport=transport,
            clock=clock,
        )

    artifact_origin = ARTIFACT_ORIGINS.get(section.url.rstrip("/"))
    return CircleCISource(
        name=section.name,
        projects=section.projects,
        artifacts=section.artifacts,
        session=session(section.url),
        artifact_session=session(artifact_origin) if artifact_origin else None,
        report=report,
    )


def _run(
    project: _Project, pipeline: Mapping[str, Any], workflow: Mapping[str, Any], progress: _Progress
) -> dict[str, Any]:
    """Return a workflow as GitHub's workflow run."""
    vcs = object_of(pipeline.get("vcs"))
    branch = text_of(vcs, "branch")
    number = _pull_request(text_of(vcs, "review_id"), branch)
    trigger = text_of(object_of(pipeline.get("trigger")), "type")
    status = text_of(workflow, "status")
    target, origin = text_of(vcs, "target_repository_url"), text_of(vcs, "origin_repository_url")
    full_name = full_name_of(target) or project.full_name
    own: dict[str, Any] = {"full_name": full_name}
    if project.identity:
        own["id"] = project.identity
    head = full_name_of(origin) or full_name
    created = moment_of(workflow, "created_at")
    return {
        "id": f"{text_of(pipeline, 'id')}/{text_of(workflow, 'name')}",
        "run_attempt": progress.attempt,
        "name": text_of(workflow, "name"),
        "event": EVENTS.get(
            trigger, trigger if trigger not in ("webhook", "") else "pull_request" if number else "push"
        ),
        "status": "completed" if progress.is_finished else "in_progress",
        "conclusion": CONCLUSIONS.get(status, status) if progress.is_finished else None,
        "head_branch": branch or text_of(vcs, "tag"),
        "head_sha": text_of(vcs, "revision"),
        "created_at": iso(created),
        "run_started_at": iso(created),
        "updated_at": iso(progress.updated or created),
        "html_url": f"https://app.circleci.com/pipelines/workflows/{text_of(workflow, 'id')}",
        "pull_requests": [{"number": number}] if number else [],
        "repository": {**own, "default_branch": project.default_branch},
        "head_repository": own if head == full_name else {"full_name": head},
    }


def _job_list(jobs: list[Mapping[str, Any]], run: Mapping[str, Any]) -> dict[str, Any]:
    return {"total_count": len(jobs), "jobs": [_job(job, run) for job in jobs]}


def _job(job: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    status = text_of(job, "status")
    is_finished = _is_job_finished(job)
    return {
        "id": text_of(job, "id"),
        "run_id": run.get("id"),
        "run_attempt": run.get("run_attempt"),
        "name": text_of(job, "name"),
        "status": "completed" if is_finished else "in_progress" if status == "running" else "queued",
        "conclusion": JOB_CONCLUSIONS.get(status, status) if is_finished else None,
        "started_at": iso(moment_of(job, "started_at")),
        "completed_at": iso(moment_of(job, "stopped_at")),
        "labels": [],
        "runner_name": "",
    }


def _has_run_in(job: Mapping[str, Any], created: datetime | None) -> bool:
    """Say whether a job has ended that began in the attempt created then: re-runs list the jobs they took over."""
    started = moment_of(job, "started_at")
    if not text_of(job, "job_number") or started is None or not _is_job_finished(job):
        return False
    return created is None or started >= created


def _is_job_finished(job: Mapping[str, Any]) -> bool:
    status = text_of(job, "status")
    return status not in UNFINISHED_JOBS and (status in JOB_CONCLUSIONS or moment_of(job, "stopped_at") is not None)


def _is_outside(created: datetime | None, window: Window) -> bool:
    """Say whether a pipeline can have no workflow of the window: those start after it."""
    if created is None:
        return False
    return (window.until is not None and created >= window.until) or (
        window.since is not None and created < window.since
    )


def _age(workflow: Mapping[str, Any]) -> tuple[datetime, str]:
    return moment_of(workflow, "created_at") or datetime.max.replace(tzinfo=UTC), text_of(workflow, "id")


def _pull_request(review: str, branch: str) -> int | None:
    """Return a pull request's number: CircleCI says it, or the branch does (`pull/123`)."""
    found = _PULL_REF.fullmatch(branch)
    text = review if review.isascii() and review.isdigit() and len(review) < 10 else found[1] if found else ""
    return int(text) if text else None


def _location(place: str, node: str, path: str, address: str) -> str | None:
    """Return where an artifact is: its address, or where to ask for it again when the address holds a signature."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return None
    if url.scheme not in ("http", "https") or not url.host:
        return None
    return address if not url.query and not url.userinfo else f"{place}#{node}#{path}"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _slug_path(slug: str) -> str:
    return "/".join(segment(part) for part in slug.split("/"))


def _pipelines_path(slug: str) -> str:
    return f"api/v2/project/{_slug_path(slug)}/pipeline"


def _job_path(slug: str, job: Mapping[str, Any]) -> str:
    return f"api/v2/project/{_slug_path(slug)}/{segment(text_of(job, 'job_number'))}"
