"""Calibration of a market whose figures are known, a hundred times over: bias, spread, stated errors.

Twelve minutes of CPU: `python -m pytest -m slow -s tests/pipeline/test_recovery.py`. It prints the
table of docs/calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from pipeline.calibrate import SHORTEST_LEVEL
from pipeline.figures import Figures, Shortest
from pipeline.funding_fit import FundingFit, fit_funding
from pipeline.parameter_draws import draw_fits
from pipeline.regime_fit import RegimeFit, fit_regimes
from pipeline.wick_fit import WickFit, fit_wicks
from tests.pipeline import known_market
from tests.pipeline.known_market import ASSETS, HOUR, YEARS, History, Reverting, draw_history

Floats = NDArray[np.float64]

REPETITIONS = 100
HOURS = 6_000
DRAWS, BLOCK = 16, 28 * 24
SHORTEST = Shortest(level=SHORTEST_LEVEL / HOUR)
PAIRS = ((0, 1), (0, 2), (1, 2))
REGIMES, LEVELS, WAYS = ("calm", "crisis"), ("low", "high"), ("down", "up")
CHANCE = 4.0  # standard errors of a mean that a bias is put down to

SCALES: dict[str, Callable[[Floats], Floats]] = {  # on which figures of draws are near normal
    "volatility": np.log,
    "correlation": np.arctanh,
    "tail": np.log,
    "leaving": lambda p: np.log(p / (1.0 - p)),
    "leaving level": lambda p: np.log(p / (1.0 - p)),
    "level": np.log,
    "drift": np.asarray,
    "burst rate": np.log,
    "burst move": np.asarray,
}
NEVER = 1.0  # a year: the rate of a burst that was not found


class Known(NamedTuple):
    """A figure: its family and name, what is true, and the bias that is known of and put up with."""

    family: str
    name: str
    true: float
    bias: float


def list_known() -> Iterator[Known]:
    """Every figure of the market, in the order of `read_figures`."""
    market = known_market
    for k, regime in enumerate(REGIMES):
        for a, asset in enumerate(ASSETS):
            yield Known("volatility", f"{regime} {asset}", market.VOLATILITY[k, a], 0.0)
    for k, regime in enumerate(REGIMES):
        for number, (a, b) in enumerate(PAIRS):
            name = f"{regime} {ASSETS[a]}-{ASSETS[b]}"
            yield Known("correlation", name, market.CORRELATION[k, number], 0.0)
    for k, regime in enumerate(REGIMES):
        yield Known("tail", regime, market.NU[k], 0.0)
    for k, regime in enumerate(REGIMES):
        yield Known("leaving", regime, 1.0 - market.TRANSITIONS[k, k], 0.0)
    for m, level in enumerate(LEVELS):
        yield Known("leaving level", level, 1.0 - market.LEVEL_TRANSITIONS[m, m], 0.0)
    for m, level in enumerate(LEVELS):
        yield Known("level", level, market.SCALES[m], 0.0)
    for k, regime in enumerate(REGIMES):
        for a, asset in enumerate(ASSETS):
            yield Known("drift", f"{regime} {asset}", market.DRIFT[k, a], 0.0)
    names = ("fall of all", f"rise of {ASSETS[-1]}")
    for name, rate in zip(names, market.BURSTS_A_YEAR, strict=True):
        yield Known("burst rate", name, rate, 0.0)
    for name, move in zip(names, market.BURST_MOVES, strict=True):
        for asset, value in zip(ASSETS, move, strict=True):
            if value:
                yield Known("burst move", f"{name}: {asset}", value, 0.0)
    for key in ("probability", "scale", "tail", "lean"):
        for k, regime in enumerate(REGIMES):
            for way, law in zip(WAYS, market.WICKS, strict=True):
                for a, asset in enumerate(ASSETS):
                    true = getattr(law, key)[k, a]
                    # a tail is never below 0, and what it lacks the scale makes up for
                    bias = {"probability": 0.0, "scale": 0.1 * true, "tail": 0.05, "lean": 0.05}[key]
                    yield Known(f"wick {key}", f"{regime} {way} {asset}", true, bias)
    for k, regime in enumerate(REGIMES):
        for way, law in zip(WAYS, market.WICKS, strict=True):
            yield Known("wick common", f"{regime} {way}", law.common[k], 0.0)
    for state, of in (("funding", market.FUNDING), ("basis", market.BASIS)):
        yield from _list_reverting(state, of)


def _list_reverting(state: str, of: Reverting) -> Iterator[Known]:
    """A state's figures. Its prior pulls regimes together: the crisis has 83 days of 250, the prior is 7."""
    apart = np.abs(np.diff(of.level, axis=0))[0]
    for k, regime in enumerate(REGIMES):
        for a, asset in enumerate(ASSETS):
            yield Known(f"{state} level", f"{regime} {asset}", of.level[k, a], 0.15 * apart[a])
    for k, regime in enumerate(REGIMES):
        for a, asset in enumerate(ASSETS):
            true = of.deviation[k, a]
            yield Known(f"{state} deviation", f"{regime} {asset}", true, 0.2 * true)
    for a, asset in enumerate(ASSETS):
        yield Known(f"{state} half-life", asset, of.half_life[a], 0.1 * of.half_life[a])
    for a, asset in enumerate(ASSETS):
        yield Known(f"{state} correlation", asset, of.correlation[a], 0.03)
    yield Known(f"{state} common", "all", of.common, 0.03)


