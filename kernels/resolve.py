"""What follows a breach, step by step: the state machine of docs/after-the-breach.md, beside the screen.

The screen goes on with the book that nobody touches. What it finds liquidatable gets an estate, a state of
its own; so does an account that a policy of its may act on, and what somebody wants to read about. Every
step moves the scenario's estates once, on the prices that the screen has just moved.
"""

from __future__ import annotations

import numpy as np

from kernels.aftermath import count_estate, write_row
from kernels.desks import HALTED, Desks
from kernels.estate import (
    DRAWS,
    FUNDING_PAID,
    IS_OPEN,
    IS_STILL,
    NEVER,
    UNARMED,
    Estate,
    begin_gains,
    claim,
    count_open,
    is_closed_out,
    is_liquidatable,
    is_read_about,
    open_estate,
    take_outlier_off,
)
from kernels.forced import look, see_debt
from kernels.jit import hot, inlined
from kernels.journal import AT_END, AT_START, Journal
from kernels.pits import clear_pits
from kernels.policies import run_policies
from kernels.rest import rests
from kernels.structs import LANES, THROUGHOUT, Clock, Floats, Integers, Key, Market, Standing, Step, Tally
from kernels.wake import fall_asleep, wake
from kernels.within import falls_within, look_within


@hot
def start_estates(desks: Desks, paths: int, scenarios: int, estate: Estate, journal: Journal) -> None:
    """Forget the tile before; give those a state whom the desk, or a reader, follows from the start."""
    estate.used[0] = 0
    estate.many[:] = 0
    estate.slot[:] = -1
    clear_pits(desks, estate.pits)
    fall_asleep(desks, scenarios, paths, estate)
    if journal.events.shape[0] > 0:
        claim(estate, journal.of[0], journal.of[1], journal.of[2], journal.of[3])


