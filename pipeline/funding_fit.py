"""How funding reverts to its level in each regime, from settled rates.

Shapes: T steps, A assets, K regimes. With phi what is kept of a distance from the level after a step, a rate
moves over n steps by

    f(t + n) - phi^n f(t) = sum_j phi^j ((1 - phi) level_k + sqrt(1 - phi^2) deviation_k e),   j = 0 .. n - 1

with k the regime of step t + n - j. A regime of hours is over before a rate of days gets to its level, so the
mean rate in a regime is not its level: levels are fitted to these moves, and so are deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import lfilter

Floats = NDArray[np.float64]

PRIOR = timedelta(days=7)  # in one regime, that say as much of it as what the asset is like in all
HELD = timedelta(days=7)  # over which accrued funding must vary as it did
MOVES = timedelta(days=1)  # over which moves of funding are set against returns: no interval is longer
LONGEST = timedelta(days=60)
ROUNDS = 4  # levels, deviations and the half-life each need the others
CLIMB = 12  # rounds of the likelihood of variances by regime
NEXT_TO_NOTHING = 1e-9  # of a regime, where none is seen
NARROW = 0.95  # correlations beyond it, either way, are chance


class FundingFit(NamedTuple):
    """Annualised level and deviation (K, A), half-lives and correlations (A,), and one for all assets."""

    level: Floats
    deviation: Floats
    half_life: tuple[timedelta, ...]
    correlation: Floats
    common: float


class _Own(NamedTuple):
    """Of one asset: level and deviation (K,), what is kept in a step; over MOVES, n steps, moves less what
    the level asks, NaN where an end is unknown, and the variance that the deviations ask, (T - n,) both."""

    level: Floats
    deviation: Floats
    kept: float
    moves: Floats
    variance: Floats


def fit_funding(
    rates: Floats,
    probabilities: Floats,
    returns: Floats,
    step: timedelta,
    every: Sequence[timedelta] = (),
    added: Floats | None = None,
) -> FundingFit:
    """Fit the law of `pipeline.reversion` to annualised rates (T, A), NaN where unknown, over bars of a step.

    probabilities (T, K) are of the regimes over the same bars, and sum to how much the bar counts; returns
    (T, A) are log returns, NaN where missing. `every` says by asset how often the rate is known anew; each
    step, if left out. `added` (T, K, A) is what bursts are expected to have added to returns in each regime,
    of which rates know nothing; nothing, if left out.

    Over moves of one settlement levels are by least squares, weighted by variance, deviations by the
    likelihood of squared moves, had they a gamma law; both with PRIOR. Over all regimes the distance from
    where the level would have the rate is as wide as it is in the data. The half-life is that for which the
    sum over HELD has the variance that it has in the data; so it does not matter that a rate is known once an
    interval, nor that rates remember longer than such a law. Correlations are of moves over MOVES with
    returns less their bursts; where rates settle every 8 hours they come out low, by a quarter at a half-life
    of 10 hours.
    """
    count = probabilities.sum(axis=-1)
    law = probabilities / count[:, None]
    anew = [_steps(span, step, len(rates)) for span in every] or [1] * rates.shape[1]
    own = [_fit_own(rates[:, a], law, count, step, n) for a, n in enumerate(anew)]
    drive = _drives(own, returns, np.zeros((1, 1, 1)) if added is None else added, law, count)
    correlation = np.array([_tie(each, drive[:, a], step) for a, each in enumerate(own)])
    return FundingFit(
        np.column_stack([each.level for each in own]),
        np.column_stack([each.deviation for each in own]),
        tuple(timedelta(minutes=round(-(step / timedelta(minutes=1)) / float(np.log2(x.kept)))) for x in own),
        correlation,
        _share(own, drive, correlation, law, step),
    )


def _fit_own(rates: Floats, law: Floats, count: Floats, step: timedelta, n: int) -> _Own:
    prior = PRIOR / step
    known = np.isfinite(rates)
    values, weight = np.where(known, rates, 0.0), np.where(known, count, 0.0)
    ends = np.where(known[n:] & known[:-n], count[n:], 0.0)
    mean = float(weight @ values / weight.sum())
    total = float(weight @ (values - mean) ** 2 / weight.sum())
    level, variance, kept = np.full(law.shape[1], mean), np.full(law.shape[1], total), 0.5
    for _ in range(ROUNDS if total > 0.0 else 0):
        distance = values - _follow(law @ level, kept)
        kept = _match_sum(distance / np.sqrt(_follow(law @ variance, kept**2)), weight, step)
        pull, stir = _exposure(law, kept, n), _exposure(law, kept**2, n)
        moved = values[n:] - kept**n * values[:-n]
        level = _fit_level(moved, pull, ends, stir @ variance, prior)
        variance = _fit_variance((moved - pull @ level) ** 2, stir, ends, prior, variance)
        # over all regimes the distance has its own variance: real rates are no such process to the letter
        distance = values - _follow(law @ level, kept)
        variance *= (weight @ distance**2) / (weight @ _follow(law @ variance, kept**2))
    n = _steps(MOVES, step, len(rates))
    moved = values[n:] - kept**n * values[:-n] - _exposure(law, kept, n) @ level
    moved = np.where(known[n:] & known[:-n], moved, np.nan)
    return _Own(level, np.sqrt(variance), kept, moved, _exposure(law, kept**2, n) @ variance)


def _fit_level(moved: Floats, pull: Floats, count: Floats, variance: Floats, prior: float) -> Floats:
    """(K,): what moves (N,) of such variance ask of levels whose pull on them is (N, K).

    Beside them stands the mean of all, as so many steps of the regime alone would.
    """
    whole, weight = float(pull[0].sum()), count / variance  # pulls are shares of one and the same whole
    of_all = float(count @ moved) / (whole * float(count.sum()))
    seen = pull + NEXT_TO_NOTHING
    belief = prior * whole**2 * (weight @ seen) / (count @ seen)
    squares = (pull * weight[:, None]).T @ pull + np.diag(belief)
    return np.asarray(np.linalg.solve(squares, pull.T @ (weight * moved) + belief * of_all))


def _fit_variance(squares: Floats, stir: Floats, count: Floats, prior: float, near: Floats) -> Floats:
    """(K,): variances of which stir (N, K) makes the means of squares (N,), at the highest gamma likelihood.

    Multiplicative rounds keep them positive (Fevotte, Bertin and Durrieu 2009).
    """
    counted = (stir * count[:, None]).T
    of_all = float(count @ squares) / float(counted.sum())
    variance = near
    for _ in range(CLIMB):
        asked = stir @ variance
        up = counted @ (squares / asked**2) + prior * of_all / variance**2
        variance = variance * np.sqrt(up / (counted @ (1.0 / asked) + prior / variance))
    return variance


def _follow(level: Floats, kept: float) -> Floats:
    """(T,): where what is kept in a step is so much, and the rest is the level's, from the first level on."""
    return np.asarray(lfilter([1.0 - kept], [1.0, -kept], level, zi=[kept * level[0]])[0])


