"""A venue's document made complete: what is shipped for it, and what follows from its other figures."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

from pipeline.yaml_text import load_text

VENUES = Path(__file__).parent / "venues"
# whose liquidation parameters and fee an inline dydx_v4 venue takes where it says nothing
DEFAULTS = "dydx-v4-2026-03"
TIERED_LIQUIDATION = {"style": "full", "fee": 0.0}
LARGEST = 1e18  # a figure beyond it is no notional


@cache
def _shipped_defaults() -> dict[str, Any]:
    shipped: dict[str, Any] = load_text(VENUES / f"{DEFAULTS}.yaml").content
    return {key: shipped[key] for key in ("liquidation", "taker_fee")}


def complete_venue(document: Any) -> Any:
    """A venue's document with what it leaves out; anything that isn't right stays, for a message to name it.

    dydx_v4: shipped liquidation parameters and fee, and each market's fractions from its tier. tiered: full
    liquidation without a fee, one bracket out of two fractions, and maintenance amounts by continuity.
    """
    if not isinstance(document, dict):
        return document
    tiered = document.get("rules") == "tiered"
    completed = dict(document)
    if not tiered:
        for key, value in _shipped_defaults().items():
            completed[key] = value if document.get(key) is None else document[key]
    else:
        completed["liquidation"] = _complete_liquidation(document.get("liquidation"))
    markets, tiers = document.get("markets"), document.get("tiers")
    if isinstance(markets, dict):
        completed["markets"] = {
            name: _complete_market(market, tiers if isinstance(tiers, dict) else {}, tiered)
            for name, market in markets.items()
        }
    return completed


def _complete_liquidation(liquidation: Any) -> Any:
    """Of a tiered venue; what has keys of dydx_v4's stays, for a message to name them."""
    if liquidation is None:
        return dict(TIERED_LIQUIDATION)
    if not isinstance(liquidation, dict) or not _shipped_defaults()["liquidation"].keys().isdisjoint(
        liquidation
    ):
        return liquidation
    return {**TIERED_LIQUIDATION, **liquidation}


def _complete_market(market: Any, tiers: dict[Any, Any], tiered: bool) -> Any:
    if not isinstance(market, dict):
        return market
    if not tiered:
        return _from_tier(market, tiers)
    brackets = market.get("brackets")
    if isinstance(brackets, list | tuple) and brackets:
        return {**market, "brackets": _with_amounts(brackets)}
    return _as_bracket(market)


def _from_tier(market: dict[str, Any], tiers: dict[Any, Any]) -> dict[str, Any]:
    name = market.get("tier")
    tier = tiers.get(name) if isinstance(name, str) else None
    margins = tier_margins(tier) if isinstance(tier, dict) else None
    if margins is None:
        return market
    keys = ("initial_margin", "maintenance_margin")
    return {
        **market,
        **{key: margin for key, margin in zip(keys, margins, strict=True) if market.get(key) is None},
    }


def tier_margins(tier: dict[str, Any]) -> tuple[float, float] | None:
    """Initial and maintenance margin of a tier's markets; None where its figures aren't fractions."""
    initial, fraction = tier.get("initial_margin"), tier.get("maintenance_fraction")
    if not (_is_fraction(initial) and _is_fraction(fraction)):
        return None
    return float(initial), float(_exact(initial) * _exact(fraction))


def _as_bracket(market: dict[str, Any]) -> dict[str, Any]:
    initial, maintenance = market.get("initial_margin"), market.get("maintenance_margin")
    if not (_is_fraction(initial) and _is_fraction(maintenance) and initial > 0 and maintenance <= initial):
        return market
    rest = {
        key: value for key, value in market.items() if key not in ("initial_margin", "maintenance_margin")
    }
    bracket = {"maintenance_margin": maintenance, "max_leverage": 1.0 / initial, "cum": 0.0}
    return {**rest, "brackets": [bracket]}


def _with_amounts(brackets: Sequence[Any]) -> list[Any]:
    return [
        {**bracket, "cum": float(amount)}
        if isinstance(bracket, dict) and bracket.get("cum") is None and amount is not None
        else bracket
        for bracket, amount in zip(brackets, maintenance_amounts(brackets), strict=True)
    ]


def maintenance_amounts(brackets: Sequence[Any]) -> list[Decimal | None]:
    """What `cum` of each bracket must be for maintenance margin to be continuous, in exact decimals.

    cum is 0 in the first bracket, and cum_b = cum_{b-1} + up_to_{b-1} x (rate_b - rate_{b-1}). None from the
    first bracket on that it can't be told for.
    """
    amounts: list[Decimal | None] = []
    amount, before = Decimal(0), None
    for bracket in brackets:
        rate = bracket.get("maintenance_margin") if isinstance(bracket, dict) else None
        if not _is_fraction(rate):
            break
        if before is not None:
            up_to, lower = before.get("up_to"), before["maintenance_margin"]
            if not _is_number(up_to) or rate < lower:
                break
            amount += _exact(up_to) * (_exact(rate) - _exact(lower))
        amounts.append(amount)
        before = bracket
    return amounts + [None] * (len(brackets) - len(amounts))


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= value <= LARGEST


def _is_fraction(value: Any) -> TypeGuard[float]:
    return _is_number(value) and value <= 1


def _exact(value: float) -> Decimal:
    """The number as it was written: 0.1 is a tenth, not the nearest binary fraction."""
    return Decimal(repr(value))
