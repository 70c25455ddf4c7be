"""Trails counted in bins: what quantiles are read off, and times and costs beside them."""

from __future__ import annotations

import numpy as np

from kernels.desks import Desks
from kernels.estate import FUNDING_PAID, IS_OPEN, PUT_IN, Estate, multiple_of
from kernels.jit import hot, inlined
from kernels.quanta import MOST_QUANTA, add_money
from kernels.structs import (
    AT_HORIZON,
    BINS,
    DRAWDOWN,
    LANES,
    LOWEST_EQUITY,
    LOWEST_RATIO,
    PAID_FUNDING,
    RESULT,
    SHORT_OF,
    SIDE,
    Clock,
    Floats,
    Standing,
    Tally,
)
from kernels.trail import (
    OWN_EQUITY,
    OWN_FALL,
    OWN_LOWEST,
    OWN_RATIO,
    OWN_SHORT,
    PAID_BEFORE,
    UNTOUCHED,
    Trail,
    add_up,
    follow_cells,
    follow_estates,
    keep_funding,
    measure_rows,
    meet_estates,
)

# Grids are those of floating-point numbers: every octave has the same number of equal cells.
MANTISSA_BITS = 52
FINE, FINER = 5, 6  # an octave has two to that power of cells: where a grid has two sides, and one
ONE = np.int64(np.float64(1.0).view(np.int64))
FLAT = 0.5  # of an account's scale: how far from the middle cells are equally wide
LEAST_RATIO = 0.25  # where the first octave of margin ratios begins
RATIO_BITS = np.int64(np.float64(LEAST_RATIO).view(np.int64))


