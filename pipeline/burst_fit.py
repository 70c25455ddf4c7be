"""Bursts in a window's returns: where the climb for them starts, and whether they are worth their figures."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
from numpy.typing import NDArray

from pipeline.figures import Bursts, Shortest
from pipeline.panel import Panel
from pipeline.regime_climb import Climb, climb

Floats = NDArray[np.float64]

COMMON_FALL = -4.0  # of all assets, in standard deviations of their returns, at the start
ALONE = 3.0  # of one asset, either way
SELDOM = 0.002  # of steps, each burst at the start
SPREAD = (
    0.5  # of the size of a burst: free, it widens until a burst has no direction, and forecasts no better
)
ROUNDS = 60
TOLERANCE = 1.0  # nats a round: rare bursts go on changing places with heavy tails, and nothing else moves


def climb_with_bursts(panel: Panel, ended: Climb, shortest: Shortest) -> Climb:
    """Climb on from figures without bursts; the climb as it was where bursts don't pay for their figures.

    What pays is a lower BIC. The start has a burst that all assets fall in, and two in which each asset goes
    its own way, up and down.
    """
    begun = replace(ended.figures, bursts=start_bursts(panel))
    found = climb(panel, begun, shortest, ROUNDS, TOLERANCE)
    if found is None or found.figures.bursts is None:
        return ended
    won = found.expected.log_likelihood - ended.expected.log_likelihood
    if won < 0.5 * count_figures(found.figures.bursts) * log(len(panel.observed)):
        return ended
    return replace(found, trace=ended.trace + found.trace)


def count_figures(bursts: Bursts) -> int:
    """How many numbers bursts are: moves, and how often each comes."""
    return len(bursts.law) + int(np.count_nonzero(bursts.moves))


def start_bursts(panel: Panel) -> Bursts:
    """A fall of all assets, a rise of each alone and a fall of each alone; of one asset a rise and a fall."""
    deviation = np.nanstd(panel.returns, axis=0)
    own = ALONE * np.diag(deviation)
    together = COMMON_FALL * deviation[None, :] if len(deviation) > 1 else np.zeros((0, 1))
    moves = np.vstack([together, own, -own])
    return Bursts(np.full(len(moves), SELDOM), moves, np.full(len(moves), SPREAD))
