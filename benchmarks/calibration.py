"""`python -m benchmarks.calibration`: CPU time of a fit to 8 assets x 40,000 hours in three regimes.

The bars are simulated from the shipped model, so they have its correlations, tails, regimes and levels; highs
and lows are those of a bridge. With `--prices FILE --assets A,B,...` they are the last 40,000 of a file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.laws import figures_of
from pipeline.calibrate import LEVELS_FROM, MOST_LEVELS, SHORTEST_LEVEL
from pipeline.chain import stationary_law
from pipeline.figures import Figures, Shortest
from pipeline.history import Prices, load_prices
from pipeline.model import load_model
from pipeline.regime_fit import fit_regimes
from pipeline.wick_fit import fit_wicks

BARS, REGIMES, STARTS, SEED = 40_000, 3, 4, 7
SHORTEST = Shortest(level=SHORTEST_LEVEL / timedelta(hours=1))

Result = TypeVar("Result")


def draw_bars(figures: Figures, assets: tuple[str, ...], bars: int, seed: int) -> Prices:
    """Hourly bars of a model: closes by its law, highs and lows by that of a bridge, asset by asset."""
    rng = np.random.default_rng(seed)
    regime = _draw_chain(figures.transitions, bars - 1, rng)
    scale = figures.scales[_draw_chain(figures.level_transitions, bars - 1, rng)]
    nu = figures.nu[regime]
    size = (scale * np.sqrt(nu / rng.chisquare(nu)))[:, None]
    roots = np.linalg.cholesky(figures.scatter)[regime]
    returns = size * np.einsum("tab,tb->ta", roots, rng.standard_normal((bars - 1, len(assets))))
    bursts = figures.with_none()
    kind = rng.choice(len(bursts.law), bars - 1, p=bursts.law)
    stretch = scale[:, None] + bursts.spread[kind, None] * size * rng.standard_normal((bars - 1, 1))
    returns += stretch * bursts.moves[kind]
    log_price = np.vstack([np.zeros(len(assets)), np.cumsum(returns + figures.means[regime], axis=0)])
    spread = size * np.sqrt(np.diagonal(figures.scatter, axis1=1, axis2=2))[regime]
    extremes = []
    for _ in range(2):
        deep = rng.exponential(size=returns.shape)
        beyond = 0.5 * (np.sqrt(returns**2 + 2.0 * spread**2 * deep) - np.abs(returns))
        extremes.append(np.vstack([np.zeros(len(assets)), beyond]))
    ends = np.stack([np.vstack([log_price[:1], log_price[:-1]]), log_price])
    times = np.datetime64("2020-01-01", "ms") + np.arange(bars) * np.timedelta64(3_600_000, "ms")
    high, low = np.exp(ends.max(axis=0) + extremes[0]), np.exp(ends.min(axis=0) - extremes[1])
    return Prices(times, timedelta(hours=1), assets, np.exp(log_price), (), high, low)


def last_bars(prices: Prices, bars: int) -> Prices:
    """The last so many bars, or all."""
    high, low = (None if each is None else each[-bars:] for each in (prices.high, prices.low))
    return Prices(prices.times[-bars:], prices.step, prices.assets, prices.close[-bars:], (), high, low)


def time_calibration(prices: Prices, regimes: int, starts: int) -> dict[str, float]:
    """CPU seconds of each part of a fit, without loading files and compiling kernels."""
    returns = prices.log_returns()
    levels = MOST_LEVELS if prices.end - prices.start >= LEVELS_FROM else 1
    fit_regimes(returns[-1_000:], regimes, SEED, 1, SHORTEST, bursts=True)  # compiles
    spent = {}
    spent["fit"], fit = _time(
        lambda: fit_regimes(returns, regimes, SEED, starts, SHORTEST, levels, bursts=True)
    )
    if prices.high is not None:
        spent["wicks"], _ = _time(lambda: fit_wicks(prices, fit, SEED))
    return spent


def main(arguments: list[str] | None = None) -> None:
    """Print CPU seconds of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prices")
    parser.add_argument("--assets")
    parser.add_argument("--bars", type=int, default=BARS)
    given = parser.parse_args(arguments)
    if given.prices is None:
        model = load_model("crypto-majors")
        prices = draw_bars(figures_of(model), model.assets, given.bars, SEED)
    else:
        prices = last_bars(load_prices(given.prices, given.assets.split(",")), given.bars)
    spent = time_calibration(prices, REGIMES, STARTS)
    print(f"{len(prices.assets)} assets x {len(prices.times):,} bars, {REGIMES} regimes, {STARTS} starts")
    for part, seconds in spent.items():
        print(f"  {part:8}{seconds:8.1f} s")
    print(f"  {'in all':8}{sum(spent.values()):8.1f} s of CPU")


def _draw_chain(transitions: NDArray[np.float64], steps: int, rng: np.random.Generator) -> Any:
    """States (T,) of a chain, from its stationary law."""
    passed = np.cumsum(transitions, axis=1)[:, :-1]
    state, u = np.empty(steps, np.int64), rng.random(steps)
    now = int((np.cumsum(stationary_law(transitions))[:-1] < u[0]).sum())
    for t in range(steps):
        state[t] = now = int((passed[now] < u[t]).sum()) if t else now
    return state


def _time(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
