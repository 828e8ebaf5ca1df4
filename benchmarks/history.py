"""What one more day costs beside a month of history and beside a year, and how quickly questions are answered then.

`python -m benchmarks.history FOLDER` simulates a year of CI (100 million executions, 200,000 test variants) straight
into a DuckDB warehouse in FOLDER, some 10 GB, and rolls it up month by month; after each month it measures one more
day. That takes an hour or more, and goes on where it was stopped. `--months` ends it earlier, `--score` scores what is
there, `--questions` asks the documented questions of it, and `--more-days` measures further days. Belongs here:
measuring. benchmarks/README.md tells how to read it.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.simulated_year import FIRST_DAY, Repository, Rows, Scale, load_rows, midnight, repositories, rows_of_day
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade

DAYS_A_MONTH = 30
ROUNDS = 5
GOAL_RATIO = 1.3
GOAL_MB = 3_000
GOAL_MS = 100


class Place:
    """A folder with the warehouse, and what was measured on it so far."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.warehouse = Warehouse(str(folder / "warehouse.duckdb"))
        self._log = folder / "measured.json"
        self.measured: list[dict[str, Any]] = json.loads(self._log.read_text()) if self._log.exists() else []

    def note(self, entry: dict[str, Any]) -> None:
        """Keep what was measured."""
        self.measured.append(entry)
        self._log.write_text(json.dumps(self.measured, indent=1))

    def last_day(self) -> date | None:
        """Return the last UTC day that was loaded."""
        with self.warehouse.connect() as connection:
            moment: datetime | None = connection.value("select max(run_started_at) from core.run_attempt")
        return moment.date() if moment else None


ROLL_UPS = ("--exclude", "tag:scores")
MARTS = ("--select", "tag:scores")


def build(place: Place, *chosen: str) -> tuple[float, float, int, dict[str, float]]:
    """Build the chosen models; return seconds in all, seconds of the models, peak memory in MB, seconds by model."""
    from assets.dbt_project import DBT_EXECUTABLE
    from flakeguard_pipeline.bundled import bundled

    target = place.folder / "target"
    told = {"workflow_label": "auto", "tested_rows": "changed", "duckdb_path": str(place.warehouse.path.absolute())}
    project = str(bundled("dbt"))
    command = [DBT_EXECUTABLE, "--quiet", "build", "--project-dir", project, "--profiles-dir", project]
    command += [*chosen, "--exclude-resource-type", "unit_test", "--vars", json.dumps(told)]
    command += ["--target-path", str(target), "--log-path", str(target)]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit("dbt failed; see above")
    results = json.loads((target / "run_results.json").read_text())["results"]
    by_model = {each["unique_id"]: round(each["execution_time"], 3) for each in results}
    return seconds, sum(by_model.values()), used.ru_maxrss // 1024, by_model


