"""Numbers of the type `numeric` stay exact wherever a column can hold them."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.operations.asking_postgres import exact_numbers


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["9007199254740993", None, "-9223372036854775808", "9223372036854775807"], pl.Int64()),
        (["2.00", "3", "-10.0"], pl.Int64()),
        ([None, None], pl.Int64()),
        ([], pl.Int64()),
        (["9223372036854775808"], pl.Decimal(38, 0)),
        (["9" * 38, "-" + "9" * 38], pl.Decimal(38, 0)),
        (["1.50", "2.00", None], pl.Decimal(38, 2)),
        # digits for the zeros are lacking
        (["1" * 30 + ".5000000000000000"], pl.Decimal(38, 1)),
        (["0." + "0" * 37 + "1"], pl.Decimal(38, 38)),
        (["9" * 39], pl.Float64()),
        (["0." + "0" * 38 + "1"], pl.Float64()),
        (["1.5", "nan"], pl.Float64()),
        (["1", "inf", "-inf"], pl.Float64()),
    ],
)
def test_the_kind_follows_from_the_values(texts: list[str | None], kind: pl.DataType) -> None:
    numbers = exact_numbers(pl.Series("n", texts, dtype=pl.String))
    assert (numbers.name, numbers.dtype) == ("n", kind)
    exact = kind != pl.Float64
    wanted = [None if text is None else Decimal(text) if exact else float(text) for text in texts]
    assert str(numbers.to_list()) == str(wanted) or numbers.to_list() == wanted


@given(st.lists(st.none() | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18)))
def test_no_digit_is_lost(values: list[Decimal | None]) -> None:
    texts = [None if value is None else f"{value:f}" for value in values]
    numbers = exact_numbers(pl.Series("n", texts, dtype=pl.String))
    if numbers.dtype != pl.Float64:
        assert numbers.to_list() == values
    else:
        assert max(len((text or "").partition(".")[2].rstrip("0")) for text in texts) > 38 - 19
