"""What GitHub's answers mean: spans of time to list, run.json and job.json, whose attempt an artifact is of.

Shapes: https://docs.github.com/en/rest/actions/workflow-runs, .../workflow-jobs and .../artifacts.
Belongs here: values. Does not belong here: asking anything of anyone.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.providers.answers import iso, json_bytes, moment_of, object_of, text_of
from flakeguard_pipeline.providers.source import FileKind, FoundFile, Window

DAY = 86400
"""Seconds of a day, the span that is listed at once: its address stays the same, so that GitHub can say 304."""

MAX_DAYS_APART = 62
"""Days of a window that are listed one by one. A longer one is halved only where GitHub has too much for one answer."""

FIRST_RUNS = datetime(2018, 10, 16, tzinfo=UTC)
"""The day that GitHub announced Actions: nothing is older."""

SEARCH_LIMIT = 1000
"""Runs that GitHub gives of one span at most (`up to 1,000 results for each search`)."""

MAX_ATTEMPTS = 100
"""Attempts of one run that are fetched, the newest: GitHub ends re-runs at fifty."""

COMPLETED = "completed"

_ACCOUNT = ("id", "node_id", "login", "type")
_REPOSITORY = ("id", "node_id", "name", "full_name", "private", "fork", "html_url", "url", "default_branch")


def spans(window: Window, now: datetime) -> Iterator[tuple[int, int]]:
    """Yield the spans to list, the newest first, in whole UTC days: from a second to before another, since the epoch.

    They lie where days lie, whatever the window's ends, so that tomorrow asks for the same.
    """
    since = max(window.since or FIRST_RUNS, FIRST_RUNS)
    begin = int(since.timestamp()) // DAY
    end = int(now.timestamp()) // DAY + 1
    if window.until is not None:
        end = min(end, -(-int(window.until.timestamp() + 0.999999) // DAY))
    if end - begin > MAX_DAYS_APART:
        yield begin * DAY, end * DAY
        return
    for day in range(end - 1, begin - 1, -1):
        yield day * DAY, (day + 1) * DAY


def middle(begin: int, end: int) -> int | None:
    """Return where to halve a span: between days, or within a day between seconds; None where nothing is between.

    It is the roundest number inside, so that spans with other ends are halved at the same places.
    """
    unit = DAY if end - begin > DAY else 1
    first, last = begin // unit, end // unit
    for bit in reversed(range(last.bit_length())):
        found = (last - 1) >> bit << bit
        if found > first:
            return found * unit
    return None


def created_filter(begin: int, end: int) -> str:
    """Return the value of `created` for a span; both its ends belong to it, as GitHub counts."""
    return f"{_stamp(begin)}..{_stamp(end)}"


def created_second(run: Mapping[str, Any]) -> int | None:
    """Return when a run was created, in seconds since the epoch."""
    created = moment_of(run, "created_at")
    return None if created is None else int(created.timestamp())


def overlaps(run: Mapping[str, Any], window: Window) -> bool:
    """Say whether any attempt of a run may have started in a window: it began at the earliest when it was created."""
    created = moment_of(run, "created_at")
    started = moment_of(run, "run_started_at") or created
    if created is None or started is None:
        return True
    return (window.until is None or created < window.until) and (window.since is None or started >= window.since)


def is_wanted(run: Mapping[str, Any], workflows: Sequence[str]) -> bool:
    """Say whether a run is of one of the workflows, by name, path or file name; without any, of course."""
    if not workflows:
        return True
    path = text_of(run, "path").partition("@")[0]  # a workflow of another repository comes with its branch
    names = (text_of(run, "name"), path, path.rpartition("/")[2])
    return any(name and fnmatchcase(name, glob) for glob in workflows for name in names)


def attempt_of(run: Mapping[str, Any]) -> int | None:
    """Return the number of a run's newest attempt; None where it is no number from 1."""
    attempt = run.get("run_attempt")
    if attempt is None:
        return 1
    return attempt if isinstance(attempt, int) and not isinstance(attempt, bool) and attempt >= 1 else None


def is_finished(run: Mapping[str, Any]) -> bool:
    """Say whether a run's newest attempt has ended."""
    return text_of(run, "status") == COMPLETED


