"""Run attempts from the landing zone -> the rows of `core` that follow from them.

Nothing is lost: every file of an attempt is a report that was loaded, or is in the rejected artifacts with a reason
code, or is counted as passed over because it is no test report.

Reports of many attempts are read together, because small ones are read far sooner so; see `AttemptReader`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO

import polars as pl

from flakeguard_pipeline.domain.digests import bytes_digest, stable_id, stream_digest
from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.domain.model import (
    ISSUES,
    REASONS,
    IssueCode,
    Job,
    ReasonCode,
    ReportContext,
    RunAttempt,
    RunStatus,
)
from flakeguard_pipeline.ingest.archives import (
    MAX_IN_MEMORY_BYTES,
    REPORT_SUFFIX,
    SNIFFED_BYTES,
    ZIP,
    Member,
    may_be_report,
    members,
)
from flakeguard_pipeline.ingest.attempts import WantedAttempt
from flakeguard_pipeline.ingest.landing import EXPIRED, interpret
from flakeguard_pipeline.landing.zone import LandedFile, LandedFolder, LandingZone
from flakeguard_pipeline.normalize.frames import executions_frame
from flakeguard_pipeline.normalize.identity import IdentityRules
from flakeguard_pipeline.normalize.issues import FoundIssue, find_issues, merged
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.normalize.variants import job_for_artifact, variant_of
from flakeguard_pipeline.parsing.github_run import repository_ref
from flakeguard_pipeline.parsing.reports import ReportOutcome, ReportSource, ReportsReading
from flakeguard_pipeline.settings import Settings

Row = dict[str, Any]

Metadata = tuple[LandedFolder, RunAttempt | None, str]
"""A landed folder, the run attempt that its metadata describe, and what is wrong with them."""

METADATA_KINDS = {"run": ReasonCode.BAD_RUN_METADATA, "jobs": ReasonCode.BAD_JOB_METADATA}
"""Kinds of files that say which run a folder holds, and why they are rejected when they do not."""

WAITING_BYTES = 64 << 20
"""Bytes of reports that are read together: enough to be quick, little enough to be held in memory."""


@dataclass
class AttemptRows:
    """The rows of one run attempt, by table of `core`, but for its executions."""

    wanted: WantedAttempt
    run: Row | None = None
    jobs: list[Row] = field(default_factory=list)
    raw_artifacts: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)
    issues: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)

    @property
    def execution_count(self) -> int:
        """How many executions were read."""
        return sum(report["executions"] for report in self.reports)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file or a member of an archive, with what its rejection row needs; of a large one `data` is the beginning."""

    artifact: str
    path: str
    source: str
    data: bytes
    refusal: ReasonCode | None = None
    detail: str = ""
    size_bytes: int = 0
    digest: str = ""
    opener: Callable[[], AbstractContextManager[BinaryIO]] | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A file that is to be read: the attempt it belongs to, and the same bytes under other paths."""

    rows: AttemptRows
    each: _Source
    digest: str
    context: ReportContext
    rules: IdentityRules
    again: list[_Source]


class AttemptReader:
    """Reads run attempts. Executions go to `sink` as they come; the other rows are complete after `finish`."""

    def __init__(
        self, settings: Settings, zone: LandingZone, sink: Callable[[pl.DataFrame], None], pool: Executor | None = None
    ) -> None:
        """Prepare to read from `zone`; a `pool` of threads lets native work run at once."""
        self._settings = settings
        self._zone = zone
        self._sink = sink
        self._pool = pool
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def add(self, wanted: WantedAttempt) -> AttemptRows:
        """Begin to read everything that one run attempt left.

        Raises:
            LandingError: the landing zone has lost an object.
        """
        zone, rows = self._zone, AttemptRows(wanted)
        metadata = [(folder, *_interpreted(zone, folder)) for folder in wanted.folders]
        run = _newest_run(metadata, zone)
        identity = _identity(wanted)
        rows.raw_artifacts = [
            {**identity, **_artifact_row(folder, file)}
            for folder in wanted.folders
            for file in folder.files
            if file.kind != EXPIRED
        ]
        rows.jobs = [{**identity, **_job_row(job)} for job in run.jobs]
        rows.run = {**identity, **_run_row(run, wanted), "passed_over_files": 0}
        rows.rejected = [{**identity, **row} for row in _metadata_faults(metadata)]
        known: dict[tuple[str, str], _Waiting] = {}
        for each in _files(zone, wanted.folders, unpack=run.status is RunStatus.COMPLETED):
            if each.refusal is not None:
                rows.rejected.append({**identity, **_rejection(each, each.refusal, each.detail)})
            elif not may_be_report(each.path, each.data[:SNIFFED_BYTES]):
                rows.run["passed_over_files"] += 1
            else:
                self._enqueue(rows, run, each, known)
        return rows

    def finish(self) -> None:
        """Read what waits."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        reading = ReportsReading([_report_source(one) for one in waiting], self._pool)
        contexts = [one.context for one in waiting]
        issues: dict[int, list[FoundIssue]] = {}
        for cases in reading.frames():
            executions = executions_frame(
                cases, contexts, rules=[one.rules for one in waiting], emails=self._settings.redact_emails
            )
            for number, found in find_issues(cases, executions, contexts).items():
                issues[number] = merged(issues.get(number, []), found)
            self._sink(executions)
        for number, (one, outcome) in enumerate(zip(waiting, reading.outcomes, strict=True)):
            _enter(one, outcome, issues.get(number, []))

    def _enqueue(
        self, rows: AttemptRows, run: RunAttempt, each: _Source, known: dict[tuple[str, str], "_Waiting"]
    ) -> None:
        if each.opener is None:
            digest = bytes_digest(each.data)
        else:
            with each.opener() as stream:
                digest = stream_digest(stream)
        if (each.artifact, digest) in known:
            # the same bytes for the same run attempt, twice, add nothing
            known[each.artifact, digest].again.append(replace(each, data=b"", opener=None, size_bytes=_size(each)))
            return
        waiting = _Waiting(
            rows,
            each,
            digest,
            self._context(rows.wanted, run, each, digest),
            self._settings.identity_for(run.full_name),
            [],
        )
        known[each.artifact, digest] = waiting
        if self._waiting and self._waiting_bytes + len(each.data) > WAITING_BYTES:
            self.finish()
        self._waiting.append(waiting)
        self._waiting_bytes += len(each.data)
        if each.opener is not None:
            # what opens it is good only now
            self.finish()

    def _context(self, wanted: WantedAttempt, run: RunAttempt, each: _Source, digest: str) -> ReportContext:
        job = job_for_artifact(each.artifact, run.jobs, self._settings.job_rules)
        identity = (wanted.org, wanted.repository_id, wanted.run_id, wanted.run_attempt)
        return ReportContext(
            org=wanted.org,
            provider=wanted.provider,
            repository_id=wanted.repository_id,
            run_id=wanted.run_id,
            run_attempt=wanted.run_attempt,
            artifact=each.artifact,
            report_id=stable_id(["report", *identity, each.artifact, digest]),
            variant=variant_of(each.artifact, self._settings.variant_rules),
            job_id=job.job_id if job else "",
            run_started_at=run.run_started_at,
            known_at=run.updated_at,
        )


