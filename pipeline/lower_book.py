"""From a plan's accounts to the arrays of `kernels.structs.Book`, and its horizons to those of `Clock`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from math import ceil, inf, log2
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.structs import (
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    THROUGHOUT,
    Book,
    Clock,
    Floats,
    Integers,
    Kinks,
    Market,
    checked,
    checked_index,
)
from pipeline.lower_market import count_steps, funding_intervals, marked_assets, simulated_assets
from pipeline.lower_timeline import find_cash, find_sight, touches_cash
from pipeline.plan import Account, Plan
from pipeline.pools import Pool, pools_of
from pipeline.requirement import Kink, Requirement
from pipeline.slabs import groups_of

# Equity exactly at the requirement stands. Sums of rounded products must not turn a tie into a hit, so the
# threshold lies this far below, as a share of the notional and equity that went into it.
TIE = 1e-12
# A group's money is added up in whole multiples of a 2**24th part of what it holds at the largest leverage.
MONEY_BITS = 24
NOTHING = Requirement(0.0)


class Labels(NamedTuple):
    """What the kernel knows by number alone."""

    assets: tuple[str, ...]
    marks: tuple[str, ...]
    """Assets whose perpetuals are simulated apart; numbered after the assets."""
    intervals: tuple[timedelta, ...]


class Leg(NamedTuple):
    """One position as the kernel takes it: a perpetual, or collateral in coins."""

    asset: int
    interval: int
    funding_cap: float
    size: float
    initial: Requirement
    maintenance: Requirement


class Row(NamedTuple):
    """A pool as the kernel takes it: at all leverages, or (`alone`) at the one of that number."""

    account: int
    alone: int
    equity: float
    cash: float
    legs: list[Leg]
    at_risk: bool


def lower_clock(plan: Plan) -> Clock:
    """The steps of a plan, and the first horizon at or after the end of each."""
    steps = count_steps(plan)
    ends = np.array([horizon // plan.simulation.step for horizon in plan.simulation.horizons])
    after = np.arange(1, steps + 1)
    horizon = np.searchsorted(ends, after).astype(np.int64)
    sight = [find_sight(scenario.effects, horizon, plan.simulation.step) for scenario in plan.scenarios]
    return Clock(
        steps,
        horizon,
        np.isin(after, ends).astype(np.int64),
        int(plan.simulation.monitoring != "close"),
        int(plan.simulation.monitoring == "wick"),
        np.array([watch for watch, _ in sight]),
        np.array([seen for _, seen in sight]),
    )


def lower_book(plan: Plan, market: Market, accounts: Sequence[int]) -> Book:
    """Some of a plan's accounts, by number. Positions of size zero, which risk nothing, are left out."""
    chosen = [plan.accounts[i] for i in accounts]
    labels = Labels(simulated_assets(plan), marked_assets(plan), funding_intervals(plan))
    rows = [row for p, account in enumerate(chosen) for row in _rows(plan, labels, account, p)]
    legs = [leg for row in rows for leg in row.legs]
    count, size = len(legs), len(rows)
    start = np.cumsum([0, *(len(row.legs) for row in rows)])
    asset = np.array([leg.asset for leg in legs], np.int64)
    sizes = np.array([leg.size for leg in legs], np.float64)
    initial = np.array([leg.initial.slope for leg in legs], np.float64)
    maintenance = np.array([leg.maintenance.slope for leg in legs], np.float64)
    spot = market.spot[asset]
    spans = [slice(first, last) for first, last in pairwise(start)]
    gross = [float((np.abs(sizes) * spot)[span].sum()) for span in spans]
    threshold, leverage = _thresholds(plan, rows, gross)
    at_risk = _pools_at_risk(rows, len(chosen))
    groups = groups_of(plan, tuple(accounts))
    cash, cashes = _lower_cash(plan, chosen, rows)
    group = np.array([-1 if a.group is None else groups.index(a.group) for a in chosen], np.int64)
    return Book(
        start=checked_index(start, (size + 1,), 0, count + 1, "start"),
        asset=checked_index(asset, (count,), 0, len(market.spot), "asset"),
        interval=checked_index([leg.interval for leg in legs], (count,), 0, len(market.due), "interval"),
        funding_cap=np.array([leg.funding_cap for leg in legs], np.float64),
        size=checked(sizes, np.float64, (count,), "size"),
        requirement=checked(
            np.stack([initial, maintenance, np.zeros(count)]), np.float64, (MARKS, count), "requirement"
        ),
        kinks=_lower_kinks(legs, spans),
        spread=np.array([_spread(market, asset[span], sizes[span]) for span in spans]).reshape(
            size, *market.covariance.shape[:2]
        ),
        initial=np.array(
            [sum(leg.initial.at(market.spot[leg.asset]) for leg in row.legs) for row in rows], np.float64
        ),
        base=np.array([(sizes * spot)[span].sum() for span in spans], np.float64),
        equity=np.array([row.equity for row in rows], np.float64),
        only_asset=np.array([asset[s][0] if len(set(asset[s])) == 1 else -1 for s in spans], np.int64),
        threshold=threshold,
        leverage=leverage,
        alone=np.array([row.alone for row in rows], np.int64),
        multiple=np.array(plan.simulation.leverage),
        unit=plan.simulation.leverage.index(1.0),
        account=np.array([row.account for row in rows], np.int64),
        several=_number_several(rows, len(chosen)),
        pools=at_risk,
        group=group,
        members=np.array([np.sum((group == g) & (at_risk > 0)) for g in range(len(groups))], np.int64),
        quantum=_quanta(plan, rows, gross, group, len(groups)),
        cash=cash,
        cashes=cashes,
    )


