"""From market history to a market model in a file.

The model fitted is a Markov-switching multivariate Student-t whose volatility has levels, and which bursts
may come to. It has no jumps within the step: heavy tails and bursts carry them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chain import mean_durations, stationary_law
from pipeline.errors import DataError, Problem
from pipeline.figures import Shortest
from pipeline.history import Funding, Prices, load_funding, load_prices, load_some_prices
from pipeline.model import MarketModel
from pipeline.model_document import (
    DRIFT_PRIOR,
    LEVEL_NAMES,
    REGIME_NAMES,
    add_state,
    annual_rates,
    draw_document,
    model_document,
    named_law,
)
from pipeline.parameter_draws import cut_block, draw_fits
from pipeline.regime_choice import RegimeChoice, bayesian_information, choose_regimes
from pipeline.regime_fit import Progress, RegimeFit, fit_regimes
from pipeline.side_history import SideHistory, check_percent, lay_beside
from pipeline.units import format_duration, format_instant
from pipeline.wick_fit import DEEPEST, WickFit, fit_wicks

Floats = NDArray[np.float64]

MOST_LEVELS = max(LEVEL_NAMES)
SHORTEST_LEVEL = timedelta(days=2)  # levels are for what regimes of hours forget: how loud this month is
LEVELS_FROM = timedelta(days=365)  # a window without seasons has no levels to tell apart
METHOD = "switching multivariate Student-t with levels and bursts, by ECM; correlations and drifts shrunk"
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
    spot_path: Path | str | None = None,
    index_path: Path | str | None = None,
    progress: Progress | None = None,
) -> MarketModel:
    """Load history from files and fit a market model to it; raises DataError with all problems found.

    See load_prices, load_funding and calibrate. fitted_on is the date written into the model, else today.
    index_path: an index of implied volatility, in percent, of those of the assets that it has.
    """
    loaded: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, load in (
        ("prices", lambda: load_prices(prices_path, assets, start, end)),
        ("funding", lambda: None if funding_path is None else load_funding(funding_path, assets)),
        ("spot", lambda: None if spot_path is None else load_prices(spot_path, assets)),
        ("index", lambda: None if index_path is None else load_some_prices(index_path, assets)),
    ):
        try:
            loaded[key] = load()
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return calibrate(
        **loaded, regimes=regimes, seed=seed, name=name, fitted_on=fitted_on, draws=draws, progress=progress
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
    spot: Prices | None = None,
    index: Prices | None = None,
    progress: Progress | None = None,
) -> MarketModel:
    """Fit a market model to prices, rounded to what they support; its step is that of the prices.

    regimes is 1 to 4, or None to choose among 2, 3 and 4 by held-out likelihood. A window of LEVELS_FROM has
    up to four levels, none of them shorter than SHORTEST_LEVEL on average; a shorter one has none. Drifts
    are as `shrink_drifts` has them. Funding reverts to its mean annualised rate in each regime
    (`pipeline.funding_fit`); without its history it is not modelled. With `spot`, the prices of the same
    assets, `prices` are perpetuals', and the basis between them is fitted (`pipeline.basis_fit`); with
    `index`, closes in percent of some of the assets, implied volatility (`pipeline.volatility_fit`). Wicks
    are fitted where prices have highs and lows.
    draws: how often the figures are drawn anew, see `pipeline.parameter_draws`; 0 or 2 and more.
    """
    if draws < 0 or draws == 1:
        fix = "32 say enough, 0 leaves them out"
        raise DataError([Problem("draws", "0, or 2 and more", str(draws), fix)])
    if regimes is not None and regimes not in REGIME_NAMES:
        fix = "choose one of them, or let held-out likelihood choose"
        raise DataError([Problem("regimes", "a number from 1 to 4", str(regimes), fix)])
    returns = prices.log_returns()
    beside = _beside(prices, spot, index)
    levels = MOST_LEVELS if prices.end - prices.start >= LEVELS_FROM else 1
    shortest = Shortest(level=max(1.0, SHORTEST_LEVEL / prices.step))
    choice: RegimeChoice | None = None
    if regimes is None:
        choice = choose_regimes(returns, (2, 3, 4), seed, starts, 5, shortest, levels, progress)
        regimes = choice.regimes
    fit = fit_regimes(returns, regimes, seed, starts, shortest, levels, progress, bursts=True)
    wicks = None if prices.high is None else fit_wicks(prices, fit, seed)
    document = model_document(fit, prices, funding, wicks)
    for key, history in beside.items():
        add_state(document, key, history, fit, prices)
    settings = {"seed": seed, "starts": starts, "shortest_level": format_duration(SHORTEST_LEVEL)}
    document["calibration"] = _metadata(fit, choice, prices, funding, fitted_on) | settings
    for key, history in beside.items():
        document["calibration"][key] = [asdict(source) for source in history.sources]
        document["calibration"][f"{key}_days"] = history.days(prices.step)
    if wicks is not None:
        document["calibration"]["wicks"] = describe_wicks(wicks)
    if name is not None:
        document["name"] = name
    if draws:
        block = max(1, DRAWN_BLOCK // prices.step)
        document["parameter_draws"] = []
        for number, drawn in enumerate(draw_fits(returns, fit, draws, seed, block, shortest)):
            drawn_document = draw_document(model_document(drawn, prices, funding, None))
            if "bursts" in document:
                drawn_document.setdefault("bursts", [])
            document["parameter_draws"].append(drawn_document)
            if progress is not None:
                progress(f"draw {number + 1} of {draws}")
        block = cut_block(len(returns), block)
        document["calibration"]["draws"] = {"number": draws, "block": format_duration(block * prices.step)}
    return MarketModel.model_validate(document)


def _beside(prices: Prices, spot: Prices | None, index: Prices | None) -> dict[str, SideHistory]:
    """By key of a regime, what is given beside the prices, on their bars; DataError with all problems."""
    found: dict[str, SideHistory] = {}
    problems: list[Problem] = []
    for key, given in (("basis", spot), ("implied_volatility", index)):
        if given is not None:
            try:
                history = lay_beside(prices, given, "spot prices" if key == "basis" else "implied volatility")
                found[key] = history if key == "basis" else check_percent(history)
            except DataError as error:
                problems += error.problems
    if problems:
        raise DataError(problems)
    return found


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
        "bic": {},
        "stationary_law": named_law(law, names, "law"),
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
        metadata["stationary_levels"] = named_law(
            stationary_law(figures.level_transitions), level_names, "law"
        )
        metadata["mean_level_days"] = {
            name: round(float(value) * hours / 24.0, 1)
            for name, value in zip(level_names, mean_durations(figures.level_transitions), strict=True)
        }
    if choice is not None:  # made without bursts
        metadata["bic"] = {str(number): round(value, 1) for number, value in choice.bic.items()}
        metadata["held_out_log_likelihood"] = {
            str(number): round(value, 1) for number, value in choice.held_out.items()
        }
    chosen = str(len(names)) + ("" if figures.bursts is None else " with bursts")
    metadata["bic"][chosen] = round(bayesian_information(fit, observed), 1)
    if funding is not None:
        metadata["funding"] = [asdict(source) for source in funding.sources]
        metadata["funding_days"] = {
            asset: round(float(np.isfinite(rates).sum() * hours / 24.0), 1)
            for asset, rates in zip(prices.assets, annual_rates(prices, funding).T, strict=True)
        }
    return metadata
