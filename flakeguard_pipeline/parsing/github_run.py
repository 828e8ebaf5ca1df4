"""GitHub's REST objects *workflow run* and *list jobs* -> domain values.

Only the fields that docs/reference/drop-folder.md names are read; others are ignored. Source of the shapes:
https://docs.github.com/en/rest/actions/workflow-runs and .../workflow-jobs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flakeguard_pipeline.domain.digests import bounded
from flakeguard_pipeline.domain.model import AttemptKey, Job, RunAttempt, RunStatus

COMPLETED = "completed"

MAX_NUMBER = 2**31
"""Attempts and pull requests are counted; a number beyond a database's integer is none of them."""

MAX_ID_BYTES = 255
"""Ids of CI providers are numbers, UUIDs or some words; a longer one is none. Several of them stand in one key, and an
entry of a Postgres index holds 2704 bytes in all."""

MAX_FULL_NAME_BYTES = 500
"""Of `<owner>/<name>`: a path of nested groups takes up to 255, and so does a project's own name."""

_REPOSITORY_IN_URL = re.compile(r"/repos/([^/\s]+/[^/\s]+)/(?:actions|check-runs)/")


class MetadataError(ValueError):
    """The bytes are no workflow run or job list; the message says which field is missing or wrong."""


def parse_run(data: bytes, jobs: bytes | None, *, provider: str) -> RunAttempt:
    """Return the run attempt that run.json (and the job.json beside it, where there is one) describes.

    Raises:
        MetadataError: a field that identifies the run is missing or wrong.
    """
    run = _object(data)
    repository = run.get("repository")
    if not isinstance(repository, Mapping):
        raise MetadataError("repository is missing")
    full_name = _text(repository, "full_name")
    identity = repository.get("id")
    if not full_name and identity is None:
        raise MetadataError("repository has neither id nor full_name")
    _require_short("repository.id", "" if identity is None else str(identity), MAX_ID_BYTES)
    _require_short("repository.full_name", full_name, MAX_FULL_NAME_BYTES)
    created_at = _time(run, "created_at") or _time(run, "run_started_at") or _time(run, "updated_at")
    if created_at is None:
        raise MetadataError("created_at is missing or no time")
    started_at = _time(run, "run_started_at") or created_at
    head = run.get("head_repository")
    run_id, run_attempt = _identifier(run, "id"), _attempt(run)
    status = RunStatus.COMPLETED if _text(run, "status") == COMPLETED else RunStatus.IN_PROGRESS
    return RunAttempt(
        key=AttemptKey(
            provider=provider,
            repository_ref=repository_ref(identity, full_name),
            run_id=run_id,
            run_attempt=run_attempt,
        ),
        full_name=full_name,
        default_branch=_text(repository, "default_branch"),
        workflow=bounded(_text(run, "name")),
        event=_text(run, "event"),
        status=status,
        conclusion=_text(run, "conclusion"),
        branch=_text(run, "head_branch"),
        head_sha=_text(run, "head_sha"),
        head_repository_ref=repository_ref(head.get("id"), _text(head, "full_name"))
        if isinstance(head, Mapping)
        else "",
        created_at=created_at,
        run_started_at=started_at,
        updated_at=_time(run, "updated_at") or started_at,
        run_url=_text(run, "html_url"),
        pr_number=_pull_request(run.get("pull_requests")),
        is_partial=False,
        jobs=parse_jobs(jobs, (run_id, run_attempt)) if jobs is not None else (),
    )


