"""How long `flakeguard run` takes when there is nothing new: the run that a schedule repeats all day.

`python -m benchmarks.idle_run` makes the simulator's default history in a temporary folder, runs the main job on it
once, then again and again, each time as a process of its own. Belongs here: measuring. benchmarks/README.md tells how
to read it.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path

from flakeguard_pipeline.simulator.drop_folder import write_drop_folder
from flakeguard_pipeline.simulator.history import SimulationParameters, simulate

GOAL_SECONDS = 10.0
"""What an idle run may take on a laptop."""

RUNS = 5
PACKAGES_SHOWN = 12
NEVER_IMPORTED = ("dbt", "great_expectations")
"""What an idle run has no use for, and would wait for longest."""

COMMAND = "import sys; sys.argv[0] = 'flakeguard'; from flakeguard_pipeline.cli import main; main()"

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


@dataclass(frozen=True)
class Timed:
    """A command that has ended: its wall time, its lines on standard error, each with the second it came at."""

    seconds: float
    lines: tuple[tuple[float, str], ...]


def run_timed(folder: Path, as_of: datetime, *options: str) -> Timed:
    """Run the main job as a process of its own."""
    command = [sys.executable, *options, "-c", COMMAND, "run", "--drop", "drop", "--as-of", as_of.isoformat()]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
    lines: list[tuple[float, str]] = []
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines.extend((time.perf_counter() - started, line.rstrip("\n")) for line in process.stderr)
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        sys.exit("\n".join([f"the run ended with status {process.returncode}:", *(line for _, line in lines)]))
    return Timed(seconds, tuple(lines))


def stages(timed: Timed) -> list[tuple[str, float]]:
    """Return how long each stage took, from the moments at which the command said that it began."""
    marks = [(0.0, "Starting, until the work begins"), *timed.lines]
    ends = [*(at for at, _ in marks[1:]), timed.seconds]
    return [(name, end - at) for (at, name), end in zip(marks, ends, strict=True)]


def imports(timed: Timed) -> dict[str, float]:
    """Return seconds of importing by top-level package, longest first, each without what it imports in turn."""
    micros: Counter[str] = Counter()
    for _, line in timed.lines:
        if found := _IMPORT.match(line):
            micros[found[3].partition(".")[0]] += int(found[1])
    return {name: count / 1e6 for name, count in micros.most_common()}


def show(title: str, rows: list[tuple[str, float]]) -> None:
    """Print a table of names and seconds."""
    print(f"\n{title}")
    for name, seconds in rows:
        print(f"  {seconds:7.3f} s  {name}")


def measure(folder: Path, runs: int) -> bool:
    """Measure in `folder`, print what was found and say whether the goal was met."""
    parameters = SimulationParameters()
    write_drop_folder(simulate(parameters), folder / "drop")
    as_of = datetime.combine(parameters.start + timedelta(days=parameters.days), clock(), tzinfo=UTC)
    first = run_timed(folder, as_of)
    attempts = sum(1 for _ in (folder / "drop").rglob("run.json"))
    print(f"{attempts} run attempts; Python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    print(f"\nFirst run: {first.seconds:.2f} s")

    idle = [run_timed(folder, as_of) for _ in range(runs)]
    seconds = [each.seconds for each in idle]
    median = statistics.median(seconds)
    is_met = median <= GOAL_SECONDS
    print(
        f"Idle runs ({runs}): median {median:.2f} s, min {min(seconds):.2f} s, max {max(seconds):.2f} s; "
        f"goal {GOAL_SECONDS:.0f} s: {'met' if is_met else 'MISSED'}"
    )

    typical = min(idle, key=lambda each: abs(each.seconds - median))
    show("Stages of the idle run nearest to the median", stages(typical))

    by_package = imports(run_timed(folder, as_of, "-X", "importtime"))
    total = sum(by_package.values())
    show(f"Imports ({total:.2f} s together, measuring included)", list(by_package.items())[:PACKAGES_SHOWN])
    needless = sorted(by_package.keys() & set(NEVER_IMPORTED))
    print(
        f"\nImported though needless: {', '.join(needless) if needless else 'neither ' + ' nor '.join(NEVER_IMPORTED)}"
    )
    return is_met and not needless


def main() -> None:
    parser = argparse.ArgumentParser(description="How long `flakeguard run` takes when there is nothing new.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"idle runs to time (default: {RUNS})")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flakeguard-benchmark-") as folder:
        sys.exit(0 if measure(Path(folder), max(arguments.runs, 1)) else 1)


if __name__ == "__main__":
    main()
