"""Markov-switching multivariate Student-t: its fit to returns, and inference in a fitted one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma

from kernels.hidden_markov import fill_log_densities
from pipeline.errors import DataError, Problem
from pipeline.regimes import (
    filter_densities,
    log_density,
    smooth_densities,
    squared_distances,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[str], None]

NU_BOUNDS = (2.1, 100.0)  # above 2 the covariance exists; at 100 the law is Gaussian for any use made of it
TOLERANCE = 1e-6  # nats of log-likelihood won by the last round of EM
MAX_ROUNDS = 1000


@dataclass(frozen=True)
class RegimeFit:
    """A fitted model of K regimes of A assets over T steps, regimes ordered by the trace of their covariance.

    Figures are per step and in units of the returns: means (K, A), scatter (K, A, A), nu (K,) degrees of
    freedom, transitions (K, K), initial (K,) law of the first step's regime; filtered and smoothed (T, K).
    shrinkage (K,) is the share of the correlation taken from its average; trace the log-likelihood at each
    round of EM, before shrinkage; log_likelihood that of the figures as they stand.
    """

    means: Floats
    scatter: Floats
    nu: Floats
    transitions: Floats
    initial: Floats
    log_likelihood: float
    filtered: Floats
    smoothed: Floats
    iterations: int
    converged: bool
    shrinkage: Floats
    trace: tuple[float, ...]

    @property
    def covariances(self) -> Floats:
        """Covariance of one step's returns by regime, (K, A, A): scatter x nu / (nu - 2)."""
        return self.scatter * (self.nu / (self.nu - 2.0))[:, None, None]


def fit_regimes(
    returns: Floats,
    regimes: int,
    seed: int,
    starts: int = 4,
    shortest: float = 1.0,
    progress: Progress | None = None,
) -> RegimeFit:
    """Fit a Markov-switching multivariate Student-t by maximum likelihood, the best of several seeded starts.

    returns (T, A); a row with any NaN is a missing step: it has density 1 and the chain moves across it.
    No regime is let go sooner than after `shortest` steps on average: 1 leaves the likelihood alone.
    Raises DataError where there is too little to fit.
    """
    observed = _observed(returns, regimes)
    rng = np.random.default_rng(seed)
    best: RegimeFit | None = None
    for start in range(starts):
        figures = _hold(_draw_start(returns, observed, regimes, start, rng), shortest)
        try:
            fit = _climb(returns, observed, figures, shortest)
        except np.linalg.LinAlgError:  # a covariance became singular: assets that move as one
            fit = None
        if progress is not None:
            state = "fell apart" if fit is None else f"log-likelihood {fit.log_likelihood:.1f}"
            progress(f"{regimes} regimes, start {start + 1} of {starts}: {state}")
        if fit is not None and (best is None or fit.log_likelihood > best.log_likelihood):
            best = fit
    if best is None:
        expected = f"{regimes} regimes of {returns.shape[1]} assets that can be told apart"
        got = f"{len(observed)} steps, on which every start lost a regime or a rank"
        fix = "take a longer window, fewer regimes, or no two assets that move as one"
        raise DataError([Problem("returns", expected, got, fix)])
    return _shrink(returns, _order(best))


@dataclass(frozen=True)
class _Figures:
    """What one round of EM changes."""

    means: Floats
    scatter: Floats
    nu: Floats
    transitions: Floats
    initial: Floats


def _observed(returns: Floats, regimes: int) -> Integers:
    """Return the rows without NaN, after checking that they can carry a fit."""
    rows = np.flatnonzero(~np.isnan(returns).any(axis=-1)).astype(np.int64)
    needed = 10 * regimes * (returns.shape[1] + 1)
    problems = []
    if len(rows) < needed:
        problems.append(
            Problem(
                where="returns",
                expected=f"at least {needed} complete steps to fit {regimes} regimes",
                got=f"{len(rows)}",
                fix="take a longer window, fewer regimes or fewer assets",
            )
        )
    else:
        for asset in np.flatnonzero(np.ptp(returns[rows], axis=0) == 0.0):
            problems.append(
                Problem(
                    where=f"returns, asset number {asset + 1}",
                    expected="prices that move",
                    got="the same return in every step",
                    fix="leave this asset out",
                )
            )
    if problems:
        raise DataError(problems)
    return rows


