"""Wicks from highs and lows: how much deeper real bars go than a bridge between their closes.

Shapes: T steps, A assets, K regimes, two ways (down, up). The model, as the kernels draw it: in regime k the
depth of a bar beyond its own ends is the larger of two independent ones, that of a bridge with variance
w^2 v (v the regime's of one step), and w sqrt(v) times the excess, whose law is sought. So, given w,

    P(depth <= d) = (1 - exp(-2 d (d + |r|) / (w^2 v))) (1 - p (1 + tail x / scale)^(-1 / tail))

with r the return from end to end and x = d / (w sqrt(v) exp(lean y)), y = r / sqrt(v) the way of the wick
(down: -r), cut at FURTHEST either way: falling hours have the deeper lows. w is not seen: given the returns
of the step it follows from chi2, a gamma variable, and the likelihood is integrated over it (Gauss and
Laguerre). Regimes weigh by their smoothed probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, roots_genlaguerre

from kernels.wicks import FURTHEST
from pipeline.history import Prices
from pipeline.regime_fit import RegimeFit

Floats = NDArray[np.float64]

WAYS = ("down", "up")
NODES = 8  # of the quadrature over chi2
LEAST_SHARE = 0.05  # steps less likely to be in a regime say nothing about it
SHALLOWEST = 1e-4  # a log return: less is a tick, not a depth, and counts as "no more than this"
DEEPEST = log(2.0)  # more counts as "at least this": one absurd print must not bend the law
TAIL_BOUNDS = (0.0, 0.5)  # never lighter than an exponential, however calm the window was
LEAN_BOUNDS = (0.0, 0.5)  # never deeper against the direction of the hour
# logit of the probability, log scale, tail, lean: from common wicks the rare ones get lost
START = (-3.5, 0.5, 0.1, 0.2)
RARE = 0.05  # the share of a regime's bars whose depths are looked at together
COPIES = 8  # of the history, simulated to find what depths have in common


@dataclass(frozen=True)
class WickFit:
    """The law of excesses: probability, scale, tail and lean (K, ways, A), in standard deviations of a step;
    common (K, ways); bars with highs and lows; and depths that were cut at DEEPEST."""

    probability: Floats
    scale: Floats
    tail: Floats
    lean: Floats
    common: Floats
    bars: int
    cut: int


@dataclass(frozen=True)
class _Bars:
    """Bars of one regime, once for each likely level: returns (N, A), depths (N, ways, A), weight (N,), the
    level's scale (N,), w times that at each node (N, NODES), and how likely each is (NODES,)."""

    returns: Floats
    depths: Floats
    weight: Floats
    scale: Floats
    mixing: Floats
    likely: Floats
    deviations: Floats  # (A,) of one step
    correlation: Floats

    def along(self, way: int) -> Floats:
        """y (N, A): returns the way of the wick, in standard deviations of regime and level, cut."""
        side = 1.0 if WAYS[way] == "up" else -1.0
        return np.clip(side * self.returns / (self.scale[:, None] * self.deviations), -FURTHEST, FURTHEST)


def fit_wicks(prices: Prices, fit: RegimeFit, seed: int) -> WickFit:
    """Fit the law of wicks to bars with highs and lows, regime by regime of a fitted model.

    Each law is at its highest likelihood; what wicks have in common is set so that simulated depths of two
    assets are large together as often as the real ones.
    """
    depths = measure_depths(prices)
    returns = prices.log_returns()
    regimes, assets = fit.figures.means.shape
    law = np.zeros((regimes, len(WAYS), assets, 4))
    common = np.zeros((regimes, len(WAYS)))
    rng = np.random.default_rng(seed)
    missing = np.isnan(returns).any(axis=-1) | np.isnan(depths).any(axis=(1, 2))
    usable = np.asarray(~missing)
    for k in range(regimes):
        bars = _choose_bars(returns, np.minimum(depths, DEEPEST), usable, fit, k)
        for way in range(len(WAYS)):
            for a in range(assets):
                law[k, way, a] = _fit_excess(bars, way, a)
            common[k, way] = _fit_common(bars, way, law[k, way], rng)
    probability, scale, tail, lean = (law[..., i] for i in range(4))
    cut = int((depths[usable] > DEEPEST).sum())
    return WickFit(probability, scale, tail, lean, common, int(usable.sum()), cut)


def measure_depths(prices: Prices) -> Floats:
    """How far each bar went beyond its ends, the close before it and its own: log returns (T - 1, ways, A).

    Zero where it did not, NaN where a close, high or low is missing.
    """
    if prices.high is None or prices.low is None:
        raise ValueError("prices without highs and lows")
    before, after = prices.close[:-1], prices.close[1:]
    down = np.log(np.minimum(before, after) / prices.low[1:])
    up = np.log(prices.high[1:] / np.maximum(before, after))
    return np.asarray(np.maximum(np.stack([down, up], axis=1), 0.0))


