"""A small plan that is right, for tests to spoil."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def wick_document() -> dict[str, Any]:
    """Wicks of a regime of the small plan's two assets."""

    def way(common: float) -> dict[str, Any]:
        return {
            "common": common,
            "probability": {"BTC": 0.3, "ETH": 0.4},
            "scale": {"BTC": 0.8, "ETH": 0.9},
            "tail": {"BTC": 0.1, "ETH": 0.0},
        }

    return {"down": way(0.8), "up": way(0.6)}


def wicked_document() -> dict[str, Any]:
    """The small plan with wicks in both regimes, watched there too."""
    document = small_document()
    for regime in document["model"]["regimes"].values():
        regime["wick"] = wick_document()
    document["simulation"]["monitoring"] = "wick"
    return document


def two_sided_jumps() -> dict[str, Any]:
    """Double-exponential jumps of the small plan's two assets."""
    return {
        "law": "double_exponential",
        "intensity": 12,
        "up_probability": {"BTC": 0.3, "ETH": 0.4},
        "up_mean": {"BTC": 0.03, "ETH": 0.04},
        "down_mean": {"BTC": 0.05, "ETH": 0.07},
        "correlation": 0.9,
    }


def small_document() -> dict[str, Any]:
    """Two assets, two regimes, two accounts, three scenarios: a fresh copy at each call."""
    return {
        "name": "small",
        "as_of": "2026-05-15T00:00:00Z",
        "simulation": {
            "seed": 7,
            "paths": 1000,
            "step": "1h",
            "horizons": ["1h", "4h", "1d"],
            "leverage": [0.5, 1, 2],
            "monitoring": "close",
        },
        "venue": {
            "rules": "dydx_v4",
            "as_of": "2026-03-05",
            "taker_fee": 0.0005,
            "markets": {
                "BTC-USD": {"asset": "BTC", "initial_margin": 0.02, "maintenance_margin": 0.012},
                "ETH-USD": {"asset": "ETH", "initial_margin": 0.02, "maintenance_margin": 0.012},
                "SOL-USD": {"asset": "SOL", "initial_margin": 0.05, "maintenance_margin": 0.03},
            },
        },
        "prices": {"BTC": 61_250, "ETH": 3_020},
        "model": {
            "step": "1h",
            "assets": ["BTC", "ETH"],
            "initial": "stationary",
            "regimes": {
                "calm": {
                    "volatility": {"BTC": 0.45, "ETH": 0.60},
                    "drift": {"BTC": 0.1},
                    "correlation": [[1, 0.8], [0.8, 1]],
                    "funding": {"BTC": 0.10, "ETH": 0.08},
                    "tail": None,
                },
                "crisis": {
                    "volatility": {"BTC": 1.3, "ETH": 1.6},
                    "correlation": [[1, 0.95], [0.95, 1]],
                    "tail": 4,
                    "jumps": {
                        "intensity": 12,
                        "mean": {"BTC": -0.04, "ETH": -0.05},
                        "volatility": {"BTC": 0.03, "ETH": 0.04},
                        "correlation": 0.9,
                    },
                },
            },
            "transitions": {
                "calm": {"calm": 0.995, "crisis": 0.005},
                "crisis": {"calm": 0.04, "crisis": 0.96},
            },
        },
        "scenarios": [
            "baseline",
            "gap-down-10",
            {
                "name": "storm",
                "narrative": "Everything at once.",
                "effects": [
                    {"effect": "regime", "force": "crisis", "at": "1h", "for": "4h"},
                    {"effect": "volatility", "multiply": {"all": 2, "BTC": 3}},
                ],
            },
        ],
        "accounts": [
            {
                "name": "basis",
                "collateral": {"USDC": 100_000},
                "positions": [
                    {"market": "BTC-USD", "size": 4.0, "entry": 60_100, "strategy": "carry"},
                    {"market": "ETH-USD", "size": -70, "entry": 3_105, "bucket": "tactical"},
                ],
            },
            {
                "name": "directional",
                "collateral": {"USDC": 25_000},
                "positions": [{"market": "BTC-USD", "size": 2, "entry": 61_000}],
            },
        ],
        "limits": [
            {"metric": "p_liquidation", "horizon": "1d", "scenario": "baseline", "max": 0.01},
            {"metric": "concentration", "max": 0.3},
        ],
    }


