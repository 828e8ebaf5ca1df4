"""The last words of a run: what was found and where to look next, in terms a person uses."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flakeguard_pipeline.operations.summary import Finding, Summary

STALE_AFTER = timedelta(days=30)
"""When the newest result is older than this, a person has probably left out --as-of."""

NAME_CHARACTERS = 76
LINES_SHOWN = 10


def render(
    summary: Summary, *, as_of: datetime, new: Mapping[str, Mapping[str, Any]], out: Path, faults: tuple[str, ...]
) -> str:
    """Return the summary as text; `new` is what this run's assets reported."""
    return "\n".join(_lines(summary, as_of=as_of, new=new, out=out, faults=faults))


def render_ingestion(*, new: Mapping[str, Mapping[str, Any]], faults: tuple[str, ...]) -> str:
    """Return what an ingestion brought, as text; `new` is what its assets reported."""
    lines = []
    for asset, told in sorted(new.items()):
        if asset.startswith("raw/") and ("requests" in told or told.get("run_folders")):
            name = asset.removeprefix("raw/").removesuffix("_artifact")
            name = "drop folders" if name == "raw" else name
            cost = f"; {told['requests']:,} requests" if "requests" in told else ""
            waits = f", waited {told['waited_seconds']:,.0f} s" if told.get("waited_seconds", 0) >= 1 else ""
            expired = f", {told['expired_artifacts']:,} expired" if told.get("expired_artifacts") else ""
            lines.append(
                f"Landed from {name}: {told['run_folders']:,} run folders, {told['files']:,} files, "
                f"{told['size_bytes'] / 1e6:,.1f} MB{expired}{cost}{waits}"
            )
    loaded, executions = new.get("core/run_attempt", {}), new.get("core/test_execution", {})
    lines.append(
        f"Loaded: {loaded.get('run_attempts', 0):,} run attempts, {executions.get('reports', 0):,} reports, "
        f"{executions.get('executions', 0):,} executions"
    )
    if faults:
        lines += ["", "Not everything worked:", *(f"  {fault}" for fault in faults)]
    return "\n".join(lines)


def _lines(
    summary: Summary, *, as_of: datetime, new: Mapping[str, Mapping[str, Any]], out: Path, faults: tuple[str, ...]
) -> Iterator[str]:
    yield ""
    yield f"As of {as_of:%Y-%m-%d %H:%M} UTC"
    yield ""
    loaded = new.get("core/run_attempt", {})
    executions = new.get("core/test_execution", {})
    unfinished = f", {summary.unfinished} not finished yet" if summary.unfinished else ""
    partial = f", {summary.partial} rebuilt from job.json" if summary.partial else ""
    yield f"  Runs        {summary.run_attempts:>9,}  ({loaded.get('run_attempts', 0):,} new{unfinished}{partial})"
    yield f"  Reports     {summary.reports:>9,}  ({executions.get('reports', 0):,} new)"
    yield f"  Executions  {summary.executions:>9,}  ({executions.get('executions', 0):,} new)"
    if summary.inferred_passes:
        yield f"  Inferred    {summary.inferred_passes:>9,}  passes of jobs that succeeded without a report"
    rejected = sum(files for _, _, files in summary.rejected)
    yield f"  Rejected    {rejected:>9,}{'  files, kept in the landing zone:' if rejected else ''}"
    for code, reason, files in summary.rejected:
        yield f"    {files:>6,}  {code}: {reason}"
    if summary.issues:
        yield "  To mend in CI (marts.report_health says which):"
    for code, issue, reports in summary.issues:
        yield f"    {reports:>6,}  {code}: {issue}"
    yield ""
    yield "Test variants: " + (
        ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in summary.by_status.items()) or "none"
    )
    if summary.newest_known_at and as_of - summary.newest_known_at > STALE_AFTER:
        yield (
            f"  The newest result is from {summary.newest_known_at:%Y-%m-%d}. To see what was true then, add "
            f"--as-of {summary.newest_known_at + timedelta(days=1):%Y-%m-%d}"
        )
    yield from _findings("Flaky", [each for each in summary.findings if each.status == "flaky"], summary)
    yield from _findings("Broken", [each for each in summary.findings if each.status == "broken"], summary)
    yield ""
    if summary.quarantined:
        yield f"Quarantined: {len(summary.quarantined)}"
        for each in summary.quarantined[:LINES_SHOWN]:
            yield f"  {_named(each.test, each.variant)}"
            yield f"    {each.rationale}; until {each.expires_at:%Y-%m-%d}"
        yield from _more(len(summary.quarantined))
    else:
        yield "Quarantined: nothing"
    yield ""
    yield f"Exports for CI: {out}"
    if faults:
        yield ""
        yield "Not everything worked:"
        for fault in faults:
            yield f"  {fault}"


def _findings(title: str, findings: list[Finding], summary: Summary) -> Iterator[str]:
    if not findings:
        return
    yield ""
    yield f"{title}: {summary.by_status.get(title.lower(), 0)}"
    for each in findings[:LINES_SHOWN]:
        yield f"  {_named(each.test, each.variant)}"
        if each.status == "flaky":
            yield (
                f"    fails {each.flake_rate:.1%} of executions on good code (90 %: {each.flake_rate_low:.1%} to "
                f"{each.flake_rate_high:.1%}); passed and failed on the same commit "
                f"{_times(each.same_commit_flips)}"
            )
        else:
            yield f"    fails throughout on the default branch's newest commits ({each.failures} of {each.executions})"
    yield from _more(summary.by_status.get(title.lower(), 0))


def _more(count: int) -> Iterator[str]:
    if count > LINES_SHOWN:
        yield f"  ... and {count - LINES_SHOWN} more"


def _named(test: str, variant: str) -> str:
    shown = test if len(test) <= NAME_CHARACTERS else "…" + test[-NAME_CHARACTERS + 1 :]
    return f"{shown} [{variant}]" if variant else shown


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
