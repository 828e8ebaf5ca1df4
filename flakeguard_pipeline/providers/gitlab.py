"""GitLab CI: the pipelines of projects, and what their jobs left (docs/reference/source-gitlab.md).

A pipeline is a run with one attempt: GitLab starts a job again inside the same pipeline, under a new job id. An
artifact is called after its job, and its path begins with the job's id, so that a job and its retry stay apart and are
two executions of the same code.

    https://docs.gitlab.com/api/pipelines/         pipelines, child pipelines
    https://docs.gitlab.com/api/jobs/              jobs, retried ones among them
    https://docs.gitlab.com/api/job_artifacts/     archives and, by `file_type`, reports
    https://docs.gitlab.com/api/pipelines/#get-a-test-report-for-a-pipeline    for servers without `file_type`
    https://gitlab.com/gitlab-org/gitlab/-/merge_requests/252518               which brought it
    https://docs.gitlab.com/api/rest/#pagination   pages; totals are left out beyond 10,000 entries

Belongs here: GitLab's REST API, version 4. Does not belong here: reading reports.
"""

import io
import re
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, cast

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ArtifactGoneError, SourceError, SourceNotFoundError
from flakeguard_pipeline.providers.answers import (
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
from flakeguard_pipeline.providers.ci_environment import GITLAB_EVENTS
from flakeguard_pipeline.providers.http import SPOOL_BYTES, HttpSession, read_json
from flakeguard_pipeline.providers.junit_xml import Outcome, WrittenCase, WrittenSuite, junit_xml, seconds_of
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import (
    EVERYTHING,
    Access,
    FileKind,
    FoundFile,
    FoundFolder,
    SourceReport,
    Window,
)
from flakeguard_pipeline.source_sections import GitLabSection, SecretReference

API = "api/v4/"

PAGE_SIZE = 100
"""Entries a page: the most that GitLab gives."""

MAX_PAGES = 10_000
"""Pages of one listing: a million pipelines. A server that always names a further page ends here."""

MAX_JOB_PAGES = 500
"""Pages of one pipeline's jobs, retried ones among them: far more than the jobs that GitLab lets a pipeline have."""

MAX_STALE_PAGES = 2
"""Pages in a row that bring nothing new. One is possible where pipelines start while we page; two are a circle."""

MAX_UNPACKED_BYTES = 4 * 1024**3
"""Bytes of one job's unpacked `junit` reports: GitLab's own limit for them is below a gigabyte."""

FINISHED = {
    "success": "success",
    "failed": "failure",
    "canceled": "cancelled",
    "skipped": "skipped",
    # waits for a person, perhaps for ever: what ran before has ended. The fingerprint changes when it goes on.
    "manual": "action_required",
}
"""States of pipelines in which nothing runs, with GitHub's name for the conclusion."""

RUNNING = frozenset({"running", "canceling"})

CHILD = "parent_pipeline"
"""The source of child pipelines, which GitLab lists only where they are asked for."""

WORKFLOW = "pipeline"
CHILD_WORKFLOW = "child pipeline"
"""What stands for a workflow. The names that `workflow:name` gives are made of variables, often a branch or a commit
among them: they would make each test another one on each branch."""

ARCHIVE, JUNIT = "archive", "junit"

OUTCOMES: Mapping[str, Outcome] = {"success": "passed", "failed": "failure", "error": "error", "skipped": "skipped"}
"""What GitLab's test report says of a case."""

_MERGE_REQUEST = re.compile(r"refs/merge-requests/(\d{1,9})/(?:head|merge|train)")
_FOLDER = re.compile(r"(\d{1,18})/(\d{1,18})")
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 4, 8, 16
_FIXED_HEADER_BYTES = 10
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 18

_JUNIT_QUERY = f"file_type={JUNIT}"

_SCOPE = (
    "the token needs the scope `read_api`, and its user (or the token itself, where it is the project's) at least the "
    "role Reporter in the project"
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Project:
    identity: int
    full_name: str
    default_branch: str


def build_gitlab(
    section: GitLabSection, secret: Callable[[SecretReference], str], *, clock: Clock | None = None
) -> "GitLabSource":
    """Return the source that a section of the configuration describes; asks nothing yet.

    Raises:
        ConfigurationError: the token holds what no HTTP header may hold.
    """
    headers = {}
    if section.token is not None:
        headers["PRIVATE-TOKEN"] = require_token(secret(section.token), section.name)
    return GitLabSource(section, headers, clock or Clock())


class GitLabSource:
    """The pipelines of some projects of one GitLab server. An ArtifactSource."""

    provider = "gitlab"

    def __init__(self, section: GitLabSection, secret_headers: Mapping[str, str], clock: Clock) -> None:
        """Prepare to ask the server of `section`."""
        self.name = section.name
        self.report = SourceReport()
        self._section = section
        self._clock = clock
        self._session = HttpSession(
            section.url,
            self.report,
            secret_headers=secret_headers,
            timeout_seconds=section.timeout_seconds,
            connections=section.downloads,
            requests_per_second=section.requests_per_second,
            clock=clock,
        )
        self._projects: dict[str, _Project] = {}
        self._lock = threading.Lock()

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"GitLab {self._session.base_url.copy_with(userinfo=b'', query=None)}"

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield the pipelines of the window, the newest of each project first, then its child pipelines.

        A pipeline that was updated in the window is in it, whenever it was created: so a job that is retried days
        later is found. Ids that were seen are kept, which takes some ten megabytes for a hundred thousand pipelines.
        """
        for path in dict.fromkeys(self._section.projects):
            project = self._project(path)
            seen: set[int] = set()
            for source in ("", CHILD):
                yield from self._pipelines(project, source, window, seen)

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return run.json, job.json and the artifacts of a pipeline's jobs."""
        match = _FOLDER.fullmatch(found.folder)
        if match is None:
            raise SourceError(f"{self.title}: {found.folder!r} is no pipeline's folder (<project id>/<pipeline id>)")
        project = self._project(match[1])
        place = f"{API}projects/{project.identity}/pipelines/{int(match[2])}"
        pipeline = self._object(place)
        jobs = sorted(self._jobs(place), key=lambda job: int(job["id"]))
        run = _run_json(project, int(match[2]), pipeline)
        files = [
            _inline("run", "run.json", run),
            _inline("jobs", "job.json", _job_json(run, jobs)),
        ]
        # of a job and its retries, a pipeline's test report has the last one only
        last = {text_of(job, "name"): job["id"] for job in jobs}
        reports = dict.fromkeys(last.values(), f"{place}/test_report")
        artifacts = (self._artifacts(project, job, reports.get(job["id"], "")) for job in jobs)
        return (*files, *sorted(file for each in artifacts for file in each))

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file; `junit` reports come as a zip archive of the job's report files."""
        if file.inline is not None:
            return io.BytesIO(file.inline)
        if _JUNIT_QUERY in file.location:
            return self._reports(file)
        return self._session.download(file.location)

    def check(self) -> Iterator[Access]:
        """Try each project, its pipelines, and the newest artifact among its newest jobs."""
        for path in dict.fromkeys(self._section.projects):
            what = f"project {path}"
            try:
                project = self._project(path)
            except SourceError as error:
                yield Access(what, False, f"{error}. For this, {_SCOPE}")
                continue
            branch = project.default_branch or "no default branch: is the repository empty, or hidden from the token?"
            yield Access(what, True, f"{project.full_name}, id {project.identity}, default branch {branch}")
            yield self._tried_pipelines(f"pipelines of {path}", project)
            yield self._tried_artifact(f"artifacts of {path}", project)

    # -- pipelines ----------------------------------------------------------------------------------------------

    def _pipelines(self, project: _Project, source: str, window: Window, seen: set[int]) -> Iterator[FoundFolder]:
        params: dict[str, str | int] = {"order_by": "id", "sort": "desc"}
        if source:
            params["source"] = source
        if window.since is not None:
            params["updated_after"] = iso(window.since) or ""
        if window.until is not None:
            params["created_before"] = iso(window.until) or ""
        place = f"{API}projects/{project.identity}/pipelines"
        for pipeline in self._listed(place, params, f"pipelines of {project.full_name}", MAX_PAGES, seen):
            created = moment_of(pipeline, "created_at")
            updated = moment_of(pipeline, "updated_at") or created
            # servers that do not know the parameters send everything
            if window.until is not None and created is not None and created >= window.until:
                continue
            if window.since is not None and updated is not None and updated < window.since:
                continue
            status = text_of(pipeline, "status")
            stamp = text_of(pipeline, "updated_at") or text_of(pipeline, "created_at")
            yield FoundFolder(
                folder=f"{project.identity}/{pipeline['id']}",
                fingerprint=stable_id(["gitlab", project.identity, pipeline["id"], status, stamp]),
                day=created.date().isoformat() if created is not None else "",
                is_finished=status in FINISHED,
            )

    def _project(self, name: str) -> _Project:
        """Return a project by its path or its id; asked for once."""
        with self._lock:
            known = self._projects.get(name)
        if known is not None:
            return known
        answer = self._object(f"{API}projects/{segment(name.strip('/'))}")
        identity = answer.get("id")
        if not _is_id(identity):
            raise SourceError(
                f"{self.title}: the answer for project {name!r} has no id; is the source's `url` GitLab's root?"
            )
        project = _Project(
            int(cast("int", identity)),
            text_of(answer, "path_with_namespace") or name,
            text_of(answer, "default_branch"),
        )
        with self._lock:
            self._projects[name] = self._projects[str(project.identity)] = project
        return project

    # -- jobs and artifacts ---------------------------------------------------------------------------------------

    def _jobs(self, place: str) -> Iterator[Json]:
        jobs = self._listed(f"{place}/jobs", {"include_retried": "true"}, "jobs of a pipeline", MAX_JOB_PAGES, set())
        patterns = self._section.jobs
        for job in jobs:
            if not patterns or _fits(text_of(job, "name"), patterns):
                yield job

    def _artifacts(self, project: _Project, job: Json, test_report: str) -> Iterator[FoundFile]:
        name, identity = text_of(job, "name"), job["id"]
        place = f"{API}projects/{project.identity}/jobs/{identity}/artifacts"
        listed = {
            text_of(each, "file_type"): text_of(each, "filename")
            for each in objects_of(job.get("artifacts"))
            if text_of(each, "file_type") in (ARCHIVE, JUNIT)
        }
        archive = text_of(object_of(job.get("artifacts_file")), "filename")
        if not listed and archive:
            listed[ARCHIVE] = archive
        if not listed:
            expiry = moment_of(job, "artifacts_expire_at")
            if expiry is not None and expiry <= self._clock.now() and self._wants(name, ""):
                yield FoundFile(name, f"{identity}/artifacts.zip", "expired", place)
            return
        wanted = {kind for kind, filename in listed.items() if self._wants(name, filename)}
        if JUNIT in wanted:
            # The archive often holds the same reports, and much else.
            location = f"{place}?{_JUNIT_QUERY}#{test_report}"
            yield FoundFile(name, f"{identity}/junit.zip", "zip", location)
        elif ARCHIVE in wanted:
            yield FoundFile(name, f"{identity}/artifacts.zip", "zip", place)

    def _wants(self, job: str, filename: str) -> bool:
        patterns = self._section.artifacts
        return not patterns or _fits(job, patterns) or (bool(filename) and _fits(filename, patterns))

    @contextmanager
    def _reports(self, file: FoundFile) -> Iterator[BinaryIO]:
        """Yield a job's `junit` reports as a zip archive.

        A server that does not know `file_type` sends the job's archive, which is as good where it holds the reports. A
        job without an archive is looked up in the pipeline's test report there.
        """
        place, _, test_report = file.location.partition("#")
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(self._session.download(place))
            except ArtifactGoneError:
                archive = self._tested(test_report, file.artifact) if test_report else None
                if archive is None:
                    raise
                yield archive
                return
            head = stream.read(len(_GZIP))
            stream.seek(0)
            if head == _ZIP:
                self.report.note(
                    "this GitLab gives no `junit` report by its API, so the jobs' archives were read: reports that are "
                    "not in `artifacts:paths` are missing"
                )
            if head != _GZIP:
                yield stream
                return
            repacked = cast("BinaryIO", stack.enter_context(tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)))
            try:
                repack(stream, repacked)
            except (zlib.error, EOFError) as error:
                # handed on as it is: it will be kept, and rejected with a reason
                self.report.note(f"a `junit` report is damaged ({error})")
                repacked = stream
            repacked.seek(0)
            yield repacked

    def _tested(self, place: str, job: str) -> BinaryIO | None:
        """Return what the pipeline's test report says of a job, as a zip archive; None where it says nothing."""
        try:
            answer = self._object(place)
        except SourceNotFoundError:
            return None
        suites = [suite for suite in objects_of(answer.get("test_suites")) if text_of(suite, "name") == job]
        if not any(objects_of(suite.get("test_cases")) for suite in suites):
            return None
        self.report.note(
            "this GitLab gives no `junit` report by its API, so pipelines' test reports were read: they have no suites "
            "and no output of passed tests; add the reports to `artifacts:paths`"
        )
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("test_report.xml", _EPOCH), junit_xml(map(self._suite, suites)))
        target.seek(0)
        return target

    def _suite(self, suite: Json) -> WrittenSuite:
        cases = []
        for case in objects_of(suite.get("test_cases")):
            outcome = OUTCOMES.get(text_of(case, "status"))
            if outcome is None:
                self.report.note("a test case with a status that GitLab does not document was left out")
                continue
            details = [text_of(case, name) for name in ("system_output", "stack_trace")]
            cases.append(
                WrittenCase(
                    name=text_of(case, "name"),
                    classname=text_of(case, "classname"),
                    file=text_of(case, "file"),
                    seconds=seconds_of(case.get("execution_time")),
                    outcome=outcome,
                    details="" if outcome == "passed" else "\n".join(filter(None, details)),
                    stdout=details[0] if outcome == "passed" else "",
                )
            )
        return WrittenSuite("", tuple(cases))

    # -- asking ---------------------------------------------------------------------------------------------------

    def _listed(
        self, place: str, params: Mapping[str, str | int], what: str, max_pages: int, seen: set[int]
    ) -> Iterator[Json]:
        """Yield the entries of a listing, each id once, page by page."""
        page, stale, came = 1, 0, 0
        totals: list[int] = []
        for _ in range(max_pages):
            entries, headers = self._page(place, {**params, "page": page, "per_page": PAGE_SIZE})
            if (total := headers.get("x-total", "")).isdigit():
                totals = [*totals[:1], int(total)]
            new = 0
            for entry in entries:
                identity = entry.get("id") if isinstance(entry, Mapping) else None
                if not _is_id(identity):
                    self.report.note(f"{what}: an entry without an id was passed over")
                    continue
                if identity in seen:
                    self.report.note(f"{what}: an entry came twice")
                    continue
                seen.add(cast("int", identity))
                new += 1
                yield entry
            came += new
            stale = 0 if new else stale + 1
            following = _next_page(headers, page, len(entries))
            if following is None or not entries:
                break
            if stale >= MAX_STALE_PAGES:
                self.report.note(f"{what}: the same page came again and again; paging was stopped there")
                return
            page = following
        else:
            self.report.note(f"{what}: there are more than {max_pages} pages; the rest was not asked for")
            return
        if totals and not min(totals) <= came <= max(totals):
            self.report.note(f"{what}: the server's count of them does not fit what it sent")

    def _page(self, place: str, params: Mapping[str, str | int]) -> tuple[list[Any], Mapping[str, str]]:
        response = self._session.get(place, params, {"accept": "application/json"})
        return require_list(read_json(response), f"{self.title}: {place}", "entries"), response.headers

    def _object(self, place: str) -> Json:
        return require_object(self._session.get_json(place), f"{self.title}: {place}", "an object")

    def _tried_pipelines(self, what: str, project: _Project) -> Access:
        try:
            self._page(f"{API}projects/{project.identity}/pipelines", {"per_page": 1})
        except (SourceError, OSError) as error:
            return Access(what, False, f"{error}. For this, {_SCOPE}")
        return Access(what, True, "readable")

    def _tried_artifact(self, what: str, project: _Project) -> Access:
        place = f"{API}projects/{project.identity}/jobs"
        try:
            jobs, _ = self._page(place, {"per_page": PAGE_SIZE})
            for job in objects_of(jobs):
                kinds = {text_of(each, "file_type") for each in objects_of(job.get("artifacts"))}
                if ARCHIVE in kinds and _is_id(job.get("id")):
                    # one byte tells as much as all of them
                    self._session.get(f"{place}/{job['id']}/artifacts", headers={"range": "bytes=0-0"})
                    return Access(what, True, f"readable; tried with job {job['id']}")
        except SourceNotFoundError:
            return Access(what, True, "listed; the newest one has expired")
        except (SourceError, OSError) as error:
            return Access(what, False, f"{error}. For this, {_SCOPE}")
        return Access(what, True, f"none among the newest {PAGE_SIZE} jobs, so that nothing could be tried")


