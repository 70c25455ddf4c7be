"""From a plan to `kernels.desks.Contagion`: who stands at which venue, and which prices its markets move."""

from __future__ import annotations

from math import inf

import numpy as np

from kernels.desks import Contagion, Holdings, apart
from kernels.structs import Floats, Integers, checked, checked_index
from pipeline.contagion import venues_shared
from pipeline.lower_book import find_quanta
from pipeline.plan import Plan, Venue


def lower_contagion(plan: Plan, venues: list[Venue], holdings: Holdings, markets: int) -> Contagion:
    """What accounts are to one another. venues: of each account of the book, all of the plan's; markets: how
    many of `kernels.desks.Execution`. `kernels.desks.apart` where they don't touch."""
    asked = plan.simulation.contagion
    if asked is None:
        return apart()
    names = venues_shared(plan)
    number = np.array([names.index(venue.name) for venue in venues], np.int64)
    by_name = {venue.name: venue for venue in venues}
    funds = [by_name[name].insurance_fund for name in names]
    column = np.zeros(markets, np.int64)
    traded = holdings.closes > 0
    column[holdings.market[traded]] = holdings.asset[traded]
    return Contagion(
        lasting=checked([asked.lasting], np.float64, (1,), "lasting"),
        venue=checked_index(number, (len(venues),), 0, len(names), "venue"),
        fund=np.array([inf if fund is None else fund for fund in funds], np.float64),
        quantum=find_venue_quanta(holdings, number, len(names)),
        column=checked_index(column, (markets,), 0, len(holdings.spot), "column"),
    )


def find_venue_quanta(holdings: Holdings, venue: Integers, venues: int) -> Floats:
    """(V,): what money of a venue is counted in, by what its accounts hold at the largest leverage."""
    scale = np.zeros(venues)
    np.add.at(scale, venue, holdings.gross[:, -1] + np.abs(holdings.equity))
    return find_quanta(scale)
