"""A state beside prices that reverts to a level, such as a funding rate, for the paths of one set of lanes.

In regime k, over a step, exactly (an Ornstein-Uhlenbeck process seen at step ends; see docs/model.md):

    f <- level + kept (f - level) + w (tied x noise of the asset's return + apart x normal)

`level` in a law is that which the state reverts to; the market's level, a chain, is in w.
"""

from __future__ import annotations

import math

from kernels.jit import hot
from kernels.random import draw_normal_lanes
from kernels.structs import LANES, Floats, Integers, Key, Market, Reverting

START = 1 << 20  # beyond a state's first slot: where what it starts from is drawn
OWN = 4  # the first row of normals that belongs to an asset


def room_for_normals(law: Reverting) -> int:
    """The rows that `draw_reverting` fills."""
    return OWN + 4 * (1 + int(law.column.max(initial=-1)) // 4)


@hot
def draw_reverting(law: Reverting, key: Key, slot: int, normal: Floats) -> None:
    """Fill normal (OWN + columns, LANES): common to all assets, three spare, then the assets' own."""
    draw_normal_lanes(key, slot, normal)
    for b in range(law.column.shape[0]):
        four = law.column[b] // 4
        if b == 0 or law.column[b - 1] // 4 != four:
            draw_normal_lanes(key, slot + 1 + four, normal[OWN + 4 * four :])


@hot
def start_reverting(
    law: Reverting, scale: Floats, level: Integers, regime: Integers, normal: Floats, state: Floats
) -> None:
    """Put state (B, LANES) at `as_of`: as known, else drawn from the long run's law in the first regime and
    level, whose scale (M,) multiplies the deviation."""
    for b in range(state.shape[0]):
        own = normal[OWN + law.column[b]]
        for v in range(LANES):
            k = regime[v]
            common = law.common[k]
            drawn = math.sqrt(common) * normal[0, v] + math.sqrt(1.0 - common) * own[v]
            known = law.start[b]
            spread = law.deviation[k, b] * scale[level[v]]
            state[b, v] = law.level[k, b] + spread * drawn if math.isnan(known) else known


@hot
def move_reverting(
    law: Reverting,
    loading: int,
    regime: Integers,
    weight: Floats,
    noise: Floats,
    normal: Floats,
    state: Floats,
) -> None:
    """Move state (B, LANES) by one step, with the assets' noise (K, A, LANES) under that loading."""
    for b in range(state.shape[0]):
        own, here = normal[OWN + law.column[b]], state[b]
        for k in range(law.level.shape[0]):
            level, kept, tied = law.level[k, b], law.kept[k, b], law.tied[loading, k, b]
            pooled = law.apart[loading, k, b] * math.sqrt(law.common[k])
            apart = law.apart[loading, k, b] * math.sqrt(1.0 - law.common[k])
            moves = noise[k, law.asset[b]]
            for v in range(LANES):
                shaken = tied * moves[v] + (pooled * normal[0, v] + apart * own[v])
                moved = level + kept * (here[v] - level) + weight[v] * shaken
                here[v] = moved if regime[v] == k else here[v]


@hot
def move_basis(
    market: Market,
    loading: int,
    regime: Integers,
    weight: Floats,
    noise: Floats,
    basis: Floats,
    move: Floats,
) -> None:
    """Move basis (B, LANES) by one step; its way back to level goes into the perpetuals' move (A, LANES).

    noise (K, A, LANES) under that loading: a perpetual's is that of its asset, and the basis' shock.
    """
    law = market.basis_law
    assets = move.shape[0] - basis.shape[0]
    for b in range(basis.shape[0]):
        mark, spot, here = assets + b, market.spot_of[assets + b], basis[b]
        for k in range(law.level.shape[0]):
            level, pull = law.level[k, b], 1.0 - law.kept[k, b]
            for v in range(LANES):
                back = pull * (level - here[v])
                moved = here[v] + back + weight[v] * (noise[k, mark, v] - noise[k, spot, v])
                move[mark, v] = move[mark, v] + back if regime[v] == k else move[mark, v]
                here[v] = moved if regime[v] == k else here[v]