# -- the landed shape -----------------------------------------------------------------------------------------------


def _run_json(project: _Project, identity: int, pipeline: Json) -> dict[str, Any]:
    """Return a pipeline in the shape of GitHub's workflow run."""
    status, source, ref = (text_of(pipeline, name) for name in ("status", "source", "ref"))
    merge_request = _MERGE_REQUEST.fullmatch(ref)
    created = moment_of(pipeline, "created_at")
    if created is None:
        raise SourceError(
            f"GitLab's answer for pipeline {identity} of {project.full_name} has no created_at; is the source's `url` "
            "the root of a GitLab server?"
        )
    ended = moment_of(pipeline, "finished_at") if status in FINISHED else None
    return {
        "id": identity,
        "run_attempt": 1,
        "name": CHILD_WORKFLOW if source == CHILD else WORKFLOW,
        "event": "pull_request" if merge_request else GITLAB_EVENTS.get(source, source),
        "status": _status(status),
        "conclusion": FINISHED.get(status),
        "head_branch": ref,
        "head_sha": text_of(pipeline, "sha"),
        "created_at": iso(created),
        "run_started_at": iso(moment_of(pipeline, "started_at") or created),
        "updated_at": iso(ended or moment_of(pipeline, "updated_at") or created),
        "html_url": text_of(pipeline, "web_url"),
        "pull_requests": [{"number": int(merge_request[1])}] if merge_request else [],
        "repository": {
            "id": project.identity,
            "full_name": project.full_name,
            "default_branch": project.default_branch or None,
        },
    }


