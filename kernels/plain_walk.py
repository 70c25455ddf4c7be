"""The fast walk: 32 paths at a time in float32, for what `kernels.plain` says is plain.

One step of one path, in regime k (see docs/model.md):

    x = m dt + w L z,    price <- price exp(x),    X = sum of weights x price + funding received

and of X only the least so far is kept, for each pool and mark: which leverages have hit which mark is read
off it where a horizon ends. So leverages cost nothing in a step, and there is no branch in it.

Scenarios walk side by side on the same normals. What several of them have in common in a step is computed
once: the correlated noise by those with the same regimes and loadings, the tails' number, the factor that
prices move by.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kernels.elementary16 import exp16
from kernels.jit import hot, inlined
from kernels.market import CELL_BITS
from kernels.plain import (
    MIXING_CELLS,
    ROWS,
    SMALLEST_OCTAVE,
    TILE,
    Floats32,
    Integers,
    Plain,
    Words,
)
from kernels.plain_rows import (
    choose_rows,
    count_hits,
    load_rows,
    lower_rows,
    no_rows,
    store_rows,
    sum_rows,
)
from kernels.plain_sort import sort_lanes
from kernels.random import SLOT_FACTORS, SLOT_STEP, draw_normals16, draw_words16, fine_uniform16, paths16
from kernels.simd import (
    WIDTH,
    Vector,
    bits,
    choose,
    choose_words,
    floats,
    floats_of_words,
    fma,
    gather,
    lanes_of,
    least,
    load,
    most,
    spread,
    store,
    words,
    words_of_mask,
)
from kernels.structs import MARKS

SORTED = 16  # tiles that walk side by side where their lanes are sorted
LINE = 16  # numbers of four bytes in a line of the cache
STATE = 1 << 20  # bytes their state may take: half of a core's second level of cache
DEAREST = 1e25  # a price is cut here, as a multiple: infinite, it would spoil pools that do not hold it
WILDEST = 80.0  # a log return of one step is cut here: beyond, float32 overflows
_CELL_SHIFT = 23 - CELL_BITS
_FIRST_CELL = (127 + SMALLEST_OCTAVE) << CELL_BITS
_WITHIN = (1 << _CELL_SHIFT) - 1


class Room(NamedTuple):
    """The state of C tiles of paths, one a lane, and room to compute one in. R4: pools, padded."""

    path: Words  # (C, 2, TILE) low and high words
    word: Words  # (C, 2, TILE) that of the mixing, and that which splits it, of the model's step
    level: Words  # (C, TILE)
    regime: Words  # (C, S, TILE) of the scenarios that others share theirs with
    price: Floats32  # (C, S, A, TILE) as multiples of those at `as_of`
    received: Floats32  # (C, S, R4, TILE) funding received so far
    lowest: Floats32  # (C, S, MARKS, R4, TILE) least X where looked at
    labels: tuple[Words, ...]  # all of the first four as (C, n, TILE)
    columns: tuple[Floats32, ...]  # the next three
    sizes: Integers  # (K,) see `plain_sort`
    astray: Integers  # (K, K, C x TILE + 1)
    factor: Floats32  # (F, TILE) standard normals
    noise: Floats32  # (S, A4, TILE) loading x normals, of the lane's regime
    weight: Floats32  # (S, TILE) t-mixing number times the level's scale
    growth: Floats32  # (S, A, TILE) factor that prices move by
    carry: Floats32  # (A, TILE) annualised rate x price
    hit: Words  # (MARKS, P, L)
    emptied: Words  # (V, L)


def count_tiles(plain: Plain) -> int:
    """How many tiles walk side by side: as many as are worth sorting by regime, or one.

    Sorted, a tile has paths of one regime, and correlates its normals once instead of once a regime: some
    A^2 (K - 1) / 2 multiply-adds saved for every path, for S (A + 4 R) numbers moved with each that switches.
    """
    scenarios, assets = plain.leader.size, plain.drift.shape[2]
    columns = scenarios * (assets + (1 + MARKS) * plain.weights.shape[1] * ROWS)
    fits = SORTED * columns * TILE * 4 <= STATE
    return SORTED if plain.regimes > 1 and fits and assets * assets >= 4 * columns else 1


def make_room(plain: Plain, accounts: int, several: int, leverages: int) -> Room:
    """Room for as many tiles as walk side by side: several where their paths are worth sorting."""
    tiles = count_tiles(plain)
    scenarios = plain.leader.size
    assets, factors = plain.drift.shape[2], plain.loading.shape[3]
    padded = plain.weights.shape[1] * ROWS

    def lanes(*shape: int) -> Floats32:
        return word_lanes(*shape).view(np.float32)

    def word_lanes(*shape: int) -> Words:
        # a vector that straddles two lines of the cache costs two loads
        flat = np.zeros(math.prod(shape) * TILE + LINE, np.uint32)
        first = -(flat.ctypes.data // flat.itemsize) % LINE
        return flat[first : first + flat.size - LINE].reshape(*shape, TILE)

    path, word, regime = word_lanes(tiles, 2), word_lanes(tiles, 2), word_lanes(tiles, scenarios)
    level = word_lanes(tiles, 1)
    price = lanes(tiles, scenarios, assets)
    received = lanes(tiles, scenarios, padded)
    lowest = lanes(tiles, scenarios, MARKS, padded)
    return Room(
        path=path,
        word=word,
        level=level[:, 0],
        regime=regime,
        price=price,
        received=received,
        lowest=lowest,
        labels=(path, word, level, regime),
        columns=(
            price.reshape(tiles, -1, TILE),
            received.reshape(tiles, -1, TILE),
            lowest.reshape(tiles, -1, TILE),
        ),
        sizes=np.zeros(plain.regimes, np.int64),
        astray=np.zeros((plain.regimes, plain.regimes, tiles * TILE + 1), np.int64),
        factor=lanes(factors),
        noise=lanes(scenarios, plain.loading.shape[2] * ROWS),
        weight=lanes(scenarios),
        growth=lanes(scenarios, assets),
        carry=lanes(assets),
        hit=np.zeros((MARKS, accounts, leverages), np.uint32),
        emptied=np.zeros((several, leverages), np.uint32),
    )


@inlined
def follow_law(word: Vector, law: Words) -> Vector:
    """The state that words choose by thresholds (n - 1,) of their upper 31 bits."""
    half = word >> 1
    state = words(0)
    for c in range(law.shape[0]):
        state = state + words_of_mask(half >= words(law[c]))
    return state


@inlined
def follow_chain(word: Vector, now: Vector, laws: Words) -> Vector:
    """The next state by laws (n, n - 1), one for each state now."""
    half = word >> 1
    state = words(0)
    for c in range(laws.shape[1]):
        bound = words(laws[0, c])
        for k in range(1, laws.shape[0]):
            bound = choose_words(now == words(np.uint32(k)), words(laws[k, c]), bound)
        state = state + words_of_mask(half >= bound)
    return state


@inlined
def read_mixing16(table: Floats32, start: Vector, word: Vector, other: Vector) -> Vector:
    """w = sqrt((nu - 2) / chi2 quantile) from tables that start there, linear within a cell.

    By the smaller of u and 1 - u: of a word and its complement, which is as exact near one as near zero.
    """
    upper = word >= words(0x80000000)
    flip = words(0) - words_of_mask(upper)
    u = bits(fine_uniform16(word ^ flip, other ^ flip))
    cell = start + (words_of_mask(upper) * MIXING_CELLS) + ((u >> _CELL_SHIFT) - _FIRST_CELL)
    below = gather(table, cell)
    share = floats_of_words(u & _WITHIN) * (1.0 / (_WITHIN + 1))
    return fma(share, gather(table, cell + 1) - below, below)


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
        for mark in range(MARKS):
            for row in range(plain.first_low.shape[2]):
                for v in range(0, TILE, WIDTH):
                    store(room.lowest, (tile, s, mark, row, v), spread(plain.first_low, (s, mark, row)))


@inlined
def switch_states(plain: Plain, seed: np.uint64, step: int, tile: int, room: Room) -> None:
    """Draw the step's words, and put in the levels and regimes in force over the step."""
    anew = step % plain.substeps == 0
    for v in range(0, TILE, WIDTH):
        if anew:
            path, path_high = load(room.path, (tile, 0, v)), load(room.path, (tile, 1, v))
            w0, w1, w2, _ = draw_words16(seed, path, path_high, np.uint64(step), SLOT_STEP)
            store(room.word, (tile, 0, v), w1)
            store(room.word, (tile, 1, v), w0)
            level = load(room.level, (tile, v))
            if plain.levels > 1:
                if step == 0:
                    level = follow_law(w2, plain.level_initial)
                else:
                    level = follow_chain(w2, level, plain.level_transitions)
                store(room.level, (tile, v), level)
            for s in range(plain.leader.shape[0]):
                if plain.leader[s] == s:
                    if step == 0:
                        store(room.regime, (tile, s, v), follow_chain(w0, level, plain.initial))
                    else:
                        now = load(room.regime, (tile, s, v))
                        store(room.regime, (tile, s, v), follow_chain(w0, now, plain.transitions))
    for s in range(plain.leader.shape[0]):
        forced = plain.forced[s, step]
        if plain.leader[s] == s and forced >= 0:
            room.regime[tile, s] = np.uint32(forced)


