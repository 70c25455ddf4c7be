"""One step of the regime-switching market, for the paths of one set of lanes.

Arrays whose last axis is LANES hold one path a lane. The formula of a step, in regime k (see docs/model.md):

    x = m dt + w L z + J,    price <- price exp(x)    (or price + spot x, where returns are additive)

with w the t-mixing number times the scale of the level: a second chain, which knows nothing of the regime.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kernels.elementary import exp
from kernels.jit import hot, inlined
from kernels.random import (
    JUMPS,
    LEVEL,
    MIXING,
    REGIME,
    SLOT_BRIDGE,
    SLOT_FACTORS,
    SLOT_JUMP_SIZE,
    SLOT_JUMP_SPLIT,
    draw_normal_lanes,
    draw_normal_vector,
    draw_step_uniforms,
)
from kernels.structs import (
    CELL_BITS,
    DOUBLE_EXPONENTIAL,
    LANES,
    LOWEST_OCTAVE,
    Draws,
    Floats,
    Integers,
    Key,
    Law,
    Market,
    Step,
)

if TYPE_CHECKING:
    from kernels.plain import Leaps

_SHIFT = np.int64(52 - CELL_BITS)
_FIRST_CELL = np.int64((1023 + LOWEST_OCTAVE) << CELL_BITS)
_WITHIN = np.int64((1 << (52 - CELL_BITS)) - 1)
_CELL_WIDTH = 2.0 ** -(52 - CELL_BITS)
# A log return of one step is cut here, at a factor of 1e43: the heaviest tails would overflow float64.
WILDEST = 100.0


@inlined
def combine_factors(loading: Floats, depth: int, factor: Floats, noise: Floats) -> None:
    """noise (LANES,) = sum over factors of loading (F,) times factor (F, LANES), four factors at a time."""
    for v in range(LANES):
        noise[v] = 0.0
    for j in range(0, depth, 4):
        a, b, c, d = loading[j], loading[j + 1], loading[j + 2], loading[j + 3]
        for v in range(LANES):
            noise[v] += (a * factor[j, v] + b * factor[j + 1, v]) + (
                c * factor[j + 2, v] + d * factor[j + 3, v]
            )


@hot
def draw_noise(market: Market, key: Key, slot: int, factor: Floats, noise: Floats) -> None:
    """Fill factor (F, LANES) with the normals of a slot, noise (D, K, A, LANES) with loading x factor."""
    for j in range(0, factor.shape[0], 4):
        draw_normal_lanes(key, slot + j // 4, factor[j : j + 4])
    for d in range(noise.shape[0]):
        if market.in_use[np.int64(key.step), d]:
            for k in range(noise.shape[1]):
                for a in range(noise.shape[2]):
                    combine_factors(market.loading[d, k, a], market.depth[a], factor, noise[d, k, a])


@inlined
def draw_step(market: Market, key: Key, bridge: int, draws: Draws) -> None:
    """Draw the uniforms and factors of a step, and correlate the factors by each loading in use.

    Regime and mixing belong to the model's step, so they stay as they are inside it.
    """
    if np.int64(key.step) % market.substeps == 0:
        draw_step_uniforms(key, REGIME, draws.uniform)
    elif market.has_jumps:
        draw_step_uniforms(key, JUMPS, draws.uniform)
    draw_noise(market, key, SLOT_FACTORS, draws.factor, draws.noise)
    if bridge:
        draw_noise(market, key, SLOT_BRIDGE, draws.dip_factor, draws.dip_noise)


@inlined
def switch_levels(market: Market, step: int, uniform: Floats, level: Integers) -> None:
    """Put in level (LANES,) the one in force over this step, by inverse of the cumulative law."""
    last = market.level_initial.shape[0] - 1
    if step == 0:
        for v in range(LANES):
            m = 0
            for c in range(last):
                m += int(uniform[LEVEL, v] > market.level_initial[c])
            level[v] = m
    elif step % market.substeps == 0:
        for v in range(LANES):
            m = 0
            for c in range(last):
                m += int(uniform[LEVEL, v] > market.level_transitions[level[v], c])
            level[v] = m


@inlined
def switch_regimes(
    market: Market, scenario: int, step: int, uniform: Floats, level: Integers, regime: Integers
) -> None:
    """Put in regime (LANES,) the one in force over this step, by inverse of the cumulative law."""
    forced = market.forced[scenario, step]
    last = market.transitions.shape[0] - 1
    if forced >= 0:
        regime[:] = forced
    elif step == 0:
        for v in range(LANES):
            k = 0
            for c in range(last):
                k += int(uniform[REGIME, v] > market.initial[level[v], c])
            regime[v] = k
    elif step % market.substeps == 0:
        for v in range(LANES):
            k = 0
            for c in range(last):
                k += int(uniform[REGIME, v] > market.transitions[regime[v], c])
            regime[v] = k


@inlined
def read_mixing(table: Floats, u: float) -> float:
    """Return w = sqrt((nu - 2) / chi2 quantile at u), linear within a cell of table (2, CELLS)."""
    half = 1 if u > 0.5 else 0
    bits = np.float64(1.0 - u if u > 0.5 else u).view(np.int64)
    cell = (bits >> _SHIFT) - _FIRST_CELL
    below = table[half, cell]
    return float(below + (bits & _WITHIN) * _CELL_WIDTH * (table[half, cell + 1] - below))


@inlined
def mix_tails(
    market: Market, parameters: int, level: Integers, regime: Integers, uniform: Floats, weight: Floats
) -> None:
    """weight (LANES,): the t-mixing number shared by all assets, times the scale of its level."""
    for v in range(LANES):
        table = market.mixing[parameters, regime[v]]
        weight[v] = read_mixing(market.mixing_tables[table], uniform[MIXING, v]) if table >= 0 else 1.0
    if market.level_scale.shape[0] > 1:
        for v in range(LANES):
            weight[v] *= market.level_scale[level[v]]


@inlined
def count_jumps(market: Market, parameters: int, regime: Integers, uniform: Floats, jumps: Integers) -> int:
    """Fill jumps (LANES,), by inverse of the Poisson law; return how many lanes have any."""
    lanes = 0
    most = market.jump_law.shape[2] - 1
    for v in range(LANES):
        law = market.jump_law[parameters, regime[v]]
        n = 0
        while n < most and uniform[JUMPS, v] > law[n]:
            n += 1
        jumps[v] = n
        lanes += n > 0
    return lanes


@inlined
def find_jump(normal: float, up: float, up_mean: float, down_mean: float) -> float:
    """Return the jump of double-exponential law (Kou 2002) whose normal score is given.

    Up with that probability, and else down, each way exponential with that mean.
    """
    upper = 0.5 * math.erfc(normal * math.sqrt(0.5))
    if upper < up:
        return up_mean * (math.log(up / upper) if upper > 0.0 else 0.5 * normal * normal)
    lower, down = 0.5 * math.erfc(-normal * math.sqrt(0.5)), 1.0 - up
    if lower < down:
        return -down_mean * (math.log(down / lower) if lower > 0.0 else 0.5 * normal * normal)
    return 0.0


@hot
def add_jump(market: Market | Leaps, law: Law, key: Key, number: int, normal: Floats, total: Floats) -> None:
    """Add to total (A,) one of a step's double-exponential jumps, the first one being number 0."""
    draw_normal_vector(key, SLOT_JUMP_SIZE + number * normal.shape[0], normal)
    loading = market.jump_loading[law.parameters, law.regime]
    sides = market.jump_sides[law.parameters, law.regime]
    for a in range(total.shape[0]):
        score = 0.0
        for j in range(market.depth[a]):
            score += loading[a, j] * normal[j]
        total[a] += find_jump(score, sides[a, 0], sides[a, 1], sides[a, 2])


