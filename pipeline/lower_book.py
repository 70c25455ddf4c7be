"""From a plan's accounts to the arrays of `kernels.structs.Book`, and its horizons to those of `Clock`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kernels.structs import LIQUIDATION, MARKS, Book, Clock, Floats, Market, checked, checked_index
from pipeline.lower_market import count_steps, funding_intervals, simulated_assets
from pipeline.margin_now import margin_now
from pipeline.plan import Account, Plan, Position

# Equity exactly at the requirement stands. Sums of rounded products must not turn a tie into a hit, so the
# threshold lies this far below, as a share of the notional and equity that went into it.
TIE = 1e-12


def lower_clock(plan: Plan) -> Clock:
    """The steps of a plan, and the first horizon at or after the end of each."""
    steps = count_steps(plan)
    ends = np.array([horizon // plan.simulation.step for horizon in plan.simulation.horizons])
    horizon = np.searchsorted(ends, np.arange(1, steps + 1))
    return Clock(steps, horizon.astype(np.int64), int(plan.simulation.monitoring == "bridge"))


def lower_book(plan: Plan, market: Market, accounts: slice) -> Book:
    """Some of a plan's accounts. Positions of size zero, which risk nothing, are left out."""
    assets = list(simulated_assets(plan))
    intervals = list(funding_intervals(plan))
    chosen = plan.accounts[accounts]
    held = [_even([p for p in account.positions if p.size != 0]) for account in chosen]
    flat = [position for positions in held for position in positions]
    listed = [plan.venue.markets[position.market] for position in flat]
    count, size = len(flat), len(chosen)
    start = np.cumsum([0, *map(len, held)])
    asset = np.array([assets.index(m.asset) for m in listed], np.int64)
    sizes = np.array([position.size for position in flat], np.float64)
    gross = np.abs(sizes)
    initial = gross * [m.initial_margin for m in listed] if flat else gross
    maintenance = gross * [m.maintenance_margin for m in listed] if flat else gross
    requirement = np.stack([initial, maintenance, np.zeros(count)])
    spot = market.spot[asset]
    rows = [slice(first, last) for first, last in pairwise(start)]
    threshold, order = _thresholds(plan, chosen, [float((gross * spot)[row].sum()) for row in rows])
    for p, row in enumerate(rows):
        if not maintenance[row].any():  # MM = 0: never liquidatable
            threshold[LIQUIDATION, p] = -np.inf
    one = list(plan.simulation.leverage).index(1.0)
    return Book(
        start=checked_index(start, (size + 1,), 0, count + 1, "start"),
        asset=checked_index(asset, (count,), 0, len(assets), "asset"),
        interval=checked_index(
            [intervals.index(m.funding_interval) for m in listed], (count,), 0, len(intervals), "interval"
        ),
        size=checked(sizes, np.float64, (count,), "size"),
        requirement=checked(requirement, np.float64, (MARKS, count), "requirement"),
        spread=np.array([_spread(market, asset[row], sizes[row]) for row in rows]),
        initial=np.array([(initial * spot)[row].sum() for row in rows]),
        base=np.array([(sizes * spot)[row].sum() for row in rows]),
        only_asset=np.array([asset[row][0] if len(set(asset[row])) == 1 else -1 for row in rows], np.int64),
        threshold=threshold,
        leverage=order,
        unit=np.array([list(row).index(one) for row in order], np.int64),
    )


def _even(positions: list[Position]) -> list[Position]:
    """The positions, with one of size zero at the end if their number is odd."""
    if len(positions) % 2 == 0:
        return positions
    return [*positions, positions[0].model_copy(update={"size": 0.0})]


def find_liquidatable(market: Market, book: Book) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(S, P, L): whether an account meets the liquidation condition at `as_of`, after shocks there."""
    scenarios, (accounts, leverages) = market.shock.shape[0], book.leverage.shape
    found = np.zeros((scenarios, accounts, leverages), np.bool_)
    net = book.size - book.requirement[LIQUIDATION]
    for s in range(scenarios):
        shock = market.shock[s, 0]
        price = market.spot * (market.shocks[shock] if shock >= 0 else 1.0)
        for p in range(accounts):
            row = slice(book.start[p], book.start[p + 1])
            margin = float(net[row] @ price[book.asset[row]]) - book.base[p]
            found[s, p, book.leverage[p]] = margin < book.threshold[LIQUIDATION, p]
    return found


def _thresholds(
    plan: Plan, accounts: tuple[Account, ...], gross: list[float]
) -> tuple[Floats, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Levels of X (MARKS, P, L) in descending order, and the leverage (P, L) of each.

    At leverage l an account is below a mark iff C + l X < 0, with C its equity at `as_of`.
    """
    leverage = np.array(plan.simulation.leverage)
    margins = margin_now(plan)
    equity = np.array([margins[account.name].equity for account in accounts]).reshape(-1, 1)
    slack = TIE * (np.array(gross).reshape(-1, 1) + np.abs(equity) / leverage)
    level = -equity / leverage - slack
    order = np.argsort(-level, axis=1, kind="stable")
    ranked = np.take_along_axis(level, order, axis=1)
    return np.ascontiguousarray(np.broadcast_to(ranked, (MARKS, *ranked.shape))), order


def _spread(market: Market, asset: np.ndarray[tuple[int], np.dtype[np.int64]], size: Floats) -> Floats:
    """(D, K): standard deviation of the positions' value over one step, at `as_of` prices."""
    exposure = np.zeros(len(market.spot))
    np.add.at(exposure, asset, size * market.spot[asset])
    variance = np.einsum("a,dkab,b->dk", exposure, market.covariance, exposure)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
