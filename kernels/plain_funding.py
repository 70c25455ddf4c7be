"""Funding of a tile's paths: rates that revert to a level, and what they pay the pools.

A rate moves as in `kernels.reverting`. Scenarios share a rate's state until something tells them apart.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import hot, inlined
from kernels.plain import ROWS, TILE, Floats32, Funding, Plain, Rates, Words
from kernels.plain_room import Room
from kernels.plain_rows import load_rows, store_rows, sum_rows
from kernels.plain_states import find_present
from kernels.random import SLOT_FUNDING, draw_normals16, draw_words16, normals_of_words16
from kernels.reverting import START
from kernels.simd import WIDTH, Vector, choose, floats, fma, least, load, most, spread, store, words


@hot
def draw_rate_normals(
    rates: Rates, seed: np.uint64, step: int, slot: int, path: Words, normal: Floats32
) -> None:
    """Fill normal (rows, TILE) for the paths (2, TILE) of a tile: common, then four a block of assets."""
    for v in range(0, TILE, WIDTH):
        low, high = load(path, (0, v)), load(path, (1, v))
        if rates.shares:
            w0, w1, _, _ = draw_words16(seed, low, high, np.uint64(step), slot)
            store(normal, (0, v), normals_of_words16(w0, w1)[0])
        for block in range(rates.slots.shape[0]):
            z = draw_normals16(seed, low, high, np.uint64(step), slot + 1 + rates.slots[block])
            first = 1 + 4 * block
            store(normal, (first, v), z[0])
            store(normal, (first + 1, v), z[1])
            store(normal, (first + 2, v), z[2])
            store(normal, (first + 3, v), z[3])


@hot
def start_rates(
    rates: Rates, scale: Floats32, level: Words, regime: Words, normal: Floats32, rate: Floats32
) -> None:
    """Put rate (B, TILE) at `as_of`: as known, else drawn from the law of the first regime in the long run,
    by the first level's scale (M,)."""
    for v in range(0, TILE, WIDTH):
        times, m, k = floats(scale[0]), load(level, v), load(regime, v)
        for c in range(1, scale.shape[0]):
            times = choose(m == words(np.uint32(c)), floats(scale[c]), times)
        for b in range(rate.shape[0]):
            drawn = spread(rates.known, b)
            if math.isnan(rates.known[b]):
                for c in range(rates.level.shape[0]):
                    own = load(normal, (rates.own[b], v)) * rates.start_apart[c, b]
                    apart = fma(load(normal, (0, v)), rates.start_pooled[c, b], own)
                    drawn = choose(k == words(np.uint32(c)), fma(times, apart, rates.level[c, b]), drawn)
            store(rate, (b, v), drawn)


@hot
def move_rates(
    rates: Rates,
    loading: int,
    regime: Words,
    weight: Floats32,
    noise: Floats32,
    normal: Floats32,
    rate: Floats32,
) -> None:
    """Move rate (B, TILE) by one step, with the noise (A4, TILE) of the assets' returns."""
    regimes = rates.kept.shape[0]
    present = find_present(regime, regimes)
    for b in range(rate.shape[0]):
        for v in range(0, TILE, WIDTH):
            here, w, k = load(rate, (b, v)), load(weight, v), load(regime, v)
            tied, common, own = load(noise, (b, v)), load(normal, (0, v)), load(normal, (rates.own[b], v))
            moved = here
            for c in range(regimes):
                if (present >> np.uint32(c)) & np.uint32(1):
                    shock = fma(
                        common, spread(rates.pooled, (loading, c, b)), tied * rates.tied[loading, c, b]
                    )
                    shock = fma(own, spread(rates.apart, (loading, c, b)), shock)
                    back = fma(here, spread(rates.kept, (c, b)), spread(rates.base, (c, b)))
                    moved = choose(k == words(np.uint32(c)), fma(w, shock, back), moved)
            store(rate, (b, v), moved)


