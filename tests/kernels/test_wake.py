"""Sleeping and resting change nothing: against paths on which one cell at a time is moved in every step."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from kernels import aftermath
from kernels.aftermath import make_journal
from kernels.desks import REBALANCE, STRATEGY_CAP
from kernels.simulate import simulate_general_paths
from kernels.structs import ACTED_PATHS, FORCED_PATHS, SHORTFALLS, Tally
from pipeline.plan import Plan, plan_from_document
from tests.kernels.aftermath_problems import document
from tests.kernels.test_resolve import FREE, Parts, count, empty_tally, lowered
from tests.kernels.test_resolve import PATHS as STILL_PATHS
from tests.kernels.test_resolve import document as asleep

INTERPRETED = bool(numba.config.DISABLE_JIT)
PATHS = 2 if INTERPRETED else 24
SEEDS = (4,) if INTERPRETED else tuple(range(3, 15))


def problem(seed: int, monitoring: str) -> Plan:
    """A random plan in which every account that has policies has a cap and a band as well."""
    data = document(seed, paths=PATHS)
    data["simulation"]["monitoring"] = monitoring
    for account in data["accounts"]:
        prices = data["prices"]
        strategy = account["positions"][0]["strategy"]
        gross = sum(abs(p["size"]) * prices[p["market"].split("-")[0][0]] for p in account["positions"])
        if account["policies"]:
            account["policies"] += [
                {"kind": "strategy_cap", "strategy": strategy, "loss": 0.06 * gross, "delay": "1h"},
                {"kind": "rebalance", "low": 2.0, "target": 8.0, "high": 16.0},
            ]
    return plan_from_document(data)


def moved_always(plan: Plan, parts: Parts) -> Tally:
    """What is counted where every cell in turn is followed from the start, and moved in every step."""
    market, book, clock, desks = parts
    total = empty_tally(plan, parts)
    cells = list(np.ndindex(*total.aftermath.shape[1:4]))
    for path in range(PATHS):
        for cell in cells:
            tally = empty_tally(plan, parts)
            journal = make_journal(desks, clock.steps, len(market.spot), (*cell, 0), 1)
            simulate_general_paths(plan.simulation.seed, path, 1, market, book, clock, tally, desks, journal)
            total.aftermath[:, *cell] += tally.aftermath[:, *cell]
            total.breach[*cell] += tally.breach[*cell]
    return total


def assert_same(some: Tally, other: Tally) -> None:
    """The same paths; and money, but that a quantum may be rounded elsewhere: cash before an estate is opened
    is what its pool has paid in one sum."""
    paths = slice(FORCED_PATHS, SHORTFALLS)
    np.testing.assert_array_equal(some.aftermath[paths], other.aftermath[paths])
    np.testing.assert_array_equal(some.breach, other.breach)
    for row in range(SHORTFALLS, len(some.aftermath), 3):
        assert np.abs(some.aftermath[row] - other.aftermath[row]).max() <= PATHS, row


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize("seed", SEEDS)
def test_wake__who_sleeps_and_rests_misses_nothing(seed: int, monitoring: str) -> None:
    plan = problem(seed, monitoring)
    parts = lowered(plan)
    market, book, clock, desks = parts
    counted = empty_tally(plan, parts)
    simulate_general_paths(plan.simulation.seed, 0, PATHS, market, book, clock, counted, desks)
    assert_same(counted, moved_always(plan, parts))
    if len(desks.policies.kind):
        assert {STRATEGY_CAP, REBALANCE} <= set(desks.policies.kind.tolist())


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
def test_wake__to_be_woken_at_the_first_close_changes_nothing(
    monitoring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All leverages of everybody who has policies, by thresholds that are always passed."""
    counted = []
    make_watches = aftermath.make_watches
    for seed in SEEDS:
        plan = problem(seed, monitoring)
        parts = lowered(plan)
        market, book, clock, desks = parts
        for always in (False, True):
            if always:
                watches = make_watches(desks)
                watches.threshold[np.isfinite(watches.threshold)] = np.inf
                monkeypatch.setattr(aftermath, "make_watches", lambda _, watches=watches: watches)
            tally = empty_tally(plan, parts)
            simulate_general_paths(plan.simulation.seed, 0, PATHS, market, book, clock, tally, desks)
            monkeypatch.undo()
            counted.append(tally)
        assert_same(*counted[-2:])
    assert sum(tally.aftermath[ACTED_PATHS].sum() for tally in counted) > 0


def test_wake__a_strategys_funding_is_known_from_the_start() -> None:
    """Prices stand still; the cap is what funding takes in five and a half hours at leverage 1."""
    an_hour = 60_000 * 0.6 / 8_760
    cap = {"kind": "strategy_cap", "strategy": "trend", "loss": 5.5 * an_hour}
    data = asleep("close", FREE, (cap,))
    data["accounts"] = data["accounts"][:1]
    data["model"]["regimes"]["calm"]["volatility"] = {"BTC": 1e-6, "ETH": 1e-6}
    acted = count(plan_from_document(data)).aftermath[ACTED_PATHS, 0, 0] / STILL_PATHS
    np.testing.assert_array_equal(acted, [[0, 0], [0, 1], [1, 1]])
