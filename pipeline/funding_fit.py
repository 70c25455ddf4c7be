"""How funding reverts to its level in each regime, from settled rates."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import lfilter

Floats = NDArray[np.float64]

PRIOR = timedelta(days=7)  # the weight of what an asset is like in all regimes beside what it is like in one
HELD = timedelta(days=7)  # over which accrued funding must vary as it did
MOVES = timedelta(days=1)  # over which moves of funding are set against returns: no interval is longer
LONGEST = timedelta(days=60)
ROUNDS = 3  # the path of the level and the half-life each need the other
NARROW = 0.95  # correlations beyond it, either way, are chance


class FundingFit(NamedTuple):
    """Annualised level and deviation (K, A), half-lives and correlations (A,), and one for all assets."""

    level: Floats
    deviation: Floats
    half_life: tuple[timedelta, ...]
    correlation: Floats
    common: float


def fit_funding(rates: Floats, probabilities: Floats, returns: Floats, step: timedelta) -> FundingFit:
    """Fit the law of `pipeline.reversion` to annualised rates (T, A), NaN where unknown, over bars of a step.

    probabilities (T, K) are of the regimes over the same bars, returns (T, A) log returns, NaN where missing.
    Level and deviation are means weighted by probability, with PRIOR; the deviation is from where the level,
    followed at the rate's own pace, would have it. The half-life is that for which the sum over HELD has the
    variance that it has in the data; so it does not matter that a rate is known once an interval, nor that
    rates remember longer than such a law. Correlations are of moves over MOVES; where rates settle every 8
    hours they come out low, by a quarter at a half-life of 10 hours.
    """
    known = np.isfinite(rates)
    level = _by_regime(np.where(known, rates, 0.0), known, probabilities, step)
    path = probabilities @ level
    for _ in range(ROUNDS):
        distance = np.where(known, rates - path, 0.0)
        variance = _by_regime(distance**2, known, probabilities, step)
        spread = np.sqrt(probabilities @ variance)
        scaled = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0.0)
        kept = np.array([_match_sum(scaled[:, a], known[:, a], step) for a in range(rates.shape[1])])
        path = _follow(probabilities @ level, kept)
    moves, noise = _moves(scaled, known, kept, step), _standardised(returns, probabilities, step)
    correlation = _tie(moves, noise, kept, step)
    return FundingFit(
        level,
        np.sqrt(variance),
        tuple(timedelta(minutes=round(-(step / timedelta(minutes=1)) / float(np.log2(k)))) for k in kept),
        correlation,
        _share(moves, noise, kept, correlation, step),
    )


def _follow(level: Floats, kept: Floats) -> Floats:
    """(T, A): where rates without shocks would be, as they come after the level of the regime."""
    return np.column_stack(
        [lfilter([1.0 - k], [1.0, -k], level[:, a], zi=[k * level[0, a]])[0] for a, k in enumerate(kept)]
    )


def _by_regime(values: Floats, known: NDArray[np.bool_], probabilities: Floats, step: timedelta) -> Floats:
    """(K, A) means weighted by probability, the mean over all regimes weighing PRIOR beside them."""
    mean = values.sum(axis=0) / known.sum(axis=0)
    prior = PRIOR / step
    return np.asarray((probabilities.T @ values + prior * mean) / (probabilities.T @ known + prior))


def _match_sum(scaled: Floats, known: NDArray[np.bool_], step: timedelta) -> float:
    """What is kept of a distance after a step: phi with sum_l (n - l) phi^l that of autocorrelations."""
    count = min(HELD // step, len(scaled) - 1)
    lags = np.arange(1, count)
    pairs = np.array([(known[lag:] & known[:-lag]).sum() for lag in lags])
    products = np.array([scaled[lag:] @ scaled[:-lag] for lag in lags])
    here = float(scaled @ scaled / known.sum()) or 1.0
    asked = float((count - lags) @ (products / np.maximum(pairs, 1))) / here

    def excess(phi: float) -> float:
        return float((count - lags) @ phi**lags) - asked

    low, high = 0.5, 2.0 ** -(step / LONGEST)
    if excess(low) >= 0.0:
        return low
    return high if excess(high) <= 0.0 else float(brentq(excess, low, high))


def _block(step: timedelta) -> int:
    return max(1, MOVES // step)


def _moves(scaled: Floats, known: NDArray[np.bool_], kept: Floats, step: timedelta) -> Floats:
    """(T - n, A): what came to the distance over n steps, NaN where an end is unknown."""
    n = _block(step)
    moved = scaled[n:] - kept**n * scaled[:-n]
    return np.where(known[n:] & known[:-n], moved, np.nan)


def _standardised(returns: Floats, probabilities: Floats, step: timedelta) -> Floats:
    """Returns less their mean, over their standard deviation in the regimes."""
    seen = np.isfinite(returns)
    centred = np.where(seen, returns - np.nanmean(returns, axis=0), 0.0)
    variance = _by_regime(centred**2, seen, probabilities, step)
    return np.asarray(np.where(seen, centred / np.sqrt(probabilities @ variance), np.nan))


def _tie(moves: Floats, noise: Floats, kept: Floats, step: timedelta) -> Floats:
    """(A,): rho, as the covariance of n steps' moves and returns is rho s (1 - phi^n) / (1 - phi)."""
    n = _block(step)
    summed = np.cumsum(np.vstack([np.zeros(noise.shape[1]), np.nan_to_num(noise)]), axis=0)
    gained = (summed[n:] - summed[:-n])[1:]
    covariance = np.nanmean(moves * gained[: len(moves)], axis=0)
    unit = np.sqrt(1.0 - kept**2) * (1.0 - kept**n) / (1.0 - kept)
    return np.asarray(np.clip(covariance / unit, -NARROW, NARROW))


def _share(moves: Floats, noise: Floats, kept: Floats, rho: Floats, step: timedelta) -> float:
    """The mean over pairs of c, as the covariance of their moves is
    s s' (1 - (phi phi')^n) / (1 - phi phi') (rho rho' R + sqrt((1 - rho^2) (1 - rho'^2)) c)."""
    n, assets = _block(step), len(kept)
    shares = []
    for a in range(assets):
        for b in range(a + 1, assets):
            both = np.isfinite(moves[:, a] * moves[:, b])
            if not both.any():
                continue
            product = kept[a] * kept[b]
            unit = np.sqrt((1.0 - kept[a] ** 2) * (1.0 - kept[b] ** 2)) * (1.0 - product**n) / (1.0 - product)
            whole = float(np.nanmean(moves[:, a] * moves[:, b])) / unit
            of_returns = rho[a] * rho[b] * float(np.nanmean(noise[:, a] * noise[:, b]))
            shares.append((whole - of_returns) / np.sqrt((1.0 - rho[a] ** 2) * (1.0 - rho[b] ** 2)))
    return float(np.clip(np.mean(shares), 0.0, 1.0)) if shares else 0.0
