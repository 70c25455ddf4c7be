"""From a plan to `kernels.desks.Desks`: what is held, how orders fill, what desks and venues do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate
from math import inf

import numpy as np

from kernels.desks import DYDX, FULL, HALTED, PARTIAL, Desks, Execution, Holdings, Rules, Timeline, nobody
from kernels.structs import LIQUIDATION, Book, Floats, Integers, Market, checked, checked_index
from pipeline.effects import Depth, Effect, Gas, Halt, Oracle
from pipeline.holders import Holder, find_holder
from pipeline.lower_book import TIE, find_quanta
from pipeline.lower_contagion import lower_contagion
from pipeline.lower_market import count_steps
from pipeline.lower_parameters import Shelf
from pipeline.lower_policies import count_whole_steps, lower_policies
from pipeline.lower_timeline import find_outliers, find_overlay, find_window
from pipeline.plan import Plan, Venue
from pipeline.spare_pools import append_spare_pools
from pipeline.venue_faults import POWERS
from pipeline.venues import TieredLiquidation


def lower_desks(plan: Plan, market: Market, book: Book, slab: Sequence[int]) -> Desks:
    """What follows a breach in the accounts of a slab, by number, whose book and market these are.

    A plan that does not resolve what follows has `kernels.desks.nobody`.
    """
    if not plan.simulation.resolve:
        return nobody()
    accounts = [plan.accounts[i] for i in slab]
    holders = [find_holder(plan, book, p, account) for p, account in enumerate(accounts)]
    venues = [holder.venue for holder in holders]
    markets = _markets_of(holders)
    holdings = _lower_holdings(plan, market, book, holders, markets)
    quanta = find_quanta(holdings.gross[:, -1] + np.abs(holdings.equity))
    execution = _lower_execution(plan, holders, markets)
    return Desks(
        holdings=append_spare_pools(holdings, holders),
        execution=execution,
        timeline=_lower_timeline(plan, market),
        rules=_lower_rules(venues, plan.simulation.step, quanta),
        policies=lower_policies(plan, holders),
        contagion=lower_contagion(plan, venues, holdings, len(execution.depth)),
    )


def _markets_of(holders: list[Holder]) -> dict[tuple[str | None, str], int]:
    """The markets held, each of one venue, numbered in the book's order."""
    held = ((h.account.venue, place.position.market) for h in holders for place in h.closable)
    return {key: number for number, key in enumerate(dict.fromkeys(held))}


def _lower_holdings(
    plan: Plan,
    market: Market,
    book: Book,
    holders: list[Holder],
    markets: dict[tuple[str | None, str], int],
) -> Holdings:
    rows = np.array([row for h in holders for row in h.rows], np.int64).reshape(-1, len(book.multiple))
    count, pools = len(book.asset), len(rows)
    closes, traded = np.zeros(count, np.int64), np.zeros(count, np.int64)
    lead, entry = np.zeros(count, np.int64), np.zeros(count)
    for holder in holders:
        leads: dict[str, int] = {}
        for number, position in holder.closable:
            y = max(i for i, place in enumerate(holder.places) if place <= number)
            legs = [book.start[row] + number - holder.places[y] for row in set(holder.rows[y])]
            closes[legs] = 1
            traded[legs] = markets[holder.account.venue, position.market]
            lead[legs] = leads.setdefault(position.market, number)
            entry[legs] = position.entry
    notional = np.abs(book.size) * market.spot[book.asset]
    multiple = np.where(book.alone[rows] < 0, book.multiple, 1.0)  # rows of one leverage have its sizes
    whole, traded_only = (
        np.array([value[book.start[r] : book.start[r + 1]].sum() for r in range(len(book.account))])
        for value in (notional, notional * closes)
    )
    first = list(accumulate((len(h.rows) for h in holders), initial=0))
    owned = np.repeat(np.arange(len(holders)), np.diff(first))
    gross = np.zeros((len(holders), len(book.multiple)))
    np.add.at(gross, owned, multiple * traded_only[rows])
    equity = np.zeros(len(holders))
    np.add.at(equity, owned, book.equity[rows[:, 0]])
    return Holdings(
        start=book.start,
        asset=book.asset,
        interval=book.interval,
        funding_cap=book.funding_cap,
        size=book.size,
        required=np.ascontiguousarray(book.requirement[LIQUIDATION]),
        kinks=book.kinks,
        account=book.account,
        alone=book.alone,
        multiple=book.multiple,
        base=book.base,
        began=book.equity,
        cash=book.cash,
        cashes=book.cashes,
        spot=market.spot,
        first=checked_index(first, (len(holders) + 1,), 0, pools + 1, "first"),
        row=checked_index(rows, (pools, len(book.multiple)), 0, len(book.account), "row"),
        place=checked([place for h in holders for place in h.places], np.int64, (pools,), "place"),
        spare=np.zeros(pools, np.int64),
        width=max(h.width for h in holders),
        closes=closes,
        market=checked_index(traded, (count,), 0, max(len(markets), 1), "market"),
        lead=lead,
        entry=checked(entry, np.float64, (count,), "entry"),
        gross=checked(gross, np.float64, gross.shape, "gross"),
        equity=checked(equity, np.float64, equity.shape, "equity"),
        tie=checked(
            TIE * (multiple * whole[rows] + np.abs(book.equity[rows])), np.float64, rows.shape, "tie"
        ),
    )


