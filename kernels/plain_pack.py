"""From a problem's arrays to those of the fast walk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernels.plain import (
    ALL_PATHS,
    MIXING_CELLS,
    ROWS,
    SMALLEST_OCTAVE,
    Bursts,
    Floats32,
    Funding,
    Integers,
    Leaps,
    Plain,
    Rates,
    Words,
)
from kernels.structs import (
    CELL_BITS,
    CELLS,
    LIQUIDATION,
    LOWEST_OCTAVE,
    MARKS,
    THROUGHOUT,
    UNSEEN,
    Book,
    Clock,
    Floats,
    Market,
)


def pack(market: Market, book: Book, clock: Clock) -> Plain:
    """The fast walk's arrays of a problem that it can take."""
    steps = market.parameters.shape[1]
    assets, pools = market.spot.size, book.base.size
    blocks = -(-pools // ROWS)
    padded = blocks * ROWS
    value = market.spot[book.asset]
    pool_of = np.repeat(np.arange(pools), np.diff(book.start))
    weights = np.zeros((MARKS, padded, assets))
    for mark in range(MARKS):
        np.add.at(weights[mark], (pool_of, book.asset), (book.size - book.requirement[mark]) * value)
    threshold = book.threshold + book.base[:, None]
    table, start = _pack_mixing(market)
    loading, depth = _pack_loading(market)
    mixing = np.where(market.mixing >= 0, start[market.mixing], start[-1])
    leads = market.leader[:, None] * np.ones(steps, np.int64)
    loaded = market.loading_of_set[market.parameters]
    tails = _number_alike(mixing)[market.parameters]
    drifts = _number_alike(market.drift.reshape(len(market.drift), -1))[market.parameters]
    jumps = _number_alike(_law_of_jumps(market))[market.parameters]
    bursts = _number_alike(market.burst_move.reshape(len(market.burst_move), -1))[market.parameters]
    has_funding = bool(market.has_funding) or market.funding_law.column.size > 0
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
        factor_of=_first_alike(leads, loaded, tails, drifts, jumps, bursts, market.replay),
        loading_of_set=market.loading_of_set,
        loading=loading,
        depth=depth,
        drift=market.drift.astype(np.float32),
        replay=market.replay,
        replays=market.replays.astype(np.float32),
        shock=market.shock,
        shocks=market.shocks.astype(np.float32),
        event=market.event,
        events=market.events.astype(np.float32),
        event_up=np.floor(market.event_law[:, 0] * 2.0**31).astype(np.uint32),
        event_spread=market.event_law[:, 1].astype(np.float32),
        weights=_by_blocks(weights),
        has_jumps=market.has_jumps,
        leaps=_pack_jumps(market),
        has_bursts=int(market.burst_law.size > 0),
        bursts=_pack_bursts(market),
        has_funding=int(has_funding),
        funding=_pack_funding(market, book, pool_of, padded),
        rates=_pack_rates(market, _first_alike(leads, loaded, tails, so_far=True)),
        cash=book.cash,
        cashes=np.pad(book.cashes, ((0, 0), (0, padded - pools))).astype(np.float32),
        receives=int(has_funding or (book.cash >= 0).any()),
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
    packed: Plain = _of_one_layout(plain)
    return packed


def _of_one_layout(values: Any) -> Any:
    """A named tuple with contiguous arrays, whatever they were made from: to numba another layout is another
    type to compile for."""
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values)
    return type(values)(*map(_of_one_layout, values)) if isinstance(values, tuple) else values


def _as_words(cumulative: Floats) -> Words:
    """Cumulative laws (..., n) as thresholds (..., n - 1) of 31-bit words, exactly as uniforms decide."""
    return np.asarray(np.floor(cumulative[..., :-1] * 2.0**31 + 0.5), np.uint32)


def _first_alike(*keys: Integers, so_far: bool = False) -> Integers:
    """(S, T): the first scenario whose keys (S, T) are the same in that step, or in all so far."""
    alike = np.ones((keys[0].shape[0], *keys[0].shape), np.bool_)
    for key in keys:
        alike &= key[:, None] == key[None]
    if so_far:
        alike = np.logical_and.accumulate(alike, axis=2)
    return np.asarray(np.argmax(alike, axis=1), np.int64)


