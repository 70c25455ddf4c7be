import numpy as np

from pipeline.backtest.cells import judged_cells
from pipeline.backtest.judge import FORECASTERS, Judgement, Settings
from pipeline.backtest.page import backtest_page
from pipeline.backtest.summary import backtest_tables, lead
from tests.pipeline.backtest.markets import FIRST, HOUR

SETTINGS = Settings()
SHAPE = (200, len(SETTINGS.books), len(SETTINGS.leverages), len(SETTINGS.horizons))


def judgement():
    """Forecasts of 0.4 that come true two times in five; the Gaussian says 0.9; one book has no window."""
    rng = np.random.default_rng(1)
    hits = (rng.random(SHAPE) < 0.4).astype(float)
    hits[:, 1] = np.nan
    forecasts = {name: np.full(SHAPE, p) for name, p in zip(FORECASTERS, (0.4, 0.9, 0.41), strict=True)}
    for values in forecasts.values():
        values[np.isnan(hits)] = np.nan
    times = FIRST + np.arange(200) * 6 * HOUR
    return Judgement(SETTINGS, times, np.arange(200), hits, forecasts, np.full(SHAPE[1:], 0.05), ["a remark"])


def test_judged_cells__documents_have_the_keys_and_fractions_asked_for():
    cells = judged_cells(judgement())
    assert len(cells) == 5 * 5 * 4
    document = cells[0].document()
    assert list(document) == [
        *("book", "leverage", "horizon", "n", "realised"),
        *("forecast", "forecast_low", "forecast_high", "gaussian", "bootstrap"),
    ]
    assert (document["book"], document["leverage"], document["horizon"]) == ("long-pair", 3.0, "4h")
    assert document["n"] == 200
    assert document["forecast"] == 0.4
    assert document["forecast_low"] < 0.4 < document["forecast_high"]
    assert {cell.document()["horizon"] for cell in cells} == {"4h", "1d", "3d", "7d"}


def test_judged_cells__only_enough_independent_events_are_judged():
    by_horizon = {cell.horizon.days: cell.judged for cell in judged_cells(judgement())}
    # 200 windows, 0.4 each: 80 events over 4 hours, 20 over a day (four starts), 3 over a week
    assert by_horizon == {0: True, 1: False, 3: False, 7: False}


def test_judged_cells__a_rival_that_is_not_there_is_null():
    without = judgement()
    without.forecasts["gaussian"][:] = np.nan
    assert judged_cells(without)[0].document()["gaussian"] is None


def test_lead__of_the_better_forecaster_is_positive():
    mean, low, high = lead(judgement(), "gaussian")
    assert 0 < low < mean < high


def test_backtest_tables__are_whole():
    scores, brier, bins, cells = backtest_tables(judgement())
    assert [row[0] for row in scores.rows] == [
        *("all", "long-pair", "short-majors", "alt-heavy", "hedged-pair", "hedged-alts"),
        *("4h", "1d", "3d", "7d"),
    ]
    assert [row[0] for row in brier.rows] == list(FORECASTERS)
    assert len(bins.rows) == 1
    assert len(cells.rows) == 100
    assert all(len(row) == len(table.columns) for table in (scores, brier, bins, cells) for row in table.rows)


def test_backtest_page__holds_the_diagram_and_the_remarks():
    page = backtest_page(judgement())
    assert page.count("<svg") == 1
    assert "a remark" in page
    assert "<script" not in page
