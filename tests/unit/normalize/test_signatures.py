"""Failures that look alike share a signature; a new way of failing does not."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.redaction import kinds
from flakeguard_pipeline.normalize.signatures import SIGNATURE_RULES, failure_signature
from flakeguard_pipeline.normalize.stacks import LANGUAGES

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "failure-signatures.md"

JAVA = "java.io.IOException: boom\n\tat a.B.c(B.java:{0})\n\tat a.B.d(B.java:{0})\nCaused by: x"


def message(text: str) -> str:
    return failure_signature("T", text, "")


def test_a_signature_is_sixteen_hexadecimal_digits_or_nothing() -> None:
    assert re.fullmatch("[0-9a-f]{16}", message("boom"))
    assert failure_signature("", "", "") == ""
    assert failure_signature(" ", "\n", "\t\n") == ""
    assert failure_signature("T", "", "") != ""


def test_type_message_and_place_count() -> None:
    signatures = {
        failure_signature("T", "m", JAVA.format(1)),
        failure_signature("U", "m", JAVA.format(1)),
        failure_signature("T", "n", JAVA.format(1)),
        failure_signature("T", "m", JAVA.format(1).replace("a.B.c", "a.B.z")),
    }
    assert len(signatures) == 4
    assert failure_signature("T", "m", JAVA.format(1)) == failure_signature("T", "m", JAVA.format(99))


def test_python_frames_count_without_line_and_folder() -> None:
    trace = 'Traceback:\n  File "/home/{}/src/app/x.py", line {}, in f\n    g()\nValueError: z'
    one, two = trace.format("joe", 1), trace.format("ann", 20)
    assert failure_signature("T", "m", one) == failure_signature("T", "m", two)
    assert failure_signature("T", "m", one) != failure_signature("T", "m", one.replace("x.py", "y.py"))


def test_only_the_innermost_frames_count() -> None:
    frames = "\n".join(f"\tat a.B.{name}(B.java:1)" for name in "abcde")
    assert failure_signature("T", "m", frames) == failure_signature("T", "m", frames + "\n\tat z.Z.z(Z.java:1)")


def test_without_a_message_the_first_line_of_the_text_speaks() -> None:
    assert failure_signature("T", "", "\n boom \nmore") == failure_signature("T", "boom", "")


def test_quoted_values_are_kept() -> None:
    assert message("no column 'a'") != message("no column 'b'")


def test_what_differs_from_run_to_run_does_not_count() -> None:
    for one, two in [
        ("Foo@1b2c3d4 is closed", "Foo@77aa01 is closed"),
        ("object at 0x7fff12 of 3", "object at 0xbeef of 12,000.5"),
        ("connect to 10.0.0.1:8080", "connect to 192.168.1.20:9"),
        ("/tmp/junit123/a/out.txt missing", "/var/folders/x_y/out.txt missing"),
        ("C:\\Users\\joe\\out.txt missing", "D:\\b\\out.txt missing"),
        ("took 900ms", "took 1.2 s"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("at 12:13:14,123 it broke", "at 23:59:59 it broke"),
        ("digest 0a1b2c3d4e5f", "digest ffff00001111aaaa"),
        ("a  b\n c", "a b c"),
        ("password=one", "password=two"),
        ("on 2021/01/02 03:04:05 PM", "on 02.11.2022 13:04:05"),
        ("on Tue, 05 Jan 2021 12:13:14 GMT", "on Sat, 16 Oct 2027 01:02:03 GMT"),
        ("on Jan  5 12:13:14 it broke", "on Oct 16 01:02:03 it broke"),
        ("since 1609459200000", "since 1790000000123"),
        ("took 1m30s", "took 2 h 5 min"),
        ("took 3 seconds", "took 250 millis"),
        ("connect to ::1", "connect to 2001:db8::8a2e:370:7334"),
        ("connect to [fe80::1%eth0]:80", "connect to [10.0.0.1]:8080"),
        ("connect to db.local:5432", "connect to db.local:49152"),
        ("group-A4C034AD48CE is gone", "group-1759C869F8E5 is gone"),
        ("in pool-3-thread-12 of Thread-7", "in pool-1-thread-1 of Thread-70"),
        ("file:///home/joe/a.js is bad", "file:///src/a.js is bad"),
        ('"C:\\\\Users\\\\joe\\\\a.txt"', '"D:\\\\b\\\\a.txt"'),
        ("no /tmp/tmpa1b2c3d4 there", "no /tmp/tmp_x9qw_er there"),
        ("no /tmp/shop-Ab12cD there", "no /tmp/shop-zZ98yX there"),
        ("no /tmp/tmp.AbCdEf1234", "no /tmp/tmp.ZyXwVu9876"),
        ("no /tmp/pytest-of-joe/pytest-12/x0", "no /tmp/pytest-of-ann/pytest-3/x0"),
    ]:
        assert message(one) == message(two), (one, two)


def test_what_says_how_it_failed_counts() -> None:
    for one, two in [
        ("expected 'paid' but was 'open'", "expected 'paid' but was 'lost'"),
        ("no /tmp/a.txt", "no /tmp/b.txt"),
        ("connect to db:5432", "connect to cache:5432"),
        ("bad cafe", "bad face"),
        ("C++ std::dec is odd", "C++ std::add is odd"),
        ("waited 3 seconds", "waited 3 sheep"),
        ("May be open", "June is open"),
        ("no /tmp/shop-config there", "no /tmp/till-config there"),
    ]:
        assert message(one) != message(two), (one, two)


def test_numbers_do_not_count_within_quotation_marks_either() -> None:
    assert message("expected 'order 12' but was 'order 13'") == message("expected 'order 7' but was 'order 8'")


def test_type_message_and_cause_are_kept_apart() -> None:
    assert failure_signature("a b", "c", "") != failure_signature("a", "b c", "")
    assert failure_signature("password=x", "y", "") != failure_signature("password=x y", "", "")


def test_a_stack_in_the_message_counts_as_a_stack_only() -> None:
    one = "boom\n    at pay (/home/joe/till.js:1:2)"
    assert failure_signature("T", one, one) == failure_signature("T", one.replace(":1:2", ":3:4"), one)
    assert failure_signature("T", one, JAVA.format(1)) == failure_signature("T", "boom", JAVA.format(1))


VARYING = st.fixed_dictionaries(
    {
        "line": st.integers(1, 99_999),
        "address": st.integers(1 << 24, 1 << 48).map(hex),
        "folder": st.sampled_from(["/home/joe/src", "/b", "C:\\a\\b", "/private/var/x-1", "D:\\w"]),
        "time": st.datetimes().map(datetime.isoformat),
        "uuid": st.uuids(),
        "key": st.integers(10**20, 10**21).map(lambda number: "gh" + "p_" + f"Zq{number}" * 2),
    }
)
TEMPLATES = [
    "boom\n\tat a.B$$Lambda${line}/{address}.run(Unknown Source)\n\tat a.B.c(B.java:{line})",
    'Traceback (most recent call last):\n  File "{folder}/till.py", line {line}, in pay\n    x()\nboom',
    "boom\n    at pay ({folder}/till.js:{line}:7)",
    "panic: boom\n\ngoroutine {line} [running]:\na/b.Pay({address})\n\t{folder}/till.go:{line} +{address}",
    "   at A.B.Pay(String a) in {folder}\\Till.cs:line {line}",
    "thread 'a' panicked at src/a.rs:{line}:5:\nboom\n  {line}: a::pay\n    at {folder}/a.rs:{line}:9",
    "{folder}/till.py:{line}: boom",
]


@settings(deadline=None)
@given(st.sampled_from(TEMPLATES), VARYING, VARYING)
def test_lines_addresses_folders_times_and_keys_never_count(
    template: str, one: dict[str, object], two: dict[str, object]
) -> None:
    said = "{time} till {uuid} at {address} in {folder}/till.db: denied for {key}"
    first, second = (failure_signature("E", said.format(**values), template.format(**values)) for values in (one, two))
    assert first == second
    assert failure_signature("E", "", template.format(**one)) == failure_signature("E", "", template.format(**two))


@pytest.mark.parametrize(
    "piece", ["1.", "1,", "a1", "/a", "\\a", "f:", "::", "1:", "Jan ", "1 s ", "@", "tmp-", "\n", " at "]
)
def test_signatures_take_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert failure_signature(f"T{text}", text, text)


def test_the_page_lists_every_rule_language_and_kind() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for rule in SIGNATURE_RULES:
        assert f"| `{rule.id}` | {rule.why} |" in page
    for language in LANGUAGES:
        assert f"## {language.name}" in page
        assert all(f"`{name}`" in page for name in language.machinery)
    assert all(f"`{kind}`" in page for kind in kinds())


TIMES = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat)  # noqa: DTZ001
NUMBERS = st.integers(min_value=0)


@settings(deadline=None)
@given(
    st.sampled_from(["got {} of them", "id={}", "({})", "x {}\nat {}", "'{}'"]),
    st.tuples(NUMBERS, NUMBERS) | st.tuples(st.uuids(), st.uuids()) | st.tuples(TIMES, TIMES),
)
def test_numbers_uuids_and_times_do_not_count(template: str, values: tuple[object, object]) -> None:
    one, two = (template.format(value, value) for value in values)
    assert message(one) == message(two)


@settings(deadline=None)
@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=200))
def test_any_failure_has_a_signature(kind: str, text: str, trace: str) -> None:
    signature = failure_signature(kind, text, trace)
    assert signature == failure_signature(kind, text, trace)
    assert re.fullmatch("(?:[0-9a-f]{16})?", signature)
