"""One account twice: in the chain's integers, and as a plan that says the same numbers in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from random import Random
from typing import Any

from pipeline.dydx.account import Account, Position
from pipeline.dydx.funding import settle
from pipeline.dydx.limits import LiquidationConfig
from pipeline.dydx.market import Market
from pipeline.dydx.risk import account_risk
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import MILLION
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.dydx.exchange import MAINNET

QUOTE = 10**6  # quote quantums in a USD
DOLLAR = Fraction(1, QUOTE)
LARGEST = 10**9 * QUOTE  # notional of a position


def coins_of(market: Market, quantums: int) -> Fraction:
    """Base quantums in coins."""
    return quantums * Fraction(10) ** market.atomic_resolution


def usd_of(market: Market, price: int) -> Fraction:
    """A price of the chain in USD per coin."""
    return price * Fraction(10) ** market.price_exponent


def value_of(market: Market, quantums: int, price: int | None = None) -> Fraction:
    """Signed notional in quote quantums, not rounded."""
    return coins_of(market, quantums) * usd_of(market, market.price if price is None else price) * QUOTE


@dataclass(frozen=True)
class Twin:
    """Subaccounts of the chain, funding not settled, that are the pools of one account of a plan.

    `entries` are prices of the chain per perpetual: the chain knows none, a plan's collateral does.
    """

    markets: Mapping[int, Market]
    pools: tuple[Account, ...]
    margin: str = "cross"
    entries: Mapping[int, int] = field(default_factory=dict)
    config: LiquidationConfig = MAINNET

    @cached_property
    def plan(self) -> Plan:
        """The plan, in a market that stands still."""
        return plan_from_document(self.document())

    def entry(self, perpetual_id: int) -> int:
        """The price a position was entered at: the mark, unless said otherwise."""
        return self.entries.get(perpetual_id, self.markets[perpetual_id].price)

    def cash(self, pool: Account) -> Fraction:
        """Collateral of a pool less unrealised profit, quote quantums: settled USDC and what entry cost."""
        settled, _ = settle(pool, self.markets)
        cost = (
            value_of(self.markets[i], position.quantums, self.entry(i))
            for i, position in pool.positions.items()
        )
        return settled.usdc + sum(cost, Fraction(0))

    def document(self, **changes: Any) -> dict[str, Any]:
        """The plan's document: 1 path of 1 hour, no volatility."""
        assets = [asset_of(i) for i in self.markets]
        still = {
            "volatility": dict.fromkeys(assets, 0.0),
            "correlation": [[float(i == j) for j in assets] for i in assets],
        }
        return {
            "name": "twin",
            "as_of": "2026-03-05T00:00:00Z",
            "simulation": {"paths": 1, "step": "1h", "horizons": ["1h"], "monitoring": "close"},
            "venue": self._venue(),
            "prices": {
                asset_of(i): float(usd_of(market, market.price)) for i, market in self.markets.items()
            },
            "model": {"step": "1h", "assets": assets, "regimes": {"only": still}},
            "scenarios": ["baseline"],
            "accounts": [self.account()],
        } | changes

    def _venue(self) -> dict[str, Any]:
        config = self.config
        return {
            "rules": "dydx_v4",
            "as_of": "2026-03-05",
            "tiers": {asset_of(i): _tier(market.tier) for i, market in self.markets.items()},
            "markets": {
                f"{asset_of(i)}-USD": {
                    "asset": asset_of(i),
                    "tier": asset_of(i),
                    "open_interest": float(coins_of(market, market.open_interest)),
                    "isolated": market.isolated,
                }
                for i, market in self.markets.items()
            },
            "liquidation": {
                "max_liquidation_fee": config.max_liquidation_fee_ppm / MILLION,
                "bankruptcy_adjustment": config.bankruptcy_adjustment_ppm / MILLION,
                "spread_to_maintenance_margin_ratio": config.spread_to_maintenance_margin_ratio_ppm / MILLION,
                "min_position_notional_liquidated": config.min_position_notional_liquidated / QUOTE,
                "max_position_portion_liquidated": config.max_position_portion_liquidated_ppm / MILLION,
                "max_notional_liquidated_per_block": config.max_notional_liquidated / QUOTE,
                "max_insurance_lost_per_block": config.max_quantums_insurance_lost / QUOTE,
                "max_liquidation_attempts_per_block": 50,
                "max_deleveraging_attempts_per_block": 10,
                "max_deleveraging_accounts_per_block": 500,
            },
        }

    def account(self, name: str = "desk") -> dict[str, Any]:
        """The account as the plan's document has it."""
        shared = () if self.margin == "isolated" else self.pools[:1]
        alone = self.pools[len(shared) :]
        account: dict[str, Any] = {
            "name": name,
            "margin": self.margin,
            "positions": [
                *(self._position(pool, i) for pool in shared for i in pool.positions),
                *(
                    self._position(pool, i)
                    | {"margin": "isolated", "collateral": float(self.cash(pool) * DOLLAR)}
                    for pool in alone
                    for i in pool.positions
                ),
            ],
        }
        if shared:
            account["collateral"] = {"USDC": float(self.cash(shared[0]) * DOLLAR)}
        return account

    def _position(self, pool: Account, perpetual_id: int) -> dict[str, Any]:
        market, custom = self.markets[perpetual_id], pool.custom_imf_ppm.get(perpetual_id)
        position = {
            "market": f"{asset_of(perpetual_id)}-USD",
            "size": float(coins_of(market, pool.size(perpetual_id))),
            "entry": float(usd_of(market, self.entry(perpetual_id))),
        }
        return position if custom is None else position | {"leverage": float(Fraction(MILLION, custom))}


