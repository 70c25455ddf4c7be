"""A chain of levels whose long run is that of the window, though levels are left less often than in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]

SWEEPS = 500
STILL = 1e-12  # relative change of a sweep's pressures at which it ends


def balance_levels(shares: Floats, moves: Floats, shortest: float) -> Floats:
    """Transitions (M, M) with stationary law `shares` (M,) and mean durations of at least `shortest` steps.

    moves (M, M) are those expected in the window, diagonal included. Of all reversible chains like that it is
    the one under which they are likeliest: the flow between two levels, F_ij = shares_i P_ij = F_ji, is
    (moves_ij + moves_ji) / (a_i + a_j), with a_i the pressure that keeps level i from being left too soon.
    Holding each level's duration by itself would keep where a level goes to and lose how often it is there:
    one that is loud for hours at a time would fill a larger part of the long run than of the window.
    """
    shares = shares / shares.sum()
    stayed = np.diag(moves)
    back_and_forth = moves + moves.T
    np.fill_diagonal(back_and_forth, 0.0)
    limits = shares / shortest
    pressure = stayed / shares + 1.0  # where nothing is ever left
    for _ in range(SWEEPS):
        before = pressure.copy()
        for i in range(len(shares)):
            pressure[i] = _press(shares[i], stayed[i], back_and_forth[i], pressure, limits[i])
        if np.abs(pressure / before - 1.0).max() < STILL:
            break
    transitions = back_and_forth / (pressure[:, None] + pressure) / shares[:, None]
    np.fill_diagonal(transitions, 1.0 - transitions.sum(axis=1))
    return np.asarray(transitions)


def _press(share: float, stayed: float, moves: Floats, pressure: Floats, limit: float) -> float:
    """The pressure of one level, given the others': stayed / (share - outflow), or what its limit asks."""

    def leave(of_level: float) -> float:
        return float(np.sum(moves / (of_level + pressure)))

    def miss(of_level: float) -> float:
        return of_level * (share - leave(of_level)) - stayed

    # miss rises with the pressure, from where the whole share would flow out
    least, most = 0.0, 2.0 * (stayed + moves.sum()) / share
    free = brentq(miss, least, most, rtol=1e-14) if miss(least) < 0.0 else least
    if leave(free) <= limit:
        return float(free)
    while leave(most) > limit:
        most *= 2.0
    return float(brentq(lambda a: leave(a) - limit, free, most, rtol=1e-14))
