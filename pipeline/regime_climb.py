"""One climb of the likelihood: ECM, from a start, of a switching Student-t whose volatility has levels.

Shapes and law: `pipeline.figures`. Where steps may have bursts the M-step is that of `pipeline.burst_round`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma

from kernels.burst_inference import UNLIKELY, list_squares
from pipeline.burst_densities import burst_densities, cut_parts
from pipeline.burst_round import maximise_bursts
from pipeline.extrapolation import Extrapolation
from pipeline.figures import Figures, Shortest
from pipeline.panel import Panel, Pattern, log_densities, squared_distances
from pipeline.regimes import filter_densities, smooth_densities

Floats = NDArray[np.float64]

NU_BOUNDS = (2.1, 100.0)  # above 2 the covariance exists; at 100 the law is Gaussian for any use made of it
TOLERANCE = 1e-3  # nats of log-likelihood won by the last round of EM
MAX_ROUNDS = 1000
NU_EVERY = 3  # rounds: the degrees of freedom move little, and cost as much as all the rest
NEGLIGIBLE = 1e-12  # a state less likely in a step than this says nothing there
FEWEST = 5.0  # steps with a burst, below which it is given up


@dataclass(frozen=True)
class Expectation:
    """What the returns say of the states, given figures.

    log_likelihood; filtered and smoothed (T, M, K); moves (M, K, M, K), how many are expected; distances
    (T, K) from each regime's mean, before the level's scale, empty where there are bursts.
    """

    log_likelihood: float
    filtered: Floats
    smoothed: Floats
    moves: Floats
    distances: Floats


@dataclass(frozen=True)
class Climb:
    """Where a climb ended, the log-likelihood at each round, and whether it stood still at last."""

    figures: Figures
    expected: Expectation
    trace: tuple[float, ...]
    converged: bool


def climb(
    panel: Panel,
    figures: Figures,
    shortest: Shortest,
    rounds: int = MAX_ROUNDS,
    tolerance: float = TOLERANCE,
) -> Climb | None:
    """Run ECM until the likelihood stands still, or the rounds are used up; None where a state dies.

    No round lowers the likelihood, but those in which a burst is given up. With bursts rounds leap ahead
    (`pipeline.extrapolation`), and go back where that lowers it.
    """
    observed, assets = panel.observed, panel.returns.shape[1]
    trace: list[float] = []
    since = 0  # the round in which a burst was last given up
    ahead, found = Extrapolation(), figures
    while True:
        expected = expect(panel, figures)
        if figures is not found and not expected.log_likelihood >= trace[-1]:
            ahead.forget()
            figures = found
            expected = expect(panel, figures)
        trace.append(expected.log_likelihood)
        settled = len(trace) - since > NU_EVERY
        converged = settled and trace[-1] - trace[-1 - NU_EVERY] < NU_EVERY * tolerance
        if converged or len(trace) == rounds:
            return Climb(figures, expected, tuple(trace), converged)
        steps = expected.smoothed[observed].sum(axis=0)
        if steps.sum(axis=0).min() < 2 * (assets + 1) or steps.sum(axis=1).min() < 2 * (assets + 1):
            return None
        with_nu = len(trace) % NU_EVERY == 0
        risen = hold(maximise(panel, figures, expected, with_nu), shortest, len(panel.returns))
        found = drop_rare(risen, len(observed))
        since = since if found is risen else len(trace)
        further = None if found.bursts is None else ahead.leap(figures, found)
        figures = found if further is None else further


def drop_rare(figures: Figures, steps: int) -> Figures:
    """The figures without bursts of which so many steps have too few to say what they are like."""
    bursts = figures.bursts
    if bursts is None:
        return figures
    enough = bursts.law * steps >= FEWEST
    return figures if enough.all() else replace(figures, bursts=bursts.only(enough))


def expect(panel: Panel, figures: Figures, weights: Floats | None = None) -> Expectation:
    """The E-step: filter and smooth the states.

    With weights (T,) `smoothed` and `moves` count each step that often; the filter is that of the returns.
    """
    levels, regimes = figures.initial.shape
    densities, distances = weigh_states(panel, figures)
    chain = figures.chain()
    log_likelihood, predicted, filtered = filter_densities(
        densities.reshape(len(densities), -1), figures.initial.ravel(), chain
    )
    smoothed, moves = smooth_densities(predicted, filtered, chain, weights)
    if weights is not None:
        smoothed *= weights[:, None]
    states = (-1, levels, regimes)
    moves = moves.reshape(2 * (levels, regimes))
    filtered, smoothed = filtered.reshape(states), smoothed.reshape(states)
    return Expectation(log_likelihood, filtered, smoothed, moves, distances)


def weigh_states(panel: Panel, figures: Figures) -> tuple[Floats, Floats]:
    """Log density of each step's returns in every state, (T, M, K), and the distances of `Expectation`."""
    if figures.bursts is not None:
        return burst_densities(panel, figures), np.zeros((0, len(figures.nu)))
    return log_densities(panel, figures.means, figures.scatter, figures.nu, figures.scales)


