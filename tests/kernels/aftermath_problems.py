"""Random small plans in which much happens after a breach: every policy, both rule families, thin books."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.plan import Plan, plan_from_document

NAMES = ("A", "B", "C", "D")
Document = dict[str, Any]
Random = np.random.Generator


def problems(seed: int, *, paths: int = 64) -> Plan:
    """A plan: 1 to 3 accounts on dydx_v4 or tiered venues, 2 to 4 assets, three leverages, 6 to 30 steps of
    an hour, monitored at closes. About half of the accounts at a leverage have events, path by path."""
    return plan_from_document(document(seed, paths=paths))


def document(seed: int, *, paths: int = 64, accounts: tuple[int, int] = (1, 3)) -> Document:
    """The plan as data. accounts: at least, and at most."""
    rng = np.random.default_rng(seed)
    names = list(NAMES[: rng.integers(2, 5)])
    prices = {name: float(np.exp(rng.uniform(0.0, 8.0))) for name in names}
    steps = int(rng.integers(6, 31))
    venues = {"chain": _chain(rng, names), "desk": _tiered(rng, names)}
    first = str(rng.choice(list(venues)))
    half = max(1, steps // 2)
    leverage = [round(rng.uniform(0.4, 0.9), 2), 1, round(rng.uniform(1.2, 3.0), 2)]
    model = _model(rng, names)
    scenario = _scenario(rng, names, steps)
    scenario["effects"] += _outliers(np.random.default_rng([seed, 1]), names, steps)
    book = [
        _account(rng, f"account-{i}", names, prices, first, venues)
        for i in range(rng.integers(accounts[0], accounts[1] + 1))
    ]
    aside = np.random.default_rng([seed, 2])
    for account in book:
        _isolate(aside, account, prices)
    return {
        "name": f"aftermath-{seed}",
        "as_of": "2026-05-15T00:00:00Z",
        "simulation": {
            "seed": seed,
            "paths": paths,
            "step": "1h",
            "horizons": [f"{half}h", f"{steps}h"],
            "leverage": leverage,
            "monitoring": "close",
            "resolve": True,
        },
        "venue": venues[first],
        "venues": {name: venue for name, venue in venues.items() if name != first},
        "prices": prices,
        "model": model,
        "scenarios": ["baseline", scenario],
        "accounts": book,
    }


def _some(rng: Random, chance: float) -> bool:
    return bool(rng.random() < chance)


def _execution(rng: Random) -> Document | None:
    if _some(rng, 0.3):
        return None
    return {
        "depth": float(rng.uniform(10_000, 150_000)),
        "impact": float(rng.uniform(0.002, 0.03)),
        "law": str(rng.choice(["square_root", "linear"])),
    }


def _market(rng: Random, asset: str, **rest: Any) -> Document:
    interval = str(rng.choice(["1h", "2h", "8h"]))
    return {"asset": asset, "funding_interval": interval, "execution": _execution(rng)} | rest


def _chain(rng: Random, names: list[str]) -> Document:
    return {
        "name": "chain",
        "rules": "dydx_v4",
        "as_of": "2026-03-05",
        "taker_fee": 0.0005,
        "gas_cost": float(rng.choice([0.0, 5.0])),
        "insurance_fund": None if _some(rng, 0.4) else float(rng.uniform(0, 5_000)),
        "haircuts": {names[0]: 0.1},
        "liquidation": {
            "max_liquidation_fee": 0.015,
            "bankruptcy_adjustment": float(rng.choice([1.0, 1.5])),
            "spread_to_maintenance_margin_ratio": float(rng.choice([0.5, 1.5])),
            "min_position_notional_liquidated": 1_000,
            "max_position_portion_liquidated": float(rng.choice([0.1, 0.3, 1.0])),
            "max_notional_liquidated_per_block": float(rng.choice([20_000, 100_000])),
            "max_insurance_lost_per_block": float(rng.choice([500, 1_000_000])),
            "max_liquidation_attempts_per_block": 50,
            "max_deleveraging_attempts_per_block": 10,
            "max_deleveraging_accounts_per_block": 500,
        },
        "markets": {
            f"{name}-USD": _market(rng, name, initial_margin=0.05, maintenance_margin=float(m))
            for name, m in zip(names, rng.uniform(0.012, 0.05, len(names)), strict=True)
        },
    }


def _tiered(rng: Random, names: list[str]) -> Document:
    brackets = [
        {"up_to": 20_000, "maintenance_margin": 0.01, "max_leverage": 50},
        {"up_to": 60_000, "maintenance_margin": 0.025, "max_leverage": 20},
        {"up_to": 1e9, "maintenance_margin": 0.05, "max_leverage": 10},
    ]
    return {
        "name": "desk",
        "rules": "tiered",
        "as_of": "2026-09-01",
        "quote": "USDT",
        "taker_fee": 0.0005,
        "fee_tiers": {"vip": {"taker": 0.0003, "maker": -0.0001}},
        "gas_cost": float(rng.choice([0.0, 2.0])),
        "insurance_fund": None if _some(rng, 0.4) else float(rng.uniform(0, 3_000)),
        "haircuts": {names[0]: 0.05, names[1]: 0.15},
        "liquidation": {
            "style": str(rng.choice(["full", "partial"])),
            "fee": float(rng.choice([0.0, 0.01])),
        },
        "markets": {f"{name}USDT": _market(rng, name, brackets=brackets) for name in names},
    }


def _model(rng: Random, names: list[str]) -> Document:
    def regime(loud: float, depth: float) -> Document:
        return {
            "volatility": dict(zip(names, (loud * rng.uniform(0.8, 1.4, len(names))).tolist(), strict=True)),
            "correlation": (0.5 * np.eye(len(names)) + 0.5).tolist(),
            "funding": dict(zip(names, rng.uniform(-1.0, 2.0, len(names)).tolist(), strict=True)),
            "depth": dict.fromkeys(names, depth),
            "tail": 4.0,
        }

    return {
        "step": "1h",
        "assets": names,
        "initial": "stationary",
        "regimes": {"calm": regime(0.5, 1.0), "wild": regime(1.8, 0.4)},
        "transitions": {"calm": {"calm": 0.9, "wild": 0.1}, "wild": {"calm": 0.2, "wild": 0.8}},
    }


def _scenario(rng: Random, names: list[str], steps: int) -> Document:
    def when() -> str:
        return f"{rng.integers(0, steps - 1)}h"

    def how_long() -> str:
        return f"{rng.integers(1, 7)}h"

    effects: list[Document] = []
    if _some(rng, 0.4):
        effects.append({"effect": "shock", "moves": {"all": float(rng.uniform(-0.1, 0.1))}})
    if _some(rng, 0.6):
        moves = {str(rng.choice(names)): float(rng.uniform(-0.2, 0.2))}
        effects.append({"effect": "shock", "moves": moves, "at": f"{rng.integers(1, steps - 1)}h"})
    if _some(rng, 0.6):
        trouble: Document = {"at": when(), "for": how_long()}
        kind = rng.integers(3)
        if kind == 0:
            trouble |= {"effect": "halt"}
        else:
            trouble |= {"effect": "oracle"} | ({"freeze": True} if kind == 1 else {"delay": "2h"})
        effects.append(trouble)
    if _some(rng, 0.4):
        effects.append({"effect": "gas", "multiply": 20, "delay": "1h", "at": when(), "for": how_long()})
    if _some(rng, 0.4):
        effects.append({"effect": "depth", "multiply": {"all": 0.3}, "at": when(), "for": how_long()})
    if _some(rng, 0.3):
        effects.append({"effect": "loss", "share": 0.2, "at": when(), "for": how_long()})
    return {"name": "trouble", "narrative": "Much at once.", "effects": effects}


def _outliers(rng: Random, names: list[str], steps: int) -> list[Document]:
    """In half of the plans one, let through in one of four ways; two in a quarter of them."""
    found: list[Document] = []
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        filters: Document = [{}, {"confirm": "1h"}, {"average": "3h"}, {"sources": {"of": 4, "wrong": 2}}][
            rng.integers(4)
        ]
        wrong = {str(rng.choice([*names, "all"])): float(rng.uniform(0.85, 1.15))}
        when = {"at": f"{rng.integers(0, steps - 1)}h", "for": f"{rng.integers(1, 5)}h"}
        found.append({"effect": "oracle", "multiply": wrong} | when | filters)
    return found


def _account(
    rng: Random,
    name: str,
    names: list[str],
    prices: dict[str, float],
    first: str,
    venues: dict[str, Document],
) -> Document:
    venue = str(rng.choice(list(venues)))
    tiered, quote = venue == "desk", venues[venue].get("quote", "USDC")
    margin = str(rng.choice(["cross", "isolated", "mixed"]))
    held = rng.choice(names, rng.integers(1, len(names) + 1), replace=False).tolist()
    positions: list[Document] = []
    for i, asset in enumerate(held):
        notional = float(rng.uniform(10_000, 60_000)) * (1 if _some(rng, 0.6) else -1)
        position: Document = {
            "market": f"{asset}USDT" if tiered else f"{asset}-USD",
            "size": notional / prices[asset],
            "entry": prices[asset] * float(rng.uniform(0.97, 1.03)),
            "strategy": ("carry", "trend")[i % 2],
        }
        if margin == "isolated" or (margin == "mixed" and i == 0):
            alone = abs(notional) * float(rng.uniform(0.06, 0.25))
            position |= {"margin": "isolated", "collateral": alone}
        positions.append(position)
    both_ways = tiered and _some(rng, 0.3)
    if both_ways:
        twin = {"size": -0.6 * positions[0]["size"], "entry": prices[held[0]], "strategy": "trend"}
        positions.append(positions[0] | twin)
        held.append(held[0])
    gross = sum(abs(p["size"]) * prices[a] for p, a in zip(positions, held, strict=True))
    collateral = {quote: gross * float(rng.uniform(0.06, 0.25))}
    if margin != "isolated" and _some(rng, 0.5):
        asset = names[0]
        collateral[asset] = gross * float(rng.uniform(0.0, 0.08)) / prices[asset]
    account: Document = {
        "name": name,
        "margin": margin,
        "venue": None if venue == first else venue,
        "position_mode": "hedge" if both_ways else "one_way",
        "collateral": collateral,
        "positions": positions,
        "policies": _policies(rng, positions, held, prices, gross),
    }
    if tiered and _some(rng, 0.5):
        account["fee_tier"] = "vip"
    return {key: value for key, value in account.items() if value is not None}


def _isolate(rng: Random, account: Document, prices: dict[str, float]) -> None:
    """In half of the accounts with a shared pool a policy that moves a position of it, at any place."""
    usual = account["margin"]
    shared = [p for p in account["positions"] if p.get("margin", usual) != "isolated"]
    if not shared or _some(rng, 0.5):
        return
    position = shared[rng.integers(len(shared))]
    notional = abs(position["size"]) * position["entry"]
    policy = {
        "kind": "isolate",
        "market": position["market"],
        "above": float(rng.uniform(0.05, 0.6)),
        "collateral": notional * float(rng.uniform(0.03, 0.15)),
        "delay": f"{int(rng.choice([0, 90]))}m",
    }
    account["policies"].insert(int(rng.integers(len(account["policies"]) + 1)), policy)


def _policies(
    rng: Random, positions: list[Document], held: list[str], prices: dict[str, float], gross: float
) -> list[Document]:
    """None in a quarter of the accounts, else one to three, each kind as likely."""
    if _some(rng, 0.25):
        return []

    def late() -> Document:
        return {"delay": f"{int(rng.choice([0, 0, 30, 120]))}m"}

    i = int(rng.integers(len(positions)))
    worse = prices[held[i]] * (0.95 if positions[i]["size"] > 0 else 1.05)
    amount = 0.03 * gross
    kinds: list[Document] = [
        {"kind": "top_up", "below": 2.0, "amount": amount, "reserve": amount * float(rng.uniform(1.0, 3.0))}
        | late(),
        {
            "kind": "ladder",
            "rungs": [
                {"below": 2.5, "close": 0.25},
                {"below": 1.6, "close": 0.5},
                {"below": 1.2, "close": 1.0},
            ],
        }
        | late()
        | ({"markets": [positions[i]["market"]]} if _some(rng, 0.3) else {}),
        {"kind": "stop", "market": positions[i]["market"], "price": worse} | late(),
        {"kind": "stop", "drawdown": float(rng.uniform(0.3, 0.7))} | late(),
        {"kind": "strategy_cap", "strategy": positions[i]["strategy"], "loss": 0.05 * gross} | late(),
        {"kind": "rebalance", "low": 4.0, "target": 7.0, "high": float(rng.uniform(9.0, 14.0))} | late(),
        {"kind": "override", "below": 1.5, "close": 0.5, "delay": "2h", "probability": 0.5},
    ]
    count = int(rng.integers(1, 4))
    return [kinds[k] for k in rng.permutation(len(kinds))[:count]]
