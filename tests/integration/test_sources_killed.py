"""An ingestion may be killed while it lists and while it downloads: the next one completes it, to the byte."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.landing.zone import LandingZone
from tests.support.played_providers import NOW, Played, playing
from tests.support.provider_server import Answer, Fault, ProviderServer, Request

ROOT = Path(__file__).parents[2]
KINDS = ["github", "gitlab", "jenkins", "buildkite", "circleci"]
SECONDS = 120.0


@dataclass
class Held:
    """A server that answers one request only when it is let go."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, _: Request, right: Answer) -> Answer:
        self.reached.set()
        self.released.wait(SECONDS)
        return right


@contextmanager
def holding(place: tuple[ProviderServer, str], after: int) -> Iterator[Held]:
    server, pattern = place
    held = Held()
    fault = Fault(pattern, held.answer, times=1, after=after)
    server.faults.append(fault)
    try:
        yield held
    finally:
        held.released.set()
        server.faults.remove(fault)


def start(played: Played, landing: Path) -> "subprocess.Popen[str]":
    options: dict[str, Any] = {
        "section": played.section,
        "landing": str(landing),
        "now": NOW.isoformat(),
        "origins": played.origins,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.pull_process", json.dumps(options)],
        cwd=ROOT,
        env={**os.environ, **played.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(played: Played, landing: Path) -> dict[str, Any]:
    process = start(played, landing)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


def kill_at(played: Played, landing: Path, place: tuple[ProviderServer, str], after: int) -> None:
    with holding(place, after) as held:
        process = start(played, landing)
        reached = held.reached.wait(SECONDS)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=SECONDS)
        assert reached, err
        assert process.returncode == -signal.SIGKILL


def left(landing: Path) -> dict[str, bytes]:
    return {str(path.relative_to(landing)): path.read_bytes() for path in landing.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_ingestion_is_completed_by_the_next(kind: str, tmp_path: Path) -> None:
    with playing(kind) as played:
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        assert run(played, whole) == {"faults": [], "folders": played.runs}
        undisturbed = left(whole)
        assert sum(name.startswith("objects/") for name in undisturbed) > played.runs

        kill_at(played, killed, played.listing, after=1)
        assert not (killed / "cursors").exists()
        kill_at(played, killed, played.download, after=20)
        landed = len(list(LandingZone(str(killed)).all_folders()))
        assert 0 < landed < played.runs
        assert not (killed / "cursors").exists()

        told = run(played, killed)
        assert told["faults"] == []
        assert told["folders"] == played.runs - landed  # what was landed is not fetched again
        assert left(killed) == undisturbed
