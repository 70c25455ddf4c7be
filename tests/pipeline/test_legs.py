"""Legs numbered by plan alone are where the kernel's holdings have them."""

from __future__ import annotations

import numpy as np

from pipeline.legs import most_legs, number_legs
from pipeline.lower_book import lower_book
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document
from tests.pipeline.documents import resolved_document, small_document


def test_number_legs__are_those_of_the_holdings() -> None:
    plan = plan_from_document(resolved_document())
    market = lower_market(plan)
    accounts = range(len(plan.accounts))
    holdings = lower_desks(plan, market, lower_book(plan, market, accounts), accounts).holdings
    assert most_legs(plan) == holdings.width == 6
    for p, account in enumerate(plan.accounts):
        legs = number_legs(plan, account)
        found = {}
        for pool in range(holdings.first[p], holdings.first[p + 1]):
            for j in range(len(plan.simulation.leverage)):
                row = holdings.row[pool, j]
                for n in range(holdings.start[row], holdings.start[row + 1]):
                    here = found.setdefault(holdings.place[pool] + n - holdings.start[row], set())
                    multiple = plan.simulation.leverage[j] if holdings.alone[row] >= 0 else 1.0
                    size = float(np.round(holdings.size[n] / multiple, 12)) if holdings.closes[n] else None
                    here.add((size, holdings.entry[n]) if holdings.closes[n] else None)
        expected = {i: {None if leg is None else (leg.size, leg.entry)} for i, leg in enumerate(legs)}
        assert found == expected, account.name


def test_number_legs__coins_and_fillers_come_after_what_shares_their_pool() -> None:
    plan = plan_from_document(resolved_document())
    named = [[leg and leg.market for leg in number_legs(plan, account)] for account in plan.accounts]
    assert named == [
        ["BTC-USD", "ETH-USD", None, None, "ETHB-USD", None],
        ["ETH-USD", "BTC-USD"],
        [],
        ["ETH-USD", None, "BTC-USD", None],
    ]


def test_most_legs__none_where_nothing_is_followed() -> None:
    assert most_legs(plan_from_document(small_document())) == 0
