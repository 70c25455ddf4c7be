"""Books of several pools, coins and brackets as documents, and their margin from the formulae alone.

Nothing here knows `pipeline.requirement` or `pipeline.pools`: rates are looked up in the venue's document.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.pipeline.documents import small_document

Prices = Mapping[str, float | NDArray[np.float64]]
Document = dict[str, Any]

# three brackets: maintenance amounts 0, 50,000 x 0.006 = 300, and 300 + 500,000 x 0.04 = 20,300
BRACKETS = [
    {"up_to": 50_000.0, "maintenance_margin": 0.004, "max_leverage": 100.0},
    {"up_to": 500_000.0, "maintenance_margin": 0.01, "max_leverage": 50.0},
    {"maintenance_margin": 0.05, "max_leverage": 10.0},
]


def tiered_venue(markets: Document, haircuts: Mapping[str, float] | None = None) -> Document:
    """A tiered venue that settles in USD."""
    return {
        "name": "tiers",
        "rules": "tiered",
        "as_of": "2026-09-30",
        "quote": "USD",
        "taker_fee": 0.0005,
        "haircuts": dict(haircuts or {}),
        "markets": markets,
    }


def document_of(venue: Document, prices: Mapping[str, float], *accounts: Document) -> Document:
    """A plan's document: these accounts at that venue, all assets alike in the model."""
    assets = list(prices)
    return small_document() | {
        "venue": venue,
        "prices": dict(prices),
        "model": {
            "step": "1h",
            "assets": assets,
            "regimes": {
                "only": {
                    "volatility": dict.fromkeys(assets, 0.5),
                    "correlation": [[float(i == j) for j in assets] for i in assets],
                }
            },
        },
        "scenarios": ["baseline"],
        "accounts": list(accounts),
        "limits": [],
    }


class Raw(NamedTuple):
    """A pool at some prices: equity with and without haircuts, margins, and the size of what was added up."""

    equity: Any
    full_equity: Any
    initial: Any
    maintenance: Any
    scale: Any

    @property
    def liquidatable(self) -> Any:
        """MM > 0 and E < MM."""
        return (self.maintenance > 0) & (self.equity < self.maintenance)


def isolates(account: Document, position: Document) -> bool:
    """Whether the position stands alone."""
    return bool(position.get("margin", account["margin"]) == "isolated")


def raw_pools(account: Document, venue: Document, prices: Prices) -> list[Raw]:
    """The cross pool, if there is one, and then every isolated position, from the formulae."""
    shared = [position for position in account["positions"] if not isolates(account, position)]
    alone = [position for position in account["positions"] if isolates(account, position)]
    own = [raw_pool({venue["quote"]: p["collateral"]}, [p], venue, prices) for p in alone]
    if account["collateral"] or shared:
        return [raw_pool(account["collateral"], shared, venue, prices), *own]
    return own


def raw_pool(
    collateral: Mapping[str, float], positions: list[Document], venue: Document, prices: Prices
) -> Raw:
    """One pool, its collateral by asset."""
    full = withheld = scale = initial = maintenance = 0.0
    for asset, amount in collateral.items():
        value = amount * (1.0 if asset == venue["quote"] else prices[asset])
        full = full + value
        withheld = withheld + (value * venue["haircuts"].get(asset, 0.0) if amount > 0 else 0.0)
        scale = scale + abs(value)
    for position in positions:
        market = venue["markets"][position["market"]]
        price = prices[market["asset"]]
        notional = abs(position["size"]) * price
        full = full + position["size"] * (price - position["entry"])
        scale = scale + notional + abs(position["size"]) * position["entry"]
        initial = initial + notional * _initial_fraction(market, venue, position, price)
        maintenance = maintenance + _maintenance(market, venue, notional)
    return Raw(full - withheld, full, initial, maintenance, scale)


def _maintenance(market: Document, venue: Document, notional: Any) -> Any:
    """Notional x rate - cum of its bracket; dydx_v4: of the base fractions."""
    if venue["rules"] == "dydx_v4":
        tier = venue["tiers"][market["tier"]]
        return notional * tier["initial_margin"] * tier["maintenance_fraction"]
    amounts = [0.0]
    for low, high in pairwise(market["brackets"]):
        amounts.append(amounts[-1] + low["up_to"] * (high["maintenance_margin"] - low["maintenance_margin"]))
    rates = [bracket["maintenance_margin"] for bracket in market["brackets"]]
    index = _bracket(market, notional)
    return notional * np.array(rates)[index] - np.array(amounts)[index]


def _initial_fraction(market: Document, venue: Document, position: Document, price: Any) -> Any:
    chosen = position.get("leverage")
    if venue["rules"] == "tiered":
        leverages = np.array([bracket["max_leverage"] for bracket in market["brackets"]])
        if chosen is not None:
            leverages = np.minimum(leverages, chosen)
        return 1.0 / leverages[_bracket(market, abs(position["size"]) * price)]
    tier = venue["tiers"][market["tier"]]
    base, lower, upper = (
        tier["initial_margin"],
        tier["open_interest_lower_cap"],
        tier["open_interest_upper_cap"],
    )
    share = (market["open_interest"] * price - lower) / (upper - lower)
    fraction = np.clip(base + (1.0 - base) * share, base, 1.0)
    return np.maximum(fraction, 0.0 if chosen is None else 1.0 / chosen)