def _choose_bars(returns: Floats, depths: Floats, usable: NDArray[np.bool_], fit: RegimeFit, k: int) -> _Bars:
    chosen, level = np.nonzero(usable[:, None] & (fit.smoothed[:, :, k] > LEAST_SHARE))
    x, scale = returns[chosen], fit.figures.scales[level]
    covariance, nu, assets = fit.covariances[k], fit.figures.nu[k], returns.shape[1]
    centred = x - fit.figures.means[k]
    distance = np.einsum("ta,at->t", centred, np.linalg.solve(covariance, centred.T)) / scale**2
    node, likely = roots_genlaguerre(NODES, 0.5 * (nu + assets) - 1.0)
    chi2 = 2.0 * node / (1.0 + distance[:, None] / (nu - 2.0))
    deviations = np.sqrt(np.diag(covariance))
    return _Bars(
        x,
        depths[chosen],
        fit.smoothed[chosen, level, k],
        scale,
        scale[:, None] * np.sqrt((nu - 2.0) / chi2),
        likely / likely.sum(),
        deviations,
        covariance / np.outer(deviations, deviations),
    )


def _fit_excess(bars: _Bars, way: int, a: int) -> tuple[float, float, float, float]:
    """Probability, scale, tail and lean of one asset's excess in one regime, by maximum likelihood."""
    depth = bars.depths[:, way, a, None]
    deviation = bars.mixing * bars.deviations[a]
    shallow, deep = depth[:, 0] < SHALLOWEST, depth[:, 0] >= DEEPEST
    at = np.clip(depth, SHALLOWEST, DEEPEST)
    x = at / deviation
    rise = np.abs(bars.returns[:, a, None])
    missed = np.exp(-2.0 * at * (at + rise) / deviation**2)  # P(bridge goes deeper)
    bridge = -np.expm1(-2.0 * at * (at + rise) / deviation**2)
    bridge_density = 2.0 * (2.0 * at + rise) / deviation**2 * missed
    along = bars.along(way)[:, a, None]

    def loss(figures: Floats) -> float:
        probability, tail = 1.0 / (1.0 + np.exp(-figures[0])), figures[2]
        scale = np.exp(figures[1] + figures[3] * along)
        stretch = 1.0 + tail * x / scale
        # log1p keeps the gradient right where the tail is next to nothing
        over = probability * np.exp(-np.log1p(tail * x / scale) / tail if tail > 0.0 else -x / scale)
        density = bridge_density * (1.0 - over) + bridge * over / (scale * stretch * deviation)
        reached = bridge * (1.0 - over)
        likelihood = np.where(shallow[:, None], reached, np.where(deep[:, None], 1.0 - reached, density))
        return float(-bars.weight @ np.log(likelihood @ bars.likely + 1e-300))

    bounds = [(-9.0, 9.0), (-6.0, 4.0), TAIL_BOUNDS, LEAN_BOUNDS]
    best = minimize(loss, START, method="L-BFGS-B", bounds=bounds).x
    return float(1.0 / (1.0 + np.exp(-best[0]))), float(np.exp(best[1])), float(best[2]), float(best[3])


def _fit_common(bars: _Bars, way: int, law: Floats, rng: np.random.Generator) -> float:
    """The correlation of the wicks' normals at which large depths coincide as often as in the bars.

    Large is what the RARE largest of an asset's depths are, measured in its standard deviations of that bar.
    """
    count, assets = bars.returns.shape
    if assets < 2:
        return 0.0
    typical = (bars.mixing @ bars.likely)[:, None] * bars.deviations
    depths = bars.depths[:, way]
    limit = typical * _quantiles(depths / typical, bars.weight, 1.0 - RARE)
    want = _coincidence(depths[None] > limit, bars.weight)
    shape = (COPIES, count, assets)
    mixing = bars.mixing[np.arange(count), rng.choice(NODES, (COPIES, count), p=bars.likely)]
    deviation = mixing[..., None] * bars.deviations
    depth = -np.log(ndtr(rng.standard_normal(shape) @ np.linalg.cholesky(bars.correlation).T))
    rise = np.abs(bars.returns)
    bridge = 0.5 * (np.sqrt(rise**2 + 2.0 * deviation**2 * depth) - rise)
    shared, own = rng.standard_normal((COPIES, count, 1)), rng.standard_normal(shape)
    probability, scale, tail, lean = law.T
    stretch = deviation * np.exp(lean * bars.along(way))

    def find(common: float) -> float:
        upper = ndtr(-(sqrt(common) * shared + sqrt(1.0 - common) * own))
        deep = np.log(np.maximum(probability / upper, 1.0))
        excess = scale * np.where(tail > 1e-8, np.expm1(tail * deep) / np.maximum(tail, 1e-8), deep)
        return _coincidence(np.maximum(bridge, excess * stretch) > limit, bars.weight)

    low, high = 0.0, 1.0
    for _ in range(10):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if find(middle) < want else (low, middle)
    return 0.5 * (low + high)


def _quantiles(values: Floats, weight: Floats, q: float) -> Floats:
    """The weighted q-quantile of each column."""
    found = np.empty(values.shape[1])
    for a, column in enumerate(values.T):
        order = np.argsort(column)
        passed = np.cumsum(weight[order])
        found[a] = column[order[np.searchsorted(passed, q * passed[-1])]]
    return found


def _coincidence(large: NDArray[np.bool_], weight: Floats) -> float:
    """P(the other one is large | one of a pair is), over all pairs of assets; large (copies, N, A)."""
    number = large.sum(axis=-1)
    pairs = (number * (number - 1)) @ weight
    one = (number * (large.shape[-1] - 1)) @ weight
    return float(pairs.sum() / max(one.sum(), 1e-300))
