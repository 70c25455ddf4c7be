"""Bursts: moves that one asset, or several together, make in some step of the model; see docs/model.md.

In each model step at most one burst comes, whatever regime and level are. It adds to the log returns

    l move (1 + spread w n)

with l the level's scale, w sqrt(nu / chi2_nu) at the step's own chi2, n a standard normal; in simulation
steps finer than the model's each has its equal part. It is part of the step's return, as a drift is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kernels.jit import hot, inlined
from kernels.market import read_mixing
from kernels.random import MIXING, SLOT_BURST, draw_normal_pair, draw_uniforms
from kernels.structs import LANES, Draws, Floats, Integers, Key, Market

if TYPE_CHECKING:
    from kernels.plain import Bursts


@inlined
def choose_burst(law: Floats, uniform: float) -> int:
    """Which burst comes by a cumulative law (U,), or -1."""
    if uniform > law[law.shape[0] - 1]:
        return -1
    j = 0
    while uniform > law[j]:
        j += 1
    return j


@inlined
def size_burst(
    market: Market | Bursts, burst: int, level: int, regime: int, uniform: float, normal: float
) -> float:
    """What to multiply a burst's move by, in each step of the simulation: uniform is that of the mixing."""
    spread, table = market.burst_spread[regime, burst], market.burst_mixing[regime]
    if table >= 0:
        spread *= read_mixing(market.mixing_tables[table], uniform)
    return float(market.level_scale[level] * (1.0 + spread * normal) / market.substeps)


@hot
def draw_bursts(market: Market, key: Key, burst: Integers, normal: Floats) -> None:
    """Fill burst (LANES,) with the one that comes in the model step, or -1; normal (2, LANES): its size.

    Where no lane has any the normals are left as they are.
    """
    uniform = normal[1]
    for v in range(LANES):
        path = Key(key.seed, key.path + np.uint64(v), key.step)
        uniform[v] = draw_uniforms(path, SLOT_BURST)[1]
    some = False
    for v in range(LANES):
        burst[v] = choose_burst(market.burst_law, uniform[v])
        some = some or burst[v] >= 0
    if some:
        draw_normal_pair(key, SLOT_BURST, normal[0], normal[1])


@hot
def add_bursts(
    market: Market, parameters: int, level: Integers, regime: Integers, draws: Draws, move: Floats
) -> None:
    """Add to the step's returns (A, LANES) the part of the model step's burst that falls in it."""
    for v in range(LANES):
        j = draws.burst[v]
        if j >= 0:
            uniform, normal = draws.uniform[MIXING, v], draws.burst_normal[0, v]
            size = size_burst(market, j, level[v], regime[v], uniform, normal)
            for a in range(move.shape[0]):
                move[a, v] += size * market.burst_move[parameters, j, a]
