"""The fast walk: 32 paths at a time in float32, for what `kernels.plain` says is plain.

One step of one path, in regime k (see docs/model.md):

    x = m dt + w L z + J + B,    price <- price exp(x),    X = sum of weights x price + what was received

and of X only the least so far is kept, for each pool and mark: which leverages have hit which mark is read
off it where a horizon ends. So leverages cost nothing in a step, and there is no branch in it.

Scenarios walk side by side on the same normals. What several of them have in common in a step is computed
once: the correlated noise by those with the same regimes and loadings, the tails' number, the factor that
prices move by.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot, inlined
from kernels.plain import ROWS, TILE, Integers, Plain, Words
from kernels.plain_bursts import draw_plain_bursts, lay_bursts, size_plain_bursts
from kernels.plain_funding import advance_rates, draw_rates16, receive_cash, receive_funding
from kernels.plain_jumps import add_plain_jumps
from kernels.plain_prices import apply_plain_event, correlate, draw_factors, find_growth, move_plain_prices
from kernels.plain_room import Room, is_tiled, make_room
from kernels.plain_rows import count_hits, lower_rows
from kernels.plain_sort import sort_lanes
from kernels.plain_states import mix_weights, switch_states
from kernels.random import paths16
from kernels.simd import WIDTH, lanes_of, load, spread, store, words
from kernels.structs import MARKS


@inlined
def start_tile(plain: Plain, first: np.uint64, tile: int, room: Room) -> None:
    """Put a tile of paths at `as_of`, after what happens at time zero."""
    for v in range(0, TILE, WIDTH):
        low, high = paths16(first + np.uint64(v))
        store(room.path, (tile, 0, v), low)
        store(room.path, (tile, 1, v), high)
    room.received[tile] = np.float32(0.0)
    room.price[tile] = np.float32(1.0)
    for s in range(plain.leader.shape[0]):
        if plain.cash[s, 0] >= 0:
            receive_cash(plain.cashes[plain.cash[s, 0]], room.received[tile, s])
        for mark in range(MARKS):
            for row in range(plain.first_low.shape[2]):
                for v in range(0, TILE, WIDTH):
                    store(room.lowest, (tile, s, mark, row, v), spread(plain.first_low, (s, mark, row)))


@inlined
def lanes_before(path: Words, first: np.uint64, paths: int) -> np.uint32:
    """The lanes (TILE,) whose path is one of so many from the first on, as bits. By the paths' low words."""
    start, end = words(np.uint32(first & np.uint64(0xFFFFFFFF))), words(np.uint32(paths))
    lower, upper = load(path, 0) - start < end, load(path, WIDTH) - start < end
    return np.uint32(lanes_of(lower) | np.uint32(lanes_of(upper) << np.uint32(WIDTH)))


