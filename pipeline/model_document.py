"""A fit as a market model's plain data: annualised, named, ordered, and rounded to what a file keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.basis_fit import fit_basis
from pipeline.chain import stationary_law
from pipeline.correlation import smallest_eigenvalue
from pipeline.errors import DataError, Problem
from pipeline.figures import Bursts, Figures
from pipeline.funding_fit import PRIOR as FUNDING_PRIOR
from pipeline.funding_fit import FundingFit, fit_funding
from pipeline.history import Funding, Prices
from pipeline.model_file import DIGITS
from pipeline.regime_fit import RegimeFit
from pipeline.side_history import SideHistory
from pipeline.units import YEAR, format_duration, format_instant
from pipeline.volatility_fit import fit_implied_volatility
from pipeline.wick_fit import WAYS, WickFit

Floats = NDArray[np.float64]

REGIME_NAMES = {
    1: ("market",),
    2: ("calm", "crisis"),
    3: ("calm", "stressed", "crisis"),
    4: ("quiet", "calm", "stressed", "crisis"),
}
LEVEL_NAMES = {2: ("low", "high"), 3: ("low", "usual", "high"), 4: ("low", "usual", "high", "extreme")}
DRIFT_PRIOR = 0.5  # annualised: what mean drifts of assets are like before the window has been looked at


def model_document(
    fit: RegimeFit, prices: Prices, funding: Funding | None, wicks: WickFit | None
) -> dict[str, Any]:
    """Return the model as plain data: annualised, named and rounded."""
    figures = fit.figures
    names, assets = REGIME_NAMES[len(figures.nu)], prices.assets
    steps_a_year = YEAR / prices.step
    volatilities = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2) * steps_a_year)
    there = (~np.isnan(prices.log_returns())).astype(np.float64)
    years = fit.smoothed.sum(axis=1).T @ there / steps_a_year
    errors = (volatilities**2 + burst_variance(figures) * steps_a_year) / years
    law = stationary_law(figures.transitions)
    gain = burst_gain(figures) * steps_a_year  # what bursts bring is no part of a model's drift
    drifts = shrink_drifts(figures.means * steps_a_year + gain, errors, law) - gain
    rates = None if funding is None else _funding(fit, prices, funding)

    def by_asset(key: str, values: Floats) -> dict[str, float]:
        return {asset: _round(value, key) for asset, value in zip(assets, values, strict=True)}

    regimes: dict[str, Any] = {}
    for k, name in enumerate(names):
        regimes[name] = {
            "volatility": by_asset("volatility", volatilities[k]),
            "drift": by_asset("drift", drifts[k]),
            "correlation": _correlation(figures.scatter[k]),
            "tail": _round(figures.nu[k], "tail"),
        }
        if rates is not None:
            regimes[name]["funding"] = by_asset("funding", rates.level[k])
            regimes[name]["funding_process"] = {
                "half_life": {a: format_duration(h) for a, h in zip(assets, rates.half_life, strict=True)},
                "deviation": by_asset("deviation", rates.deviation[k]),
                "correlation": by_asset("correlation", rates.correlation),
                "common": _round(rates.common, "common"),
            }
        if wicks is not None:
            regimes[name]["wick"] = wick_document(wicks, k, assets)
    state = fit.next_state
    filtered = {"as_of": format_instant(prices.end), "law": named_law(state.sum(axis=0), names, "law")}
    document: dict[str, Any] = {
        "step": format_duration(prices.step),
        "assets": list(assets),
        "returns": "log",
        "initial": "filtered",
        "regimes": regimes,
        "transitions": _rows(figures.transitions, names),
        "filtered": filtered,
    }
    if len(figures.scales) > 1:
        level_names = LEVEL_NAMES[len(figures.scales)]
        scale = {name: _round(x, "levels") for name, x in zip(level_names, figures.scales, strict=True)}
        document["levels"] = {"scale": scale, "transitions": _rows(figures.level_transitions, level_names)}
        filtered["levels"] = {
            name: named_law(column / column.sum(), level_names, "law")
            for name, column in zip(names, state.T, strict=True)
        }
    if figures.bursts is not None:
        document["bursts"] = burst_document(figures.bursts, assets, steps_a_year)
    return document


def burst_document(bursts: Bursts, assets: Sequence[str], steps_a_year: float) -> list[dict[str, Any]]:
    """The `bursts:` of a model as plain data, rounded; at its rates a step has each as often as in `law`."""
    whole = float(bursts.law.sum())
    rates = -steps_a_year * np.log1p(-whole) * bursts.law / whole
    return [
        {
            "per_year": _round(rate, "per_year"),
            "move": {a: _round(x, "move") for a, x in zip(assets, move, strict=True) if x != 0.0},
            "spread": _round(spread, "spread"),
        }
        for rate, move, spread in zip(rates, bursts.moves, bursts.spread, strict=True)
    ]


def burst_gain(figures: Figures) -> Floats:
    """What bursts add to a step's returns on average, (A,)."""
    bursts, scale = figures.with_none(), stationary_law(figures.level_transitions) @ figures.scales
    return np.asarray(scale * bursts.law @ bursts.moves)


def burst_variance(figures: Figures) -> Floats:
    """What bursts add to the variance of a step's returns at scale 1, by regime and asset, (K, A)."""
    bursts, nu = figures.with_none(), figures.nu
    sizes = 1.0 + bursts.spread**2 * (nu / (nu - 2.0))[:, None]
    return np.asarray(sizes * bursts.law @ bursts.moves**2)


