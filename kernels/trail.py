"""Along every path: where the managed book's equity and margin ratio have been.

A cell that nobody has touched stands as the screen has it, so that all paths of it are looked at together; an
estate that somebody has touched by its own state. Both are seen at closes alone, after desk and venue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.desks import Desks, Holdings
from kernels.estate import (
    EVERYBODY,
    IS_OPEN,
    IS_STILL,
    OTHERS,
    PUT_IN,
    Estate,
    find_pit,
    multiple_of,
    require,
    take_outlier_off,
    value_estate,
)
from kernels.jit import hot, inlined
from kernels.structs import LANES, PAID, TIMES, Floats, Integers, Standing, Tally

# Trail.stage
UNTOUCHED, TOUCHED, SETTLED = 0, 1, 2
# Columns of Trail.own.
OWN_EQUITY, OWN_SHORT, OWN_LOWEST, OWN_HIGHEST, OWN_FALL, OWN_RATIO, PAID_BEFORE = 0, 1, 2, 3, 4, 5, 6
OWN = 7


class Trail(NamedTuple):
    """Where the cells of a tile have been. Letters as in `kernels.estate`."""

    scale: Floats  # (P, L) what money is measured by
    began: Floats  # (P, L) margin ratio at `as_of`
    apart: Integers  # (P,) 1 where each leverage has a row of its own in some pool
    coins: Integers  # (R,) 1 where coins count as collateral
    stretch: int  # steps to a bin of times
    # room for a step, by row
    gain: Floats  # (R, LANES) what the row has made since `as_of`, at its own sizes
    stake: Floats  # (R, LANES) equity at `as_of` over maintenance margin, and
    yielded: Floats  # (R, LANES) that gain less haircuts over it: at multiple l the ratio is stake / l + this
    equity: Floats  # (LANES,)
    short: Floats  # (LANES,)
    # since `as_of`
    paid: Floats  # (S, R, LANES) funding
    cash: Floats  # (S, R) that the scenario has changed
    passed: Integers  # (S, P, L, LANES) horizon by which it was seen to be liquidatable untouched, or H
    # closes of untouched cells; money is what a book of multiple 1 has made, where leverages share all rows
    lowest: Floats  # (S, P, L, LANES)
    highest: Floats  # (S, P, L, LANES)
    fall: Floats  # (S, P, L, LANES) the largest so far
    ratio: Floats  # (S, P, L, LANES)
    # estates
    known: Integers  # (S,) how many of the scenario's have been seen
    stage: Integers  # (C,)
    own: Floats  # (C, OWN) equity; and, of the money, net of top-ups but for the lowest equity


def find_rows(holdings: Holdings, account: int, leverage: int) -> Integers:
    """The rows of an account's pools at `as_of`."""
    own = slice(holdings.first[account], holdings.first[account + 1])
    return np.asarray(holdings.row[own, leverage][holdings.spare[own] == 0])


def find_scales(holdings: Holdings) -> Floats:
    """(P, L): equity at `as_of` or all that prices move, whichever is less; 0 where they move nothing."""
    accounts, leverages = len(holdings.first) - 1, holdings.row.shape[1]
    scale = np.zeros((accounts, leverages))
    for account in range(accounts):
        for leverage in range(leverages):
            moved = 0.0
            for row in find_rows(holdings, account, leverage):
                legs = slice(holdings.start[row], holdings.start[row + 1])
                moved += multiple_of(holdings, row, leverage) * float(
                    np.abs(holdings.size[legs] * holdings.spot[holdings.asset[legs]]).sum()
                )
            equity = abs(float(holdings.equity[account]))
            scale[account, leverage] = min(moved, equity) if equity > 0.0 else moved
    return scale