@inlined
def advance_scenario(
    plain: Plain, seed: np.uint64, scenario: int, step: int, tile: int, bursts: int, room: Room
) -> None:
    """One step of one scenario of a tile, of which so many paths have a burst."""
    s = scenario
    parameters = plain.parameters[s, step]
    regime = room.regime[tile, plain.leader[s]]
    if plain.noise_of[s, step] == s:
        loading = plain.loading_of_set[parameters]
        correlate(plain, loading, regime, room.factor, room.noise[s])
    if plain.weight_of[s, step] == s:
        mix_weights(plain, parameters, room.level[tile], regime, room.word[tile], room.weight[s])
    if bursts > 0 and plain.leader[s] == s:
        size_plain_bursts(
            plain.bursts,
            room.burst[:, :bursts],
            room.burst_normal,
            room.word[tile],
            room.level[tile],
            regime,
            room.burst_size[s],
        )
    if plain.factor_of[s, step] == s:
        noise, weight = room.noise[plain.noise_of[s, step]], room.weight[plain.weight_of[s, step]]
        bursting = bursts > 0 and plain.bursts.possible[parameters] == 1
        if bursting:
            moves, size = plain.bursts.burst_move[parameters], room.burst_size[plain.leader[s]]
            lay_bursts(moves, room.burst[:, :bursts], size, room.burst_move)
        find_growth(plain, s, step, regime, noise, weight, bursting, room.burst_move, room.growth[s])
        if plain.has_jumps and plain.leaps.possible[parameters]:
            add_plain_jumps(
                plain.leaps,
                seed,
                step,
                parameters,
                room.path[tile],
                room.word[tile],
                regime,
                room.jump_normal,
                room.jump,
                room.growth[s],
            )
    price, received = room.price[tile, s], room.received[tile, s]
    move_plain_prices(plain, s, step, room.growth[plain.factor_of[s, step]], price)
    event, cash = plain.event[s, step], plain.cash[s, step]
    if event >= 0:
        moves, up, deviation = plain.events[event], plain.event_up[event], plain.event_spread[event]
        apply_plain_event(moves, up, deviation, seed, step, room.path[tile], price)
    if cash >= 0 and step > 0:
        receive_cash(plain.cashes[cash], received)
    follows = plain.rates.of[s, step]
    if plain.rates.own.shape[0] > 0 and follows == s:
        advance_rates(plain, s, step, tile, room)
    if plain.has_funding and plain.funding.pays[step] and plain.funding.funded[parameters]:
        rate = room.rate[tile, follows]
        receive_funding(plain, parameters, step, regime, rate, price, room.carry, received)
    if plain.watched[s, step]:
        for mark in range(MARKS):
            for block in range(plain.weights.shape[1]):
                lower_rows(
                    plain.weights[mark, block],
                    block * ROWS,
                    price,
                    received,
                    plain.receives,
                    room.lowest[tile, s, mark],
                )


@hot
def walk_plain_paths(
    seed: np.uint64,
    first_path: int,
    paths: int,
    plain: Plain,
    room: Room,
    hits: Integers,
    joint: Integers,
    last_pool: Integers,
) -> bool:
    """Walk paths first_path .. first_path + paths - 1 and add to the counts by each horizon.

    False, and nothing done, where the arrays are not of tiles.
    """
    if not is_tiled(plain, room):
        return False
    chunk = room.path.shape[0] * TILE
    for offset in range(0, paths, chunk):
        tiles = (min(chunk, paths - offset) + TILE - 1) // TILE
        first = np.uint64(first_path + offset)
        for tile in range(tiles):
            start_tile(plain, first + np.uint64(tile * TILE), tile, room)
        for step in range(plain.steps):
            for tile in range(tiles):
                switch_states(plain, seed, step, tile, room)
            if tiles > 1:
                by = room.regime[:tiles, plain.sorted_by]
                sort_lanes(by, room.sizes, room.astray, room.labels, room.columns)
            for tile in range(tiles):
                draw_factors(seed, step, tile, room)
                if plain.rates.own.shape[0] > 0:
                    draw_rates16(plain.rates, seed, step, tile, room)
                bursts = 0
                if plain.has_bursts:
                    drawn = room.burst_word, room.burst_normal, room.burst
                    bursts = draw_plain_bursts(plain.bursts, seed, step, room.path[tile], *drawn)
                for s in range(plain.leader.shape[0]):
                    advance_scenario(plain, seed, s, step, tile, bursts, room)
                    if plain.ends[step]:
                        # lanes beyond the last path walk too, uncounted
                        counted = lanes_before(room.path[tile, 0], first, min(chunk, paths - offset))
                        lowest = room.lowest[tile, s]
                        horizon = plain.horizon[step]
                        count_hits(
                            plain, s, horizon, counted, lowest, room.hit, room.emptied, hits, joint, last_pool
                        )
    return True


def simulate_plain_paths(
    seed: int, first_path: int, paths: int, plain: Plain, hits: Integers, joint: Integers, last_pool: Integers
) -> None:
    """Add the first passages of a range of paths to a tally's counts, by the horizon they fall in."""
    room = make_room(plain, hits.shape[2], last_pool.shape[1], hits.shape[3])
    by_then = np.zeros_like(hits), np.zeros_like(joint), np.zeros_like(last_pool)
    if not walk_plain_paths(np.uint64(seed), first_path, paths, plain, room, *by_then):
        raise ValueError(f"the walk's arrays are not of tiles of {TILE} paths")
    for counts, total, axis in zip((hits, joint, last_pool), by_then, (-1, 1, -1), strict=True):
        counts += np.diff(total, axis=axis, prepend=0)
