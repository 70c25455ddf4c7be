"""Markov-switching multivariate Student-t with levels of volatility: its fit to returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.burst_densities import expect_bursts
from pipeline.burst_fit import climb_with_bursts
from pipeline.chain import stationary_law
from pipeline.errors import DataError, Problem
from pipeline.figures import FREE, Figures, Shortest
from pipeline.panel import Panel, read_panel
from pipeline.regime_climb import Climb, climb, expect
from pipeline.regime_start import draw_start

Floats = NDArray[np.float64]
Progress = Callable[[str], None]

FIRST_ROUNDS = 25  # of each start; only the best of them climbs on (Biernacki, Celeux and Govaert 2003)


@dataclass(frozen=True)
class RegimeFit:
    """A fitted model of K regimes and M levels of A assets over T steps.

    Regimes are ordered by the trace of their covariance, levels by scale. Figures are per step and in units
    of the returns: see `Figures`; the mean square of the scales under the chain's stationary law is 1.
    filtered and smoothed (T, M, K) are laws of each step's state; shrinkage (K,) is the share of the
    correlation taken from its average; trace the log-likelihood at each round of EM, before shrinkage;
    log_likelihood that of the figures as they stand.
    """

    figures: Figures
    log_likelihood: float
    filtered: Floats
    smoothed: Floats
    converged: bool
    shrinkage: Floats
    trace: tuple[float, ...]

    @property
    def covariances(self) -> Floats:
        """Covariance of one step's returns by regime, over levels, bursts apart, (K, A, A)."""
        return self.figures.covariances()

    @property
    def next_state(self) -> Floats:
        """Law of the state of the step after the last, (M, K)."""
        return np.asarray(self.figures.level_transitions.T @ self.filtered[-1] @ self.figures.transitions)

    def added(self, returns: Floats) -> Floats:
        """What bursts are expected to have added to these returns (T, A), by regime, (T, K, A)."""
        return expect_bursts(read_panel(returns), self.figures, self.smoothed)


def fit_regimes(
    returns: Floats,
    regimes: int,
    seed: int,
    starts: int = 4,
    shortest: Shortest = FREE,
    levels: int = 1,
    progress: Progress | None = None,
    bursts: bool = False,
) -> RegimeFit:
    """Fit by maximum likelihood: several seeded starts, of which the best climbs to the end.

    With `bursts` it then climbs on with those, where they pay for themselves (`pipeline.burst_fit`).
    Where the returns can't tell so many levels apart, and one dies out, there are fewer.
    returns (T, A), NaN where there is none: a step counts with the assets that it has; one without any has
    density 1, and the chains move across it. Raises DataError where there is too little to fit.
    """
    panel = read_panel(returns)
    _check(panel, regimes)
    for count in range(levels, 0, -1):
        ended = _best_climb(panel, count, regimes, seed, starts, shortest, progress)
        if ended is not None:
            if bursts:
                ended = climb_with_bursts(panel, ended, shortest)
                if progress is not None:
                    progress(f"bursts: log-likelihood {ended.trace[-1]:.1f}")
            return _finish(panel, ended)
    expected = f"{regimes} regimes of {returns.shape[1]} assets that can be told apart"
    got = f"{len(panel.observed)} steps, on which every start lost a regime or a rank"
    fix = "take a longer window, fewer regimes, or no two assets that move as one"
    raise DataError([Problem("returns", expected, got, fix)])


def _best_climb(
    panel: Panel,
    levels: int,
    regimes: int,
    seed: int,
    starts: int,
    shortest: Shortest,
    progress: Progress | None,
) -> Climb | None:
    """The climb to the end from the best of several starts; None where none got there."""
    rng = np.random.default_rng(seed)
    climbs: list[Climb] = []
    of = f"{regimes} regimes" if levels == 1 else f"{regimes} regimes, {levels} levels"
    for start in range(starts):
        begun = _try(panel, draw_start(panel, levels, regimes, start, rng), shortest, FIRST_ROUNDS)
        if progress is not None:
            state = "fell apart" if begun is None else f"log-likelihood {begun.trace[-1]:.1f}"
            progress(f"{of}, start {start + 1} of {starts}: {state}")
        if begun is not None:
            climbs.append(begun)
    for begun in sorted(climbs, key=lambda each: -each.trace[-1]):
        ended = _try(panel, begun.figures, shortest)
        if ended is not None:
            if progress is not None:
                progress(f"{of}: log-likelihood {ended.trace[-1]:.1f}")
            return replace(ended, trace=begun.trace[:-1] + ended.trace)
    return None


