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
        measure_rows(desks, scenario, step, price, standing, trail)
        follow_estates(desks, scenario, step, price, estate, trail)
        follow_cells(desks, scenario, trail)
    if clock.ends[step]:
        horizon = clock.horizon[step]
        if spreads:
            count_cells(desks, scenario, horizon, paths, estate, trail, tally)
        count_funding(desks, scenario, horizon, paths, estate, trail, tally)