@inlined
def draw_factors(seed: np.uint64, step: int, tile: int, room: Room) -> None:
    """Fill the tile's factors with standard normals."""
    for v in range(0, TILE, WIDTH):
        path, path_high = load(room.path, (tile, 0, v)), load(room.path, (tile, 1, v))
        for j in range(0, room.factor.shape[0], 4):
            z = draw_normals16(seed, path, path_high, np.uint64(step), SLOT_FACTORS + j // 4)
            store(room.factor, (j, v), z[0])
            store(room.factor, (j + 1, v), z[1])
            store(room.factor, (j + 2, v), z[2])
            store(room.factor, (j + 3, v), z[3])


@inlined
def find_present(regime: Words, regimes: int) -> np.uint32:
    """Which regimes any path of the tile is in, as bits."""
    first, second = load(regime, 0), load(regime, WIDTH)
    present = np.uint32(0)
    for k in range(regimes):
        here = words(np.uint32(k))
        if (lanes_of(first == here) | lanes_of(second == here)) != 0:
            present = np.uint32(present | (np.uint32(1) << np.uint32(k)))
    return present


@inlined
def correlate(plain: Plain, loading: int, regime: Words, factor: Floats32, noise: Floats32) -> None:
    """noise (A4, TILE) = loading of each path's regime times its factors (F, TILE).

    Every regime that is present is computed for all paths, and each takes its own.
    """
    present = find_present(regime, plain.regimes)
    for block in range(plain.depth.shape[0]):
        mine = no_rows()
        for k in range(plain.regimes):
            if (present >> np.uint32(k)) & np.uint32(1):
                sums = sum_rows(plain.loading[loading, k, block], plain.depth[block], factor, no_rows())
                here = words(np.uint32(k))
                mine = choose_rows(load(regime, 0) == here, load(regime, WIDTH) == here, sums, mine)
        store_rows(noise, block * ROWS, mine)


@inlined
def mix_weights(
    plain: Plain, parameters: int, level: Words, regime: Words, word: Words, weight: Floats32
) -> None:
    """weight (TILE,): the t-mixing number of each path's regime, times the scale of its level."""
    for v in range(0, TILE, WIDTH):
        mixed = floats(1.0)
        if plain.mixes[parameters]:
            start, k = words(0), load(regime, v)
            for c in range(plain.regimes):
                start = choose_words(k == words(np.uint32(c)), words(plain.mixing[parameters, c]), start)
            mixed = read_mixing16(plain.mixing_table, start, load(word, (0, v)), load(word, (1, v)))
        if plain.levels > 1:
            m = load(level, v)
            scale = floats(0.0)
            for c in range(plain.levels):
                scale = choose(m == words(np.uint32(c)), floats(plain.level_scale[c]), scale)
            mixed = mixed * scale
        store(weight, v, mixed)


@inlined
def grow16(x: Vector) -> Vector:
    """What log returns multiply prices by, cut where float32 ends."""
    return exp16(most(least(x, floats(WILDEST)), floats(-WILDEST)))


@inlined
def find_growth(
    plain: Plain,
    scenario: int,
    step: int,
    regime: Words,
    noise: Floats32,
    weight: Floats32,
    growth: Floats32,
) -> None:
    """growth (A, TILE): what a step multiplies prices by."""
    parameters, replay = plain.parameters[scenario, step], plain.replay[scenario, step]
    last = plain.regimes - 1
    one, two = min(last, 1), min(last, 2)
    w0, w1, k0, k1 = load(weight, 0), load(weight, WIDTH), load(regime, 0), load(regime, WIDTH)
    in_one0, in_one1 = k0 == words(np.uint32(1)), k1 == words(np.uint32(1))
    in_two0, in_two1 = k0 == words(np.uint32(2)), k1 == words(np.uint32(2))
    for a in range(growth.shape[0]):
        drift0 = drift1 = spread(plain.drift, (parameters, 0, a))
        # without a loop for up to three regimes
        drift = spread(plain.drift, (parameters, one, a))
        drift0, drift1 = choose(in_one0, drift, drift0), choose(in_one1, drift, drift1)
        drift = spread(plain.drift, (parameters, two, a))
        drift0, drift1 = choose(in_two0, drift, drift0), choose(in_two1, drift, drift1)
        for k in range(3, plain.regimes):
            drift, here = spread(plain.drift, (parameters, k, a)), words(np.uint32(k))
            drift0, drift1 = choose(k0 == here, drift, drift0), choose(k1 == here, drift, drift1)
        x0, x1 = fma(w0, load(noise, (a, 0)), drift0), fma(w1, load(noise, (a, WIDTH)), drift1)
        if replay >= 0:
            laid = spread(plain.replays, (replay, a))
            x0, x1 = x0 + laid, x1 + laid
        store(growth, (a, 0), grow16(x0))
        store(growth, (a, WIDTH), grow16(x1))


@inlined
def move_plain_prices(plain: Plain, scenario: int, step: int, growth: Floats32, price: Floats32) -> None:
    """Multiply prices (A, TILE) by the step's growth, and by a shock at its start."""
    shock = plain.shock[scenario, step]
    for a in range(price.shape[0]):
        for v in range(0, TILE, WIDTH):
            moved = load(price, (a, v)) * load(growth, (a, v))
            if shock >= 0:
                moved = moved * spread(plain.shocks, (shock, a))
            store(price, (a, v), least(moved, floats(DEAREST)))


@inlined
def receive_funding(
    plain: Plain,
    parameters: int,
    step: int,
    regime: Words,
    price: Floats32,
    carry: Floats32,
    received: Floats32,
) -> None:
    """Add to received (R4, TILE) the funding of a step, at its last prices (A, TILE)."""
    for interval in range(plain.due.shape[0]):
        due = plain.due[interval, step]
        if due != 0.0:
            for v in range(0, TILE, WIDTH):
                k = load(regime, v)
                for a in range(price.shape[0]):
                    rate = spread(plain.rate, (parameters, 0, a))
                    for c in range(1, plain.regimes):
                        rate = choose(k == words(np.uint32(c)), spread(plain.rate, (parameters, c, a)), rate)
                    store(carry, (a, v), rate * load(price, (a, v)) * (0.0 - due))
            for block in range(plain.paying.shape[1]):
                start = load_rows(received, block * ROWS)
                sums = sum_rows(plain.paying[interval, block], price.shape[0], carry, start)
                store_rows(received, block * ROWS, sums)


@inlined
def lanes_before(path: Words, first: np.uint64, paths: int) -> np.uint32:
    """The lanes (TILE,) whose path is one of so many from the first on, as bits. By the paths' low words."""
    start, end = words(np.uint32(first & np.uint64(0xFFFFFFFF))), words(np.uint32(paths))
    lower, upper = load(path, 0) - start < end, load(path, WIDTH) - start < end
    return np.uint32(lanes_of(lower) | np.uint32(lanes_of(upper) << np.uint32(WIDTH)))


@inlined
def advance_scenario(plain: Plain, scenario: int, step: int, tile: int, room: Room) -> None:
    """One step of one scenario of a tile."""
    s = scenario
    parameters = plain.parameters[s, step]
    regime = room.regime[tile, plain.leader[s]]
    if plain.noise_of[s, step] == s:
        loading = plain.loading_of_set[parameters]
        correlate(plain, loading, regime, room.factor, room.noise[s])
    if plain.weight_of[s, step] == s:
        mix_weights(plain, parameters, room.level[tile], regime, room.word[tile], room.weight[s])
    if plain.factor_of[s, step] == s:
        noise, weight = room.noise[plain.noise_of[s, step]], room.weight[plain.weight_of[s, step]]
        find_growth(plain, s, step, regime, noise, weight, room.growth[s])
    price, received = room.price[tile, s], room.received[tile, s]
    move_plain_prices(plain, s, step, room.growth[plain.factor_of[s, step]], price)
    if plain.has_funding and plain.pays[step] and plain.funded[parameters]:
        receive_funding(plain, parameters, step, regime, price, room.carry, received)
    if plain.watched[s, step]:
        for mark in range(MARKS):
            for block in range(plain.weights.shape[1]):
                lower_rows(
                    plain.weights[mark, block],
                    block * ROWS,
                    price,
                    received,
                    plain.has_funding,
                    room.lowest[tile, s, mark],
                )


@inlined
def is_tiled(plain: Plain, room: Room) -> bool:
    """Whether lanes and rows are as many as they always are: the compiler then counts on it."""
    return bool(
        room.path.shape[2] == TILE
        and room.word.shape[2] == TILE
        and room.level.shape[1] == TILE
        and room.regime.shape[2] == TILE
        and room.price.shape[3] == TILE
        and room.received.shape[3] == TILE
        and room.lowest.shape[4] == TILE
        and room.factor.shape[1] == TILE
        and room.noise.shape[2] == TILE
        and room.weight.shape[1] == TILE
        and room.growth.shape[2] == TILE
        and room.carry.shape[1] == TILE
        and plain.loading.shape[4] == ROWS
        and plain.weights.shape[3] == ROWS
        and plain.paying.shape[3] == ROWS
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
                for s in range(plain.leader.shape[0]):
                    advance_scenario(plain, s, step, tile, room)
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