def _try(panel: Panel, figures: Figures, shortest: Shortest, rounds: int | None = None) -> Climb | None:
    """Climb from there; None where a regime, or the rank of a covariance, is lost."""
    try:
        return climb(panel, figures, shortest) if rounds is None else climb(panel, figures, shortest, rounds)
    except np.linalg.LinAlgError:  # assets that move as one
        return None


def _check(panel: Panel, regimes: int) -> None:
    """Refuse returns that can't carry a fit; DataError with everything that is wrong."""
    assets = panel.returns.shape[1]
    there = ~np.isnan(panel.returns)
    needed = 10 * regimes * (assets + 1)
    together = there.T.astype(np.float64) @ there
    problems = []
    if together.min() < needed:
        first, second = np.unravel_index(np.argmin(together), together.shape)
        of = f"asset number {first + 1}" + ("" if first == second else f" together with number {second + 1}")
        problems.append(
            Problem(
                where="returns",
                expected=f"at least {needed} steps with each asset and each pair, to fit {regimes} regimes",
                got=f"{together.min():.0f} with {of}",
                fix="take a longer window, fewer regimes or fewer assets",
            )
        )
    else:
        for asset in range(assets):
            if np.ptp(panel.returns[there[:, asset], asset]) == 0.0:
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


def _finish(panel: Panel, ended: Climb) -> RegimeFit:
    """Put regimes and levels in order, shrink the correlations, and say what the returns then say."""
    figures, shrinkage = settle(panel, _order(ended.figures))
    expected = expect(panel, figures)
    return RegimeFit(
        figures=figures,
        log_likelihood=expected.log_likelihood,
        filtered=expected.filtered,
        smoothed=expected.smoothed,
        converged=ended.converged,
        shrinkage=shrinkage,
        trace=ended.trace,
    )


def settle(panel: Panel, figures: Figures) -> tuple[Figures, Floats]:
    """Shrink the correlations and set the unit of the scales; returns the shrinkage too."""
    figures, shrinkage = _shrink(panel, figures)
    law = stationary_law(figures.level_transitions)
    unit = float(np.sqrt(law @ figures.scales**2))
    return figures.in_units(unit), shrinkage


def _order(figures: Figures) -> Figures:
    """Number the regimes by the trace of their covariance and the levels by scale, the quietest first."""
    variance = np.trace(figures.scatter, axis1=1, axis2=2) * figures.nu / (figures.nu - 2.0)
    return renumber(figures, np.argsort(variance), np.argsort(figures.scales))


def renumber(figures: Figures, regime: NDArray[np.int64], level: NDArray[np.int64]) -> Figures:
    """The same figures with regimes and levels taken in that order."""
    return replace(
        figures,
        means=figures.means[regime],
        scatter=figures.scatter[regime],
        nu=figures.nu[regime],
        transitions=figures.transitions[np.ix_(regime, regime)],
        scales=figures.scales[level],
        level_transitions=figures.level_transitions[np.ix_(level, level)],
        initial=figures.initial[np.ix_(level, regime)],
    )


def _shrink(panel: Panel, figures: Figures) -> tuple[Figures, Floats]:
    """Pull each regime's correlations to their average as their errors ask (Schafer and Strimmer 2005).

    The squared error of a correlation r from n steps of a Student-t is (1 - r^2)^2 (1 + 2 / (A + nu)) / n
    (Tyler 1982); n counts the steps that have both assets. Returns the shares taken from the average too.
    """
    regimes, assets = figures.means.shape
    shrinkage = np.zeros(regimes)
    if assets < 3:
        return figures, shrinkage
    pairs = np.triu_indices(assets, 1)
    there = (~np.isnan(panel.returns)).astype(np.float64)
    share = expect(panel, figures).smoothed.sum(axis=1)
    scatter = figures.scatter.copy()
    for k, matrix in enumerate(figures.scatter):
        steps = (there * share[:, k, None]).T @ there
        deviations = np.sqrt(np.diag(matrix))
        correlation = matrix / np.outer(deviations, deviations)
        r = correlation[pairs]
        errors = (1.0 - r**2) ** 2 * (1.0 + 2.0 / (assets + figures.nu[k])) / steps[pairs]
        apart = np.sum((r - r.mean()) ** 2)
        shrinkage[k] = min(1.0, errors.sum() / apart) if apart > 0.0 else 1.0
        average = np.full((assets, assets), r.mean())
        np.fill_diagonal(average, 1.0)
        blended = (1.0 - shrinkage[k]) * correlation + shrinkage[k] * average
        scatter[k] = blended * np.outer(deviations, deviations)
    return replace(figures, scatter=scatter), shrinkage
