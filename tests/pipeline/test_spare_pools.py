"""Pools that stand empty, beside the book that the screen walks."""

from __future__ import annotations

import numpy as np

from kernels.estate import require
from pipeline.legs import number_legs
from pipeline.lower_book import lower_book
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import resolved_document

ISOLATE = {"kind": "isolate", "market": "ETH-USD", "above": 0.4, "collateral": 2_000}


def plan_of(*policies: dict[str, object]) -> Plan:
    document = resolved_document()
    for account in document["accounts"][:2]:
        account["policies"] = list(policies)
    return plan_from_document(document)


def test_append_spare_pools__copies_what_may_be_moved() -> None:
    never = {"kind": "ladder", "rungs": [{"below": 1.1, "close": 1}], "markets": ["ETH-USD"]}
    plan = plan_of(ISOLATE, never)
    market = lower_market(plan)
    accounts = range(len(plan.accounts))
    book = lower_book(plan, market, accounts)
    desks = lower_desks(plan, market, book, accounts)
    held, leverages = desks.holdings, range(len(plan.simulation.leverage))
    assert held.spare.sum() == 2
    assert len(held.base) == len(held.account) > len(book.base)
    for p in (0, 1):
        first, last = held.first[p], held.first[p + 1]
        legs = number_legs(plan, plan.accounts[p])
        assert held.spare[first:last].tolist() == [0] * (last - first - 1) + [1]
        place = int(held.place[last - 1])
        assert legs[place].market == "ETH-USD"
        assert len(legs) == place + 1
        own = next(i for i, leg in enumerate(legs) if leg is not None and leg.market == "ETH-USD")
        assert desks.policies.touches[2 * p, [own, place]].tolist() == [1, 0]
        assert desks.policies.touches[2 * p + 1, [own, place]].tolist() == [1, 1]
        assert desks.policies.pool[2 * p] == last - 1 - first
        for j in leverages:
            row, mother = held.row[last - 1, j], held.row[first, j]
            assert row >= len(book.base)
            n, m = held.start[row], held.start[mother] + own
            assert held.start[row + 1] == n + 1
            assert held.began[row] == 0
            assert held.base[row] == held.size[m] * market.spot[held.asset[m]]
            assert held.lead[n] == own
            for name in ("asset", "interval", "size", "required", "closes", "market", "entry"):
                assert getattr(held, name)[n] == getattr(held, name)[m], name
            for price in (10.0, 3_000.0, 90_000.0):
                size = 0.7 * held.size[m]
                assert require(held, row, n, size, price) == require(held, mother, m, size, price)


def test_append_spare_pools__nothing_without_such_a_policy() -> None:
    plan, with_one = plan_of(), plan_of(ISOLATE)
    found = []
    for each in (plan, with_one):
        market = lower_market(each)
        accounts = range(len(each.accounts))
        book = lower_book(each, market, accounts)
        found.append((book, lower_desks(each, market, book, accounts).holdings))
    (_, plain), (_, more) = found
    assert not plain.spare.any()
    count = len(plain.asset)
    for name in ("asset", "size", "required", "closes", "market", "lead"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(more, name)[:count])