def asset_of(perpetual_id: int) -> str:
    """The asset of a perpetual, by its id."""
    return f"A{perpetual_id}"


def at_prices(markets: Mapping[int, Market], prices: Mapping[int, int]) -> dict[int, Market]:
    """The markets, some at other prices."""
    return {
        i: dataclasses.replace(market, price=prices.get(i, market.price)) for i, market in markets.items()
    }


def with_equity(pool: Account, markets: Mapping[int, Market], equity: int) -> Account:
    """The pool with so much USDC that its equity is this, quote quantums, once funding is settled."""
    missing = equity - account_risk(pool, markets).equity
    return dataclasses.replace(pool, assets={0: pool.usdc + missing})


def _tier(tier: Tier) -> dict[str, float]:
    return {
        "initial_margin": tier.initial_margin_ppm / MILLION,
        "maintenance_fraction": tier.maintenance_fraction_ppm / MILLION,
        "open_interest_lower_cap": tier.open_interest_lower_cap / QUOTE,
        "open_interest_upper_cap": tier.open_interest_upper_cap / QUOTE,
    }


# initial margin and maintenance fraction of the chain's tiers, ppm
FRACTIONS = (
    *((20_000, 600_000), (100_000, 500_000), (200_000, 500_000), (1_000_000, 200_000), (50_000, 600_000)),
    (10_000, 500_000),
)
# caps of open interest of the same, USD
CAPS = ((20, 50), (5, 10), (2, 5), (40, 100))


def draw_tier(random: Random) -> Tier:
    """One of the chain's, or any fractions; caps of open interest or none."""
    fractions = random.choice(FRACTIONS)
    if random.random() < 0.3:
        fractions = random.randint(1_000, MILLION), random.choice((0, 1, random.randint(1, MILLION), MILLION))
    if random.random() < 0.3:
        return Tier(*fractions)
    if random.random() < 0.5:
        return Tier(*fractions, *(10**6 * QUOTE * cap for cap in random.choice(CAPS)))
    lower = random.randint(0, 10**14)
    return Tier(*fractions, lower, lower + random.randint(10**9, 10**14))


