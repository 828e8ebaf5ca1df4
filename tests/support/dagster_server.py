"""The Dagster webserver and daemon as people run them, on a free loopback port, spoken to as the UI does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

REPOSITORY = {"repositoryLocationName": "flakeguard", "repositoryName": "__repository__"}
ROOT = Path(__file__).parents[2]
DAGSTER = str(Path(sys.executable).with_name("dagster"))
READY_SECONDS = 120
LOG_CHARACTERS = 12_000
"""Of the log, shown when a test fails: the newest."""

_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class DagsterServer:
    """A running `dagster dev`: webserver, daemon and code server."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a page as a browser would."""
        with _LOOPBACK.open(self.url + path, timeout=30) as answer:
            return answer.status, answer.read().decode("utf-8")

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask over GraphQL; return the only field of the answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with _LOOPBACK.open(request, timeout=60) as answer:
            content = json.load(answer)
        assert not content.get("errors"), content["errors"]
        (value,) = content["data"].values()
        return value

    def wait(self, what: str, look: Callable[[], Value | None], seconds: float) -> Value:
        """Look once a second until there is something to see."""
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            assert self.process.poll() is None, f"dagster dev ended by itself while we waited for {what}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
            time.sleep(1)
        return seen

    def tail(self) -> str:
        """Return the end of what the servers and their runs have said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]

    # -- runs and backfills -------------------------------------------------------------------------------

    def launch_run(self, job: str, tags: Mapping[str, str], config: Mapping[str, Any]) -> str:
        """Launch a job; return the run's id."""
        launched = self.ask(
            """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
                 __typename
                 ... on LaunchRunSuccess { run { runId } }
                 ... on RunConfigValidationInvalid { errors { message } }
                 ... on PythonError { message } } }""",
            params={
                "selector": {**REPOSITORY, "pipelineName": job},
                "runConfigData": config,
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
            },
        )
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def wait_for_run(self, run_id: str, seconds: float) -> None:
        """Wait until a run has succeeded."""

        def ended() -> str | None:
            run = self.ask("query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
            return run["status"] if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        status = self.wait(f"run {run_id}", ended, seconds)
        assert status == "SUCCESS", f"run {run_id}: {status}"

    def launch_backfill(self, assets: list[list[str]], partitions: list[str], config: Mapping[str, Any]) -> str:
        """Launch a backfill of assets; return its id."""
        launched = self.ask(
            """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename
                 ... on LaunchBackfillSuccess { backfillId }
                 ... on PythonError { message } } }""",
            params={
                "assetSelection": [{"path": path} for path in assets],
                "partitionNames": partitions,
                "runConfigData": config,
            },
        )
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait_for_backfill(self, backfill_id: str, seconds: float) -> dict[str, Any]:
        """Wait until a backfill has ended; return it with its runs."""

        def ended() -> dict[str, Any] | None:
            backfill: dict[str, Any] = self.ask(
                """query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
                     status numPartitions runs { runId status tags { key value } } } } }""",
                id=backfill_id,
            )
            return None if backfill["status"] in ("REQUESTED", "CANCELING") else backfill

        return self.wait(f"backfill {backfill_id}", ended, seconds)

    # -- assets -------------------------------------------------------------------------------------------

    def assets_made_by(self, run_id: str) -> dict[str, bool]:
        """Say of each asset whether its newest materialisation is of this run."""
        nodes = self.ask("{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId } } }")
        return {
            "/".join(node["assetKey"]["path"]): [each["runId"] for each in node["assetMaterializations"]] == [run_id]
            for node in nodes
        }

    def materialised_ranges(self, asset: list[str]) -> list[tuple[str, str]]:
        """Return the ranges of days that are materialised."""
        node = self.ask(
            """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
                 assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }""",
            key={"path": asset},
        )
        ranges = node["assetPartitionStatuses"]["ranges"]
        return [(each["startKey"], each["endKey"]) for each in ranges if each["status"] == "MATERIALIZED"]

    # -- sensors and schedules ----------------------------------------------------------------------------

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """Return the looks that the daemon made with a sensor, oldest first."""
        found = self.ask(
            """query ($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
                 sensorState { status ticks(limit: 100) { status runIds cursor skipReason } } } } }""",
            selector={**REPOSITORY, "sensorName": sensor},
        )
        return list(reversed(found["sensorState"]["ticks"]))

    def look_now(self, sensor: str, cursor: str | None) -> dict[str, Any]:
        """Let the code server evaluate a sensor without any effect; return what it would ask for."""
        result = self.ask(
            """mutation ($selector: SensorSelector!, $cursor: String) {
                 sensorDryRun(selectorData: $selector, cursor: $cursor) { ... on DryRunInstigationTick {
                   evaluationResult { cursor skipReason runRequests { runKey } error { message } } } } }""",
            selector={**REPOSITORY, "sensorName": sensor},
            cursor=cursor,
        )
        evaluation: dict[str, Any] = result["evaluationResult"]
        assert evaluation["error"] is None, evaluation["error"]
        return evaluation

    def stop_schedules(self) -> list[str]:
        """Stop every schedule; return their names."""
        nodes = self.ask(
            "{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name scheduleState "
            "{ id status } } } } } }"
        )["nodes"]
        running = [each for node in nodes for each in node["schedules"] if each["scheduleState"]["status"] == "RUNNING"]
        for each in running:
            stopped = self.ask(
                "mutation ($id: String!) { stopRunningSchedule(id: $id) { ... on ScheduleStateResult { scheduleState "
                "{ status } } } }",
                id=each["scheduleState"]["id"],
            )
            assert stopped["scheduleState"]["status"] == "STOPPED"
        return sorted(each["name"] for each in running)


@contextlib.contextmanager
def dagster_server(folder: Path, environment: Mapping[str, str]) -> Iterator[DagsterServer]:
    """Run `dagster dev` on workspace.yaml until the block ends; then end all that it started."""
    port = _free_port()
    log = folder / "dagster-dev.log"
    command = [DAGSTER, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, so that nothing outlives it
        )
    server = DagsterServer(f"http://127.0.0.1:{port}", log, process)
    try:
        try:
            server.wait("the code location", lambda: _is_loaded(server), READY_SECONDS)
        except AssertionError:
            print(server.tail())  # noqa: T201 - pytest shows it with the failure
            raise
        yield server
    finally:
        _end(process)


def _is_loaded(server: DagsterServer) -> bool:
    try:
        workspace = server.ask(
            "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError "
            "{ __typename ... on PythonError { message } } } } } }"
        )
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    entries = workspace["locationEntries"]
    faults = [entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"]
    assert all(each["__typename"] == "RepositoryLocation" for each in faults), faults
    return len(faults) == 1 == len(entries)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process group: politely at first, as Ctrl-C does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
