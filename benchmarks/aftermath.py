"""`python -m benchmarks.aftermath`: what it costs to follow what comes after a breach."""

from __future__ import annotations

import time
from statistics import mean, median
from typing import Any

from kernels.simulate import simulate_general_paths
from kernels.structs import ACTED_PATHS, FORCED_PATHS, Tally, create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document

PATHS, TURNS = 4_000, 5
LEVERAGE = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5]
FIGHTS = [
    {"kind": "top_up", "below": 1.6, "amount": 2_000, "reserve": 5_000, "delay": "2h"},
    {"kind": "ladder", "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.25, "close": 0.5}]},
]
STOPS = [
    {"kind": "stop", "drawdown": 0.8},
    {"kind": "stop", "market": "BTC-USD", "price": 45_000},
    {"kind": "override", "below": 1.1, "close": 1, "delay": "1h", "probability": 0.5},
]


def plan_document(monitoring: str, follows: bool) -> dict[str, Any]:
    """Three accounts of two assets for a week: two whose desks act, one isolated and left alone."""
    long, short = {"market": "BTC-USD", "size": 2, "entry": 59_000}, {"market": "ETH-USD", "size": -20}
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
        accounts[0]["policies"] = FIGHTS + STOPS
        accounts[1]["policies"] = FIGHTS
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


def measure(monitoring: str, follows: bool, quantiles: bool = False) -> tuple[float, Tally]:
    """CPU microseconds a path, and what was counted."""
    plan = plan_from_document(plan_document(monitoring, follows))
    slab = range(len(plan.accounts))
    market = lower_market(plan)
    book, clock = lower_book(plan, market, slab), lower_clock(plan)
    desks = lower_desks(plan, market, book, slab) if follows else None
    width = 0 if desks is None else desks.holdings.width
    several = int(book.several.max(initial=-1)) + 1
    tally = create_tally(1, len(slab), len(LEVERAGE), 2, True, several, 0, width, quantiles)
    before = time.process_time()
    simulate_general_paths(plan.simulation.seed, 0, PATHS, market, book, clock, tally, desks)
    return (time.process_time() - before) / PATHS * 1e6, tally


def main() -> None:
    """Paired turns of both, and their medians."""
    for monitoring in ("close", "bridge"):
        for follows in (False, True):
            measure(monitoring, follows)
        turns = []
        for _ in range(TURNS):
            alone, _ = measure(monitoring, False)
            both, tally = measure(monitoring, True)
            turns.append((alone, both, both / alone))
        alone, both, times = (median(column) for column in zip(*turns, strict=True))
        print(f"{monitoring:7} screen {alone:.1f} us a path, with what follows {both:.1f}: {times:.2f} times")
        more = []
        for _ in range(TURNS):
            both, _ = measure(monitoring, True)
            spread, _ = measure(monitoring, True, quantiles=True)
            more.append(spread / both - 1.0)
        print(f"        quantiles cost {median(more):.1%} more")
        for row, words in ((ACTED_PATHS, "a policy acts"), (FORCED_PATHS, "the venue closes")):
            shares = tally.aftermath[row, 0, :, :, -1] / PATHS
            ends = f"{shares.min():.1%} to {shares.max():.1%}"
            print(f"        {words} on {mean(shares.flat):.1%} of paths, {ends}")


if __name__ == "__main__":
    main()