def draw_market(random: Random, perpetual_id: int) -> tuple[Market, int]:
    """A market and its step in base quantums, worth 0.001 USD at least.

    Resolution, exponent and price are any that a price of four digits or more can have. Open interest is
    none, below the caps, on them to the quantum, between, or far above.
    """
    resolution, exponent = random.randint(-10, -3), random.randint(-12, -4)
    power = random.randint(max(-6, exponent + 3), 5)
    price = random.randint(10 ** (power - exponent), 10 ** (power - exponent + 1) - 1)
    index = random.randint(-(10**9), 10**9)
    market = Market(
        perpetual_id, resolution, price, exponent, draw_tier(random), 0, index, isolated=random.random() < 0.1
    )
    lower, upper = market.tier.open_interest_lower_cap, market.tier.open_interest_upper_cap
    notional = random.choice(
        (0, lower // 2, lower, (lower + upper) // 2, random.randint(lower, upper), upper, 3 * upper, 10**15)
    )
    interest = max(0, market.size(notional) + random.choice((0, 0, 1, 2, -1)))
    least, most = abs(value_of(market, 1)), random.choice((10**3, 10**6, 10**9))
    step = 1
    while least * step < most:
        step *= 10
    return dataclasses.replace(market, open_interest=interest), step


def draw_position(random: Random, market: Market, step: int) -> Position:
    """A size on the step's grid, from one step to 1e9 USD; funding unsettled, up to a tenth of the price."""
    target = random.randint(1, 999) * 10 ** random.randint(0, 13)
    steps = min(market.size(min(target, LARGEST)), market.size(LARGEST)) // step
    size = random.choice((1, -1)) * max(steps, 1) * step
    unit = Fraction(10) ** (-12 - market.atomic_resolution)  # USD per coin of one unit of the index
    most = int(usd_of(market, market.price) / unit / 10)
    return Position(size, market.funding_index - random.choice((0, random.randint(-most, most))))


def draw_equity(random: Random, pool: Account, markets: Mapping[int, Market]) -> int:
    """Quote quantums: at a requirement or zero but for 3 or a 2e-6 part, a multiple of one, or anything."""
    risk = account_risk(pool, markets)
    mark = random.choice((risk.maintenance_margin, risk.maintenance_margin, risk.initial_margin, 0))
    return random.choice(
        (
            mark + random.randint(-3, 3),
            mark + mark * random.randint(-2_000, 2_000) // 10**9,
            mark * random.randint(-2_000, 3_000) // 1_000,
            mark * random.randint(0, 1_000) // 1_000,
            random.randint(-LARGEST, LARGEST),
        )
    )


def draw_twin(random: Random, count: int, margin: str) -> Twin:
    """An account with so many positions, each in a market of its own; a cross one is one pool."""
    listed = {i: draw_market(random, i) for i in range(max(count, 1))}
    alone = [i for i in range(count) if margin == "isolated" or (margin == "mixed" and random.random() < 0.5)]
    shared = [i for i in range(count) if i not in alone]
    markets = {
        # an isolated market stands in a pool of its own
        i: dataclasses.replace(market, isolated=market.isolated and (i in alone or shared == [i]))
        for i, (market, _) in listed.items()
    }
    pools = [[i] for i in alone] if margin == "isolated" and alone else [shared, *([i] for i in alone)]
    return Twin(
        markets,
        tuple(_draw_pool(random, {i: listed[i][1] for i in ids}, markets) for ids in pools),
        margin if alone else "cross",
        {i: max(1, market.price * random.randint(500, 2_000) // 1_000) for i, market in markets.items()},
        draw_config(random),
    )


def draw_config(random: Random) -> LiquidationConfig:
    """The chain's liquidation parameters, or other spreads and adjustments."""
    if random.random() < 0.5:
        return MAINNET
    return dataclasses.replace(
        MAINNET,
        bankruptcy_adjustment_ppm=random.randint(MILLION, 5 * MILLION),
        spread_to_maintenance_margin_ratio_ppm=random.randint(0, 3 * MILLION),
    )


def _draw_pool(random: Random, steps: Mapping[int, int], markets: Mapping[int, Market]) -> Account:
    positions = {i: draw_position(random, markets[i], step) for i, step in steps.items()}
    custom = {
        i: random.randint(markets[i].tier.initial_margin_ppm, MILLION) for i in steps if random.random() < 0.3
    }
    pool = Account({0: 0}, positions, custom)
    return with_equity(pool, markets, draw_equity(random, pool, markets))
