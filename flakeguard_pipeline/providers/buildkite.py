"""Buildkite's REST API as a source: builds of an organization or of some of its pipelines, and their artifacts.

A build has one attempt: a job that is retried is another job of the same build, and a rebuild is another build. So the
artifacts of all jobs of a build, the retried ones included, are files of one folder, told apart by the job's id.

Source of the shapes: https://buildkite.com/docs/apis/rest-api/builds, .../rest-api/artifacts, .../rest-api/access-token
and https://buildkite.com/docs/apis/rest-api#pagination.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import httpx

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import SourceError
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
from flakeguard_pipeline.providers.http import HttpSession, read_json
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, Access, FoundFile, FoundFolder, SourceReport, Window
from flakeguard_pipeline.source_sections import BuildkiteSection, SecretReference

PROVIDER = "buildkite"

SCOPES = {
    "read_builds": "lists builds and their jobs",
    "read_artifacts": "lists and downloads artifacts",
}
"""What a token must be allowed, and for what. Nothing else is asked."""

PER_PAGE = 100
"""Entries a page: the most that Buildkite gives."""

PAGES_A_SLICE = 10
"""Pages of builds before the listing begins anew below the oldest one seen: Buildkite refuses to list builds deeply
("Listing builds this deep is not supported") and does not say how deep."""

MAX_PAGES = 10_000
"""Pages of one listing: a million builds. Beyond it, the answers are not those of a provider."""

MAX_ARTIFACT_PAGES = 1_000
"""Pages of one build's artifacts: a hundred thousand files."""

DEFAULT_SUFFIXES = (".xml", ".zip")
"""Artifacts that are brought where configuration names none: reports and archives of them."""

CONCLUSIONS = {
    "passed": "success",
    "failed": "failure",
    "canceled": "cancelled",
    "skipped": "skipped",
    "not_run": "skipped",
    "blocked": "neutral",
}
"""States of a build that is over, in GitHub's words. A blocked one is over until somebody unblocks it."""

UNFINISHED = frozenset(
    {"creating", "scheduled", "running", "failing", "canceling", "waiting", "waiting_failed"},
)
"""States of a build that goes on."""

JOB_CONCLUSIONS = {
    "passed": "success",
    "failed": "failure",
    "timed_out": "timed_out",
    "canceled": "cancelled",
    "skipped": "skipped",
    "broken": "skipped",
    "expired": "cancelled",
}
"""States of a job that is over, in GitHub's words. A broken one could not run, an expired one found no agent."""

RUNNING_JOBS = frozenset({"running", "canceling", "timing_out"})

EVENTS = {"api": "workflow_dispatch", "ui": "workflow_dispatch", "trigger_job": "workflow_run", "schedule": "schedule"}
"""How a build was triggered, in GitHub's words; `webhook` is a push or a pull request."""

_NEXT = re.compile(r'<[^>]*>[^,]*\brel="?next"?')


