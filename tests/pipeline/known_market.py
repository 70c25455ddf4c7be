"""A market whose figures are known: bars, funding and basis by the law that the kernels simulate.

Two regimes of a day and of half a day, two levels of a fortnight and of a week, three assets. Written down
anew, step by step, so that what calibration finds is held against something else than the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import genpareto, norm

from pipeline.history import Prices
from pipeline.units import YEAR

Floats = NDArray[np.float64]

ASSETS = ("BTC", "ETH", "SOL")
HOUR = timedelta(hours=1)
YEARS = HOUR / YEAR  # of a step


class Reverting(NamedTuple):
    """A state that reverts: level and deviation (K, A), half-life in hours and correlation with returns (A,),
    and what the rest of any two assets' shocks have in common."""

    level: Floats
    deviation: Floats
    half_life: Floats
    correlation: Floats
    common: float


class Excess(NamedTuple):
    """Of wicks one way: probability, scale, tail and lean (K, A), and what they have in common (K,)."""

    probability: Floats
    scale: Floats
    tail: Floats
    lean: Floats
    common: Floats


TRANSITIONS = np.array([[0.96, 0.04], [0.08, 0.92]])
LEVEL_TRANSITIONS = np.array([[0.997, 0.003], [0.006, 0.994]])
SCALES = np.array([0.6, np.sqrt(3.0 * (1.0 - 0.24))])  # two thirds of the hours are quiet; mean square 1
VOLATILITY = np.array([[0.40, 0.50, 0.80], [0.90, 1.20, 2.00]])  # annualised, as is all that follows
CORRELATION = np.array([[0.50, 0.60, 0.40], [0.85, 0.90, 0.80]])  # BTC-ETH, BTC-SOL, ETH-SOL
DRIFT = np.array([[1.0, 1.5, 2.0], [-3.0, -4.0, -6.0]])
NU = np.array([8.0, 4.0])
WICKS = (
    Excess(
        probability=np.array([[0.30, 0.20, 0.40], [0.40, 0.30, 0.25]]),
        scale=np.array([[0.9, 1.2, 0.8], [1.0, 0.8, 1.1]]),
        tail=np.array([[0.1, 0.2, 0.1], [0.2, 0.1, 0.1]]),
        lean=np.array([[0.2, 0.1, 0.3], [0.3, 0.2, 0.1]]),
        common=np.array([0.8, 0.9]),
    ),
    Excess(
        probability=np.array([[0.15, 0.30, 0.20], [0.25, 0.20, 0.30]]),
        scale=np.array([[1.0, 0.7, 1.1], [0.9, 1.0, 0.8]]),
        tail=np.array([[0.1, 0.1, 0.1], [0.1, 0.2, 0.1]]),
        lean=np.array([[0.1, 0.2, 0.1], [0.2, 0.1, 0.2]]),
        common=np.array([0.5, 0.6]),
    ),
)
BURSTS_A_YEAR = np.array([150.0, 250.0])  # a fall of all, and rallies of the last asset
BURST_MOVES = np.array([[-0.025, -0.030, -0.050], [0.0, 0.0, 0.040]])
BURST_SPREAD = 0.5
FUNDING = Reverting(
    level=np.array([[0.08, 0.10, 0.15], [-0.20, -0.10, 0.60]]),
    deviation=np.array([[0.10, 0.12, 0.20], [0.40, 0.30, 0.50]]),
    half_life=np.array([12.0, 24.0, 18.0]),
    correlation=np.array([0.3, 0.2, 0.0]),
    common=0.4,
)
BASIS = Reverting(
    level=1e-3 * np.array([[0.2, 0.0, -0.2], [-1.0, -0.5, -1.5]]),
    deviation=1e-3 * np.array([[0.4, 0.5, 0.6], [1.0, 0.8, 1.5]]),
    half_life=np.array([3.0, 6.0, 4.0]),
    correlation=np.array([0.4, 0.2, 0.3]),
    common=0.5,
)


@dataclass(frozen=True)
class History:
    """Bars with highs and lows; funding rates, annualised, and basis over each bar after the first, (T, A);
    regime and level of each of these, (T,)."""

    prices: Prices
    funding: Floats
    basis: Floats
    regime: NDArray[np.int64]
    level: NDArray[np.int64]


def correlation_matrices() -> Floats:
    """CORRELATION as matrices, (K, A, A)."""
    matrices = np.broadcast_to(np.eye(3), (2, 3, 3)).copy()
    for (a, b), values in zip(((0, 1), (0, 2), (1, 2)), CORRELATION.T, strict=True):
        matrices[:, a, b] = matrices[:, b, a] = values
    return matrices


