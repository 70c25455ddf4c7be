"""The venues' parameters in words: a row for each market that some account holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class MarketRow(NamedTuple):
    """A market's rules, as a person checks them against the venue's page."""

    venue: str
    market: str
    price: str
    initial: str
    maintenance: str
    funding: str


def venues_of(plan: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The venues that a resolved plan's accounts trade on, by name, in the order of the accounts."""
    found = [
        plan["venue"] if account["venue"] is None else plan["venues"][account["venue"]]
        for account in plan["accounts"]
    ]
    return {venue["name"]: venue for venue in found}


def describe_venue(venue: Mapping[str, Any]) -> str:
    """A venue in a line: its rules, their day, and where they are from."""
    source = f". Source: {venue['source']}" if venue["source"] else ""
    return f"{venue['name']}: {venue['rules']} rules of {venue['as_of']}{source}"


def list_markets(plan: Mapping[str, Any]) -> list[MarketRow]:
    """A row for each market held, by venue."""
    return list(_rows(plan))


def _rows(plan: Mapping[str, Any]) -> Iterator[MarketRow]:
    held = {
        (account["venue"], position["market"])
        for account in plan["accounts"]
        for position in account["positions"]
    }
    keys = dict.fromkeys(account["venue"] for account in plan["accounts"])
    for key in keys:
        venue = plan["venue"] if key is None else plan["venues"][key]
        for name, market in venue["markets"].items():
            if (key, name) in held:
                initial, maintenance = _margins(venue, market)
                price = f"{plan['prices'][market['asset']]:,.10g}"
                yield MarketRow(venue["name"], name, price, initial, maintenance, market["funding_interval"])


def percent(fraction: float) -> str:
    """A margin fraction, to four significant digits."""
    return f"{100 * fraction:.4g} %"


def _margins(venue: Mapping[str, Any], market: Mapping[str, Any]) -> tuple[str, str]:
    brackets = market["brackets"]
    if not brackets:
        tier = venue["tiers"].get(market["tier"], {})
        scaled = market["open_interest"] and tier.get("open_interest_upper_cap")
        initial, maintenance = percent(market["initial_margin"]), percent(market["maintenance_margin"])
        return f"{initial}, more with open interest" if scaled else initial, maintenance
    first, last = brackets[0], brackets[-1]
    initial, maintenance = percent(1 / first["max_leverage"]), percent(first["maintenance_margin"])
    if len(brackets) == 1:
        return initial, maintenance
    return (
        f"{initial} to {percent(1 / last['max_leverage'])}",
        f"{maintenance} to {percent(last['maintenance_margin'])} in {len(brackets)} brackets",
    )
