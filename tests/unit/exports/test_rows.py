"""Answers for programs: what each kind of value becomes, to the byte."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from flakeguard_pipeline.exports.rows import csv_lines, json_lines, write_parquet


def as_csv(columns: Sequence[str], *rows: Sequence[Any]) -> str:
    return "".join(csv_lines(columns, rows))


def as_json(value: Any) -> Any:
    (row,) = json.loads("".join(json_lines(["value"], [[value]])))
    return row["value"]


def test_csv_quotes_what_needs_it_and_ends_lines_as_the_rfc_says() -> None:
    assert as_csv(["a", "b"], ['say "no"', "x,y"], ["two\nlines", None]) == (
        'a,b\r\n"say ""no""","x,y"\r\n"two\nlines",\r\n'
    )
    assert as_csv(["a"]) == "a\r\n"


def test_csv_writes_times_in_utc_and_truth_in_small_letters() -> None:
    moment = datetime(2026, 3, 6, 10, tzinfo=timezone(timedelta(hours=1)))
    assert (
        as_csv(["a", "b", "c"], [moment, date(2026, 3, 6), True]) == "a,b,c\r\n2026-03-06T09:00:00Z,2026-03-06,true\r\n"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2**100, 2**100),
        (Decimal(12), 12),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), "NaN"),
        (True, True),
        (None, None),
        (0.25, 0.25),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (datetime(2026, 3, 6, 9, 0, 0, 5, tzinfo=UTC), "2026-03-06T09:00:00.000005Z"),
        (date(2026, 3, 6), "2026-03-06"),
        ({"a": [Decimal(1), date(2026, 3, 6)]}, {"a": [1, "2026-03-06"]}),
        (b"x", "b'x'"),
    ],
)
def test_json_has_no_floats_where_integers_are_and_nothing_that_json_does_not_know(value: Any, told: Any) -> None:
    found = as_json(value)
    assert found == told
    assert type(found) is type(told)


def test_json_is_an_array_with_one_object_a_line() -> None:
    assert "".join(json_lines(["a"], [[1], ["ü"]])) == '[\n{"a": 1},\n{"a": "ü"}\n]\n'
    assert "".join(json_lines(["a"], [])) == "[]\n"


def test_parquet_keeps_sums_as_integers_where_they_fit() -> None:
    kind = pl.Decimal(38, 0)
    frame = pl.DataFrame(
        {"fits": [Decimal(7), None], "large": [Decimal(10) ** 30, None]}, schema={"fits": kind, "large": kind}
    )
    buffer = io.BytesIO()
    write_parquet(frame, buffer)
    read = pl.read_parquet(buffer.getvalue())
    assert read.schema == {"fits": pl.Int64(), "large": kind}
    assert read["fits"].to_list() == [7, None]
