"""Reliability with intervals, and the diagram's scales."""

from datetime import timedelta

import numpy as np
import pytest

from pictures.canvas import MODEL
from pictures.forecasts import Grade, draw_reliability, grade_forecasts
from pipeline.backtest.books import BOOKS
from pipeline.backtest.judge import Judgement, Settings
from pipeline.backtest.scores import reliability_table
from tests.pictures.shapes import marks_of, words_of

SETTINGS = Settings(books=BOOKS[:1], leverages=(5.0, 10.0), horizons=(timedelta(days=1),))


def judged(forecast: float, truth: float, starts: int = 2000, seed: int = 1, runs: int = 1) -> Judgement:
    """One book, two leverages, one horizon; events come in runs of so many starts."""
    rng = np.random.default_rng(seed)
    uniform = np.repeat(rng.random((-(-starts // runs), 2, 1)), runs, axis=0)[:starts, None]
    hits = (uniform < truth).astype(np.float64)
    times = np.datetime64("2030-01-01", "ms") + np.arange(starts) * np.timedelta64(6, "h")
    made = {"model": np.full(hits.shape, forecast)}
    return Judgement(SETTINGS, times, np.arange(starts), hits, made, np.zeros(hits.shape[1:]))


def test_grade_forecasts__bins_are_those_of_the_table():
    rng = np.random.default_rng(3)
    judgement = judged(0.5, 0.2)
    p = rng.random(judgement.hits.shape) ** 3
    p[:7] = np.nan
    judgement.forecasts["model"] = p
    judgement.hits[20:25] = np.nan
    grades = grade_forecasts(judgement)
    table = reliability_table(p, judgement.hits)
    assert [grade.n for grade in grades] == [each.n for each in table]
    assert [grade.forecast for grade in grades] == pytest.approx([each.forecast for each in table])
    assert [grade.realised for grade in grades] == pytest.approx([each.realised for each in table])
    assert all(grade.low <= grade.realised <= grade.high for grade in grades)


def test_grade_forecasts__interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(60):
        (grade,) = grade_forecasts(judged(0.15, 0.15, starts=800, seed=seed, runs=4))
        held += grade.low <= 0.15 <= grade.high
    assert 51 <= held <= 60


def test_grade_forecasts__interval_is_wider_where_events_come_in_runs():
    (alone,), (runs,) = (grade_forecasts(judged(0.15, 0.15, seed=5, runs=each)) for each in (1, 8))
    assert runs.high - runs.low > 1.8 * (alone.high - alone.low)


def test_grade_forecasts__a_forecast_three_times_too_low_is_outside():
    (grade,) = grade_forecasts(judged(0.02, 0.06))
    assert grade.low > 0.02


def test_draw_reliability__both_scales_put_a_right_forecast_on_the_diagonal():
    grades = [Grade(50_000, 900, p, p, 0.8 * p, 1.2 * p) for p in (0.001, 0.01, 0.1, 0.5)]
    svg = draw_reliability({"model": grades})
    places = marks_of(svg, MODEL)
    logarithmic, plain = places[:4], places[4:8]
    for marks, steps in ((logarithmic, np.log10([0.001, 0.01, 0.1, 0.5])), (plain, [0.001, 0.01, 0.1, 0.5])):
        x, y = np.array(marks).T
        assert np.diff(x) / np.diff(x).sum() == pytest.approx(np.diff(steps) / np.ptp(steps), abs=0.002)
        assert -np.diff(y) / -np.diff(y).sum() == pytest.approx(np.diff(steps) / np.ptp(steps), abs=0.002)
    assert {"0.01 %", "10 %", "100 %", "what share came true", "10,000"} <= set(words_of(svg))


def test_draw_reliability__what_never_came_true_is_open_at_the_floor():
    grades = [Grade(500, 100, 0.001, 0.0, 0.0, 0.0), Grade(500, 100, 0.1, 0.1, 0.05, 0.2)]
    svg = draw_reliability({"model": grades})
    assert f"fill: #ffffff; stroke: {MODEL.lower()}" in svg
