"""Wicks from highs and lows: how much deeper real bars go than a bridge between their closes.

Shapes: T steps, A assets, K regimes, two ways (down, up). The model, as the kernels draw it: in regime k the
depth of a bar beyond its own ends is the larger of two independent ones, that of a bridge with variance
w^2 v (v the regime's of one step), and w sqrt(v) times the excess, whose law is sought. So, given w,

    P(depth <= d) = (1 - exp(-2 d (d + |r|) / (w^2 v))) (1 - p (1 + tail x / scale)^(-1 / tail))

with r the return from end to end and x = d / (w sqrt(v) exp(lean y)), y = r / sqrt(v) the way of the wick
(down: -r), cut at FURTHEST either way: falling hours have the deeper lows. w is not seen: given the returns
of the step it follows from chi2, a gamma variable, and the likelihood is integrated over it (Gauss and
Laguerre). Regime and level are not seen either: a bar's depth has the mixture of their laws, by smoothed
probabilities. To take those for how much a bar counts in a regime would not do: bars that are deep because
they were of the louder one would pass for wicks of the calmer one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, roots_genlaguerre

from kernels.wicks import FURTHEST
from pipeline.burst_densities import burst_shares
from pipeline.figures import Figures
from pipeline.history import Prices
from pipeline.panel import read_panel
from pipeline.regime_fit import RegimeFit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WAYS = ("down", "up")
NODES = 6  # of the quadrature over chi2
LEAST_SHARE = 0.02  # states less likely than this in a bar are left out of its mixture
SHALLOWEST = 1e-4  # a log return: less is a tick, not a depth, and counts as "no more than this"
DEEPEST = log(2.0)  # more counts as "at least this": one absurd print must not bend the law
TAIL_BOUNDS = (0.0, 0.5)  # never lighter than an exponential, however calm the window was
LIGHTEST = 1e-5  # a tail next to an exponential's
LEAN_BOUNDS = (0.0, 0.5)  # never deeper against the direction of the hour
# logit of the probability, log scale, tail, lean: from common wicks the rare ones get lost
START = (-3.5, 0.5, 0.1, 0.2)
RARE = 0.05  # the share of a regime's bars whose depths are looked at together
COPIES = 8  # of the history, simulated to find what depths have in common
SWEEPS = 3  # over the regimes, as what each has in common shows in bars of the others


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
class _States:
    """Bars (B), and the states that each may have been in, a row (N) for each.

    returns (B, A), depths (B, ways, A); of rows: bar and regime, weight, the level's scale, and mixing
    (N, NODES), w times that at each node; of regimes: how likely each node is (K, NODES), deviations of one
    step (K, A), correlation (K, A, A).
    """

    returns: Floats
    depths: Floats
    bar: Integers
    regime: Integers
    weight: Floats
    scale: Floats
    mixing: Floats
    likely: Floats
    deviations: Floats
    correlation: Floats

    def along(self, way: int) -> Floats:
        """y (N, A): returns the way of the wick, in standard deviations of regime and level, cut."""
        side = 1.0 if WAYS[way] == "up" else -1.0
        spread = self.scale[:, None] * self.deviations[self.regime]
        return np.clip(side * self.returns[self.bar] / spread, -FURTHEST, FURTHEST)


def fit_wicks(prices: Prices, fit: RegimeFit, seed: int) -> WickFit:
    """Fit the law of wicks to bars with highs and lows, for each regime of a fitted model.

    Each law is at its highest likelihood; what wicks have in common is set so that simulated depths of two
    assets are large together as often as the real ones.
    """
    depths = measure_depths(prices)
    returns = prices.log_returns()
    regimes, assets = fit.figures.means.shape
    missing = np.isnan(returns).any(axis=-1) | np.isnan(depths).any(axis=(1, 2))
    usable = np.flatnonzero(~missing)
    cut_off = np.minimum(depths[usable], DEEPEST)
    states = _list_states(returns[usable], cut_off, fit.smoothed[usable], fit.figures)
    law, common = np.zeros((regimes, len(WAYS), assets, len(START))), np.zeros((regimes, len(WAYS)))
    rng = np.random.default_rng(seed)
    for way in range(len(WAYS)):
        for a in range(assets):
            law[:, way, a] = _fit_excess(states, way, a)
        common[:, way] = _fit_common(states, way, law[:, way], rng)
    probability, scale, tail, lean = (law[..., i] for i in range(len(START)))
    cut = int((depths[usable] > DEEPEST).sum())
    return WickFit(probability, scale, tail, lean, common, len(usable), cut)


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


def _list_states(returns: Floats, depths: Floats, smoothed: Floats, figures: Figures) -> _States:
    """The states that bars may have been in, and the bursts that they may have had."""
    bursts, nu, assets = figures.with_none(), figures.nu, returns.shape[1]
    shares = np.moveaxis(burst_shares(read_panel(returns), figures), 0, 2) * smoothed[..., None]
    likeliest = shares == shares.max(axis=(1, 2, 3), keepdims=True)
    bar, level, regime, kind = np.nonzero((shares > LEAST_SHARE) | likeliest)
    weight = shares[bar, level, regime, kind]
    weight /= np.bincount(bar, weight)[bar]
    covariances, scale = figures.covariances(), figures.scales[level]
    mixing, likely = np.empty((len(bar), NODES)), np.empty((len(nu), NODES))
    for k, covariance in enumerate(covariances):
        node, likely[k] = roots_genlaguerre(NODES, 0.5 * (nu[k] + assets) - 1.0)
        for j in np.unique(kind[regime == k]):
            rows = np.flatnonzero((regime == k) & (kind == j))
            move = bursts.moves[j]
            wider = covariance + bursts.spread[j] ** 2 * nu[k] / (nu[k] - 2.0) * np.outer(move, move)
            y = (returns[bar[rows]] - figures.means[k]) / scale[rows, None] - move
            distance = np.einsum("ta,at->t", y, np.linalg.solve(wider, y.T))
            chi2 = 2.0 * node / (1.0 + distance[:, None] / (nu[k] - 2.0))
            mixing[rows] = scale[rows, None] * np.sqrt((nu[k] - 2.0) / chi2)
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    return _States(
        returns,
        depths,
        bar,
        regime,
        weight,
        scale,
        mixing,
        likely / likely.sum(axis=1, keepdims=True),
        deviations,
        covariances / (deviations[:, :, None] * deviations[:, None, :]),
    )


def _fit_excess(states: _States, way: int, a: int) -> Floats:
    """Probability, scale, tail and lean of one asset's excess by regime, (K, 4), by maximum likelihood."""
    bar, regime = states.bar, states.regime
    bars, regimes = len(states.returns), len(states.likely)
    depth = states.depths[bar, way, a, None]
    deviation = states.mixing * states.deviations[regime, a, None]
    node = states.weight[:, None] * states.likely[regime]
    shallow, deep = depth < SHALLOWEST, depth >= DEEPEST
    at = np.clip(depth, SHALLOWEST, DEEPEST)
    x = at / deviation
    rise = np.abs(states.returns[bar, a, None])
    along = states.along(way)[:, a]
    missed = np.exp(-2.0 * at * (at + rise) / deviation**2)  # P(bridge goes deeper)
    bridge = -np.expm1(-2.0 * at * (at + rise) / deviation**2)
    # d likelihood / d over and d likelihood / d density of the excess, in each of the three cases
    by_density = np.where(shallow | deep, 0.0, bridge / deviation)
    by_over = np.where(shallow, -bridge, np.where(deep, bridge, 0.0))
    by_over -= np.where(shallow | deep, 0.0, 2.0 * (2.0 * at + rise) / deviation**2 * missed)
    constant = np.where(shallow, bridge, np.where(deep, 1.0 - bridge, -by_over))

    def loss(figures: Floats) -> tuple[float, Floats]:
        logit, log_scale, tail, lean = figures.reshape(regimes, len(START))[regime].T[:, :, None]
        scale, tail = np.exp(log_scale + lean * along[:, None]), np.maximum(tail, LIGHTEST)
        reach = 1.0 / (scale + tail * x)
        log_stretch = -np.log(scale * reach)
        over = np.exp(-log_stretch / tail) / (1.0 + np.exp(-logit))
        in_over, in_density = by_over * over, by_density * over * reach
        total = np.bincount(bar, _dot(node, constant + in_over + in_density), bars) + 1e-300
        share = node / total[bar, None]
        in_density *= share
        in_over = in_over * share + in_density  # over is a factor of both
        # slopes of log over and log reach: by the logit of the probability, the log of the scale, tail, lean
        z = x * reach
        by_scale = _dot(in_over, z) - scale[:, 0] * _dot(in_density, reach)
        by_row = (
            in_over.sum(axis=1) / (1.0 + np.exp(logit[:, 0])),
            by_scale,
            (_dot(in_over, log_stretch) / tail[:, 0] - _dot(in_over, z)) / tail[:, 0] - _dot(in_density, z),
            along * by_scale,
        )
        gradient = np.column_stack([np.bincount(regime, each, regimes) for each in by_row])
        return -float(np.log(total).sum()), np.asarray(-gradient.ravel(), np.float64)

    bounds = [(-9.0, 9.0), (-6.0, 4.0), TAIL_BOUNDS, LEAN_BOUNDS] * regimes
    best = minimize(loss, START * regimes, jac=True, method="L-BFGS-B", bounds=bounds).x
    best = best.reshape(regimes, len(START))
    return np.column_stack([1.0 / (1.0 + np.exp(-best[:, 0])), np.exp(best[:, 1]), best[:, 2:]])