def _load(url: str, attempts: list[Rows], pipe: Any) -> None:
    started = time.perf_counter()
    count = load_rows(Warehouse(url), attempts)
    seconds = time.perf_counter() - started
    pipe.send((count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def one_more_day(place: Place, members: list[Repository], day: date, history: int) -> None:
    """Load and roll up a day, each in a process of its own, and note what it took."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    arguments = (place.warehouse.url, rows_of_day(members, day), sender)
    process = multiprocessing.get_context("spawn").Process(target=_load, args=arguments)
    process.start()
    sender.close()
    count, load_seconds, load_mb = receiver.recv()
    process.join()
    build_seconds, model_seconds, build_mb, by_model = build(place, *ROLL_UPS)
    slowest = sorted(by_model.items(), key=lambda each: -each[1])[:6]
    place.note(
        {
            "day": day.isoformat(),
            "history": history,
            "executions": count,
            "load_seconds": round(load_seconds, 2),
            "build_seconds": round(build_seconds, 2),
            "model_seconds": round(model_seconds, 2),
            "load_mb": load_mb,
            "build_mb": build_mb,
            "slowest": slowest,
        }
    )
    print(
        f"{history:>11,} executions of history: one day of {count:,} is loaded in {load_seconds:.1f} s and rolled up "
        f"in {build_seconds:.1f} s, of which {model_seconds:.1f} s in the warehouse; {load_mb} and {build_mb} MB",
        flush=True,
    )
    print("            " + ", ".join(f"{name.split('.')[2]} {seconds:.1f}" for name, seconds in slowest), flush=True)


def executions(place: Place) -> int:
    with place.warehouse.connect() as connection:
        return int(connection.value("select coalesce(sum(executions), 0)::bigint from core.report"))


def months(place: Place, scale: Scale, number: int) -> None:
    upgrade(place.warehouse)
    members = list(repositories(scale))
    for month in range(number):
        last = place.last_day()
        end = FIRST_DAY + timedelta(days=(month + 1) * DAYS_A_MONTH)
        if last is not None and last >= end:
            continue
        first = max(FIRST_DAY + timedelta(days=month * DAYS_A_MONTH), (last or FIRST_DAY) + timedelta(days=1))
        started = time.perf_counter()
        for day in _days(first, end):
            load_rows(place.warehouse, rows_of_day(members, day))
        loaded = time.perf_counter() - started
        seconds, *_ = build(place, *ROLL_UPS)
        print(f"month {month + 1}: written in {loaded:.0f} s, rolled up in {seconds:.0f} s", flush=True)
        # the second is measured: the first brings caches and the file into their usual state
        one_more_day(place, members, end, executions(place))


def more_days(place: Place, scale: Scale, number: int) -> None:
    """Measure further days on what is there, such as on a quiet machine."""
    members = list(repositories(scale))
    for _ in range(number):
        last = place.last_day()
        assert last is not None
        one_more_day(place, members, last + timedelta(days=1), executions(place))


def _days(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += timedelta(days=1)


def score(place: Place) -> None:
    """Score every repository, and build the marts that show scores."""
    from flakeguard_pipeline.operations.repositories import repositories as known
    from flakeguard_pipeline.operations.scoring import score_repository
    from flakeguard_pipeline.stats.parameters import ScoringParameters

    last = place.last_day()
    assert last is not None
    as_of = midnight(last) + timedelta(days=1)
    for each in known(place.warehouse):
        started = time.perf_counter()
        score_repository(place.warehouse, each, as_of=as_of, parameters=ScoringParameters())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"scored {each.full_name} in {time.perf_counter() - started:.1f} s; {peak} MB so far", flush=True)
    build(place, *MARTS)


def questions(place: Place) -> None:
    """Ask every documented question with its defaults, and with examples where a value is required."""
    from flakeguard_pipeline.warehouse.questions import questions as known

    slow = 0
    with place.warehouse.connect() as connection:
        moment = connection.value("select max(updated_at) from core.run_attempt")
        pull_request = connection.value("select coalesce(max(pr_number), 1) from core.run_attempt")
        run_id = connection.value("select max(run_id) from core.run_attempt where conclusion = 'failure'")
        message = connection.value("select max(failure_message) from core.test_execution where failure_message <> ''")
        examples = {
            "run_id": run_id,
            "pull_request": str(pull_request),
            "message": message,
            "as_of": moment.isoformat(),
            "since": moment.date().isoformat(),
        }
        for each in known():
            told = {}
            for parameter in each.parameters:
                text = parameter.default if parameter.default is not None else examples.get(parameter.name, "")
                told[parameter.name] = parameter.value_of(examples.get(parameter.name, text))
            times = []
            for _ in range(ROUNDS + 1):
                started = time.perf_counter()
                rows = connection.read(each.sql, told).height
                times.append(time.perf_counter() - started)
            median = statistics.median(times[1:]) * 1000
            slow += median > GOAL_MS
            print(
                f"  {each.name:26} {median:9.1f} ms  {rows:6} rows{'  above the goal' * (median > GOAL_MS)}", flush=True
            )
    print(f"{slow} questions take more than {GOAL_MS} ms")


def verdict(place: Place) -> None:
    """Say how the last measured day compares with the first."""
    first, last = place.measured[0], place.measured[-1]
    for part in ("load_seconds", "model_seconds", "build_seconds"):
        print(f"  {part:14} {first[part]:7.2f} -> {last[part]:7.2f}: times {last[part] / first[part]:.2f}")
    whole = [each["load_seconds"] + each["build_seconds"] for each in (first, last)]
    print(
        f"  one more day with {last['history']:,} executions of history costs {whole[1] / whole[0]:.2f} times what it"
    )
    print(f"  costs with {first['history']:,} (goal: {GOAL_RATIO})")
    print(f"  peak memory {max(last['load_mb'], last['build_mb'])} MB (goal: {GOAL_MB})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--repositories", type=int, default=Scale.repositories)
    parser.add_argument("--tests", type=int, default=Scale.tests)
    parser.add_argument("--more-days", type=int, help="measure as many further days on what is there")
    parser.add_argument("--score", action="store_true", help="score what is there, which the questions show")
    parser.add_argument("--questions", action="store_true", help="ask what is there, and load nothing")
    options = parser.parse_args()
    place = Place(options.folder)
    if options.score:
        score(place)
    if options.questions:
        questions(place)
    scale = Scale(options.repositories, options.tests)
    if options.more_days:
        more_days(place, scale, options.more_days)
    if not options.score and not options.questions and not options.more_days:
        months(place, scale, options.months)
        verdict(place)


if __name__ == "__main__":
    main()
