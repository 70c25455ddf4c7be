"""The plans that are timed: as many assets and accounts as one likes, every account holding every asset."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.plan import Plan, plan_from_document

TAILS = (8.0, 5.0, 3.5)  # degrees of freedom of the three regimes
NINE = (
    *("baseline", "gap-down-10", "gap-down-20", "gap-down-30", "slow-grind", "volatility-storm"),
    *("correlation-one", "correlation-break", "funding-spike"),
)


TWELVE = (*NINE, "gap-up-20", "alt-collapse", "liquidity-blackout")
HORIZONS = ("1h", "4h", "1d", "3d", "7d")


def plan_book(
    assets: int,
    accounts: int,
    leverages: int,
    monitoring: str = "close",
    scenarios: tuple[str, ...] = NINE[:1],
    paths: int = 10_000,
    horizons: tuple[str, ...] = HORIZONS,
) -> Plan:
    """A week of hours under three regimes with Student-t mixing, without funding; dense random books.

    The books are made so that liquidation within the week is rare at the smallest leverage, common at the
    largest.
    """
    rng = np.random.default_rng(11)
    names = [f"X{a:02d}" for a in range(assets)]

    def of_assets(low: float, high: float) -> dict[str, float]:
        return {
            name: round(float(value), 4)
            for name, value in zip(names, rng.uniform(low, high, assets), strict=True)
        }

    def regime(wild: float, correlation: float, tail: float) -> dict[str, Any]:
        rows = np.full((assets, assets), correlation) + (1.0 - correlation) * np.eye(assets)
        return {
            "volatility": of_assets(0.4 * wild, 0.7 * wild),
            "drift": of_assets(-0.2, 0.2),
            "correlation": rows.tolist(),
            "tail": tail,
        }

    def account(number: int) -> dict[str, Any]:
        notional = rng.normal(60_000.0, 120_000.0, assets) / assets
        positions = [
            {"market": f"{name}-USD", "size": round(float(money) / 100.0, 4), "entry": 100}
            for name, money in zip(names, notional, strict=True)
        ]
        return {"name": f"book-{number:03d}", "collateral": {"USDC": 100_000}, "positions": positions}

    return plan_from_document(
        {
            "name": "bench",
            "as_of": "2026-01-01T00:00:00Z",
            "simulation": {
                "seed": 3,
                "paths": paths,
                "step": "1h",
                "horizons": list(horizons),
                "leverage": [float(i) for i in range(1, leverages + 1)],
                "monitoring": monitoring,
            },
            "venue": {
                "rules": "dydx_v4",
                "as_of": "2026-01-01",
                "taker_fee": 0.0005,
                "markets": {
                    f"{name}-USD": {"asset": name, "initial_margin": 0.05, "maintenance_margin": 0.03}
                    for name in names
                },
            },
            "prices": dict.fromkeys(names, 100),
            "model": {
                "step": "1h",
                "assets": names,
                "initial": "stationary",
                "regimes": {
                    "calm": regime(1.0, 0.6, TAILS[0]),
                    "stressed": regime(1.6, 0.7, TAILS[1]),
                    "crisis": regime(2.5, 0.8, TAILS[2]),
                },
                "transitions": {
                    "calm": {"calm": 0.98, "stressed": 0.015, "crisis": 0.005},
                    "stressed": {"calm": 0.02, "stressed": 0.96, "crisis": 0.02},
                    "crisis": {"calm": 0.01, "stressed": 0.03, "crisis": 0.96},
                },
            },
            "scenarios": list(scenarios),
            "accounts": [account(number) for number in range(accounts)],
        }
    )
