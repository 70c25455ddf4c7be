"""From market history to a market model in a file.

The model fitted is a Markov-switching multivariate Student-t whose volatility has levels. It has no jumps:
the heavy tails carry them.
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
from pipeline.funding_fit import PRIOR as FUNDING_PRIOR
from pipeline.funding_fit import FundingFit, fit_funding
from pipeline.history import Funding, Prices, load_funding, load_prices
from pipeline.model import MarketModel
from pipeline.model_file import DIGITS
from pipeline.parameter_draws import cut_block, draw_fits
from pipeline.regime_choice import RegimeChoice, bayesian_information, choose_regimes
from pipeline.regime_climb import Shortest
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
LEVEL_NAMES = {2: ("low", "high"), 3: ("low", "usual", "high"), 4: ("low", "usual", "high", "extreme")}
MOST_LEVELS = max(LEVEL_NAMES)
SHORTEST_LEVEL = timedelta(days=3)  # levels are for what regimes of hours forget: how loud this month is
LEVELS_FROM = timedelta(days=365)  # a window without seasons has no levels to tell apart
DRIFT_PRIOR = 0.5  # annualised: what mean drifts of assets are like before the window has been looked at
METHOD = "switching multivariate Student-t with levels, by ECM; correlations and drifts shrunk; no jumps"
DRAWN_BLOCK = timedelta(days=28)  # hours that draws weigh together: longer than storms and most levels last


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
    draws: int = 0,
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
    return calibrate(
        prices, funding, regimes, seed, name=name, fitted_on=fitted_on, draws=draws, progress=progress
    )


def calibrate(
    prices: Prices,
    funding: Funding | None = None,
    regimes: int | None = None,
    seed: int = 0,
    starts: int = 4,
    name: str | None = None,
    fitted_on: date | None = None,
    draws: int = 0,
    progress: Progress | None = None,
) -> MarketModel:
    """Fit a market model to prices, rounded to what they support; its step is that of the prices.

    regimes is 1 to 4, or None to choose among 2, 3 and 4 by held-out likelihood. A window of LEVELS_FROM has
    up to four levels, none of them shorter than SHORTEST_LEVEL on average; a shorter one has none. Drifts
    are as `shrink_drifts` has them. Funding reverts to its mean annualised rate in each regime
    (`pipeline.funding_fit`); without its history it is not modelled. Wicks are fitted where prices have highs
    and lows.
    draws: how often the figures are drawn anew, see `pipeline.parameter_draws`; 0 or 2 and more.
    """
    if draws < 0 or draws == 1:
        fix = "32 say enough, 0 leaves them out"
        raise DataError([Problem("draws", "0, or 2 and more", str(draws), fix)])
    if regimes is not None and regimes not in REGIME_NAMES:
        fix = "choose one of them, or let held-out likelihood choose"
        raise DataError([Problem("regimes", "a number from 1 to 4", str(regimes), fix)])
    returns = prices.log_returns()
    levels = MOST_LEVELS if prices.end - prices.start >= LEVELS_FROM else 1
    shortest = Shortest(level=max(1.0, SHORTEST_LEVEL / prices.step))
    choice: RegimeChoice | None = None
    if regimes is None:
        choice = choose_regimes(returns, (2, 3, 4), seed, starts, 5, shortest, levels, progress)
        fit = choice.fits[choice.regimes]
    else:
        fit = fit_regimes(returns, regimes, seed, starts, shortest, levels, progress)
    wicks = None if prices.high is None else fit_wicks(prices, fit, seed)
    document = _document(fit, prices, funding, wicks)
    settings = {"seed": seed, "starts": starts, "shortest_level": format_duration(SHORTEST_LEVEL)}
    document["calibration"] = _metadata(fit, choice, prices, funding, fitted_on) | settings
    if wicks is not None:
        document["calibration"]["wicks"] = describe_wicks(wicks)
    if name is not None:
        document["name"] = name
    if draws:
        block = max(1, DRAWN_BLOCK // prices.step)
        document["parameter_draws"] = []
        for number, drawn in enumerate(draw_fits(returns, fit, draws, seed, block, shortest)):
            document["parameter_draws"].append(_draw(_document(drawn, prices, funding, None)))
            if progress is not None:
                progress(f"draw {number + 1} of {draws}")
        block = cut_block(len(returns), block)
        document["calibration"]["draws"] = {"number": draws, "block": format_duration(block * prices.step)}
    return MarketModel.model_validate(document)


def _document(
    fit: RegimeFit, prices: Prices, funding: Funding | None, wicks: WickFit | None
) -> dict[str, Any]:
    """Return the model as plain data: annualised, named and rounded."""
    figures = fit.figures
    names, assets = REGIME_NAMES[len(figures.nu)], prices.assets
    steps_a_year = YEAR / prices.step
    volatilities = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2) * steps_a_year)
    there = (~np.isnan(prices.log_returns())).astype(np.float64)
    years = fit.smoothed.sum(axis=1).T @ there / steps_a_year
    drifts = shrink_drifts(
        figures.means * steps_a_year, volatilities**2 / years, stationary_law(figures.transitions)
    )
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
    filtered = {"as_of": format_instant(prices.end), "law": _law(state.sum(axis=0), names, "law")}
    document = {
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
            name: _law(column / column.sum(), level_names, "law")
            for name, column in zip(names, state.T, strict=True)
        }
    return document


def _draw(document: dict[str, Any]) -> dict[str, Any]:
    """What a draw keeps of a model as plain data: how funding moves about its levels stays the model's."""
    law = {key: value for key, value in document["filtered"].items() if key != "as_of"}
    kept = {key: document[key] for key in ("transitions", "levels") if key in document}
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
        name: _law(row, names, "transitions", kept=k)
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
    figures = fit.figures
    names = REGIME_NAMES[len(figures.nu)]
    returns = prices.log_returns()
    there = ~np.isnan(returns)
    observed = int(there.any(axis=-1).sum())
    hours = prices.step / timedelta(hours=1)
    law = stationary_law(figures.transitions)
    durations = mean_durations(figures.transitions) * hours
    metadata: dict[str, Any] = {
        "method": METHOD,
        "fitted_on": (fitted_on or datetime.now(UTC).date()).isoformat(),
        "window": {"start": format_instant(prices.start), "end": format_instant(prices.end)},
        "returns": {"observed": observed, "missing": len(returns) - observed},
        "returns_of": {
            asset: int(count) for asset, count in zip(prices.assets, there.sum(axis=0), strict=True)
        },
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
    if len(figures.scales) > 1:
        level_names = LEVEL_NAMES[len(figures.scales)]
        metadata["stationary_levels"] = _law(stationary_law(figures.level_transitions), level_names, "law")
        metadata["mean_level_days"] = {
            name: round(float(value) * hours / 24.0, 1)
            for name, value in zip(level_names, mean_durations(figures.level_transitions), strict=True)
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


def _funding(fit: RegimeFit, prices: Prices, funding: Funding) -> FundingFit:
    """Return how annualised funding rates revert, by smoothed probability of the regimes; at least
    FUNDING_PRIOR of history is asked for."""
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
    return fit_funding(rates, fit.smoothed.sum(axis=1), prices.log_returns(), prices.step)


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
