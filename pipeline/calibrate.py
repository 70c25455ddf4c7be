"""From market history to a market model in a file.

The model fitted is a Markov-switching multivariate Student-t. It has no jumps: the heavy tails carry them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chain import mean_durations, stationary_law
from pipeline.correlation import smallest_eigenvalue
from pipeline.errors import DataError, Problem
from pipeline.history import Funding, Prices, load_funding, load_prices
from pipeline.model import MarketModel
from pipeline.model_file import DIGITS
from pipeline.regime_choice import RegimeChoice, bayesian_information, choose_regimes
from pipeline.regime_fit import Progress, RegimeFit, fit_regimes
from pipeline.units import YEAR, format_duration, format_instant
from pipeline.wick_fit import DEEPEST, WAYS, WickFit, fit_wicks

Floats = NDArray[np.float64]

REGIME_NAMES = {
    1: ("market",),
    2: ("calm", "crisis"),
    3: ("calm", "stressed", "crisis"),
    4: ("quiet", "calm", "stressed", "crisis"),
}
SHORTEST_REGIME = timedelta(days=1)  # a wild hour belongs to the tail of a regime, not to one of its own
DRIFT_PRIOR = 0.5  # annualised: what drifts of assets are like before the window has been looked at
FUNDING_PRIOR = timedelta(days=7)  # the weight of an asset's mean funding beside its mean in a regime


def calibrate_files(
    prices_path: Path | str,
    funding_path: Path | str | None,
    assets: Sequence[str],
    regimes: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    seed: int = 0,
    name: str | None = None,
    fitted_on: date | None = None,
    progress: Progress | None = None,
) -> MarketModel:
    """Load history from files and fit a market model to it; raises DataError with all problems found.

    See load_prices, load_funding and calibrate. fitted_on is the date written into the model, else today.
    """
    problems: list[Problem] = []
    prices, funding = None, None
    try:
        prices = load_prices(prices_path, assets, start, end)
    except DataError as error:
        problems += error.problems
    if funding_path is not None:
        try:
            funding = load_funding(funding_path, assets)
        except DataError as error:
            problems += error.problems
    if prices is None or problems:
        raise DataError(problems)
    return calibrate(prices, funding, regimes, seed, name=name, fitted_on=fitted_on, progress=progress)


def calibrate(
    prices: Prices,
    funding: Funding | None = None,
    regimes: int | None = None,
    seed: int = 0,
    starts: int = 4,
    name: str | None = None,
    fitted_on: date | None = None,
    progress: Progress | None = None,
) -> MarketModel:
    """Fit a market model to prices, rounded to what they support; its step is that of the prices.

    regimes is 1 to 4, or None to choose among 2, 3 and 4 by held-out likelihood. No regime lasts less than
    SHORTEST_REGIME on average. Drifts are pulled to zero by their errors against DRIFT_PRIOR. Funding is
    the mean annualised rate weighted by P(regime | all prices); without its history it is not modelled.
    Wicks are fitted where prices have highs and lows.
    """
    if regimes is not None and regimes not in REGIME_NAMES:
        fix = "choose one of them, or let held-out likelihood choose"
        raise DataError([Problem("regimes", "a number from 1 to 4", str(regimes), fix)])
    returns = prices.log_returns()
    shortest = max(1.0, SHORTEST_REGIME / prices.step)
    choice: RegimeChoice | None = None
    if regimes is None:
        choice = choose_regimes(returns, (2, 3, 4), seed, starts, shortest=shortest, progress=progress)
        fit = choice.fits[choice.regimes]
    else:
        fit = fit_regimes(returns, regimes, seed, starts, shortest, progress)
    wicks = None if prices.high is None else fit_wicks(prices, fit, seed)
    document = _document(fit, prices, funding, wicks)
    settings = {"seed": seed, "starts": starts, "shortest_regime": format_duration(SHORTEST_REGIME)}
    document["calibration"] = _metadata(fit, choice, prices, funding, fitted_on) | settings
    if wicks is not None:
        document["calibration"]["wicks"] = describe_wicks(wicks)
    if name is not None:
        document["name"] = name
    return MarketModel.model_validate(document)


def _document(
    fit: RegimeFit, prices: Prices, funding: Funding | None, wicks: WickFit | None
) -> dict[str, Any]:
    """Return the model as plain data: annualised, named and rounded."""
    names, assets = REGIME_NAMES[len(fit.nu)], prices.assets
    steps_a_year = YEAR / prices.step
    volatilities = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2) * steps_a_year)
    observed = ~np.isnan(prices.log_returns()).any(axis=-1)
    years = fit.smoothed[observed].sum(axis=0)[:, None] / steps_a_year
    errors = volatilities**2 / years
    drifts = fit.means * steps_a_year * DRIFT_PRIOR**2 / (DRIFT_PRIOR**2 + errors)
    rates = None if funding is None else _funding(fit, prices, funding)

    def by_asset(key: str, values: Floats) -> dict[str, float]:
        return {asset: _round(value, key) for asset, value in zip(assets, values, strict=True)}

    regimes: dict[str, Any] = {}
    for k, name in enumerate(names):
        regimes[name] = {
            "volatility": by_asset("volatility", volatilities[k]),
            "drift": by_asset("drift", drifts[k]),
            "correlation": _correlation(fit.scatter[k]),
            "tail": _round(fit.nu[k], "tail"),
        }
        if rates is not None:
            regimes[name]["funding"] = by_asset("funding", rates[k])
        if wicks is not None:
            regimes[name]["wick"] = wick_document(wicks, k, assets)
    return {
        "step": format_duration(prices.step),
        "assets": list(assets),
        "returns": "log",
        "initial": "filtered",
        "filtered": {
            "as_of": format_instant(prices.end),
            "law": _law(fit.filtered[-1] @ fit.transitions, names, "law"),
        },
        "transitions": {
            name: _law(row, names, "transitions", kept=k)
            for k, (name, row) in enumerate(zip(names, fit.transitions, strict=True))
        },
        "regimes": regimes,
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
                for key in ("probability", "scale", "tail")
            },
        }
        for way, name in enumerate(WAYS)
    }


def describe_wicks(wicks: WickFit) -> dict[str, Any]:
    """What the wicks rest on: bars with highs and lows, and how many depths were cut as too deep."""
    return {"bars": wicks.bars, "deeper_than": round(DEEPEST, 4), "cut_there": wicks.cut}


def _metadata(
    fit: RegimeFit,
    choice: RegimeChoice | None,
    prices: Prices,
    funding: Funding | None,
    fitted_on: date | None,
) -> dict[str, Any]:
    """Return what the fit rests on and how well it does."""
    names = REGIME_NAMES[len(fit.nu)]
    returns = prices.log_returns()
    missing = int(np.isnan(returns).any(axis=-1).sum())
    observed = len(returns) - missing
    hours = prices.step / timedelta(hours=1)
    law = stationary_law(fit.transitions)
    durations = mean_durations(fit.transitions) * hours
    metadata: dict[str, Any] = {
        "method": "Markov-switching multivariate Student-t by ECM; correlations and drifts shrunk; no jumps",
        "fitted_on": (fitted_on or datetime.now(UTC).date()).isoformat(),
        "window": {"start": format_instant(prices.start), "end": format_instant(prices.end)},
        "returns": {"observed": observed, "missing": missing},
        "prices": [asdict(source) for source in prices.sources],
        "log_likelihood": round(fit.log_likelihood, 1),
        "bic": {str(len(names)): round(bayesian_information(fit, observed), 1)},
        "stationary_law": _law(law, names, "law"),
        "mean_duration_hours": {
            name: round(float(value), 1) if np.isfinite(value) else None
            for name, value in zip(names, durations, strict=True)
        },
        "correlation_shrinkage": {
            name: round(float(value), 4) for name, value in zip(names, fit.shrinkage, strict=True)
        },
        "drift_prior": DRIFT_PRIOR,
    }
    if choice is not None:
        metadata["bic"] = {str(number): round(value, 1) for number, value in choice.bic.items()}
        metadata["held_out_log_likelihood"] = {
            str(number): round(value, 1) for number, value in choice.held_out.items()
        }
    if funding is not None:
        metadata["funding"] = [asdict(source) for source in funding.sources]
        metadata["funding_days"] = {
            asset: round(float(np.isfinite(rates).sum() * hours / 24.0), 1)
            for asset, rates in zip(prices.assets, _rates(prices, funding).T, strict=True)
        }
    return metadata


def _rates(prices: Prices, funding: Funding) -> Floats:
    """Return the annualised funding rate over the bar of each return, (T - 1, A), NaN where unknown."""
    opens = prices.times[1:]
    return np.column_stack(
        [funding.settlements[asset].annualised(opens, prices.step) for asset in prices.assets]
    )


def _funding(fit: RegimeFit, prices: Prices, funding: Funding) -> Floats:
    """Return the mean annualised funding rate by regime and asset, (K, A).

    It is weighted by smoothed probability; the asset's mean over all regimes weighs FUNDING_PRIOR beside it,
    so that a regime with little funding history says little of its own.
    """
    rates = _rates(prices, funding)
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
    paid = np.where(known, rates, 0.0)
    mean = paid.sum(axis=0) / known.sum(axis=0)
    prior = FUNDING_PRIOR / prices.step
    return np.asarray((fit.smoothed.T @ paid + prior * mean) / (fit.smoothed.T @ known + prior))


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


def _law(law: Floats, names: Sequence[str], key: str, kept: int | None = None) -> dict[str, float]:
    """Return probabilities rounded to sum to 1; the one at `kept`, or the largest, takes the rest."""
    kept = int(np.argmax(law)) if kept is None else kept
    rounded = [Decimal(repr(_round(value, key))) for value in law]
    rounded[kept] += 1 - sum(rounded, Decimal(0))
    return {name: float(value) for name, value in zip(names, rounded, strict=True)}


def _round(value: float, key: str) -> float:
    return round(float(value), DIGITS[key]) + 0.0  # no minus zero
