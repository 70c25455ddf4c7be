"""Laws of what follows a breach, over generated books, policies, venues and prices."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernels.structs import LIQUIDATION
from pipeline.blocks import Block
from pipeline.engine import simulate_block
from pipeline.plan import Account, Plan, plan_from_document
from pipeline.pools import pools_of
from pipeline.scenarios import Scenario
from pipeline.units import YEAR
from tests.aftermath_cases import case, run, tiered
from tests.aftermath_estate import columns_of
from tests.aftermath_oracle import Followed, Path, follow
from tests.aftermath_path import paths_of
from tests.aftermath_sight import find_sight
from tests.kernels.aftermath_problems import document

seeds = st.integers(0, 10**6)


def random_path(plan: Plan, seed: int) -> Path:
    """Prices that go anywhere, whatever the plan's model says: a few of them far; funding both ways."""
    rng = np.random.default_rng(seed)
    columns = columns_of(plan)
    steps = plan.simulation.horizons[-1] // plan.simulation.step
    spot = np.array([plan.prices[column] for column in columns])
    shape = 2 * steps, len(columns)
    moves = 0.02 * rng.standard_t(3, shape) + 0.01 * rng.standard_normal()
    prices = spot * np.exp(np.cumsum(moves, axis=0))
    regimes = rng.integers(len(plan.model.regimes), size=steps)
    return Path(
        prices[::2], prices[1::2], rng.normal(0.0, 2.0, prices[1::2].shape), regimes, rng.random(steps) < 0.3
    )


def follow_randomly(
    plan: Plan, account: Account, leverage: float, path: Path, scenario: Scenario
) -> Followed:
    """The account, with numbers drawn by step and look, or by policy."""

    def pick(step: int, look: int) -> float:
        return float(np.random.default_rng([1, step, look]).random())

    def attends(policy: int) -> float:
        return float(np.random.default_rng([2, policy]).random())

    return follow(plan, scenario, account, leverage, path, pick, attends)


def when(hit: tuple[int, str] | None) -> tuple[float, bool]:
    """An instant as something to be sorted; never is last."""
    return (float("inf"), True) if hit is None else (hit[0], hit[1] == "close")


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_follow__what_came_in_is_there_or_was_paid(seed: int) -> None:
    plan = plan_from_document(document(seed))
    path = random_path(plan, seed)
    for scenario in plan.scenarios:
        for account in plan.accounts:
            for leverage in plan.simulation.leverage:
                found = follow_randomly(plan, account, leverage, path, scenario)
                for record in found.records:
                    moved = max(map(abs, (record.profit, record.changes, record.others, record.put_in)))
                    assert abs(record.imbalance(found.equity_before)) < 1e-11 * (found.scale + moved)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_follow__records_hang_together(seed: int) -> None:
    plan = plan_from_document(document(seed))
    path = random_path(plan, seed)
    for account in plan.accounts:
        found = follow_randomly(plan, account, 1.0, path, plan.scenarios[1])
        before = None
        for record in found.records:
            assert not (record.partial and record.closed_out)
            assert record.forced >= (record.partial or record.closed_out)
            assert (record.share > 0.0) == record.forced
            assert record.shortfall >= -sum(record.equity)
            if before is not None:
                assert record.forced >= before.forced
                assert record.bankrupt >= before.bankrupt
                assert record.share >= before.share
                assert record.put_in >= before.put_in
            before = record
        forced = [e for e in found.events if e.kind in ("liquidation", "deleveraging")]
        assert bool(forced) == found.records[-1].forced == (found.breach is not None)
        if forced:
            assert when(found.hit) <= when((forced[0].step, forced[0].instant))
        starts = [p.size for p in account.positions]
        for event in forced:
            assert event.quantity * starts[event.number] < 0.0 or account.kind == "mixed"


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_follow__a_ladder_that_never_triggers_changes_nothing(seed: int) -> None:
    data = document(seed)
    for account in data["accounts"]:
        # of a group, as of a desk, cash that stands apart is counted
        account |= {"policies": [], "group": "desk"}
    bare = plan_from_document(data)
    rungs = [{"below": 0.8, "close": 0.5}, {"below": 0.4, "close": 1.0}]
    for account in data["accounts"]:
        account["policies"] = [{"kind": "ladder", "rungs": rungs}]
    desk = plan_from_document(data)
    path = random_path(bare, seed)
    compared = 0
    for without, account in zip(bare.accounts, desk.accounts, strict=True):
        for leverage in bare.simulation.leverage:
            kept = follow_randomly(desk, account, leverage, path, desk.scenarios[1])
            if not any(e.kind in ("seen", "acted") for e in kept.events):
                assert kept == follow_randomly(bare, without, leverage, path, bare.scenarios[1])
                compared += 1
    assume(compared)


def with_reserve(data: dict[str, Any], reserve: float, **changes: Any) -> Plan:
    """The plan with a top-up alone in every account, and without gas."""
    for venue in (data["venue"], *data["venues"].values()):
        venue["gas_cost"] = 0.0
    for account in data["accounts"]:
        top_up = {"kind": "top_up", "below": 2.0, "amount": 1_000.0, "reserve": reserve}
        account["policies"] = [top_up | changes]
    return plan_from_document(data)


