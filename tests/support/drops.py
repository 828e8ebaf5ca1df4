"""Small drop folders, built run by run."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def case(name: str, outcome: str = "passed", message: str = "boom", classname: str = "tests.shop.test_cart") -> str:
    """Return one test case element."""
    body = {
        "passed": "",
        "failed": f'<failure message="{message}" type="AssertionError">at tests/shop.py:10</failure>',
        "errored": f'<error message="{message}" type="OSError">at tests/shop.py:11</error>',
        "skipped": "<skipped/>",
    }[outcome]
    return f'<testcase classname="{classname}" name="{name}" time="0.25">{body}</testcase>'


def report(*cases: str) -> bytes:
    """Return a whole report."""
    return f'<?xml version="1.0"?><testsuite name="shop">{"".join(cases)}</testsuite>'.encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive."""
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def run_object(run_id: int, **fields: Any) -> dict[str, Any]:
    """Return a workflow run object in GitHub's shape; one hour after another by its id."""
    started = fields.pop("started", START + timedelta(hours=run_id))
    stamp = started.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": run_id,
        "run_attempt": 1,
        "name": "CI",
        "event": "push",
        "status": "completed",
        "conclusion": "success",
        "head_branch": "main",
        "head_sha": f"{run_id:040x}",
        "created_at": stamp,
        "run_started_at": stamp,
        "updated_at": (started + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "html_url": f"https://ci.example/runs/{run_id}",
        "pull_requests": [],
        "repository": {"id": 7, "full_name": "acme/shop", "default_branch": "main"},
        "head_repository": {"id": 7, "full_name": "acme/shop"},
        **fields,
    }


def add_run(
    drop: Path,
    run: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    jobs: Sequence[Mapping[str, Any]] | None = None,
    folder: str | None = None,
) -> Path:
    """Write one run folder; `files` are paths relative to it."""
    place = drop / (folder or f"{run['id']}-{run.get('run_attempt') or 1}")
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.json").write_text(json.dumps(run))
    if jobs is not None:
        (place / "job.json").write_text(json.dumps({"total_count": len(jobs), "jobs": list(jobs)}))
    for name, data in (files or {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def flaky_history(drop: Path, runs: int = 12) -> None:
    """Write a history in which test_flaky passes and fails on some commits, and test_broken breaks and stays so."""
    for number in range(1, runs + 1):
        flakes = number % 3 == 0
        broken = number > runs - 4
        first = report(
            case("test_steady"),
            case("test_flaky", "failed" if flakes else "passed", "timed out after 30 s"),
            case("test_broken", "failed" if broken else "passed"),
            case("test_always", "failed"),
        )
        add_run(drop, run_object(number), {"test-results.zip": zipped({"r.xml": first})})
        again = report(
            case("test_steady"),
            case("test_flaky"),
            case("test_broken", "failed" if broken else "passed"),
            case("test_always", "failed"),
        )
        started = START + timedelta(hours=number, minutes=20)
        rerun = run_object(number, run_attempt=2, started=started)
        add_run(drop, rerun, {"test-results.zip": zipped({"r.xml": again})})