def spoil(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The document with the value at a path replaced, or, for `...`, removed."""
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return document


def tiered_venue() -> dict[str, Any]:
    """A tiered venue that quotes USDT and takes BTC as collateral: brackets on BTC, two fractions on ETH."""
    return {
        "name": "bracketed",
        "rules": "tiered",
        "as_of": "2026-09-01",
        "quote": "USDT",
        "taker_fee": 0.0005,
        "fee_tiers": {
            "regular": {"taker": 0.0005, "maker": 0.0002},
            "vip": {"taker": 0.0003, "maker": -0.0001},
        },
        "haircuts": {"BTC": 0.05},
        "markets": {
            "BTCUSDT": {
                "asset": "BTC",
                "funding_interval": "8h",
                "brackets": [
                    {"up_to": 10_000, "maintenance_margin": 0.005, "max_leverage": 75},
                    {"up_to": 50_000, "maintenance_margin": 0.01, "max_leverage": 50},
                    {"up_to": 200_000, "maintenance_margin": 0.015, "max_leverage": 40},
                    {"up_to": 1_000_000, "maintenance_margin": 0.02, "max_leverage": 25},
                ],
            },
            "ETHUSDT": {"asset": "ETH", "initial_margin": 0.04, "maintenance_margin": 0.02},
        },
    }


def tiered_document() -> dict[str, Any]:
    """The small plan with its second account, `hedger`, on the tiered venue: a fresh copy at each call."""
    document = small_document()
    document["venues"] = {"bracketed": tiered_venue()}
    document["accounts"][1] = {
        "name": "hedger",
        "venue": "bracketed",
        "margin": "mixed",
        "fee_tier": "vip",
        "position_mode": "hedge",
        "collateral": {"USDT": 20_000, "BTC": 1.5},
        "positions": [
            {"market": "BTCUSDT", "size": 2, "entry": 61_000, "leverage": 20},
            {"market": "BTCUSDT", "size": -1, "entry": 60_000},
            {"market": "ETHUSDT", "size": 5, "entry": 3_000, "margin": "isolated", "collateral": 2_000},
        ],
    }
    return document


def drawn_document(paths: int = 2_048) -> dict[str, Any]:
    """The small plan over five draws of its model's parameters, each louder than the last; hit often."""
    document = small_document()
    model = document["model"]
    model |= {
        "initial": "filtered",
        "filtered": {"as_of": "2026-05-15T00:00:00Z", "law": {"calm": 0.5, "crisis": 0.5}},
        "levels": {
            "scale": {"low": 0.8, "high": 1.2},
            "transitions": {"low": {"low": 0.99, "high": 0.01}, "high": {"low": 0.02, "high": 0.98}},
        },
    }
    model["filtered"]["levels"] = {"calm": {"low": 1.0}, "crisis": {"high": 1.0}}
    model["regimes"]["crisis"]["funding"] = {"BTC": 0.2, "ETH": 0.1}
    figures = ("volatility", "correlation", "tail", "funding")
    model["parameter_draws"] = [
        {
            "regimes": {
                name: {
                    **{key: regime[key] for key in figures},
                    "volatility": {
                        asset: value * (0.8 + 0.1 * draw) for asset, value in regime["volatility"].items()
                    },
                    "drift": {"ETH": 0.1 * draw},
                }
                for name, regime in model["regimes"].items()
            },
            "transitions": deepcopy(model["transitions"]),
            "levels": {**deepcopy(model["levels"]), "scale": {"low": 0.8 - 0.05 * draw, "high": 1.2}},
            "filtered": {
                "law": {"calm": 0.9 - 0.2 * draw, "crisis": 0.1 + 0.2 * draw},
                "levels": {"calm": {"low": 0.5, "high": 0.5}, "crisis": {"high": 1.0}},
            },
        }
        for draw in range(5)
    ]
    document["simulation"] |= {"paths": paths, "monitoring": "bridge", "parameter_uncertainty": True}
    document["accounts"][0]["collateral"]["USDC"] = 500
    document["accounts"][1]["positions"][0]["size"] = 4
    return document


def resolved_document(paths: int = 2_048) -> dict[str, Any]:
    """The small plan with what follows a breach: a ladder and a top-up in a thin book, coins beside an
    isolated position, an account that holds nothing, one of isolated positions alone."""
    document = small_document()
    document["simulation"] |= {"paths": paths, "monitoring": "bridge"}
    document["limits"] = []
    venue = document["venue"]
    venue |= {"insurance_fund": 2_000_000, "gas_cost": 3, "haircuts": {"ETH": 0.1}}
    venue["markets"]["ETHB-USD"] = dict(venue["markets"]["ETH-USD"])
    venue["markets"]["BTC-USD"]["execution"] = {"depth": 2e6, "impact": 0.02, "law": "square_root"}
    basis, directional = document["accounts"]
    basis["collateral"] = {"USDC": 15_000, "ETH": 2}
    basis["positions"].append(
        {"market": "ETHB-USD", "size": 30, "entry": 3_000, "margin": "isolated", "collateral": 4_000}
    )
    directional["positions"] = [
        {"market": "ETH-USD", "size": 20, "entry": 3_000},
        {"market": "ETHB-USD", "size": 0, "entry": 3_000},
        {"market": "BTC-USD", "size": 4, "entry": 61_000},
    ]
    directional["policies"] = [
        {"kind": "ladder", "rungs": [{"below": 3, "close": 0.3}, {"below": 1.5, "close": 0.5}]},
        {"kind": "top_up", "below": 2, "amount": 2_000, "reserve": 4_000, "delay": "1h"},
    ]
    document["accounts"] += [
        {"name": "quiet", "collateral": {"USDC": 1_000}, "positions": []},
        {
            "name": "short",
            "margin": "isolated",
            "positions": [
                {"market": "ETH-USD", "size": -40, "entry": 3_020, "collateral": 4_000},
                {"market": "BTC-USD", "size": 1, "entry": 61_000, "collateral": 3_000},
            ],
        },
    ]
    return document