def fingerprint(run: Mapping[str, Any], attempt: int) -> str:
    """Return what tells the states of a run's newest attempt apart."""
    fields = ("status", "conclusion", "run_started_at", "updated_at")
    return stable_id(["github", text_of(run, "id"), attempt, *(text_of(run, field) for field in fields)])


def final_fingerprint(run: Mapping[str, Any], attempt: int) -> str:
    """Return the fingerprint of an attempt that a later one has followed: nothing changes it any more."""
    return stable_id(["github", text_of(run, "id"), attempt, "final"])


def run_bytes(run: Mapping[str, Any], default_branch: str) -> bytes:
    """Return run.json: what GitHub said, without what changes while the run stays the same, and without tokens.

    Accounts and repositories keep what names them; pull requests lose the commits that their branches have moved to.
    """
    kept = dict(run)
    for field in ("actor", "triggering_actor"):
        if isinstance(run.get(field), Mapping):
            kept[field] = _only(object_of(run[field]), _ACCOUNT)
    for field in ("repository", "head_repository"):
        repository = run.get(field)
        if isinstance(repository, Mapping):
            kept[field] = _only(repository, _REPOSITORY)
            if isinstance(repository.get("owner"), Mapping):
                kept[field]["owner"] = _only(object_of(repository["owner"]), _ACCOUNT)
    if default_branch and isinstance(kept.get("repository"), dict):
        kept["repository"].setdefault("default_branch", default_branch)
    if isinstance(run.get("pull_requests"), list):
        kept["pull_requests"] = [_pull_request(each) for each in run["pull_requests"] if isinstance(each, Mapping)]
    return json_bytes(_without_tokens(kept))


def jobs_bytes(jobs: Sequence[Mapping[str, Any]]) -> bytes:
    """Return job.json, the jobs in the order of their ids."""
    ordered = sorted(jobs, key=lambda job: int(job["id"]))
    return json_bytes(_without_tokens({"total_count": len(ordered), "jobs": ordered}))


def artifact_files(
    artifacts: Sequence[Mapping[str, Any]], repository: str, wanted: Sequence[str]
) -> Iterator[FoundFile]:
    """Yield the artifacts whose names fit one of the globs; all without any. Two of one name get paths of their own."""
    taken: set[str] = set()
    for artifact in sorted(artifacts, key=lambda each: int(each["id"])):
        name = _storable(text_of(artifact, "name"))
        if not name or (wanted and not any(fnmatchcase(name, glob) for glob in wanted)):
            continue
        identity = int(artifact["id"])
        # GitHub allows no slash in a name; a source that sends one all the same leads nowhere else
        path = name.replace("/", "_").replace("\\", "_")
        path = f"{path}-{identity}.zip" if path in taken else f"{path}.zip"
        taken.add(path.removesuffix(".zip"))
        kind: FileKind = "expired" if artifact.get("expired") is True else "zip"
        yield FoundFile(name, path, kind, f"repos/{repository}/actions/artifacts/{identity}/zip")


def is_of_attempt(
    artifact: Mapping[str, Any], attempt: int, started: datetime | None, following: datetime | None
) -> bool:
    """Say whether an artifact was created during an attempt, from its start to the next one's.

    Artifacts of a run do not say which attempt they are of. What is older than the first attempt is of the first; what
    has no time is of the newest.
    """
    created = moment_of(artifact, "created_at")
    if created is None:
        return following is None
    return (attempt == 1 or started is None or created >= started) and (following is None or created < following)


def _pull_request(told: Mapping[str, Any]) -> dict[str, Any]:
    sides = {side: _only(object_of(told[side]), ("ref", "repo")) for side in ("head", "base") if side in told}
    return {**told, **sides}


def _only(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _without_tokens(value: Any, depth: int = 0) -> Any:
    """Return JSON without the fields that are named for a token, wherever they stand."""
    if depth > 32:
        return None
    if isinstance(value, Mapping):
        return {
            name: _without_tokens(each, depth + 1) for name, each in value.items() if not name.lower().endswith("token")
        }
    return [_without_tokens(each, depth + 1) for each in value] if isinstance(value, list) else value


def _stamp(second: int) -> str:
    return iso(datetime.fromtimestamp(second, UTC)) or ""


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
