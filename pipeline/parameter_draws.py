"""Draws of a fitted model's figures: what they could have come out as, had the window been another one.

A block bootstrap of the likelihood. The window is cut into blocks of some weeks, each gets a random weight
(exponential, mean 1), and the fit is repeated with every step counted by the weight of its block. Returns
stay where they are: there are no seams at which regimes or levels would seem to switch, and what is missing
stays missing. To first order the draws have the sandwich variance H^-1 V H^-1, V from sums of the score over
blocks: right where the model is not quite, and where hours of one storm tell the same story. A bootstrap
that simulates the fitted model would say how uncertain its figures are if it were true.

Rubin (1981), Newton and Raftery (1994); blocks as in Kunsch (1989).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.errors import DataError, Problem
from pipeline.extrapolation import Extrapolation
from pipeline.figures import Figures, Shortest
from pipeline.panel import Panel, read_panel
from pipeline.regime_climb import NU_EVERY, drop_rare, expect, hold, maximise
from pipeline.regime_fit import RegimeFit, renumber, settle

Floats = NDArray[np.float64]

LEAST_BLOCKS = 20  # of a window: with fewer their weights say little about how its parts differ
ROUNDS = 120
STILL = 1e-3  # change of log figures in a round at which the climb ends: next to how far draws are apart
ATTEMPTS = 5


def draw_fits(
    returns: Floats, fit: RegimeFit, draws: int, seed: int, block: int, shortest: Shortest
) -> Iterator[RegimeFit]:
    """Fit again with random weights, so many times, from the fitted figures; regimes numbered as the fit's.

    returns (T, A) as for `fit_regimes`; block: steps that have one weight, fewer where the window has not
    LEAST_BLOCKS of them. In what comes out `smoothed` is weighted, `filtered` is that of the returns. Each
    draw depends on seed and its number alone. DataError where the weighted fits fall apart.
    """
    panel = read_panel(returns)
    for number in range(draws):
        for attempt in range(ATTEMPTS):
            weights = draw_weights(panel, block, np.random.default_rng((seed, number, attempt)))
            found = _refit(panel, fit, weights, shortest)
            if found is not None:
                yield found
                break
        else:
            expected = "a window whose parts all tell the regimes apart, to draw their figures"
            got = f"{len(panel.observed)} steps, on which draw {number + 1} lost a regime {ATTEMPTS} times"
            fix = "take a longer window or fewer regimes, or leave out the draws"
            raise DataError([Problem("draws", expected, got, fix)])


def cut_block(steps: int, block: int) -> int:
    """Steps of a block, so that a window of that many steps has LEAST_BLOCKS of them."""
    return max(1, min(block, steps // LEAST_BLOCKS))


def draw_weights(panel: Panel, block: int, rng: np.random.Generator) -> Floats:
    """The weight of each step, (T,), mean 1 over those observed: exponential, one for each block."""
    steps = len(panel.returns)
    length = cut_block(steps, block)
    first = int(rng.integers(length))
    by_block = rng.exponential(size=steps // length + 2)
    weights = by_block[(np.arange(steps) + first) // length]
    return np.asarray(weights / weights[panel.observed].mean())


def _refit(panel: Panel, fit: RegimeFit, weights: Floats, shortest: Shortest) -> RegimeFit | None:
    """The fixed point of ECM under weights next to the fit; None where a regime or a level is lost."""
    figures, assets = fit.figures, panel.returns.shape[1]
    ahead, found, rounds = Extrapolation(), fit.figures, 0
    try:
        while True:
            expected = expect(panel, figures, weights)
            steps = expected.smoothed[panel.observed].sum(axis=0)
            if min(steps.sum(axis=0).min(), steps.sum(axis=1).min()) < 2 * (assets + 1):
                return None
            with_nu = rounds % NU_EVERY == 0
            before, leapt, last = figures, figures is not found, ahead.last
            risen = hold(maximise(panel, figures, expected, with_nu), shortest, len(panel.returns))
            risen = drop_rare(risen, len(panel.observed))
            risen = replace(risen, initial=risen.initial / risen.initial.sum())
            further = None if risen.bursts is None else ahead.leap(before, risen)
            rounds += 1
            if leapt and ahead.last > last:  # nearer to no end: there is no likelihood of weighted steps
                ahead.forget()
                figures = found
                continue
            figures = found = risen
            if rounds >= ROUNDS or (with_nu and _distance(before, figures) < STILL):
                break
            figures = found if further is None else further
        figures = _match(figures, expected.smoothed, fit)
        figures, shrinkage = settle(panel, figures)
    except np.linalg.LinAlgError:
        return None
    expected = expect(panel, figures, weights)
    return RegimeFit(
        figures=figures,
        log_likelihood=expected.log_likelihood,
        filtered=expected.filtered,
        smoothed=expected.smoothed,
        converged=rounds < ROUNDS,
        shrinkage=shrinkage,
        trace=(),
    )


def _distance(one: Figures, other: Figures) -> float:
    """The largest change of a log volatility, tail, scale, or figure of bursts; infinite where a burst was
    given up."""
    bursts = one.with_none(), other.with_none()
    if len(bursts[0].law) != len(bursts[1].law):
        return float("inf")
    logs = [
        np.concatenate(
            [
                0.5 * np.log(np.diagonal(each.scatter, axis1=1, axis2=2)).ravel(),
                np.log(each.nu),
                np.log(each.scales),
                np.log(own.law),
                np.log(np.abs(own.moves[own.moves != 0.0])),
            ]
        )
        for each, own in zip((one, other), bursts, strict=True)
    ]
    return float(np.abs(logs[0] - logs[1]).max())


def _match(figures: Figures, smoothed: Floats, fit: RegimeFit) -> Figures:
    """Number regimes so that they share as many steps as they can with those of the fit; levels by scale."""
    shared = fit.smoothed.sum(axis=1).T @ smoothed.sum(axis=1)
    return renumber(figures, linear_sum_assignment(-shared)[1], np.argsort(figures.scales))