def find_liquidatable(market: Market, book: Book, clock: Clock) -> NDArray[np.bool_]:
    """(S, P, L): whether an account is seen liquidatable at `as_of`, after what falls there."""
    from kernels.kinks import lift_at  # needs numba, which lowering does not

    scenarios, leverages = market.shock.shape[0], len(book.multiple)
    found = np.zeros((scenarios, len(book.pools), leverages), np.bool_)
    for s in range(scenarios):
        if clock.watch[s, 0] != THROUGHOUT or clock.seen[s, 0] != clock.horizon[0]:
            continue  # nobody looks yet
        shock, change = market.shock[s, 0], book.cash[s, 0]
        price = market.spot * (market.shocks[shock] if shock >= 0 else 1.0)
        for r, account in enumerate(book.account):
            positions = slice(book.start[r], book.start[r + 1])
            at = price[book.asset[positions]]
            margin = float((book.size - book.requirement[LIQUIDATION])[positions] @ at) - book.base[r]
            margin += book.cashes[change, r] if change >= 0 else 0.0
            for n, here in enumerate(at, start=book.start[r]):
                margin -= lift_at(book.kinks, LIQUIDATION, n, here)
            hit = margin < book.threshold[LIQUIDATION, r]
            np.logical_or.at(found[s, account], book.leverage[r], hit)  # a leverage may be there twice
    return found


def _rows(plan: Plan, labels: Labels, account: Account, number: int) -> list[Row]:
    """The rows of an account. A pool whose margin is not proportional to leverage has one for each."""
    rows = []
    scaled: dict[int, tuple[Pool, ...]] = {}
    for i, pool in pools_that_matter(plan, account).items():
        equity = pool.equity(plan.prices)
        if pool.linear and not pool.coins and not (pool.cash and _cash_changes(plan, account)):
            rows.append(_row(labels, number, -1, equity, pool))
            continue
        for j, multiple in enumerate(plan.simulation.leverage):
            if j not in scaled:
                scaled[j] = pools_of(plan, account, multiple)
            rows.append(_row(labels, number, j, equity, scaled[j][i]))
    return rows


def pools_that_matter(plan: Plan, account: Account) -> dict[int, Pool]:
    """The pools, by number, that something can happen to: all but cash that stands apart, and that only where
    neither a group's money is counted nor a policy looks at the whole account's; at least one."""
    pools = pools_of(plan, account)
    counted = account.group is not None or account.policies
    found = {
        i: pool
        for i, pool in enumerate(pools)
        if counted or pool.coins or pool.cash < 0 or any(holding.size != 0 for holding in pool.holdings)
    }
    return found or dict(enumerate(pools[:1]))


def _row(labels: Labels, account: int, alone: int, equity: float, pool: Pool) -> Row:
    assets, marks, intervals = labels
    held = [holding for holding in pool.holdings if holding.size != 0]
    legs = [
        Leg(
            len(assets) + marks.index(h.asset) if h.marked and marks else assets.index(h.asset),
            intervals.index(h.interval),
            h.funding_cap,
            h.size,
            h.initial,
            h.maintenance,
        )
        for h in held
    ]
    for coin in pool.coins:
        haircut = Requirement(coin.withheld)
        legs.append(Leg(assets.index(coin.asset), len(intervals), inf, coin.amount, haircut, haircut))
    if len(legs) % 2:
        legs.append(legs[0]._replace(size=0.0, initial=NOTHING, maintenance=NOTHING))
    return Row(account, alone, equity, pool.cash, legs, any(h.maintenance != NOTHING for h in held))


def _cash_changes(plan: Plan, account: Account) -> bool:
    """Whether cash of the account changes in some scenario."""
    quote = plan.venue_of(account).quote
    return any(touches_cash(e, account.name, quote) for s in plan.scenarios for e in s.effects)


def _lower_cash(plan: Plan, accounts: list[Account], rows: list[Row]) -> tuple[Integers, Floats]:
    """Which change of cash falls at the start of each step (S, T), or -1, and the changes (changes, R)."""
    step, steps = plan.simulation.step, count_steps(plan)
    cash = np.full((len(plan.scenarios), steps), -1, np.int64)
    changes: list[Floats] = []
    for s, scenario in enumerate(plan.scenarios):
        worth = np.zeros((len(rows), steps))
        factors = [
            find_cash(scenario.effects, account.name, plan.venue_of(account).quote, step, steps)
            for account in accounts
        ]
        for r, row in enumerate(rows):
            has, owes = factors[row.account]
            worth[r] = row.cash * ((has if row.cash > 0 else owes) - 1.0)
        change = np.diff(worth, axis=1, prepend=0.0)
        for at in np.flatnonzero(change.any(axis=0)):
            cash[s, at] = len(changes)
            changes.append(change[:, at])
    return cash, np.array(changes, np.float64).reshape(len(changes), len(rows))


