from datetime import timedelta

import numpy as np
import pytest

from pipeline.backtest.bars import Bars
from pipeline.backtest.books import StandardBook
from pipeline.backtest.outcomes import find_hits, least_margin
from pipeline.history_file import Source
from tests.pipeline.backtest.markets import FIRST, HOUR

LONG = StandardBook("long", {"A": 1.0})
PAIR = StandardBook("pair", {"A": 0.5, "B": -0.5})
HOURS = [timedelta(hours=1), timedelta(hours=3)]


def bars(low, high, close):
    low, high, close = (np.array(rows, float) for rows in (low, high, close))
    return Bars(FIRST + np.arange(len(low)) * HOUR, ("A", "B"), low, high, close, Source("x", "0"))


FLAT = bars(
    low=[[100, 10], [100, 10], [94, 10], [99, 10]],
    high=[[100, 10], [100, 10], [100, 10.5], [101, 10]],
    close=[[100, 10], [100, 10], [100, 10], [101, 10]],
)


def test_least_margin__by_hand():
    x = least_margin(FLAT, LONG, np.array([1]), HOURS)
    # first hour: flat, so only the requirement of 1 %; by the third hour the low of 94 counts
    assert x == pytest.approx(np.array([[-0.01, 0.94 - 1 - 0.0094]]))


def test_least_margin__closes_alone_miss_the_low():
    x = least_margin(FLAT, LONG, np.array([1]), HOURS, inside=False)
    assert x == pytest.approx(np.array([[-0.01, -0.01]]))


def test_least_margin__hedged_takes_the_worse_of_all_lows_and_all_highs():
    x = least_margin(FLAT, PAIR, np.array([1]), HOURS)
    lows = 0.5 * (0.94 - 1) - 0.5 * 0 - 0.01 * (0.5 * 0.94 + 0.5)
    highs = 0.5 * 0 - 0.5 * 0.05 - 0.01 * (0.5 + 0.5 * 1.05)
    assert lows < highs
    assert x[0, 1] == pytest.approx(lows)
    other = least_margin(FLAT, StandardBook("short", {"B": -1.0}), np.array([1]), HOURS)
    assert other[0, 1] == pytest.approx(-0.05 - 0.01 * 1.05)


def test_least_margin__starts_at_the_close_before():
    # from the third bar's close on, its own low is past
    x = least_margin(FLAT, LONG, np.array([3]), [timedelta(hours=1)])
    assert x == pytest.approx(np.array([[0.99 - 1 - 0.0099]]))


def test_least_margin__gaps_and_the_end_are_not_known():
    holed = bars(FLAT.low, FLAT.high, FLAT.close)
    for figures in (holed.low, holed.high, holed.close):
        figures[2, 0] = np.nan
    x = least_margin(holed, LONG, np.array([1, 2, 3]), HOURS)
    assert np.isnan(x).tolist() == [[False, True], [True, True], [True, True]]
    # B has no hole, and its windows end with the data
    x = least_margin(holed, StandardBook("b", {"B": 1.0}), np.array([1, 2, 4]), HOURS)
    assert np.isnan(x).tolist() == [[False, False], [False, True], [True, True]]


def test_find_hits__the_barrier_is_one_over_leverage():
    hits = find_hits(np.array([[-0.1, np.nan]]), [5.0, 10.0, 10.1])
    assert hits[0, :, 0].tolist() == [0.0, 0.0, 1.0]  # a tie stands
    assert np.isnan(hits[0, :, 1]).all()