def _lower_execution(
    plan: Plan, holders: list[Holder], markets: dict[tuple[str | None, str], int]
) -> Execution:
    """Fees of accounts, and how each market fills; one that takes everything stands where nothing is held."""
    model, step, steps = plan.model, plan.simulation.step, count_steps(plan)
    count = max(len(markets), 1)
    depth, impact, power = np.full(count, inf), np.zeros(count), np.full(count, POWERS["square_root"])
    by_scenario = np.ones((len(plan.scenarios), steps, count))
    by_regime = np.ones((len(model.regimes), count))
    overlays = [find_overlay(s.effects, Depth, model, step, steps)[0] for s in plan.scenarios]
    for (venue, name), m in markets.items():
        found = (plan.venue if venue is None else plan.venues[venue]).markets[name]
        if found.execution is None:
            continue
        depth[m], impact[m] = found.execution.depth, found.execution.impact
        power[m] = POWERS[found.execution.law]
        column = model.assets.index(found.asset)
        by_scenario[:, :, m] = [overlay[:, column] for overlay in overlays]
        by_regime[:, m] = [1.0 if r.depth is None else r.depth[found.asset] for r in model.regimes.values()]
    return Execution(
        fee=np.array([h.venue.taker_fee_of(h.account.fee_tier) for h in holders], np.float64),
        depth=depth,
        impact=impact,
        power=power,
        depth_factor=checked(by_scenario, np.float64, by_scenario.shape, "depth_factor"),
        regime_depth=checked(by_regime, np.float64, by_regime.shape, "regime_depth"),
    )


def _lower_timeline(plan: Plan, market: Market) -> Timeline:
    step, steps = plan.simulation.step, count_steps(plan)
    names = [scenario.name for scenario in plan.scenarios]
    sees = np.array([find_views(scenario.effects, step, steps) for scenario in plan.scenarios])
    gas = [find_gas(scenario.effects, step, steps) for scenario in plan.scenarios]
    outlier, outliers = np.full(sees.shape, -1, np.int64), Shelf[Floats]()
    for s, scenario in enumerate(plan.scenarios):
        levels = find_outliers(scenario.effects, plan.model, step, steps)[:, market.number]
        for t in np.flatnonzero((levels != 1.0).any(axis=1)):
            outlier[s, t] = outliers.put(levels[t].tobytes(), levels[t])
    count, assets = len(outliers.items), len(market.number)
    back = np.where(sees == HALTED, 0, np.arange(steps) - sees)
    return Timeline(
        sees=checked_index(sees, sees.shape, HALTED, steps, "sees"),
        memory=int(back.max()) + 1,
        gas=np.array([factor for factor, _ in gas], np.float64),
        gas_delay=np.array([delay for _, delay in gas], np.int64),
        outlier=outlier,
        outliers=checked(
            np.array(outliers.items).reshape(count, assets), np.float64, (count, assets), "outliers"
        ),
        baseline=names.index("baseline") if "baseline" in names else 0,  # one scenario alone, to be told
    )


