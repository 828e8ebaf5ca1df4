"""GitHub's REST API for Actions in its documented shapes, played on loopback, with the store that holds the artifacts.

https://docs.github.com/en/rest/actions. It is as strict as GitHub: a request that its description does not know,
without `User-Agent`, or with the wrong identity is refused, so that a test cannot pass with one.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import jwt

from tests.support.provider_server import Answer, ProviderServer, Request, json_answer, serving

SEARCH_LIMIT = 1000
SIGNATURE = "signature-of-the-store"

_MESSAGE = {401: "Bad credentials", 403: "Resource not accessible by personal access token", 404: "Not Found"}
_CREATED = re.compile(r"(?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\.\.(?P<until>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_QUERIES = {
    "runs": {"created", "page", "per_page"},
    "jobs": {"page", "per_page"},
    "artifacts": {"page", "per_page", "name"},
}


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class FakeArtifact:
    id: int
    name: str
    created_at: datetime
    content: bytes = b"PK"
    expired: bool = False


@dataclass
class FakeAttempt:
    """One attempt of a run; `jobs` are the names of its jobs."""

    started: datetime
    status: str = "completed"
    conclusion: str | None = "failure"
    minutes: int = 10
    jobs: tuple[str, ...] = ("test",)
    artifacts: list[FakeArtifact] = field(default_factory=list)

    @property
    def updated(self) -> datetime:
        return self.started + timedelta(minutes=self.minutes)


@dataclass
class FakeRun:
    id: int
    attempts: list[FakeAttempt]
    name: str = "CI"
    path: str = ".github/workflows/ci.yml"
    event: str = "push"

    @property
    def created(self) -> datetime:
        return self.attempts[0].started


@dataclass
class FakeRepository:
    full_name: str
    id: int
    default_branch: str = "trunk"
    runs: list[FakeRun] = field(default_factory=list)
    private: bool = True


class FakeGitHub:
    """What github.com knows and how it answers; `api` is the server of its API, `store` the one of artifacts."""

    def __init__(self, prefix: str, token: str | None) -> None:
        self.prefix = prefix
        self.token = token
        self.app_id = ""
        self.app_public_key: Any = None
        self.installation_id = 0
        self.installation_tokens: list[str] = []
        self.requested_permissions: list[Any] = []
        self.repositories: dict[str, FakeRepository] = {}
        self.renamed: dict[str, str] = {}
        self.denied: set[str] = set()
        self.knows_search = True
        self.tells_total: Callable[[int], Any] = lambda total: total
        self.remaining = 5000
        self.etags = True
        self.store_redirects = 0
        self.api: ProviderServer
        self.store: ProviderServer
        self._lock = threading.Lock()
        self._artifacts: dict[int, FakeArtifact] = {}
        self._runs: dict[tuple[int, int], FakeRun] = {}

    @property
    def url(self) -> str:
        return self.api.url + self.prefix

    def add(self, full_name: str, *runs: FakeRun, number: int = 77) -> FakeRepository:
        repository = FakeRepository(full_name, number, runs=list(runs))
        self.repositories[full_name.lower()] = repository
        return repository

    # -- the API -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - one for each thing to refuse
        if not request.path.startswith(self.prefix + "/"):
            return _error(404)
        if "user-agent" not in request.headers:
            return Answer(403, b"Request forbidden by administrative rules.")
        if request.headers.get("accept") != "application/vnd.github+json":
            return _error(415, "Unsupported 'Accept' header")
        path = request.path[len(self.prefix) :]
        if found := re.fullmatch(r"/app/installations/(\d+)/access_tokens", path):
            return self._installation_token(request, int(found[1]))
        if request.method != "GET":
            return _error(404)
        if request.headers.get("x-github-api-version") not in ("2022-11-28", "2026-03-10"):
            return _error(400, "not a supported version")
        expected = {f"token {each}" for each in (*self.installation_tokens[-1:], *([self.token] if self.token else []))}
        told = request.headers.get("authorization")
        if told is not None and told not in expected:
            return _error(401)
        if path == "/rate_limit":
            core = {"limit": 5000, "remaining": self.remaining, "reset": 1767230000, "used": 1}
            return self._told(request, {"resources": {"core": core}, "rate": core})
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)
        if found is None:
            number = re.fullmatch(r"/repositories/(\d+)(/.*)?", path)
            known = next((each for each in self.repositories.values() if number and each.id == int(number[1])), None)
            rest = (number[2] or "") if number else ""
        else:
            name, rest = found[1].lower(), found[2] or ""
            if name in self.renamed:
                moved = self.repositories[self.renamed[name]]
                target = request.target[len(self.prefix) + len("/repos/") + len(name) :]
                return json_answer(
                    {"message": "Moved Permanently"}, 301, location=f"{self.url}/repositories/{moved.id}{target}"
                )
            known = self.repositories.get(name)
        if known is None or (known.private and told is None and expected):
            return _error(404)
        return self._of_repository(request, known, rest)

    def _of_repository(  # noqa: PLR0911 - one for each thing to ask for
        self, request: Request, repository: FakeRepository, rest: str
    ) -> Answer:
        if rest == "":
            return self._told(request, self._repository(repository, full=True))
        kind = next((kind for kind in ("jobs", "artifacts", "zip", "attempts", "runs") if kind in rest), "")
        if kind in self.denied:
            needs = {"x-accepted-github-permissions": "actions=read"}
            return json_answer({"message": _MESSAGE[403]}, 403, **needs)
        if rest == "/actions/runs":
            return self._list_runs(request, repository)
        if rest == "/actions/artifacts":
            listed = [each for run in repository.runs for one in run.attempts for each in one.artifacts]
            return self._page(request, "artifacts", [self._artifact(repository, None, each) for each in listed])
        if found := re.fullmatch(r"/actions/artifacts/(\d+)/zip", rest):
            return self._redirect(request, int(found[1]))
        found = re.fullmatch(r"/actions/runs/(\d+)(?:/attempts/(\d+))?(/jobs|/artifacts)?", rest)
        run = self.run(repository, int(found[1])) if found else None
        if found is None or run is None or (found[2] and not 1 <= int(found[2]) <= len(run.attempts)):
            return _error(404)
        if found[3] == "/artifacts" and not found[2]:
            listed = [each for attempt in run.attempts for each in attempt.artifacts]
            return self._page(request, "artifacts", [self._artifact(repository, run, each) for each in listed])
        if found[3] == "/jobs" and found[2]:
            return self._page(request, "jobs", self._jobs(repository, run, int(found[2])))
        if found[3] or not found[2]:
            return _error(404)
        return self._told(request, self._run(repository, run, int(found[2])))

    def _list_runs(self, request: Request, repository: FakeRepository) -> Answer:
        runs = sorted(repository.runs, key=lambda run: (run.created, run.id), reverse=True)
        created = request.query.get("created")
        if created is not None and self.knows_search:
            found = _CREATED.fullmatch(created)
            if found is None:
                return _error(422, "created is invalid")
            runs = [run for run in runs if found["since"] <= stamp(run.created) <= found["until"]]
        total = len(runs)
        if created is not None and self.knows_search:
            runs = runs[:SEARCH_LIMIT]
        return self._page(
            request,
            "workflow_runs",
            [self._run(repository, run, len(run.attempts)) for run in runs],
            total,
            kind="runs",
        )

    def _page(
        self, request: Request, items: str, entries: list[Any], total: int | None = None, kind: str | None = None
    ) -> Answer:
        if set(request.query) - _QUERIES[kind or items]:
            return _error(422, f"unknown parameters {sorted(request.query)}")
        size, number = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
        if not 1 <= size <= 100 or number < 1:
            return _error(422)
        begin = (number - 1) * size
        value = {
            "total_count": self.tells_total(len(entries) if total is None else total),
            items: entries[begin : begin + size],
        }
        links = {}
        last = -(-len(entries) // size)
        if last > 1:
            query = {name: text for name, text in request.query.items() if name != "page"}

            def link(page: int, relation: str) -> str:
                told = "&".join(f"{name}={quote(text, safe='')}" for name, text in {**query, "page": str(page)}.items())
                return f'<{self.api.url}{request.path}?{told}>; rel="{relation}"'

            parts = [link(number + 1, "next"), link(last, "last")] if number < last else []
            parts += [link(number - 1, "prev"), link(1, "first")] if number > 1 else []
            links["link"] = ", ".join(parts)
        return self._told(request, value, **links)

    def _told(self, request: Request, value: Any, **headers: str) -> Answer:
        """Answer with JSON, or with 304 to the right `If-None-Match`, which costs nothing of the rate limit."""
        etag = f'W/"{hashlib.sha256(json.dumps(value).encode()).hexdigest()}"'
        unchanged = self.etags and request.headers.get("if-none-match") == etag
        with self._lock:
            self.remaining -= 0 if unchanged else 1
            limits = {
                "x-ratelimit-limit": "5000",
                "x-ratelimit-remaining": str(self.remaining),
                "x-ratelimit-reset": "1767230000",
                **({"x-oauth-scopes": "repo"} if self.token and self.token.startswith("ghp_") else {}),
            }
        if unchanged:
            return Answer(304, b"", {"etag": etag, **limits})
        answer = json_answer(value, 200, **headers)
        answer.headers.update(limits)
        if self.etags:
            answer.headers["etag"] = etag
        return answer

    def _redirect(self, request: Request, number: int) -> Answer:
        if "authorization" not in request.headers:
            return _error(401, "Requires authentication")
        artifact = self.artifact(number)
        if artifact is None:
            return _error(404)
        if artifact.expired:
            return _error(410, "Artifact has expired")
        with self._lock:
            self.store_redirects += 1
            signature = f"{SIGNATURE}-{self.store_redirects}"
        return Answer(302, b"", {"location": f"{self.store.url}/container/{number}.zip?se=1&sig={signature}"})

    def artifact(self, number: int) -> FakeArtifact | None:
        if number not in self._artifacts:
            self._artifacts = {
                each.id: each
                for repository in self.repositories.values()
                for run in repository.runs
                for attempt in run.attempts
                for each in attempt.artifacts
            }
        return self._artifacts.get(number)

    def run(self, repository: FakeRepository, number: int) -> FakeRun | None:
        known = self._runs.get((repository.id, number))
        if known is None:
            self._runs = {(each.id, run.id): run for each in self.repositories.values() for run in each.runs}
        return self._runs.get((repository.id, number))

    # -- the App -------------------------------------------------------------------------------------------------

    def _installation_token(self, request: Request, installation: int) -> Answer:
        if request.method != "POST":
            return _error(404)
        try:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            claims = jwt.decode(token, self.app_public_key, algorithms=["RS256"], options={"require": ["exp", "iat"]})
        except jwt.PyJWTError:
            return _error(401, "A JSON web token could not be decoded")
        if claims["iss"] != self.app_id or claims["exp"] - claims["iat"] > 600:
            return _error(401)
        if installation != self.installation_id:
            return _error(404)
        permissions = json.loads(request.body or "{}").get("permissions", {})
        self.requested_permissions.append(permissions)
        if not set(permissions.items()) <= {("actions", "read"), ("metadata", "read"), ("checks", "write")}:
            return _error(422, "The permissions requested are not granted to this installation.")
        self.installation_tokens.append(f"ghs_{len(self.installation_tokens):036d}")
        return json_answer(
            {
                "token": self.installation_tokens[-1],
                "expires_at": stamp(datetime.now(UTC) + timedelta(hours=1)),
                "permissions": permissions,
                "repository_selection": "selected",
            },
            201,
        )

    # -- the store -----------------------------------------------------------------------------------------------

    def stored(self, request: Request) -> Answer:
        """Answer as the store does: by signature alone, ranges too."""
        found = re.fullmatch(r"/container/(\d+)\.zip", request.path)
        artifact = self.artifact(int(found[1])) if found else None
        if artifact is None or not request.query.get("sig", "").startswith(SIGNATURE):
            return Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        etag = f'"{hashlib.sha256(artifact.content).hexdigest()}"'
        headers = {"etag": etag, "content-type": "application/zip", "accept-ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if wanted and request.headers.get("if-range") == etag and int(wanted[1]) < len(artifact.content):
            begin, size = int(wanted[1]), len(artifact.content)
            headers["content-range"] = f"bytes {begin}-{size - 1}/{size}"
            return Answer(206, artifact.content[begin:], headers)
        return Answer(200, artifact.content, headers)

    # -- objects -------------------------------------------------------------------------------------------------

    def _repository(self, repository: FakeRepository, *, full: bool = False) -> dict[str, Any]:
        owner = repository.full_name.split("/")[0]
        url = f"{self.url}/repos/{repository.full_name}"
        told: dict[str, Any] = {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.full_name.split("/")[1],
            "full_name": repository.full_name,
            "owner": {"login": owner, "id": 9, "type": "Organization", "avatar_url": "https://avatars.example/9?v=4"},
            "private": repository.private,
            "html_url": f"https://github.com/{repository.full_name}",
            "description": "changes without the run",
            "fork": False,
            "url": url,
            "archive_url": url + "/{archive_format}{/ref}",
        }
        if full:
            told |= {"default_branch": repository.default_branch, "temp_clone_token": "AB12", "pushed_at": "x"}
        return told

    def _run(self, repository: FakeRepository, run: FakeRun, number: int) -> dict[str, Any]:
        attempt = run.attempts[number - 1]
        url = f"{self.url}/repos/{repository.full_name}/actions/runs/{run.id}"
        sha = hashlib.sha1(str(run.id).encode()).hexdigest()
        return {
            "id": run.id,
            "name": run.name,
            "node_id": f"WFR_{run.id}",
            "head_branch": "feature",
            "head_sha": sha,
            "path": run.path,
            "display_title": "Add a test",
            "run_number": run.id % 1000,
            "event": run.event,
            "status": attempt.status,
            "conclusion": attempt.conclusion,
            "workflow_id": 5,
            "check_suite_id": 6,
            "url": url,
            "html_url": f"https://github.com/{repository.full_name}/actions/runs/{run.id}",
            "pull_requests": [
                {
                    "id": 31,
                    "number": 3,
                    "url": f"{self.url}/repos/{repository.full_name}/pulls/3",
                    "head": {"ref": "feature", "sha": sha, "repo": {"id": repository.id, "name": "shop", "url": "u"}},
                    "base": {
                        "ref": "trunk",
                        "sha": "f" * 40,
                        "repo": {"id": repository.id, "name": "shop", "url": "u"},
                    },
                }
            ],
            "created_at": stamp(run.created),
            "updated_at": stamp(attempt.updated),
            "actor": {"login": "ada", "id": 1, "type": "User", "avatar_url": "https://avatars.example/1?v=4"},
            "run_attempt": number,
            "run_started_at": stamp(attempt.started),
            "triggering_actor": {"login": "ada", "id": 1, "type": "User", "avatar_url": "https://avatars.example/1"},
            "jobs_url": f"{url}/jobs",
            "artifacts_url": f"{url}/artifacts",
            "previous_attempt_url": f"{url}/attempts/{number - 1}" if number > 1 else None,
            "head_commit": {"id": sha, "message": "Add a test", "author": {"name": "Ada", "email": "ada@acme.example"}},
            "repository": self._repository(repository),
            "head_repository": self._repository(repository),
        }

    def _jobs(self, repository: FakeRepository, run: FakeRun, number: int) -> list[dict[str, Any]]:
        attempt = run.attempts[number - 1]
        return [
            {
                "id": run.id * 10_000 + number * 1000 + place,
                "run_id": run.id,
                "run_url": f"{self.url}/repos/{repository.full_name}/actions/runs/{run.id}",
                "run_attempt": number,
                "head_sha": hashlib.sha1(str(run.id).encode()).hexdigest(),
                "status": "completed",
                "conclusion": attempt.conclusion,
                "started_at": stamp(attempt.started),
                "completed_at": stamp(attempt.updated),
                "name": name,
                "steps": [{"name": "Run tests", "status": "completed", "conclusion": "failure", "number": 1}],
                "labels": ["ubuntu-latest"],
                "runner_name": "runner 1",
                "workflow_name": run.name,
            }
            for place, name in enumerate(attempt.jobs)
        ]

    def _artifact(self, repository: FakeRepository, run: FakeRun | None, artifact: FakeArtifact) -> dict[str, Any]:
        url = f"{self.url}/repos/{repository.full_name}/actions/artifacts/{artifact.id}"
        return {
            "id": artifact.id,
            "node_id": f"A_{artifact.id}",
            "name": artifact.name,
            "size_in_bytes": len(artifact.content),
            "url": url,
            "archive_download_url": f"{url}/zip",
            "expired": artifact.expired,
            "created_at": stamp(artifact.created_at),
            "updated_at": stamp(artifact.created_at),
            "expires_at": stamp(artifact.created_at + timedelta(days=90)),
            "digest": f"sha256:{hashlib.sha256(artifact.content).hexdigest()}",
            "workflow_run": {"id": run.id if run else 0, "repository_id": repository.id},
        }


def _error(status: int, message: str = "") -> Answer:
    return json_answer({"message": message or _MESSAGE.get(status, "error"), "status": str(status)}, status)


@contextmanager
def github(prefix: str = "", token: str | None = "ghp_" + "t" * 36) -> Iterator[FakeGitHub]:
    """Yield a running GitHub with a store on another port; `prefix` is /api/v3 for GitHub Enterprise Server."""
    fake = FakeGitHub(prefix, token)
    with serving(fake.answer) as api, serving(fake.stored) as store:
        fake.api, fake.store = api, store
        yield fake
