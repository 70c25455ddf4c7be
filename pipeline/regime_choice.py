"""How many regimes: blocked held-out likelihood, with BIC beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.burst_fit import count_figures
from pipeline.figures import FREE, Shortest
from pipeline.panel import read_panel
from pipeline.regime_climb import expect
from pipeline.regime_fit import Progress, RegimeFit, fit_regimes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RegimeChoice:
    """The number of regimes with the highest held-out log-likelihood, the figures by number, and the fits."""

    regimes: int
    held_out: dict[int, float]
    bic: dict[int, float]
    fits: dict[int, RegimeFit]


def choose_regimes(
    returns: Floats,
    candidates: tuple[int, ...] = (2, 3, 4),
    seed: int = 0,
    starts: int = 4,
    folds: int = 5,
    shortest: Shortest = FREE,
    levels: int = 1,
    progress: Progress | None = None,
) -> RegimeChoice:
    """Choose the number of regimes by blocked held-out log-likelihood, with BIC beside it.

    The window is cut into `folds` blocks in time. Each is left out of a fit in turn (as missing steps), then
    scored: log p(block | the rest) = log p(all) - log p(all without the block), under that fit's figures.
    """
    blocks = np.array_split(np.arange(len(returns)), folds)
    held_out, bic, fits = {}, {}, {}
    for regimes in candidates:
        score = 0.0
        for number, block in enumerate(blocks):
            if progress is not None:
                progress(f"{regimes} regimes, block {number + 1} of {folds} held out")
            rest = returns.copy()
            rest[block] = np.nan
            fit = fit_regimes(rest, regimes, seed, starts, shortest, levels)
            whole = expect(read_panel(returns), fit.figures)
            score += whole.log_likelihood - fit.log_likelihood
        held_out[regimes] = score
        fits[regimes] = fit_regimes(returns, regimes, seed, starts, shortest, levels, progress)
        bic[regimes] = bayesian_information(fits[regimes], int((~np.isnan(returns).all(axis=-1)).sum()))
    return RegimeChoice(max(held_out, key=held_out.__getitem__), held_out, bic, fits)


def bayesian_information(fit: RegimeFit, observations: int) -> float:
    """Return BIC = -2 log-likelihood + parameters x log(observations); lower is better (Schwarz 1978)."""
    regimes, assets = fit.figures.means.shape
    levels = len(fit.figures.scales)
    by_regime = assets + assets * (assets + 1) // 2 + 1
    chains = regimes * (regimes - 1) + levels * (levels - 1)
    # of the scales, one is the unit
    parameters: int = regimes * by_regime + chains + levels * regimes - 1 + levels - 1
    if fit.figures.bursts is not None:
        parameters += int(count_figures(fit.figures.bursts).sum())
    return -2.0 * fit.log_likelihood + parameters * math.log(observations)