def _draw_start(
    returns: Floats, observed: Integers, regimes: int, start: int, rng: np.random.Generator
) -> _Figures:
    """Sort the steps by the volatility around them and cut at quantiles; starts after the first at random."""
    x = returns[observed]
    energy = np.mean(((x - x.mean(axis=0)) / x.std(axis=0)) ** 2, axis=-1)
    width = 24 if start == 0 else int(rng.integers(1, 97))
    shares = np.full(regimes, 1.0 / regimes) if start == 0 else 0.05 + rng.dirichlet(np.ones(regimes))
    level = np.convolve(energy, np.ones(min(width, len(x))) / width, mode="same")
    cuts = np.quantile(level, np.cumsum(shares / shares.sum())[:-1])
    regime_of_step = np.searchsorted(cuts, level)
    means, scatter = [], []
    for k in range(regimes):
        group = x[regime_of_step == k]
        means.append(group.mean(axis=0))
        # A little of the pooled covariance keeps small groups invertible.
        scatter.append(
            (0.9 * np.cov(group.T, bias=True) + 0.1 * np.cov(x.T, bias=True)).reshape(2 * x.shape[1:])
        )
    stay = 0.95
    transitions = np.full((regimes, regimes), (1.0 - stay) / max(regimes - 1, 1))
    np.fill_diagonal(transitions, stay if regimes > 1 else 1.0)
    nu = np.full(regimes, 6.0)
    return _Figures(np.array(means), np.array(scatter), nu, transitions, np.full(regimes, 1.0 / regimes))


def _hold(figures: _Figures, shortest: float) -> _Figures:
    """Raise the probabilities of staying to 1 - 1 / shortest, where they are lower.

    The other moves keep their proportions, which is the maximum likelihood under that bound.
    """
    stay = np.diag(figures.transitions)
    held = np.maximum(stay, 1.0 - 1.0 / shortest)
    leave = np.divide(1.0 - held, 1.0 - stay, out=np.zeros_like(stay), where=stay < 1.0)
    transitions = figures.transitions * leave[:, None]
    np.fill_diagonal(transitions, held)
    return replace(figures, transitions=transitions)


def _climb(returns: Floats, observed: Integers, figures: _Figures, shortest: float) -> RegimeFit | None:
    """Run ECM from a start until the likelihood stands still; None where a regime dies on the way.

    E-step: filter and smoother. M-step: transitions; mean and scatter by Student-t weights (with the scaling
    of Kent, Tyler and Vardi 1994); then nu on the likelihood itself (Liu and Rubin 1995). No step lowers it.
    """
    assets = returns.shape[1]
    x = returns[observed]
    trace: list[float] = []
    for _ in range(MAX_ROUNDS):
        distances, log_determinants = squared_distances(returns, figures.means, figures.scatter)
        log_densities = np.empty_like(distances)
        fill_log_densities(distances, log_determinants, figures.nu, assets, log_densities)
        log_likelihood, predicted, filtered = filter_densities(
            log_densities, figures.initial, figures.transitions
        )
        smoothed, moves = smooth_densities(predicted, filtered, figures.transitions)
        trace.append(log_likelihood)
        converged = len(trace) > 1 and trace[-1] - trace[-2] < TOLERANCE
        if converged or len(trace) == MAX_ROUNDS:
            break
        share = smoothed[observed]
        if np.any(share.sum(axis=0) < 2 * (assets + 1)):
            return None
        weight = share * (figures.nu + assets) / (figures.nu + distances[observed])
        total = weight.sum(axis=0)
        means = (weight.T @ x) / total[:, None]
        scatter = np.empty_like(figures.scatter)
        for k in range(len(means)):
            centred = x - means[k]
            scatter[k] = (centred * weight[:, k, None]).T @ centred / total[k]
        distances = squared_distances(x, means, scatter)[0]
        nu = np.array(
            [_fit_nu(distances[:, k], share[:, k], assets, figures.nu[k]) for k in range(len(means))]
        )
        transitions = moves / moves.sum(axis=-1, keepdims=True)
        figures = _hold(_Figures(means, scatter, nu, transitions, smoothed[0]), shortest)
    return RegimeFit(
        means=figures.means,
        scatter=figures.scatter,
        nu=figures.nu,
        transitions=figures.transitions,
        initial=figures.initial,
        log_likelihood=log_likelihood,
        filtered=filtered,
        smoothed=smoothed,
        iterations=len(trace),
        converged=converged,
        shrinkage=np.zeros(len(figures.nu)),
        trace=tuple(trace),
    )


