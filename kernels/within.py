"""Between the ends of a step: where a book that the desk or the venue has changed was lowest."""

from __future__ import annotations

import math

from kernels.desks import Desks
from kernels.estate import NEVER, Estate, require, take_outlier_off, value_estate
from kernels.extremes import LN2, SLOPE, find_depth
from kernels.forced import look, see_debt
from kernels.jit import hot, inlined
from kernels.journal import POINTS, Journal
from kernels.kinks import turn_at
from kernels.structs import LIQUIDATION, WAYS, Floats, Integers, Key, Market, Step

LEAST_PRICE = 0.01  # of the step's middle: a straight line may not go below


@inlined
def margin_at(desks: Desks, estate: Estate, c: int, pool: int, at: Floats) -> float:
    """What a pool has above its requirement at prices (A,)."""
    equity, maintenance, haircuts = value_estate(desks.holdings, estate, c, pool, at)
    return equity - haircuts - maintenance


@hot
def find_low(
    market: Market,
    desks: Desks,
    parameters: int,
    regime: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
) -> float:
    """The least that a pool has above its requirement within a step, by the law of `bridge.dip_between`.

    Fills `estate.low` with the prices there, and `estate.first` with those where it first has nothing above
    it: on the straight way that prices go with what the pool makes, or on the way to a wick.
    """
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    covariance = market.covariance[market.loading_of_set[parameters], regime]
    for a in range(price.shape[0]):
        estate.risk[a] = 0.0
        estate.at[a] = now.before[a, lane]
    begins = margin_at(desks, estate, c, pool, estate.at)
    for a in range(price.shape[0]):
        estate.at[a] = price[a, lane]
        estate.middle[a] = 0.5 * (now.before[a, lane] + price[a, lane])
    ends = margin_at(desks, estate, c, pool, estate.at)
    projection = 0.0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size, a = estate.size[c, place + n], holdings.asset[n]
        if size != 0.0 and holdings.size[n] != 0.0:
            share = abs(size / holdings.size[n])
            slope = holdings.required[n]
            if holdings.kinks.present[row]:
                slope += turn_at(holdings.kinks, LIQUIDATION, n, share * estate.middle[a])
            net = size - share * slope
            estate.risk[a] += net * (market.spot[a] if market.additive else estate.middle[a])
            projection += net * now.dip[a, lane]
    variance = 0.0
    for a in range(price.shape[0]):
        estate.way[a] = 0.0
        for b in range(price.shape[0]):
            estate.way[a] += covariance[a, b] * estate.risk[b]
        variance += estate.way[a] * estate.risk[a]
    spread = now.weight[lane] * math.sqrt(max(variance, 0.0))
    lowest = min(begins, ends)
    if spread > 0.0 and now.jumps[lane] == 0:
        apart = begins - ends
        depth = 2.0 * spread * spread * find_depth(projection / spread)
        lowest = min(lowest, 0.5 * (begins + ends - math.sqrt(apart * apart + depth)))
    centre = 0.5 * (begins + ends)
    for a in range(price.shape[0]):
        step = estate.way[a] / variance if variance > 0.0 else 0.0
        step *= market.spot[a] if market.additive else estate.middle[a]
        least = LEAST_PRICE * estate.middle[a]
        estate.first[a] = max(estate.middle[a] - centre * step, least)
        estate.low[a] = max(estate.middle[a] + (min(lowest, 0.0) - centre) * step, least)
        if begins <= 0.0:
            estate.first[a] = now.before[a, lane]
    return min(lowest, find_wick(market, desks, now, price, lane, estate, c, pool, lowest))


@hot
def find_wick(
    market: Market,
    desks: Desks,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
    lowest: float,
) -> float:
    """The least that a pool has above its requirement at the step's wicks, if below `lowest`; else that.

    Prices go to their wicks in a straight line from either end of the step; `low` and `first` are on it.
    """
    for way in range(WAYS):
        moved = False
        for a in range(price.shape[0]):
            moved |= now.wick[way, a, lane] != 0.0
        for end in range(2 if moved else 0):
            for a in range(price.shape[0]):
                estate.middle[a] = price[a, lane] if end else now.before[a, lane]
                unit = market.spot[a] if market.additive else estate.middle[a]
                estate.at[a] = estate.middle[a] + now.wick[way, a, lane] * unit
            there = margin_at(desks, estate, c, pool, estate.at)
            if there < lowest:
                lowest = there
                here = margin_at(desks, estate, c, pool, estate.middle)
                share = here / (here - there) if there < 0.0 else 1.0
                for a in range(price.shape[0]):
                    estate.low[a] = estate.at[a]
                    if here > 0.0:  # else it was met on the way to this end already
                        estate.first[a] = estate.middle[a] + share * (estate.at[a] - estate.middle[a])
    return lowest


