"""The exact law of how far a Brownian bridge goes, below both its ends or above them.

From a to b with variance v, and with U uniform:

    min = (a + b - sqrt((a - b)^2 + 2 v E)) / 2,    E = -ln U

and the maximum likewise, with a plus sign. Here U = Phi(zeta), zeta a standard normal that all pools share.
"""

from __future__ import annotations

import math

from kernels.elementary import exp, log
from kernels.jit import inlined
from kernels.market import WILDEST

# -ln Phi(-x) <= LN2 + SLOPE x + x^2 / 2 for x >= 0: equal at 0, slope too, and the curvature is below 1.
LN2 = math.log(2.0)
SLOPE = math.sqrt(2.0 / math.pi)


@inlined
def could_reach(zeta: float, needed: float) -> bool:
    """Whether -ln Phi(zeta) may be as large as needed, by a bound that costs no special function."""
    x = -zeta if zeta < 0.0 else 0.0
    return LN2 + x * (SLOPE + 0.5 * x) >= needed


@inlined
def find_depth(zeta: float) -> float:
    """Return E = -ln Phi(zeta): a standard exponential, large where zeta is far below zero."""
    tail = 0.5 * math.erfc(-zeta * math.sqrt(0.5))
    return -math.log(tail) if tail > 0.0 else 0.5 * zeta * zeta


@inlined
def reaches(zeta: float, variance: float, reach: float, ratio: float) -> bool:
    """Whether a log price bridge may get to log(reach) on its way to log(ratio), from 0."""
    if reach <= 0.0:
        return False
    barrier = log(reach)
    return could_reach(zeta, 2.0 * barrier * (barrier - log(ratio)) / variance)


@inlined
def dip_of_log(slope: float, ratio: float, variance: float, depth: float) -> float:
    """Return the worst relative price change of a log price bridge from 0 to log(ratio), for that slope."""
    side = 1.0 if slope > 0.0 else -1.0
    move = log(ratio)
    worst = side * 0.5 * (side * move - math.sqrt(move * move + 2.0 * variance * depth))
    return exp(min(max(worst, -WILDEST), WILDEST)) - 1.0


@inlined
def find_range(start: float, end: float, unit: float, variance: float, zeta: float) -> tuple[float, float]:
    """Return the least and the greatest price between two, the lowest where zeta is far below zero.

    variance is of the return over that time; unit is the price that returns are of, 0.0 where they are logs.
    Each has its exact law. Together they do not: one is far out only where the other is not.
    """
    move = (end - start) / unit if unit > 0.0 else log(end / start)
    falls = 0.5 * (move - math.sqrt(move * move + 2.0 * variance * find_depth(zeta)))
    rises = 0.5 * (move + math.sqrt(move * move + 2.0 * variance * find_depth(-zeta)))
    if unit > 0.0:
        low, high = start + unit * falls, start + unit * rises
    else:
        low, high = start * exp(max(falls, -WILDEST)), start * exp(min(rises, WILDEST))
    return min(low, start, end), max(high, start, end)