def _dot(one: Floats, other: Floats) -> Floats:
    """(N,): sums over nodes of products of (N, NODES)."""
    return np.asarray(np.einsum("nj,nj->n", one, other))


def _fit_common(states: _States, way: int, law: Floats, rng: np.random.Generator) -> Floats:
    """The correlation (K,) of the wicks' normals at which large depths coincide as often as in the bars.

    Large in a regime is what the RARE largest of an asset's depths are, weighted by the probability of the
    regime and measured in standard deviations of that bar. Simulated bars have a state of their own each, so
    the regimes are not surer there than in the bars.
    """
    bars, assets = states.returns.shape
    regimes, bar, regime = len(law), states.bar, states.regime
    if assets < 2:
        return np.zeros(regimes)
    typical = np.sum(states.mixing * states.likely[regime], axis=1)[:, None] * states.deviations[regime]
    unit = np.column_stack([np.bincount(bar, states.weight * each, bars) for each in typical.T])
    weight = np.zeros((regimes, bars))
    np.add.at(weight, (regime, bar), states.weight)
    real = states.depths[:, way] / unit
    limit = np.array([_quantiles(real, each, 1.0 - RARE) for each in weight])
    want = [_coincidence(*_count_pairs(real > limit[k], weight[k])) for k in range(regimes)]
    drawn = _draw_rows(states, COPIES, rng)
    cells = [np.flatnonzero(regime[drawn] == k) for k in range(regimes)]
    finds = [_simulate_depths(states, way, drawn[cells[k]], law[k], k, rng) for k in range(regimes)]
    counts = np.zeros((regimes, regimes, 2))  # in bars of a regime, of what is large in another

    def count(k: int, common: float) -> Floats:
        at = bar[drawn[cells[k]]]
        ratio = finds[k](common) / unit[at]
        return np.array([_count_pairs(ratio > limit[j], weight[j, at]) for j in range(regimes)])

    found = np.full(regimes, 0.5)
    for k in range(regimes):
        counts[k] = count(k, found[k])
    for _ in range(SWEEPS):
        for k in range(regimes):
            others = counts.sum(axis=0)[k] - counts[k, k]
            low, high = 0.0, 1.0
            for _ in range(10):
                middle = 0.5 * (low + high)
                less = _coincidence(*(others + count(k, middle)[k])) < want[k]
                low, high = (middle, high) if less else (low, middle)
            found[k] = 0.5 * (low + high)
            counts[k] = count(k, found[k])
    return found


