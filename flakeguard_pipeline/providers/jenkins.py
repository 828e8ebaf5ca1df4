"""Jenkins: the builds of jobs and what they archived, or else what its JUnit plugin keeps of their tests.

A build is a run with one attempt: Jenkins starts nothing again under the same number. A build that archived no report
is asked for its test results, which are written as JUnit reports (docs/reference/source-jenkins.md).

    https://www.jenkins.io/doc/book/using/remote-access-api/    `tree` and its ranges
    https://www.jenkins.io/doc/book/security/access-control/permissions/
    https://plugins.jenkins.io/junit/                           `testReport`, by suites and their enclosing stages
    https://plugins.jenkins.io/git/                             `lastBuiltRevision`, `remoteUrls`

Belongs here: Jenkins' REST API. Does not belong here: reading reports.
"""

import base64
import io
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeGuard
from urllib.parse import unquote, urlsplit

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
)
from flakeguard_pipeline.providers.answers import (
    full_name_of,
    iso,
    json_bytes,
    object_of,
    objects_of,
    require_object,
    require_token,
    segment,
    text_of,
)
from flakeguard_pipeline.providers.http import HttpSession
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
from flakeguard_pipeline.source_sections import JenkinsSection, SecretReference

PAGE_SIZE = 100
"""Builds a page: Jenkins reads each of them from its disk to answer."""

MAX_PAGES = 10_000
"""Pages of one job's builds: a million builds. A server that never comes to an end ends here."""

MAX_STALE_PAGES = 2
"""Pages in a row that bring nothing new. One is possible where builds start while we page; two are a circle."""

MAX_DEPTH = 10
"""Folders in folders: an organization with multibranch projects in folders has four."""

MAX_JOBS = 50_000
"""Jobs below one that the configuration names: all branches of all projects of a large organization."""

MAX_FILES = 50_000
"""Files of one build that fit the patterns: more than the test classes of the largest builds."""

DEFAULT_ARTIFACTS = ("**/*.xml", "**/*.trx")
"""Which archived files are reports, where the configuration does not say: builds archive their products, too."""

TEST_RESULTS = "test-results"
"""The artifact that Jenkins' own test results are filed under; `test-results-` is cut off for the variant."""

CONCLUSIONS = {
    "SUCCESS": "success",
    "UNSTABLE": "failure",
    "FAILURE": "failure",
    "ABORTED": "cancelled",
    "NOT_BUILT": "skipped",
}
"""Results of builds, with GitHub's name for the conclusion. Unstable is a build whose tests failed."""

EVENTS = {
    "TimerTriggerCause": "schedule",
    "ParameterizedTimerTriggerCause": "schedule",
    "UserIdCause": "workflow_dispatch",
    "UserCause": "workflow_dispatch",
    "ReplayCause": "workflow_dispatch",
    "RebuildCause": "workflow_dispatch",
    "RemoteCause": "repository_dispatch",
    "GenericCause": "repository_dispatch",
    "UpstreamCause": "workflow_run",
    "BuildUpstreamCause": "workflow_run",
    "SCMTriggerCause": "push",
    "BranchEventCause": "push",
    "BranchIndexingCause": "push",
    "GitHubPushCause": "push",
    "GitLabWebHookCause": "push",
    "BitBucketPushCause": "push",
    "GhprbCause": "pull_request",
}
"""The last name of a cause's class, with GitHub's name for the event; others keep their own."""

PULL_REQUEST_PARAMETERS = frozenset({"CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid"})
"""Parameters that hold a pull request's number; no other parameter is read."""

OUTCOMES: Mapping[str, Outcome] = {
    "PASSED": "passed",
    "FIXED": "passed",
    "FAILED": "failure",
    "REGRESSION": "failure",
    "SKIPPED": "skipped",
}
"""What the JUnit plugin says of a case; FIXED and REGRESSION compare it with the build before."""

