from dataclasses import replace

import numpy as np
import pytest

from pipeline.backtest.laws import filtered_laws, model_figures, step_densities
from pipeline.regimes import filter_regimes
from tests.pipeline.backtest.markets import draw_bars, known_model


def test_filtered_laws__are_the_filters_one_step_ahead():
    model, bars = known_model(), draw_bars(300, 2)
    starts = np.array([1, 2, 150, 300])
    laws = filtered_laws(model, bars, 0, starts)
    means, covariances, nu = model_figures(model)
    law, transitions = model.stationary_law(), model.transition_matrix()
    returns = np.diff(np.log(bars.close), axis=0)
    # nu differs by regime, one of them infinite: a huge number stands for it in the plain filter
    _, filtered = filter_regimes(returns, law, transitions, means, covariances, np.minimum(nu, 1e9))
    assert laws[0] == pytest.approx(law)
    assert laws[1:] == pytest.approx(filtered[[0, 148, 298]] @ transitions, abs=1e-6)


def test_filtered_laws__do_not_see_the_future():
    model, bars = known_model(), draw_bars(300, 2)
    changed = replace(bars, close=bars.close.copy())
    changed.close[200:] *= np.linspace(1.0, 3.0, 100)[:, None]
    starts = np.array([50, 200])
    assert np.array_equal(filtered_laws(model, bars, 0, starts), filtered_laws(model, changed, 0, starts))
    starts = np.array([50, 202])
    assert not np.array_equal(filtered_laws(model, bars, 0, starts), filtered_laws(model, changed, 0, starts))


def test_step_densities__a_missing_asset_leaves_the_others():
    model, both = known_model(), known_model()
    returns = np.diff(np.log(draw_bars(40, 2).close), axis=0)
    holed = returns.copy()
    holed[5, 1] = np.nan
    holed[6] = np.nan
    densities = step_densities(both, holed, [0, 1])
    assert densities[[4, 7]] == pytest.approx(step_densities(both, returns, [0, 1])[[4, 7]])
    assert densities[5] == pytest.approx(step_densities(model, returns[:, :1], [0])[5])
    assert densities[6].tolist() == [0.0, 0.0]
