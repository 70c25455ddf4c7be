"""States over time, path by path, for people to look at: the walk of `kernels.simulate` without accounts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.bursts import add_bursts, draw_bursts
from kernels.jit import hot
from kernels.market import (
    draw_step,
    find_rates,
    mix_tails,
    move_prices,
    select_regime,
    switch_levels,
    switch_regimes,
)
from kernels.random import SLOT_BASIS, SLOT_VOLATILITY
from kernels.reverting import START, draw_reverting, move_reverting, room_for_normals, start_reverting
from kernels.structs import LANES, WAYS, Draws, Floats, Integers, Key, Market, Pieces, Reverting, Step
from kernels.walk import (
    add_jumps,
    add_returns,
    apply_event,
    apply_shock,
    draw_rates,
    move_rates,
    shift_basis,
)


class Record(NamedTuple):
    """What is kept of one scenario, lanes in place of paths: at step ends; regime and level over the step."""

    price: Floats  # (T, A, LANES)
    regime: Integers  # (T, LANES)
    level: Integers  # (T, LANES)
    rate: Floats  # (T, A, LANES) annualised funding, before clamps
    basis: Floats  # (T, B, LANES) the model's own, as logs
    volatility: Floats  # (T, U, LANES) log of implied volatility


class States(NamedTuple):
    """Where a walk stands."""

    price: Floats  # (A, LANES)
    regime: Integers  # (LANES,)
    level: Integers  # (LANES,)
    rate: Floats  # (A, LANES)
    basis: Floats  # (B, LANES)
    volatility: Floats  # (U, LANES)


@hot
def keep(state: Floats, kept: Floats) -> None:
    """Copy (B, LANES); an assignment of arrays would allocate."""
    for b in range(state.shape[0]):
        for v in range(LANES):
            kept[b, v] = state[b, v]


@hot
def record_lanes(
    seed: np.uint64,
    first_path: int,
    market: Market,
    implied: Reverting,
    draws: Draws,
    normal: Floats,
    now: Step,
    states: States,
    pieces: Pieces,
    record: Record,
) -> None:
    """Walk LANES paths of the first scenario from first_path on, and keep every step."""
    reverts, has_basis = market.funding_law.column.shape[0] > 0, market.basis_law.column.shape[0] > 0
    price, regime, level = states.price, states.regime, states.level
    for a in range(price.shape[0]):
        price[a, :] = market.spot[a]
    for step in range(record.price.shape[0]):
        key = Key(seed, np.uint64(first_path), np.uint64(step))
        draw_step(market, key, 0, draws)
        if reverts:
            draw_rates(market, key, draws)
        if has_basis and step == 0:
            draw_reverting(market.basis_law, key, SLOT_BASIS + START, draws.basis_normal)
        if market.burst_law.shape[0] > 0 and step % market.substeps == 0:
            draw_bursts(market, key, draws.burst, draws.burst_normal)
        parameters = market.parameters[0, step]
        loading = market.loading_of_set[parameters]
        if market.level_scale.shape[0] > 1:
            switch_levels(market, step, draws.uniform, level)
        switch_regimes(market, 0, step, draws.uniform, level, regime)
        mix_tails(market, parameters, level, regime, draws.uniform, now.weight)
        select_regime(market, parameters, draws.noise, regime, now)
        if has_basis:
            shift_basis(market, step, parameters, level, regime, draws, now, states.basis)
        if market.has_jumps:
            add_jumps(market, parameters, key, draws.uniform, regime, now, pieces)
        if market.burst_law.shape[0] > 0:
            add_bursts(market, parameters, level, regime, draws, now.move)
        if market.shock[0, step] >= 0:
            apply_shock(market, market.shock[0, step], price)
        if market.event[0, step] >= 0:
            apply_event(market, market.event[0, step], key, draws.event_normal, price)
        if market.replay[0, step] >= 0:
            add_returns(market.replays[market.replay[0, step]], now.move)
        move_prices(market, now, price)
        if reverts:
            move_rates(market, step, parameters, level, regime, draws, now, states.rate)
        find_rates(market, parameters, regime, states.rate, now.rate)
        if step == 0:
            draw_reverting(implied, key, SLOT_VOLATILITY + START, normal)
            start_reverting(implied, market.level_scale, level, regime, normal, states.volatility)
        draw_reverting(implied, key, SLOT_VOLATILITY, normal)
        noise = draws.noise[loading]
        move_reverting(implied, loading, regime, now.weight, noise, normal, states.volatility)
        keep(price, record.price[step])
        keep(now.rate, record.rate[step])
        keep(states.basis, record.basis[step])
        keep(states.volatility, record.volatility[step])
        for v in range(LANES):
            record.regime[step, v] = regime[v]
            record.level[step, v] = level[v]


def record_paths(seed: int, first_path: int, steps: int, market: Market, implied: Reverting) -> Record:
    """The states of LANES paths from first_path on, under the market's first scenario."""
    loadings, regimes, assets, factors = market.loading.shape
    marks, underlyings = len(market.basis_law.column), len(implied.column)
    most_jumps = market.jump_law.shape[2]

    def lanes(*shape: int) -> Floats:
        return np.zeros((*shape, LANES))

    record = Record(
        lanes(steps, assets),
        np.zeros((steps, LANES), np.int64),
        np.zeros((steps, LANES), np.int64),
        lanes(steps, assets),
        lanes(steps, marks),
        lanes(steps, underlyings),
    )
    noise = lanes(2, loadings, regimes, assets)
    draws = Draws(
        *(lanes(4), lanes(factors), noise[0], lanes(factors), noise[1]),
        *(lanes(WAYS), lanes(WAYS, assets), lanes(0, WAYS, assets)),
        lanes(2, room_for_normals(market.funding_law)),
        lanes(room_for_normals(market.basis_law)),
        lanes(2),
        np.zeros(LANES, np.int64),
        lanes(2),
    )
    before, move, spread, carry, dip, rate = lanes(6, assets)
    now = Step(
        np.ones(LANES),
        np.zeros(LANES, np.int64),
        *(before, move, spread, carry, dip, rate),
        *(lanes(WAYS, assets), lanes()),
    )
    states = States(
        lanes(assets),
        np.zeros(LANES, np.int64),
        np.zeros(LANES, np.int64),
        lanes(len(market.funding_law.column)),
        lanes(marks),
        lanes(underlyings),
    )
    room = np.zeros((assets, most_jumps))
    pieces = Pieces(
        *(room, room.copy(), np.zeros(most_jumps), np.zeros(factors), room.copy(), np.zeros(0)),
        np.zeros((3, assets)),
    )
    record_lanes(
        np.uint64(seed),
        first_path,
        market,
        implied,
        draws,
        lanes(room_for_normals(implied)),
        now,
        states,
        pieces,
        record,
    )
    return record
