"""The walk that takes everything: LANES paths side by side, step by step, under every scenario.

Paths stay in cache from their first step to their last. All scenarios walk side by side on the same random
numbers, drawn once.
"""

from __future__ import annotations

import numpy as np

from kernels.bursts import add_bursts, draw_bursts
from kernels.contagion import move_pits
from kernels.desks import Desks
from kernels.elementary import exp
from kernels.estate import Estate
from kernels.groups import count_groups
from kernels.jit import hot, inlined
from kernels.journal import Journal
from kernels.market import (
    WILDEST,
    count_jumps,
    draw_jump_sum,
    draw_step,
    find_carry,
    find_dips,
    find_rates,
    mix_tails,
    move_prices,
    select_regime,
    switch_levels,
    switch_regimes,
)
from kernels.pits import are_together
from kernels.quantiles import count_discordant, count_passages, follow_trail
from kernels.random import SLOT_BASIS, SLOT_EVENT, SLOT_FUNDING, draw_normal_pair, draw_uniforms
from kernels.resolve import move_estates, start_estates
from kernels.reverting import START, draw_reverting, move_basis, move_reverting, start_reverting
from kernels.screen import revalue, screen_step
from kernels.structs import (
    LANES,
    MARKS,
    NEXT,
    PAID,
    THROUGHOUT,
    Book,
    Clock,
    Desk,
    Draws,
    Floats,
    Integers,
    Key,
    Law,
    Market,
    Pieces,
    Standing,
    Step,
    Tally,
)
from kernels.trail import Trail, start_trail
from kernels.wicks import draw_wick_normals, find_excesses, stretch_wicks


@inlined
def add_jumps(
    market: Market, parameters: int, key: Key, uniform: Floats, regime: Integers, now: Step, pieces: Pieces
) -> None:
    """Add the step's jumps to the returns of the lanes that have any."""
    if count_jumps(market, parameters, regime, uniform, now.jumps) > 0:
        for v in range(LANES):
            if now.jumps[v] > 0:
                path = Key(key.seed, key.path + np.uint64(v), key.step)
                law = Law(parameters, regime[v], now.weight[v])
                draw_jump_sum(market, law, path, now.jumps[v], pieces.normal, pieces.rest[1])
                for a in range(now.move.shape[0]):
                    now.move[a, v] += pieces.rest[1, a]


@inlined
def apply_shock(market: Market, shock: int, price: Floats) -> None:
    """Multiply prices (A, LANES) by a shock's factors."""
    for a in range(price.shape[0]):
        for v in range(LANES):
            price[a, v] *= market.shocks[shock, a]


@hot
def apply_event(market: Market, event: int, key: Key, normal: Floats, price: Floats) -> None:
    """Multiply prices (A, LANES) by an event's factors: each path draws its sign and its size.

    normal (2, LANES) is room to draw in.
    """
    up_probability, spread = market.event_law[event, 0], market.event_law[event, 1]
    draw_normal_pair(key, SLOT_EVENT + 1, normal[0], normal[1])
    for v in range(LANES):
        lane = Key(key.seed, key.path + np.uint64(v), key.step)
        side = 0 if draw_uniforms(lane, SLOT_EVENT)[0] < up_probability else 1
        size = exp(spread * normal[0, v] - 0.5 * spread * spread)
        for a in range(price.shape[0]):
            move = size * market.events[event, side, a]
            price[a, v] *= exp(min(max(move, -WILDEST), WILDEST))


@hot
def change_cash(book: Book, change: int, state: Floats) -> None:
    """Add a change of cash to the pools' standing (R, rows, LANES), as funding received."""
    for pool in range(state.shape[0]):
        for v in range(LANES):
            state[pool, PAID, v] -= book.cashes[change, pool]


@hot
def add_returns(returns: Floats, move: Floats) -> None:
    """Add returns (A,) to those of the step (A, LANES)."""
    for a in range(move.shape[0]):
        for v in range(LANES):
            move[a, v] += returns[a]


