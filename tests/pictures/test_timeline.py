"""Bands of the timelines change where the states change."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pictures.canvas import LEVELS, STATES
from pictures.timeline import (
    SEEN_THROUGH,
    Timeline,
    by_period,
    draw_timeline,
    draw_worst_days,
    read_timeline,
    runs_of,
)
from tests.pictures.shapes import spans_of, words_of
from tests.pipeline.backtest.markets import draw_bars, known_model

HOURS = 24 * 7 * 6
WINDOW = (datetime(2030, 1, 15, tzinfo=UTC), datetime(2030, 3, 1, tzinfo=UTC))


def made_up(regime: np.ndarray, level: np.ndarray, worst: int) -> Timeline:
    """A timeline whose states are certain."""
    times = np.datetime64("2030-01-01T01:00", "ms") + np.arange(len(regime)) * np.timedelta64(1, "h")
    price = 100.0 + np.arange(len(regime)) / 10.0
    return Timeline(times, "BTC", price, np.eye(2)[regime], np.eye(2)[level], worst, -0.2)


def test_runs_of__are_the_stretches_of_equal_labels():
    assert runs_of(np.array([2, 2, 0, 1, 1, 1])) == [(2, 0, 2), (0, 2, 3), (1, 3, 6)]
    assert runs_of(np.array([1])) == [(1, 0, 1)]


def test_by_period__means_whole_periods_and_drops_the_rest():
    found = by_period(np.array([[0.0], [1.0], [1.0], [1.0], [9.0]]), 2)
    assert found.tolist() == [[0.5], [1.0]]


def test_draw_worst_days__bands_change_where_the_regime_changes():
    regime = np.zeros(400, int)
    regime[200:230] = 1
    svg = draw_worst_days(made_up(regime, np.zeros(400, int), 215), ("calm", "wild"), ("low", "high"))
    first = 215 - 96
    calm, wild = (spans_of(svg, colour, f"{SEEN_THROUGH}") for colour in STATES[:2])
    assert (len(calm), len(wild)) == (2, 1)
    left, right = calm[0][0], calm[1][1]
    hour = (right - left) / 192
    # an hour's band ends when the hour closes
    assert (wild[0][0] - left) / hour == pytest.approx(200 - first, abs=0.05)
    assert (wild[0][1] - left) / hour == pytest.approx(230 - first, abs=0.05)
    assert calm[0][1] == pytest.approx(wild[0][0], abs=0.02)


def test_draw_timeline__bands_are_the_weeks_levels_and_the_window_is_marked_where_it_is():
    level = np.zeros(HOURS, int)
    level[168 * 2 : 168 * 3] = 1
    svg = draw_timeline(made_up(level, level, 100), ("calm", "wild"), ("low", "high"), WINDOW)
    low, high = (spans_of(svg, colour) for colour in LEVELS[:2])
    (left, _), (_, right) = low
    week = (right - left) / 6
    assert [(end - left) / week for end in high[0]] == pytest.approx([2.0, 3.0], abs=0.01)
    dashed = [line for line in svg.split("<path ") if "stroke-dasharray: 4.8,2.4" in line]
    began = {float(line.split()[1]) for line in (line.removeprefix('d="') for line in dashed)}
    (at,) = began  # one, through both panels
    assert (at - left) / week == pytest.approx(2.0, abs=0.01)
    words = words_of(svg)
    assert "the fit's window begins" in words
    assert "the fit's window ends" not in words  # after the last bar


def test_draw_timeline__regimes_are_stacked_to_all_of_the_week():
    regime = np.tile(np.repeat([0, 1], [126, 42]), 6)  # three quarters of each week
    timeline = made_up(regime, np.zeros(HOURS, int), 100)
    svg = draw_timeline(timeline, ("calm", "wild"), ("low", "high"), WINDOW)
    heights = []
    for colour in STATES[:2]:
        (path,) = [
            line for line in svg.split("<path ") if f"fill: {colour.lower()}" in line and "clip-path" in line
        ]
        y = [float(part.split()[1]) for part in path.replace("M", "L").split("L ")[1:]]
        heights.append(max(y) - min(y))
    assert heights[0] / heights[1] == pytest.approx(0.75, abs=0.01)


def test_read_timeline__knows_the_wild_hours_and_the_worst_day():
    model = known_model(calm=0.2, wild=2.0, stay=0.99)
    bars = draw_bars(900, seed=3, model=model)
    timeline = read_timeline(model, bars, 100, 900)
    assert timeline.regime.shape == (799, 2)
    assert timeline.level.shape == (799, 1)
    assert timeline.regime.sum(axis=1) == pytest.approx(1.0)
    size = np.abs(np.diff(np.log(bars.close[100:900]), axis=0)).mean(axis=1)
    wild = timeline.regime[:, 1] > 0.5
    assert 0.1 < wild.mean() < 0.9
    assert size[wild].mean() > 4.0 * size[~wild].mean()
    # the price in a row is the one that its bar closed at, when it closed
    assert timeline.price[0] == bars.close[101, 0]
    assert timeline.times[0] == bars.times[101] + np.timedelta64(1, "h")
    fell = bars.close[100 + timeline.worst + 1] / bars.close[100 + timeline.worst + 1 - 24] - 1.0
    assert timeline.fall == pytest.approx(fell.mean())
    days = [float((bars.close[row] / bars.close[row - 24] - 1.0).mean()) for row in range(124, 900)]
    assert timeline.fall == pytest.approx(min(days))


def test_read_timeline__reads_hours_in_which_a_coin_is_missing():
    model = known_model(calm=0.2, wild=2.0, stay=0.99)
    bars = draw_bars(400, seed=3, model=model)
    bars.close[:200, 1] = np.nan
    timeline = read_timeline(model, bars, 0, 400)
    assert not np.isnan(timeline.regime).any()
    assert timeline.worst >= 200 + 23  # a day of all coins
