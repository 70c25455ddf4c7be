"""Venues: the rules and the dated parameters that decide margin and liquidation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from pipeline.faults import Part
from pipeline.origin import Origin, read_part
from pipeline.units import Day, Duration, Finite, Fraction, Name, NonNegative, Positive, parse_duration
from pipeline.venue_completion import VENUES, complete_venue
from pipeline.venue_faults import find_venue_faults
from pipeline.yaml_text import load_text

FeeRate = Annotated[Finite, Field(ge=-1, le=1)]


class Bracket(Part):
    """Margin of a tiered market while notional lies below `up_to` and not in an earlier bracket. Quote units.

    Maintenance margin is notional x `maintenance_margin` - `cum`, the figure that venues publish as the
    maintenance amount: it makes the rule continuous, and is worked out where it is left out. Only the last
    bracket may leave out `up_to`; there it is the largest position.
    """

    up_to: Positive | None = None
    maintenance_margin: Fraction
    max_leverage: Annotated[Positive, Field(ge=1)]
    cum: NonNegative = 0.0


class Tier(Part):
    """A liquidity tier of dydx_v4: fractions of notional, and open interest in quote units.

    Maintenance margin is `initial_margin` x `maintenance_fraction`. Initial margin rises from
    `initial_margin` at the lower cap of open interest to all of the notional at the upper; without an upper
    cap it stays.
    """

    initial_margin: Fraction
    maintenance_fraction: Fraction
    impact_notional: Positive | None = None
    open_interest_lower_cap: NonNegative = 0.0
    open_interest_upper_cap: NonNegative = 0.0


class Execution(Part):
    """What taking a market's book costs. An order of notional N is filled worse than its mark by
    impact x N (N / depth)^g, g = 1/2 (`square_root`) or 1 (`linear`).

    `depth` is what the book takes within one simulation step, in quote units, whatever the step; `impact` the
    slippage of taking all of it, a fraction of notional.
    """

    depth: Positive
    impact: Fraction
    law: Literal["square_root", "linear"] = "square_root"


class Market(Part):
    """A perpetual: its asset, its margin, and how often funding is paid.

    Once read, margin of a dydx_v4 market is its two fractions of notional, whatever tier they came from, and
    that of a tiered market its brackets. `open_interest` is in coins, one side. A pool that holds an
    `isolated` market holds nothing else. `funding_cap` is the largest funding rate either way, a fraction for
    one `funding_interval`; dydx_v4 has a rule for it, and elsewhere nothing stated is no clamp. Without
    `execution` an order of any size fills at its mark.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("tick", "step"))
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"type": frozenset(("spot", "future", "option"))}

    asset: Name
    type: Literal["perpetual"] = "perpetual"
    tier: Name | None = None
    initial_margin: Fraction | None = None
    maintenance_margin: Fraction | None = None
    brackets: tuple[Bracket, ...] = ()
    funding_interval: Duration = parse_duration("1h")
    funding_cap: Positive | None = None
    open_interest: NonNegative | None = None
    isolated: Annotated[bool, Field(strict=True)] = False
    execution: Execution | None = None


class FeeTier(Part):
    """Trading fees as fractions of notional; negative: the venue pays."""

    taker: FeeRate
    maker: FeeRate


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


class TieredLiquidation(Part):
    """How a tiered venue liquidates: every position of the pool (`full`), or the one that has lost most, and
    then the next, until the pool stands (`partial`). `fee` is a fraction of what is filled, to the fund.

    Left out it is full and free: no shipped file has a figure for either.
    """

    style: Literal["full", "partial"] = "full"
    fee: Fraction = 0.0


def _rules_of(liquidation: Any) -> str:
    """Whose parameters of liquidation these are, by most of their keys; of what has none, dydx_v4's."""
    keys = set(liquidation if isinstance(liquidation, Mapping) else getattr(liquidation, "__dict__", ()))
    tiered, own = (keys & kind.model_fields.keys() for kind in (TieredLiquidation, Liquidation))
    return "tiered" if len(tiered) > len(own) else "dydx_v4"


class Venue(Part):
    """A venue's rules as of a day. Margins and fees are fractions of notional, in the quote currency.

    `haircuts` names the assets taken as collateral besides the quote currency, and the part of their value
    that doesn't count. `liquidation` is dydx_v4's or a tiered venue's. `gas_cost` is what an action of the
    desk costs, in quote units; `insurance_fund` what the fund begins with, for every account and leverage by
    itself, or shared by all accounts where the plan has contagion: None is all that is ever asked.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("scan", "adders"))
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"rules": frozenset(("scan",))}

    name: Name = "inline"
    rules: Literal["dydx_v4", "tiered"]
    as_of: Day
    source: Annotated[str, Field(strict=True)] | None = None
    quote: Name = "USDC"
    taker_fee: Fraction
    fee_tiers: dict[Name, FeeTier] = Field(default={})
    haircuts: dict[Name, Fraction] = Field(default={})
    tiers: dict[Name, Tier] = Field(default={})
    markets: Annotated[dict[str, Market], Field(min_length=1)]
    liquidation: (
        Annotated[
            Annotated[Liquidation, Tag("dydx_v4")] | Annotated[TieredLiquidation, Tag("tiered")],
            Discriminator(_rules_of),
        ]
        | None
    ) = None
    gas_cost: NonNegative = 0.0
    insurance_fund: NonNegative | None = None

    @property
    def is_marked(self) -> bool:
        """Whether positions are judged at the perpetual's own price; dydx_v4 takes the oracle's."""
        return self.rules == "tiered"

    @property
    def block_liquidation(self) -> Liquidation | None:
        """How dydx_v4 liquidates; None elsewhere."""
        return self.liquidation if isinstance(self.liquidation, Liquidation) else None

    def taker_fee_of(self, tier: str | None) -> float:
        """What taking costs, as a fraction of notional: the fee tier's, or without one the venue's own."""
        return self.taker_fee if tier is None else self.fee_tiers[tier].taker


def load_venue(name: str) -> Venue:
    """The shipped venue of that name; PlanError with what is wrong."""
    path = VENUES / f"{name}.yaml"
    text = load_text(path)
    document = complete_venue(text.content)
    if isinstance(document, dict):
        document = {"name": name, **document}
    return read_part(Venue, document, find_venue_faults, Origin(path.name, text.lines))