@hot
def draw_rates(market: Market, key: Key, draws: Draws) -> None:
    """Draw the normals of funding rates: those of the step, and in the first one those of the start."""
    draw_reverting(market.funding_law, key, SLOT_FUNDING, draws.funding_normal[0])
    if np.int64(key.step) == 0:
        draw_reverting(market.funding_law, key, SLOT_FUNDING + START, draws.funding_normal[1])


@hot
def move_rates(
    market: Market,
    step: int,
    parameters: int,
    level: Integers,
    regime: Integers,
    draws: Draws,
    now: Step,
    rates: Floats,
) -> None:
    """Move funding rates (A, LANES) by one step, the first one from where they start."""
    law, d = market.funding_law, market.loading_of_set[parameters]
    if step == 0:
        start_reverting(law, market.level_scale, level, regime, draws.funding_normal[1], rates)
    move_reverting(law, d, regime, now.weight, draws.noise[d], draws.funding_normal[0], rates)


@hot
def shift_basis(
    market: Market,
    step: int,
    parameters: int,
    level: Integers,
    regime: Integers,
    draws: Draws,
    now: Step,
    basis: Floats,
) -> None:
    """Move basis (B, LANES) by one step, the first one from where it starts, and perpetuals with it."""
    d = market.loading_of_set[parameters]
    if step == 0:
        start_reverting(market.basis_law, market.level_scale, level, regime, draws.basis_normal, basis)
    move_basis(market, d, regime, now.weight, draws.noise[d], basis, now.move)


@inlined
def start_lanes(
    market: Market, book: Book, clock: Clock, paths: int, standing: Standing, desk: Desk, tally: Tally
) -> None:
    """Put every lane at `as_of`, after what happens at time zero; hits there count by every horizon."""
    price = standing.price
    standing.pool[:] = 0.0
    standing.rank[:] = 0
    standing.unit[:] = tally.hits.shape[4]
    standing.pools_hit[:] = 0
    standing.liquidated[:] = 0
    for s in range(price.shape[0]):
        for pool in range(book.base.shape[0]):
            for mark in range(MARKS):
                standing.pool[s, pool, NEXT + mark, :] = book.threshold[mark, pool, 0]
        for a in range(price.shape[1]):
            price[s, a, :] = market.spot[a]
        if market.shock[s, 0] >= 0:
            apply_shock(market, market.shock[s, 0], price[s])
        if book.cash[s, 0] >= 0:
            change_cash(book, book.cash[s, 0], standing.pool[s])
        watched = int(clock.watch[s, 0] == THROUGHOUT)
        revalue(book, s, int(clock.seen[s, 0]), paths, watched, standing, desk, tally)


@inlined
def count_joint(paths: int, standing: Standing, tally: Tally) -> None:
    """Count the pairs of accounts liquidated on the same path, at leverage 1, by the later one's horizon."""
    horizons = tally.joint.shape[1]
    accounts = tally.joint.shape[2]
    for s in range(tally.joint.shape[0]):
        for v in range(paths):
            for i in range(accounts):
                first = standing.unit[s, i, v]
                if first < horizons:
                    for j in range(accounts):
                        later = max(first, standing.unit[s, j, v])
                        if later < horizons:
                            tally.joint[s, later, i, j] += 1


