"""A fuzzer for the readers of reports: it damages real samples with some sense of their structure.

    python -m tests.fuzz.fuzz_reports --seconds 600

It prints its seed; `--seed` and `--start` repeat an input, whose bytes are written to `--keep` when it breaks a rule.
"""

import argparse
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReasonCode, ReportCase
from flakeguard_pipeline.parsing.reports import parse_report
from flakeguard_pipeline.parsing.text import MAX_ATTRIBUTE, MAX_FAILURE_TEXT, MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL
from tests.support.junit_documents import plain, well_formed
from tests.support.report_frames import assert_equal, read_alone, read_together

SAMPLES = Path(__file__).parents[1] / "fixtures" / "reports"
MAX_INPUT_BYTES = 200_000
MAX_SECONDS_AN_INPUT = 5.0
MAX_GROWTH_MB = 400
"""What the process may grow by over a whole run: inputs are small, so more is a leak or a blow-up."""

MOST_MUTATIONS = 6
MOST_SHOWN = 20
MARGIN = 200
"""Characters that a mark for what was left out may take."""

MAX_TEXT = 2 * MAX_FAILURE_TEXT + MARGIN
MAX_OUTPUT = 2 * (MAX_OUTPUT_HEAD + MAX_OUTPUT_TAIL + MARGIN)
GENERATED_ONE_IN = 4

TAG = re.compile(rb"<[^<>]*>")
ATTRIBUTE = re.compile(rb"""\s[\w:.-]+\s*=\s*("[^"]*"|'[^']*')""")
NAME = re.compile(rb"</?([\w:.-]+)")
NAMES = tuple(
    b"testsuites testsuite testcase testrun failure error skipped system-out system-err properties property stackTrace "
    b"flakyFailure flakyError rerunFailure rerunError TestRun Results UnitTestResult InnerResults Output ErrorInfo "
    b"Message StackTrace test-run test-suite test-case test-results results assemblies assembly collection test reason "
    b"x:testcase report reports".split()
)
ATTRIBUTES = tuple(
    b"name classname class file line time timestamp status message type result outcome duration id value fullname "
    b"label site x:name xmlns xmlns:x test-framework run-date testName".split()
)
VALUES = (
    b"",
    b" ",
    b"pytest",
    b"invocations",
    b"9999999999999999999999",
    b"-1",
    b"NaN",
    b"1e400",
    b"1,000",
    b"PT1S",
    b"00:00:01",
    b"2024-01-01T00:00:00Z",
    b"0001-01-01T00:00:00+14:00",
    b"Failed",
    b"skipped",
    b"&#13;&#10;",
    b"&#x1F600;",
    b"&lt;&amp;",
    b"<",
    b"&",
    b"&#0;",
    b"&nbsp;",
    b"\xc3\xa9",
    b"\xe9",
    b"\xed\xa0\x80",
    b"\x00",
    b"\x0b",
    b"\r",
    b"\t\n",
    b"\xef\xbf\xbe",
    b"\xc2\x85",
    b"n" * 10_001,
)
INSERTIONS = (
    b"<",
    b">",
    b"/>",
    b"&",
    b"'",
    b'"',
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"--",
    b"<?p",
    b"?>",
    b"<!DOCTYPE testsuites>",
    b"<!DOCTYPE t [<!ENTITY a 'b'>]>",
    b'<?xml version="1.0"?>',
    b"</testsuite>",
    b"</testcase>",
    b"<testcase/>",
    b"<testcase name='a'/>",
    b"<testcase name='a'><failure/></testcase>",
    b"<testcase name='a'><rerunFailure/><flakyFailure/></testcase>",
    b"<testsuite>",
    b"<failure/>",
    b"<skipped/>",
    b"<properties><property name='invocations' value='3'/></properties>",
    b"<system-out>o</system-out>",
    b"</report>",
    b"</reports>",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"x" * 9_000,
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "cp1252", "shift_jis")
DECLARED = (b"UTF-8", b"UTF-16", b"ISO-8859-1", b"Shift_JIS", b"windows-1252", b"US-ASCII", b"x-none", b"UTF-7", b"")

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


class BrokenRuleError(AssertionError):
    """An input that was read against a rule."""


@dataclass
class Findings:
    """What a run has found: how many inputs were of which sort, and those that broke a rule, by the rule."""

    inputs: int = 0
    slowest: float = 0.0
    growth_mb: int = 0
    sorts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)


# mutations


def _cut(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] if random.randrange(3) else data[at:]