def hold(figures: Figures, shortest: Shortest, steps: int) -> Figures:
    """Keep mean durations of regimes and levels within `shortest` and the `steps` of the window."""
    return replace(
        figures,
        transitions=_hold(figures.transitions, shortest.regime, steps),
        level_transitions=_hold(figures.level_transitions, shortest.level, steps),
    )


def _hold(transitions: Floats, shortest: float, longest: float) -> Floats:
    """Move the probabilities of staying into 1 - 1 / shortest to 1 - 1 / longest, where they are outside.

    The other moves keep their proportions, which is the maximum likelihood under these bounds; a state that
    was never left goes anywhere. So none is for good: what a window saw begin and not end would fill the
    stationary law.
    """
    states = len(transitions)
    if states == 1:
        return transitions
    stay = np.diag(transitions)
    held = np.clip(stay, 1.0 - 1.0 / shortest, 1.0 - 1.0 / max(longest, shortest))
    elsewhere = transitions - np.diag(stay)
    leaving = elsewhere.sum(axis=1, keepdims=True)
    anywhere = (1.0 - np.eye(states)) / (states - 1)
    moves = np.where(leaving > 0.0, elsewhere / np.where(leaving > 0.0, leaving, 1.0), anywhere)
    return np.asarray(moves * (1.0 - held)[:, None] + np.diag(held))


@dataclass(frozen=True)
class _Filled:
    """Returns of a pattern (K, n, A), what is missing at its conditional mean; and how that varies."""

    pattern: Pattern
    returns: Floats
    spare: Floats  # (K, A, A), zero where nothing is missing


def _fill(pattern: Pattern, figures: Figures) -> _Filled:
    regimes, assets = figures.means.shape
    there, missing = pattern.there, pattern.missing
    spare = np.zeros((regimes, assets, assets))
    if not len(missing):
        return _Filled(pattern, np.broadcast_to(pattern.returns, (regimes, *pattern.returns.shape)), spare)
    returns = np.empty((regimes, len(pattern.rows), assets))
    returns[:, :, there] = pattern.returns
    for k in range(regimes):
        across = figures.scatter[k][np.ix_(missing, there)]
        slopes = np.linalg.solve(figures.scatter[k][np.ix_(there, there)], across.T)
        centred = pattern.returns - figures.means[k, there]
        returns[k][:, missing] = figures.means[k, missing] + centred @ slopes
        spare[k][np.ix_(missing, missing)] = figures.scatter[k][np.ix_(missing, missing)] - across @ slopes
    return _Filled(pattern, returns, spare)


def maximise(panel: Panel, figures: Figures, expected: Expectation, with_nu: bool) -> Figures:
    """The M-step: means, scatter, scales and bursts by Student-t weights; then nu, if asked; then chains."""
    share = expected.smoothed
    if figures.bursts is None:
        found = _maximise_plain(panel, figures, share, expected.distances)
    else:
        found = maximise_bursts(panel, figures, share)
    moves, level_moves = expected.moves.sum(axis=(0, 2)), expected.moves.sum(axis=(1, 3))
    return replace(
        found,
        nu=_fit_nus(panel, found, share) if with_nu else figures.nu,
        transitions=moves / moves.sum(axis=-1, keepdims=True),
        level_transitions=level_moves / level_moves.sum(axis=-1, keepdims=True),
        initial=share[0],
    )


def _maximise_plain(panel: Panel, figures: Figures, share: Floats, distances: Floats) -> Figures:
    """Means, scatter and scales where there are no bursts.

    Weights and missing returns as in Liu and Rubin (1995); the weights' mean is divided out as in Kent, Tyler
    and Vardi (1994), which is PX-EM.
    """
    scales = figures.scales
    counts = panel.counts()
    scaled = distances[:, None, :] / (scales**2)[:, None]
    weight = share * (figures.nu + counts[:, None, None]) / (figures.nu + scaled)
    parts = [_fill(pattern, figures) for pattern in panel.patterns]
    means, scatter, lift = _fit_location(parts, share, weight, scales, figures)
    if len(scales) > 1:
        scales = _fit_scales(parts, share, weight, scales, means, scatter)
    # the geometric mean of the scales is the unit, so that they and the scatter don't drift apart
    steps = share[panel.observed].sum(axis=(0, 2))
    unit = float(np.exp(steps @ np.log(scales) / steps.sum()))
    scatter = scatter / lift[:, None, None]
    return replace(figures, means=means, scatter=scatter, scales=scales).in_units(unit)


