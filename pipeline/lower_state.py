"""From what a model says of a state beside prices to the arrays of `kernels.structs.Reverting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import expm1, log, log1p, nan, sqrt
from typing import NamedTuple

import numpy as np

from kernels.structs import Floats, Integers, Reverting
from pipeline.effects import Funding, value_of
from pipeline.market_state import MarketState
from pipeline.model import MarketModel
from pipeline.regime import Regime
from pipeline.reversion import Reversion, RevertingState


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
        asset=np.arange(len(columns)),
        column=np.array(columns, np.int64),
        start=np.array([start.get(a, nan) for a in names], np.float64),
        level=by_regime(levels),
        deviation=deviation,
        kept=2.0**-halvings,
        tied=tied,
        apart=np.where(moves, np.sqrt(1.0 - rho**2), 1.0) * shock,
        common=np.array([r.common for r in reversions], np.float64),
    )


class Shock(NamedTuple):
    """One step's shock of an asset's state: times the noise of its return, a normal that all assets have in
    common, one of its own."""

    tied: float
    pooled: float
    own: float


def shock_of(state: Reversion, asset: str, step: timedelta, deviation: float) -> Shock:
    """What comes to a state over a step; `deviation` is that of the asset's return over it."""
    size = state.deviation[asset] * sqrt(-expm1(-2.0 * log(2.0) * (step / state.half_life[asset])))
    rho = state.correlation[asset] if deviation > 0.0 else 0.0
    apart = sqrt(1.0 - rho**2) * size
    tied = rho * size / deviation if deviation > 0.0 else 0.0
    return Shock(tied, sqrt(state.common) * apart, sqrt(1.0 - state.common) * apart)


def has_basis(model: MarketModel) -> bool:
    """Whether perpetuals have prices of their own in the model."""
    return any(regime.basis is not None for regime in model.regimes.values())


def basis_of(regime: Regime) -> RevertingState:
    """A regime's basis; one that stays at nothing where it has none."""
    if regime.basis is not None:
        return regime.basis
    nothing = dict.fromkeys(regime.volatility, 0.0)
    days = dict.fromkeys(regime.volatility, timedelta(days=1))
    return RevertingState(level=nothing, half_life=days, deviation=nothing, correlation=nothing)


def lower_basis(
    model: MarketModel, state: MarketState | None, columns: Integers, step: timedelta, loadings: int
) -> Reverting:
    """The law of the basis of perpetuals on these assets of the model; its shocks are in the loadings."""
    laws = [basis_of(regime) for regime in model.regimes.values()]
    if not len(columns):
        return no_reverting(loadings, len(laws))
    known = {} if state is None else {asset: log1p(basis) for asset, basis in state.basis.items()}
    apart = np.zeros((loadings, len(laws), len(columns)))
    return lower_reverting([law.level for law in laws], laws, known, model.assets, columns, apart, step)


def no_reverting(loadings: int, regimes: int) -> Reverting:
    """The law of a state that nobody has."""
    nobody, none = np.zeros(0, np.int64), np.zeros((regimes, 0))
    by_loading = np.zeros((loadings, regimes, 0))
    return Reverting(nobody, nobody, np.zeros(0), none, none, none, by_loading, by_loading, np.zeros(regimes))


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


def lower_implied(
    model: MarketModel, state: MarketState | None, columns: Integers, volatility: Floats, step: timedelta
) -> Reverting:
    """The law of log implied volatilities, of the underlyings among the assets simulated."""
    laws = [r.implied_volatility for r in model.regimes.values() if r.implied_volatility is not None]
    of = [i for i, column in enumerate(columns) if laws and model.assets[column] in laws[0].level]
    if not of:
        return no_reverting(*volatility.shape[:2])
    levels = [{asset: log(level) for asset, level in law.level.items()} for law in laws]
    known = {} if state is None else {a: log(seen) for a, seen in state.implied_volatility.items()}
    law = lower_reverting(levels, laws, known, model.assets, columns[of], volatility[..., of], step)
    return law._replace(asset=np.array(of, np.int64))


def overlay_funding(effects: Sequence[object], assets: tuple[str, ...]) -> Floats:
    """(2, A): factor on the funding rate, and what is added to it, under effects in their order."""
    factor, added = np.ones(len(assets)), np.zeros(len(assets))
    for effect in effects:
        if isinstance(effect, Funding):
            factor = factor * effect.multiply
            added = added * effect.multiply + [value_of(effect.add, a, assets, 0.0) for a in assets]
    return np.stack([factor, added])