@hot
def fork_rates(rates: Rates, step: int, rate: Floats32) -> None:
    """Give scenarios that part from another in this step their own copy of its rates (S, B, TILE)."""
    for s in range(rate.shape[0]):
        if rates.of[s, step] == s and rates.of[s, step - 1] != s:
            for b in range(rate.shape[1]):
                for v in range(0, TILE, WIDTH):
                    store(rate, (s, b, v), load(rate, (rates.of[s, step - 1], b, v)))


@inlined
def draw_rates16(rates: Rates, seed: np.uint64, step: int, tile: int, room: Room) -> None:
    """Draw the normals of a tile's funding rates, and tell apart the rates of scenarios that part here."""
    path = room.path[tile]
    if step == 0 and rates.draws:
        draw_rate_normals(rates, seed, step, SLOT_FUNDING + START, path, room.first_normal)
    draw_rate_normals(rates, seed, step, SLOT_FUNDING, path, room.normal)
    if step > 0:
        fork_rates(rates, step, room.rate[tile])


@inlined
def advance_rates(plain: Plain, scenario: int, step: int, tile: int, room: Room) -> None:
    """Move the funding rates of one scenario of a tile by one step, the first one from where they start."""
    s = scenario
    regime, rate = room.regime[tile, plain.leader[s]], room.rate[tile, s]
    if step == 0:
        start_rates(plain.rates, plain.level_scale, room.level[tile], regime, room.first_normal, rate)
    loading = plain.loading_of_set[plain.parameters[s, step]]
    noise, weight = room.noise[plain.noise_of[s, step]], room.weight[plain.weight_of[s, step]]
    move_rates(plain.rates, loading, regime, weight, noise, room.normal, rate)


@inlined
def regime_rate(rate: Floats32, parameters: int, asset: int, regime: Vector) -> Vector:
    """The constant rates (Q, K, A) of an asset, by the lanes' regimes."""
    found = spread(rate, (parameters, 0, asset))
    for c in range(1, rate.shape[1]):
        found = choose(regime == words(np.uint32(c)), spread(rate, (parameters, c, asset)), found)
    return found


@inlined
def find_carry16(
    funding: Funding,
    rates: Rates,
    parameters: int,
    due: float,
    regime: Words,
    rate: Floats32,
    price: Floats32,
    carry: Floats32,
) -> None:
    """Fill carry (J, TILE) with what a unit of each column receives, at prices (A, TILE)."""
    for v in range(0, TILE, WIDTH):
        k = load(regime, v)
        for j in range(carry.shape[0]):
            a = funding.asset[j]
            if rate.shape[0] > 0:
                here = fma(
                    load(rate, (a, v)), spread(rates.factor, (parameters, a)), rates.added[parameters, a]
                )
            else:
                here = regime_rate(funding.rate, parameters, a, k)
            cap = spread(funding.cap, j)
            here = most(least(here, cap), floats(0.0) - cap)
            store(carry, (j, v), here * load(price, (a, v)) * (0.0 - due))


@inlined
def receive_funding(
    plain: Plain,
    parameters: int,
    step: int,
    regime: Words,
    rate: Floats32,
    price: Floats32,
    carry: Floats32,
    received: Floats32,
) -> None:
    """Add to received (R4, TILE) the funding of a step, by rates (B, TILE) where they revert, at its last
    prices (A, TILE)."""
    funding = plain.funding
    for interval in range(funding.due.shape[0]):
        due = funding.due[interval, step]
        if due != 0.0:
            find_carry16(funding, plain.rates, parameters, due, regime, rate, price, carry)
            for block in range(funding.paying.shape[1]):
                start = load_rows(received, block * ROWS)
                sums = sum_rows(funding.paying[interval, block], carry.shape[0], carry, start)
                store_rows(received, block * ROWS, sums)


@inlined
def receive_cash(change: Floats32, received: Floats32) -> None:
    """Add to received (R4, TILE) a change of cash (R4,)."""
    for row in range(received.shape[0]):
        for v in range(0, TILE, WIDTH):
            store(received, (row, v), load(received, (row, v)) + spread(change, row))