def _fit_location(
    parts: list[_Filled], share: Floats, weight: Floats, scales: Floats, figures: Figures
) -> tuple[Floats, Floats, Floats]:
    """Means (K, A), scatter (K, A, A) before the weights' mean is divided out, and that mean (K,)."""
    pull = (weight / (scales**2)[:, None]).sum(axis=1)
    rows = np.concatenate([part.pattern.rows for part in parts])
    steps, total = share[rows].sum(axis=(0, 1)), weight[rows].sum(axis=(0, 1))
    means = np.zeros_like(figures.means)
    for part in parts:
        for k, returns in enumerate(part.returns):
            means[k] += pull[part.pattern.rows, k] @ returns
    means /= pull[rows].sum(axis=0)[:, None]
    scatter = np.zeros_like(figures.scatter)
    for part in parts:
        for k, returns in enumerate(part.returns):
            centred = returns - means[k]
            scatter[k] += (centred * pull[part.pattern.rows, k, None]).T @ centred
            scatter[k] += share[part.pattern.rows, :, k].sum() * part.spare[k]
    return means, scatter / steps[:, None, None], total / steps


def _fit_scales(
    parts: list[_Filled], share: Floats, weight: Floats, scales: Floats, means: Floats, scatter: Floats
) -> Floats:
    """Scales (M,): the square is the mean squared distance of an asset, in units of the scatter."""
    inverse = np.linalg.inv(scatter)
    assets, apart, steps = means.shape[1], np.zeros(len(scales)), np.zeros(len(scales))
    for part in parts:
        rows = part.pattern.rows
        steps += share[rows].sum(axis=(0, 2))
        for k, returns in enumerate(part.returns):
            centred = returns - means[k]
            apart += weight[rows, :, k].T @ np.sum((centred @ inverse[k]) * centred, axis=-1)
            apart += scales**2 * share[rows, :, k].sum(axis=0) * np.trace(inverse[k] @ part.spare[k])
    return np.asarray(np.sqrt(apart / (assets * steps)))


def _fit_nus(panel: Panel, figures: Figures, share: Floats) -> Floats:
    """Degrees of freedom of every regime, (K,), given the other figures, on the likelihood itself."""
    if figures.bursts is not None:
        return _fit_nus_with_bursts(panel, figures, share)
    rows, means = panel.observed, figures.means
    counts = panel.counts()[rows]
    distances = squared_distances(panel, means, figures.scatter)[0][rows]
    return np.array(
        [
            _fit_nu(distances[:, k, None] / figures.scales**2, share[rows, :, k], counts, figures.nu[k])
            for k in range(len(means))
        ]
    )


def _fit_nus_with_bursts(panel: Panel, figures: Figures, share: Floats) -> Floats:
    """The same, each burst's distances counted by how likely it was."""
    parts = list(cut_parts(panel, figures))
    found = np.empty(len(figures.nu))
    for k, last in enumerate(figures.nu):
        columns = []
        for part in parts:
            counts = np.ascontiguousarray(share[part.pattern.rows, :, k])
            room = int((counts >= UNLIKELY).sum()) * len(part.moves)
            squares, weights = np.empty(room), np.empty(room)
            listed = list_squares(*part.project(k)[1:], part.laws[k], counts, squares, weights)
            sizes = np.full(listed, len(part.pattern.there))
            columns.append((squares[:listed], weights[:listed], sizes))
        squares, weights, sizes = (np.concatenate(column) for column in zip(*columns, strict=True))
        found[k] = _fit_nu(squares[:, None], weights[:, None], sizes, last)
    return found


def _fit_nu(distances: Floats, share: Floats, counts: NDArray[np.int64], near: float) -> float:
    """Degrees of freedom within NU_BOUNDS where the weighted likelihood is highest.

    distances and share (n, M), counts (n,) of the assets that a distance is over.
    """
    by_count = [(int(count), float(share[counts == count].sum())) for count in np.unique(counts)]
    likely = share > NEGLIGIBLE
    size = np.broadcast_to(counts[:, None], share.shape)[likely]
    distances, share = distances[likely], share[likely]

    def slope(nu: float) -> float:
        pulled = float(np.sum(share * (nu + size) * (distances / (nu + distances)))) / nu
        spread = float(np.sum(share * np.log1p(distances / nu)))
        constant = sum(
            steps * (digamma(0.5 * (nu + count)) - digamma(0.5 * nu) - count / nu)
            for count, steps in by_count
        )
        return float(constant - spread + pulled)

    low, high = NU_BOUNDS
    # The root hardly moves between rounds: look beside the last one first.
    low_near, high_near = max(low, 0.8 * near), min(high, 1.25 * near)
    low = low_near if slope(low_near) > 0.0 else low
    high = high_near if slope(high_near) < 0.0 else high
    if slope(low) <= 0.0:
        return low
    if slope(high) >= 0.0:
        return high
    return float(brentq(slope, low, high, rtol=1e-3))
