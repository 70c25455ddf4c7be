"""Accounts that share a market, moved together: what one of them trades moves the marks of all.

A pit is what stands together on a path, in a scenario, at a leverage. It is idle until one of its accounts is
followed, and all of them are from when something may touch the others. See docs/after-the-breach.md.
"""

from __future__ import annotations

import numpy as np

from kernels.aftermath import count_estate, write_row
from kernels.desks import HALTED, Desks
from kernels.estate import (
    DRAWS,
    EVERYBODY,
    FORCED,
    FUND,
    FUNDING_PAID,
    IS_OPEN,
    NOBODY,
    WAS_FORCED,
    Estate,
    Pits,
    begin_gains,
    claim,
    find_pit,
    is_closed_out,
    is_liquidatable,
    is_read_about,
    open_estate,
    take_outlier_off,
    value_estate,
)
from kernels.forced import look, see_debt
from kernels.jit import hot, inlined
from kernels.journal import AT_END, AT_START, Journal
from kernels.pits import find_depth, push
from kernels.policies import run_policies
from kernels.quanta import add_money
from kernels.resolve import change_cash, follow_news, pay_funding
from kernels.structs import (
    CASCADE_PATHS,
    CLOSED_NOTIONAL,
    DRAWN,
    EXHAUSTED_PATHS,
    FALL,
    FORCED_ACCOUNTS,
    SHARE_QUANTUM,
    SOCIALISED,
    THROUGHOUT,
    Clock,
    Floats,
    Integers,
    Key,
    Market,
    Standing,
    Step,
    Tally,
)


@hot
def move_pits(
    market: Market,
    clock: Clock,
    desks: Desks,
    scenario: int,
    key: Key,
    regime: Integers,
    now: Step,
    price: Floats,
    standing: Standing,
    estate: Estate,
    journal: Journal,
    paths: int,
    tally: Tally,
) -> None:
    """Move the pits of a scenario by one step; count them at a horizon. key: of the tile's first path."""
    step, leverages = int(key.step), estate.slot.shape[2]
    follow_news(market, desks, scenario, step, paths, now, price, standing, estate)
    for leverage in range(leverages):
        for lane in range(paths):
            pit = find_pit(estate, scenario, leverage, lane)
            if estate.pits.busy[pit] == NOBODY:
                continue
            estate.pits.here[0] = pit
            own = Key(key.seed, key.path + np.uint64(lane), key.step)
            move_pit(
                market,
                clock,
                desks,
                scenario,
                leverage,
                lane,
                own,
                regime[lane],
                now,
                price,
                standing,
                estate,
                journal,
                tally,
            )
            write_pit(desks, scenario, leverage, lane, step, regime[lane], estate, journal)
            if clock.ends[step]:
                horizon, last = clock.horizon[step], step == clock.steps - 1
                for account in range(estate.slot.shape[1]):
                    c = estate.slot[scenario, account, leverage, lane]
                    if c >= 0:
                        count_estate(desks, scenario, horizon, last, estate, c, tally)
                count_pit(desks, scenario, leverage, lane, horizon, estate, tally)
            keep_moves(desks, estate)


@hot
def move_pit(
    market: Market,
    clock: Clock,
    desks: Desks,
    scenario: int,
    leverage: int,
    lane: int,
    key: Key,
    regime: int,
    now: Step,
    price: Floats,
    standing: Standing,
    estate: Estate,
    journal: Journal,
    tally: Tally,
) -> None:
    """Move one pit by one step: everybody's funding, then the desks in the book's order, then the venues."""
    step, sees = int(key.step), desks.timeline.sees[scenario, int(key.step)]
    accounts, pits = estate.slot.shape[1], estate.pits
    starts = step == 0 and sees == step and clock.watch[scenario, step] == THROUGHOUT
    if starts:
        claim_all(desks, scenario, leverage, lane, estate)
    open_market(desks, scenario, step, regime, estate)
    set_marks(market, desks, scenario, step, step, lane, price, estate)
    for account in range(accounts):
        c = estate.slot[scenario, account, leverage, lane]
        if c >= 0:
            if estate.state[c, IS_OPEN] == 0:
                begin(market, desks, scenario, step, now, lane, standing, estate, c)
            else:
                change_cash(desks, scenario, step, estate, c)
            estate.state[c, DRAWS] = 0
    if starts:
        set_marks(market, desks, scenario, step, step, lane, now.before, estate)
        see_through(desks, scenario, step, estate)
        first = (step, AT_START)
        look_around(
            market, desks, scenario, leverage, lane, key, first, regime, now, standing, estate, journal, tally
        )
    set_marks(market, desks, scenario, step, sees, lane, price, estate)
    for account in range(accounts):
        c = estate.slot[scenario, account, leverage, lane]
        if c >= 0:
            pay_funding(market, desks, step, now, lane, estate, c, 1.0)
    see_through(desks, scenario, step, estate)
    if sees == HALTED:
        return
    when = (step, AT_END)
    for account in range(accounts):
        c = estate.slot[scenario, account, leverage, lane]
        if c >= 0:
            journal.open[0] = int(is_read_about(journal, estate, c, scenario))
            run_policies(desks, scenario, key, when, regime, estate, c, estate.at, journal)
            if has_moved(pits):
                follow_all(market, desks, scenario, leverage, lane, step, now, standing, estate)
    look_around(
        market, desks, scenario, leverage, lane, key, when, regime, now, standing, estate, journal, tally
    )


