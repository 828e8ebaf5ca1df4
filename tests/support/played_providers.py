"""Every kind of CI provider with a history of some pages, played on loopback, and the section that configures it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support import buildkite_server, circleci_server, github_server, gitlab_server, jenkins_server
from tests.support.drops import case, report, zipped
from tests.support.provider_server import ProviderServer

NOW = datetime(2026, 3, 12, tzinfo=UTC)
"""After all runs, and within the days that a first listing goes back."""

BEGIN = datetime(2026, 3, 2, 7, tzinfo=UTC)
SECRET_VARIABLE = "PLAYED_TOKEN"


@dataclass
class Played:
    """A running provider. `listing` and `download` are patterns of requests, each with the server that gets them."""

    section: dict[str, Any]
    token: str
    listing: tuple[ProviderServer, str]
    download: tuple[ProviderServer, str]
    runs: int
    servers: tuple[ProviderServer, ...]
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {SECRET_VARIABLE: self.token}


def content(number: int) -> bytes:
    return report(case("test_steady"), case("test_odd", "failed" if number % 2 else "passed"))


@contextmanager
def _github() -> Iterator[Played]:
    token = "ghp_" + "Zq7planted" * 4
    with github_server.github(token=token) as fake:
        runs = []
        for number in range(1, 121):
            begin = BEGIN + timedelta(minutes=30 * number)
            artifact = github_server.FakeArtifact(
                number, "junit", begin + timedelta(minutes=5), zipped({"r.xml": content(number)})
            )
            runs.append(github_server.FakeRun(number, [github_server.FakeAttempt(begin, artifacts=[artifact])]))
        fake.add("acme/shop", *runs)
        yield Played(
            {"kind": "github", "url": fake.url, "repositories": ["acme/shop"]},
            token,
            (fake.api, r"/actions/runs\?"),
            (fake.store, "."),
            len(runs),
            (fake.api, fake.store),
        )


@contextmanager
def _gitlab() -> Iterator[Played]:
    with gitlab_server.gitlab_serving() as fake:
        for number in range(1, 121):
            fake.pipelines.insert(0, gitlab_server.pipeline(number))
            fake.jobs[number] = [gitlab_server.job(1000 + number, artifacts=[gitlab_server.ARCHIVE])]
            fake.archives[1000 + number] = zipped({"r.xml": content(number)})
        yield Played(
            {"kind": "gitlab", "url": fake.url, "projects": ["acme/web/shop"]},
            gitlab_server.TOKEN,
            (fake.http, gitlab_server.PIPELINES),
            (fake.http, gitlab_server.ARTIFACTS),
            120,
            (fake.http,),
        )


@contextmanager
def _jenkins() -> Iterator[Played]:
    with jenkins_server.jenkins_serving() as fake:
        fake.items["shop"] = jenkins_server.PIPELINE
        fake.builds["shop"] = [jenkins_server.build(number, artifacts=("r.xml",)) for number in range(120, 0, -1)]
        fake.files = {f"shop/{number}/r.xml": content(number) for number in range(1, 121)}
        yield Played(
            {"kind": "jenkins", "url": fake.url, "jobs": ["shop"], "user": jenkins_server.USER, "artifacts": ["*.xml"]},
            jenkins_server.TOKEN,
            (fake.http, jenkins_server.BUILDS),
            (fake.http, jenkins_server.ARTIFACTS),
            120,
            (fake.http,),
        )


@contextmanager
def _buildkite() -> Iterator[Played]:
    with buildkite_server.buildkite() as running:
        for number in range(1, 121):
            running.fake.add_build(number)
            running.fake.add_artifact(number, "r.xml", content(number))
        yield Played(
            {"kind": "buildkite", "url": running.api.url, "organization": "acme", "artifacts": ["*.xml"]},
            buildkite_server.TOKEN,
            (running.api, r"/builds\?"),
            (running.store, "."),
            120,
            (running.api, running.store),
        )


@contextmanager
def _circleci() -> Iterator[Played]:
    with circleci_server.circleci() as running:
        for number in range(1, 51):
            running.fake.simple(number)
            running.fake.add_artifact(number, "r.xml", content(number))
        yield Played(
            {
                "kind": "circleci",
                "url": running.api.url,
                "projects": [circleci_server.SLUG],
                "artifacts": ["*.xml"],
            },
            circleci_server.TOKEN,
            (running.api, r"/pipeline(\?|$)"),
            (running.store, "."),
            50,
            (running.api, running.output, running.store),
            {running.api.url: running.output.url},
        )


_PLAYED: dict[str, Callable[[], Any]] = {
    "github": _github,
    "gitlab": _gitlab,
    "jenkins": _jenkins,
    "buildkite": _buildkite,
    "circleci": _circleci,
}


@contextmanager
def playing(kind: str, name: str | None = None) -> Iterator[Played]:
    """Yield a running provider of a kind."""
    with _PLAYED[kind]() as played:
        played.section |= {"name": name or kind, "token": {"env": SECRET_VARIABLE}, "downloads": 3}
        yield played
