"""A plan in which desks and venues have much to do, and one that has more than one kind of pool."""

from __future__ import annotations

from typing import Any

from tests.pipeline.documents import small_document, tiered_document

PATHS = 40


def busy_document() -> dict[str, Any]:
    """Dydx accounts in thin markets, with policies that act: a day in hours, a storm and a halt."""
    document = small_document()
    document["simulation"] |= {"paths": PATHS, "monitoring": "bridge", "leverage": [1, 2], "resolve": True}
    document["venue"]["gas_cost"] = 3
    for market in document["venue"]["markets"].values():
        market["execution"] = {"depth": 150_000, "impact": 0.02, "law": "square_root"}
    document["venue"]["insurance_fund"] = 2_000
    document["scenarios"] = [
        "baseline",
        {
            "name": "storm",
            "narrative": "A fall, a halt, and more of it.",
            "effects": [
                {"effect": "regime", "force": "crisis", "at": "0h", "for": "24h"},
                {"effect": "volatility", "multiply": {"all": 2}},
                {"effect": "shock", "at": "5h", "moves": {"BTC": -0.08, "ETH": -0.1}},
                {"effect": "halt", "at": "8h", "for": "3h"},
            ],
        },
    ]
    basis, directional = document["accounts"]
    basis["policies"] = [
        {"kind": "ladder", "rungs": [{"below": 6, "close": 0.25}, {"below": 2, "close": 0.5}]},
        {"kind": "strategy_cap", "strategy": "carry", "loss": 30_000},
    ]
    directional["positions"][0]["size"] = 4
    directional["policies"] = [
        {"kind": "top_up", "below": 3, "amount": 3_000, "reserve": 5_000, "delay": "2h"},
        {"kind": "stop", "drawdown": 0.6},
    ]
    plain = {**directional, "name": "left-alone", "policies": []}
    document["accounts"] = [basis, directional, plain]
    document["limits"] = []
    return document


def pooled_document() -> dict[str, Any]:
    """A tiered venue: brackets, a coin as collateral, both sides of a market, an isolated position."""
    document = tiered_document()
    document["simulation"] |= {"paths": PATHS, "leverage": [1, 2], "resolve": True, "monitoring": "bridge"}
    document["limits"] = []
    document["scenarios"] = [
        "baseline",
        {
            "name": "fall",
            "narrative": "A fall of all.",
            "effects": [
                {"effect": "regime", "force": "crisis", "at": "0h", "for": "24h"},
                {"effect": "volatility", "multiply": {"all": 6}},
                {"effect": "loss", "share": 0.1, "at": "3h"},
            ],
        },
    ]
    return document
