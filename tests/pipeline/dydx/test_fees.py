from __future__ import annotations

import pytest

from pipeline.dydx.fees import trading_fee


@pytest.mark.parametrize(
    ("quote", "ppm", "fee"),
    [
        (60_000_000_000, 500, 30_000_000),
        (1, 500, 1),
        (0, 500, 0),
        (60_000_000_000, 0, 0),
        (60_000_000_000, -110, -6_600_000),
        (9_090, -110, 0),
        (9_091, -110, -1),
    ],
)
def test_trading_fee__rounds_against_the_trader(quote: int, ppm: int, fee: int) -> None:
    assert trading_fee(quote, ppm) == fee