def draw_history(steps: int, seed: int, bursts: bool = False) -> History:
    """So many hours of the market, from its stationary law; with bursts, if asked for."""
    rng = np.random.default_rng(seed)
    regime, level = _draw_chain(TRANSITIONS, steps, rng), _draw_chain(LEVEL_TRANSITIONS, steps, rng)
    nu = NU[regime]
    mixing = (np.sqrt((nu - 2.0) / rng.chisquare(nu)) * SCALES[level])[:, None]
    matrices = correlation_matrices()
    roots = np.linalg.cholesky(matrices)[regime]
    normal = np.einsum("tab,tb->ta", roots, rng.standard_normal((steps, 3)))
    deviation = VOLATILITY[regime] * np.sqrt(YEARS)
    returns = DRIFT[regime] * YEARS + mixing * deviation * normal
    if bursts:
        heavy = mixing[:, 0] * np.sqrt(nu / (nu - 2.0))
        returns = returns + _draw_bursts(SCALES[level], heavy, np.random.default_rng((seed, 1)))
    log_price = np.vstack([np.zeros(3), np.cumsum(returns, axis=0)])
    along = np.clip(returns / (SCALES[level][:, None] * deviation), -6.0, 6.0)
    extremes = [
        _draw_depths(returns, mixing * deviation, side * along, roots, regime, law, rng)
        for side, law in zip((-1.0, 1.0), WICKS, strict=True)
    ]
    ends = np.stack([log_price[:-1], log_price[1:]])
    low = np.vstack([log_price[:1], ends.min(axis=0) - extremes[0]])
    high = np.vstack([log_price[:1], ends.max(axis=0) + extremes[1]])
    times = np.datetime64("2024-01-01", "ms") + np.arange(steps + 1) * np.timedelta64(3_600_000, "ms")
    prices = Prices(times, HOUR, ASSETS, np.exp(log_price), (), np.exp(high), np.exp(low))
    funding, basis = (_draw_reverting(law, regime, normal, mixing, rng) for law in (FUNDING, BASIS))
    return History(prices, funding, basis, regime, level)


def _draw_chain(transitions: Floats, steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """States (T,) of a chain of two."""
    state, u = np.empty(steps, np.int64), rng.random(steps)
    leave = np.array([transitions[0, 1], transitions[1, 0]])
    state[0] = u[0] < leave[0] / leave.sum()
    for t in range(1, steps):
        state[t] = state[t - 1] ^ (u[t] < leave[state[t - 1]])
    return state


def _draw_bursts(scale: Floats, heavy: Floats, rng: np.random.Generator) -> Floats:
    """What bursts add to returns, (T, A), in steps of a scale and so heavy, (T,) both."""
    whole = BURSTS_A_YEAR.sum()
    each = -np.expm1(-whole * YEARS) * BURSTS_A_YEAR / whole
    kind = np.searchsorted(np.cumsum(each), rng.random(len(scale)))  # the last one is none
    size = scale + BURST_SPREAD * heavy * rng.standard_normal(len(scale))
    return np.asarray(size[:, None] * np.vstack([BURST_MOVES, np.zeros(3)])[kind])


def _draw_depths(
    returns: Floats,
    deviation: Floats,
    along: Floats,
    roots: Floats,
    regime: NDArray[np.int64],
    law: Excess,
    rng: np.random.Generator,
) -> Floats:
    """How far bars go beyond their ends one way, (T, A): a bridge's exact law or a wick, the larger one."""
    shape = returns.shape
    score = np.einsum("tab,tb->ta", roots, rng.standard_normal(shape))
    spread = np.sqrt(returns**2 - 2.0 * deviation**2 * norm.logcdf(score))
    bridge = 0.5 * (spread - np.abs(returns))
    common = law.common[regime][:, None]
    normal = np.sqrt(common) * rng.standard_normal((len(returns), 1))
    normal = normal + np.sqrt(1.0 - common) * rng.standard_normal(shape)
    rank = norm.sf(normal) / law.probability[regime]
    excess = genpareto.isf(np.minimum(rank, 1.0), law.tail[regime], scale=law.scale[regime])
    deep = excess * np.exp(law.lean[regime] * along)
    return np.maximum(bridge, np.where(rank < 1.0, deep, 0.0) * deviation)


def _draw_reverting(
    law: Reverting, regime: NDArray[np.int64], normal: Floats, mixing: Floats, rng: np.random.Generator
) -> Floats:
    """A state (T, A) at the end of each step, whose shocks share the mixing of the returns and a part of
    their normals."""
    shape = normal.shape
    own = np.sqrt(law.common) * rng.standard_normal((len(normal), 1))
    own = own + np.sqrt(1.0 - law.common) * rng.standard_normal(shape)
    shock = mixing * (law.correlation * normal + np.sqrt(1.0 - law.correlation**2) * own)
    kept = 0.5 ** (1.0 / law.half_life)
    shock *= law.deviation[regime] * np.sqrt(1.0 - kept**2)
    state = np.empty(shape)
    now = law.level[regime[0]]
    for t, k in enumerate(regime):
        now = law.level[k] + kept * (now - law.level[k]) + shock[t]
        state[t] = now
    return state