@given(seed=seeds, more=st.floats(1.0, 10_000.0), delay=st.sampled_from(["0s", "2h"]))
@settings(max_examples=40, deadline=None)
def test_follow__a_larger_reserve_never_brings_the_venue_earlier(seed: int, more: float, delay: str) -> None:
    """A top-up alone, without gas: until the venue closes something no pool has less at any time, so that it
    is never found liquidatable earlier. Nothing of the sort holds afterwards: see below."""
    small = with_reserve(document(seed), 1_500.0, delay=delay)
    large = with_reserve(document(seed), 1_500.0 + more, delay=delay)
    path = random_path(small, seed)
    for scenario in small.scenarios:
        for less, account in zip(small.accounts, large.accounts, strict=True):
            for leverage in small.simulation.leverage:
                first = follow_randomly(small, less, leverage, path, scenario).hit
                later = follow_randomly(large, account, leverage, path, scenario).hit
                assert when(first) <= when(later)


def test_follow__a_larger_reserve_can_hurt() -> None:
    """1,000 A with 10,000 behind them, liquidated below 92.78 at a venue that closes all of it for nothing.

    At 95 (5,000 / 2,850 = 1.75) the desk sends 500, or 3,000. At 92 the first has 2,500 < 2,760, and gets out
    with them. The second, with 5,000 at 92, falls on to 80 and loses all 13,000 and 7,000 that it never had.
    """
    top_up = {"kind": "top_up", "below": 1.8, "amount": 500, "reserve": 500}
    venue = tiered("full", insurance_fund=0.0)
    small = run(case(top_up, venue=venue), 95, 92, 80)
    large = run(case(top_up | {"amount": 3_000, "reserve": 3_000}, venue=venue), 95, 92, 80)
    assert small.records[-1].equity == pytest.approx((2_500,))
    assert large.records[-1].equity == pytest.approx((-7_000,))
    assert (small.records[-1].shortfall, large.records[-1].shortfall) == pytest.approx((0, 7_000))


def first_passage(
    plan: Plan, account: Account, leverage: float, path: Path, scenario: Scenario
) -> int | None:
    """The first step in which E - H < MM in some pool of the book left alone, from `pipeline.pools`."""
    columns = columns_of(plan)
    begin, length = plan.as_of.timestamp(), plan.simulation.step.total_seconds()
    _, clear = find_sight(scenario.effects, plan.simulation.step, len(path.price))
    pools = pools_of(plan, account, leverage)
    paid = [0.0] * len(pools)
    for step in range(len(path.price)):
        looked = path.looks[step] and clear[step]
        for at_close, row in ((False, path.before[step]), (True, path.price[step])):
            now = dict(zip(columns, row.tolist(), strict=True))
            for i, pool in enumerate(pools):
                for h in pool.holdings if at_close else ():
                    seconds = h.interval.total_seconds()
                    due = (begin + length * (step + 1)) // seconds - (begin + length * step) // seconds
                    rate = np.clip(path.rate[step, columns.index(h.asset)], -h.funding_cap, h.funding_cap)
                    paid[i] += h.size * now[h.asset] * rate * due * (h.interval / YEAR)
                made = sum(h.size * (now[h.asset] - plan.prices[h.asset]) for h in pool.holdings)
                coins = sum(c.amount * (now[c.asset] - plan.prices[c.asset]) for c in pool.coins)
                free = pool.equity(plan.prices) + made + coins - paid[i] - pool.withheld(now)
                margin = sum(h.maintenance.at(now[h.asset]) for h in pool.holdings)
                if (looked or at_close) and margin > 0.0 and free < margin:
                    return step
    return None


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_follow__full_and_free_closes_at_the_first_passage(seed: int) -> None:
    """Nobody acts, nothing costs anything, all is closed: it is where E - H < MM first."""
    data = document(seed)
    for account in data["accounts"]:
        account["policies"] = []
    effects = data["scenarios"][1]["effects"]
    data["scenarios"][1]["effects"] = [e for e in effects if e["effect"] not in ("oracle", "halt", "loss")]
    for venue in (data["venue"], *data["venues"].values()):
        for market in venue["markets"].values():
            market["execution"] = None
        if venue["rules"] == "tiered":
            venue["liquidation"] = {"style": "full", "fee": 0.0}
    plan = plan_from_document(data)
    path = random_path(plan, seed)
    for account in plan.accounts:
        for leverage in plan.simulation.leverage:
            found = follow_randomly(plan, account, leverage, path, plan.scenarios[1])
            expected = first_passage(plan, account, leverage, path, plan.scenarios[1])
            forced = [e.step for e in found.events if e.kind in ("liquidation", "deleveraging")]
            assert (forced[0] if forced else None) == expected or found.unsure
            assert (found.untouched[0] if found.untouched else None) == expected or found.unsure


@pytest.mark.parametrize("seed", [0, 6, 9, 17])
def test_follow__untouched_is_what_the_screen_counts(seed: int) -> None:
    """Path by path over the plan's own paths: by each horizon as many as `simulate_block` counts."""
    data = document(seed) | {"scenarios": ["baseline", "gap-down-10"]}
    plan = plan_from_document(data)
    hits = simulate_block(json.dumps(plan.document()), Block(0, 0, plan.simulation.paths, 0)).hits[
        LIQUIDATION
    ]
    ends = [horizon // plan.simulation.step for horizon in plan.simulation.horizons]
    for s, scenario in enumerate(plan.scenarios):
        counted = np.zeros(hits[s].shape, np.int64)
        for path in paths_of(plan, scenario, 0, plan.simulation.paths):
            for a, account in enumerate(plan.accounts):
                for i, leverage in enumerate(plan.simulation.leverage):
                    at = follow_randomly(plan, account, leverage, path, scenario).untouched
                    if at is not None:
                        h = next(h for h, end in enumerate(ends) if at[0] < end)
                        counted[a, i, h] += 1
        np.testing.assert_array_equal(counted, hits[s])
