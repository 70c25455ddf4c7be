from dataclasses import replace

import numpy as np
import pytest

from pipeline.backtest.laws import figures_of, filtered_laws
from pipeline.model import MarketModel
from pipeline.regimes import filter_regimes
from tests.pipeline.backtest.markets import draw_bars, known_model


def test_filtered_laws__are_the_filters_one_step_ahead():
    model, bars = known_model(), draw_bars(300, 2)
    starts = np.array([1, 2, 150, 300])
    laws = filtered_laws(model, bars, 0, starts)
    law, transitions = model.stationary_law(), model.transition_matrix()
    figures = figures_of(model)
    nu = np.minimum(figures.nu, 1e9)
    covariances = figures.scatter * np.array([1.0, figures.nu[1] / (figures.nu[1] - 2.0)])[:, None, None]
    returns = np.diff(np.log(bars.close), axis=0)
    # nu differs by regime, one of them infinite: a huge number stands for it in the plain filter
    _, filtered = filter_regimes(returns, law, transitions, figures.means, covariances, nu)
    assert laws.shape == (4, 1, 2)
    assert laws[0, 0] == pytest.approx(law)
    assert laws[1:, 0] == pytest.approx(filtered[[0, 148, 298]] @ transitions, abs=1e-6)


def test_filtered_laws__do_not_see_the_future():
    model, bars = known_model(), draw_bars(300, 2)
    changed = replace(bars, close=bars.close.copy())
    changed.close[200:] *= np.linspace(1.0, 3.0, 100)[:, None]
    starts = np.array([50, 200])
    assert np.array_equal(filtered_laws(model, bars, 0, starts), filtered_laws(model, changed, 0, starts))
    starts = np.array([50, 202])
    assert not np.array_equal(filtered_laws(model, bars, 0, starts), filtered_laws(model, changed, 0, starts))


def test_filtered_laws__an_asset_that_is_missing_leaves_the_others():
    model, bars = known_model(), draw_bars(300, 2)
    late = np.array([300])
    holed = replace(bars, close=bars.close.copy())
    holed.close[100:, 1] = np.nan
    alone = replace(bars, assets=("BTC",), close=bars.close[:, :1])
    before = np.array([100])
    assert np.array_equal(filtered_laws(model, holed, 0, before), filtered_laws(model, bars, 0, before))
    # the chain forgets what it knew of both
    assert filtered_laws(model, holed, 0, late) == pytest.approx(
        filtered_laws(model, alone, 0, late), abs=1e-3
    )
    assert filtered_laws(model, holed, 0, late) != pytest.approx(
        filtered_laws(model, bars, 0, late), abs=1e-3
    )


def test_filtered_laws__levels_are_filtered_too():
    quiet, loud = loud_model(), draw_bars(300, 2)
    laws = filtered_laws(quiet, loud, 0, np.array([1, 300]))
    assert laws.shape == (2, 2, 2)
    assert laws.sum(axis=(1, 2)) == pytest.approx(1.0)
    assert laws[0].sum(axis=1) == pytest.approx([0.5, 0.5])
    # the bars are drawn at twice the volatility of the low level
    assert laws[1].sum(axis=1)[1] > 0.9


def loud_model() -> MarketModel:
    """The known model at half its volatility, with a level that doubles it."""
    document = known_model(calm=0.25, wild=0.8).document()
    stay = {"low": {"low": 0.99, "high": 0.01}, "high": {"low": 0.01, "high": 0.99}}
    document["levels"] = {"scale": {"low": 1.0, "high": 2.0}, "transitions": stay}
    return MarketModel.model_validate(document)