@hot
def walk_paths(
    seed: np.uint64,
    first_path: int,
    paths: int,
    market: Market,
    book: Book,
    clock: Clock,
    draws: Draws,
    now: Step,
    standing: Standing,
    desk: Desk,
    pieces: Pieces,
    desks: Desks,
    estate: Estate,
    journal: Journal,
    trail: Trail,
    tally: Tally,
) -> None:
    """Walk paths first_path .. first_path + paths - 1 from `as_of` to the last step, LANES at a time."""
    groups = book.members.shape[0] > 0
    reverts = market.funding_law.column.shape[0] > 0
    has_basis = market.basis_law.column.shape[0] > 0
    has_bursts = market.burst_law.shape[0] > 0
    follows, together = estate.slot.shape[1] > 0, are_together(desks)
    for offset in range(0, paths, LANES):
        lanes = min(LANES, paths - offset)  # the rest of the lanes walk too, uncounted
        start_lanes(market, book, clock, lanes, standing, desk, tally)
        if follows:
            start_estates(desks, lanes, standing.price.shape[0], estate, journal)
            start_trail(trail, tally)
        for step in range(clock.steps):
            key = Key(seed, np.uint64(first_path + offset), np.uint64(step))
            draw_step(market, key, clock.bridge, draws)
            if market.level_scale.shape[0] > 1:
                switch_levels(market, step, draws.uniform, standing.level)
            if has_bursts and step % market.substeps == 0:
                draw_bursts(market, key, draws.burst, draws.burst_normal)
            if clock.wick:
                draw_wick_normals(market, key, draws.wick_common, draws.wick_own)
            if reverts:
                draw_rates(market, key, draws)
            if has_basis and step == 0:
                draw_reverting(market.basis_law, key, SLOT_BASIS + START, draws.basis_normal)
            for s in range(standing.price.shape[0]):
                price = standing.price[s]
                parameters = market.parameters[s, step]
                leader = market.leader[s]
                if leader == s:
                    switch_regimes(market, s, step, draws.uniform, standing.level, standing.regime[s])
                    if clock.wick:
                        find_excesses(
                            market, standing.regime[s], draws.wick_common, draws.wick_own, draws.excess[s]
                        )
                regime = standing.regime[leader]
                mix_tails(market, parameters, standing.level, regime, draws.uniform, now.weight)
                select_regime(market, parameters, draws.noise, regime, now)
                if has_basis:
                    shift_basis(
                        market, step, parameters, standing.level, regime, draws, now, standing.basis[s]
                    )
                if market.has_jumps:
                    add_jumps(market, parameters, key, draws.uniform, regime, now, pieces)
                if has_bursts:
                    add_bursts(market, parameters, standing.level, regime, draws, now.move)
                shock, event, cash = market.shock[s, step], market.event[s, step], book.cash[s, step]
                if step > 0 and (shock >= 0 or event >= 0 or cash >= 0):
                    if shock >= 0:
                        apply_shock(market, shock, price)
                    if event >= 0:
                        apply_event(market, event, key, draws.event_normal, price)
                    if cash >= 0:
                        change_cash(book, cash, standing.pool[s])
                    watched = int(clock.bridge and clock.watch[s, step] == THROUGHOUT)
                    revalue(book, s, int(clock.seen[s, step]), lanes, watched, standing, desk, tally)
                if market.replay[s, step] >= 0:
                    add_returns(market.replays[market.replay[s, step]], now.move)
                move_prices(market, now, price)
                if reverts:
                    move_rates(
                        market, step, parameters, standing.level, regime, draws, now, standing.funding[s]
                    )
                if market.clamps:
                    find_rates(market, parameters, regime, standing.funding[s], now.rate)
                elif market.has_funding:
                    find_carry(market, parameters, regime, price, now)
                if clock.bridge:
                    find_dips(market, parameters, draws.dip_noise, regime, price, now)
                if clock.wick:
                    stretch_wicks(market, standing.level, regime, draws.excess[leader], now)
                screen_step(market, book, clock, s, key, lanes, draws, now, standing, desk, pieces, tally)
                if groups and clock.ends[step]:
                    count_groups(book, s, clock.horizon[step], lanes, standing, desk, tally)
                if follows:
                    count_passages(clock, desks, s, step, standing, trail, tally)
                    if not market.clamps:
                        find_rates(market, parameters, regime, standing.funding[s], now.rate)
                    if together:
                        move_pits(
                            market,
                            clock,
                            desks,
                            s,
                            key,
                            regime,
                            now,
                            price,
                            standing,
                            estate,
                            journal,
                            lanes,
                            tally,
                        )
                    else:
                        move_estates(
                            market,
                            clock,
                            desks,
                            s,
                            key,
                            regime,
                            now,
                            price,
                            standing,
                            estate,
                            journal,
                            lanes,
                            tally,
                        )
                    follow_trail(clock, desks, s, step, lanes, price, standing, estate, trail, tally)
        if follows:
            count_discordant(desks, lanes, trail, tally)
        count_joint(lanes, standing, tally)
