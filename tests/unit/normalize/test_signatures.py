"""Failures that look alike share a signature; a new way of failing does not."""

import re
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.signatures import failure_signature

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
    ]:
        assert message(one) == message(two), (one, two)


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