def _draw_rows(states: _States, copies: int, rng: np.random.Generator) -> Integers:
    """A state for each bar of each copy, by its probability: rows of `states`, (copies x B,)."""
    passed = np.cumsum(states.weight) - states.bar  # each bar's weights sum to 1
    bars = np.arange(len(states.returns))
    ordered = passed + states.bar
    rows = np.searchsorted(ordered, bars + rng.random((copies, len(bars))) * (1.0 - 1e-9))
    first = np.searchsorted(states.bar, bars)
    return np.clip(rows, first, np.r_[first[1:], len(states.bar)] - 1).ravel()


def _simulate_depths(
    states: _States, way: int, rows: Integers, law: Floats, k: int, rng: np.random.Generator
) -> Callable[[float], Floats]:
    """Depths (n, A) of bars in some states of regime k, as a function of what wicks have in common."""
    shape = (len(rows), states.returns.shape[1])
    node = rng.choice(NODES, len(rows), p=states.likely[k])
    deviation = states.mixing[rows, node][:, None] * states.deviations[k]
    score = rng.standard_normal(shape) @ np.linalg.cholesky(states.correlation[k]).T
    rise = np.abs(states.returns[states.bar[rows]])
    bridge = 0.5 * (np.sqrt(rise**2 - 2.0 * deviation**2 * np.log(ndtr(score))) - rise)
    shared, own = rng.standard_normal((len(rows), 1)), rng.standard_normal(shape)
    probability, scale, tail, lean = law.T
    stretch = deviation * np.exp(lean * states.along(way)[rows])

    def find(common: float) -> Floats:
        upper = ndtr(-(sqrt(common) * shared + sqrt(1.0 - common) * own))
        deep = np.log(np.maximum(probability / upper, 1.0))
        excess = scale * np.where(tail > 1e-8, np.expm1(tail * deep) / np.maximum(tail, 1e-8), deep)
        return np.asarray(np.maximum(bridge, excess * stretch))

    return find


def _quantiles(values: Floats, weight: Floats, q: float) -> Floats:
    """The weighted q-quantile of each column."""
    found = np.empty(values.shape[1])
    for a, column in enumerate(values.T):
        order = np.argsort(column)
        passed = np.cumsum(weight[order])
        found[a] = column[order[np.searchsorted(passed, q * passed[-1])]]
    return found


def _count_pairs(large: NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    """Pairs of assets that are large together in rows (n, A), and pairs of which one is, weighted (n,)."""
    number = large.sum(axis=-1)
    return float((number * (number - 1)) @ weight), float((number * (large.shape[-1] - 1)) @ weight)


def _coincidence(pairs: float, one: float) -> float:
    """P(the other one is large | one of a pair is), over all pairs of assets."""
    return pairs / max(one, 1e-300)
