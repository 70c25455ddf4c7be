"""The law of the next hour's regime at each forecast date: a model's filter run over what was known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import Bars
from pipeline.model import MarketModel
from pipeline.regimes import filter_densities, log_density
from pipeline.units import YEAR

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def filtered_laws(model: MarketModel, bars: Bars, first: int, starts: Integers) -> Floats:
    """P(regime of the next step | the bars that have closed), (starts, regimes).

    The filter begins at bar `first` from the stationary law and goes forward: row i looks at no bar from
    starts[i] on. An hour in which some assets are missing is weighed by the others.
    """
    returns = np.diff(np.log(bars.close[first : int(starts.max())]), axis=0)
    columns = [position for position, asset in enumerate(bars.assets) if asset in model.assets]
    densities = step_densities(
        model, returns[:, columns], [model.assets.index(bars.assets[position]) for position in columns]
    )
    transitions = model.transition_matrix()
    law = model.stationary_law()
    _, _, filtered = filter_densities(densities, law, transitions)
    forward = np.vstack([law, filtered @ transitions])  # row t: after t returns
    return np.asarray(forward[starts - 1 - first])


def step_densities(model: MarketModel, returns: Floats, assets: list[int]) -> Floats:
    """Log density of each step's returns by regime, (T, K), over the assets that are there in that step.

    returns (T, B) of the model's assets of those numbers. A marginal of a multivariate Student-t is one of
    the same degrees of freedom. 0 where none is there.
    """
    means, covariances, nu = model_figures(model)
    there = ~np.isnan(returns)
    densities = np.zeros((len(returns), len(nu)))
    with np.errstate(invalid="ignore"):
        shrink = np.where(np.isfinite(nu), (nu - 2.0) / nu, 1.0)
    for pattern in np.unique(there, axis=0):
        rows = np.flatnonzero((there == pattern).all(axis=1))
        kept = np.array(assets)[pattern]
        if len(kept):
            scatter = covariances[:, kept[:, None], kept] * shrink[:, None, None]
            densities[rows] = log_density(returns[rows][:, pattern], means[:, kept], scatter, nu)
    return densities


def model_figures(model: MarketModel) -> tuple[Floats, Floats, Floats]:
    """Means (K, A), covariances (K, A, A) of one step's log returns, and nu (K,), infinite for Gaussian."""
    years = model.step / YEAR
    regimes = model.regimes.values()
    means = np.array([[regime.drift[asset] for asset in model.assets] for regime in regimes]) * years
    volatility = np.array([[regime.volatility[asset] for asset in model.assets] for regime in regimes])
    correlation = np.array([regime.correlation for regime in regimes], np.float64)
    covariances = volatility[:, :, None] * correlation * volatility[:, None, :] * years
    nu = np.array([np.inf if regime.tail is None else regime.tail for regime in regimes])
    return means, covariances, nu