@dataclass(frozen=True, slots=True)
class BuildkiteSource:
    """The builds of one organization. `pipelines` are slugs; none means all of them."""

    name: str
    organization: str
    pipelines: tuple[str, ...]
    artifacts: tuple[str, ...]
    session: HttpSession
    report: SourceReport = field(default_factory=SourceReport)

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"Buildkite, organization {self.organization} ({self.session.base_url.host})"

    @property
    def provider(self) -> str:
        """`buildkite`."""
        return PROVIDER

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield a folder for each build that was created in the window, the newest first.

        The builds' jobs are left out of the listing, as Buildkite advises; `contents` asks for them.
        """
        for path in self._listings():
            for build in self._builds(path, window):
                found = self._folder(build)
                if found is not None:
                    yield found

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return the files of a build: run.json, job.json and the artifacts of all its jobs, retried ones included."""
        path = self._build_path(found.folder)
        build = require_object(
            self.session.get_json(path, {"include_retried_jobs": "true"}), self._place(path), "a build"
        )
        jobs = _jobs(build)
        names = {text_of(job, "id"): job_name(job) for job in jobs}
        run = run_of(build, self.organization)
        if run is None:
            raise SourceError(f"{self._place(path)} answers with a build without an id or a date; run again later")
        files = {
            (file.artifact, file.path): file
            for artifact in self._artifacts(path)
            if (file := self._file(path, artifact, names)) is not None
        }
        return (
            FoundFile("", "run.json", "run", path, json_bytes(run)),
            FoundFile("", "job.json", "jobs", path, json_bytes(job_list(jobs, run["id"]))),
            *(files[key] for key in sorted(files)),
        )

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file. Buildkite redirects a download to the store, which is not told the token."""
        if file.inline is not None:
            return contextlib.closing(io.BytesIO(file.inline))
        return self.session.download(file.location)

    def close(self) -> None:
        """Close all connections."""
        self.session.close()

    def check(self) -> Iterator[Access]:
        """Try the token, each listing, and the artifacts of the newest build."""
        yield from self._check_token()
        for path in self._listings():
            what = f"builds at {path.removeprefix('v2/')}"
            try:
                builds = self._page(path, {"per_page": 1, "exclude_jobs": "true"}, "builds")[0]
                yield Access(what, True, "can be listed" if builds else "can be listed; there are none yet")
            except SourceError as error:
                yield Access(what, False, f"{error}; the token needs the scope read_builds")
                continue
            for build in builds[:1]:
                yield self._check_artifacts(build)

    # checking

    def _check_token(self) -> Iterator[Access]:
        try:
            scopes = object_of(self.session.get_json("v2/access-token")).get("scopes")
        except SourceError as error:
            yield Access("the token", False, f"{error}; make one at https://buildkite.com/user/api-access-tokens")
            return
        for scope, reason in SCOPES.items():
            has = isinstance(scopes, list) and scope in scopes
            yield Access(
                f"the token's scope {scope}",
                has,
                reason
                if has
                else f"is missing: it {reason}; edit the token at https://buildkite.com/user/api-access-tokens",
            )

    def _check_artifacts(self, build: Mapping[str, Any]) -> Access:
        found = self._folder(build)
        if found is None:
            return Access("artifacts", False, "the newest build has no number or no pipeline, so none can be tried")
        what = f"artifacts of {found.folder}"
        try:
            artifacts, _ = self._page(f"{self._build_path(found.folder)}/artifacts", {"per_page": 1}, "artifacts")
        except SourceError as error:
            return Access(what, False, f"{error}; the token needs the scope read_artifacts")
        return Access(what, True, "can be listed" if artifacts else "can be listed; this build has none")

    # listing

    def _listings(self) -> list[str]:
        root = f"v2/organizations/{segment(self.organization)}"
        if not self.pipelines:
            return [f"{root}/builds"]
        return [f"{root}/pipelines/{segment(slug)}/builds" for slug in dict.fromkeys(self.pipelines)]

    def _builds(self, path: str, window: Window) -> Iterator[Mapping[str, Any]]:
        """Yield the builds of one listing, each once, slice by slice from the newest to the oldest."""
        # what is written has milliseconds: rounded up, so that nothing at the window's end is lost
        until = window.until + timedelta(microseconds=999) if window.until else None
        former: set[str] = set()
        current: set[str] = set()
        oldest: datetime | None = None
        page = 1
        for _ in range(MAX_PAGES):
            params = _without_none(
                page=page,
                per_page=PER_PAGE,
                exclude_jobs="true",
                created_from=iso(window.since),
                created_to=iso(until),
            )
            entries, has_next = self._page(path, params, "builds")
            fresh = []
            for build in entries:
                identity = text_of(build, "id")
                if not identity:
                    self.report.note("Buildkite listed a build without an id; it was left out")
                elif identity not in current and identity not in former:
                    current.add(identity)
                    fresh.append(build)
            if not fresh:
                if entries or has_next:
                    self.report.note(f"a page of {path} brought nothing new; the listing was ended there")
                return
            yield from fresh
            created = [moment for build in fresh if (moment := moment_of(build, "created_at")) is not None]
            oldest = min([*created, *([oldest] if oldest else [])], default=None)
            if not has_next:
                return
            page += 1
            # `created_to` is exclusive, and several builds may have been created in the same moment
            below = oldest + timedelta(milliseconds=1) if oldest else None
            if page > PAGES_A_SLICE and below is not None and (until is None or below < until):
                until, page, oldest = below, 1, None
                former, current = current, set()
        self.report.note(f"{path} has more than {MAX_PAGES} pages; the listing was ended there")

    def _artifacts(self, build_path: str) -> Iterator[Mapping[str, Any]]:
        path = f"{build_path}/artifacts"
        seen: set[str] = set()
        for page in range(1, MAX_ARTIFACT_PAGES + 1):
            entries, has_next = self._page(path, {"page": page, "per_page": PER_PAGE}, "artifacts")
            before = len(seen)
            for artifact in entries:
                identity = text_of(artifact, "id")
                if not identity:
                    self.report.note("Buildkite listed an artifact without an id; it was left out")
                elif identity not in seen:
                    seen.add(identity)
                    yield artifact
            if not has_next:
                return
            if len(seen) == before:
                self.report.note("a page of artifacts brought nothing new; their listing was ended there")
                return
        self.report.note(f"a build has more than {MAX_ARTIFACT_PAGES} pages of artifacts; the rest was left out")

    def _page(self, path: str, params: Mapping[str, Any], what: str) -> tuple[list[Mapping[str, Any]], bool]:
        """Return the entries of a page, and whether there is a next one.

        The address in `Link` is not followed: behind a proxy it is not the one that we may send the token to.
        """
        response = self.session.get(path, params, {"accept": "application/json"})
        entries = require_list(read_json(response), self._place(path), what)
        objects = objects_of(entries)
        if len(objects) < len(entries):
            self.report.note(f"Buildkite listed {what} that are no objects; they were left out")
        return objects, _has_next(response)

    # one build

    def _folder(self, build: Mapping[str, Any]) -> FoundFolder | None:
        number, slug = text_of(build, "number"), text_of(object_of(build.get("pipeline")), "slug")
        created = moment_of(build, "created_at")
        if not number.isdigit() or not slug or created is None:
            self.report.note("Buildkite listed a build without a number, a pipeline or a date; it was left out")
            return None
        state = text_of(build, "state")
        return FoundFolder(
            folder=f"{self.organization}/{slug}/{number}/1",
            fingerprint=stable_id(
                [
                    text_of(build, "id"),
                    state,
                    str(build.get("blocked") is True),
                    *(iso(moment_of(build, name)) or "" for name in ("created_at", "started_at", "finished_at")),
                ]
            ),
            day=created.date().isoformat(),
            is_finished=_is_finished(build),
        )

    def _build_path(self, folder: str) -> str:
        organization, slug, number, _ = folder.rsplit("/", 3)
        return f"v2/organizations/{segment(organization)}/pipelines/{segment(slug)}/builds/{segment(number)}"

    def _file(self, build_path: str, artifact: Mapping[str, Any], names: Mapping[str, str]) -> FoundFile | None:
        identity, job, path = (text_of(artifact, name) for name in ("id", "job_id", "path"))
        if not is_wanted(path, self.artifacts, DEFAULT_SUFFIXES):
            return None
        if not job:
            self.report.note("Buildkite listed an artifact without a job; it was left out")
            return None
        state = text_of(artifact, "state")
        if state in ("new", "error"):
            self.report.note(f"an artifact was left out whose upload has not succeeded (its state is `{state}`)")
            return None
        is_gone = state in ("deleted", "expired")
        return FoundFile(
            artifact=names.get(job, ""),
            path=f"{job}/{path}",
            kind="expired" if is_gone else "zip" if path.lower().endswith(".zip") else "file",
            location=f"{build_path}/jobs/{segment(job)}/artifacts/{segment(identity)}/download",
        )

    def _place(self, path: str) -> str:
        return str(self.session.url(path))


def build_buildkite(
    section: BuildkiteSection, secret: Callable[[SecretReference], str], *, clock: Clock | None = None
) -> BuildkiteSource:
    """Make the source that a section of the configuration describes; `secret` looks up what it refers to.

    Raises:
        ConfigurationError: the token is no token.
    """
    report = SourceReport()
    token = require_token(secret(section.token), section.name)
    session = HttpSession(
        section.url,
        report,
        secret_headers={"authorization": f"Bearer {token}"},
        timeout_seconds=section.timeout_seconds,
        connections=section.downloads,
        requests_per_second=section.requests_per_second,
        clock=clock,
    )
    return BuildkiteSource(
        name=section.name,
        organization=section.organization,
        pipelines=section.pipelines,
        artifacts=section.artifacts,
        session=session,
        report=report,
    )


def run_of(build: Mapping[str, Any], organization: str) -> dict[str, Any] | None:
    """Return a build as GitHub's workflow run; None without an id or a date."""
    identity, created = text_of(build, "id"), moment_of(build, "created_at")
    if not identity or created is None:
        return None
    pipeline = object_of(build.get("pipeline"))
    slug = text_of(pipeline, "slug")
    full_name = full_name_of(text_of(pipeline, "repository")) or f"{organization}/{slug}"
    pull_request = object_of(build.get("pull_request"))
    number = text_of(pull_request, "id")
    state = text_of(build, "state")
    is_finished = _is_finished(build)
    source = text_of(build, "source")
    updated = moment_of(build, "finished_at") or moment_of(build, "started_at") or created
    return {
        "id": identity,
        "run_attempt": 1,
        "name": text_of(pipeline, "name") or slug,
        "event": EVENTS.get(source, source if source != "webhook" else "pull_request" if number else "push"),
        "status": "completed" if is_finished else "in_progress" if build.get("started_at") else "queued",
        "conclusion": CONCLUSIONS.get(state, state) if is_finished else None,
        "head_branch": text_of(build, "branch"),
        "head_sha": text_of(build, "commit"),
        "created_at": iso(created),
        # not started_at: the first job may say that it started a moment before
        "run_started_at": iso(created),
        "updated_at": iso(updated),
        "html_url": text_of(build, "web_url"),
        "pull_requests": [{"number": int(number)}] if number.isascii() and number.isdigit() else [],
        "repository": {"full_name": full_name, "default_branch": text_of(pipeline, "default_branch")},
        "head_repository": {"full_name": full_name_of(text_of(pull_request, "repository")) or full_name},
    }


