"""Histories beside the prices: on the same bars, or refused with all that is wrong."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.history import Prices
from pipeline.side_history import check_percent, lay_beside

HOUR = np.timedelta64(3_600_000, "ms")
START = np.datetime64("2024-03-01T00:00", "ms")


def bars(count: int, first: int = 0, step: int = 1, assets: tuple[str, ...] = ("BTC", "ETH")) -> Prices:
    """Closes that tell the hour since START: 100 and on."""
    times = START + (first + step * np.arange(count)) * HOUR
    close = 100.0 + np.repeat((first + step * np.arange(count))[:, None], len(assets), axis=1)
    return Prices(times, timedelta(hours=step), assets, close, ())


def test_lay_beside__on_the_bars_of_the_prices() -> None:
    found = lay_beside(bars(400), bars(500, first=100, assets=("ETH",)), "spot prices")
    assert found.assets == ("ETH",)
    assert np.isnan(found.close[:100]).all()
    np.testing.assert_array_equal(found.close[100:, 0], 200.0 + np.arange(300))
    assert found.days(timedelta(hours=1)) == {"ETH": 12.5}


def test_lay_beside__bars_before_the_window_are_left_out() -> None:
    found = lay_beside(bars(400), bars(300, first=-50), "spot prices")
    np.testing.assert_array_equal(found.close[:250, 0], 100.0 + np.arange(250))
    assert np.isnan(found.close[250:]).all()


def test_lay_beside__refuses_bars_of_another_length_or_grid() -> None:
    whole = bars(400)
    shifted = Prices(whole.times + HOUR // 2, whole.step, whole.assets, whole.close, ())
    for other in (bars(300, step=2), shifted):
        with pytest.raises(DataError, match="bars of 1h on the grid of the prices"):
            lay_beside(whole, other, "spot prices")


def test_lay_beside__refuses_every_asset_with_less_than_a_week() -> None:
    with pytest.raises(DataError, match="at least 7d") as refused:
        lay_beside(bars(400), bars(300, first=300), "spot prices")
    assert [problem.where for problem in refused.value.problems] == [
        "spot prices of BTC",
        "spot prices of ETH",
    ]
    assert refused.value.problems[0].got == "4.2 days"


def test_check_percent__a_fraction_is_refused() -> None:
    index = lay_beside(bars(400), bars(400), "implied volatility")
    assert check_percent(index).close[0, 0] == 1.0
    with pytest.raises(DataError, match="55 for 55 % a year"):
        check_percent(index._replace(close=index.close / 200.0))
