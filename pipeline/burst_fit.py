"""Bursts in a window's returns: where the climb for them starts, and whether they are worth their figures."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
from numpy.typing import NDArray

from pipeline.burst_densities import burst_shares
from pipeline.bursts import MOST_BURSTS
from pipeline.figures import Bursts, Shortest
from pipeline.panel import Panel
from pipeline.regime_climb import Climb, climb

Floats = NDArray[np.float64]

COMMON_FALL = -4.0  # of all assets, in standard deviations of their returns, at the start
ALONE = 3.0  # of one asset, either way
SELDOM = 0.002  # of steps, each burst at the start
# Of the size of a burst. Fitted, it widens until a burst has no direction left, and the climb does not end.
SPREAD = 0.5
SUREST = 1e-300  # what is left of a step that was a burst for certain
ROUNDS = 100
TOLERANCE = 1e-3  # nats a round: with one nat to go falls of all are still 7 % too large, and as rare


def climb_with_bursts(panel: Panel, ended: Climb, shortest: Shortest) -> Climb:
    """Climb on from figures without bursts; the climb as it was where bursts don't pay for their figures.

    What pays is a lower BIC, of each burst and of all of them; those that don't are given up together, and
    so are those of least worth beyond MOST_BURSTS. The start has a burst that all assets fall in, and two in
    which each asset goes its own way, up and down.
    """
    price = 0.5 * log(len(panel.observed))
    trace, figures = ended.trace, replace(ended.figures, bursts=start_bursts(panel))
    while figures.bursts is not None:
        try:
            found = climb(panel, figures, shortest, ROUNDS, TOLERANCE)
        except np.linalg.LinAlgError:  # a covariance, or a burst, that the steps no longer determine
            break
        if found is None or found.figures.bursts is None:
            break
        trace, bursts = trace + found.trace, found.figures.bursts
        worth = find_worth(panel, found)
        paid = (worth > price * count_figures(bursts)) & (np.argsort(np.argsort(-worth)) < MOST_BURSTS)
        if paid.all():
            won = found.expected.log_likelihood - ended.expected.log_likelihood
            return replace(found, trace=trace) if won > price * count_figures(bursts).sum() else ended
        figures = replace(found.figures, bursts=bursts.only(paid))
    return ended


def find_worth(panel: Panel, found: Climb) -> Floats:
    """(J,): what the log-likelihood would lose by each burst, states being as likely as they are with it.

    Without it its steps would have none: they are less likely by its share, and more by so much of none's.
    """
    shares = burst_shares(panel, found.figures)
    share = np.einsum("ktmj,tmk->tj", shares, found.expected.smoothed)[panel.observed]
    law = found.figures.with_none().law
    left = 1.0 - share[:, 1:] + share[:, :1] * law[1:] / law[0]
    return np.asarray(-np.log(np.maximum(left, SUREST)).sum(axis=0))


def count_figures(bursts: Bursts) -> NDArray[np.int64]:
    """How many numbers each burst is: how often it comes, and its moves, (J,)."""
    return np.asarray(1 + np.count_nonzero(bursts.moves, axis=1))


def start_bursts(panel: Panel) -> Bursts:
    """A fall of all assets, a rise of each alone and a fall of each alone; of one asset a rise and a fall."""
    deviation = np.nanstd(panel.returns, axis=0)
    own = ALONE * np.diag(deviation)
    together = COMMON_FALL * deviation[None, :] if len(deviation) > 1 else np.zeros((0, 1))
    moves = np.vstack([together, own, -own])
    return Bursts(np.full(len(moves), SELDOM), moves, np.full(len(moves), SPREAD))
