"""Betas: how far an asset moves with another one, by the model's own covariance, mixed over its regimes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.bursts import burst_products
from pipeline.errors import PlanError, Problem
from pipeline.model import MarketModel
from pipeline.regime import Regime

Floats = NDArray[np.float64]


def mixed_covariance(model: MarketModel) -> Floats:
    """(A, A): covariance of log returns a year, sum_k p_k (D_k R_k D_k + jumps_k + bursts_k), D R D that of
    the diffusion.

    p is the chain's stationary law, or the law at the start where there are several. Levels multiply D R D
    by their mean square. Jumps of intensity c, mean m and covariance G add c (m m' + G). Bursts of rate c,
    move m and spread s add c m m' (1 + s^2 nu / (nu - 2)), times that mean square, with nu the regime's.
    Drifts, which differ between regimes, add nothing here.
    """
    try:
        law = model.stationary_law()
    except ValueError:
        law = model.initial_law()
    regimes, loudness = model.regimes.values(), model.stationary_variance()
    parts = [p * _covariance(regime, model, loudness) for p, regime in zip(law, regimes, strict=True)]
    return np.asarray(sum(parts), np.float64)


def betas(model: MarketModel, asset: str) -> Floats:
    """(A,): covariance with the asset over its variance, of `mixed_covariance`; PlanError where that is 0."""
    covariance = mixed_covariance(model)
    column = model.assets.index(asset)
    if covariance[column, column] <= 0.0:
        expected = f"a model in which {asset} moves, so that others have a beta to it"
        raise PlanError([Problem("model", expected, "a variance of 0", "take betas to another asset")])
    return np.asarray(covariance[:, column] / covariance[column, column], np.float64)


def _covariance(regime: Regime, model: MarketModel, loudness: float) -> Floats:
    assets = model.assets
    volatility = np.array([regime.volatility[asset] for asset in assets])
    found = loudness * np.outer(volatility, volatility) * np.array(regime.correlation, np.float64)
    if model.bursts:
        found = found + loudness * burst_products(model.bursts, assets, model.step, regime.tail)
    if regime.jumps is not None:
        found = found + regime.jumps.intensity * regime.jumps.products(assets)
    return np.asarray(found)
