"""What it takes to land 10,000 runs with 30,000 small artifacts: time beside a bare download, memory, connections.

`python -m benchmarks.sources` starts a provider on loopback in a process of its own, lands everything that it has in
another, and downloads the same artifacts with nothing but httpx and threads in a third; three rounds, taking turns.
Belongs here: measuring. benchmarks/README.md tells how to read it.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from flakeguard_pipeline.ingest.pulling import Pace, pull
from flakeguard_pipeline.landing.zone import LandingZone
from flakeguard_pipeline.providers.source import EVERYTHING
from tests.support.drops import START, run_object
from tests.support.http_source import HttpSource

RUNS = 10_000
ARTIFACTS_A_RUN = 3
ARTIFACT_BYTES = 20_000
"""Bytes of an artifact: a packed report of some hundred test cases."""

PAGE = 100
THREADS = 8
ROUNDS = 3

GOAL_RATIO = 1.5
"""How much longer than a bare parallel download landing may take."""

GOAL_GROWTH_MB = 100.0
"""By how much more memory 10,000 runs may take than 500."""

NOW = START + timedelta(days=60)


def artifact(run: int, number: int, size: int) -> bytes:
    """Return bytes that differ from artifact to artifact and cannot be packed."""
    return hashlib.shake_128(f"{run}/{number}".encode()).digest(size)


# -- the provider --------------------------------------------------------------------------------------------


def described(number: int) -> dict[str, Any]:
    return run_object(number, started=START + timedelta(minutes=4 * number))


def respond(target: str, runs: int, size: int) -> bytes:
    split = urlsplit(target)
    parts = split.path.strip("/").split("/")
    if parts == ["runs"]:
        page = int(dict(parse_qsl(split.query)).get("page", "1"))
        first = runs - (page - 1) * PAGE
        shown = [described(number) for number in range(first, max(first - PAGE, 0), -1)]
        return json.dumps({"runs": shown, "more": first > PAGE}).encode()
    number = int(parts[1])
    if parts[0] == "runs":
        listed = [{"name": f"junit-{each}", "expired": False} for each in range(ARTIFACTS_A_RUN)]
        return json.dumps({"run": described(number), "artifacts": listed}).encode()
    return artifact(number, int(parts[3].removesuffix(".zip").removeprefix("junit-")), size)


def serve(pipe: Connection, runs: int, size: int) -> None:
    """Answer until asked to end; tell the most connections that were open at once."""
    opened = most = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        try:
            while line := await reader.readline():
                while await reader.readline() not in (b"\r\n", b""):
                    pass
                body = respond(line.split()[1].decode(), runs, size)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            opened -= 1
            writer.close()

    async def main() -> None:
        nonlocal most
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, pipe.recv):
            pipe.send(most)
            most = opened
        server.close()

    asyncio.run(main())


# -- the contenders ------------------------------------------------------------------------------------------


def land(url: str, folder: str, pipe: Connection) -> None:
    """Land everything; tell seconds, peak memory and what came."""
    started = time.perf_counter()
    with closing(HttpSource(url, connections=THREADS)) as source:
        outcome = pull(source, LandingZone(folder), EVERYTHING, now=NOW, pace=Pace(downloads=THREADS))
    seconds = time.perf_counter() - started
    assert outcome.faults == [], outcome.faults
    pipe.send((seconds, _peak_mb(), outcome.counts.files - outcome.counts.folders))


def download(url: str, folder: str, runs: int, pipe: Connection) -> None:
    """Download every artifact to a file, with nothing but httpx and threads."""
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    paths = [f"artifacts/{run}/1/junit-{each}.zip" for run in range(runs, 0, -1) for each in range(ARTIFACTS_A_RUN)]
    started = time.perf_counter()
    with httpx.Client(base_url=url, limits=limits) as client, ThreadPoolExecutor(THREADS) as pool:

        def one(path: str) -> None:
            with client.stream("GET", path) as answer, (Path(folder) / path.replace("/", "-")).open("wb") as file:
                for chunk in answer.iter_raw():
                    file.write(chunk)

        for _ in pool.map(one, paths):
            pass
    pipe.send((time.perf_counter() - started, _peak_mb(), len(paths)))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(target: Any, *arguments: Any) -> tuple[float, float, int]:
    """Run a contender in a process of its own, writing to a folder that is gone afterwards."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        url, *others = arguments
        process = context.Process(target=target, args=(url, folder, *others, sender))
        process.start()
        sender.close()
        try:
            told: tuple[float, float, int] = receiver.recv()
        except EOFError:
            sys.exit("a process died; see above")
        process.join()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--bytes", type=int, default=ARTIFACT_BYTES)
    options = parser.parse_args()
    few = min(500, options.runs)
    peaks: dict[int, float] = {}
    ratios: list[float] = []
    most = 0
    for runs, rounds in ((few, 1), (options.runs, options.rounds)):
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        server = context.Process(target=serve, args=(theirs, runs, options.bytes))
        server.start()
        url = f"http://127.0.0.1:{ours.recv()}"
        for number in range(rounds):
            bare, _, files = measured(download, url, runs)
            ours.send(True)
            ours.recv()
            landed, peak, landed_files = measured(land, url)
            ours.send(True)
            most = max(most, ours.recv())
            assert landed_files == files == runs * ARTIFACTS_A_RUN, (landed_files, files)
            peaks[runs] = max(peaks.get(runs, 0.0), peak)
            if runs == options.runs:
                ratios.append(landed / bare)
            print(
                f"{runs:,} runs, {files:,} artifacts, round {number + 1}: bare {bare:.1f} s ({files / bare:,.0f}/s), "
                f"landed {landed:.1f} s ({files / landed:,.0f}/s), times {landed / bare:.2f}, peak {peak:.0f} MB"
            )
        ours.send(False)
        server.join()
    ratio, growth = statistics.median(ratios), peaks[options.runs] - peaks[few]
    print(f"\n{datetime.now(UTC):%Y-%m-%d}: {options.bytes:,} bytes an artifact, {THREADS} downloads at once")
    print(f"  landing takes {ratio:.2f} times as long as a bare download (goal: {GOAL_RATIO})")
    print(
        f"  peak memory {peaks[options.runs]:.0f} MB, {growth:+.0f} MB beside {few} runs (goal: {GOAL_GROWTH_MB:.0f})"
    )
    print(f"  most connections open: {most} (goal: {THREADS})")
    sys.exit(0 if ratio <= GOAL_RATIO and growth <= GOAL_GROWTH_MB and most <= THREADS else 1)


if __name__ == "__main__":
    main()