_BUILD = "number,timestamp,duration,result,building"
_PLACE = f"{_BUILD},builtOn,artifacts[relativePath],actions[urlName,totalCount]"
_ACTIONS = (
    "actions[_class,urlName,totalCount,lastBuiltRevision[SHA1,branch[SHA1,name]],remoteUrls,causes[_class],"
    "parameters[name,value]]"
)
_DETAILS = f"{_BUILD},url,builtOn,artifacts[relativePath],{_ACTIONS},runs[url,{_PLACE}]"
_SUITES = (
    "suites[name,timestamp,stdout,stderr,enclosingBlockNames,"
    "cases[className,name,duration,status,errorDetails,errorStackTrace,skippedMessage,stdout,stderr]]"
)
_RESULTS = f"{_SUITES},childReports[result[{_SUITES}]]"
_BLOCKS = "suites[enclosingBlockNames],childReports[result[suites[enclosingBlockNames]]]"

_REPORT = "test-report:"
_MULTIBRANCH = "MultiBranchProject"
_PRIMARY = "PrimaryInstanceMetadataAction"
_PULL_REQUEST = re.compile(r"(?:PR|MR)-(\d{1,9})(?:-(?:head|merge))?")
_REMOTE_BRANCH = re.compile(r"(?:refs/remotes/|remotes/)[^/]+/|refs/heads/|origin/")
_PERMISSIONS = "Its user needs Overall/Read, Job/Read on the jobs and the folders above them"
_ARTIFACTS_PERMISSION = "Where Jenkins runs with hudson.security.ArtifactsPermission, its user needs Run/Artifacts"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Parent:
    """What holds a job: whether its jobs are branches of one repository, and which of them is the default one."""

    is_multibranch: bool = False
    default_branch: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """A build, or one configuration of a matrix build, which has artifacts and test results of its own."""

    path: str
    artifact: str
    fields: Json


