"""Moves of books, in history and in the model's histories."""

import numpy as np
import pytest

from pictures.canvas import OFF
from pictures.moves import (
    HORIZONS,
    JOINT,
    LAGS,
    Band,
    Moves,
    autocorrelations,
    draw_joint,
    draw_memory,
    draw_quantiles,
    levels_of,
    measure_moves,
    moves_over,
    simulate_histories,
    standard_books,
)
from pipeline.report.figures import INK
from tests.pictures.shapes import marks_of, words_of
from tests.pipeline.backtest.markets import known_model

HOURS = 24 * 60


def model():
    return known_model(calm=0.4, wild=1.2, tail=6.0, stay=0.95)


@pytest.fixture(scope="module")
def history() -> np.ndarray:
    """A history that the model itself made: not one of those that it is compared with."""
    return list(simulate_histories(model(), HOURS, 45))[-1]


@pytest.fixture(scope="module")
def moves(history: np.ndarray) -> Moves:
    return measure_moves(model(), history, histories=40)


def test_standard_books__are_of_one_unit_gross():
    books = standard_books(("BTC", "ETH", "SOL", "XRP"))
    assert [sum(map(abs, book.shares.values())) for book in books] == pytest.approx([1.0, 1.0, 1.0])
    assert books[2].shares == {"BTC": 0.5, "SOL": -0.25, "XRP": -0.25}


def test_levels_of__mirror_one_another_and_go_out_less_for_longer_moves():
    for horizon in range(len(HORIZONS)):
        levels = levels_of(horizon)
        assert levels + levels[::-1] == pytest.approx(1.0)
        assert np.all(np.diff(levels) > 0)
    assert [levels_of(horizon)[0] for horizon in range(3)] == [0.001, 0.005, 0.01]


def test_moves_over__are_relative_and_skip_what_is_missing():
    prices = np.array([[1.0, 2.0], [2.0, 2.0], [3.0, np.nan], [4.0, 1.0]])
    assert moves_over(prices, 1).tolist() == [[1.0, 0.0]]
    assert moves_over(prices, 2).tolist() == [[1.0, -0.5]]


def test_autocorrelations__are_those_of_a_process_with_memory():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(200_000)
    series = np.empty_like(noise)
    series[0] = noise[0]
    for t in range(1, len(series)):
        series[t] = 0.8 * series[t - 1] + noise[t]
    assert autocorrelations(series, (1, 2, 5)) == pytest.approx([0.8, 0.64, 0.8**5], abs=0.01)


def test_simulate_histories__do_not_depend_on_how_many_are_asked_for():
    few, more = (list(simulate_histories(model(), 50, count)) for count in (2, 35))
    assert np.array_equal(few[1], more[1])
    assert len({history[-1, 0] for history in more}) == 35
    assert more[34].shape == (50, 2)
    assert more[0][0].tolist() == [1.0, 1.0]


def test_measure_moves__a_history_of_the_models_own_is_mostly_inside(moves: Moves):
    bands = [band for row in moves.quantiles for band in row]
    outside = np.concatenate([band.outside() for band in bands])
    assert outside.mean() < 0.2
    assert moves.memory.history.shape == (len(LAGS),)
    assert moves.falls.history.shape == moves.rises.history.shape == (len(JOINT),)
    for band in bands:
        assert np.all(band.low <= band.model)
        assert np.all(band.model <= band.high)


def test_measure_moves__a_wilder_history_is_outside_on_both_sides(history: np.ndarray):
    found = measure_moves(model(), history**2.0, histories=20)  # twice the log returns
    hour = found.quantiles[1][0]
    tails = levels_of(0)
    assert np.all(hour.history[tails <= 0.1] < hour.low[tails <= 0.1])
    assert np.all(hour.history[tails >= 0.9] > hour.high[tails >= 0.9])


def test_measure_moves__falls_and_rises_are_told_apart():
    rng = np.random.default_rng(2)
    storms = np.repeat(rng.random((60, 1)) < 0.1, 24, axis=0) * 0.01  # both fall, and nothing rises together
    moves = measure_moves(
        model(), np.exp(np.cumsum(0.002 * rng.standard_normal((HOURS, 2)) - storms, axis=0)), 2
    )
    assert moves.falls.history[-1] > 0.7
    assert moves.rises.history[-1] < 0.4


def test_draw_quantiles__marks_what_is_outside(moves: Moves):
    band = moves.quantiles[0][0]
    off = band._replace(history=band.history.copy())
    off.history[0] = band.low[0] - 0.1
    drawn = moves._replace(quantiles=((off, *moves.quantiles[0][1:]), *moves.quantiles[1:]))
    expected = sum(int(each.outside().sum()) for row in drawn.quantiles for each in row)
    svg = draw_quantiles(drawn)
    assert len(marks_of(svg, OFF)) == expected + 1  # and the legend's
    assert {"over an hour", "over a day", "over a week", "model, % of the book"} <= set(words_of(svg))


def band_of(values: list[float], at: int) -> Band:
    """A band of 0.2 to 0.4 with history inside but at one place, where it is 0.6."""
    history = np.full(len(values), 0.3)
    history[at] = 0.6
    return Band(history, np.full(len(values), 0.3), np.full(len(values), 0.2), np.full(len(values), 0.4))


def test_draw_joint__scale_is_percent_from_0_to_100(moves: Moves):
    falls = band_of(list(JOINT), 1)
    svg = draw_joint(moves._replace(falls=falls, rises=falls._replace(history=falls.model)))
    words = words_of(svg)
    assert {"0 %", "100 %", "worst days", "best days"} <= set(words)
    mark, _ = marks_of(svg, OFF)  # the other one is the legend's
    ticks = [y for _, y in marks_of(svg, INK)]
    top, bottom = min(ticks), max(ticks)
    assert (bottom - mark[1]) / (bottom - top) == pytest.approx(0.6, abs=0.01)


def test_draw_memory__marks_the_lag_that_is_outside(moves: Moves):
    svg = draw_memory(moves._replace(memory=band_of(list(LAGS), 4)))
    assert len(marks_of(svg, OFF)) == 2
    assert {"1 h", "1 d", "14 d"} <= set(words_of(svg))
