"""One run attempt from the landing zone -> the rows of `core` that follow from it.

Nothing is lost: every file of an attempt is a report that was loaded, or is in the rejected artifacts with a reason
code, or is counted as passed over because it is no test report.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from flakeguard_pipeline.domain.digests import bytes_digest, stable_id
from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.domain.model import REASONS, Job, ReasonCode, ReportContext, RunAttempt, RunStatus
from flakeguard_pipeline.ingest.archives import Member, members
from flakeguard_pipeline.ingest.attempts import WantedAttempt
from flakeguard_pipeline.ingest.landing import interpret
from flakeguard_pipeline.landing.zone import LandedFile, LandedFolder, LandingZone
from flakeguard_pipeline.normalize.frames import executions_frame
from flakeguard_pipeline.normalize.variants import JobRule, VariantRules, job_for_artifact, variant_of
from flakeguard_pipeline.parsing.junit import parse_report, sniff

Row = dict[str, Any]

REPORT_SUFFIX = ".xml"


@dataclass
class AttemptRows:
    """The rows of one run attempt, by table of `core`."""

    wanted: WantedAttempt
    run: Row | None = None
    jobs: list[Row] = field(default_factory=list)
    raw_artifacts: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    executions: list[pl.DataFrame] = field(default_factory=list)

    @property
    def execution_count(self) -> int:
        """How many executions were read."""
        return sum(frame.height for frame in self.executions)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file or a member of an archive, with what its rejection row needs."""

    artifact: str
    path: str
    source: str
    data: bytes
    refusal: ReasonCode | None = None
    detail: str = ""
    size_bytes: int = 0
    digest: str = ""


def read_attempt(
    zone: LandingZone, wanted: WantedAttempt, *, variant_rules: VariantRules, job_rules: tuple[JobRule, ...]
) -> AttemptRows:
    """Read everything that one run attempt left.

    Raises:
        LandingError: the landing zone has lost an object.
    """
    rows = AttemptRows(wanted)
    run = _newest_run(zone, wanted)
    identity = _identity(wanted)
    rows.raw_artifacts = [
        {**identity, **_artifact_row(folder, file)} for folder in wanted.folders for file in folder.files
    ]
    rows.jobs = [{**identity, **_job_row(job)} for job in run.jobs]
    completed = run.status is RunStatus.COMPLETED
    passed_over = 0
    seen: set[tuple[str, str]] = set()
    sources = _files(zone, wanted.folders, unpack=completed)
    for each in sources:
        if each.refusal is not None:
            rows.rejected.append({**identity, **_rejection(each, each.refusal, each.detail)})
        elif not completed:
            if each.path.lower().endswith((REPORT_SUFFIX, ".zip")):
                detail = f"status of the run: {run.status.value}"
                rows.rejected.append({**identity, **_rejection(each, ReasonCode.RUN_NOT_COMPLETED, detail)})
            else:
                passed_over += 1
        elif (each.data and not sniff(each.data[:256])) or (
            not each.data and not each.path.lower().endswith(REPORT_SUFFIX)
        ):
            passed_over += 1
        else:
            digest = bytes_digest(each.data)
            if (each.artifact, digest) in seen:
                continue  # the same bytes for the same run attempt, twice, add nothing
            seen.add((each.artifact, digest))
            if not _read_report(rows, run, each, digest, variant_rules=variant_rules, job_rules=job_rules):
                passed_over += 1
    rows.run = {**identity, **_run_row(run, wanted), "passed_over_files": passed_over}
    rows.rejected = _distinct(rows.rejected)
    return rows


def unattributed_rows(zone: LandingZone, folders: Iterable[LandedFolder], *, org: str) -> list[Row]:
    """Return rejection rows for files that belong to no run, among them damaged run.json files."""
    rows = []
    for folder in folders:
        texts = {
            file.kind: zone.read(file.digest)
            for file in folder.files
            if file.kind in ("run", "jobs") and not file.artifact and file.digest
        }
        _, fault = interpret(texts, provider=folder.provider)
        for file in folder.files:
            each = _Source(
                artifact=file.artifact,
                path="/".join(part for part in (folder.folder, file.path) if part),
                source=folder.source,
                data=b"",
                size_bytes=file.size_bytes,
                digest=file.digest,
            )
            if file.error:
                code, detail = ReasonCode.UNREADABLE, file.error
            elif file.kind == "run":
                code, detail = ReasonCode.BAD_RUN_METADATA, fault
            elif file.kind == "jobs":
                code, detail = ReasonCode.BAD_JOB_METADATA, fault
            elif file.path.lower().endswith((REPORT_SUFFIX, ".zip")):
                code, detail = ReasonCode.ORPHAN_REPORT, fault
            else:
                continue
            unknown = {"org": org, "repository_id": "", "run_id": "", "run_attempt": 0}
            rows.append({**unknown, **_rejection(each, code, detail)})
    return _distinct(rows)


