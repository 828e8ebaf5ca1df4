"""Tables that fit the terminal, to the letter."""

from datetime import UTC, date, datetime

from flakeguard_pipeline.cli.table import cells, render_table

COLUMNS = ("name", "failures", "rerun_us", "seen_at")
ROWS = [
    ("test_a", 3, 90_000_000, datetime(2026, 3, 6, 9, 30, tzinfo=UTC)),
    ("test_with_a_long_name_that_ends_here", 12, None, None),
]


def test_a_table_aligns_numbers_right_and_shows_microseconds_in_units_that_people_read() -> None:
    assert (
        render_table(COLUMNS, ROWS, width=None)
        == """\
name                                  failures   rerun  seen_at
------------------------------------  --------  ------  ----------------
test_a                                       3  90.0 s  2026-03-06 09:30
test_with_a_long_name_that_ends_here        12       -  -"""
    )


def test_a_text_that_is_too_long_keeps_its_end() -> None:
    lines = render_table(COLUMNS, ROWS, width=60).splitlines()
    assert max(cells(line) for line in lines) <= 60
    assert lines[3].startswith("…")
    assert "_name_that_ends_here  " in lines[3]


def test_a_table_that_cannot_fit_is_a_list_of_its_columns() -> None:
    text = render_table(COLUMNS, ROWS, width=30)
    assert text.splitlines()[:5] == [
        "name      test_a",
        "failures  3",
        "rerun     90.0 s",
        "seen_at   2026-03-06 09:30",
        "",
    ]
    assert max(cells(line) for line in text.splitlines()) <= 30


def test_what_a_test_wrote_does_not_steer_the_terminal() -> None:
    text = render_table(("message",), [("\x1b[31mred\x07\r\nnext",)], width=None)
    assert text.splitlines()[2:] == [" [31mred   next"]


def test_wide_characters_take_two_cells() -> None:
    lines = render_table(("name", "n"), [("テスト", 1), ("abc", 2)], width=None).splitlines()
    assert {cells(line) for line in lines[1:]} == {9}


def test_no_rows_are_a_head() -> None:
    assert render_table(("a", "b_us"), [], width=20) == "a  b\n-  -"


def test_truth_and_days_are_words() -> None:
    lines = render_table(("flag", "day"), [(True, date(2026, 3, 6)), (False, None)], width=None).splitlines()
    assert lines[2:] == ["yes   2026-03-06", "no    -"]