def distinct(rejected: Iterable[Row]) -> list[Row]:
    """Return rejections, one row a key: the same file of a run attempt may lie in two folders of a source."""
    by_key: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rejected:
        by_key[row["artifact"], row["path"], row["reason_code"], row["digest"]].append(row)
    return [min(same, key=lambda row: (row["detail"], row["source"])) for same in by_key.values()]


def _report_source(waiting: _Waiting) -> ReportSource:
    each = waiting.each
    if each.opener is None:
        return ReportSource(len(each.data), each.data, None)
    return ReportSource(each.size_bytes, None, each.opener)


def _size(each: _Source) -> int:
    return each.size_bytes or len(each.data)


def _enter(waiting: _Waiting, outcome: ReportOutcome, issues: list[FoundIssue]) -> None:
    """Put what came of a report into the rows of its attempt."""
    rows, each, context = waiting.rows, waiting.each, waiting.context
    identity = _identity(rows.wanted)
    if not outcome.is_report and not outcome.issues:
        if rows.run is not None:
            rows.run["passed_over_files"] += 1 + len(waiting.again)
        return
    for place in (each, *(waiting.again if not outcome.count else ())):
        for issue in outcome.issues:
            rejection = _rejection(place, issue.code, issue.detail, digest=waiting.digest, kept=outcome.count)
            rows.rejected.append({**identity, **rejection})
    if not outcome.count:
        return
    rows.reports.append(
        {
            **identity,
            "report_id": context.report_id,
            "artifact": each.artifact,
            "path": each.path,
            "job_id": context.job_id,
            "variant": context.variant,
            "digest": waiting.digest,
            "size_bytes": _size(each),
            "dialect": outcome.dialect,
            "executions": outcome.count,
            "is_whole": not outcome.issues,
        }
    )
    rows.issues += [
        {
            **identity,
            "report_id": context.report_id,
            "issue_code": issue.code.value,
            "issue": ISSUES[IssueCode(issue.code)],
            "occurrences": issue.occurrences,
            "example": issue.example,
        }
        for issue in issues
    ]