@inlined
def may_fall(
    market: Market,
    desks: Desks,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
) -> bool:
    """Whether a pool may get to its requirement within a step: never False where it does.

    By the bound of `flags.flag_in_bridge`, as if nothing of the pool were diversified, and all wicks at once.
    """
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    begins = estate.cash[c, pool - holdings.first[estate.owner[c, 0]]]
    ends, spread, deep, wick = begins, 0.0, 0.0, 0.0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size, a = estate.size[c, place + n], holdings.asset[n]
        if size == 0.0 or holdings.size[n] == 0.0:
            continue
        before, here = now.before[a, lane], price[a, lane]
        begins += size * before - require(holdings, row, n, size, before)
        ends += size * here - require(holdings, row, n, size, here)
        middle = 0.5 * (before + here)
        share = abs(size / holdings.size[n])
        slope = holdings.required[n]
        if holdings.kinks.present[row]:
            slope += turn_at(holdings.kinks, LIQUIDATION, n, share * middle)
        net = size - share * slope
        spread += abs(net) * (market.spot[a] if market.additive else middle) * now.spread[a, lane]
        deep -= net * now.dip[a, lane]
        for way in range(WAYS):
            wick += 2.0 * abs(size) * max(before, here, market.spot[a]) * abs(now.wick[way, a, lane])
    deep = max(deep, 0.0)
    reach = spread * (LN2 * spread + SLOPE * deep) + 0.5 * deep * deep
    return bool(begins <= wick or ends <= wick or reach >= 2.0 * begins * ends)


@inlined
def falls_within(
    market: Market,
    desks: Desks,
    step: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
) -> bool:
    """Whether the venue may find a pool liquidatable between the ends of a step, and not by a jump alone.

    An untouched pool's first time is told by the screen; from then on, and of pools that somebody has
    touched, it is looked for here. Where a jump leaves it below at the end, it is the end that shows it.
    """
    k = pool - desks.holdings.first[estate.owner[c, 0]]
    told, touched = estate.told[c, k], estate.touched[c, k]
    if not ((told == step and not touched) or touched or told != NEVER):
        return False
    if (touched or told != step) and not may_fall(market, desks, now, price, lane, estate, c, pool):
        return False
    if now.jumps[lane] > 0:
        for a in range(price.shape[0]):
            estate.at[a] = price[a, lane]
        return bool(margin_at(desks, estate, c, pool, estate.at) >= 0.0)
    return True


@hot
def look_within(
    market: Market,
    desks: Desks,
    scenario: int,
    key: Key,
    parameters: int,
    regime: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
    journal: Journal,
    breach: Integers,
) -> None:
    """The venue looks at a pool between the ends of a step: from its first hit, by its low, to the close."""
    step = int(key.step)
    k = pool - desks.holdings.first[estate.owner[c, 0]]
    is_first = estate.told[c, k] == step and estate.touched[c, k] == 0
    lowest = find_low(market, desks, parameters, regime, now, price, lane, estate, c, pool)
    if not is_first and lowest >= -desks.holdings.tie[pool, estate.owner[c, 1]]:
        return
    half = POINTS // 2
    for point in range(POINTS):
        for a in range(price.shape[0]):
            if point < half:
                share, here, there = point / (half - 1.0), estate.first[a], estate.low[a]
            else:
                share, here, there = (point - half + 1.0) / (half + 1.0), estate.low[a], price[a, lane]
            estate.at[a] = here + share * (there - here)
            estate.seen[a] = estate.at[a]
        take_outlier_off(desks.timeline, scenario, step, estate.at)
        when = (step, 1 + point)
        sure = point == 0
        look(
            desks,
            scenario,
            key,
            when,
            regime,
            estate,
            c,
            pool,
            estate.at,
            sure,
            journal,
            breach,
        )
    see_debt(desks, (step, POINTS), estate, c, pool, journal)
