"""Writes a simulated history as a drop folder: what a CI job, mirror or archive would have left there.

    <path>/<owner>/<name>/YYYY/MM/DD/<run id>-<attempt>/run.json
                                                        job.json
                                                        test-results-<variant>.zip

The bytes depend on the history alone. A run's folder appears whole or not at all, so that a killed writer can
simply be started again.
"""

import io
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path

from flakeguard_pipeline.simulator.catalogue import JAVA_CLASS, JAVA_REPORT
from flakeguard_pipeline.simulator.messages import Failure, failure_of
from flakeguard_pipeline.simulator.model import OUTCOMES, Cause, ImperfectionKind, SimulatedHistory
from flakeguard_pipeline.simulator.provider_json import job_json, run_json
from flakeguard_pipeline.simulator.random_streams import hex_digits
from flakeguard_pipeline.simulator.reports import ReportedCase, pytest_report, surefire_report

ARTIFACT_PREFIX = "test-results-"

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_ZIP_UNIX = 3
_ZIP_MODE = 0o100644 << 16
_NOT_A_ZIP = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n"
"""What a download that nobody checked leaves behind."""


def write_drop_folder(history: SimulatedHistory, path: Path) -> None:
    """Write `history` below `path`.

    Folders of its runs that are there already and hold the same bytes are left alone; others are replaced.
    Nothing else below `path` is touched.
    """
    for index, run in enumerate(history.runs):
        day = path / history.parameters.full_name / run.run_started_at.strftime("%Y/%m/%d")
        _write_folder(day, f"{run.run_id}-{run.run_attempt}", run_files(history, index))


def run_files(history: SimulatedHistory, index: int) -> dict[str, bytes]:
    """Return the files of the `index`-th run's folder by name, planted imperfections included."""
    run = history.runs[index]
    files = {"run.json": run_json(run, history.parameters), "job.json": job_json(run, history.parameters)}
    for place, variant in enumerate(history.parameters.variants):
        if run.jobs[place].completed_at is None:
            continue
        planted = {
            fault.kind: fault.report for fault in history.imperfections if fault.run == index and fault.variant == place
        }
        if ImperfectionKind.NOT_A_ZIP in planted:
            data = _NOT_A_ZIP
        else:
            reports = {name: text.encode() for name, text in _reports(history, index, place).items()}
            for kind, name in planted.items():
                keep = len(reports[name]) * 6 // 10 if kind is ImperfectionKind.TRUNCATED_REPORT else 0
                reports[name] = reports[name][:keep]
            data = _zip(reports)
        files[f"{ARTIFACT_PREFIX}{variant}.zip"] = data
    return files


def _reports(history: SimulatedHistory, index: int, place: int) -> dict[str, str]:
    run = history.runs[index]
    outcomes = history.outcomes[index, place].tolist()
    durations = history.durations_us[index, place].tolist()
    cases: dict[str, list[ReportedCase]] = {}
    for number, test in enumerate(history.tests):
        failures = _failures(history, index, place, number) if history.failed_tries[index, place, number] else ()
        case = ReportedCase(test, OUTCOMES[outcomes[number]], durations[number], failures)
        cases.setdefault(test.report, []).append(case)
    started_at = (run.jobs[place].started_at or run.run_started_at) + timedelta(seconds=38, microseconds=417_209)
    hostname = f"runner-{history.parameters.variants[place]}"
    return {
        name: surefire_report(group, JAVA_CLASS) if name == JAVA_REPORT else pytest_report(group, started_at, hostname)
        for name, group in cases.items()
    }


def _failures(history: SimulatedHistory, index: int, place: int, number: int) -> tuple[Failure, ...]:
    run = history.runs[index]
    cause = Cause(int(history.causes[index, place, number]))
    seed = history.parameters.seed
    return tuple(
        failure_of(
            history.tests[number],
            number,
            cause,
            hex_digits(seed, run.run_id, run.run_attempt, "failure", place, number, nth),
        )
        for nth in range(int(history.failed_tries[index, place, number]))
    )


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # stored, not deflated: the bytes that deflate yields depend on the version of zlib
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=_ZIP_TIME)
            info.create_system = _ZIP_UNIX
            info.external_attr = _ZIP_MODE
            archive.writestr(info, members[name])
    return buffer.getvalue()


def _write_folder(day: Path, name: str, files: dict[str, bytes]) -> None:
    target = day / name
    unfinished = day / f".{name}.unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    if target.exists():
        if _holds(target, files):
            return
        shutil.rmtree(target)
    unfinished.mkdir(parents=True)
    for file_name, data in files.items():
        (unfinished / file_name).write_bytes(data)
    unfinished.rename(target)


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    return {entry.name for entry in folder.iterdir()} == files.keys() and all(
        (folder / name).read_bytes() == data for name, data in files.items()
    )