def find_views(effects: Sequence[Effect], step: timedelta, steps: int) -> Integers:
    """(T,) the step whose closing prices the venue judges by when each step closes; -1 those of `as_of`.

    As `pipeline.lower_timeline.find_sight`: HALTED in a halt but for its last close. In a freeze the close
    before it, under a delay of d steps that of d steps before, and none older than the venue had already;
    where either ends, in its last step, what is there then.
    """
    sees = np.arange(steps)
    for effect in effects:
        window = find_window(effect, step, steps)
        at = np.arange(window.start, window.stop)
        match effect:
            case Halt():
                sees[window] = HALTED
            case Oracle() if effect.freeze:
                sees[window] = window.start - 1
            case Oracle() if effect.delay is not None:
                sees[window] = np.maximum(at - effect.delay // step, window.start - 1)
            case _:
                continue
        ends = effect.for_ is not None and effect.at + effect.for_ <= steps * step
        if ends and window.start < window.stop:
            sees[window.stop - 1] = window.stop - 1
    return sees


def find_gas(effects: Sequence[Effect], step: timedelta, steps: int) -> tuple[Floats, Integers]:
    """(T,) the factor on what an action costs, and the steps by which it is late. Factors of effects that
    hold together multiply, delays add up."""
    factor, delay = np.ones(steps), np.zeros(steps, np.int64)
    for effect in effects:
        if isinstance(effect, Gas):
            window = find_window(effect, step, steps)
            factor[window] *= effect.multiply
            delay[window] += count_whole_steps(effect.delay, step)
    return factor, delay


def _lower_rules(venues: list[Venue], step: timedelta, quanta: Floats) -> Rules:
    looks = max(1, int(step.total_seconds()))
    rows = [_rules_of(venue) for venue in venues]
    families = [family for family, _ in rows]
    figures = np.array([row for _, row in rows], np.float64).reshape(len(rows), -1)
    if np.isnan(figures).any():
        raise ValueError("rules: not a number")
    fee, adjustment, spread, least, portion, most, most_lost, fund, gas_cost = np.ascontiguousarray(figures.T)
    return Rules(
        family=checked_index(families, (len(venues),), DYDX, PARTIAL + 1, "family"),
        fee=fee,
        adjustment=adjustment,
        spread=spread,
        least=least,
        portion=portion,
        most=most,
        most_lost=most_lost,
        fund=fund,
        gas_cost=gas_cost,
        looks=np.full(len(venues), looks, np.int64),
        quantum=quanta,
    )


def _rules_of(venue: Venue) -> tuple[int, tuple[float, ...]]:
    """The family, and the figures in the order of `kernels.desks.Rules`."""
    fund = inf if venue.insurance_fund is None else venue.insurance_fund
    found = venue.liquidation
    assert found is not None
    chain = venue.block_liquidation
    if chain is not None:
        return DYDX, (
            chain.max_liquidation_fee,
            chain.bankruptcy_adjustment,
            chain.spread_to_maintenance_margin_ratio,
            chain.min_position_notional_liquidated,
            chain.max_position_portion_liquidated,
            chain.max_notional_liquidated_per_block,
            chain.max_insurance_lost_per_block,
            fund,
            venue.gas_cost,
        )
    assert isinstance(found, TieredLiquidation)
    family = FULL if found.style == "full" else PARTIAL
    return family, (found.fee, 1.0, 0.0, 0.0, 1.0, inf, inf, fund, venue.gas_cost)