def unattributed_rows(zone: LandingZone, folders: Iterable[LandedFolder], *, org: str) -> list[Row]:
    """Return rejection rows for files that belong to no run, among them damaged run.json files."""
    rows = []
    for folder in folders:
        _, fault = _interpreted(zone, folder)
        for file in folder.files:
            each = _landed_source(folder, file, "/".join(part for part in (folder.folder, file.path) if part))
            if file.kind == EXPIRED:
                code, detail = ReasonCode.ARTIFACT_EXPIRED, ""
            elif file.error:
                code, detail = ReasonCode.UNREADABLE, file.error
            elif file.kind in METADATA_KINDS:
                code, detail = METADATA_KINDS[file.kind], fault
            elif file.path.lower().endswith((REPORT_SUFFIX, ZIP)):
                code, detail = ReasonCode.ORPHAN_REPORT, fault
            else:
                continue
            unknown = {"org": org, "repository_id": "", "run_id": "", "run_attempt": 0}
            rows.append({**unknown, **_rejection(each, code, detail)})
    return distinct(rows)


def _newest_run(metadata: list[Metadata], zone: LandingZone) -> RunAttempt:
    """Return what the newest run.json says; one rebuilt from jobs counts only where there is no other."""
    runs: list[tuple[bool, datetime, bool, str, RunAttempt]] = []
    for folder, run, _ in metadata:
        if run is not None:
            done = run.status is RunStatus.COMPLETED
            runs.append((not run.is_partial, run.updated_at, done, folder.folder, run))
    if not runs:
        first = metadata[0][0].folder
        raise LandingError(f"the run of folder {first!r} can no longer be read in the landing zone {zone.url}")
    runs.sort(key=lambda each: each[:4])
    newest = runs[-1][4]
    jobs = newest.jobs or next((run.jobs for *_, run in reversed(runs) if run.jobs), ())
    return replace(newest, jobs=jobs)


def _interpreted(zone: LandingZone, folder: LandedFolder) -> tuple[RunAttempt | None, str]:
    """Return the run attempt of a landed folder, and what is wrong with its metadata."""
    texts = {
        file.kind: zone.read(file.digest)
        for file in folder.files
        if file.kind in METADATA_KINDS and not file.artifact and file.digest
    }
    return interpret(texts, provider=folder.provider)


def _metadata_faults(metadata: list[Metadata]) -> Iterator[Row]:
    """Yield rejections for metadata files that are damaged, though others beside them were good enough."""
    for folder, _, fault in metadata:
        for file in folder.files:
            if file.kind not in METADATA_KINDS or file.artifact:
                continue
            each = _landed_source(folder, file)
            if file.error:
                yield _rejection(each, ReasonCode.UNREADABLE, file.error)
            elif f"{file.path}: " in fault:
                yield _rejection(each, METADATA_KINDS[file.kind], fault)


def _landed_source(folder: LandedFolder, file: LandedFile, path: str = "") -> _Source:
    return _Source(file.artifact, path or file.path, folder.source, b"", size_bytes=file.size_bytes, digest=file.digest)


