"""Which problems the fast walk of `kernels.plain_walk` takes, and the arrays it takes them in.

It takes what is a straight line in prices, looked at where steps end; anything else is for the general walk
of `kernels.simulate`. Both walk the same paths: the same random numbers, the general walk in float64, the
fast one in float32 with sixteen paths in a register. Counts differ by some 3 in a million, which is less
than a hundredth of the sampling error of a million paths.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.market import CELL_BITS, CELLS, LOWEST_OCTAVE
from kernels.structs import LIQUIDATION, MARKS, THROUGHOUT, UNSEEN, Book, Clock, Floats, Market

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
    factor_of: Integers  # (S, T) and the same returns
    loading_of_set: Integers  # (Q,)
    loading: Floats32  # (D, K, B, F, 4)
    depth: Integers  # (B,) leading factors that matter to any of the four
    drift: Floats32  # (Q, K, A)
    replay: Integers  # (S, T)
    replays: Floats32  # (replays, A)
    shock: Integers  # (S, T)
    shocks: Floats32  # (shocks, A)
    weights: Floats32  # (MARKS, B, A, 4) money that each pool's X moves by with each price's multiple
    has_funding: int
    rate: Floats32  # (Q, K, A) annualised
    paying: Floats32  # (I, B, A, 4) position sizes by funding interval, in money
    due: Floats32  # (I, T) years of funding paid at the end of that step
    pays: Integers  # (T,) 1 where any is
    funded: Integers  # (Q,) 1 where any rate is not zero
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
        "jumps": market.has_jumps,
        "bursts": market.burst_law.size,
        "events": (market.event >= 0).any(),
        "basis": market.basis_law.column.size,
        "funding that reverts": market.funding_law.column.size,
        "funding that a venue clamps": market.clamps,
        "brackets of margin": book.kinks.present.any(),
        "cash that changes": (book.cash >= 0).any(),
        "groups of accounts": book.members.size,
        "an asset that stands still": not (market.volatility > STILLEST).all(),
        "hits that are seen late": ((clock.watch != UNSEEN) & (clock.seen != clock.horizon)).any(),
    }
    return next((words for words, found in obstacles.items() if found), "")


def pack(market: Market, book: Book, clock: Clock) -> Plain:
    """The fast walk's arrays of a problem that it can take."""
    steps = market.parameters.shape[1]
    assets, pools = market.spot.size, book.base.size
    blocks = -(-pools // ROWS)
    padded = blocks * ROWS
    value = market.spot[book.asset]
    pool_of = np.repeat(np.arange(pools), np.diff(book.start))
    weights = np.zeros((MARKS, padded, assets))
    paying = np.zeros((market.due.shape[0], padded, assets))
    for mark in range(MARKS):
        np.add.at(weights[mark], (pool_of, book.asset), (book.size - book.requirement[mark]) * value)
    paid = book.interval < market.due.shape[0]
    np.add.at(paying, (book.interval[paid], pool_of[paid], book.asset[paid]), (book.size * value)[paid])
    threshold = book.threshold + book.base[:, None]
    table, start = _pack_mixing(market)
    loading, depth = _pack_loading(market)
    mixing = np.where(market.mixing >= 0, start[market.mixing], start[-1])
    leads = market.leader[:, None] * np.ones(steps, np.int64)
    loaded = market.loading_of_set[market.parameters]
    tails = _number_alike(mixing)[market.parameters]
    drifts = _number_alike(market.drift.reshape(len(market.drift), -1))[market.parameters]
    plain = Plain(
        steps=clock.steps,
        substeps=market.substeps,
        regimes=market.transitions.shape[0],
        levels=market.level_scale.size,
        initial=_as_words(market.initial),
        transitions=_as_words(market.transitions),
        level_initial=_as_words(market.level_initial),
        level_transitions=_as_words(market.level_transitions),
        level_scale=market.level_scale.astype(np.float32),
        mixing=mixing.astype(np.uint32),
        mixing_table=table,
        mixes=np.asarray((market.mixing >= 0).any(axis=1), np.int64),
        leader=market.leader,
        sorted_by=int(np.bincount(market.leader).argmax()),
        forced=market.forced,
        parameters=market.parameters,
        noise_of=_first_alike(leads, loaded),
        weight_of=_first_alike(leads, tails),
        factor_of=_first_alike(leads, loaded, tails, drifts, market.replay),
        loading_of_set=market.loading_of_set,
        loading=loading,
        depth=depth,
        drift=market.drift.astype(np.float32),
        replay=market.replay,
        replays=market.replays.astype(np.float32),
        shock=market.shock,
        shocks=market.shocks.astype(np.float32),
        weights=_by_blocks(weights),
        has_funding=market.has_funding,
        rate=market.funding.astype(np.float32),
        paying=_by_blocks(paying),
        due=market.due.astype(np.float32),
        pays=(market.due != 0.0).any(axis=0).astype(np.int64),
        funded=(market.funding != 0.0).any(axis=(1, 2)).astype(np.int64),
        watched=(clock.watch != UNSEEN).astype(np.int64),
        ends=clock.ends,
        horizon=clock.horizon,
        threshold=threshold.astype(np.float32),
        ranks=np.isfinite(threshold).sum(axis=2),
        leverage=book.leverage,
        account=book.account,
        several=book.several,
        pools=book.pools,
        at_risk=np.isfinite(threshold[LIQUIDATION]).any(axis=1).astype(np.int64),
        unit=book.unit,
        first_low=_first_low(market, book, clock, padded),
    )
    # of one layout, whatever they were made from: to numba another layout is another type to compile for
    fields: Any = (np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x for x in plain)
    return Plain(*fields)


def _as_words(cumulative: Floats) -> Words:
    """Cumulative laws (..., n) as thresholds (..., n - 1) of 31-bit words, exactly as uniforms decide."""
    return np.asarray(np.floor(cumulative[..., :-1] * 2.0**31 + 0.5), np.uint32)


def _first_alike(*keys: Integers) -> Integers:
    """(S, T): the first scenario whose keys (S, T) are the same in that step."""
    alike = np.ones((keys[0].shape[0], *keys[0].shape), np.bool_)
    for key in keys:
        alike &= key[:, None] == key[None]
    return np.asarray(np.argmax(alike, axis=1), np.int64)


def _number_alike(rows: Floats | Integers) -> Integers:
    """A number for each row, the same for equal ones."""
    return np.asarray(np.unique(rows, axis=0, return_inverse=True)[1].ravel(), np.int64)


def _by_blocks(rows: Floats) -> Floats32:
    """(..., rows, columns) as (..., blocks, columns, 4)."""
    *first, count, columns = rows.shape
    blocks = rows.reshape(*first, count // ROWS, ROWS, columns)
    return np.ascontiguousarray(np.swapaxes(blocks, -1, -2), np.float32)


def _pack_loading(market: Market) -> tuple[Floats32, Integers]:
    """Loadings by blocks of four assets, and the factors that matter to each block."""
    missing = -market.spot.size % ROWS
    rows = np.pad(market.loading, ((0, 0), (0, 0), (0, missing), (0, 0)))
    depth = np.pad(market.depth, (0, missing)).reshape(-1, ROWS).max(axis=1)
    return _by_blocks(rows), depth


def _pack_mixing(market: Market) -> tuple[Floats32, Integers]:
    """The mixing tables of this walk one after another, with where each begins; the last is of ones."""
    skipped = (SMALLEST_OCTAVE - LOWEST_OCTAVE) * 2**CELL_BITS
    tables = market.mixing_tables[:, :, skipped:].astype(np.float32)
    assert tables.shape[2] == CELLS - skipped == MIXING_CELLS
    ones = np.ones((1, 2, MIXING_CELLS), np.float32)
    flat = np.concatenate([tables, ones]).reshape(-1)
    return flat, np.arange(len(tables) + 1) * 2 * MIXING_CELLS


def _first_low(market: Market, book: Book, clock: Clock, padded: int) -> Floats32:
    """What X has been at least as low as at `as_of`, decided in float64: (S, MARKS, R4)."""
    scenarios, pools = market.parameters.shape[0], book.base.size
    low = np.full((scenarios, MARKS, padded), ALL_PATHS)
    low[:, :, pools:] = 0.0
    pool_of = np.repeat(np.arange(pools), np.diff(book.start))
    for s in range(scenarios):
        if clock.watch[s, 0] != THROUGHOUT:
            continue
        shock = market.shock[s, 0]
        price = market.spot * (market.shocks[shock] if shock >= 0 else 1.0)
        worth = book.size * price[book.asset]
        for mark in range(MARKS):
            back = worth - book.requirement[mark] * price[book.asset]
            margin = np.bincount(pool_of, back, minlength=pools) - book.base
            rank = (margin[:, None] < book.threshold[mark]).sum(axis=1)
            last = np.take_along_axis(book.threshold[mark], np.maximum(rank - 1, 0)[:, None], axis=1)[:, 0]
            reached = np.nextafter((last + book.base).astype(np.float32), -ALL_PATHS)
            low[s, mark, :pools] = np.where(rank > 0, reached, ALL_PATHS)
    return low