def _number_alike(rows: Floats | Integers) -> Integers:
    """A number for each row, the same for equal ones."""
    numbers: dict[bytes, int] = {}  # numpy's own takes a hundred times as long where rows are wide
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], np.int64)


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


def _law_of_jumps(market: Market) -> Floats:
    """A row of figures for each parameter set, the same where jumps have the same law."""
    laws = (market.jump_law, market.jump_mean, market.jump_loading, market.jump_sizes, market.jump_sides)
    return np.concatenate([law.reshape(len(law), -1) for law in laws], axis=1)


def _pack_jumps(market: Market) -> Leaps:
    return Leaps(
        bound=_as_words(market.jump_law),
        possible=np.asarray((market.jump_law[..., 0] < 1.0).any(axis=1), np.int64),
        jump_sizes=market.jump_sizes,
        jump_mean=market.jump_mean,
        jump_loading=market.jump_loading,
        jump_sides=market.jump_sides,
        depth=market.depth,
    )


def _pack_bursts(market: Market) -> Bursts:
    # the upper word of a uniform at or below u is at most u in units of 2**-32
    most = min(math.floor(market.burst_law.max(initial=0.0) * 2.0**32), 2**32 - 1)
    return Bursts(
        bound=np.uint32(most),
        possible=np.asarray(market.burst_move.any(axis=(1, 2)), np.int64),
        burst_law=market.burst_law,
        burst_move=market.burst_move,
        burst_spread=market.burst_spread,
        burst_mixing=market.burst_mixing,
        mixing_tables=market.mixing_tables,
        level_scale=market.level_scale,
        substeps=market.substeps,
    )


def _pack_funding(market: Market, book: Book, pool_of: Integers, padded: int) -> Funding:
    """Positions by asset and clamp; without clamps by asset alone."""
    caps = book.funding_cap if market.clamps else np.full(book.asset.size, np.inf)
    paid = (book.interval < market.due.shape[0]) & (book.size != 0.0)
    clamps, clamp = np.unique(caps[paid], return_inverse=True)
    columns, column = np.unique(book.asset[paid] * clamps.size + clamp.ravel(), return_inverse=True)
    paying = np.zeros((market.due.shape[0], padded, columns.size))
    money = (book.size * market.spot[book.asset])[paid]
    np.add.at(paying, (book.interval[paid], pool_of[paid], column.ravel()), money)
    reverts = market.funding_law.column.size > 0
    return Funding(
        asset=columns // max(clamps.size, 1),
        cap=clamps[columns % max(clamps.size, 1)].astype(np.float32),
        rate=market.funding.astype(np.float32),
        funded=((market.funding != 0.0).any(axis=(1, 2)) | reverts).astype(np.int64),
        paying=_by_blocks(paying),
        due=market.due.astype(np.float32),
        pays=(market.due != 0.0).any(axis=0).astype(np.int64),
    )


def _pack_rates(market: Market, of: Integers) -> Rates:
    law = market.funding_law
    slots, block = np.unique(law.column // 4, return_inverse=True)
    common, apart = np.sqrt(law.common)[:, None], np.sqrt(1.0 - law.common)[:, None]
    return Rates(
        of=of,
        slots=slots,
        own=1 + 4 * block.ravel() + law.column % 4,
        shares=int(law.common.any()),
        draws=int(np.isnan(law.start).any()),
        known=law.start.astype(np.float32),
        level=law.level.astype(np.float32),
        start_pooled=(law.deviation * common).astype(np.float32),
        start_apart=(law.deviation * apart).astype(np.float32),
        base=(law.level * (1.0 - law.kept)).astype(np.float32),
        kept=law.kept.astype(np.float32),
        tied=law.tied.astype(np.float32),
        pooled=(law.apart * common).astype(np.float32),
        apart=(law.apart * apart).astype(np.float32),
        factor=market.funding_factor.astype(np.float32),
        added=market.funding_added.astype(np.float32),
    )


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
            if book.cash[s, 0] >= 0:
                margin += book.cashes[book.cash[s, 0]]
            rank = (margin[:, None] < book.threshold[mark]).sum(axis=1)
            last = np.take_along_axis(book.threshold[mark], np.maximum(rank - 1, 0)[:, None], axis=1)[:, 0]
            reached = np.nextafter((last + book.base).astype(np.float32), -ALL_PATHS)
            low[s, mark, :pools] = np.where(rank > 0, reached, ALL_PATHS)
    return low