def _exposure(values: Floats, kept: float, n: int) -> Floats:
    """(T - n, ...): sum_j (1 - kept) kept^j values[t + n - j] over the n steps after each t."""
    sums = lfilter([1.0 - kept], [1.0, -kept], values, axis=0)
    return np.asarray(sums[n:] - kept**n * sums[:-n])


def _match_sum(scaled: Floats, weight: Floats, step: timedelta) -> float:
    """What is kept of a distance after a step: phi with sum_l (n - l) phi^l that of autocorrelations."""
    count = min(HELD // step, len(scaled) - 1)
    lags, root = np.arange(1, count), np.sqrt(weight)
    here = float(weight @ scaled**2 / weight.sum()) or 1.0
    scaled = root * scaled
    pairs = np.array([root[lag:] @ root[:-lag] for lag in lags])
    products = np.array([scaled[lag:] @ scaled[:-lag] for lag in lags])
    asked = float((count - lags) @ np.divide(products, pairs, where=pairs > 0.0, out=products)) / here

    def excess(phi: float) -> float:
        return float((count - lags) @ phi**lags) - asked

    low, high = 0.5, 2.0 ** -(step / LONGEST)
    if excess(low) >= 0.0:
        return low
    return high if excess(high) <= 0.0 else float(brentq(excess, low, high))


def _steps(span: timedelta, step: timedelta, most: int) -> int:
    """Steps in a span, one at least, and half of what there is at most."""
    return max(1, min(round(span / step), most // 2))


def _drives(own: list[_Own], returns: Floats, added: Floats, law: Floats, count: Floats) -> Floats:
    """(T, A): what returns would add to each rate in a step, were its correlation with them 1.

    In regime k that is sqrt(1 - phi^2) deviation_k / volatility_k times the return less what bursts added,
    (T, K, A): what both are multiplied by, w and the level's scale, is in the return already. Averaged by how
    likely regimes are, given returns. Volatility is without bursts too: the mean product of a return and of
    what is expected to be left of it is that of the latter's square, were it known.
    """
    seen = np.isfinite(returns)
    centred = np.where(seen, returns - np.nanmean(returns, axis=0), 0.0)
    left = np.broadcast_to(centred[:, None] - added, (*law.shape, len(own)))
    mean = np.einsum("tk,tka->a", law, left) / seen.sum(axis=0)
    left = np.where(seen[:, None], left - mean, 0.0)
    squares = np.einsum("tk,tka,ta->tka", law, left, centred)
    of_all = squares.sum(axis=(0, 1)) / seen.sum(axis=0)
    weighed = np.einsum("t,tka->ka", count, squares) + of_all
    volatility = np.sqrt(weighed / ((law * count[:, None]).T @ seen + 1.0))
    ratio = np.column_stack([each.deviation * np.sqrt(1.0 - each.kept**2) for each in own]) / volatility
    return np.asarray(np.einsum("tk,ka,tka->ta", law, ratio, left))


def _tie(own: _Own, drive: Floats, step: timedelta) -> float:
    """rho: by least squares, weighted by variance, of moves on what returns would make of them."""
    n = _steps(MOVES, step, len(drive))
    gained = _exposure(drive, own.kept, n) / (1.0 - own.kept)
    there = np.isfinite(own.moves) & (own.variance > 0.0)
    weight = gained[there] / own.variance[there]
    square = float(weight @ gained[there])
    return float(np.clip(weight @ own.moves[there] / square, -NARROW, NARROW)) if square else 0.0


def _share(own: list[_Own], drive: Floats, rho: Floats, law: Floats, step: timedelta) -> float:
    """The mean over pairs of c: the product of what is left of two assets' moves, over what it would be had
    their shocks the same rest, is sqrt((1 - rho^2) (1 - rho'^2)) c."""
    n, shares = _steps(MOVES, step, len(drive)), []
    rest = [
        each.moves - rho[a] * _exposure(drive[:, a], each.kept, n) / (1.0 - each.kept)
        for a, each in enumerate(own)
    ]
    for a, one in enumerate(own):
        for b in range(a + 1, len(own)):
            other = own[b]
            weight = one.variance * other.variance
            there = np.isfinite(rest[a] * rest[b]) & (weight > 0.0)
            if not there.any():
                continue
            kept = one.kept * other.kept
            whole = _exposure(law @ (one.deviation * other.deviation), kept, n) / (1.0 - kept)
            whole *= np.sqrt((1.0 - one.kept**2) * (1.0 - other.kept**2))
            weight = 1.0 / np.sqrt(weight[there])
            found = float(weight @ (rest[a] * rest[b])[there]) / float(weight @ whole[there])
            shares.append(found / np.sqrt((1.0 - rho[a] ** 2) * (1.0 - rho[b] ** 2)))
    return float(np.clip(np.mean(shares), 0.0, 1.0)) if shares else 0.0