def _files(zone: LandingZone, folders: tuple[LandedFolder, ...], *, unpack: bool) -> Iterator[_Source]:
    """Yield the files that may be reports, archives unpacked; where the run has not finished, none is opened."""
    for folder in folders:
        for file in folder.files:
            if file.kind in METADATA_KINDS and not file.artifact:
                continue
            each = _landed_source(folder, file)
            refusal = _refusal(file, unpack=unpack)
            if refusal is not None:
                yield replace(each, refusal=refusal[0], detail=refusal[1])
            elif not unpack:
                continue
            elif file.kind in ("zip", "nested_zip"):
                with zone.open(file.digest) as stream:
                    for member in members(stream, file.path):
                        yield _member_source(folder, file, member)
            else:
                opener: Callable[[], AbstractContextManager[BinaryIO]] | None = None
                with zone.open(file.digest) as stream:
                    data = stream.read(SNIFFED_BYTES)
                    if may_be_report(file.path, data):
                        if file.size_bytes > MAX_IN_MEMORY_BYTES:
                            opener = partial(zone.open, file.digest)
                        else:
                            data += stream.read()
                yield replace(each, data=data, opener=opener)


def _refusal(file: LandedFile, *, unpack: bool) -> tuple[ReasonCode, str] | None:
    """Return why a file is not opened, with what there is to say of it; None where it is, or nobody misses it."""
    if file.kind == EXPIRED:
        return ReasonCode.ARTIFACT_EXPIRED, ""
    if file.error:
        return ReasonCode.UNREADABLE, file.error
    if not unpack and file.path.lower().endswith((REPORT_SUFFIX, ZIP)):
        return ReasonCode.RUN_NOT_COMPLETED, "the run is in progress"
    return None


def _member_source(folder: LandedFolder, file: LandedFile, member: Member) -> _Source:
    damaged_whole = member.path == file.path and member.refusal is not None
    return _Source(
        artifact=file.artifact,
        path=member.path,
        source=folder.source,
        data=member.data,
        refusal=member.refusal,
        detail=member.detail,
        size_bytes=file.size_bytes if damaged_whole else member.size_bytes,
        digest=file.digest if damaged_whole else "",
        opener=member.opener,
    )


def _identity(wanted: WantedAttempt) -> Row:
    return {
        "org": wanted.org,
        "repository_id": wanted.repository_id,
        "run_id": wanted.run_id,
        "run_attempt": wanted.run_attempt,
    }


def _run_row(run: RunAttempt, wanted: WantedAttempt) -> Row:
    head = run.head_repository_ref
    if head == repository_ref(None, run.full_name):
        head = wanted.repository_id.removeprefix(f"{wanted.provider}:")  # its own repository, named without an id
    return {
        "provider": wanted.provider,
        "full_name": run.full_name,
        "workflow": run.workflow,
        "event": run.event,
        "status": run.status.value,
        "conclusion": run.conclusion,
        "branch": run.branch,
        "head_sha": run.head_sha,
        "head_repository_id": f"{wanted.provider}:{head}" if head else "",
        "declared_default_branch": run.default_branch,
        "created_at": run.created_at,
        "run_started_at": run.run_started_at,
        "updated_at": run.updated_at,
        "run_url": run.run_url,
        "pr_number": run.pr_number,
        "is_partial": run.is_partial,
        "load_digest": wanted.load_digest,
    }


def _job_row(job: Job) -> Row:
    return {
        "job_id": job.job_id,
        "name": job.name,
        "conclusion": job.conclusion,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "labels": json.dumps(list(job.labels)),
        "runner_name": job.runner_name,
    }


def _artifact_row(folder: LandedFolder, file: LandedFile) -> Row:
    return {
        "artifact": file.artifact,
        "path": file.path,
        "digest": file.digest,
        "size_bytes": file.size_bytes,
        "kind": file.kind,
        "source": folder.source,
        "source_folder": folder.folder,
    }


def _rejection(each: _Source, code: ReasonCode, detail: str, *, digest: str = "", kept: int = 0) -> Row:
    return {
        "artifact": each.artifact,
        "path": each.path,
        "reason_code": code.value,
        "reason": REASONS[code],
        # it quotes what the file says: an encoding's name, a path, a message
        "detail": redact(detail),
        "digest": digest or each.digest or (bytes_digest(each.data) if each.data else ""),
        "size_bytes": each.size_bytes or len(each.data),
        "kept_executions": kept,
        "source": each.source,
    }
