"""Reports of any size, written quickly, and a process of its own that reads one and says what memory it took.

python -m tests.support.large_reports FILE
"""

import json
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random
from typing import BinaryIO

from flakeguard_pipeline.ingest.archives import Member, members
from flakeguard_pipeline.parsing.reports import ReportSource, ReportsReading

BLOCK_BYTES = 1024**2
CASES_A_BLOCK = 2_000
STATUS = Path("/proc/self/status")
"""Where Linux tells a process its memory; `ru_maxrss` is inherited from the process that started this one."""


def cases(size: int) -> Iterator[bytes]:
    """Yield about `size` bytes of test cases; each 50th fails, and most wrote something."""
    lines = Random(0).randbytes(BLOCK_BYTES).hex()
    yield b'<?xml version="1.0"?>\n<testsuites><testsuite name="shop" timestamp="2026-03-02T09:29:00">\n'
    written = number = 0
    while written < size:
        block = []
        for _ in range(CASES_A_BLOCK):
            number += 1
            at = number * 97 % BLOCK_BYTES
            failure = f'<failure message="boom {number}">{lines[at : at + 1500]}</failure>' if number % 50 == 0 else ""
            block.append(
                f'<testcase classname="com.example.shop.Test{number % 997}" name="case{number}" time="0.012">{failure}'
                f"<system-out>{lines[at : at + 400]}</system-out></testcase>\n"
            )
        data = "".join(block).encode()
        written += len(data)
        yield data
    yield b"</testsuite></testsuites>\n"


def one_text(size: int) -> Iterator[bytes]:
    """Yield a report with one failed test case that holds a CDATA section of `size` bytes."""
    text = Random(0).randbytes(BLOCK_BYTES // 2).hex()
    block = "\n".join(text[at : at + 99] for at in range(0, len(text), 99)).encode()
    yield b'<testsuites><testsuite name="shop"><testcase name="a"/><testcase name="loud"><failure><![CDATA['
    for _ in range(size // len(block) + 1):
        yield block
    yield b']]></failure></testcase><testcase name="z"/></testsuite></testsuites>'


def failures_of_pytest(size: int) -> Iterator[bytes]:
    """Yield a report in pytest's dialect in which every test case failed at length."""
    lines = Random(0).randbytes(BLOCK_BYTES).hex()
    yield b'<testsuites><testsuite name="pytest">'
    for number in range(size // 48_000 + 1):
        at = number * 97 % BLOCK_BYTES
        name, text, output = lines[at : at + 8_000], lines[at : at + 20_000], lines[at : at + 10_000]
        yield (
            f'<testcase classname="{number}{name}" name="test_{number}{name}"><failure message="boom">{text}</failure>'
            f"<system-out>{output}</system-out></testcase>"
        ).encode()
    yield b"</testsuite></testsuites>"


def attempts(size: int) -> Iterator[bytes]:
    """Yield a report of one test case that was retried without an end."""
    block = b"<rerunFailure message='again'><stackTrace>at test</stackTrace></rerunFailure>" * 10_000
    yield b'<testsuites><testsuite name="shop"><testcase name="a"><failure/>'
    for _ in range(size // len(block) + 1):
        yield block
    yield b"</testcase></testsuite></testsuites>"


def teardowns(size: int) -> Iterator[bytes]:
    """Yield a report of pytest's in which the clean-up of one test case failed without an end."""
    block = b"<testcase name='a'><error message='failed on teardown'>at test</error></testcase>" * 10_000
    yield b'<testsuites><testsuite name="pytest"><testcase name="a"><failure/></testcase>'
    for _ in range(size // len(block) + 1):
        yield block
    yield b"</testsuite></testsuites>"


def write(file: Path, data: Iterator[bytes], *, is_zipped: bool) -> None:
    """Write a report to `file`, as a member of an archive if wanted."""
    if not is_zipped:
        with file.open("wb") as stream:
            stream.writelines(data)
        return
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("report.xml", "w", force_zip64=True) as entry,
    ):
        for block in data:
            entry.write(block)


def megabytes(field: str) -> int:
    """Return a field of this process' status: VmRSS is what it holds, VmHWM the most that it held."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) // 1024


def read(sources: Iterator[ReportSource]) -> tuple[int, list[str]]:
    """Read reports and drop their executions as they come; return how many there were, and what was wrong."""
    count, issues = 0, []
    for source in sources:
        reading = ReportsReading([source])
        for frame in reading.frames():
            count += frame.height
        issues += [f"{issue.code} {issue.detail}" for issue in reading.outcomes[0].issues]
    return count, issues


def sources(file: Path, stream: BinaryIO) -> Iterator[ReportSource]:
    """Yield the report in `file`, or those of the archive that it is, as a load reads them."""
    if file.suffix != ".zip":
        open_file: partial[AbstractContextManager[BinaryIO]] = partial(Path.open, file, "rb")  # type: ignore[arg-type]
        yield ReportSource(file.stat().st_size, None, open_file)
        return
    for member in members(stream, file.name):
        yield _source(member)


def _source(member: Member) -> ReportSource:
    if member.refusal is not None:
        raise ValueError(f"{member.path}: {member.refusal} {member.detail}")
    return ReportSource(member.size_bytes, None if member.opener else member.data, member.opener)


def main() -> None:
    """Read the report that the command line names; print what it took as JSON."""
    file = Path(sys.argv[1])
    before = megabytes("VmRSS")
    started = time.perf_counter()
    with file.open("rb") as stream:
        count, issues = read(sources(file, stream))
    seconds = round(time.perf_counter() - started, 1)
    found = {"count": count, "issues": issues, "before": before, "peak": megabytes("VmHWM"), "seconds": seconds}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