@inlined
def has_moved(pits: Pits) -> bool:
    """Whether fills of this step have moved any price."""
    moved = False
    for a in range(pits.ratio.shape[0]):
        moved |= pits.ratio[a] != 1.0
    return moved


@inlined
def open_market(desks: Desks, scenario: int, step: int, regime: int, estate: Estate) -> None:
    """Begin a step of the pit: nothing traded yet."""
    pits = estate.pits
    pits.draws[0] = 0
    for m in range(pits.depth.shape[0]):
        pits.taken[0, m], pits.taken[1, m] = 0.0, 0.0
        pits.depth[m] = find_depth(desks, scenario, step, regime, m)


@hot
def set_marks(
    market: Market,
    desks: Desks,
    scenario: int,
    step: int,
    sees: int,
    lane: int,
    price: Floats,
    estate: Estate,
) -> None:
    """Set the pit's marks, and what the venue has of them, at the path's prices (A, LANES) of an instant."""
    pits = estate.pits
    halted = sees == HALTED
    for a in range(price.shape[0]):
        factor = pits.factor[pits.here[0], a]
        pits.start[a] = price[a, lane] * factor
        if halted or sees == step:
            pits.shown[a] = pits.start[a]
        elif sees < 0:
            pits.shown[a] = market.spot[a] * factor
        else:
            pits.shown[a] = estate.past[scenario, sees % desks.timeline.memory, a, lane] * factor
        push(desks, estate, a)


@inlined
def see_through(desks: Desks, scenario: int, step: int, estate: Estate) -> None:
    """Turn the pit's marks, which are the oracle's, into those of the market, where an outlier is in them."""
    if desks.timeline.outlier[scenario, step] >= 0:
        take_outlier_off(desks.timeline, scenario, step, estate.pits.start)
        for a in range(estate.pits.start.shape[0]):
            push(desks, estate, a)


@hot
def claim_all(desks: Desks, scenario: int, leverage: int, lane: int, estate: Estate) -> None:
    """Have everybody in the pit followed."""
    estate.pits.busy[estate.pits.here[0]] = EVERYBODY
    for account in range(estate.slot.shape[1]):
        claim(estate, scenario, account, leverage, lane)


@hot
def follow_all(
    market: Market,
    desks: Desks,
    scenario: int,
    leverage: int,
    lane: int,
    step: int,
    now: Step,
    standing: Standing,
    estate: Estate,
) -> None:
    """Have everybody in the pit followed from here on: as the screen has them at the step's close."""
    pits = estate.pits
    if pits.busy[pits.here[0]] == EVERYBODY:
        return
    claim_all(desks, scenario, leverage, lane, estate)
    outlier = desks.timeline.outlier[scenario, step]
    for a in range(pits.start.shape[0]):
        off = desks.timeline.outliers[outlier, a] if outlier >= 0 else 1.0
        estate.at[a] = pits.start[a] * off  # which funding went by
    for account in range(estate.slot.shape[1]):
        c = estate.slot[scenario, account, leverage, lane]
        if estate.state[c, IS_OPEN] == 0:
            begin(market, desks, scenario, step, now, lane, standing, estate, c)
            pay_funding(market, desks, step, now, lane, estate, c, 1.0)
    for a in range(pits.start.shape[0]):
        push(desks, estate, a)


@inlined
def begin(
    market: Market,
    desks: Desks,
    scenario: int,
    step: int,
    now: Step,
    lane: int,
    standing: Standing,
    estate: Estate,
    c: int,
) -> None:
    """Open an estate as it was before the funding of the step, which the screen has paid already."""
    open_estate(desks, scenario, c, standing, estate)
    pay_funding(market, desks, step, now, lane, estate, c, -1.0)
    estate.money[c, FUNDING_PAID] = 0.0
    begin_gains(desks, scenario, lane, estate, c)