@hot
def draw_jump_sum(
    market: Market | Leaps, law: Law, key: Key, jumps: int, normal: Floats, total: Floats
) -> None:
    """total (A,) = the sum of a step's jumps. Normal ones: jumps x mean + sqrt(jumps) x loading z."""
    if market.jump_sizes[law.parameters, law.regime] == DOUBLE_EXPONENTIAL:
        for a in range(total.shape[0]):
            total[a] = 0.0
        for i in range(jumps):
            add_jump(market, law, key, i, normal, total)
        return
    draw_normal_vector(key, SLOT_JUMP_SIZE, normal)
    mean = market.jump_mean[law.parameters, law.regime]
    loading = market.jump_loading[law.parameters, law.regime]
    for a in range(total.shape[0]):
        total[a] = jumps * mean[a]
        for j in range(market.depth[a]):
            total[a] += math.sqrt(float(jumps)) * loading[a, j] * normal[j]


@hot
def draw_next_jump(
    market: Market, law: Law, key: Key, number: int, left: int, normal: Floats, total: Floats, jump: Floats
) -> None:
    """jump (A,) = the next of a step's jumps, given the sum (A,) of those left. Normal ones: by that sum.

    Of N independent normals with sum s one has mean s / N and 1 - 1 / N of its variance.
    """
    if market.jump_sizes[law.parameters, law.regime] == DOUBLE_EXPONENTIAL:
        for a in range(jump.shape[0]):
            jump[a] = 0.0
        add_jump(market, law, key, number, normal, jump)
        return
    together = float(left)
    loading = market.jump_loading[law.parameters, law.regime]
    draw_normal_vector(key, SLOT_JUMP_SPLIT + number * normal.shape[0], normal)
    for a in range(jump.shape[0]):
        noise = 0.0
        for j in range(market.depth[a]):
            noise += loading[a, j] * normal[j]
        jump[a] = total[a] / together + math.sqrt(1.0 - 1.0 / together) * noise