@inlined
def pay_funding(
    market: Market,
    desks: Desks,
    step: int,
    now: Step,
    lane: int,
    estate: Estate,
    c: int,
    sign: float,
) -> None:
    """Take the funding of a step off every position's cash, at closing prices of the oracle, `estate.at`."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i = holdings.place[pool] + n - holdings.start[row]
            due = estate.size[c, i] * market.due[holdings.interval[n], step]
            if due != 0.0:
                a, cap = holdings.asset[n], holdings.funding_cap[n]
                paid = sign * due * min(max(now.rate[a, lane], -cap), cap) * estate.at[a]
                estate.cash[c, pool - holdings.first[account]] -= paid
                estate.gain[c, i] -= paid
                estate.money[c, FUNDING_PAID] += paid


@inlined
def change_cash(desks: Desks, scenario: int, step: int, estate: Estate, c: int) -> None:
    """Add what the scenario gives to the cash of every pool, or takes, at the start of a later step."""
    holdings = desks.holdings
    change, account = holdings.cash[scenario, step], estate.owner[c, 0]
    if change < 0 or step == 0:
        return
    apart = 0  # of what was moved out of the first pool, still open
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        if holdings.spare[pool]:
            apart += count_open(holdings, estate, c, pool)
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        is_first = pool == holdings.first[account]
        # else its cash at `as_of` may be gone already
        if not is_closed_out(holdings, estate, c, pool) or (is_first and apart > 0):
            row = holdings.row[pool, estate.owner[c, 1]]
            estate.cash[c, pool - holdings.first[account]] += holdings.cashes[change, row]


@inlined
def follow_news(
    market: Market,
    desks: Desks,
    scenario: int,
    step: int,
    paths: int,
    now: Step,
    price: Floats,
    standing: Standing,
    estate: Estate,
) -> None:
    """Follow whom the screen has just found liquidatable, and whom a policy may act on; keep the close."""
    if desks.timeline.memory > 1:
        for a in range(price.shape[0]):
            for v in range(LANES):
                estate.past[scenario, step % desks.timeline.memory, a, v] = price[a, v]
    for number in range(standing.fresh[scenario]):
        row, leverage, lane = standing.news[scenario, number]
        c = claim(estate, scenario, desks.holdings.account[row], leverage, lane)
        estate.told[c, estate.pool_of[row]] = step
        estate.lines[c], estate.until[c] = 0, step  # whatever else it waits for
    standing.fresh[scenario] = 0
    wake(market, desks, scenario, step, paths, now, price, standing, estate)


@inlined
def look_at_all(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    journal: Journal,
    breach: Integers,
) -> None:
    """Let the venue look at every pool, at prices `estate.at`, by those that it has, `estate.seen`."""
    holdings = desks.holdings
    account = estate.owner[c, 0]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        if is_liquidatable(holdings, estate, c, pool, estate.seen):
            look(desks, scenario, key, when, regime, estate, c, pool, estate.at, False, journal, breach)
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        see_debt(desks, when, estate, c, pool, journal)


@inlined
def move_estate(
    market: Market,
    clock: Clock,
    desks: Desks,
    scenario: int,
    key: Key,
    regime: int,
    now: Step,
    price: Floats,
    lane: int,
    standing: Standing,
    estate: Estate,
    c: int,
    journal: Journal,
    breach: Integers,
) -> None:
    """Move one estate by one step. key is of its own path."""
    holdings, timeline, step = desks.holdings, desks.timeline, int(key.step)
    account = estate.owner[c, 0]
    first, last = holdings.first[account], holdings.first[account + 1]
    sees = timeline.sees[scenario, step]
    throughout = sees == step and clock.watch[scenario, step] == THROUGHOUT
    change = holdings.cash[scenario, step]
    if estate.state[c, IS_OPEN] == 0:
        open_estate(desks, scenario, c, standing, estate)
        for a in range(price.shape[0]):
            estate.at[a] = price[a, lane]
        pay_funding(market, desks, step, now, lane, estate, c, -1.0)  # the screen has paid it already
        estate.money[c, FUNDING_PAID] = 0.0
        begin_gains(desks, scenario, lane, estate, c)
    else:
        change_cash(desks, scenario, step, estate, c)
    for i in range(holdings.width):
        estate.traded[c, i] = 0.0
    estate.state[c, DRAWS] = 0
    jumped = change >= 0 or market.shock[scenario, step] >= 0 or market.event[scenario, step] >= 0
    if throughout and (step == 0 or (jumped and clock.bridge)):
        for a in range(price.shape[0]):
            estate.at[a] = now.before[a, lane]
            estate.seen[a] = estate.at[a]
        take_outlier_off(timeline, scenario, step, estate.at)
        look_at_all(desks, scenario, key, (step, AT_START), regime, estate, c, journal, breach)
    if throughout and clock.bridge:
        parameters = market.parameters[scenario, step]
        for pool in range(first, last):
            falls = falls_within(market, desks, step, now, price, lane, estate, c, pool)
            if falls and count_open(holdings, estate, c, pool) > 0:
                look_within(
                    market,
                    desks,
                    scenario,
                    key,
                    parameters,
                    regime,
                    now,
                    price,
                    lane,
                    estate,
                    c,
                    pool,
                    journal,
                    breach,
                )
    for a in range(price.shape[0]):
        estate.at[a] = price[a, lane]
    pay_funding(market, desks, step, now, lane, estate, c, 1.0)
    take_outlier_off(timeline, scenario, step, estate.at)
    if sees != HALTED:
        when = (step, AT_END)
        run_policies(desks, scenario, key, when, regime, estate, c, estate.at, journal)
        for a in range(price.shape[0]):
            if sees == step:
                estate.seen[a] = price[a, lane]
            elif sees < 0:
                estate.seen[a] = market.spot[a]
            else:
                estate.seen[a] = estate.past[scenario, sees % timeline.memory, a, lane]
        look_at_all(desks, scenario, key, when, regime, estate, c, journal, breach)
    is_still = 1
    for k in range(desks.policies.first[account + 1] - desks.policies.first[account]):
        is_still &= int(estate.due[c, k] == NEVER)
    for i in range(holdings.width):
        is_still &= int(estate.size[c, i] == 0.0)
    estate.state[c, IS_STILL] = is_still


@hot
def move_estates(
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
    """Move all estates of a scenario by one step; count them at a horizon. key: of the tile's first path."""
    step = int(key.step)
    follow_news(market, desks, scenario, step, paths, now, price, standing, estate)
    cash_changes = desks.holdings.cash[scenario, step] >= 0
    falls = cash_changes or market.shock[scenario, step] >= 0 or market.event[scenario, step] >= 0
    calm = step > 0 and not falls and desks.timeline.sees[scenario, step] == step
    calm = calm and desks.timeline.outlier[scenario, step] < 0
    for number in range(estate.many[scenario]):
        c = estate.listed[scenario, number]
        account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
        own = Key(key.seed, key.path + np.uint64(lane), key.step)
        breach = tally.breach[scenario, account, leverage]
        journal.open[0] = int(is_read_about(journal, estate, c, scenario))
        still = estate.state[c, IS_OPEN] and estate.state[c, IS_STILL] and not cash_changes
        if not still:
            still = calm and not journal.open[0]
            still = still and rests(
                market, clock, desks, scenario, step, regime[lane], now, price, lane, estate, c
            )
        if still:
            for a in range(price.shape[0]):
                estate.at[a] = price[a, lane]
            take_outlier_off(desks.timeline, scenario, step, estate.at)
        else:
            estate.lines[c] = UNARMED
            move_estate(
                market,
                clock,
                desks,
                scenario,
                own,
                regime[lane],
                now,
                price,
                lane,
                standing,
                estate,
                c,
                journal,
                breach,
            )
        if journal.open[0]:
            write_row(desks, step, regime[lane], estate, c, journal)
        if clock.ends[step]:
            last = step == clock.steps - 1
            count_estate(desks, scenario, clock.horizon[step], last, estate, c, tally)