def build_jenkins(
    section: JenkinsSection, secret: Callable[[SecretReference], str], *, clock: Clock | None = None
) -> "JenkinsSource":
    """Return the source that a section of the configuration describes; asks nothing yet.

    Raises:
        ConfigurationError: a token without a user, or one that no header may hold.
    """
    headers = {}
    if section.token is not None:
        if not section.user:
            raise ConfigurationError(
                f"the source {section.name} has a `token` and no `user`; name the user whose API token it is"
            )
        token = require_token(secret(section.token), section.name)
        pair = base64.b64encode(f"{section.user}:{token}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {pair}"
    return JenkinsSource(section, headers, clock or Clock())


class JenkinsSource:
    """The builds of some jobs of one Jenkins. An ArtifactSource."""

    provider = "jenkins"

    def __init__(self, section: JenkinsSection, secret_headers: Mapping[str, str], clock: Clock) -> None:
        """Prepare to ask the server of `section`."""
        self.name = section.name
        self.report = SourceReport()
        self._section = section
        self._session = HttpSession(
            section.url,
            self.report,
            secret_headers=secret_headers,
            timeout_seconds=section.timeout_seconds,
            connections=section.downloads,
            requests_per_second=section.requests_per_second,
            clock=clock,
        )
        self._patterns = tuple(_ant_glob(glob) for glob in section.artifacts or DEFAULT_ARTIFACTS)
        self._parents: dict[str, _Parent] = {}
        self._lock = threading.Lock()

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"Jenkins {self._session.base_url.copy_with(userinfo=b'', query=None)}"

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        """Yield the builds of the window, job by job, the newest of each first.

        The numbers of the builds of the job at hand are kept, and the names of the jobs that were seen.
        """
        seen: set[str] = set()
        for name in self._section.jobs:
            yield from self._below(name.strip("/"), window, seen, MAX_DEPTH)

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        """Return run.json, job.json, and the archived reports or else the test results of a build."""
        job, _, number = found.folder.rpartition("/")
        if not job or not number.isascii() or not number.isdigit():
            raise SourceError(f"{self.title}: {found.folder!r} is no build's folder (<full name of the job>/<number>)")
        path = f"{_job_path(job)}{int(number)}/"
        build = self._object(path, _DETAILS)
        parent = self._parent(job)
        run = self._run_json(job, int(number), build, parent)
        places = self._places(job, int(number), path, build)
        files = [_inline("run", "run.json", run), _inline("jobs", "job.json", _job_json(run, places))]
        return (*files, *sorted(file for place in places for file in self._files(place)))

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        """Open one file; test results are asked for and written as a JUnit report."""
        if file.inline is not None:
            return io.BytesIO(file.inline)
        if file.location.startswith(_REPORT):
            return io.BytesIO(self._written_report(file.location.removeprefix(_REPORT), file.artifact))
        return self._session.download(file.location)

    def check(self) -> Iterator[Access]:
        """Try the server, each job, and the newest artifact among the newest builds of each job."""
        try:
            self._object("", "_class")
        except (SourceError, OSError) as error:
            yield Access("Jenkins", False, f"{error}. {_PERMISSIONS}")
            return
        yield Access("Jenkins", True, "readable (Overall/Read)")
        for name in dict.fromkeys(name.strip("/") for name in self._section.jobs):
            yield from self._checked(name)

    # -- jobs and builds --------------------------------------------------------------------------------------------

    def _below(self, job: str, window: Window, seen: set[str], depth: int) -> Iterator[FoundFolder]:
        """Yield the builds of a job, or of all jobs in a folder."""
        if job in seen:
            return
        seen.add(job)
        if len(seen) > MAX_JOBS:
            self.report.note(f"there are more than {MAX_JOBS} jobs; the rest was not asked for")
            return
        answer = self._object(_job_path(job), f"_class,jobs[name],{_range(0)}")
        if "jobs" not in answer:
            yield from self._builds(job, answer, window)
            return
        if depth == 0:
            self.report.note(f"{job} lies deeper than {MAX_DEPTH} folders; what is in it was not asked for")
            return
        for each in objects_of(answer["jobs"]):
            name = text_of(each, "name")
            if not name or name in (".", "..") or "/" in name:
                self.report.note(f"{job}: a job without a usable name was passed over")
                continue
            try:
                yield from self._below(f"{job}/{name}", window, seen, depth - 1)
            except SourceNotFoundError:
                # branches come and go while we ask
                self.report.note(f"{job}: a job was deleted while its folder was read")

    def _builds(self, job: str, answer: Json, window: Window) -> Iterator[FoundFolder]:
        """Yield the builds of a job, page by page; `answer` has the first one."""
        seen: set[int] = set()
        stale = 0
        for page in range(MAX_PAGES):
            if page:
                answer = self._object(_job_path(job), _range(page * PAGE_SIZE))
            builds = answer.get("allBuilds")
            if not isinstance(builds, list):
                return
            new, newest = 0, None
            for build in builds:
                number = build.get("number") if isinstance(build, Mapping) else None
                if not _is_count(number):
                    self.report.note(f"{job}: a build without a number was passed over")
                    continue
                if number in seen:
                    self.report.note(f"{job}: a build came twice")
                    continue
                seen.add(number)
                new += 1
                started = _moment(build.get("timestamp"))
                newest = max(filter(None, (newest, started)), default=None)
                if _is_in(window, started):
                    yield _folder(job, number, build, started)
            if len(builds) < PAGE_SIZE:
                return
            if window.since is not None and newest is not None and newest < window.since:
                return  # numbers grow with time: the rest is older still
            stale = 0 if new else stale + 1
            if stale >= MAX_STALE_PAGES:
                self.report.note(f"{job}: the same page came again and again; paging was stopped there")
                return
        self.report.note(f"{job}: there are more than {MAX_PAGES} pages of builds; the rest was not asked for")

    def _parent(self, job: str) -> _Parent:
        """Return what holds a job; asked for once."""
        name = job.rpartition("/")[0]
        if not name:
            return _Parent()
        with self._lock:
            known = self._parents.get(name)
        if known is not None:
            return known
        try:
            answer = self._object(_job_path(name), "_class,jobs[name,actions[_class]]")
        except (SourceDeniedError, SourceNotFoundError):
            self.report.note(f"{name} cannot be read, so its jobs are not known as branches; grant Job/Read on it")
            answer = {}
        parent = _Parent()
        if text_of(answer, "_class").endswith(_MULTIBRANCH):
            primary = [
                unquote(text_of(each, "name"))
                for each in objects_of(answer.get("jobs"))
                if any(text_of(action, "_class").endswith(_PRIMARY) for action in objects_of(each.get("actions")))
            ]
            parent = _Parent(True, primary[0] if len(primary) == 1 else "")
        with self._lock:
            self._parents[name] = parent
        return parent

    def _places(self, job: str, number: int, path: str, build: Json) -> list[_Place]:
        """Return where a build has artifacts: itself, or its configurations where it is a matrix."""
        configurations = {}
        for run in objects_of(build.get("runs")):
            # configurations that were not built this time are listed with the build that they were last part of
            if run.get("number") == number:
                name = _configuration(text_of(run, "url"))
                if name:
                    configurations[name] = run
        if configurations:
            return [
                _Place(f"{_job_path(job)}{segment(name)}/{number}/", name, configurations[name])
                for name in sorted(configurations)
            ]
        return [_Place(path, "", build)]

    # -- files -----------------------------------------------------------------------------------------------------

    def _files(self, place: _Place) -> Iterator[FoundFile]:
        paths = sorted({text_of(each, "relativePath") for each in objects_of(place.fields.get("artifacts"))} - {""})
        wanted = [path for path in paths if any(pattern.fullmatch(path) for pattern in self._patterns)]
        for path in wanted[:MAX_FILES]:
            segments = path.split("/")
            if any(part in ("", ".", "..") for part in segments):
                self.report.note("an artifact with an odd path was passed over")
                continue
            kind: FileKind = "file"
            if path.lower().endswith(".zip"):
                kind = "nested_zip" if place.artifact else "zip"
            location = f"{place.path}artifact/{'/'.join(map(segment, segments))}"
            yield FoundFile(place.artifact, path, kind, location)
        if len(wanted) > MAX_FILES:
            self.report.note(f"a build archived more than {MAX_FILES} reports; the rest was not asked for")
        if not wanted and any(text_of(action, "urlName") == "testReport" for action in _actions(place.fields)):
            yield from self._test_results(place)

    def _test_results(self, place: _Place) -> Iterator[FoundFile]:
        """Yield a report for each stage of the pipeline in which results were published: stages may be variants."""
        path = f"{place.path}testReport/"
        try:
            answer = self._object(path, _BLOCKS)
        except SourceNotFoundError:
            self.report.note("a build says that it has test results, and has none")
            return
        for artifact in sorted({_artifact_of(suite, place.artifact) for suite in _suites(answer)}):
            yield FoundFile(artifact, "testReport.xml", "file", f"{_REPORT}{place.artifact}:{path}")

    def _written_report(self, location: str, artifact: str) -> bytes:
        base, _, path = location.rpartition(":")
        try:
            answer = self._object(path, _RESULTS)
        except SourceNotFoundError as error:
            raise ArtifactGoneError(str(error)) from error
        return junit_xml(self._suite(suite) for suite in _suites(answer) if _artifact_of(suite, base) == artifact)

    def _suite(self, suite: Json) -> WrittenSuite:
        cases = []
        for case in objects_of(suite.get("cases")):
            outcome = OUTCOMES.get(text_of(case, "status"))
            if outcome is None:
                self.report.note("a test case with a status that the JUnit plugin does not have was left out")
                continue
            skipped = outcome == "skipped"
            cases.append(
                WrittenCase(
                    name=text_of(case, "name"),
                    classname=text_of(case, "className"),
                    seconds=seconds_of(case.get("duration")),
                    outcome=outcome,
                    message=text_of(case, "skippedMessage" if skipped else "errorDetails"),
                    details="" if outcome == "passed" else text_of(case, "errorStackTrace"),
                    stdout=text_of(case, "stdout"),
                    stderr=text_of(case, "stderr"),
                )
            )
        return WrittenSuite(
            text_of(suite, "name"),
            tuple(cases),
            text_of(suite, "timestamp"),
            text_of(suite, "stdout"),
            text_of(suite, "stderr"),
        )

    # -- the landed shape ---------------------------------------------------------------------------------------------

    def _run_json(self, job: str, number: int, build: Json, parent: _Parent) -> dict[str, Any]:
        """Return a build in the shape of GitHub's workflow run."""
        started = _moment(build.get("timestamp"))
        if started is None:
            raise SourceError(
                f"{self.title}: build {number} of {job} has no timestamp; is the source's `url` the root of Jenkins?"
            )
        holder, _, leaf = job.rpartition("/")
        branch = unquote(leaf) if parent.is_multibranch else ""
        revision, remote = _revision(build, branch)
        pull_request = _pull_request(build, branch)
        status, conclusion = _state(build)
        url = text_of(build, "url")
        return {
            "id": f"{job}#{number}",
            "run_attempt": 1,
            # the jobs of a multibranch project are branches of one workflow
            "name": holder if parent.is_multibranch else job,
            "event": "pull_request" if pull_request is not None else _event(build),
            "status": status,
            "conclusion": conclusion,
            "head_branch": branch or _branch(revision),
            "head_sha": text_of(revision, "SHA1"),
            "created_at": iso(started),
            "run_started_at": iso(started),
            "updated_at": iso(_ended(build) or started),
            "html_url": url if urlsplit(url).scheme in ("http", "https") and "@" not in url else "",
            "pull_requests": [] if pull_request is None else [{"number": pull_request}],
            "repository": {
                "full_name": full_name_of(remote) or (holder if parent.is_multibranch else job),
                "default_branch": parent.default_branch or None,
            },
        }

    # -- asking -------------------------------------------------------------------------------------------------------

    def _object(self, path: str, tree: str) -> Json:
        value = self._session.get_json(f"{path}api/json", {"tree": tree})
        return require_object(value, f"{self.title}: {path or 'its root'}", "an object")

    def _checked(self, job: str) -> Iterator[Access]:
        what = f"job {job}"
        try:
            found = next(self._below(job, EVERYTHING, set(), MAX_DEPTH), None)
        except (SourceError, OSError) as error:
            yield Access(what, False, f"{error}. {_PERMISSIONS}")
            return
        if found is None:
            yield Access(what, True, "readable; no build yet")
            return
        yield Access(what, True, f"readable; tried with {found.folder}")
        what = f"artifacts of {job}"
        try:
            files = [file for file in self.contents(found) if file.kind not in ("run", "jobs")]
            if not files:
                yield Access(what, True, f"{found.folder} has no report, so that nothing could be tried")
                return
            if not files[0].location.startswith(_REPORT):
                # one byte tells as much as all of them
                self._session.get(files[0].location, headers={"range": "bytes=0-0"})
        except (SourceError, OSError) as error:
            yield Access(what, False, f"{error}. {_PERMISSIONS}. {_ARTIFACTS_PERMISSION}")
            return
        yield Access(what, True, f"readable; {found.folder} has {len(files)}")


def _folder(job: str, number: int, build: Json, started: datetime | None) -> FoundFolder:
    state = [str(build.get(name)) for name in ("result", "building", "timestamp", "duration")]
    return FoundFolder(
        folder=f"{job}/{number}",
        fingerprint=stable_id(["jenkins", job, number, *state]),
        day=started.date().isoformat() if started is not None else "",
        is_finished=not _is_building(build),
    )


def _job_json(run: Json, places: Sequence[_Place]) -> dict[str, Any]:
    """Return a build, or the configurations of a matrix build, in the shape of GitHub's list of jobs."""
    jobs = []
    for place in places:
        status, conclusion = _state(place.fields)
        agent = text_of(place.fields, "builtOn")
        ended = _ended(place.fields)
        jobs.append(
            {
                "id": f"{run['id']}/{place.artifact}" if place.artifact else run["id"],
                "run_id": run["id"],
                "run_attempt": 1,
                "name": place.artifact or run["name"],
                "status": status,
                "conclusion": conclusion,
                "started_at": iso(_moment(place.fields.get("timestamp"))),
                "completed_at": iso(ended),
                "labels": [],
                "runner_name": agent,
            }
        )
    return {"total_count": len(jobs), "jobs": jobs}


def _inline(kind: FileKind, path: str, value: Json) -> FoundFile:
    return FoundFile("", path, kind, path, json_bytes(value))


# -- reading answers --------------------------------------------------------------------------------------------------


def _job_path(job: str) -> str:
    """Return the path of a job below Jenkins' root: `a/b` is /job/a/job/b/."""
    return "".join(f"job/{segment(name)}/" for name in job.split("/"))


def _range(start: int) -> str:
    return f"allBuilds[{_BUILD}]{{{start},{start + PAGE_SIZE}}}"


def _is_building(build: Json) -> bool:
    return build.get("building") is True


def _state(build: Json) -> tuple[str, str | None]:
    if _is_building(build):
        return "in_progress", None
    return "completed", CONCLUSIONS.get(text_of(build, "result"))


def _ended(build: Json) -> datetime | None:
    """Return when a build ended; its duration is 0 while it runs."""
    started, duration = build.get("timestamp"), build.get("duration")
    if _is_building(build) or not _is_count(started) or not _is_count(duration):
        return None
    return _moment(started + duration)


def _moment(milliseconds: object) -> datetime | None:
    if not _is_count(milliseconds):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**15


def _is_in(window: Window, started: datetime | None) -> bool:
    if started is None:
        return True
    return (window.since is None or started >= window.since) and (window.until is None or started < window.until)


def _actions(build: Json) -> list[Json]:
    return objects_of(build.get("actions"))


def _revision(build: Json, branch: str) -> tuple[Json, str]:
    """Return the revision that was built, and where it is from.

    A build that loads a shared library has that one's revision, too, and often first: so one of the job's own branch
    is preferred.
    """
    known = []
    for action in _actions(build):
        revision = object_of(action.get("lastBuiltRevision"))
        if text_of(revision, "SHA1"):
            urls = action.get("remoteUrls")
            texts = [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []
            known.append((revision, texts[0] if texts else ""))
    fitting = [each for each in known if branch and _branch(each[0]) == branch]
    return (fitting or known or [({}, "")])[0]


def _branch(revision: Json) -> str:
    names = [text_of(each, "name") for each in objects_of(revision.get("branch"))]
    name = next(filter(None, names), "")
    short = _REMOTE_BRANCH.sub("", name, count=1) if _REMOTE_BRANCH.match(name) else name
    return "" if short in ("detached", "HEAD") else short


def _pull_request(build: Json, branch: str) -> int | None:
    match = _PULL_REQUEST.fullmatch(branch)
    if match is not None:
        return int(match[1])
    for action in _actions(build):
        for parameter in objects_of(action.get("parameters")):
            value = text_of(parameter, "value")
            if text_of(parameter, "name") in PULL_REQUEST_PARAMETERS and re.fullmatch(r"[1-9]\d{0,8}", value):
                return int(value)
    return None


def _event(build: Json) -> str:
    for action in _actions(build):
        for cause in objects_of(action.get("causes")):
            kind = re.split(r"[.$]", text_of(cause, "_class"))[-1]
            if kind:
                return EVENTS.get(kind, kind)
    return ""


def _configuration(url: str) -> str:
    """Return the name of a matrix configuration from the address of its build: .../job/m/jdk=17,os=linux/12/."""
    try:
        parts = [part for part in urlsplit(url).path.split("/") if part]
    except ValueError:
        return ""
    name = unquote(parts[-2]) if len(parts) >= 2 else ""
    return name if "=" in name and "/" not in name else ""


def _suites(answer: Json) -> Iterator[Json]:
    """Yield the suites of a build's test results, those of its modules or configurations among them."""
    yield from objects_of(answer.get("suites"))
    for child in objects_of(answer.get("childReports")):
        yield from objects_of(object_of(child.get("result")).get("suites"))


def _artifact_of(suite: Json, base: str) -> str:
    """Return the artifact that a suite is filed under: its stages and branches, outermost first."""
    if base:
        return base
    blocks = suite.get("enclosingBlockNames")
    names = [name for name in reversed(blocks) if isinstance(name, str) and name] if isinstance(blocks, list) else []
    return f"{TEST_RESULTS}-{' / '.join(names)}" if names else TEST_RESULTS


def _ant_glob(glob: str) -> re.Pattern[str]:
    """Return a pattern as Jenkins spells it: `**/` is any folders or none, `*` is anything in a name."""
    pattern = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob + ("**" if glob.endswith("/") else "")):
        special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part)
        pattern += special if special is not None else re.escape(part)
    return re.compile(pattern, re.DOTALL)