def add_state(
    document: dict[str, Any], key: str, history: SideHistory, fit: RegimeFit, prices: Prices
) -> None:
    """Write a state's law, fitted to its history, into the regimes of a model as plain data."""
    probabilities, returns = fit.smoothed.sum(axis=1), prices.log_returns()
    columns = [prices.assets.index(asset) for asset in history.assets]
    added = fit.added(returns)[:, :, columns]
    if key == "basis":
        found = fit_basis(prices.close[:, columns], history.close, probabilities, prices.step, added)
    else:
        found = fit_implied_volatility(
            history.close[1:], probabilities, returns[:, columns], prices.step, added
        )

    def by_asset(name: str, values: Floats) -> dict[str, float]:
        return {
            asset: _round(value, f"{key}_{name}") for asset, value in zip(history.assets, values, strict=True)
        }

    half_life = {a: format_duration(h) for a, h in zip(history.assets, found.half_life, strict=True)}
    for k, regime in enumerate(document["regimes"].values()):
        regime[key] = {
            "level": by_asset("level", found.level[k]),
            "half_life": half_life,
            "deviation": by_asset("deviation", found.deviation[k]),
            "correlation": by_asset("correlation", found.correlation),
            "common": _round(found.common, "common"),
        }


def draw_document(document: dict[str, Any]) -> dict[str, Any]:
    """What a draw keeps of a model as plain data: how funding moves about its levels stays the model's."""
    law = {key: value for key, value in document["filtered"].items() if key != "as_of"}
    kept = {key: document[key] for key in ("transitions", "levels", "bursts") if key in document}
    regimes = {
        name: {key: value for key, value in regime.items() if key != "funding_process"}
        for name, regime in document["regimes"].items()
    }
    return {"regimes": regimes} | kept | {"filtered": law}


def shrink_drifts(drifts: Floats, errors: Floats, law: Floats) -> Floats:
    """Pull drifts (K, A) by their squared errors (K, A): what a window tells of drifts is mostly noise.

    The mean over regimes, by their law (K,), is pulled to zero against DRIFT_PRIOR. What regimes differ by is
    pulled to zero against its own variance: that of the differences less that of their errors (empirical
    Bayes, as James and Stein), so that falls that come with high correlation stay where the data know them.
    """
    mean, mean_error = law @ drifts, law**2 @ errors
    apart = drifts - mean
    variance = max(0.0, float(np.mean(apart**2 - errors)))
    kept = variance / (variance + errors)
    return np.asarray(mean * DRIFT_PRIOR**2 / (DRIFT_PRIOR**2 + mean_error) + apart * kept)


def _rows(transitions: Floats, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """A chain by name, rounded."""
    return {
        name: named_law(row, names, "transitions", kept=k)
        for k, (name, row) in enumerate(zip(names, transitions, strict=True))
    }


def wick_document(wicks: WickFit, k: int, assets: Sequence[str]) -> dict[str, Any]:
    """The `wick:` of regime k as plain data, rounded."""
    return {
        name: {
            "common": _round(wicks.common[k, way], "common"),
            **{
                key: {
                    asset: _round(value, key)
                    for asset, value in zip(assets, getattr(wicks, key)[k, way], strict=True)
                }
                for key in ("probability", "scale", "tail", "lean")
            },
        }
        for way, name in enumerate(WAYS)
    }


def annual_rates(prices: Prices, funding: Funding) -> Floats:
    """Return the annualised funding rate over the bar of each return, (T - 1, A), NaN where unknown."""
    opens = prices.times[1:]
    return np.column_stack(
        [funding.settlements[asset].annualised(opens, prices.step) for asset in prices.assets]
    )


def _funding(fit: RegimeFit, prices: Prices, funding: Funding) -> FundingFit:
    """Return how annualised funding rates revert, by smoothed probability of the regimes; at least
    FUNDING_PRIOR of history is asked for."""
    rates = annual_rates(prices, funding)
    known = np.isfinite(rates)
    problems = [
        Problem(
            where=f"funding of {prices.assets[a]}",
            expected=f"at least {format_duration(FUNDING_PRIOR)} of history within the window of the prices",
            got=f"{known[:, a].sum() * (prices.step / timedelta(days=1)):.1f} days",
            fix="give a longer funding history, leave out the asset, or fit without funding",
        )
        for a in np.flatnonzero(known.sum(axis=0) < FUNDING_PRIOR / prices.step)
    ]
    if problems:
        raise DataError(problems)
    every = [
        timedelta(milliseconds=int(np.max(funding.settlements[asset].intervals) / np.timedelta64(1, "ms")))
        for asset in prices.assets
    ]
    returns = prices.log_returns()
    return fit_funding(rates, fit.smoothed.sum(axis=1), returns, prices.step, every, added=fit.added(returns))


def _correlation(scatter: Floats) -> list[list[float]]:
    """Return the correlation rounded, to more digits where rounding would cost positive definiteness."""
    deviations = np.sqrt(np.diag(scatter))
    exact = scatter / np.outer(deviations, deviations)
    digits = DIGITS["correlation"]
    while smallest_eigenvalue(rounded := np.round((exact + exact.T) / 2.0, digits)) < 0.0:
        digits += 2
    np.fill_diagonal(rounded, 1.0)
    rows: list[list[float]] = rounded.tolist()
    return rows


def named_law(law: Floats, names: Sequence[str], key: str, kept: int | None = None) -> dict[str, float]:
    """Return probabilities rounded to sum to 1; the one at `kept`, or the largest, takes the rest."""
    kept = int(np.argmax(law)) if kept is None else kept
    rounded = [Decimal(repr(_round(value, key))) for value in law]
    rounded[kept] += 1 - sum(rounded, Decimal(0))
    return {name: float(value) for name, value in zip(names, rounded, strict=True)}


def _round(value: float, key: str) -> float:
    return round(float(value), DIGITS[key]) + 0.0  # no minus zero