def _job_json(run: Json, jobs: Sequence[Json]) -> dict[str, Any]:
    """Return jobs in the shape of GitHub's list of jobs."""
    shaped = []
    for job in jobs:
        status = text_of(job, "status")
        tags = job.get("tag_list")
        started, ended = moment_of(job, "started_at"), moment_of(job, "finished_at")
        # a manual job that nobody started holds nobody up
        conclusion = FINISHED.get(status) if status != "manual" else "skipped"
        shaped.append(
            {
                "id": job["id"],
                "run_id": run["id"],
                "run_attempt": 1,
                "name": text_of(job, "name"),
                "status": "completed" if conclusion else _status(status),
                "conclusion": conclusion,
                "started_at": iso(started),
                "completed_at": iso(ended) if conclusion else None,
                "labels": sorted({tag for tag in tags if isinstance(tag, str)}) if isinstance(tags, list) else [],
                "runner_name": text_of(object_of(job.get("runner")), "description"),
            }
        )
    return {"total_count": len(shaped), "jobs": shaped}


def _status(status: str) -> str:
    if status in FINISHED:
        return "completed"
    return "in_progress" if status in RUNNING else "queued"


def _inline(kind: FileKind, path: str, value: Json) -> FoundFile:
    return FoundFile("", path, kind, path, json_bytes(value))


