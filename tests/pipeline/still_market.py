"""A market that never moves by itself, so that prices under a scenario are known by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from kernels.structs import LIQUIDATED, LIQUIDATION
from pipeline.blocks import Block
from pipeline.engine import Counts, simulate_block
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document

HOURS = 8
MAINTENANCE = 0.012


def still_document(
    *effects: dict[str, Any], collateral: float = 50.0, size: float = 1.0, monitoring: str = "bridge"
) -> dict[str, Any]:
    """One account with a position in A at 100, entered there; B and C stand at 100 too. A horizon an hour."""
    document = small_document()
    document["simulation"] |= {
        "paths": 64,
        "horizons": [f"{hour}h" for hour in range(1, HOURS + 1)],
        "leverage": [1],
        "monitoring": monitoring,
    }
    names = ["A", "B", "C"]
    document["model"] = {
        "step": "1h",
        "assets": names,
        "initial": "stationary",
        "regimes": {"only": {"volatility": dict.fromkeys(names, 0.0), "correlation": np.eye(3).tolist()}},
    }
    fractions = {"initial_margin": 0.02, "maintenance_margin": MAINTENANCE, "funding_interval": "1h"}
    document["venue"]["markets"] = {f"{name}-USD": {"asset": name, **fractions} for name in names}
    document["prices"] = dict.fromkeys(names, 100.0)
    document["scenarios"] = ["baseline", {"name": "s", "narrative": "S.", "effects": list(effects)}]
    position = {"market": "A-USD", "size": size, "entry": 100.0}
    document["accounts"] = [{"name": "one", "collateral": {"USDC": collateral}, "positions": [position]}]
    document["limits"] = []
    return document


def count(document: dict[str, Any] | Plan) -> Counts:
    """All paths of a plan in one block."""
    plan = document if isinstance(document, Plan) else plan_from_document(document)
    return simulate_block(json.dumps(plan.document()), Block(0, 0, plan.simulation.paths, 0))


def hour_of_hit(document: dict[str, Any], account: int = 0, leverage: int = 0) -> int | None:
    """The hour by which the account is liquidated on every path of the second scenario; None if on none."""
    hits = count(document).hits[LIQUIDATION, 1, account, leverage]
    assert hits.sum() in (0, document["simulation"]["paths"])
    return int(hits.argmax()) + 1 if hits.any() else None


def just_hit(price: float, size: float = 1.0) -> float:
    """Collateral a hair too small at this price of A: C + size (P - 100) = MM |size| P."""
    return MAINTENANCE * abs(size) * price - size * (price - 100.0) - 1e-6


def hours_at(low: float, *effects: dict[str, Any], size: float = 1.0, **rest: Any) -> tuple[Any, Any]:
    """When an account that this price of A just liquidates is hit, and one that it just does not."""
    collateral = just_hit(low, size)
    return (
        hour_of_hit(still_document(*effects, collateral=collateral, size=size, **rest)),
        hour_of_hit(still_document(*effects, collateral=collateral + 2e-6, size=size, **rest)),
    )


def liquidated_by_hour(document: dict[str, Any]) -> list[int]:
    """Accounts of the first group liquidated by each hour, on all paths together, in the second scenario."""
    found: list[int] = count(document).groups[LIQUIDATED, 1, 0, 0].tolist()
    return found
