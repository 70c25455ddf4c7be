"""What is kept of what follows a breach: counts of all estates, and the story of one; room for both."""

from __future__ import annotations

import numpy as np

from kernels.desks import Desks
from kernels.estate import (
    COSTS,
    FORCED,
    HAS_ACTED,
    MONEY,
    NEVER,
    OTHERS,
    STATES,
    WAS_BANKRUPT,
    WAS_FORCED,
    Estate,
    count_open,
    value_estate,
)
from kernels.jit import hot, inlined
from kernels.journal import AT_END, BREACHED, EVENT_FIELDS, Journal, note
from kernels.pits import make_pits
from kernels.quanta import add_money
from kernels.rest import count_lines
from kernels.structs import (
    ACTED_PATHS,
    BANKRUPT_PATHS,
    CLOSED_PATHS,
    COST_SHARE,
    FORCED_PATHS,
    NEEDLESS_PATHS,
    PAID_FEES,
    PARTIAL_PATHS,
    SHARE_QUANTUM,
    SHARES,
    SHORTFALLS,
    Integers,
    Tally,
)
from kernels.watches import make_watches


@inlined
def count_estate(
    desks: Desks, scenario: int, horizon: int, last: bool, estate: Estate, c: int, tally: Tally
) -> None:
    """Count what has become of an estate by a horizon, at closing prices `estate.at`."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    shortfall, stands, still_open, told = max(estate.money[c, OTHERS], 0.0), True, 0, False
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        equity, _, _ = value_estate(holdings, estate, c, pool, estate.at)
        if equity < -holdings.tie[pool, leverage]:
            shortfall -= equity
            stands = False
        still_open += count_open(desks.holdings, estate, c, pool)
        told |= estate.told[c, pool - holdings.first[account]] != NEVER
    cell = tally.aftermath[:, scenario, account, leverage, horizon : horizon + 1]
    state, money = estate.state[c], estate.money[c]
    forced, acted = state[WAS_FORCED], state[HAS_ACTED]
    cell[FORCED_PATHS, 0] += forced
    cell[PARTIAL_PATHS, 0] += int(forced and stands and still_open > 0)
    cell[CLOSED_PATHS, 0] += int(forced and still_open == 0)
    cell[BANKRUPT_PATHS, 0] += state[WAS_BANKRUPT]
    cell[ACTED_PATHS, 0] += acted
    cell[NEEDLESS_PATHS, 0] += int(acted and last and not told)
    quantum = desks.rules.quantum[account]
    gross = holdings.gross[account, leverage]
    share = money[FORCED] / gross if gross > 0.0 else 0.0
    add_money(shortfall, quantum, cell[SHORTFALLS], cell[SHORTFALLS + 1], cell[SHORTFALLS + 2])
    add_money(share, SHARE_QUANTUM, cell[SHARES], cell[SHARES + 1], cell[SHARES + 2])
    for kind in range(COSTS):
        row = PAID_FEES + 3 * kind
        add_money(money[kind], COST_SHARE * quantum, cell[row], cell[row + 1], cell[row + 2])


@hot
def write_row(desks: Desks, step: int, regime: int, estate: Estate, c: int, journal: Journal) -> None:
    """Keep the state of an estate after a step."""
    account = estate.owner[c, 0]
    holdings = desks.holdings
    for i in range(holdings.width):
        journal.size[step, i], journal.order[step, i] = estate.size[c, i], estate.order[c, i]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        k = pool - holdings.first[account]
        journal.cash[step, k] = estate.cash[c, k]
        margin = journal.margin[step, k]
        margin[0], margin[1], margin[2] = value_estate(holdings, estate, c, pool, estate.at)
        if estate.told[c, k] == step:
            note(journal, (step, AT_END), BREACHED, pool, 0.0, 0.0, 0.0)
    for k in range(MONEY):
        journal.money[step, k] = estate.money[c, k]
    for k in range(STATES):
        journal.state[step, k] = estate.state[c, k]
    for a in range(estate.at.shape[0]):
        journal.price[step, a] = estate.at[a]
    journal.regime[step] = regime


def make_estate(desks: Desks, assets: int, scenarios: int, lanes: int) -> Estate:
    """Room for the estates of a tile: one for every account, leverage, path and scenario, should all be hit.

    What is never used is never touched, and takes no memory.
    """
    holdings, policies = desks.holdings, desks.policies
    accounts = len(holdings.first) - 1
    leverages = holdings.row.shape[1] if accounts else 0
    each = accounts * leverages * lanes
    slots = scenarios * each
    watches = make_watches(desks)
    pools = int(np.diff(holdings.first).max(initial=0))
    pool_of = np.zeros(len(holdings.account), np.int64)
    for account in range(accounts):
        for pool in range(holdings.first[account], holdings.first[account + 1]):
            pool_of[holdings.row[pool]] = pool - holdings.first[account]

    def integers(*shape: int) -> Integers:
        return np.zeros(shape, np.int64)

    return Estate(
        slot=integers(scenarios, accounts, leverages, lanes),
        many=integers(scenarios),
        listed=integers(scenarios, each),
        owner=integers(slots, 3),
        used=integers(1),
        **{name: np.zeros((slots, holdings.width)) for name in ("size", "order", "gain", "traded")},
        cash=np.zeros((slots, pools)),
        told=integers(slots, pools),
        touched=integers(slots, pools),
        money=np.zeros((slots, MONEY)),
        state=integers(slots, STATES),
        due=integers(slots, policies.most),
        done=integers(slots, policies.most),
        left=np.zeros((slots, policies.most)),
        sent=np.zeros((slots, policies.most)),
        pool_of=pool_of,
        watches=watches,
        rank=integers(scenarios, len(watches.rest), lanes),
        next=np.zeros((scenarios, len(watches.rest), lanes)),
        toll=np.zeros((scenarios, len(watches.tolled), lanes)),
        lines=integers(slots),
        line=np.zeros((slots, count_lines(desks), 1 + pools + 2 * holdings.width)),
        until=integers(slots),
        heeds=integers(slots, pools),
        net=np.zeros((slots, holdings.width)),
        **{name: np.zeros(assets) for name in ("at", "seen", "low", "first", "middle", "risk", "way")},
        paid=np.zeros(holdings.width),
        kept=np.zeros(pools),
        mark=np.zeros(holdings.width),
        level=np.zeros(lanes),
        past=np.zeros((scenarios, desks.timeline.memory, assets, lanes)),
        pits=make_pits(desks, assets, scenarios),
    )


def make_journal(
    desks: Desks, steps: int, assets: int, cell: tuple[int, int, int, int], events: int
) -> Journal:
    """Room to write down what happens to one scenario, account, leverage and lane; none for no events."""
    steps = steps if events else 0
    pools = int(np.diff(desks.holdings.first).max(initial=0))
    width = desks.holdings.width
    return Journal(
        of=np.array(cell, np.int64),
        open=np.zeros(1, np.int64),
        written=np.zeros(1, np.int64),
        events=np.zeros((events, EVENT_FIELDS)),
        size=np.zeros((steps, width)),
        order=np.zeros((steps, width)),
        cash=np.zeros((steps, pools)),
        margin=np.zeros((steps, pools, 3)),
        money=np.zeros((steps, MONEY)),
        state=np.zeros((steps, STATES), np.int64),
        price=np.zeros((steps, assets)),
        regime=np.zeros(steps, np.int64),
    )
