"""Where a simulated history's files are faulty: reports cut short, artifacts damaged, a run going on."""

from dataclasses import replace

from flakeguard_pipeline.domain.model import Job, RunStatus
from flakeguard_pipeline.simulator.model import Imperfection, ImperfectionKind, SimulatedRun, SimulatedTest

_PLACES = (
    (ImperfectionKind.TRUNCATED_REPORT, 1, 0),
    (ImperfectionKind.EMPTY_REPORT, 2, -1),
    (ImperfectionKind.NOT_A_ZIP, 4, -1),
)
"""(kind, fifth of the history, variant). The third belongs to the regression, which is to be seen whole."""


def plan_imperfections(
    runs: tuple[SimulatedRun, ...], tests: tuple[SimulatedTest, ...], variants: int
) -> tuple[tuple[SimulatedRun, ...], tuple[Imperfection, ...]]:
    """Return `runs` with the last one still in progress, and the faults to plant in the files.

    No fault falls on the outage, and none on the same run as another.
    """
    # the report with the most tests: a cut leaves something before it
    reports = sorted({test.report for test in tests})
    largest = max(reports, key=lambda report: sum(test.report == report for test in tests))
    faults = []
    for kind, fifth, variant in _PLACES:
        run = len(runs) * fifth // 5
        if runs[run].is_outage:
            run += 1
        report = "" if kind is ImperfectionKind.NOT_A_ZIP else largest
        faults.append(Imperfection(kind, run, variant % variants, report))
    faults.append(Imperfection(ImperfectionKind.IN_PROGRESS, len(runs) - 1, None, ""))
    return (*runs[:-1], _unfinished(runs[-1])), tuple(faults)


def _unfinished(run: SimulatedRun) -> SimulatedRun:
    """Return `run` as it looked when only the first variant and the job without tests had finished."""
    done = {run.jobs[0].job_id, run.jobs[-1].job_id}
    jobs = tuple(job if job.job_id in done else _unfinished_job(job) for job in run.jobs)
    finished = [job.completed_at for job in jobs if job.completed_at is not None]
    return replace(run, status=RunStatus.IN_PROGRESS, conclusion="", jobs=jobs, updated_at=max(finished))


def _unfinished_job(job: Job) -> Job:
    return replace(job, conclusion="", completed_at=None)
