"""Numbers and times as reports write them."""

import pytest

from flakeguard_pipeline.parsing.text import HeadTail
from flakeguard_pipeline.parsing.values import duration_us, line_number, timestamp


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("0.001", 1000),
        (" 1.5 ", 1_500_000),
        ("1.7e-05", 17),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("1,234.5", 1_234_500_000),
        ("1,234", 1_234_000_000),
        ("1.234,5", 1_234_500_000),
        ("0,25", 250_000),
        ("0,123", 123_000),
        ("1,000,000", 1_000_000_000_000),
        ("-0.0", 0),
        (None, None),
        ("", None),
        ("NaN", None),
        ("sNaN", None),
        ("Infinity", None),
        ("-1", None),
        ("abc", None),
        ("1e999999999", None),
        ("1e99999999999999999999", None),
        ("9" * 100, None),
        ("999638317", None),
        ("1e-999999999", 0),
        ("<<computed>>", None),
    ],
)
def test_durations(value: str | None, expected: int | None) -> None:
    assert duration_us(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-02T03:04:05", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456+00:00"),
        ("2024-01-02 03:04:05+02:00", "2024-01-02T01:04:05+00:00"),
        ("0001-01-01T00:00:00+14:00", None),
        ("Tue Jan 2 2024", None),
        ("", None),
        (None, None),
    ],
)
def test_timestamps(value: str | None, expected: str | None) -> None:
    moment = timestamp(value)
    assert (moment.isoformat() if moment else None) == expected


@pytest.mark.parametrize(("value", "expected"), [("12", 12), ("-1", None), ("", None), (None, None), ("9" * 20, None)])
def test_lines(value: str | None, expected: int | None) -> None:
    assert line_number(value) == expected


def test_head_and_tail_do_not_depend_on_the_pieces() -> None:
    text = "".join(chr(97 + number % 26) for number in range(1000))
    texts = set()
    for size in (1, 3, 10, 1000):
        kept = HeadTail(10, 10)
        for at in range(0, len(text), size):
            kept.add(text[at : at + size])
        texts.add(kept.text())
    assert texts == {f"{text[:10]}\n[... 980 characters left out ...]\n{text[-10:]}"}


def test_a_tail_begins_with_a_whole_line() -> None:
    kept = HeadTail(4, 12)
    kept.add("head" + "-" * 50 + "secret\nwhole lin")
    assert kept.text() == "head\n[... 54 characters left out ...]\nwhole lin".replace("54", "57")
