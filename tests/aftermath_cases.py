"""Small accounts on prices written down by hand, for what follows a breach to be worked out on paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.plan import Plan, plan_from_document
from tests.aftermath_estate import columns_of
from tests.aftermath_oracle import Followed, Path, follow

Document = dict[str, Any]
NAMES = ("A", "B")
# dYdX's live parameters
LIQUIDATION = {
    "max_liquidation_fee": 0.015,
    "bankruptcy_adjustment": 1.0,
    "spread_to_maintenance_margin_ratio": 1.5,
    "min_position_notional_liquidated": 1_000,
    "max_position_portion_liquidated": 0.1,
    "max_notional_liquidated_per_block": 100_000,
    "max_insurance_lost_per_block": 1_000_000,
    "max_liquidation_attempts_per_block": 50,
    "max_deleveraging_attempts_per_block": 10,
    "max_deleveraging_accounts_per_block": 500,
}


def chain(**changes: Any) -> Document:
    """dydx_v4 with markets A-USD and B-USD, maintenance 3 %; `execution` is that of both."""
    execution = changes.pop("execution", None)
    fractions = {"initial_margin": 0.05, "maintenance_margin": changes.pop("maintenance", 0.03)}
    liquidation = LIQUIDATION | changes.pop("liquidation", {})
    return {
        "rules": "dydx_v4",
        "as_of": "2026-03-05",
        "taker_fee": 0.0005,
        "liquidation": liquidation,
        "markets": {f"{name}-USD": {"asset": name, "execution": execution} | fractions for name in NAMES},
    } | changes


def tiered(style: str, fee: float = 0.0, **changes: Any) -> Document:
    """A tiered venue with markets A-USD and B-USD, maintenance 3 % at any size."""
    execution = changes.pop("execution", None)
    brackets = [{"up_to": 1e9, "maintenance_margin": 0.03, "max_leverage": 20}]
    return {
        "rules": "tiered",
        "as_of": "2026-09-01",
        "quote": "USD",
        "taker_fee": 0.0005,
        "liquidation": {"style": style, "fee": fee},
        "markets": {
            f"{name}-USD": {"asset": name, "execution": execution, "brackets": brackets} for name in NAMES
        },
    } | changes


def long_a(size: float = 1_000.0, **rest: Any) -> Document:
    """A long of A, entered at 100."""
    return {"market": "A-USD", "size": size, "entry": 100.0} | rest


def short_b(size: float = 500.0, **rest: Any) -> Document:
    """A short of B, entered at 100."""
    return {"market": "B-USD", "size": -size, "entry": 100.0} | rest


def case(
    *policies: Document,
    positions: Sequence[Document] = (),
    collateral: float | Document = 10_000.0,
    venue: Document | None = None,
    effects: Sequence[Document] = (),
    step: str = "1h",
    steps: int = 8,
    prices: Document | None = None,
    book: float | None = None,
    **account: Any,
) -> Plan:
    """One account, as a rule a thousand A at 100 with 10,000 behind them; effects of the second scenario.
    `book` is the depth of the one regime, as a multiple."""
    venue = chain() if venue is None else venue
    quote = venue.get("quote", "USDC")
    unit, count = step[-1], int(step[:-1])
    return plan_from_document(
        {
            "name": "case",
            "as_of": "2026-05-15T00:00:00Z",
            "simulation": {
                "paths": 64,
                "step": step,
                "horizons": [f"{count * (i + 1)}{unit}" for i in range(steps)],
                "monitoring": "close",
                "resolve": True,
            },
            "venue": venue,
            "prices": prices or dict.fromkeys(NAMES, 100.0),
            "model": {
                "step": "1h",
                "assets": list(NAMES),
                "initial": "stationary",
                "regimes": {
                    "only": {"volatility": dict.fromkeys(NAMES, 0.0), "correlation": np.eye(2).tolist()}
                    | ({} if book is None else {"depth": dict.fromkeys(NAMES, book)})
                },
            },
            "scenarios": ["baseline", {"name": "s", "narrative": "S.", "effects": list(effects)}],
            "accounts": [
                {
                    "name": "one",
                    "collateral": collateral if isinstance(collateral, dict) else {quote: collateral},
                    "positions": list(positions) or [long_a()],
                    "policies": list(policies),
                }
                | account
            ],
        }
    )


def run(
    plan: Plan,
    *closes: float | tuple[float, float],
    start: float | tuple[float, float] | None = None,
    rate: float = 0.0,
    leverage: float = 1.0,
    pick: Callable[[int, int], float] = lambda step, look: 0.0,
    attends: Callable[[int], float] = lambda policy: 0.0,
    scenario: int = 1,
) -> Followed:
    """Follow the account on these closes of A, or of A and B; the last one stays. `start`: what the first
    step starts at, if not what stands at `as_of`."""
    columns = columns_of(plan)
    steps = plan.simulation.horizons[-1] // plan.simulation.step
    rows = [np.broadcast_to(np.atleast_1d(close), len(columns)) for close in closes]
    price = np.array([*rows, *[rows[-1]] * (steps - len(rows))], np.float64)
    spot = np.array([plan.prices[name] for name in columns])
    first = spot if start is None else np.broadcast_to(np.atleast_1d(start), len(columns))
    path = Path(
        before=np.vstack([first, price[:-1]]),
        price=price,
        rate=np.full(price.shape, rate),
        regime=np.zeros(steps, np.int64),
        looks=np.arange(steps) == 0,
    )
    return follow(plan, plan.scenarios[scenario], plan.accounts[0], leverage, path, pick, attends)


def happened(followed: Followed, *kinds: str) -> list[tuple[int, str, float, float, float]]:
    """Events of some kinds: step, kind, quantity, price, money, to six places."""
    return [
        (e.step, e.kind, round(e.quantity, 6), round(e.price, 6), round(e.money, 6))
        for e in followed.events
        if e.kind in kinds
    ]