def _fit_nu(distances: Floats, share: Floats, assets: int, near: float) -> float:
    """Return the degrees of freedom within NU_BOUNDS where the weighted likelihood is highest."""
    steps = share.sum()

    def slope(nu: float) -> float:
        pulled = float(share @ (distances / (nu + distances))) * (nu + assets) / nu
        spread = float(share @ np.log1p(distances / nu))
        constant = digamma(0.5 * (nu + assets)) - digamma(0.5 * nu) - assets / nu
        return float(steps * constant - spread + pulled)

    low, high = NU_BOUNDS
    # The root hardly moves between rounds: look beside the last one first.
    low_near, high_near = max(low, 0.8 * near), min(high, 1.25 * near)
    low = low_near if slope(low_near) > 0.0 else low
    high = high_near if slope(high_near) < 0.0 else high
    if slope(low) <= 0.0:
        return low
    if slope(high) >= 0.0:
        return high
    return float(brentq(slope, low, high, xtol=1e-8))


def _order(fit: RegimeFit) -> RegimeFit:
    """Number the regimes by the trace of their covariance, the quietest first."""
    order = np.argsort(np.trace(fit.covariances, axis1=1, axis2=2))
    return replace(
        fit,
        means=fit.means[order],
        scatter=fit.scatter[order],
        nu=fit.nu[order],
        transitions=fit.transitions[np.ix_(order, order)],
        initial=fit.initial[order],
        filtered=fit.filtered[:, order],
        smoothed=fit.smoothed[:, order],
    )


def _shrink(returns: Floats, fit: RegimeFit) -> RegimeFit:
    """Pull each regime's correlations to their average as their errors ask (Schafer and Strimmer 2005).

    The squared error of a correlation r from n steps of a Student-t is (1 - r^2)^2 (1 + 2 / (A + nu)) / n
    (Tyler 1982).
    """
    assets = returns.shape[1]
    if assets < 3:
        return fit
    pairs = np.triu_indices(assets, 1)
    observed = ~np.isnan(returns).any(axis=-1)
    steps = fit.smoothed[observed].sum(axis=0)
    scatter, shrinkage = fit.scatter.copy(), np.zeros(len(fit.nu))
    for k, matrix in enumerate(fit.scatter):
        deviations = np.sqrt(np.diag(matrix))
        correlation = matrix / np.outer(deviations, deviations)
        r = correlation[pairs]
        errors = (1.0 - r**2) ** 2 * (1.0 + 2.0 / (assets + fit.nu[k])) / steps[k]
        apart = np.sum((r - r.mean()) ** 2)
        shrinkage[k] = min(1.0, errors.sum() / apart) if apart > 0.0 else 1.0
        average = np.full((assets, assets), r.mean())
        np.fill_diagonal(average, 1.0)
        blended = (1.0 - shrinkage[k]) * correlation + shrinkage[k] * average
        scatter[k] = blended * np.outer(deviations, deviations)
    log_densities = log_density(returns, fit.means, scatter, fit.nu)
    log_likelihood, predicted, filtered = filter_densities(log_densities, fit.initial, fit.transitions)
    smoothed = smooth_densities(predicted, filtered, fit.transitions)[0]
    return replace(
        fit,
        scatter=scatter,
        shrinkage=shrinkage,
        log_likelihood=log_likelihood,
        filtered=filtered,
        smoothed=smoothed,
    )