def find_first_ratios(holdings: Holdings) -> Floats:
    """(P, L) margin ratios at `as_of`: the lowest of an account's pools', infinite where none is required."""
    accounts, leverages = len(holdings.first) - 1, holdings.row.shape[1]
    ratio = np.full((accounts, leverages), np.inf)
    for account in range(accounts):
        for leverage in range(leverages):
            for row in find_rows(holdings, account, leverage):
                times = multiple_of(holdings, row, leverage)
                maintenance, haircuts = 0.0, 0.0
                for n in range(holdings.start[row], holdings.start[row + 1]):
                    required = times * require(
                        holdings, row, n, holdings.size[n], holdings.spot[holdings.asset[n]]
                    )
                    maintenance += required * holdings.closes[n]
                    haircuts += required * (1 - holdings.closes[n])
                if maintenance > 0.0:
                    found = (holdings.began[row] - haircuts) / maintenance
                    ratio[account, leverage] = min(ratio[account, leverage], found)
    return ratio


def make_trail(desks: Desks, steps: int, scenarios: int, slots: int, spreads: bool) -> Trail:
    """Room for one tile, with or without what bins take."""
    holdings = desks.holdings
    accounts, rows, leverages = len(holdings.first) - 1, len(holdings.base), holdings.row.shape[1]
    counted = accounts if spreads else 0
    apart = np.zeros(accounts, np.int64)
    for account in range(accounts):
        of = holdings.row[holdings.first[account] : holdings.first[account + 1], :1]
        apart[account] = int((holdings.alone[of] >= 0).any())
    coins = [
        bool(((holdings.required != 0.0) & (holdings.closes == 0))[start:end].any())
        for start, end in zip(holdings.start[:-1], holdings.start[1:], strict=True)
    ]
    cells = (scenarios, counted, leverages, LANES)
    return Trail(
        scale=find_scales(holdings),
        began=find_first_ratios(holdings),
        apart=apart,
        coins=np.array(coins, np.int64),
        stretch=-(-steps // TIMES),
        gain=np.zeros((rows, LANES)),
        stake=np.zeros((rows, LANES)),
        yielded=np.full((rows, LANES), np.inf),
        equity=np.zeros(LANES),
        short=np.zeros(LANES),
        paid=np.zeros((scenarios, rows, LANES)),
        cash=np.zeros((scenarios, rows)),
        passed=np.zeros(cells, np.int64),
        lowest=np.zeros(cells),
        highest=np.zeros(cells),
        fall=np.zeros(cells),
        ratio=np.zeros(cells),
        known=np.zeros(scenarios, np.int64),
        stage=np.zeros(slots if spreads else 0, np.int64),
        own=np.zeros((slots, OWN)),
    )


@hot
def start_trail(trail: Trail, tally: Tally) -> None:
    """Forget the tile before: everybody is where `as_of` has them, before what a scenario does then."""
    trail.paid[:] = 0.0
    trail.cash[:] = 0.0
    trail.passed[:] = tally.hits.shape[4]
    trail.lowest[:] = 0.0
    trail.highest[:] = 0.0
    trail.fall[:] = 0.0
    trail.known[:] = 0
    trail.stage[:] = UNTOUCHED
    for s in range(trail.ratio.shape[0]):
        for account in range(trail.ratio.shape[1]):
            for leverage in range(trail.ratio.shape[2]):
                trail.ratio[s, account, leverage, :] = trail.began[account, leverage]


@inlined
def meet_estates(desks: Desks, scenario: int, estate: Estate, trail: Trail) -> None:
    """Keep what new estates had paid in funding before they had a state of their own."""
    holdings = desks.holdings
    while trail.known[scenario] < estate.many[scenario]:
        c = estate.listed[scenario, trail.known[scenario]]
        if estate.state[c, IS_OPEN] == 0:
            return
        trail.known[scenario] += 1
        account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
        before = 0.0
        for pool in range(holdings.first[account], holdings.first[account + 1]):
            row = holdings.row[pool, leverage]
            before += multiple_of(holdings, row, leverage) * trail.paid[scenario, row, lane]
        trail.own[c, PAID_BEFORE] = before


@inlined
def keep_funding(desks: Desks, scenario: int, step: int, standing: Standing, trail: Trail) -> None:
    """Keep the funding that rows have paid since `as_of`: the screen has changes of cash among it."""
    holdings = desks.holdings
    change = holdings.cash[scenario, step]
    for row in range(standing.pool.shape[1]):  # none of the spare ones
        if change >= 0:
            trail.cash[scenario, row] += holdings.cashes[change, row]
        paid, kept, cash = (
            standing.pool[scenario, row, PAID],
            trail.paid[scenario, row],
            trail.cash[scenario, row],
        )
        for v in range(LANES):
            kept[v] = paid[v] + cash


@hot
def see_rows_through(desks: Desks, scenario: int, step: int, price: Floats, standing: Standing) -> None:
    """Value rows at the market's prices, where the oracle's, (A, LANES), have an outlier in them."""
    holdings, off = desks.holdings, desks.timeline.outliers[desks.timeline.outlier[scenario, step]]
    for row in range(standing.worth.shape[0]):
        worth, required = standing.worth[row], standing.held[row]
        for v in range(LANES):
            worth[v], required[v] = 0.0, 0.0
        for n in range(holdings.start[row], holdings.start[row + 1]):
            a, size = holdings.asset[n], holdings.size[n]
            for v in range(LANES):
                mark = price[a, v] / off[a]
                worth[v] += size * mark
                required[v] += require(holdings, row, n, size, mark)


@inlined
def measure_rows(
    desks: Desks, scenario: int, step: int, price: Floats, standing: Standing, trail: Trail
) -> None:
    """Fill what every row has made, and what its margin ratios are made of, at prices (A, LANES)."""
    holdings, outlier = desks.holdings, desks.timeline.outlier[scenario, step]
    if outlier >= 0:
        see_rows_through(desks, scenario, step, price, standing)
    for row in range(standing.worth.shape[0]):  # none of the spare ones
        base, began = holdings.base[row], holdings.began[row]
        value, required = standing.worth[row], standing.held[row]
        paid, gain = standing.pool[scenario, row, PAID], trail.gain[row]
        stake, yielded = trail.stake[row], trail.yielded[row]
        for v in range(LANES):
            gain[v] = value[v] - base - paid[v]
        if trail.coins[row]:
            haircuts = trail.short
            for v in range(LANES):
                haircuts[v] = 0.0
            for n in range(holdings.start[row], holdings.start[row + 1]):
                if not holdings.closes[n] and holdings.required[n] != 0.0:
                    of = price[holdings.asset[n]]
                    off = holdings.required[n]
                    if outlier >= 0:
                        off /= desks.timeline.outliers[outlier, holdings.asset[n]]
                    for v in range(LANES):
                        haircuts[v] += off * of[v]
            for v in range(LANES):
                maintenance = required[v] - haircuts[v]
                some = maintenance > 1e-12 * required[v]
                per = 1.0 / (maintenance if some else 1.0)
                stake[v] = began * per if some else 0.0
                yielded[v] = (gain[v] - haircuts[v]) * per if some else np.inf
        else:
            for v in range(LANES):
                some = required[v] > 0.0
                per = 1.0 / (required[v] if some else 1.0)
                stake[v] = began * per if some else 0.0
                yielded[v] = gain[v] * per if some else np.inf


@inlined
def value_own(desks: Desks, estate: Estate, c: int, own: Floats) -> float:
    """Equity of an estate at prices `estate.at`, kept with its shortfall; returns its margin ratio."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    total, short, ratio = 0.0, max(estate.money[c, OTHERS], 0.0), np.inf
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        equity, maintenance, haircuts = value_estate(holdings, estate, c, pool, estate.at)
        total += equity
        if equity < -holdings.tie[pool, leverage]:
            short -= equity
        if maintenance > 0.0:
            ratio = min(ratio, (equity - haircuts) / maintenance)
    own[OWN_EQUITY], own[OWN_SHORT] = total, short
    return ratio


@inlined
def follow_estates(
    desks: Desks, scenario: int, step: int, price: Floats, estate: Estate, trail: Trail
) -> None:
    """Look at the estates that somebody has touched, after a step."""
    holdings = desks.holdings
    changes = holdings.cash[scenario, step] >= 0
    for number in range(trail.known[scenario]):
        c = estate.listed[scenario, number]
        if trail.stage[c] == SETTLED and not changes:
            continue
        own, pit = trail.own[c], find_pit(estate, scenario, estate.owner[c, 1], estate.owner[c, 2])
        if trail.stage[c] == UNTOUCHED:
            touched = int(pit >= 0 and estate.pits.busy[pit] == EVERYBODY)  # whose marks others may push
            for k in range(estate.touched.shape[1]):
                touched |= estate.touched[c, k]
            if not touched:
                continue
            account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
            at = leverage if trail.apart[account] else 0
            times = 1.0 if trail.apart[account] else holdings.multiple[leverage]
            began = holdings.equity[account]
            own[OWN_LOWEST] = began + times * trail.lowest[scenario, account, at, lane]
            own[OWN_HIGHEST] = began + times * trail.highest[scenario, account, at, lane]
            own[OWN_FALL] = times * trail.fall[scenario, account, at, lane]
            own[OWN_RATIO] = trail.ratio[scenario, account, leverage, lane]
        for a in range(price.shape[0]):
            pushed = estate.pits.closing[pit, a] if pit >= 0 else 1.0
            estate.at[a] = price[a, estate.owner[c, 2]] * pushed
        take_outlier_off(desks.timeline, scenario, step, estate.at)
        own[OWN_RATIO] = min(own[OWN_RATIO], value_own(desks, estate, c, own))
        net = own[OWN_EQUITY] - estate.money[c, PUT_IN]
        own[OWN_LOWEST] = min(own[OWN_LOWEST], own[OWN_EQUITY])
        own[OWN_HIGHEST] = max(own[OWN_HIGHEST], net)
        own[OWN_FALL] = max(own[OWN_FALL], own[OWN_HIGHEST] - net)
        trail.stage[c] = SETTLED if estate.state[c, IS_STILL] else TOUCHED


@inlined
def add_up(desks: Desks, account: int, leverage: int, trail: Trail) -> None:
    """Fill what an account has made, its rows together: at a leverage, or at 1 where they are shared."""
    holdings, total = desks.holdings, trail.equity
    for v in range(LANES):
        total[v] = 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        times = multiple_of(holdings, row, leverage) if trail.apart[account] else 1.0
        gain = trail.gain[row]
        for v in range(LANES):
            total[v] += times * gain[v]


@inlined
def follow_cells(desks: Desks, scenario: int, trail: Trail) -> None:
    """Look at all cells as if nobody had touched them, after a step."""
    holdings, total = desks.holdings, trail.equity
    for account in range(trail.ratio.shape[1]):
        for leverage in range(trail.ratio.shape[2]):
            if leverage == 0 or trail.apart[account]:
                add_up(desks, account, leverage, trail)
                lowest = trail.lowest[scenario, account, leverage]
                highest = trail.highest[scenario, account, leverage]
                fall = trail.fall[scenario, account, leverage]
                for v in range(LANES):
                    now = total[v]
                    top = now if now > highest[v] else highest[v]
                    down = top - now
                    lowest[v] = now if now < lowest[v] else lowest[v]
                    highest[v] = top
                    fall[v] = down if down > fall[v] else fall[v]
            ratio = trail.ratio[scenario, account, leverage]
            for pool in range(holdings.first[account], holdings.first[account + 1]):
                row = holdings.row[pool, leverage]
                share = 1.0 / multiple_of(holdings, row, leverage)
                stake, yielded = trail.stake[row], trail.yielded[row]
                for v in range(LANES):
                    now = share * stake[v] + yielded[v]
                    ratio[v] = now if now < ratio[v] else ratio[v]
