from __future__ import annotations

import pytest

from pipeline.dydx.errors import DydxError
from pipeline.dydx.units import base_to_quote, quote_to_base, round_to_multiple, times_ppm


@pytest.mark.parametrize(("quantums", "quote"), [(19, 1), (-19, -1), (9, 0), (-9, 0)])
def test_base_to_quote__rounds_toward_zero(quantums: int, quote: int) -> None:
    assert base_to_quote(quantums, -8, 1, 1) == quote


@pytest.mark.parametrize(("quote", "quantums"), [(19, 6), (-19, -6)])
def test_quote_to_base__rounds_toward_zero(quote: int, quantums: int) -> None:
    assert quote_to_base(quote, -6, 3, 0) == quantums


def test_quote_to_base__price_beyond_one() -> None:
    assert quote_to_base(5_999, -6, 3, 2) == 19


def test_quote_to_base__refuses_price_of_zero() -> None:
    with pytest.raises(DydxError, match="price of zero"):
        quote_to_base(1, -6, 0, 0)


@pytest.mark.parametrize(("amount", "down", "up"), [(3, 1, 2), (-3, -2, -1), (4, 2, 2)])
def test_times_ppm__floor_and_ceil(amount: int, down: int, up: int) -> None:
    assert (times_ppm(amount, 500_000), times_ppm(amount, 500_000, up=True)) == (down, up)


def test_round_to_multiple__both_ways() -> None:
    assert (round_to_multiple(1_235, 100, up=True), round_to_multiple(1_235, 100, up=False)) == (1_300, 1_200)
