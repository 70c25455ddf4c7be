"""`python -m benchmarks.aftermath`: what it costs to follow what comes after a breach."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np

from kernels.simulate import simulate_general_paths
from kernels.structs import ACTED_PATHS, FORCED_PATHS, Floats, Tally, create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document

PATHS, TURNS, TOLD = 4_000, 7, 1_000
LEVERAGE = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
POLICIES = [
    {"kind": "top_up", "below": 1.6, "amount": 2_000, "reserve": 5_000, "delay": "2h"},
    {"kind": "ladder", "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.25, "close": 0.5}]},
    {"kind": "stop", "drawdown": 0.8},
    {"kind": "stop", "market": "BTC-USD", "price": 45_000},
    {"kind": "strategy_cap", "strategy": "carry", "loss": 25_000},
    {"kind": "rebalance", "low": 0.5, "target": 8, "high": 20},
    {"kind": "override", "below": 1.1, "close": 1, "delay": "1h", "probability": 0.5},
]


def plan_document(monitoring: str, follows: bool) -> dict[str, Any]:
    """Three accounts of two assets for a week, each with every policy; follows: as it says, or not at all."""
    long: dict[str, Any] = {"market": "BTC-USD", "size": 2, "entry": 59_000, "strategy": "carry"}
    short: dict[str, Any] = {"market": "ETH-USD", "size": -20, "strategy": "carry"}
    accounts: list[dict[str, Any]] = [
        {"name": "hedged", "collateral": {"USDC": 30_000}, "positions": [long, short | {"entry": 3_100}]},
        {"name": "long", "collateral": {"USDC": 40_000}, "positions": [long]},
        {
            "name": "isolated",
            "margin": "isolated",
            "positions": [
                long | {"size": 1, "collateral": 20_000},
                short | {"size": -10, "entry": 3_000, "collateral": 10_000},
            ],
        },
    ]
    if follows:
        for account in accounts:
            account["policies"] = POLICIES
    market = {
        "initial_margin": 0.05,
        "maintenance_margin": 0.03,
        "execution": {"depth": 200_000, "impact": 0.01},
    }
    return {
        "name": "aftermath",
        "as_of": "2026-01-01T00:00:00Z",
        "simulation": {
            "seed": 3,
            "paths": PATHS,
            "step": "1h",
            "horizons": ["1d", "7d"],
            "leverage": LEVERAGE,
            "monitoring": monitoring,
            "resolve": follows,
        },
        "venue": {
            "rules": "dydx_v4",
            "as_of": "2026-03-05",
            "gas_cost": 0.5,
            "markets": {f"{asset}-USD": {"asset": asset, **market} for asset in ("BTC", "ETH")},
        },
        "prices": {"BTC": 60_000, "ETH": 3_000},
        "model": {
            "step": "1h",
            "assets": ["BTC", "ETH"],
            "initial": "stationary",
            "regimes": {
                "calm": {
                    "volatility": {"BTC": 0.6, "ETH": 0.8},
                    "correlation": [[1, 0.8], [0.8, 1]],
                    "funding": {"BTC": 0.1, "ETH": 0.2},
                    "tail": 4,
                }
            },
            "transitions": {"calm": {"calm": 1.0}},
        },
        "scenarios": ["baseline"],
        "accounts": accounts,
    }


class Problem:
    """A plan, lowered; to be walked from any path on."""

    def __init__(self, monitoring: str, follows: bool) -> None:
        plan = plan_from_document(plan_document(monitoring, follows))
        slab = range(len(plan.accounts))
        self.seed = plan.simulation.seed
        self.market = lower_market(plan)
        self.book, self.clock = lower_book(plan, self.market, slab), lower_clock(plan)
        self.desks = lower_desks(plan, self.market, self.book, slab) if follows else None

    def walk(self, first: int, paths: int, quantiles: bool = False) -> tuple[float, Tally]:
        """CPU microseconds a path, and what was counted."""
        width = 0 if self.desks is None else self.desks.holdings.width
        several = int(self.book.several.max(initial=-1)) + 1
        accounts, leverages = len(self.book.pools), len(LEVERAGE)
        tally = create_tally(1, accounts, leverages, 2, True, several, 0, width, quantiles=quantiles)
        before = time.process_time()
        simulate_general_paths(self.seed, first, paths, self.market, self.book, self.clock, tally, self.desks)
        return (time.process_time() - before) / paths * 1e6, tally


def tell_events(problem: Problem) -> tuple[Floats, float]:
    """The shares of paths (3, accounts, leverages) on which a policy acts, the venue closes something, and
    either; and on which any of it happens anywhere: by walking some paths one by one."""
    happened = []
    for path in range(TOLD):
        counts = problem.walk(path, 1)[1].aftermath[:, 0, :, :, -1]
        acts, closes = counts[ACTED_PATHS] > 0, counts[FORCED_PATHS] > 0
        happened.append((acts, closes, acts | closes))
    events = np.array(happened)
    return events.mean(axis=0), float(events.any(axis=(1, 2, 3)).mean())


def main() -> None:
    """Paired turns of both, and their medians."""
    for monitoring in ("close", "bridge"):
        screen, followed = Problem(monitoring, False), Problem(monitoring, True)
        for problem in (screen, followed):
            problem.walk(0, 1)
        turns = []
        for _ in range(TURNS):
            alone, both = screen.walk(0, PATHS)[0], followed.walk(0, PATHS)[0]
            turns.append((alone, both, both / alone))
        alone, both, times = (median(column) for column in zip(*turns, strict=True))
        print(f"{monitoring:7} screen {alone:.1f} us a path, with what follows {both:.1f}: {times:.2f} times")
        shares, anything = tell_events(followed)
        for share, words in zip(shares, ("a policy acts", "the venue closes", "either"), strict=True):
            ends = f"{share.min():.1%} to {share.max():.1%}"
            print(f"        {words} on {share.mean():.1%} of paths, {ends} by account and leverage")
        print(f"        something happens in any of these on {anything:.0%} of paths")
        more = []
        for turn in range(TURNS):
            both, _ = followed.walk(turn * PATHS, PATHS)
            spread, _ = followed.walk(turn * PATHS, PATHS, quantiles=True)
            more.append(spread / both - 1.0)
        print(f"        quantiles cost {median(more):.1%} more")


if __name__ == "__main__":
    main()
