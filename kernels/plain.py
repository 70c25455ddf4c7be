"""Which problems the fast walk of `kernels.plain_walk` takes, and the arrays it takes them in.

It takes what is a straight line in prices, looked at where steps end; anything else is for the general walk
of `kernels.simulate`. Both walk the same paths: the same random numbers, the general walk in float64, the
fast one in float32 with sixteen paths in a register. Counts differ by some 3 in a million, which is less
than a hundredth of the sampling error of a million paths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.structs import CELL_BITS, UNSEEN, Book, Clock, Floats, Market

Floats32 = NDArray[np.float32]
Words = NDArray[np.uint32]
Integers = NDArray[np.int64]

TILE = 32  # paths advanced side by side: two vectors, so that two sums are always under way
ROWS = 4  # rows summed side by side
SMALLEST_OCTAVE = -43  # of a fine uniform: where the mixing table of this walk begins
MIXING_CELLS = (-1 - SMALLEST_OCTAVE) * 2**CELL_BITS + 2
ALL_PATHS = np.float32(3e38)
# Standard deviation of a step below which float32 is too coarse for a price, and accounts may well stand
# exactly on their requirement.
STILLEST = 1e-5


class Rates(NamedTuple):
    """Annualised funding rates that revert to a level, of B assets; of none where they are constants.

    See `kernels.reverting`: f <- base + kept f + w (tied x noise + pooled x common normal + apart x own).
    """

    of: Integers  # (S, T) the first scenario whose rates have been the same up to and with that step
    slots: Integers  # (blocks,) which fours of the assets' own normals are drawn
    own: Integers  # (B,) row of its own normal; row 0 is common
    shares: int  # 1 where some normal is common
    draws: int  # 1 where some rate at `as_of` is not known
    known: Floats32  # (B,) at `as_of`; NaN: drawn
    level: Floats32  # (K, B) where a rate that is not known starts: level + scale (these two x normals)
    start_pooled: Floats32  # (K, B)
    start_apart: Floats32  # (K, B)
    base: Floats32  # (K, B)
    kept: Floats32  # (K, B)
    tied: Floats32  # (D, K, B)
    pooled: Floats32  # (D, K, B)
    apart: Floats32  # (D, K, B)
    factor: Floats32  # (Q, A) what scenarios make of the rate
    added: Floats32  # (Q, A)


class Funding(NamedTuple):
    """What positions pay, by columns: an asset's rate under one clamp. J columns."""

    asset: Integers  # (J,)
    cap: Floats32  # (J,) the largest rate, either way; infinite without a clamp
    rate: Floats32  # (Q, K, A) annualised, where rates are constants
    funded: Integers  # (Q,) 1 where any rate is not zero
    paying: Floats32  # (I, B, J, 4) position sizes by funding interval, in money
    due: Floats32  # (I, T) years of funding paid at the end of that step
    pays: Integers  # (T,) 1 where any is


class Leaps(NamedTuple):
    """Jumps. All but the first two as in `kernels.structs.Market`, of which `draw_jump_sum` takes them."""

    bound: Words  # (Q, K, J) there are more than so many jumps where the word's upper bits are at least this
    possible: Integers  # (Q,) 1 where some regime has jumps
    jump_sizes: Integers
    jump_mean: Floats
    jump_loading: Floats
    jump_sides: Floats
    depth: Integers


class Bursts(NamedTuple):
    """Bursts. All but the first two as in `kernels.structs.Market`, of which `size_burst` takes them."""

    bound: np.uint32  # there is none where the upper word of the uniform is above this
    possible: Integers  # (Q,) 1 where any moves anything
    burst_law: Floats
    burst_move: Floats
    burst_spread: Floats
    burst_mixing: Integers
    mixing_tables: Floats
    level_scale: Floats
    substeps: int


class Plain(NamedTuple):
    """A market, a book and a clock for the fast walk. Letters as in `kernels.structs`; rows are padded to
    R4 pools, a multiple of four; B blocks of four rows."""

    steps: int
    substeps: int
    regimes: int
    levels: int
    initial: Words  # (M, K - 1) a regime is left behind where the upper 31 bits of the word are at least this
    transitions: Words  # (K, K - 1)
    level_initial: Words  # (M - 1,)
    level_transitions: Words  # (M, M - 1)
    level_scale: Floats32  # (M,)
    mixing: Words  # (Q, K) where in `mixing_table` the regime's begins
    mixing_table: Floats32  # (tables x 2 x MIXING_CELLS + 1,) w by u, then by 1 - u
    mixes: Integers  # (Q,) 1 where some regime has tails
    leader: Integers  # (S,)
    sorted_by: int  # the scenario whose regimes most others share
    forced: Integers  # (S, T)
    parameters: Integers  # (S, T)
    noise_of: Integers  # (S, T) the first scenario with the same regimes and loading in that step
    weight_of: Integers  # (S, T) and the same tails
    factor_of: Integers  # (S, T) and the same returns, jumps and bursts included
    loading_of_set: Integers  # (Q,)
    loading: Floats32  # (D, K, B, F, 4)
    depth: Integers  # (B,) leading factors that matter to any of the four
    drift: Floats32  # (Q, K, A)
    replay: Integers  # (S, T)
    replays: Floats32  # (replays, A)
    shock: Integers  # (S, T)
    shocks: Floats32  # (shocks, A)
    event: Integers  # (S, T)
    events: Floats32  # (events, 2, A)
    event_up: Words  # (events,) up where the upper 31 bits of the word are below this
    event_spread: Floats32  # (events,)
    weights: Floats32  # (MARKS, B, A, 4) money that each pool's X moves by with each price's multiple
    has_jumps: int
    leaps: Leaps
    has_bursts: int
    bursts: Bursts
    has_funding: int
    funding: Funding
    rates: Rates
    cash: Integers  # (S, T)
    cashes: Floats32  # (changes, R4)
    receives: int  # 1 where pools may receive funding or cash
    watched: Integers  # (S, T)
    ends: Integers  # (T,)
    horizon: Integers  # (T,)
    threshold: Floats32  # (MARKS, R, L)
    ranks: Integers  # (MARKS, R) how many thresholds of the pool are levels, not minus infinity
    leverage: Integers  # (R, L)
    account: Integers  # (R,)
    several: Integers  # (P,)
    pools: Integers  # (P,) pools that can be liquidated
    at_risk: Integers  # (R,) 1 where the pool can be liquidated
    unit: int
    first_low: Floats32  # (S, MARKS, R4) below what is hit at `as_of`, else `ALL_PATHS`


def find_obstacle(market: Market, book: Book, clock: Clock) -> str:
    """Why the fast walk cannot take a problem, in words; empty where it can."""
    obstacles = {
        "watched between step ends": clock.bridge or clock.wick,
        "additive returns": market.additive,
        "basis": market.basis_law.column.size,
        "brackets of margin": book.kinks.present.any(),
        "groups of accounts": book.members.size,
        "an asset that stands still": not (market.volatility > STILLEST).all(),
        "hits that are seen late": ((clock.watch != UNSEEN) & (clock.seen != clock.horizon)).any(),
    }
    return next((words for words, found in obstacles.items() if found), "")