def _pools_at_risk(rows: list[Row], accounts: int) -> Integers:
    """(P,): pools of each account that can be liquidated; those with a row for each leverage count once."""
    count = np.zeros(accounts, np.int64)
    for row in rows:
        count[row.account] += row.at_risk and row.alone <= 0
    return count


def _number_several(rows: list[Row], accounts: int) -> Integers:
    """(P,): numbers 0, 1, ... to the accounts of several pools, -1 to the others."""
    pools = np.zeros(accounts, np.int64)
    for row in rows:
        pools[row.account] += row.alone <= 0
    return np.where(pools > 1, np.cumsum(pools > 1) - 1, -1)


def _thresholds(plan: Plan, rows: list[Row], gross: list[float]) -> tuple[Floats, Integers]:
    """Levels of X (MARKS, R, L) in descending order, and the leverage (R, L) of each.

    At leverage l a pool is below a mark iff C + l X < 0, with C its equity at `as_of`; one that stands for a
    single leverage iff C + X < 0. Without maintenance margin it is never liquidatable.
    """
    multiples = np.array(plan.simulation.leverage)
    threshold = np.full((MARKS, len(rows), len(multiples)), -np.inf)
    leverage = np.zeros((len(rows), len(multiples)), np.int64)
    for r, row in enumerate(rows):
        of_row = multiples if row.alone < 0 else np.ones(1)
        level = -row.equity / of_row - TIE * (gross[r] + abs(row.equity) / of_row)
        order = np.argsort(-level, kind="stable")
        threshold[:, r, : len(order)] = level[order]
        leverage[r] = order if row.alone < 0 else row.alone
        if not row.at_risk:
            threshold[LIQUIDATION, r] = -np.inf
    return threshold, leverage


def _lower_kinks(legs: list[Leg], spans: list[slice]) -> Kinks:
    """The kinks of every position by mark, in one list, each with the sum of all up to it."""
    start = np.zeros((MARKS - 1, len(legs) + 1), np.int64)
    floor: list[float] = []
    lift: list[Floats] = []
    for mark in (MARGIN_CALL, LIQUIDATION):
        start[mark, 0] = len(floor)
        for n, leg in enumerate(legs):
            total = np.zeros(3)
            for kink in (leg.initial if mark == MARGIN_CALL else leg.maintenance).kinks:
                total = total + _expanded(kink)
                floor.append(kink.floor)
                lift.append(total)
            start[mark, n + 1] = len(floor)
    present = [any(leg.initial.kinks or leg.maintenance.kinks for leg in legs[span]) for span in spans]
    return Kinks(
        start=start,
        floor=checked(floor, np.float64, (len(floor),), "floor"),
        lift=checked(np.array(lift, np.float64).reshape(-1, 3), np.float64, (len(floor), 3), "lift"),
        present=np.array(present, np.int64),
        leaps=np.array([_leaps(legs[span]) for span in spans], np.int64),
    )


def _leaps(legs: list[Leg]) -> bool:
    """Whether some initial margin jumps, and no requirement curves: brackets of notional."""
    kinks = [kink for leg in legs for kink in (*leg.initial.kinks, *leg.maintenance.kinks)]
    return any(kink.jump != 0 for kink in kinks) and not any(kink.curve for kink in kinks)


def _expanded(kink: Kink) -> Floats:
    """a, b, c of jump + rise (p - floor) + curve (p - floor)^2 = a + b p + c p^2."""
    floor, jump, rise, curve = kink
    return np.array([jump - (rise - curve * floor) * floor, rise - 2.0 * curve * floor, curve])


def _spread(market: Market, asset: Integers, size: Floats) -> Floats:
    """(D, K): standard deviation of the positions' value over one step, at `as_of` prices."""
    exposure = np.zeros(len(market.spot))
    np.add.at(exposure, asset, size * market.spot[asset])
    variance = np.einsum("a,dkab,b->dk", exposure, market.covariance, exposure)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _quanta(plan: Plan, rows: list[Row], gross: list[float], group: Integers, groups: int) -> Floats:
    """(G,): a power of two, about a 2**24th of each group's equity and notional at the largest leverage."""
    scale = np.zeros(groups)
    largest = plan.simulation.leverage[-1]
    for row, notional in zip(rows, gross, strict=True):
        g = group[row.account]
        if g >= 0 and row.alone in (-1, len(plan.simulation.leverage) - 1):
            scale[g] += abs(row.equity) + notional * (largest if row.alone < 0 else 1.0)
    return np.array([2.0 ** (ceil(log2(value)) - MONEY_BITS) if value > 0 else 1.0 for value in scale])