def job_list(jobs: Sequence[Mapping[str, Any]], run_id: str) -> dict[str, Any]:
    """Return jobs as GitHub's *list jobs*."""
    return {"total_count": len(jobs), "jobs": [_job(job, run_id) for job in jobs]}


def job_name(job: Mapping[str, Any]) -> str:
    """Return what a job is called: its label, else the key of its step; '' where it has neither.

    Its command is not taken: it may hold a secret.
    """
    return text_of(job, "name") or text_of(job, "label") or text_of(job, "step_key")


def _job(job: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    state = text_of(job, "state")
    conclusion = JOB_CONCLUSIONS.get(state)
    is_finished = conclusion is not None or bool(job.get("finished_at"))
    rules = job.get("agent_query_rules")
    return {
        "id": text_of(job, "id"),
        "run_id": run_id,
        "run_attempt": 1,
        "name": job_name(job),
        "status": "completed" if is_finished else "in_progress" if state in RUNNING_JOBS else "queued",
        "conclusion": (conclusion or state) if is_finished else None,
        "started_at": iso(moment_of(job, "started_at")),
        "completed_at": iso(moment_of(job, "finished_at")),
        "labels": sorted(rule for rule in rules if isinstance(rule, str)) if isinstance(rules, list) else [],
        "runner_name": text_of(object_of(job.get("agent")), "name"),
    }


def _jobs(build: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the jobs of a build that run commands, in the order of their ids: the others run no tests."""
    scripts = {
        text_of(job, "id"): job
        for job in objects_of(build.get("jobs"))
        if text_of(job, "id") and text_of(job, "type") in ("script", "command", "")
    }
    return [scripts[identity] for identity in sorted(scripts)]


def _is_finished(build: Mapping[str, Any]) -> bool:
    state = text_of(build, "state")
    if state in UNFINISHED:
        return False
    return state in CONCLUSIONS or moment_of(build, "finished_at") is not None


def _has_next(response: httpx.Response) -> bool:
    return _NEXT.search(response.headers.get("link", "")) is not None


def _without_none(**params: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}
