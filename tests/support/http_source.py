"""A small CI provider over HTTP, and a source that asks it: the least that ingestion needs of one.

The provider answers from an object that lives in the test (`World`), through tests/support/provider_server.py.
"""

import io
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import SourceError
from flakeguard_pipeline.providers.http import HttpSession
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import EVERYTHING, Access, FoundFile, FoundFolder, SourceReport, Window
from tests.support.drops import START, case, report, run_object, zipped
from tests.support.provider_server import NOT_FOUND, Answer, Request, json_answer

PAGE = 20


class Patience:
    """A clock that waits in no time and takes note of how long it would have waited."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += timedelta(seconds=seconds)

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


@dataclass
class World:
    """Runs as the provider has them: `(id, attempt)` to run object and artifacts (None: expired)."""

    runs: dict[tuple[int, int], tuple[dict[str, Any], dict[str, bytes | None]]] = field(default_factory=dict)

    def add(
        self, number: int, attempt: int = 1, artifacts: dict[str, bytes | None] | None = None, **fields: Any
    ) -> None:
        run = run_object(number, run_attempt=attempt, **fields)
        default: dict[str, bytes | None] = {"junit": zipped({"r.xml": report(case(f"test_{number}"))})}
        self.runs[number, attempt] = (run, default if artifacts is None else artifacts)

    def respond(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if parts == ["runs"]:
            return self._page(request)
        key = (int(parts[1]), int(parts[2]))
        if key not in self.runs:
            return NOT_FOUND
        run, artifacts = self.runs[key]
        if parts[0] == "runs":
            listed = [{"name": name, "expired": data is None} for name, data in artifacts.items()]
            return json_answer({"run": run, "jobs": [], "artifacts": listed})
        data = artifacts.get(parts[3].removesuffix(".zip"))
        return NOT_FOUND if data is None else Answer(200, data)

    def _page(self, request: Request) -> Answer:
        since, until = request.query.get("since", ""), request.query.get("until", "9999")
        page = int(request.query.get("page", "1"))
        matching = sorted(
            (run["run_started_at"], run["id"], run["run_attempt"], run)
            for run, _ in self.runs.values()
            if since <= run["run_started_at"] < until
        )[::-1]
        shown = [entry[3] for entry in matching[(page - 1) * PAGE : page * PAGE]]
        return json_answer({"total": len(matching), "runs": shown, "more": page * PAGE < len(matching)})


class HttpSource:
    """Asks a `World`."""

    def __init__(
        self, url: str, *, name: str = "hub", clock: Clock | None = None, token: str = "", connections: int = 8
    ) -> None:
        self.name = name
        self.title = f"the test provider {url}"
        self.provider = "github"
        self.report = SourceReport()
        secrets = {"authorization": f"Bearer {token}"} if token else {}
        self.session = HttpSession(url, self.report, secret_headers=secrets, clock=clock, connections=connections)

    def discover(self, window: Window = EVERYTHING) -> Iterator[FoundFolder]:
        params: dict[str, Any] = {}
        for key, moment in (("since", window.since), ("until", window.until)):
            if moment is not None:
                params[key] = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        page, more = 1, True
        while more:
            answer = self.session.get_json("runs", {**params, "page": page})
            if not isinstance(answer, dict) or not isinstance(answer.get("runs"), list):
                raise SourceError(f"{self.title} answers with something that is no listing; check its `url`")
            for run in answer["runs"]:
                yield FoundFolder(
                    folder=f"{run['id']}/{run['run_attempt']}",
                    fingerprint=stable_id([run["status"], run["conclusion"] or "", run["updated_at"]]),
                    day=run["run_started_at"][:10],
                    is_finished=run["status"] == "completed",
                )
            page, more = page + 1, bool(answer["more"])

    def contents(self, found: FoundFolder) -> tuple[FoundFile, ...]:
        answer = self.session.get_json(f"runs/{found.folder}")
        run = json.dumps(answer["run"], sort_keys=True).encode()
        files = [FoundFile("", "run.json", "run", "", run)]
        for each in answer["artifacts"]:
            name = each["name"]
            kind = "expired" if each["expired"] else "zip"
            files.append(FoundFile(name, f"{name}.zip", kind, f"artifacts/{found.folder}/{name}.zip"))  # type: ignore[arg-type]
        return tuple(files)

    def open(self, file: FoundFile) -> AbstractContextManager[BinaryIO]:
        if file.inline is not None:
            return cast("AbstractContextManager[BinaryIO]", io.BytesIO(file.inline))
        return self.session.download(file.location)

    def close(self) -> None:
        self.session.close()

    def check(self) -> Iterator[Access]:
        yield Access("runs", ok=True, detail="")
