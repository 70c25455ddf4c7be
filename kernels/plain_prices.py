"""What a step does to the prices of a tile: normals, correlated by regime, to returns, to factors."""

from __future__ import annotations

import numpy as np

from kernels.elementary16 import exp16
from kernels.jit import hot, inlined
from kernels.plain import ROWS, TILE, Floats32, Plain, Words
from kernels.plain_room import Room
from kernels.plain_rows import choose_rows, no_rows, store_rows, sum_rows
from kernels.plain_states import find_present
from kernels.random import SLOT_EVENT, SLOT_FACTORS, draw_normals16, draw_words16, normals_of_words16
from kernels.simd import WIDTH, Vector, choose, floats, fma, least, load, most, spread, store, words

UP, DOWN = 0, 1  # of an event
DEAREST = 1e25  # a price is cut here, as a multiple: infinite, it would spoil pools that do not hold it
WILDEST = 80.0  # a log return of one step is cut here: beyond, float32 overflows


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
    bursting: bool,
    burst: Floats32,
    growth: Floats32,
) -> None:
    """growth (A, TILE): what a step multiplies prices by, with its bursts (A, TILE) where there are any."""
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
        if bursting:
            x0, x1 = x0 + load(burst, (a, 0)), x1 + load(burst, (a, WIDTH))
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


@hot
def apply_plain_event(
    moves: Floats32, up: np.uint32, deviation: float, seed: np.uint64, step: int, path: Words, price: Floats32
) -> None:
    """Multiply prices (A, TILE) by the factors of an event, whose log moves (2, A) are up and down: each of
    the paths (2, TILE) draws its way and its size."""
    for v in range(0, TILE, WIDTH):
        low, high = load(path, (0, v)), load(path, (1, v))
        _, way, _, _ = draw_words16(seed, low, high, np.uint64(step), SLOT_EVENT)
        w0, w1, _, _ = draw_words16(seed, low, high, np.uint64(step), SLOT_EVENT + 1)
        size = grow16(fma(normals_of_words16(w0, w1)[0], deviation, -0.5 * deviation * deviation))
        rises = (way >> 1) < words(up)
        for a in range(price.shape[0]):
            move = size * choose(rises, spread(moves, (UP, a)), spread(moves, (DOWN, a)))
            store(price, (a, v), least(load(price, (a, v)) * grow16(move), floats(DEAREST)))