@hot
def look_around(
    market: Market,
    desks: Desks,
    scenario: int,
    leverage: int,
    lane: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    now: Step,
    standing: Standing,
    estate: Estate,
    journal: Journal,
    tally: Tally,
) -> None:
    """The venues look at every account in the book's order, round after round, until one closes nothing."""
    holdings, pits = desks.holdings, estate.pits
    accounts, pit = estate.slot.shape[1], pits.here[0]
    due, rounds = False, 0
    for account in range(accounts):
        rounds = max(rounds, desks.rules.looks[account])
        c = estate.slot[scenario, account, leverage, lane]
        for pool in range(holdings.first[account], holdings.first[account + 1]):
            pits.met[pool] = 0
            if c >= 0 and is_liquidatable(holdings, estate, c, pool, estate.seen):
                pits.met[pool], due = 1, True
    if due:
        follow_all(market, desks, scenario, leverage, lane, when[0], now, standing, estate)
    for _ in range(rounds):
        closed = False
        for account in range(accounts):
            c = estate.slot[scenario, account, leverage, lane]
            if c < 0:
                continue
            journal.open[0] = int(is_read_about(journal, estate, c, scenario))
            breach = tally.breach[scenario, account, leverage]
            for pool in range(holdings.first[account], holdings.first[account + 1]):
                if is_liquidatable(holdings, estate, c, pool, estate.seen) and look(
                    desks, scenario, key, when, regime, estate, c, pool, estate.at, False, journal, breach
                ):
                    closed = True
                    if not pits.met[pool]:
                        pits.cascade[pit, desks.contagion.venue[account]] = 1
            for pool in range(holdings.first[account], holdings.first[account + 1]):
                see_debt(desks, when, estate, c, pool, journal)
        if not closed:
            break


@inlined
def write_pit(
    desks: Desks,
    scenario: int,
    leverage: int,
    lane: int,
    step: int,
    regime: int,
    estate: Estate,
    journal: Journal,
) -> None:
    """Write down how the estate stands that somebody reads about, if it is in the pit."""
    for account in range(estate.slot.shape[1]):
        c = estate.slot[scenario, account, leverage, lane]
        if c >= 0:
            journal.open[0] = int(is_read_about(journal, estate, c, scenario))
            if journal.open[0]:
                venue = desks.contagion.venue[account]
                estate.money[c, FUND] = estate.pits.fund[estate.pits.here[0], venue]
                write_row(desks, step, regime, estate, c, journal)
    journal.open[0] = 0


@hot
def count_pit(
    desks: Desks, scenario: int, leverage: int, lane: int, horizon: int, estate: Estate, tally: Tally
) -> None:
    """Count what has become of each venue of a pit by a horizon."""
    holdings, contagion, pits = desks.holdings, desks.contagion, estate.pits
    pit = pits.here[0]
    for venue in range(contagion.fund.shape[0]):
        forced, notional, lost = 0.0, 0.0, pits.given[pit, venue]
        for account in range(estate.slot.shape[1]):
            c = estate.slot[scenario, account, leverage, lane]
            if c < 0 or contagion.venue[account] != venue:
                continue
            forced += estate.state[c, WAS_FORCED]
            notional += estate.money[c, FORCED]
            for pool in range(holdings.first[account], holdings.first[account + 1]):
                equity, _, _ = value_estate(holdings, estate, c, pool, estate.at)
                if equity < -holdings.tie[pool, leverage] and is_closed_out(holdings, estate, c, pool):
                    lost -= equity
        began, quantum = contagion.fund[venue], contagion.quantum[venue]
        drawn = max(began - pits.fund[pit, venue], 0.0) if began < np.inf else pits.paid[pit, venue]
        cell = tally.venue[:, scenario, venue, leverage, horizon : horizon + 1]
        cell[EXHAUSTED_PATHS, 0] += pits.exhausted[pit, venue]
        cell[CASCADE_PATHS, 0] += pits.cascade[pit, venue]
        add_moments(forced, 1.0, cell[FORCED_ACCOUNTS : FORCED_ACCOUNTS + 3])
        add_moments(lost, quantum, cell[SOCIALISED : SOCIALISED + 3])
        add_moments(notional, quantum, cell[CLOSED_NOTIONAL : CLOSED_NOTIONAL + 3])
        add_moments(drawn, quantum, cell[DRAWN : DRAWN + 3])
        add_moments(1.0 - pits.lowest[pit], SHARE_QUANTUM, cell[FALL : FALL + 3])


@inlined
def add_moments(value: float, quantum: float, rows: Integers) -> None:
    """Add an amount to the rows of its moments."""
    add_money(value, quantum, rows[0], rows[1], rows[2])


@inlined
def keep_moves(desks: Desks, estate: Estate) -> None:
    """End a step of the pit: of what its fills have moved prices by, a share lasts."""
    pits = estate.pits
    pit = pits.here[0]
    for a in range(pits.ratio.shape[0]):
        pits.closing[pit, a] = pits.factor[pit, a] * pits.ratio[a]
        pits.factor[pit, a] *= 1.0 + desks.contagion.lasting[0] * (pits.ratio[a] - 1.0)