def _flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(1 + random.randrange(4)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _insert(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(INSERTIONS) + data[at:]


def _insert_between_tags(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tag = _one(random, TAG, data)
    return data if tag is None else data[: tag.end()] + random.choice(INSERTIONS) + data[tag.end() :]


def _remove(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.randrange(40) :]


def _remove_tag(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tag = _one(random, TAG, data)
    return data if tag is None else data[: tag.start()] + data[tag.end() :]


def _rename(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tag = _one(random, NAME, data)
    if tag is None:
        return data
    new = random.choice(NAMES)
    if random.randrange(2):
        # opening and closing tags alike, so that the document stays what it was: well-formed
        return re.sub(rb"(</?)" + re.escape(tag[1]) + rb"(?=[\s/>])", lambda found: found[1] + new, data)
    return data[: tag.start(1)] + new + data[tag.end(1) :]


def _repeat_part(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tags = list(TAG.finditer(data))
    if len(tags) < 2:
        return data
    first, last = sorted(random.sample(range(len(tags)), 2))
    part = data[tags[first].start() : tags[min(last, first + 8)].end()]
    return data[: tags[first].start()] + part * (1 + random.randrange(1, 12)) + data[tags[first].start() + len(part) :]


def _repeat_element(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    name = random.choice(
        (b"testcase", b"testsuite", b"failure", b"test", b"test-case", b"UnitTestResult", b"system-out")
    )
    element = _one(random, re.compile(rb"<%b(?:\s[^<>]*)?(?:/>|>.*?</%b>)" % (name, name), re.DOTALL), data)
    if element is None:
        return data
    return data[: element.end()] + element[0] * random.randrange(1, 4) + data[element.end() :]


def _swap(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tags = list(TAG.finditer(data))
    if len(tags) < 2:
        return data
    one, two = sorted(random.sample(tags, 2), key=lambda tag: tag.start())
    return data[: one.start()] + two[0] + data[one.end() : two.start()] + one[0] + data[two.end() :]


def _nest(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    tag = _one(random, TAG, data)
    if tag is None:
        return data
    name, depth = random.choice(NAMES), random.choice((1, 2, 5, 98, 101, 3000))
    inner = data[tag.start() : tag.end()]
    wrapped = b"<%b>" % name * depth + inner + b"</%b>" % name * (depth if random.randrange(4) else depth - 1)
    return data[: tag.start()] + wrapped + data[tag.end() :]


def _change_attribute(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = _one(random, ATTRIBUTE, data)
    if found is None:
        return data
    quote = found[1][:1]
    return data[: found.start(1)] + quote + random.choice(VALUES) + quote + data[found.end(1) :]


def _remove_attribute(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = _one(random, ATTRIBUTE, data)
    return data if found is None else data[: found.start()] + data[found.end() :]


def _add_attribute(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = _one(random, NAME, data)
    if found is None or data[found.start() + 1 : found.start() + 2] == b"/":
        return data
    added = b' %b="%b"' % (random.choice(ATTRIBUTES), random.choice(VALUES))
    if not random.randrange(40):
        added += b"".join(b" a%d=''" % number for number in range(random.choice((10, 3000))))
    return data[: found.end()] + added + data[found.end() :]


def _splice(random: Random, data: bytes, samples: Sequence[bytes]) -> bytes:
    other = random.choice(samples)
    mine, theirs = _one(random, TAG, data), _one(random, TAG, other)
    if mine is None or theirs is None:
        return data + other
    if random.randrange(2):
        return data[: mine.start()] + other[theirs.start() :]
    end = _one(random, TAG, other[theirs.start() :])
    part = other[theirs.start() : theirs.start() + (end.end() if end else 0)]
    return data[: mine.start()] + part + data[mine.start() :]


def _declare(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    body = re.sub(rb"^\s*<\?xml[^>]*\?>", b"", data)
    return b'<?xml version="1.0" encoding="%b"?>' % random.choice(DECLARED) + body


def _encode(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data.decode("utf-8", "replace").encode(random.choice(ENCODINGS), "xmlcharrefreplace")


def _line_ends(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data.replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n")))


def _one(random: Random, pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
    found = list(pattern.finditer(data))
    return random.choice(found) if found else None


MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _flip,
    _insert,
    _insert_between_tags,
    _insert_between_tags,
    _remove,
    _remove_tag,
    _rename,
    _rename,
    _repeat_part,
    _repeat_element,
    _repeat_element,
    _swap,
    _nest,
    _change_attribute,
    _change_attribute,
    _remove_attribute,
    _add_attribute,
    _add_attribute,
    _splice,
    _declare,
    _encode,
    _line_ends,
)


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """Return a sample, or a document made up, after a few mutations."""
    if random.randrange(GENERATED_ONE_IN):
        data = random.choice(samples)
    else:
        data = (plain if random.randrange(2) else well_formed)(random)
    for _ in range(random.randrange(1, MOST_MUTATIONS)):
        data = random.choice(MUTATIONS)(random, data, samples)[:MAX_INPUT_BYTES]
    return data


# rules


def check(data: bytes) -> str:
    """Hold the reading of `data` against all rules; return what sort of input it was."""
    started = time.perf_counter()
    report = parse_report(data)
    seconds = time.perf_counter() - started
    _rule(seconds < MAX_SECONDS_AN_INPUT, f"took {seconds:.1f} s")
    _rule(parse_report(data) == report, "another result the second time")
    _rule(report.is_report or not report.cases, "test cases of what is no report")
    _rule(bool(report.dialect) == report.is_report, "a report without a dialect, or a dialect without a report")
    _rule(bool(report.cases or report.issues) or not report.is_report, "nothing read and nothing said")
    _check_cases(report)
    alone = read_alone(data)
    (together,) = read_together([data])
    try:
        assert_equal(together, alone)
    except AssertionError as error:
        raise BrokenRuleError(f"read otherwise in bulk: {str(error)[:500]}") from error
    if not report.is_report:
        return "no report"
    codes = {issue.code for issue in report.issues} - {ReasonCode.NO_TEST_CASES}
    return "/".join(sorted(codes)) or "sound"


def _check_cases(report: ParsedReport) -> None:
    _rule([case.ordinal for case in report.cases] == list(range(len(report.cases))), "ordinals with gaps")
    # failures of a test that wait for their retry, by the number of the attempt
    waiting: Counter[tuple[str, str, str, str, int]] = Counter()
    for case in report.cases:
        _check_texts(case)
        _rule(case.duration_us is None or case.duration_us >= 0, "a negative duration")
        _rule(case.started_at is None or case.started_at.utcoffset() is not None, "a time without a zone")
        _rule(case.is_final or case.outcome in {Outcome.FAILED, Outcome.ERRORED}, "a retry of what did not fail")
        _rule(case.retry_index >= 0, "a negative retry")
        test = (case.suite, case.classname, case.name, case.file)
        if case.retry_index:
            _rule(waiting[*test, case.retry_index - 1] > 0, f"retry {case.retry_index} of nothing")
            waiting[*test, case.retry_index - 1] -= 1
        if not case.is_final:
            waiting[*test, case.retry_index] += 1
    _rule(not any(waiting.values()), "a failure that is not final and has no retry")


def _check_texts(case: ReportCase) -> None:
    identity = (case.suite, case.classname, case.name, case.file)
    for text in (*identity, case.failure_type, case.failure_message, case.failure_text, case.output):
        _rule("\x00" not in text, "a NUL")
        _rule(text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text), "a lone surrogate")
    for text in (*identity, case.failure_type, case.failure_message):
        _rule(len(text) <= MAX_ATTRIBUTE, "a name or message beyond the limit")
    _rule(len(case.failure_text) <= MAX_TEXT, "a failure text beyond the limit")
    _rule(len(case.output) <= MAX_OUTPUT, "an output beyond the limit")


def _rule(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BrokenRuleError(otherwise)


# runs


def samples() -> list[bytes]:
    """Return the samples of all writers."""
    return [file.read_bytes() for file in sorted(SAMPLES.iterdir()) if file.suffix != ".json"]


def fuzz(seed: int, start: int, inputs: int | None, seconds: float | None, keep: Path | None = None) -> Findings:
    """Make inputs number `start` and following from `seed`, until so many or for so long; and check each."""
    seeds, found = samples(), Findings()
    ends = None if seconds is None else time.monotonic() + seconds
    before = _peak_mb()
    while (inputs is None or found.inputs < inputs) and (ends is None or time.monotonic() < ends):
        number = start + found.inputs
        data = mutated(Random(f"{seed} {number}"), seeds)
        found.inputs += 1
        began = time.perf_counter()
        try:
            found.sorts[check(data)] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            found.broken[number] = f"{type(error).__name__}: {error}"
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}.xml").write_bytes(data)
        found.slowest = max(found.slowest, time.perf_counter() - began)
    found.growth_mb = _peak_mb() - before
    if found.growth_mb > MAX_GROWTH_MB:
        found.broken[-1] = f"the process grew by {found.growth_mb} MB"
    return found


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    """Fuzz as the command line says; the exit code is 1 where a rule was broken."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, help="how long; without it and --inputs one minute")
    arguments.add_argument("--inputs", type=int, help="how many inputs at most")
    arguments.add_argument("--seed", type=int, help="by default another one each time")
    arguments.add_argument("--start", type=int, default=0, help="number of the first input")
    arguments.add_argument(
        "--keep", type=Path, default=Path(".flakeguard/fuzz"), help="folder for inputs that break a rule"
    )
    given = arguments.parse_args()
    seed = Random().randrange(10**9) if given.seed is None else given.seed
    seconds = 60.0 if given.seconds is None and given.inputs is None else given.seconds
    sys.stdout.write(f"seed {seed}\n")
    sys.stdout.flush()
    found = fuzz(seed, given.start, given.inputs, seconds, given.keep)
    sys.stdout.write(f"{found.inputs} inputs, the slowest {found.slowest:.2f} s, grown by {found.growth_mb} MB\n")
    for sort, count in found.sorts.most_common():
        sys.stdout.write(f"{count:9} {sort}\n")
    for number, rule in list(found.broken.items())[:MOST_SHOWN]:
        sys.stdout.write(f"input {number} broke a rule: {rule}\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
