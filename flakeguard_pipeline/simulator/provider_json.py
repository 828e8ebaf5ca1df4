"""`run.json` and `job.json` of a simulated attempt, in the words of GitHub's REST API."""

import json
from datetime import datetime
from typing import Any

from flakeguard_pipeline.domain.model import RunStatus
from flakeguard_pipeline.simulator.model import SimulatedRun
from flakeguard_pipeline.simulator.parameters import SimulationParameters
from flakeguard_pipeline.simulator.random_streams import hex_digits

_WORKFLOW = "CI"
_WORKFLOW_ID = 92_118_004


def run_json(run: SimulatedRun, parameters: SimulationParameters) -> bytes:
    """Return the attempt as a workflow run object."""
    url = f"https://github.com/{parameters.full_name}/actions/runs/{run.run_id}"
    repository = _repository(parameters)
    document = {
        "id": run.run_id,
        "name": _WORKFLOW,
        "head_branch": run.branch,
        "head_sha": run.sha,
        "path": ".github/workflows/ci.yml",
        "display_title": run.title,
        "run_number": run.run_number,
        "run_attempt": run.run_attempt,
        "event": run.event,
        "status": run.status.value,
        "conclusion": run.conclusion or None,
        "workflow_id": _WORKFLOW_ID,
        "html_url": url,
        "pull_requests": _pull_requests(run, parameters),
        "created_at": _instant(run.created_at),
        "updated_at": _instant(run.updated_at),
        "run_started_at": _instant(run.run_started_at),
        "repository": repository,
        "head_repository": repository,
    }
    return _json(document)


def job_json(run: SimulatedRun, parameters: SimulationParameters) -> bytes:
    """Return the attempt's jobs as a *list jobs* response."""
    url = f"https://github.com/{parameters.full_name}/actions/runs/{run.run_id}/job"
    jobs = [
        {
            "id": int(job.job_id),
            "run_id": run.run_id,
            "run_attempt": run.run_attempt,
            "run_url": f"https://api.github.com/repos/{parameters.full_name}/actions/runs/{run.run_id}",
            "workflow_name": _WORKFLOW,
            "head_branch": run.branch,
            "head_sha": run.sha,
            "html_url": f"{url}/{job.job_id}",
            "name": job.name,
            "status": (RunStatus.COMPLETED if job.conclusion else RunStatus.IN_PROGRESS).value,
            "conclusion": job.conclusion or None,
            "started_at": _instant(job.started_at),
            "completed_at": _instant(job.completed_at),
            "labels": list(job.labels),
            "runner_name": job.runner_name,
        }
        for job in run.jobs
    ]
    return _json({"total_count": len(jobs), "jobs": jobs})


def _repository(parameters: SimulationParameters) -> dict[str, Any]:
    owner, _, name = parameters.full_name.partition("/")
    # any id will do, so long as the owner keeps it
    owner_id = int(hex_digits("owner", owner)[:6], 16)
    return {
        "id": parameters.repository_id,
        "name": name,
        "full_name": parameters.full_name,
        "private": False,
        "fork": False,
        "html_url": f"https://github.com/{parameters.full_name}",
        "default_branch": parameters.default_branch,
        "owner": {"login": owner, "id": owner_id, "type": "Organization"},
    }


def _pull_requests(run: SimulatedRun, parameters: SimulationParameters) -> list[dict[str, Any]]:
    if run.pull_request is None:
        return []
    api = f"https://api.github.com/repos/{parameters.full_name}"
    number = run.pull_request.number
    repository = {"id": parameters.repository_id, "name": parameters.full_name.partition("/")[2], "url": api}
    return [
        {
            "id": 1_900_000_000 + number,
            "number": number,
            "url": f"{api}/pulls/{number}",
            "head": {"ref": run.branch, "sha": run.sha, "repo": repository},
            "base": {"ref": parameters.default_branch, "sha": run.base_sha, "repo": repository},
        }
    ]


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode("ascii")
