"""`flakeguard ingest` and `flakeguard sources` as a person or cron runs them, on providers played on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.support.drops import add_run, case, report, run_object
from tests.support.played_providers import Played, playing
from tests.support.provider_server import Answer, Fault, Request, json_answer

KINDS = ["github", "gitlab", "jenkins", "buildkite", "circleci"]
DAYS = ["--since", "2026-03-01", "--until", "2026-03-12"]
SECONDS = 240


@dataclass
class Workspace:
    folder: Path
    environment: dict[str, str]

    def flakeguard(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
        return subprocess.run(
            [str(Path(sys.executable).with_name("flakeguard")), *arguments],
            cwd=self.folder,
            env={**clean, **self.environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def configure(self, **content: Any) -> None:
        (self.folder / "flakeguard.yml").write_text(yaml.safe_dump(content))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / ".flakeguard" / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, {})


@pytest.fixture
def providers() -> Iterator[dict[str, Played]]:
    """All five kinds, each with its secret in a variable of its own."""
    with ExitStack() as stack:
        played = {kind: stack.enter_context(playing(kind)) for kind in KINDS}
        for kind, each in played.items():
            each.section["token"] = {"env": f"{kind.upper()}_TOKEN"}
        yield played


def variables(providers: dict[str, Played]) -> dict[str, str]:
    return {f"{kind.upper()}_TOKEN": each.token for kind, each in providers.items()}


def test_ingest_lands_and_loads_and_a_second_time_adds_nothing(
    workspace: Workspace, providers: dict[str, Played]
) -> None:
    workspace.environment = variables(providers)
    sections = [providers[kind].section for kind in ("github", "jenkins")]
    workspace.configure(drop="ci", sources=sections)
    add_run(workspace.folder / "ci", run_object(7), {"r.xml": report(case("test_a"))})

    listed = workspace.flakeguard("sources", "list")
    assert [line.split()[:2] for line in listed.stdout.splitlines()[1:]] == [
        ["drop", "drop"], ["github", "github"], ["jenkins", "jenkins"]
    ]  # fmt: skip
    assert listed.stdout.count("not yet") == 2

    ended = workspace.flakeguard("ingest", *DAYS)
    assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("Landed from github: 120 run folders, 360 files, 0.")
    assert lines[1].startswith("Landed from jenkins: 120 run folders, ")
    assert lines[2].startswith("Landed from drop folders: 1 run folders, 2 files, 0.0 MB")
    assert lines[3] == "Loaded: 241 run attempts, 241 reports, 481 executions"
    assert workspace.rows("select provider, count(*) from core.run_attempt group by all order by all") == [
        ("github", 121),
        ("jenkins", 120),
    ]
    again = workspace.flakeguard("ingest", *DAYS)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (
        0, "Loaded: 0 run attempts, 0 reports, 0 executions"
    )  # fmt: skip

    due = workspace.flakeguard("ingest", "--source", "github")  # nothing happened in the last days
    assert due.returncode == 0, due.stderr
    listed = workspace.flakeguard("sources", "list")
    assert listed.stdout.count("not yet") == 1
    assert " UTC" in listed.stdout


def test_a_source_that_fails_is_a_line_and_a_status_and_the_others_are_loaded(
    workspace: Workspace, providers: dict[str, Played]
) -> None:
    workspace.environment = {**variables(providers), "GITLAB_TOKEN": "another"}
    workspace.configure(sources=[providers["gitlab"].section, providers["buildkite"].section])
    ended = workspace.flakeguard("ingest", *DAYS)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "Loaded: 120 run attempts" in ended.stdout
    (fault,) = [line for line in ended.stdout.splitlines() if "refuses us" in line]
    assert fault.startswith("  raw/gitlab_artifact: gitlab: stopped before the end: http://127.0.0.1:")


def test_check_says_of_each_source_what_it_may_read(workspace: Workspace, providers: dict[str, Played]) -> None:
    workspace.environment = variables(providers)
    workspace.configure(sources=[each.section for each in providers.values()])
    ended = workspace.flakeguard("sources", "check")
    assert ended.returncode == 0, ended.stdout
    assert {line.split()[0] for line in ended.stdout.splitlines()[1:]} == set(KINDS)
    workspace.environment["GITHUB_TOKEN"] = "ghp_" + "x" * 36
    del workspace.environment["JENKINS_TOKEN"]
    ended = workspace.flakeguard("sources", "check", "--source", "github", "--source", "jenkins")
    assert ended.returncode == 1
    assert "the environment variable JENKINS_TOKEN is not set" in ended.stdout
    assert any(line.startswith("github") and " NO " in line for line in ended.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ingest", "--source", "githbu"], "--source githbu: is no source, did you mean `github`?; there are: github"),
        (["ingest", "--source", "off"], "--source off: is switched off"),
        (["ingest", "--since", "2026-03-02", "--until", "2026-03-01"], "no day lies between them"),
        (["ingest", "--since", "yesterday"], "'yesterday' is no day; write it like 2026-03-01"),
        (["sources", "check", "--source", "nobody"], "--source nobody: is no source; there are: github"),
    ],
)
def test_wrong_usage_is_a_line_and_status_two(workspace: Workspace, arguments: list[str], says: str) -> None:
    section = {"kind": "github", "name": "github", "repositories": ["acme/shop"]}
    workspace.configure(sources=[section, {**section, "name": "off", "enabled": False}])
    ended = workspace.flakeguard(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr


@pytest.mark.parametrize("command", [["ingest"], ["run"], ["sources", "check"]])
def test_without_any_source_a_command_says_where_to_name_one(workspace: Workspace, command: list[str]) -> None:
    ended = workspace.flakeguard(*command)
    assert ended.returncode == 2
    assert "docs/reference/sources.md" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_asks_nobody_imports_no_http_client(tmp_path: Path) -> None:
    (tmp_path / "flakeguard.yml").write_text("sources: [{kind: github, name: a, repositories: [acme/shop]}]")
    code = (
        "import sys, json\nfrom flakeguard_pipeline.cli import cli\n"
        "cli.main(['sources', 'list'], standalone_mode=False)\n"
        "import assets.launch, flakeguard_pipeline.providers.registry\n"
        "print(json.dumps(sorted({'httpx', 'githubkit', 'hishel'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr


# -- secrets -------------------------------------------------------------------------------------------------


def echoing(request: Request, _: Answer) -> Answer:
    """Repeat all that was asked, as providers and proxies do in their errors."""
    return json_answer({"message": f"bad credentials {request.headers}"}, 401)


FAULTS = [
    Fault(".", echoing, times=100_000),
    Fault(".", echoing, times=100_000, after=20),
    # as often as one request is tried, which takes a quarter of a minute
    Fault(".", Answer(500, b'{"message": "internal"}'), times=6, after=30),
    Fault(".", json_answer({"items": [{"id": None}, 7], "total": "many"}), times=100_000, after=3),
    Fault(".", Answer(200, b"<html>"), times=100_000, after=12),
]
"""One for each provider."""


@pytest.mark.parametrize("is_faulty", [False, True])
def test_no_secret_is_in_anything_that_was_written(
    workspace: Workspace, providers: dict[str, Played], is_faulty: bool
) -> None:
    workspace.environment = {**variables(providers), "FLAKEGUARD_HOME": "home"}
    if is_faulty:
        for each, fault in zip(providers.values(), FAULTS, strict=True):
            for server in each.servers:
                server.faults.append(Fault(fault.pattern, fault.answer, fault.times, fault.after))
    key = workspace.folder / "secrets" / "jenkins"
    key.parent.mkdir()
    key.write_text(providers["jenkins"].token + "\n")
    key.chmod(0o644)  # a note is made of it
    providers["jenkins"].section["token"] = {"file": "secrets/jenkins"}
    del workspace.environment["JENKINS_TOKEN"]
    workspace.configure(sources=[each.section for each in providers.values()])
    commands = [["sources", "check"], ["ingest", *DAYS]]
    if not is_faulty:
        commands.append(["run", "--as-of", "2026-03-12T00:00:00Z"])
    words = [workspace.flakeguard(*command) for command in commands]
    assert (words[1].returncode == 0) is not is_faulty, words[1].stdout
    key.unlink()
    written = {str(path): path.read_bytes() for path in workspace.folder.rglob("*") if path.is_file()}
    written |= {f"output {number}": (done.stdout + done.stderr).encode() for number, done in enumerate(words)}
    # the file of the warehouse is compressed
    with duckdb.connect(str(workspace.folder / "home" / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute("select table_schema || '.' || table_name from information_schema.tables")
        for (table,) in tables.fetchall():
            written[table] = str(connection.execute(f"select * from {table}").fetchall()).encode()
    assert len(written["core.rejected_artifact"]) + len(written["core.run_attempt"]) > 10
    assert any("dagster" in name for name in written)
    assert any(name.endswith(".duckdb") for name in written)
    secrets = {each.token for each in providers.values()} | {"planted-signature", "planted-env-secret", "hunter2"}
    found = [(secret[:6], name) for name, data in written.items() for secret in secrets if secret.encode() in data]
    assert found == []