def parse_partial_run(data: bytes, *, provider: str) -> RunAttempt:
    """Return the run attempt rebuilt from job.json alone: no event, no branch unless the jobs say one.

    Raises:
        MetadataError: the jobs do not say which run they belong to, or belong to several.
    """
    jobs = _jobs(data)
    if not jobs:
        raise MetadataError("jobs is missing or empty, so no run is known")
    run_ids = {_identifier(job, "run_id") for job in jobs}
    if len(run_ids) > 1:
        raise MetadataError(f"the jobs belong to {len(run_ids)} runs")
    run_id = run_ids.pop()
    # A response for all attempts is read as the newest, which is the one that its reports are of.
    run_attempt = max(_attempt(job) for job in jobs)
    jobs = [job for job in jobs if _belongs(job, run_id, run_attempt)]
    full_name = _repository_of(jobs)
    _require_short("the repository's name", full_name, MAX_FULL_NAME_BYTES)
    started = [time for job in jobs if (time := _time(job, "started_at")) is not None]
    if not started:
        raise MetadataError("no job has a started_at")
    ended = [time for job in jobs if (time := _time(job, "completed_at")) is not None]
    unfinished = any(_text(job, "status") not in ("", COMPLETED) for job in jobs)
    return RunAttempt(
        key=AttemptKey(provider, repository_ref(None, full_name), run_id, run_attempt),
        full_name=full_name,
        default_branch="",
        workflow=bounded(_first(jobs, "workflow_name")),
        event="",
        status=RunStatus.IN_PROGRESS if unfinished else RunStatus.COMPLETED,
        conclusion="",
        branch=_first(jobs, "head_branch"),
        head_sha=_first(jobs, "head_sha"),
        head_repository_ref="",
        created_at=min(started),
        run_started_at=min(started),
        updated_at=max(started + ended),
        run_url="",
        pr_number=None,
        is_partial=True,
        jobs=parse_jobs(data, (run_id, run_attempt)),
    )


def parse_jobs(data: bytes, run: tuple[str, int] | None = None) -> tuple[Job, ...]:
    """Return the jobs of a *list jobs* response in the order of their ids; entries without an id are left out.

    With `run` (id and attempt), jobs that say they belong to another are left out, too: the response may list all
    attempts of a run.

    Raises:
        MetadataError: the bytes are no JSON object, or a job's id is too long to be one.
    """
    jobs = {}
    for job in _jobs(data):
        if job.get("id") is None or (run is not None and not _belongs(job, *run)):
            continue
        identity = _text(job, "id")
        _require_short("a job's id", identity, MAX_ID_BYTES)
        jobs[identity] = Job(
            job_id=identity,
            name=_text(job, "name"),
            conclusion=_text(job, "conclusion"),
            started_at=_time(job, "started_at"),
            completed_at=_time(job, "completed_at"),
            labels=tuple(sorted(_storable(str(label)) for label in _list(job.get("labels")))),
            runner_name=_text(job, "runner_name"),
        )
    return tuple(jobs[identity] for identity in sorted(jobs))


def _jobs(data: bytes) -> list[Mapping[str, Any]]:
    return [job for job in _list(_object(data).get("jobs")) if isinstance(job, Mapping)]


def _belongs(job: Mapping[str, Any], run_id: str, run_attempt: int) -> bool:
    """Say whether a job is of a run attempt, as far as it says so itself."""
    return _text(job, "run_id") in ("", run_id) and job.get("run_attempt") in (None, run_attempt)


def repository_ref(identity: object, full_name: str) -> str:
    """Return the reference of a repository: its id as text where there is one, else `name:` and its full name."""
    return f"name:{full_name}" if identity is None else _storable(str(identity))


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"is no JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise MetadataError("is no JSON object")
    return value


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text field without what no database takes: NUL and lone surrogates become U+FFFD."""
    value = fields.get(name)
    if value is None:
        return ""
    return _storable(str(value))


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _identifier(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None or isinstance(value, bool | float | list | dict) or not str(value).strip():
        raise MetadataError(f"{name} is missing or no id")
    text = _text(fields, name)
    _require_short(name, text, MAX_ID_BYTES)
    return text


def _require_short(name: str, text: str, most: int) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > most:
        raise MetadataError(f"{name} has {size} bytes, of which {most} are allowed")


def _attempt(fields: Mapping[str, Any]) -> int:
    value = fields.get("run_attempt")
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < MAX_NUMBER:
        raise MetadataError(f"run_attempt is {value!r}, not a count from 1")
    return int(value)


def _time(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _first(jobs: Sequence[Mapping[str, Any]], name: str) -> str:
    return min((text for job in jobs if (text := _text(job, name))), default="")


def _pull_request(value: object) -> int | None:
    numbers = [each.get("number") for each in _list(value) if isinstance(each, Mapping)]
    known = [number for number in numbers if isinstance(number, int) and 0 < number < MAX_NUMBER]
    return min(known) if known else None


def _repository_of(jobs: Sequence[Mapping[str, Any]]) -> str:
    names = {
        match.group(1)
        for job in jobs
        for field in ("run_url", "url", "check_run_url")
        if (match := _REPOSITORY_IN_URL.search(_text(job, field)))
    }
    if len(names) != 1:
        raise MetadataError("the jobs' addresses do not name one repository")
    return names.pop()