def read_regimes(fit: RegimeFit) -> Floats:
    """The figures that draws have too, with drifts as they are before they are pulled to zero."""
    figures = fit.figures
    deviations = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2))
    correlation = fit.covariances / (deviations[:, :, None] * deviations[:, None, :])
    return np.concatenate(
        [
            (deviations / np.sqrt(YEARS)).ravel(),
            np.array([[matrix[pair] for pair in PAIRS] for matrix in correlation]).ravel(),
            figures.nu,
            1.0 - np.diag(figures.transitions),
            1.0 - np.diag(figures.level_transitions),
            figures.scales,
            (figures.means / YEARS).ravel(),
            *read_bursts(figures),
        ]
    )


def read_bursts(figures: Figures) -> tuple[Floats, Floats]:
    """Rates a year of the fall of all and of the rise of the last asset; and their moves."""
    bursts = figures.with_none()
    whole = bursts.law[1:].sum()
    rates = bursts.law / max(whole, 1e-9) * -np.log1p(-whole) / YEARS
    moved = np.count_nonzero(bursts.moves, axis=1)
    kinds = moved == len(ASSETS), (moved == 1) & (bursts.moves[:, -1] > 0.0)
    rate, move = np.full(2, NEVER), np.zeros((2, len(ASSETS)))
    for i, which in enumerate(map(np.flatnonzero, kinds)):
        if len(which):
            rate[i], move[i] = rates[which[0]], bursts.moves[which[0]]
    return rate, np.r_[move[0], move[1, -1]]


def read_wicks(wicks: WickFit) -> Floats:
    laws = (wicks.probability, wicks.scale, wicks.tail, wicks.lean, wicks.common)
    return np.concatenate([each.ravel() for each in laws])


def read_state(state: FundingFit) -> Floats:
    hours = [half_life / HOUR for half_life in state.half_life]
    parts = (state.level.ravel(), state.deviation.ravel(), hours, state.correlation, [state.common])
    return np.concatenate(parts)


def calibrate(history: History, seed: int) -> tuple[RegimeFit, Floats]:
    """A fit from two cold starts, as from a person's files, and all figures found."""
    prices = history.prices
    returns = prices.log_returns()
    fit = fit_regimes(returns, 2, seed, starts=2, shortest=SHORTEST, levels=2, bursts=True)
    regimes = fit.smoothed.sum(axis=1)
    added = fit.added(returns)
    states = [
        fit_funding(each, regimes, returns, HOUR, added=added) for each in (history.funding, history.basis)
    ]
    found = [read_regimes(fit), read_wicks(fit_wicks(prices, fit, seed)), *map(read_state, states)]
    return fit, np.concatenate(found)


