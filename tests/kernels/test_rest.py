"""Each policy alone, waited for asleep and at rest, against asking everybody in every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import aftermath
from kernels.simulate import simulate_general_paths
from kernels.structs import ACTED_PATHS, FORCED_PATHS, SHORTFALLS, Tally
from pipeline.plan import Plan, plan_from_document
from tests.kernels.test_resolve import LADDER, PATHS, TOP_UP, count, document, empty_tally, lowered

# sent at once, to no effect: who has it is awake from the first close, and waits for nothing of it again
TINY = {"kind": "top_up", "below": 1e6, "amount": 1e-6, "reserve": 1e-6}
POLICIES: dict[str, dict[str, Any]] = {
    "top_up": TOP_UP,
    "ladder": LADDER,
    "stop, price": {"kind": "stop", "market": "BTC-USD", "price": 59_200},
    "stop, drawdown": {"kind": "stop", "drawdown": 0.2},
    "strategy_cap": {"kind": "strategy_cap", "strategy": "trend", "loss": 900},
    "rebalance, high": {"kind": "rebalance", "low": 1e-6, "target": 15, "high": 18},
    "rebalance, low": {"kind": "rebalance", "low": 15, "target": 16, "high": 1e9},
    "override": {"kind": "override", "below": 1.6, "close": 0.5, "delay": "2h"},
}


def asked_always(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Tally:
    """What is counted where all are awake from the first close, and are asked in every step by what
    `move_estate` asks, as where requirements bend."""
    market, book, clock, desks = lowered(plan)
    watches = aftermath.make_watches(desks)
    watches.threshold[np.isfinite(watches.threshold)] = np.inf
    monkeypatch.setattr(aftermath, "make_watches", lambda _: watches)
    kinks = desks.holdings.kinks._replace(present=np.ones_like(desks.holdings.kinks.present))
    bent = desks._replace(holdings=desks.holdings._replace(kinks=kinks))
    tally = empty_tally(plan, (market, book, clock, desks))
    simulate_general_paths(plan.simulation.seed, 0, PATHS, market, book, clock, tally, bent)
    monkeypatch.undo()
    return tally


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize("kind", POLICIES)
def test_rests__no_policy_is_overlooked(kind: str, monitoring: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who is asleep until then, and by who is awake and rests."""
    for policies in ((POLICIES[kind],), (TINY, POLICIES[kind])):
        data = document(monitoring, {"rules": "dydx_v4", "gas_cost": 0.5}, policies)
        data["accounts"][1]["positions"][0]["strategy"] = "trend"
        plan = plan_from_document(data)
        counted, asked = count(plan), asked_always(plan, monkeypatch)
        acted = counted.aftermath[ACTED_PATHS, 0, :, :, -1] / PATHS
        assert acted.max() > 0.1
        if len(policies) == 1:
            assert acted.min() < 1.0
        paths = slice(FORCED_PATHS, SHORTFALLS)
        np.testing.assert_array_equal(counted.aftermath[paths], asked.aftermath[paths])
        np.testing.assert_array_equal(counted.breach, asked.breach)
        apart = np.abs(counted.aftermath[SHORTFALLS::3] - asked.aftermath[SHORTFALLS::3])
        assert apart.max() <= PATHS