@inlined
def select_regime(market: Market, parameters: int, noise: Floats, regime: Integers, now: Step) -> None:
    """Fill the step's return, jumps not yet in it: of all regimes, each lane takes its own."""
    d = market.loading_of_set[parameters]
    move, weight = now.move, now.weight
    for a in range(move.shape[0]):
        for k in range(market.transitions.shape[0]):
            drift = market.drift[parameters, k, a]
            for v in range(LANES):
                mixed = drift + weight[v] * noise[d, k, a, v]
                move[a, v] = mixed if regime[v] == k else move[a, v]


@inlined
def move_prices(market: Market, now: Step, price: Floats) -> None:
    """Remember the prices (A, LANES) as they were, and move them by the step's return."""
    for a in range(price.shape[0]):
        for v in range(LANES):
            now.before[a, v] = price[a, v]
        if market.additive:
            spot = market.spot[a]
            for v in range(LANES):
                price[a, v] += spot * now.move[a, v]
        else:
            for v in range(LANES):
                price[a, v] *= exp(min(max(now.move[a, v], -WILDEST), WILDEST))


@inlined
def find_carry(market: Market, parameters: int, regime: Integers, price: Floats, now: Step) -> None:
    """Fill carry: what a year of funding at the lane's regime costs a unit, at the step's last price."""
    for a in range(price.shape[0]):
        rate = market.funding[parameters, :, a]
        for v in range(LANES):
            now.carry[a, v] = rate[regime[v]] * price[a, v]


@hot
def find_rates(market: Market, parameters: int, regime: Integers, state: Floats, rate: Floats) -> None:
    """Fill rate (A, LANES), annualised funding at the step's end: from its state, else from the regime."""
    for a in range(rate.shape[0]):
        if market.funding_law.column.shape[0] > 0:
            factor, added = market.funding_factor[parameters, a], market.funding_added[parameters, a]
            for v in range(LANES):
                rate[a, v] = factor * state[market.spot_of[a], v] + added
        else:
            of = market.funding[parameters, :, a]
            for v in range(LANES):
                rate[a, v] = of[regime[v]]


@inlined
def find_dips(
    market: Market, parameters: int, dip_noise: Floats, regime: Integers, price: Floats, now: Step
) -> None:
    """Fill dip, the bridge's common normals in money a unit, and spread, the step's standard deviation."""
    d = market.loading_of_set[parameters]
    for a in range(price.shape[0]):
        spot = market.spot[a]
        volatility = market.volatility[d, :, a]
        for k in range(market.transitions.shape[0]):
            for v in range(LANES):
                here = dip_noise[d, k, a, v]
                now.dip[a, v] = here if regime[v] == k else now.dip[a, v]
        for v in range(LANES):
            middle = spot if market.additive else 0.5 * (now.before[a, v] + price[a, v])
            now.dip[a, v] *= now.weight[v] * middle
            now.spread[a, v] = now.weight[v] * volatility[regime[v]]
