"""The law of the next hour's state at each forecast date: a model's filter run over what was known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import Bars
from pipeline.bursts import burst_law, burst_moves
from pipeline.chain import stationary_law
from pipeline.figures import Bursts, Figures
from pipeline.model import MarketModel
from pipeline.panel import read_panel
from pipeline.regime_climb import weigh_states
from pipeline.regimes import filter_densities
from pipeline.units import YEAR

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def filtered_laws(model: MarketModel, bars: Bars, first: int, starts: Integers) -> Floats:
    """P(level and regime of the next step | the bars that have closed), (starts, levels, regimes).

    The filter begins at bar `first` from the stationary law and goes forward: row i looks at no bar from
    starts[i] on. An hour in which some assets are missing is weighed by the others.
    """
    closes = bars.close[first : int(starts.max())]
    returns = np.full((len(closes) - 1, len(model.assets)), np.nan)
    for position, asset in enumerate(bars.assets):
        if asset in model.assets:
            returns[:, model.assets.index(asset)] = np.diff(np.log(closes[:, position]))
    figures = figures_of(model)
    chain, law = figures.chain(), figures.initial.ravel()
    densities = weigh_states(read_panel(returns), figures)[0]
    _, _, filtered = filter_densities(densities.reshape(len(returns), -1), law, chain)
    forward = np.vstack([law, filtered @ chain])  # row t: after t returns
    return np.asarray(forward[starts - 1 - first].reshape(-1, *figures.initial.shape))


def figures_of(model: MarketModel) -> Figures:
    """A model's figures per step, as a fit has them; nu infinite in a Gaussian regime, initial stationary."""
    years = model.step / YEAR
    regimes = model.regimes.values()
    means = np.array([[regime.drift[asset] for asset in model.assets] for regime in regimes]) * years
    volatility = np.array([[regime.volatility[asset] for asset in model.assets] for regime in regimes])
    correlation = np.array([regime.correlation for regime in regimes], np.float64)
    covariances = volatility[:, :, None] * correlation * volatility[:, None, :] * years
    nu = np.array([np.inf if regime.tail is None else regime.tail for regime in regimes])
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(nu), (nu - 2.0) / nu, 1.0)
    levels = model.level_matrix()
    bursts = None
    if model.bursts:
        law = np.diff(burst_law(model.bursts, model.step), prepend=0.0)
        spread = np.array([burst.spread for burst in model.bursts])
        bursts = Bursts(law, burst_moves(model.bursts, model.assets), spread)
    return Figures(
        means=means,
        scatter=covariances * share[:, None, None],
        nu=nu,
        transitions=model.transition_matrix(),
        scales=model.level_scales(),
        level_transitions=levels,
        initial=np.outer(stationary_law(levels), model.stationary_law()),
        bursts=bursts,
    )
