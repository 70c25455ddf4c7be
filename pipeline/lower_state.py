"""From what a model says of a state beside prices to the arrays of `kernels.structs.Reverting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import nan

import numpy as np

from kernels.structs import Floats, Integers, Reverting
from pipeline.effects import Funding, value_of
from pipeline.model import MarketModel
from pipeline.reversion import Reversion


def lower_reverting(
    levels: Sequence[Mapping[str, float]],
    reversions: Sequence[Reversion],
    start: Mapping[str, float],
    assets: tuple[str, ...],
    columns: Integers,
    volatility: Floats,
    step: timedelta,
) -> Reverting:
    """The law of a state over steps of that length, by regime, for the assets simulated.

    volatility (D, K, A) is the standard deviation of one step's noise of the asset's return. Over a step t
    the distance from the level shrinks by 2^(-t/h); what is added has variance deviation^2 (1 - 2^(-2t/h)),
    correlated by `correlation` with the return's noise, as far as there is any.
    """
    names = [assets[column] for column in columns]

    def by_regime(mappings: Sequence[Mapping[str, float]]) -> Floats:
        return np.array([[mapping[a] for a in names] for mapping in mappings], np.float64)

    halvings = np.array([[step / r.half_life[a] for a in names] for r in reversions])
    deviation = by_regime([r.deviation for r in reversions])
    rho = by_regime([r.correlation for r in reversions])
    shock = deviation * np.sqrt(-np.expm1(-2.0 * np.log(2.0) * halvings))
    moves = volatility > 0.0
    tied = np.divide(rho * shock, volatility, out=np.zeros_like(volatility), where=moves)
    return Reverting(
        column=np.array(columns, np.int64),
        start=np.array([start.get(a, nan) for a in names], np.float64),
        level=by_regime(levels),
        deviation=deviation,
        kept=2.0**-halvings,
        tied=tied,
        apart=np.where(moves, np.sqrt(1.0 - rho**2), 1.0) * shock,
        common=np.array([r.common for r in reversions], np.float64),
    )


def no_reverting(loadings: int, regimes: int) -> Reverting:
    """The law of a state that nobody has."""
    none = np.zeros((regimes, 0))
    by_loading = np.zeros((loadings, regimes, 0))
    return Reverting(
        np.zeros(0, np.int64), np.zeros(0), none, none, none, by_loading, by_loading, np.zeros(regimes)
    )


def lower_funding(
    model: MarketModel, start: Mapping[str, float], columns: Integers, volatility: Floats, step: timedelta
) -> Reverting:
    """The law of annualised funding rates; of nobody's where they are constants."""
    levels, reversions = [], []
    for regime in model.regimes.values():
        if regime.funding is None or regime.funding_process is None:
            return no_reverting(*volatility.shape[:2])
        levels.append(regime.funding)
        reversions.append(regime.funding_process)
    return lower_reverting(levels, reversions, start, model.assets, columns, volatility, step)


def overlay_funding(effects: Sequence[object], assets: tuple[str, ...]) -> Floats:
    """(2, A): factor on the funding rate, and what is added to it, under effects in their order."""
    factor, added = np.ones(len(assets)), np.zeros(len(assets))
    for effect in effects:
        if isinstance(effect, Funding):
            factor = factor * effect.multiply
            added = added * effect.multiply + [value_of(effect.add, a, assets, 0.0) for a in assets]
    return np.stack([factor, added])
