"""Random small books whose accounts share a market: three to six of them, one of their markets thin."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kernels.desks import Contagion, Desks
from kernels.structs import Book, Clock, Market, Tally, create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from tests.kernels.aftermath_problems import document

QUANTUM = 2.0**-10


class Parts(NamedTuple):
    """A plan as the kernel takes it."""

    market: Market
    book: Book
    clock: Clock
    desks: Desks


def crowds(seed: int) -> Plan:
    """A plan: accounts on dydx_v4 and tiered venues that share their assets."""
    data: dict[str, Any] = document(seed, accounts=(3, 6))
    rng = np.random.default_rng([seed, 1])
    thin = str(rng.choice(list(data["prices"])))
    for venue in (data["venue"], *data["venues"].values()):
        for market in venue["markets"].values():
            if market["asset"] == thin:
                market["execution"] = {
                    "depth": float(rng.uniform(10_000, 60_000)),
                    "impact": float(rng.uniform(0.02, 0.3)),
                    "law": str(rng.choice(["square_root", "linear"])),
                }
    return plan_from_document(data)


def contagion_of(plan: Plan, desks: Desks, lasting: float) -> Contagion:
    """What the accounts of a plan are to one another."""
    names = [account.venue for account in plan.accounts]
    venues = list(dict.fromkeys(names))
    funds = [plan.venue_of(plan.accounts[names.index(name)]).insurance_fund for name in venues]
    holdings = desks.holdings
    column = np.zeros(len(desks.execution.depth), np.int64)
    trades = holdings.closes == 1
    column[holdings.market[trades]] = holdings.asset[trades]
    return Contagion(
        np.array([lasting]),
        np.array([venues.index(name) for name in names]),
        np.array([math.inf if fund is None else fund for fund in funds]),
        np.full(len(venues), QUANTUM),
        column,
    )


def lowered(plan: Plan, lasting: float | None) -> Parts:
    """A plan as the kernel takes it; None: accounts don't touch one another."""
    slab = range(len(plan.accounts))
    market = lower_market(plan)
    book = lower_book(plan, market, slab)
    desks = lower_desks(plan, market, book, slab)
    if lasting is not None:
        desks = desks._replace(contagion=contagion_of(plan, desks, lasting))
    return Parts(market, book, lower_clock(plan), desks)


def empty_tally(plan: Plan, parts: Parts) -> Tally:
    """Room for what happens on a plan's paths."""
    simulation, book, desks = plan.simulation, parts.book, parts.desks
    return create_tally(
        len(plan.scenarios),
        len(plan.accounts),
        len(simulation.leverage),
        len(simulation.horizons),
        True,
        int(book.several.max(initial=-1)) + 1,
        len(book.members),
        desks.holdings.width,
        len(desks.contagion.fund),
    )
