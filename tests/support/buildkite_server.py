"""Buildkite's REST API on loopback, in the shapes that https://buildkite.com/docs/apis/rest-api documents.

It knows builds, artifacts and the store that downloads are redirected to, which is a server of its own.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.provider_server import NOT_FOUND, Answer, ProviderServer, Request, json_answer, serving

TOKEN = "bkua_0123456789abcdef-planted"
SIGNATURE = "5i4planted-signature"
ALL_SCOPES = ("read_builds", "read_artifacts")
UNAUTHORIZED = json_answer({"message": "Authentication required. Please supply a valid API Access Token"}, 401)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def written(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ranged(request: Request, body: bytes, etag: str) -> Answer:
    """Answer as an object store does: with an ETag, and with the rest where only that is wanted."""
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if found is None or request.headers.get("if-range") != etag:
        return Answer(200, body, {"etag": etag, "accept-ranges": "bytes"})
    start = int(found[1])
    return Answer(206, body[start:], {"etag": etag, "content-range": f"bytes {start}-{len(body) - 1}/{len(body)}"})


def job(identity: str, name: str | None = "RSpec", state: str = "passed", **other: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "type": "script",
        "name": name,
        "step_key": "rspec",
        "agent_query_rules": ["queue=default", "os=linux"],
        "state": state,
        "command": "bundle exec rspec",
        "soft_failed": False,
        "exit_status": 0,
        "agent": {"id": "0b461f65", "name": "my-agent-123"},
        "created_at": "2026-03-02T07:00:00.000Z",
        "started_at": "2026-03-02T07:01:00.000Z",
        "finished_at": "2026-03-02T07:05:00.000Z",
        "retried": False,
        "retried_in_job_id": None,
        "retries_count": None,
        "parallel_group_index": None,
        **other,
    }


@dataclass
class BuildkiteFake:
    """The state of the fake; change it between requests as a real provider changes."""

    organization: str = "acme"
    scopes: tuple[str, ...] = ALL_SCOPES
    builds: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    deepest: int | None = None
    store_url: str = ""
    url: str = ""

    def add_build(self, number: int, *, pipeline: str = "shop", jobs: Any = None, **other: Any) -> dict[str, Any]:
        """Add a build, one minute after the former one; the newest is the first in listings."""
        created = moment("2026-03-02T07:00:00Z") + timedelta(minutes=number)
        build = {
            "id": f"{pipeline}-build-{number}",
            "web_url": f"https://buildkite.com/acme/{pipeline}/builds/{number}",
            "number": number,
            "state": "passed",
            "blocked": False,
            "message": "Bump",
            "commit": f"{number:040x}",
            "branch": "main",
            "env": {"DEPLOY_KEY": "planted-env-secret"},
            "source": "webhook",
            "jobs": [job(f"{pipeline}-{number}-a")] if jobs is None else jobs,
            "created_at": written(created),
            "scheduled_at": written(created),
            "started_at": written(created + timedelta(seconds=30)),
            "finished_at": written(created + timedelta(minutes=9)),
            "meta_data": {},
            "pull_request": None,
            "rebuilt_from": None,
            "pipeline": {
                "id": f"pipeline-{pipeline}",
                "name": pipeline.title(),
                "slug": pipeline,
                "repository": "git@github.com:acme/shop.git",
                "default_branch": "main",
            },
            **other,
        }
        self.builds.insert(0, build)
        return build

    def add_artifact(
        self, number: int, path: str, body: bytes, *, job_id: str = "", pipeline: str = "shop", state: str = "finished"
    ) -> dict[str, Any]:
        listed = self.artifacts.setdefault((pipeline, number), [])
        identity = f"{pipeline}-{number}-artifact-{len(listed)}"
        artifact = {
            "id": identity,
            "job_id": job_id or f"{pipeline}-{number}-a",
            "download_url": "https://elsewhere.invalid/download",
            "state": state,
            "path": path,
            "filename": path.rpartition("/")[2],
            "file_size": len(body),
            "sha1sum": "884c4ad3f2545c85c69d0d0ef50c5d4f5266f0b7",
        }
        listed.append(artifact)
        self.contents[identity] = body
        return artifact

    # answering

    def respond(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return UNAUTHORIZED
        if request.path == "/v2/access-token":
            return json_answer({"uuid": "b63254c0", "scopes": list(self.scopes)})
        return self._of_organization(request, f"/v2/organizations/{self.organization}")

    def _of_organization(self, request: Request, root: str) -> Answer:
        if request.path == f"{root}/builds":
            return self._listing(request, self.builds)
        found = re.fullmatch(rf"{root}/pipelines/([^/]+)/builds(?:/(\d+)(?:/(.*))?)?", request.path)
        if found is None:
            return NOT_FOUND
        builds = [each for each in self.builds if each["pipeline"]["slug"] == found[1]]
        if found[2] is None:
            return self._listing(request, builds)
        build = next((each for each in builds if each["number"] == int(found[2])), None)
        if build is None:
            return NOT_FOUND
        return self._of_build(request, build, found[3])

    def _of_build(self, request: Request, build: dict[str, Any], rest: str | None) -> Answer:
        if rest is None:
            retried = request.query.get("include_retried_jobs") == "true"
            return json_answer({**build, "jobs": [each for each in build["jobs"] if retried or not each["retried"]]})
        if "read_artifacts" not in self.scopes:
            return json_answer({"message": "Your access token does not have the read_artifacts scope"}, 403)
        key = (build["pipeline"]["slug"], build["number"])
        if rest == "artifacts":
            return self._paged(request, self.artifacts.get(key, []))
        download = re.fullmatch(r"jobs/([^/]+)/artifacts/([^/]+)/download", rest)
        if download is None or download[2] not in self.contents:
            return NOT_FOUND
        location = f"{self.store_url}/store/{download[2]}?X-Signature={SIGNATURE}"
        return json_answer({"url": location}, 302, location=location)

    def _listing(self, request: Request, builds: list[dict[str, Any]]) -> Answer:
        if "read_builds" not in self.scopes:
            return json_answer({"message": "Your access token does not have the read_builds scope"}, 403)
        query = request.query
        if "created_from" in query:
            builds = [each for each in builds if each["created_at"] >= written(moment(query["created_from"]))]
        if "created_to" in query:
            builds = [each for each in builds if each["created_at"] < written(moment(query["created_to"]))]
        if query.get("exclude_jobs") == "true":
            builds = [{name: value for name, value in each.items() if name != "jobs"} for each in builds]
        return self._paged(request, builds, self.deepest)

    def _paged(self, request: Request, entries: list[Any], deepest: int | None = None) -> Answer:
        page, size = int(request.query.get("page", "1")), int(request.query.get("per_page", "30"))
        if deepest is not None and page > deepest:
            return json_answer({"message": "Listing builds this deep is not supported."}, 400)
        links = []
        if page * size < len(entries):
            links.append(f'<{self.url}{request.path}?page={page + 1}&per_page={size}>; rel="next"')
        if page > 1:
            links.append(f'<{self.url}{request.path}?page={page - 1}&per_page={size}>; rel="prev"')
        limits = {"RateLimit-Remaining": "180", "RateLimit-Limit": "200", "RateLimit-Reset": "42"}
        answer = json_answer(entries[(page - 1) * size : page * size])
        return Answer(answer.status, answer.body, {**answer.headers, **limits, "Link": ", ".join(links)})

    def respond_as_store(self, request: Request) -> Answer:
        identity = request.path.removeprefix("/store/")
        if request.query.get("X-Signature") != SIGNATURE or identity not in self.contents:
            return NOT_FOUND
        return ranged(request, self.contents[identity], f'"{identity}"')


@dataclass
class Buildkite:
    """A running fake: its state, its API, its store; `closing` closes what a test has opened on them."""

    fake: BuildkiteFake
    api: ProviderServer
    store: ProviderServer
    closing: ExitStack


@contextmanager
def buildkite() -> Iterator[Buildkite]:
    """Yield a running Buildkite without builds."""
    fake = BuildkiteFake()
    with serving(fake.respond) as api, serving(fake.respond_as_store) as store, ExitStack() as closing:
        fake.url, fake.store_url = api.url, store.url
        yield Buildkite(fake, api, store, closing)