def covers(known: list[Known], found: Floats, drawn: Floats) -> NDArray[np.bool_]:
    """Whether each figure's 95 % interval, from the deviation of the draws (D, n), holds the truth."""
    reach = student.ppf(0.975, len(drawn) - 1)
    held = []
    for each, value, values in zip(known, found, drawn.T, strict=False):
        scale = SCALES[each.family]
        spread = np.std(scale(values), ddof=1)
        held.append(abs(scale(np.array(value)) - scale(np.array(each.true))) <= reach * spread)
    return np.array(held)


class Repeated(NamedTuple):
    """Of every figure: what was found on average, its spread, and how far the mean may be from the truth; for
    those that draws have, coverage and the error that they state, on average."""

    mean: Floats
    spread: Floats
    reach: Floats
    coverage: Floats
    stated: Floats


@pytest.fixture(scope="module")
def repeated() -> Repeated:
    """A hundred histories, each fitted with its draws."""
    known = list(list_known())
    found, held, stated = [], [], []
    for seed in range(REPETITIONS):
        history = draw_history(HOURS, seed, bursts=True)
        fit, figures = calibrate(history, seed)
        returns = history.prices.log_returns()
        drawn = np.array(
            [read_regimes(each) for each in draw_fits(returns, fit, DRAWS, seed, BLOCK, SHORTEST)]
        )
        found.append(figures)
        held.append(covers(known, figures, drawn))
        stated.append(drawn.std(axis=0, ddof=1))
    values = np.array(found)
    assert values.shape == (REPETITIONS, len(known))
    rates = [n for n, each in enumerate(known) if each.family == "burst rate"]
    assert ((values[:, rates] > NEVER).mean(axis=0) >= 0.95).all()
    spread = values.std(axis=0, ddof=1)
    reach = np.maximum(CHANCE * spread / np.sqrt(REPETITIONS), [each.bias for each in known])
    return Repeated(values.mean(axis=0), spread, reach, np.mean(held, axis=0), np.mean(stated, axis=0))


@pytest.mark.slow
def test_calibration__recovers_what_was_simulated(repeated: Repeated) -> None:
    known = list(list_known())
    off = []
    for n, each in enumerate(known):
        covered = n < len(repeated.coverage)
        said = f"{repeated.stated[n]:9.3g} {repeated.coverage[n]:5.2f}" if covered else ""
        mean, spread = repeated.mean[n], repeated.spread[n]
        print(f"{each.family:16} {each.name:18} {each.true:9.4g} {mean:9.4g} {spread:9.3g} {said}")
        if abs(mean - each.true) > repeated.reach[n]:
            off.append(f"{each.family} {each.name}: {mean:.4g} for {each.true:.4g}")
    assert not off, off
    for family in SCALES:
        mine = [c for c, each in zip(repeated.coverage, known, strict=False) if each.family == family]
        print(f"coverage of 95 % intervals, {family}: {np.mean(mine):.2f}")
        assert np.mean(mine) > 0.8, family


def test_calibration__recovers_one_history() -> None:
    """The first of the hundred, for the quick suite: what it finds is near what it was drawn from."""
    known = list(list_known())
    figures = calibrate(draw_history(HOURS, 0, bursts=True), 0)[1]
    families = {"volatility": 0.5, "correlation": 0.1, "tail": 0.4, "leaving": 0.7, "level": 0.5}
    families |= {"burst rate": 0.5, "burst move": 0.3}
    for each, value in zip(known, figures, strict=True):
        if each.family in families:
            assert value == pytest.approx(each.true, rel=families[each.family]), each