@hot
def count_passages(
    clock: Clock, desks: Desks, scenario: int, step: int, standing: Standing, trail: Trail, tally: Tally
) -> None:
    """Count when accounts that nobody touches are first liquidatable, before the news is taken up."""
    if tally.passages.shape[1] == 0:
        return
    never = tally.hits.shape[4]
    for number in range(standing.fresh[scenario]):
        row, leverage, lane = standing.news[scenario, number]
        account = desks.holdings.account[row]
        if trail.passed[scenario, account, leverage, lane] == never:
            trail.passed[scenario, account, leverage, lane] = clock.seen[scenario, step]
            tally.passages[scenario, account, leverage, step // trail.stretch] += 1


@hot
def count_discordant(desks: Desks, paths: int, trail: Trail, tally: Tally) -> None:
    """Count the paths on which a cell was liquidated untouched, and not in the baseline; and the reverse."""
    here, there = tally.discordant[0], tally.discordant[1]
    baseline = desks.timeline.baseline
    for s in range(trail.passed.shape[0]):
        for account in range(trail.passed.shape[1]):
            for leverage in range(trail.passed.shape[2]):
                for v in range(paths):
                    own = trail.passed[s, account, leverage, v]
                    other = trail.passed[baseline, account, leverage, v]
                    for horizon in range(own, other):
                        here[s, account, leverage, horizon] += 1
                    for horizon in range(other, own):
                        there[s, account, leverage, horizon] += 1


@inlined
<<<<<<< HEAD
=======
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
    for row in range(trail.paid.shape[1]):
        if change >= 0:
            trail.cash[scenario, row] += holdings.cashes[change, row]
        paid, kept, cash = (
            standing.pool[scenario, row, PAID],
            trail.paid[scenario, row],
            trail.cash[scenario, row],
        )
        for v in range(LANES):
            kept[v] = paid[v] + cash


@inlined
def measure_rows(desks: Desks, scenario: int, price: Floats, standing: Standing, trail: Trail) -> None:
    """Fill what every row has made, and what its margin ratios are made of, at prices (A, LANES)."""
    holdings, haircuts = desks.holdings, trail.short
    for row in range(trail.gain.shape[0]):
        base, began = holdings.base[row], holdings.began[row]
        paid, gain = standing.pool[scenario, row, PAID], trail.gain[row]
        stake, yielded = trail.stake[row], trail.yielded[row]
        for v in range(LANES):
            gain[v], yielded[v] = 0.0, 0.0
        for n in range(
            holdings.start[row], holdings.start[row + 1], 2
        ):  # an even number, as the screen has it
            first, second = price[holdings.asset[n]], price[holdings.asset[n + 1]]
            size, other_size = holdings.size[n], holdings.size[n + 1]
            required, other = holdings.required[n], holdings.required[n + 1]
            for v in range(LANES):
                gain[v] += size * first[v] + other_size * second[v]
                yielded[v] += required * first[v] + other * second[v]
        if holdings.kinks.present[row]:
            bent = standing.held[row, 1]
            for v in range(LANES):
                yielded[v] = bent[v]
        for v in range(LANES):
            gain[v] = gain[v] - base - paid[v]
            haircuts[v] = 0.0
        if trail.coins[row]:
            for n in range(holdings.start[row], holdings.start[row + 1]):
                if not holdings.closes[n]:
                    off, of = holdings.required[n], price[holdings.asset[n]]
                    for v in range(LANES):
                        haircuts[v] += off * of[v]
        for v in range(LANES):
            maintenance = yielded[v] - haircuts[v]
            some = maintenance > ROUNDING * yielded[v]  # nothing but coins: what is left is rounding
            per = 1.0 / (maintenance if some else 1.0)
            stake[v] = began * per if some else 0.0
            yielded[v] = (gain[v] - haircuts[v]) * per if some else np.inf


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
        own = trail.own[c]
        if trail.stage[c] == UNTOUCHED:
            touched = 0
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
            estate.at[a] = price[a, estate.owner[c, 2]]
        own[OWN_RATIO] = min(own[OWN_RATIO], value_own(desks, estate, c, own))
        net = own[OWN_EQUITY] - estate.money[c, PUT_IN]
        own[OWN_LOWEST] = min(own[OWN_LOWEST], own[OWN_EQUITY])
        own[OWN_HIGHEST] = max(own[OWN_HIGHEST], net)
        own[OWN_FALL] = max(own[OWN_FALL], own[OWN_HIGHEST] - net)
        trail.stage[c] = SETTLED if estate.state[c, IS_STILL] else TOUCHED


@inlined
def add_up(desks: Desks, account: int, leverage: int, trail: Trail) -> None:
    """Fill what an account's rows have made: at 1 where all leverages share them, else at a leverage."""
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


@inlined
>>>>>>> quantiles
def find_cell(distance: float, fineness: int, last: int) -> int:
    """The cell of a distance from the middle of a grid, in units of `FLAT` x scale."""
    cell = np.int64((np.float64(1.0 + distance).view(np.int64) - ONE) >> (MANTISSA_BITS - fineness))
    return int(cell) if cell < last else last


@inlined
def find_bin(value: float, per: float) -> int:
    """The bin of a number of either sign, on a grid of two sides."""
    cell = find_cell(abs(value) * per, FINE, SIDE - 1)
    return SIDE + cell if value >= 0.0 else SIDE - 1 - cell


@inlined
def find_bin_above(value: float, per: float) -> int:
    """The bin of a number that is not negative: the first one is zero itself."""
    return 0 if value <= 0.0 else 1 + find_cell(value * per, FINER, BINS - 2)


@inlined
def find_ratio_bin(ratio: float) -> int:
    """The bin of a margin ratio: the first is not above zero, the last infinite."""
    if ratio <= 0.0:
        return 0
    if ratio == np.inf:
        return BINS - 1
    cell = int((np.float64(ratio).view(np.int64) - RATIO_BITS) >> (MANTISSA_BITS - FINE))
    return 1 + min(max(cell, 0), BINS - 3)


@inlined
def count_cells(
    desks: Desks, scenario: int, horizon: int, paths: int, estate: Estate, trail: Trail, tally: Tally
) -> None:
    """Count where every cell is at a horizon, and where it has been."""
    holdings, total, short = desks.holdings, trail.equity, trail.short
    for account in range(trail.ratio.shape[1]):
        if trail.scale[account, 0] == 0.0:
            continue  # nothing can happen to it
        began, quantum = holdings.equity[account], desks.rules.quantum[account]
        for leverage in range(trail.ratio.shape[2]):
            at = leverage if trail.apart[account] else 0
            times = 1.0 if trail.apart[account] else holdings.multiple[leverage]
            add_up(desks, account, leverage, trail)
            for v in range(LANES):
                short[v] = 0.0
            for pool in range(holdings.first[account], holdings.first[account + 1]):
                row = holdings.row[pool, leverage]
                gain, tie = trail.gain[row], holdings.tie[pool, leverage]
                for v in range(LANES):
                    debt = -(holdings.began[row] + multiple_of(holdings, row, leverage) * gain[v])
                    short[v] += debt if debt > tie else 0.0
            per = 1.0 / (FLAT * trail.scale[account, leverage])
            bins = tally.histogram[:, scenario, account, leverage, horizon]
            sums = tally.results[scenario, account, leverage, horizon]
            for v in range(paths):
                made = times * total[v]
                equity, result = made, made  # less what there was at `as_of`
                lowest = times * trail.lowest[scenario, account, at, v]
                fall = times * trail.fall[scenario, account, at, v]
                ratio, debt = trail.ratio[scenario, account, leverage, v], short[v]
                c = estate.slot[scenario, account, leverage, v]
                if c >= 0 and trail.stage[c] != UNTOUCHED:
                    own = trail.own[c]
                    equity, lowest = own[OWN_EQUITY] - began, own[OWN_LOWEST] - began
                    result = equity - estate.money[c, PUT_IN]
                    fall, ratio, debt = own[OWN_FALL], own[OWN_RATIO], own[OWN_SHORT]
                bins[AT_HORIZON, find_bin(equity, per)] += 1
                bins[LOWEST_EQUITY, find_bin(lowest, per)] += 1
                place = find_bin(result, per)
                bins[RESULT, place] += 1
                sums[place] += np.int64(np.rint(min(max(result / quantum, -MOST_QUANTA), MOST_QUANTA)))
                bins[SHORT_OF, find_bin_above(debt, per)] += 1
                bins[DRAWDOWN, find_bin_above(fall, per)] += 1
                bins[LOWEST_RATIO, find_ratio_bin(ratio)] += 1


@inlined
def count_funding(
    desks: Desks, scenario: int, horizon: int, paths: int, estate: Estate, trail: Trail, tally: Tally
) -> None:
    """Count the funding that every cell has paid by a horizon, as desk and venue moved it."""
    holdings = desks.holdings
    for account in range(estate.slot.shape[1]):
        quantum = desks.rules.quantum[account]
        for leverage in range(estate.slot.shape[2]):
            cell = tally.aftermath[:, scenario, account, leverage, horizon : horizon + 1]
            for v in range(paths):
                paid = 0.0
                c = estate.slot[scenario, account, leverage, v]
                if c >= 0 and estate.state[c, IS_OPEN]:
                    paid = trail.own[c, PAID_BEFORE] + estate.money[c, FUNDING_PAID]
                else:
                    for pool in range(holdings.first[account], holdings.first[account + 1]):
                        row = holdings.row[pool, leverage]
                        paid += multiple_of(holdings, row, leverage) * trail.paid[scenario, row, v]
                if paid != 0.0:
                    add_money(
                        paid, quantum, cell[PAID_FUNDING], cell[PAID_FUNDING + 1], cell[PAID_FUNDING + 2]
                    )


@hot
def follow_trail(
    clock: Clock,
    desks: Desks,
    scenario: int,
    step: int,
    paths: int,
    price: Floats,
    standing: Standing,
    estate: Estate,
    trail: Trail,
    tally: Tally,
) -> None:
    """Look at everybody after a step, estates moved, at prices (A, LANES); count them at a horizon."""
    spreads = tally.histogram.shape[2] > 0
    meet_estates(desks, scenario, estate, trail)
    keep_funding(desks, scenario, step, standing, trail)
    if spreads:
        measure_rows(desks, scenario, price, standing, trail)
        follow_estates(desks, scenario, step, price, estate, trail)
        if desks.timeline.outlier[scenario, step] < 0:  # else prices are not what anything is worth
            follow_cells(desks, scenario, trail)
    if clock.ends[step]:
        horizon = clock.horizon[step]
        if spreads:
            count_cells(desks, scenario, horizon, paths, estate, trail, tally)
        count_funding(desks, scenario, horizon, paths, estate, trail, tally)
