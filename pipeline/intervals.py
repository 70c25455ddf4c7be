"""Intervals for a probability that was estimated by counting."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Bounds:
    """Two-sided Wilson score interval (low, high) for a binomial proportion, elementwise.

    `successes` and `trials` broadcast; bounds are float64 fractions. No success gives low = 0 exactly,
    no failure high = 1 exactly. Raises ValueError for impossible counts or a level outside (0, 1).
    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    from scipy.special import ndtri

    k, n = _counts(successes, trials, level)
    z = ndtri(0.5 + level / 2)
    p = k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = np.where(k == 0, 0.0, centre - half)
    high = np.where(k == n, 1.0, centre + half)
    return low, high


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Bounds:
    """Two-sided exact interval (low, high) for a binomial proportion, elementwise: never covers too little.

    Same arguments, units and errors as `wilson`. Source: C. J. Clopper and E. S. Pearson,
    Biometrika 26 (1934) 404, as quantiles of the beta distribution.
    """
    from scipy.special import betaincinv

    k, n = _counts(successes, trials, level)
    tail = (1 - level) / 2
    # the beta distribution needs positive parameters, so the two ends are filled in by hand
    low = np.where(k == 0, 0.0, betaincinv(np.maximum(k, 1), n - k + 1, tail))
    high = np.where(k == n, 1.0, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail))
    return low, high


def counted(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Bounds:
    """The interval of the cube: Wilson, and Clopper-Pearson where the event never or always happened.

    Same arguments, units and errors as `wilson`. At the ends the exact bound can be defended
    ("0 of 200,000 paths: below 0.0018 %"), where Wilson's is an approximation.
    """
    low, high = wilson(successes, trials, level)
    k, n = _counts(successes, trials, level)
    end = (k == 0) | (k == n)
    low[end], high[end] = clopper_pearson(k[end], n[end], level)
    return low, high


def paired_difference(
    only_here: ArrayLike, only_there: ArrayLike, trials: int, level: float = 0.95
) -> Bounds:
    """Two-sided interval (low, high) for the difference of two probabilities on the same trials, elementwise.

    From the trials with the one event and not the other, and the reverse: Wald's, with one pair of each
    added. Source: D. G. Bonett and R. M. Price, J. Educ. Behav. Stat. 37 (2012) 479.
    """
    from scipy.special import ndtri

    up, n = _counts(only_here, trials, level)
    down, _ = _counts(only_there, trials, level)
    p, q = (up + 1) / (n + 2), (down + 1) / (n + 2)
    half = ndtri(0.5 + level / 2) * np.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return np.maximum(p - q - half, -1.0), np.minimum(p - q + half, 1.0)


def over_draws(mean: ArrayLike, deviation: ArrayLike, draws: int, level: float = 0.95) -> Bounds:
    """Two-sided interval (low, high) for the probability under one more draw of a model's parameters.

    `mean` and `deviation` (of the sample, over draws) are of the probabilities that `draws` draws gave, each
    estimated from paths of its own. On the scale of log odds, by the delta method:

        logit(mean) +- t(draws - 1) deviation sqrt(1 + 1/draws) / (mean (1 - mean))

    which is Student's prediction interval. `deviation` holds the Monte Carlo error of each draw's estimate,
    and nothing is taken off for it: few paths make the interval too wide. Ends are NaN where the mean is 0
    or 1.
    """
    from scipy.special import expit, logit, stdtrit

    p, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(deviation, np.float64))
    if draws < 2 or not 0 < level < 1:
        raise ValueError(f"at least 2 draws and a level between 0 and 1, got {draws} and {level}")
    inside = (p > 0) & (p < 1)
    at = np.where(inside, p, np.nan)
    half = stdtrit(draws - 1, 0.5 + level / 2) * s * np.sqrt(1 + 1 / draws) / (at * (1 - at))
    return expit(logit(at) - half), expit(logit(at) + half)


def of_mean(
    total: ArrayLike, squares: ArrayLike, trials: int, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and the ends of its two-sided normal interval, from sums of values and of their squares.

    With fewer than two trials nothing is known of the spread, and the ends are NaN.
    """
    from scipy.special import ndtri

    mean = np.asarray(total, np.float64) / trials
    if trials < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    variance = np.maximum(np.asarray(squares, np.float64) / trials - mean**2, 0.0) * trials / (trials - 1)
    half = ndtri(0.5 + level / 2) * np.sqrt(variance / trials)
    return mean, mean - half, mean + half


def _counts(successes: ArrayLike, trials: ArrayLike, level: float) -> Bounds:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if not np.all((n >= 1) & (k >= 0) & (k <= n)):
        raise ValueError("successes must lie between 0 and trials, and trials be at least 1")
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, got {level}")
    return k, n
