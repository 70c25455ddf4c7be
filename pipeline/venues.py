"""Venues: the rules and the dated parameters that decide margin and liquidation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.faults import Fault, Loc, Part
from pipeline.origin import Origin, read_part
from pipeline.units import Day, Duration, Fraction, Name, NonNegative, Positive, parse_duration
from pipeline.yaml_text import load_text

VENUES = Path(__file__).parent / "venues"
# whose liquidation parameters and fee an inline dydx_v4 venue takes where it says nothing
DEFAULTS = "dydx-v4-2026-03"


class Market(Part):
    """A perpetual: its asset, margin as fractions of notional, and how often funding is paid."""

    later_keys: ClassVar[frozenset[str]] = frozenset(
        (
            "open_interest",
            "open_interest_lower_cap",
            "open_interest_upper_cap",
            "brackets",
            "isolated",
            "tick",
            "step",
        )
    )
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {
        "type": frozenset(("spot", "future", "option", "isolated_perpetual"))
    }

    asset: Name
    type: Literal["perpetual"] = "perpetual"
    initial_margin: Fraction
    maintenance_margin: Fraction
    funding_interval: Duration = parse_duration("1h")
    tier: Name | None = None


class Liquidation(Part):
    """How dydx_v4 liquidates, once an account may be: fees, spread, and how much a block may take.

    Fractions of notional, and USD. The names are the chain's without `_ppm`; the shipped file says what each
    does.
    """

    max_liquidation_fee: Fraction
    bankruptcy_adjustment: Annotated[NonNegative, Field(ge=1)]
    spread_to_maintenance_margin_ratio: NonNegative
    min_position_notional_liquidated: NonNegative
    max_position_portion_liquidated: Fraction
    max_notional_liquidated_per_block: Positive
    max_insurance_lost_per_block: Positive
    max_liquidation_attempts_per_block: Annotated[int, Field(strict=True, gt=0)]
    max_deleveraging_attempts_per_block: Annotated[int, Field(strict=True, gt=0)]
    max_deleveraging_accounts_per_block: Annotated[int, Field(strict=True, gt=0)]


class Venue(Part):
    """A venue's rules as of a day. Margins and fees are fractions of notional, in the quote currency."""

    later_keys: ClassVar[frozenset[str]] = frozenset(
        ("haircuts", "insurance_fund", "scan", "adders", "tiers")
    )
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"rules": frozenset(("tiered", "scan"))}

    name: Name = "inline"
    rules: Literal["dydx_v4"]
    as_of: Day
    source: Annotated[str, Field(strict=True)] | None = None
    quote: Name = "USDC"
    taker_fee: Fraction
    markets: Annotated[dict[str, Market], Field(min_length=1)]
    liquidation: Liquidation


@cache
def _shipped_defaults() -> dict[str, Any]:
    shipped: dict[str, Any] = load_text(VENUES / f"{DEFAULTS}.yaml").content
    return {key: shipped[key] for key in ("liquidation", "taker_fee")}


def complete_venue(document: Any) -> Any:
    """A venue's document with the shipped liquidation parameters and fee where it names none."""
    return {**_shipped_defaults(), **document} if isinstance(document, dict) else document


def find_venue_faults(venue: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the values of a venue's document."""
    for name, market in venue.get("markets", {}).items():
        loc: Loc = ("markets", name)
        if not name.strip():
            yield Fault(loc, "the name of a market", "an empty key", "name it, such as BTC-USD")
        initial, maintenance = market.get("initial_margin"), market.get("maintenance_margin")
        if initial is not None and maintenance is not None and maintenance > initial:
            expected = f"at most the initial margin, {initial:g}"
            yield Fault(
                (*loc, "maintenance_margin"),
                expected,
                f"{maintenance:g}",
                "check the two: fractions of notional",
            )
        if market.get("asset") is not None and market["asset"] == venue.get("quote", "USDC"):
            yield Fault(
                (*loc, "asset"),
                "an asset other than the quote currency",
                market["asset"],
                "name the asset traded",
            )


def load_venue(name: str) -> Venue:
    """The shipped venue of that name; PlanError with what is wrong."""
    path = VENUES / f"{name}.yaml"
    text = load_text(path)
    document = complete_venue(text.content)
    if isinstance(document, dict):
        document = {"name": name, **document}
    return read_part(Venue, document, find_venue_faults, Origin(path.name, text.lines))
