"""How fast reports are read, beside other readers, on the same bytes in the same run.

`python -m benchmarks.reports` measures on one core, then with two workers; `--large` adds the memory that a report of
one gigabyte takes. Belongs here: measuring. benchmarks/README.md tells how to read it and what the goals are.
"""

import argparse
import gc
import io
import os
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CASES = 300_000
FILES = 3_000
SEED = 20_260_302
ROUNDS = 7
DATA_VARIABLE = "FLAKEGUARD_TEST_DATA"
"""Where the archive of Apache Ozone's reports lies; without it they are left out."""

OZONE = "ozone-2020-2021.tar.xz"
LARGE_BYTES = 1 << 30
MEMORY_GOAL_MB = 300

STACK = """def test_create(client):
        response = client.post("/items", json={{"name": "x"}})
&gt;       assert response.status_code == 201
E       assert 500 == 201
E        +  where 500 = &lt;Response [500]&gt;.status_code

tests/test_api.py:{line}: AssertionError"""

XML2ARROW_SUITES = """
  - name: suites
    xml_path: /testsuites
    levels: [suite]
    fields: []
"""
XML2ARROW = """
tables:{suites}
  - name: cases
    xml_path: {root}/testsuite
    levels: [{levels}]
    fields:
"""
XML2ARROW_FIELDS = (
    *(f"@{name}" for name in ("name", "classname", "time", "file", "line", "status", "timestamp")),
    *(f"{kind}{part}" for kind in ("failure", "error", "skipped") for part in ("/@message", "/@type", "")),
)
"""What FlakeGuard reads of a test case, too, as far as one pass can tell it."""


# -- reports -------------------------------------------------------------------------------------------------------


def report(cases: int, seed: int) -> bytes:
    """Return a report in pytest's shape: 2 % of the tests fail, 3 % are skipped, the rest are one element each."""
    chance = random.Random(seed)
    out = io.StringIO()
    out.write('<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="0" failures="1" ')
    out.write(f'skipped="2" tests="{cases}" time="3.4" timestamp="2026-03-02T09:00:00.123456" hostname="runner-1">')
    for number in range(cases):
        out.write(f'<testcase classname="tests.unit.test_module_{number // 40 % 400}.TestThing{number // 10 % 9}" ')
        out.write(f'name="test_behaviour_{number}[param-{number % 7}]" time="{chance.random() * 2:.3f}"')
        kind = chance.random()
        if kind < 0.02:
            text = STACK.format(line=number)
            out.write(f'><failure message="AssertionError: assert 500 == 201">{text}</failure></testcase>')
        elif kind < 0.05:
            out.write(f'><skipped type="pytest.skip" message="slow">tests/x.py:{number}: slow</skipped></testcase>')
        else:
            out.write(" />" if number % 3 else "></testcase>")
        out.write("\n")
    out.write("</testsuite></testsuites>")
    return out.getvalue().encode()


def ozone() -> list[bytes]:
    """Return the reports of Apache Ozone's CI, nothing where they are not at hand."""
    archive = Path(os.environ.get(DATA_VARIABLE, "")) / OZONE
    if not os.environ.get(DATA_VARIABLE) or not archive.exists():
        return []
    with tarfile.open(archive) as members:
        return [members.extractfile(one).read() for one in members if one.name.endswith(".xml")]  # type: ignore[union-attr]


# -- readers -------------------------------------------------------------------------------------------------------


def flakeguard(reports: Sequence[bytes], pool: Any) -> int:
    from flakeguard_pipeline.parsing.reports import ReportSource, ReportsReading

    reading = ReportsReading([ReportSource(len(data), data, None) for data in reports], pool)
    return sum(frame.height for frame in reading.frames())


def test_results_parser(reports: Sequence[bytes]) -> int:
    from test_results_parser import parse_junit_xml

    return sum(len(parse_junit_xml(data).testruns) for data in reports)


def junitparser(reports: Sequence[bytes]) -> int:
    from junitparser import JUnitXml

    count = 0
    for data in reports:
        document = JUnitXml.fromstring(data)
        suites = [document] if document._tag == "testsuite" else document
        for suite in suites:
            for case in suite:
                count += bool((case.name, case.classname, case.time, case.result))
    return count