# -- `junit` reports --------------------------------------------------------------------------------------------------


def repack(source: BinaryIO, target: BinaryIO) -> None:
    """Write the files of a runner's `junit.xml.gz` as a zip archive; equal bytes give equal bytes.

    The runner packs each report as a gzip member of its own, one after another, with the report's path in the header
    (RFC 1952, section 2.2). Unpacked in one go they would be several XML documents in one file, which nobody reads.

    Raises:
        zlib.error: it is damaged.
        EOFError: it ends too early.
        OSError: it unpacks to more than MAX_UNPACKED_BYTES.
    """
    names: set[str] = set()
    total, number, rest = 0, 0, b""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        while True:
            rest = rest or source.read(_CHUNK_BYTES)
            if not rest.strip(b"\0"):
                if not rest:
                    return
                rest = b""  # padding, which gzip puts up with, too
                continue
            number += 1
            if len(rest) < _CHUNK_BYTES:
                rest += source.read(_CHUNK_BYTES)  # so that the whole header is there
            name = _member_name(rest, number)
            name = f"{number}/{name}" if name in names else name
            names.add(name)
            inflate = zlib.decompressobj(wbits=31)
            with archive.open(zipfile.ZipInfo(name, _EPOCH), "w") as member:
                while not inflate.eof:
                    rest = rest or source.read(_CHUNK_BYTES)
                    if not rest:
                        raise EOFError("a gzip member ends too early")
                    data = inflate.decompress(rest, _CHUNK_BYTES)
                    rest = inflate.unconsumed_tail
                    total += len(data)
                    if total > MAX_UNPACKED_BYTES:
                        raise OSError(f"the reports unpack to more than {MAX_UNPACKED_BYTES} bytes")
                    member.write(data)
            rest = inflate.unused_data


def _member_name(header: bytes, number: int) -> str:
    """Return the path in the header of a gzip member, made harmless; a made-up one where there is none.

    The runner writes the file's name as the name and its path as the comment.
    """
    flags = header[3] if len(header) >= _FIXED_HEADER_BYTES else 0
    start = _FIXED_HEADER_BYTES
    if flags & _HAS_EXTRA:
        start += 2 + int.from_bytes(header[start : start + 2], "little")
    path = b""
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            text, _, _ = header[start:].partition(b"\0")
            start += len(text) + 1
            path = text or path
    parts = path.decode("latin-1").replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..") and ":" not in part) or f"junit-{number}.xml"


# -- reading answers --------------------------------------------------------------------------------------------------


def _next_page(headers: Mapping[str, str], page: int, count: int) -> int | None:
    """Return the number of the next page; None where there is none.

    The address in the Link header is not followed: behind a proxy it may name another host, and the token stays here.
    """
    said = headers.get("x-next-page")
    if said is not None:
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None
    if "link" in headers:
        return page + 1 if 'rel="next"' in headers["link"] else None
    return page + 1 if count >= PAGE_SIZE else None


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**18


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
