"""Bursts: moves that one asset, or several together, make in some step of the model; see docs/model.md.

In each model step at most one burst comes, whatever regime and level are. It adds to the log returns

    l move (1 + spread w n)

with l the level's scale, w sqrt(nu / chi2_nu) at the step's own chi2, n a standard normal; in simulation
steps finer than the model's each has its equal part. It is part of the step's return, as a drift is.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot
from kernels.market import read_mixing
from kernels.random import MIXING, SLOT_BURST, draw_normal_pair, draw_uniforms
from kernels.structs import LANES, Draws, Floats, Integers, Key, Market


@hot
def draw_bursts(market: Market, key: Key, burst: Integers, normal: Floats) -> None:
    """Fill burst (LANES,) with the one that comes in the model step, or -1; normal (2, LANES): its size.

    Where no lane has any the normals are left as they are.
    """
    law, last = market.burst_law, market.burst_law.shape[0] - 1
    uniform = normal[1]
    for v in range(LANES):
        path = Key(key.seed, key.path + np.uint64(v), key.step)
        uniform[v] = draw_uniforms(path, SLOT_BURST)[1]
    some = False
    for v in range(LANES):
        burst[v] = -1
        if uniform[v] <= law[last]:
            some = True
            j = 0
            while uniform[v] > law[j]:
                j += 1
            burst[v] = j
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
            k = regime[v]
            spread, table = market.burst_spread[k, j], market.burst_mixing[k]
            if table >= 0:
                spread *= read_mixing(market.mixing_tables[table], draws.uniform[MIXING, v])
            size = market.level_scale[level[v]] * (1.0 + spread * draws.burst_normal[0, v]) / market.substeps
            for a in range(move.shape[0]):
                move[a, v] += size * market.burst_move[parameters, j, a]
