"""A GitLab server of the shapes that docs.gitlab.com/api describes, for tests: projects, pipelines, jobs, artifacts.

Job artifacts may be redirected to an object storage of their own, as GitLab does where it has one.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.provider_server import NOT_FOUND, Answer, ProviderServer, Request, json_answer, serving

TOKEN = "glpat-planted-secret-token"
SIGNATURE = "planted-signature"
SHA = "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd"

PIPELINES = r"/pipelines\?"
JOBS = r"/pipelines/\d+/jobs"
ARTIFACTS = r"/jobs/\d+/artifacts"

UNAUTHORIZED = json_answer({"message": "401 Unauthorized"}, 401)
NO_SCOPE = json_answer(
    {
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api read_api",
    },
    403,
)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def gzip_of(files: Mapping[str, bytes]) -> bytes:
    """Return what GitLab's runner makes of report files: gzip members, one after another, each with its path."""
    packed = b""
    for path, data in files.items():
        deflate = zlib.compressobj(wbits=-15)
        name, comment = path.rpartition("/")[2].encode("latin-1"), path.encode("latin-1")
        packed += b"\x1f\x8b\x08\x18" + struct.pack("<IBB", 1_772_000_000, 0, 255) + name + b"\0" + comment + b"\0"
        packed += deflate.compress(data) + deflate.flush()
        packed += struct.pack("<II", zlib.crc32(data), len(data))
    return packed


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pipeline(number: int, **more: Any) -> dict[str, Any]:
    """Return a pipeline as a listing has it, with the fields of a single one under `single`."""
    minute = number % 60
    return {
        "id": number,
        "iid": number,
        "project_id": 7,
        "status": "success",
        "source": "push",
        "ref": "main",
        "sha": SHA,
        "name": f"Build of main {number}",
        "web_url": f"https://gitlab.example.com/acme/shop/-/pipelines/{number}",
        "created_at": f"2026-03-02T07:{minute:02}:00.000Z",
        "updated_at": f"2026-03-02T08:{minute:02}:00.000Z",
        "single": {
            "started_at": f"2026-03-02T07:{minute:02}:05.250Z",
            "finished_at": f"2026-03-02T08:{minute:02}:00.000Z",
            "tag": False,
            "user": {"id": 1, "username": "root"},
        },
        **more,
    }


def job(number: int, name: str = "rspec", **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "status": "success",
        "stage": "test",
        "created_at": "2026-03-02T07:00:01.000Z",
        "started_at": "2026-03-02T07:00:10.000Z",
        "finished_at": "2026-03-02T07:10:00.000Z",
        "artifacts": [],
        "artifacts_expire_at": None,
        "tag_list": ["docker", "linux"],
        "runner": {"id": 3, "description": "runner-3", "name": None},
        "web_url": f"https://gitlab.example.com/acme/shop/-/jobs/{number}",
        **more,
    }


ARCHIVE = {"file_type": "archive", "size": 1000, "filename": "artifacts.zip", "file_format": "zip"}
METADATA = {"file_type": "metadata", "size": 186, "filename": "metadata.gz", "file_format": "gzip"}
TRACE = {"file_type": "trace", "size": 1500, "filename": "job.log", "file_format": "raw"}
JUNIT = {"file_type": "junit", "size": 750, "filename": "junit.xml.gz", "file_format": "gzip"}


@dataclass
class GitLabServer:
    """What the server holds; a test changes it as it likes."""

    prefix: str = ""
    project: dict[str, Any] = field(
        default_factory=lambda: {"id": 7, "path_with_namespace": "acme/web/shop", "default_branch": "main"}
    )
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    children: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    archives: dict[int, bytes] = field(default_factory=dict)
    reports: dict[int, bytes] = field(default_factory=dict)
    test_reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    knows_file_type: bool = True
    filters: bool = True
    most_per_page: int = 100
    storage: str = ""
    http: ProviderServer = field(init=False)

    @property
    def url(self) -> str:
        return self.http.url + self.prefix

    def respond(self, request: Request) -> Answer:  # noqa: PLR0911 - one a route
        root = f"{self.prefix}/api/v4/projects/"
        if not request.path.startswith(root):
            return NOT_FOUND
        if request.headers.get("private-token") != TOKEN:
            return UNAUTHORIZED
        name, _, rest = request.path.removeprefix(root).partition("/")
        if unquote(name) not in (str(self.project["id"]), self.project["path_with_namespace"]):
            return NOT_FOUND
        match rest.split("/") if rest else []:
            case []:
                return json_answer(self.project)
            case ["pipelines"]:
                return self._listed(request)
            case ["pipelines", number]:
                found = [each for each in self.pipelines + self.children if str(each.get("id")) == number]
                return json_answer({**found[0], **found[0].get("single", {})}) if found else NOT_FOUND
            case ["pipelines", number, "jobs"]:
                jobs = self.jobs.get(int(number), [])
                if request.query.get("include_retried") != "true":
                    jobs = [each for each in jobs if not each.get("retried")]
                return self._paged(request, jobs)
            case ["pipelines", number, "test_report"]:
                return json_answer(self.test_reports.get(int(number), {"test_suites": []}))
            case ["jobs"]:
                return self._paged(request, [each for jobs in self.jobs.values() for each in jobs])
            case ["jobs", number, "artifacts"]:
                return self._artifact(request, int(number))
        return NOT_FOUND

    def _listed(self, request: Request) -> Answer:
        is_child = request.query.get("source") == "parent_pipeline"
        found = [
            {key: value for key, value in each.items() if key != "single"}
            for each in (self.children if is_child else self.pipelines)
            if not self.filters
            or (
                str(each.get("updated_at") or "9") >= request.query.get("updated_after", "")
                and str(each.get("created_at") or "0") < request.query.get("created_before", "9")
            )
        ]
        return self._paged(request, sorted(found, key=lambda each: -(each.get("id") or 0)))

    def _paged(self, request: Request, entries: list[dict[str, Any]]) -> Answer:
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 20))
        size = min(size, self.most_per_page)
        here = entries[(page - 1) * size : page * size]
        following = str(page + 1) if len(entries) > page * size else ""
        return json_answer(
            here, x_page=str(page), x_next_page=following, x_total=str(len(entries)), x_per_page=str(size)
        )

    def _artifact(self, request: Request, number: int) -> Answer:
        kind = request.query.get("file_type", "archive") if self.knows_file_type else "archive"
        held = self.reports if kind == "junit" else self.archives
        if number not in held:
            return NOT_FOUND
        if self.storage:
            return Answer(302, b"", {"location": f"{self.storage}/{kind}/{number}?signature={SIGNATURE}"})
        return Answer(200, held[number], {"content-type": "application/octet-stream"})


def stored(gitlab: GitLabServer, request: Request) -> Answer:
    """Answer as the object storage behind a GitLab server."""
    _, kind, number = request.path.split("/")
    held = gitlab.reports if kind == "junit" else gitlab.archives
    if request.query.get("signature") != SIGNATURE:
        return Answer(403, b"<Error/>")
    return Answer(200, held[int(number)], {"etag": '"1"'})


@contextmanager
def gitlab_serving(gitlab: GitLabServer | None = None) -> Iterator[GitLabServer]:
    """Yield a running GitLab server."""
    gitlab = gitlab or GitLabServer()
    with serving(gitlab.respond) as server:
        gitlab.http = server
        yield gitlab
