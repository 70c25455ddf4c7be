"""Laws of accounts that share a market, over generated books, policies, venues and prices, on the twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan import Plan, plan_from_document
from tests.contagion_oracle import Told, follow_book
from tests.kernels.contagion_problems import crowds
from tests.test_aftermath_laws import random_path

seeds = st.integers(0, 10**6)


def told(plan: Plan, seed: int, lasting: float, scenario: int = 1) -> Told:
    """Everybody at leverage 1 on prices that go anywhere, with numbers drawn by step and number."""

    def draw(kind: int, *place: int) -> float:
        return float(np.random.default_rng([kind, *place]).random())

    return follow_book(
        plan,
        plan.scenarios[scenario],
        1.0,
        random_path(plan, seed),
        lasting,
        lambda step, look: draw(1, step, look),
        lambda policy: draw(2, policy),
        lambda step, number: draw(3, step, number),
    )


def with_funds(plan: Plan) -> Plan:
    """The same with funds that end."""
    data = plan.document()
    for venue in (data["venue"], *data["venues"].values()):
        if venue.get("insurance_fund") is None:
            venue["insurance_fund"] = 1e6
    return plan_from_document(data)


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_follow_book__what_came_in_is_there_or_was_paid(seed: int) -> None:
    """Of every account; and of all, their funds and others outside: fees and what funds pay stay inside."""
    found = told(with_funds(crowds(seed)), seed, (seed % 5) / 4)
    scale = math.fsum(found.scale)
    for rows, before in zip(found.records, found.equity_before, strict=True):
        for row in rows:
            moved = max(map(abs, (row.profit, row.changes, row.others, row.put_in)))
            assert abs(row.imbalance(before)) < 1e-11 * (scale + moved)
    last = [rows[-1] for rows in found.records]
    came = math.fsum(r.put_in + r.changes + r.profit for r in last) + found.outside
    paid = math.fsum(r.fees + r.slippage + r.funding + r.gas for r in last)
    gained = math.fsum(sum(r.equity) for r in last) - math.fsum(found.equity_before)
    funds = math.fsum(now - begun for begun, now in found.funds)
    assert came - paid == pytest.approx(gained + funds, abs=1e-11 * (scale + 1e6 + abs(came)))


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_follow_book__slippage_is_never_earned_and_funds_never_owe(seed: int) -> None:
    found = told(crowds(seed), seed, 0.5)
    assert all(record.slippage >= 0.0 for rows in found.records for record in rows)
    assert all(now >= 0.0 for _, now in found.funds)
    assert all(record.fall >= 0.0 for record in found.venues)
    for rows in found.records:
        for record in rows:
            assert record.shortfall >= 0.0


@pytest.mark.parametrize("side", [1.0, -1.0])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_follow_book__who_only_sells_pushes_down(seed: int, side: float) -> None:
    """Longs that are closed sell, shorts buy; without rebalancing nobody does anything else."""
    data = crowds(seed).document()
    for account in data["accounts"]:
        account["policies"] = [p for p in account["policies"] if p["kind"] != "rebalance"]
        account["position_mode"] = "one_way"
        held: dict[str, dict[str, object]] = {}
        for position in account["positions"]:
            held.setdefault(position["market"], position | {"size": side * abs(position["size"])})
        account["positions"] = list(held.values())
        account["policies"] = [p for p in account["policies"] if p["kind"] not in ("stop", "strategy_cap")]
    plan = plan_from_document(data)
    path = random_path(plan, seed)
    found = told(plan, seed, 0.5, scenario=0)
    for marks, row in zip(found.marks, path.price, strict=True):
        for mark, price in zip(marks.values(), row, strict=True):
            assert side * (price - mark) >= -1e-12 * price
    if side < 0.0:
        assert all(record.fall == 0.0 for record in found.venues)