def _read_report(
    rows: AttemptRows,
    run: RunAttempt,
    each: _Source,
    digest: str,
    *,
    variant_rules: VariantRules,
    job_rules: tuple[JobRule, ...],
) -> bool:
    """Read one report into `rows`; return False where the file is no test report."""
    parsed = parse_report(each.data)
    identity = _identity(rows.wanted)
    if not parsed.is_report and not parsed.issues:
        return False
    for issue in parsed.issues:
        rejection = _rejection(each, issue.code, issue.detail, digest=digest, kept=len(parsed.cases))
        rows.rejected.append({**identity, **rejection})
    if not parsed.cases:
        return True
    job = job_for_artifact(each.artifact, run.jobs, job_rules)
    wanted = rows.wanted
    context = ReportContext(
        org=wanted.org,
        provider=wanted.provider,
        repository_id=wanted.repository_id,
        run_id=wanted.run_id,
        run_attempt=wanted.run_attempt,
        artifact=each.artifact,
        report_id=stable_id(
            ["report", wanted.org, wanted.repository_id, wanted.run_id, wanted.run_attempt, each.artifact, digest]
        ),
        variant=variant_of(each.artifact, variant_rules),
        job_id=job.job_id if job else "",
        run_started_at=run.run_started_at,
    )
    rows.executions.append(executions_frame(parsed, context))
    rows.reports.append(
        {
            **identity,
            "report_id": context.report_id,
            "artifact": each.artifact,
            "path": each.path,
            "job_id": context.job_id,
            "variant": context.variant,
            "digest": digest,
            "size_bytes": len(each.data),
            "dialect": parsed.dialect,
            "executions": len(parsed.cases),
            "is_whole": not parsed.issues,
        }
    )
    return True


def _newest_run(zone: LandingZone, wanted: WantedAttempt) -> RunAttempt:
    """Return what the newest run.json says; one rebuilt from jobs counts only where there is no other."""
    runs: list[tuple[bool, datetime, bool, str, RunAttempt]] = []
    for folder in wanted.folders:
        texts = {
            file.kind: zone.read(file.digest)
            for file in folder.files
            if file.kind in ("run", "jobs") and not file.artifact and file.digest
        }
        run, _ = interpret(texts, provider=folder.provider)
        if run is not None:
            done = run.status is RunStatus.COMPLETED
            runs.append((not run.is_partial, run.updated_at, done, folder.folder, run))
    if not runs:
        first = wanted.folders[0].folder
        raise LandingError(f"the run of folder {first!r} can no longer be read in the landing zone {zone.url}")
    newest = max(runs, key=lambda each: each[:4])[4]
    if newest.jobs:
        return newest
    with_jobs = max((each for each in runs if each[4].jobs), key=lambda each: each[:4], default=None)
    if with_jobs is None:
        return newest
    fields = {name: getattr(newest, name) for name in RunAttempt.__dataclass_fields__}
    return RunAttempt(**{**fields, "jobs": with_jobs[4].jobs})


def _files(zone: LandingZone, folders: tuple[LandedFolder, ...], *, unpack: bool) -> Iterator[_Source]:
    for folder in folders:
        for file in folder.files:
            if file.kind in ("run", "jobs") and not file.artifact:
                continue
            if file.error:
                yield _Source(file.artifact, file.path, folder.source, b"", ReasonCode.UNREADABLE, file.error)
            elif file.kind == "zip" and unpack:
                with zone.open(file.digest) as stream:
                    for member in members(stream, file.path):
                        yield _member_source(folder, file, member)
            elif unpack or not file.path.lower().endswith((REPORT_SUFFIX, ".zip")):
                data = zone.read(file.digest)
                yield _Source(file.artifact, file.path, folder.source, data, size_bytes=file.size_bytes)
            else:
                yield _Source(
                    file.artifact, file.path, folder.source, b"", size_bytes=file.size_bytes, digest=file.digest
                )


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
        "detail": detail,
        "digest": digest or each.digest or (bytes_digest(each.data) if each.data else ""),
        "size_bytes": each.size_bytes or len(each.data),
        "kept_executions": kept,
        "source": each.source,
    }


def _distinct(rejected: list[Row]) -> list[Row]:
    """Keep one row a key: the same file may have lain in two folders of a source."""
    by_key: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rejected:
        by_key[row["artifact"], row["path"], row["reason_code"], row["digest"]].append(row)
    return [min(same, key=lambda row: (row["detail"], row["source"])) for same in by_key.values()]
