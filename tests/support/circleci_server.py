"""CircleCI's API v2 on loopback, in the shapes that https://circleci.com/docs/api/v2/ documents.

It knows projects, pipelines, workflows, jobs, test metadata and artifacts; artifacts lie on a server of their own, and
a third one plays a store that is none of CircleCI's.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.buildkite_server import ranged
from tests.support.provider_server import NOT_FOUND, Answer, ProviderServer, Request, json_answer, serving

TOKEN = "CCIPAT_0123456789abcdef_planted"
SIGNATURE = "x-amz-planted-signature"
SLUG = "gh/acme/shop"
PROJECT_ID = "bb604b45-b6b0-4b81-ad80-796f15eddf87"
BEGIN = datetime.fromisoformat("2026-03-02T07:00:00+00:00")


def written(minutes: float) -> str:
    """Return the time so many minutes after seven o'clock, as CircleCI writes it."""
    return (BEGIN + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def case(name: str, result: str = "success", **other: Any) -> dict[str, Any]:
    return {
        "message": "",
        "source": "pytest",
        "run_time": 0.25,
        "file": "tests/test_shop.py",
        "result": result,
        "name": name,
        "classname": "tests.test_shop",
        **other,
    }


@dataclass
class CircleCIFake:
    """The state of the fake; change it between requests as a real provider changes."""

    page_size: int = 20
    project: dict[str, Any] = field(default_factory=dict)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    workflows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tests: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    output_url: str = ""
    store_url: str = ""

    def __post_init__(self) -> None:
        self.project = {
            "slug": SLUG,
            "name": "shop",
            "id": PROJECT_ID,
            "organization_name": "acme",
            "organization_slug": "gh/acme",
            "organization_id": "6d2b",
            "vcs_info": {
                "vcs_url": "https://github.com/acme/shop",
                "provider": "GitHub",
                "default_branch": "main",
            },
        }

    def add_pipeline(self, number: int, **other: Any) -> dict[str, Any]:
        """Add a pipeline, ten minutes after the former one; the newest is the first in listings."""
        pipeline = {
            "id": f"pipeline-{number}",
            "errors": [],
            "project_slug": SLUG,
            "number": number,
            "state": "created",
            "created_at": written(number * 10),
            "updated_at": written(number * 10),
            "trigger": {
                "type": "webhook",
                "received_at": written(number * 10),
                "actor": {"login": "octocat", "avatar_url": None},
            },
            "vcs": {
                "provider_name": "GitHub",
                "target_repository_url": "https://github.com/acme/shop",
                "origin_repository_url": "https://github.com/acme/shop",
                "branch": "main",
                "revision": f"{number:040x}",
                "commit": {"subject": "Bump", "body": ""},
            },
            **other,
        }
        self.pipelines.insert(0, pipeline)
        self.workflows.setdefault(f"pipeline-{number}", [])
        return pipeline

    def add_workflow(
        self, number: int, name: str = "build-and-test", *, minute: float | None = None, **other: Any
    ) -> dict[str, Any]:
        """Add a workflow to a pipeline; the newest is the first in listings."""
        listed = self.workflows[f"pipeline-{number}"]
        begin = number * 10 + len(listed) if minute is None else minute
        workflow = {
            "pipeline_id": f"pipeline-{number}",
            "id": f"workflow-{number}-{len(listed)}",
            "name": name,
            "project_slug": SLUG,
            "status": "success",
            "started_by": "03987f6a",
            "pipeline_number": number,
            "created_at": written(begin),
            "stopped_at": written(begin + 5),
            **other,
        }
        listed.insert(0, workflow)
        self.jobs[workflow["id"]] = []
        return workflow

    def add_job(
        self, workflow: dict[str, Any], number: int, name: str = "test", *, minute: float | None = None, **other: Any
    ) -> dict[str, Any]:
        begin = datetime.fromisoformat(workflow["created_at"])
        minutes = (begin - BEGIN).total_seconds() / 60 + 1 if minute is None else minute
        job = {
            "job_number": number,
            "id": f"job-{number}",
            "name": name,
            "project_slug": SLUG,
            "status": "success",
            "type": "build",
            "dependencies": [],
            "started_at": written(minutes),
            "stopped_at": written(minutes + 2),
            **other,
        }
        self.jobs[workflow["id"]].append(job)
        return job

    def add_artifact(self, job: int, path: str, body: bytes, *, node: int = 0) -> dict[str, Any]:
        place = f"/output/job/{job}/artifacts/{node}/{path}"
        artifact = {"path": path, "node_index": node, "url": f"{self.output_url}{place}"}
        self.artifacts.setdefault(job, []).append(artifact)
        self.contents[place] = body
        return artifact

    def simple(self, number: int, **other: Any) -> dict[str, Any]:
        """Add a pipeline with one workflow and one job of the same number; return the workflow."""
        self.add_pipeline(number)
        workflow = self.add_workflow(number, **other)
        self.add_job(workflow, number)
        return workflow

    # answering

    def respond(self, request: Request) -> Answer:
        if request.headers.get("circle-token") != TOKEN:
            return json_answer({"message": "You must log in first."}, 401)
        if request.path == "/api/v2/me":
            return json_answer({"id": "u", "login": "octocat", "name": "O"})
        if request.path == f"/api/v2/project/{SLUG}":
            return json_answer(self.project)
        return self._paged(request, self._entries(request.path))

    def _entries(self, path: str) -> list[Any] | None:
        """Return what is listed at a path; None where there is nothing."""
        if path == f"/api/v2/project/{SLUG}/pipeline":
            return self.pipelines
        if found := re.fullmatch(r"/api/v2/pipeline/([^/]+)/workflow", path):
            return self.workflows.get(found[1])
        if found := re.fullmatch(r"/api/v2/workflow/([^/]+)/job", path):
            return self.jobs.get(found[1])
        if found := re.fullmatch(rf"/api/v2/project/{SLUG}/(\d+)/(tests|artifacts)", path):
            return (self.tests if found[2] == "tests" else self.artifacts).get(int(found[1]), [])
        return None

    def _paged(self, request: Request, entries: list[Any] | None) -> Answer:
        if entries is None:
            return NOT_FOUND
        start = int(request.query.get("page-token", "token-0").removeprefix("token-"))
        end = start + self.page_size
        token = f"token-{end}" if end < len(entries) else None
        return json_answer({"items": entries[start:end], "next_page_token": token})

    def respond_as_output(self, request: Request) -> Answer:
        """Answer as CircleCI's host for artifacts: it wants the token, and leads to a store."""
        if request.headers.get("circle-token") != TOKEN:
            return NOT_FOUND
        if request.path not in self.contents:
            return NOT_FOUND
        location = f"{self.store_url}{request.path}?X-Amz-Signature={SIGNATURE}"
        return Answer(302, b"", {"location": location})

    def respond_as_store(self, request: Request) -> Answer:
        if request.query.get("X-Amz-Signature") != SIGNATURE or request.path not in self.contents:
            return NOT_FOUND
        return ranged(request, self.contents[request.path], f'"{request.path}"')


@dataclass
class CircleCI:
    """A running fake: its state, its API, its host for artifacts, a store; `closing` closes what a test has opened."""

    fake: CircleCIFake
    api: ProviderServer
    output: ProviderServer
    store: ProviderServer
    closing: ExitStack


@contextmanager
def circleci() -> Iterator[CircleCI]:
    """Yield a running CircleCI with one project and no pipelines."""
    fake = CircleCIFake()
    with (
        serving(fake.respond) as api,
        serving(fake.respond_as_output) as output,
        serving(fake.respond_as_store) as store,
        ExitStack() as closing,
    ):
        fake.output_url, fake.store_url = output.url, store.url
        yield CircleCI(fake, api, output, store, closing)