def _bracket(market: Document, notional: Any) -> Any:
    """Index of the bracket a notional lies in; its upper end is part of it."""
    ends = [bracket["up_to"] for bracket in market["brackets"][:-1]]
    return np.searchsorted(ends, notional, side="left")


def _greatest_leverage(venue: Document, market: str) -> float:
    if venue["rules"] == "tiered":
        return float(venue["markets"][market]["brackets"][0]["max_leverage"])
    return 1.0 / float(venue["tiers"]["one"]["initial_margin"])


ASSETS = ("A", "B")
RATES, ENDS = (0.0, 0.004, 0.01, 0.05, 0.2), (50.0, 400.0, 2_500.0, 1e4)
MARKETS = {"A1": "A", "A2": "A", "B1": "B"}

amounts = st.floats(0.01, 100.0).map(lambda value: float(f"{value:.4g}"))
signed = amounts.flatmap(lambda value: st.sampled_from((value, -value)))
# rounded, so that no amount is so small that float64 keeps fewer digits of it
shares = st.floats(-0.05, 0.6).map(lambda value: round(value, 6))
marks = st.floats(1.0, 1_000.0).map(lambda value: float(f"{value:.5g}"))


@st.composite
def brackets(draw: st.DrawFn) -> list[Document]:
    """One to four brackets, rates that rise; a single one may be zero."""
    count = draw(st.integers(1, 4))
    known = RATES if count == 1 else RATES[1:]
    rates = sorted(draw(st.lists(st.sampled_from(known), min_size=count, max_size=count)))
    ends = sorted(draw(st.lists(st.sampled_from(ENDS), min_size=count, max_size=count, unique=True)))
    return [
        {
            **({"up_to": end} if i < count - 1 else {}),
            "maintenance_margin": rate,
            "max_leverage": min(100.0, 0.8 / rate if rate else 100.0),
        }
        for i, (rate, end) in enumerate(zip(rates, ends, strict=True))
    ]


@st.composite
def venues(draw: st.DrawFn) -> Document:
    """Three markets on two assets, of either family."""
    if draw(st.booleans()):
        markets = {name: {"asset": asset, "brackets": draw(brackets())} for name, asset in MARKETS.items()}
        haircuts = {asset: draw(st.sampled_from((0.0, 0.05, 0.3))) for asset in ASSETS}
        return tiered_venue(markets, haircuts)
    tier = {
        "initial_margin": draw(st.sampled_from((0.02, 0.1, 1.0))),
        "maintenance_fraction": draw(st.sampled_from((0.5, 0.6))),
        "open_interest_lower_cap": 1_000.0,
        "open_interest_upper_cap": 5_000.0,
    }
    return {
        "name": "chain",
        "rules": "dydx_v4",
        "as_of": "2026-03-05",
        "quote": "USD",
        "taker_fee": 0.0005,
        "haircuts": {},
        "tiers": {"one": tier},
        "markets": {
            name: {"asset": asset, "tier": "one", "open_interest": draw(st.sampled_from((0.0, 10.0, 100.0)))}
            for name, asset in MARKETS.items()
        },
    }


@st.composite
def books(draw: st.DrawFn) -> Document:
    """A plan's document with one account: some margin short of its requirement, some far above it."""
    venue = draw(venues())
    tiered = venue["rules"] == "tiered"
    prices = {asset: draw(marks) for asset in ASSETS}
    kind = draw(st.sampled_from(("cross", "cross", "mixed", "isolated")))
    hedge = tiered and draw(st.booleans())
    legs = [(name, side) for name in MARKETS for side in (1, -1)]
    slot = itemgetter(0, 1) if hedge else itemgetter(0)
    held = draw(st.lists(st.sampled_from(legs), max_size=5, unique_by=slot))
    positions: list[Document] = []
    for market, side in held:
        mark = prices[MARKETS[market]]
        position: Document = {
            "market": market,
            "size": side * draw(amounts),
            "entry": mark * draw(st.sampled_from((0.7, 1.0, 1.02, 1.5))),
        }
        if kind == "mixed":
            position["margin"] = draw(st.sampled_from(("cross", "isolated")))
        if isolates({"margin": kind}, position):
            loss = position["size"] * (position["entry"] - mark)
            position["collateral"] = loss + abs(position["size"]) * mark * draw(shares)
        if draw(st.booleans()):
            share = draw(st.sampled_from((1.0, 0.5, 0.1)))
            position["leverage"] = max(1.0, share * _greatest_leverage(venue, market))
        positions.append(position)
    shared = [position for position in positions if not isolates({"margin": kind}, position)]
    coins = {asset: draw(signed) for asset in ASSETS if tiered and draw(st.booleans())}
    account: Document = {
        "name": "desk",
        "margin": kind,
        "position_mode": "hedge" if hedge else "one_way",
        "collateral": coins,
        "positions": positions,
    }
    if kind != "isolated":
        # cash that puts equity somewhere about the requirement
        bare = raw_pool(coins, shared, venue, prices)
        aim = draw(shares) * float(bare.scale)
        account["collateral"] = {venue["quote"]: aim - float(bare.equity), **coins}
    return document_of(venue, prices, account)