def xml2arrow(reports: Sequence[bytes], folder: Path, root: str) -> Callable[[], int]:
    import polars as pl
    from xml2arrow import XmlToArrowParser

    fields = "".join(
        f"      - {{name: f{number}, xml_path: {root}/testsuite/testcase/{path}, data_type: Utf8, nullable: true}}\n"
        for number, path in enumerate(XML2ARROW_FIELDS)
    )
    declared = folder / "cases.yml"
    levels, suites = ("suite, case", XML2ARROW_SUITES) if root else ("case", "")
    declared.write_text(XML2ARROW.format(root=root, suites=suites, levels=levels) + fields)
    parser = XmlToArrowParser(declared)
    return lambda: sum(pl.from_arrow(parser.parse(data)["cases"]).height for data in reports)  # type: ignore[union-attr]


# -- measuring -----------------------------------------------------------------------------------------------------


def measure(contenders: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each; they take turns, so that a busy moment hits all alike."""
    # what the imports have left is nobody's garbage: one look through all of it takes as long as reading 200 MB
    gc.collect()
    gc.freeze()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def show(title: str, medians: dict[str, float], cases: int, size: int) -> None:
    print(f"\n{title}")
    own = medians["FlakeGuard"]
    for name, seconds in medians.items():
        ratio = "" if name == "FlakeGuard" else f"   FlakeGuard is {seconds / own:.2f} times as fast"
        print(f"  {name:22} {seconds * 1000:9.1f} ms {cases / seconds / 1000:9,.0f} k cases/s{ratio}")
    print(f"  ({cases:,} cases, {size / 1e6:.0f} MB)")


def compare(workers: int, rounds: int) -> None:
    """Measure in this process, which has as many cores as there are workers."""
    from concurrent.futures import ThreadPoolExecutor

    big = [report(CASES, SEED)]
    many = [report(CASES // FILES, SEED + number) for number in range(FILES)]
    with ThreadPoolExecutor(1) if workers > 1 else nullcontext() as pool, tempfile.TemporaryDirectory() as scratch:
        for title, reports in (("One report of 300,000 cases", big), ("3,000 reports of 100 cases", many)):
            contenders: dict[str, Callable[[], int]] = {
                "FlakeGuard": lambda reports=reports: flakeguard(reports, pool),  # type: ignore[misc]
                "test-results-parser": lambda reports=reports: test_results_parser(reports),  # type: ignore[misc]
                "xml2arrow, one pass": xml2arrow(reports, Path(scratch), "/testsuites"),
            }
            if workers == 1:
                contenders["junitparser"] = lambda reports=reports: junitparser(reports)  # type: ignore[misc]
            counts = {name: run() for name, run in contenders.items()}
            assert set(counts.values()) == {CASES}, counts
            show(title, measure(contenders, rounds), CASES, sum(map(len, reports)))
        real = ozone()
        if real:
            contenders = {
                "FlakeGuard": lambda: flakeguard(real, pool),
                "xml2arrow, one pass": xml2arrow(real, Path(scratch), ""),
            }
            count = contenders["FlakeGuard"]()
            show("Apache Ozone's reports", measure(contenders, max(3, rounds // 2)), count, sum(map(len, real)))
        else:
            print(f"\nApache Ozone's reports were left out: {DATA_VARIABLE} names no folder with {OZONE}")
        load(big + many, pool, Path(scratch), max(3, rounds // 2))


def load(reports: list[bytes], pool: Any, scratch: Path, rounds: int) -> None:
    """Measure from a zip archive in the landing zone to committed rows, beside the reading that this must contain."""
    import json

    from flakeguard_pipeline.domain.model import ReportContext
    from flakeguard_pipeline.ingest.landing import find_pending, land
    from flakeguard_pipeline.ingest.loading import attempts_to_load, load_attempts
    from flakeguard_pipeline.landing.zone import LandingZone
    from flakeguard_pipeline.normalize.frames import executions_frame
    from flakeguard_pipeline.parsing.reports import ReportSource, ReportsReading
    from flakeguard_pipeline.providers.drop_folder import DropFolder
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse
    from flakeguard_pipeline.warehouse.migrate import upgrade

    drop = scratch / "drop" / "1"
    drop.mkdir(parents=True)
    moment = "2026-03-02T09:00:00Z"
    run = {
        "id": 1,
        "status": "completed",
        "conclusion": "success",
        "created_at": moment,
        "updated_at": moment,
        "head_sha": "a" * 40,
        "head_branch": "main",
        "repository": {"id": 1, "full_name": "acme/shop"},
    }
    (drop / "run.json").write_text(json.dumps(run))
    with zipfile.ZipFile(drop / "test-results.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(reports):
            archive.writestr(f"{number:05}.xml", data)
    context = ReportContext("o", "github", "1", "1", 1, "a", "r", "", "", datetime(2026, 3, 2, tzinfo=UTC))

    def frames(*, whole: bool) -> int:
        reading = ReportsReading([ReportSource(len(data), data, None) for data in reports], pool)
        contexts = [context] * len(reports)
        return sum((executions_frame(cases, contexts) if whole else cases).height for cases in reading.frames())

    turns: Iterator[int] = iter(range(1000))

    def rows() -> int:
        place = scratch / f"load{next(turns)}"
        settings = load_settings(
            None, {"drop": str(drop.parent), "warehouse": f"duckdb:///{place}/w.duckdb"}, environment={}
        )
        zone, warehouse = LandingZone(settings.landing), Warehouse(settings.warehouse)
        upgrade(warehouse)
        source = DropFolder(drop.parent)
        land(source, zone, find_pending(source, zone))
        wanted = attempts_to_load(settings, zone, warehouse)
        started = time.perf_counter()
        counts = load_attempts(settings, zone, warehouse, wanted)
        spent.append(time.perf_counter() - started)
        return counts.executions

    spent: list[float] = []
    medians = measure({"cases": lambda: frames(whole=False), "rows": lambda: frames(whole=True)}, rounds)
    for _ in range(rounds):
        assert rows() == 2 * CASES
    loaded = statistics.median(spent)
    print("\nFrom a zip archive to committed rows (both corpora above)")
    print(f"  bytes to cases         {medians['cases'] * 1000:9.1f} ms")
    print(f"  bytes to rows          {medians['rows'] * 1000:9.1f} ms   with identity, redaction and signatures")
    print(f"  zip to committed rows  {loaded * 1000:9.1f} ms   {loaded / medians['rows']:.2f} times bytes to rows, ")
    print(f"                                        {loaded / medians['cases']:.2f} times bytes to cases")


def memory(kind: str) -> None:
    """Read a report of one gigabyte as a stream; print the most memory that it took beyond what was there before."""
    from flakeguard_pipeline.parsing.reports import ReportSource, ReportsReading

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "large.xml"
        with path.open("wb") as out:
            out.write(b'<testsuite name="s">')
            if kind == "cases":
                block = b"".join(
                    b'<testcase classname="org.acme.Thing" name="behaves_%d" time="0.012"/>\n' % n
                    for n in range(10_000)
                )
                while out.tell() < LARGE_BYTES:
                    out.write(block)
            else:
                out.write(b'<testcase name="a"><failure>x</failure><system-out><![CDATA[')
                while out.tell() < LARGE_BYTES:
                    out.write(b"a line of a log that says nothing in particular\n" * 20_000)
                out.write(b"]]></system-out></testcase>")
            out.write(b"</testsuite>")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        reading = ReportsReading([ReportSource(path.stat().st_size, None, lambda: path.open("rb"))])
        rows = sum(frame.height for frame in reading.frames())
        seconds = time.perf_counter() - started
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"  1 GB of {kind:6} {rows:12,} cases {seconds:7.1f} s   {peak:6.0f} MB of memory (goal: {MEMORY_GOAL_MB})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--large", action="store_true", help="read reports of one gigabyte, too")
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        memory(options.memory)
        return
    if options.workers:
        compare(options.workers, options.rounds)
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    again = [sys.executable, "-m", "benchmarks.reports", "--rounds", str(options.rounds)]
    for workers in (1, 2):
        print(f"\n== {'one core' if workers == 1 else 'two workers'}", flush=True)
        pinned = ["taskset", "-c", ",".join(map(str, cores[:workers]))] if cores else []
        environment = {**os.environ, "POLARS_MAX_THREADS": str(workers)}
        subprocess.run([*pinned, *again, "--workers", str(workers)], env=environment, check=True)
    if options.large:
        print("\n== memory", flush=True)
        for kind in ("cases", "CDATA"):
            subprocess.run([*again, "--memory", kind], check=True)


if __name__ == "__main__":
    main()
