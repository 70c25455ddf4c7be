"""How far float64 is seen to lie from the chain's integers: prints the tables of docs/margin.md.

python -m pytest -m slow -s tests/pipeline/dydx/test_measured_differences.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from random import Random
from typing import NamedTuple

import pytest

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.dydx.funding import settle
from pipeline.dydx.market import Market
from pipeline.dydx.prices import bankruptcy_quote, fillable_price, liquidation_price
from pipeline.dydx.units import MILLION
from tests.pipeline.dydx.exchange import MAINNET
from tests.pipeline.dydx.test_float_against_exact import Pair, pairs_of, quantums
from tests.pipeline.dydx.test_kernel_against_exact import counted, document_of, draw_prices, instant_of
from tests.pipeline.dydx.twins import QUOTE, Twin, at_prices, coins_of, draw_twin, usd_of, value_of

POOLS = 20_000
SIMULATED = 5_000
LATER = ("margin call, else", "bankruptcy")


class Exact(NamedTuple):
    """A pool by the formulae in fractions, nothing rounded: quote quantums.

    `maintenance` by perpetual; `scaled`: open interest of some market lies between its caps.
    """

    equity: Fraction
    initial_margin: Fraction
    maintenance: dict[int, Fraction]
    scaled: bool

    @property
    def maintenance_margin(self) -> Fraction:
        """Of all positions."""
        return sum(self.maintenance.values(), Fraction(0))


def between_caps(market: Market) -> bool:
    """Whether initial margin grows with open interest at the market's price."""
    lower, upper = market.tier.open_interest_lower_cap, market.tier.open_interest_upper_cap
    return lower < value_of(market, market.open_interest) < upper


def exact_of(pair: Pair) -> Exact:
    settled, _ = settle(pair.pool, pair.twin.markets)
    equity, initial, maintenance, scaled = Fraction(settled.usdc), Fraction(0), {}, False
    for i, position in pair.pool.positions.items():
        market, tier = pair.twin.markets[i], pair.twin.markets[i].tier
        notional = value_of(market, position.quantums)
        fraction = Fraction(tier.initial_margin_ppm)
        lower, upper = tier.open_interest_lower_cap, tier.open_interest_upper_cap
        if upper:
            way = (value_of(market, market.open_interest) - lower) / (upper - lower)
            fraction += (MILLION - fraction) * min(max(way, Fraction(0)), Fraction(1))
            scaled = scaled or between_caps(market)
        equity += notional
        initial += abs(notional) * max(fraction, pair.pool.custom_imf_ppm.get(i, 0)) / MILLION
        maintenance[i] = abs(notional) * tier.initial_margin_ppm * tier.maintenance_fraction_ppm / MILLION**2
    return Exact(equity, initial, maintenance, scaled)


@dataclass
class Worst:
    """The largest difference of each kind: from the chain, and of it float64's own."""

    rows: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)

    def see(self, row: str, found: Fraction, chain: Fraction | int, exact: Fraction) -> None:
        """Take in a figure of float64 beside the chain's and the exact one."""
        before = self.rows.get(row, (Fraction(0), Fraction(0)))
        self.rows[row] = max(before[0], abs(found - chain)), max(before[1], abs(found - exact))

    def print(self) -> None:
        """As a table."""
        for row, (difference, own) in self.rows.items():
            print(f"| {row} | {float(difference):,.3g} | {float(own):.2g} |")


@dataclass
class Decided:
    """Decisions of one kind: how many, how many differ, and the farthest from equality of those."""

    count: int = 0
    differ: int = 0
    farthest: Fraction = Fraction(0)

    def see(self, found: bool, chain: bool, excess: Fraction | int) -> None:
        """Take in a decision; `excess` over equality in the chain's figures."""
        self.count += 1
        if found != chain:
            self.differ += 1
            self.farthest = max(self.farthest, Fraction(abs(excess)))


def print_decided(decided: dict[str, Decided]) -> None:
    """As a table."""
    for row, seen in decided.items():
        print(f"| {row} | {seen.count:,} | {seen.differ:,} | {float(seen.farthest):,.3g} |")


def drawn_twins() -> Iterator[Twin]:
    """The same ones every time."""
    for seed in count():
        random = Random(seed)
        yield draw_twin(random, random.randint(0, 8), random.choice(("cross", "mixed", "isolated")))


def see_amounts(worst: Worst, pair: Pair, exact: Exact) -> None:
    """Equity and margins."""
    risk, margin = pair.risk, pair.margin
    worst.see("equity", quantums(margin.equity), risk.equity, exact.equity)
    found, real = quantums(margin.maintenance_margin), exact.maintenance_margin
    worst.see("maintenance margin", found, risk.maintenance_margin, real)
    found, real = quantums(margin.initial_margin), exact.initial_margin
    if not exact.scaled:
        worst.see("initial margin, else", found, risk.initial_margin, real)
        return
    # so many millionths of the notional that the ppm left off are told from the rest
    notional = sum(abs(value_of(pair.twin.markets[i], p.quantums)) for i, p in pair.pool.positions.items())
    if notional > 10**6 * QUOTE:
        millionth = notional / MILLION
        worst.see(
            "initial margin, between caps, per 1e-6 of notional",
            found / millionth,
            risk.initial_margin / millionth,
            real / millionth,
        )


def see_prices(worst: Worst, pair: Pair, exact: Exact) -> None:
    """The three prices, each times the size; of pools that are liquidatable and have equity."""
    twin, risk, total = pair.twin, pair.risk, exact.maintenance_margin
    if not (pair.margin.liquidatable and risk.is_liquidatable and risk.equity >= 0):
        return
    rating = min(
        Fraction(twin.config.bankruptcy_adjustment_ppm, MILLION) * (1 - exact.equity / total), Fraction(1)
    )
    spread = rating * Fraction(twin.config.spread_to_maintenance_margin_ratio_ppm, MILLION)
    for i, position in pair.positions.items():
        market, size = twin.markets[i], pair.pool.size(i)
        coins, notional, margin = coins_of(market, size), value_of(market, size), exact.maintenance[i]
        if position.bankruptcy_price is not None:
            found = Fraction(position.bankruptcy_price) * coins * QUOTE
            quote = bankruptcy_quote(pair.pool, twin.markets, i, -size)
            worst.see("bankruptcy price x size", found, quote, notional - exact.equity * margin / total)
        if position.fillable_price is not None and twin.config == MAINNET:
            found = Fraction(position.fillable_price) * coins * QUOTE
            price = fillable_price(pair.pool, twin.markets, i, -size, twin.config)
            worst.see("fillable price x size", found, price * size, notional - spread * margin)
        if position.liquidation_price is not None:
            price_usd, others = usd_of(market, market.price), (total - margin) / QUOTE
            real = liquidation_price(exact.equity / QUOTE, coins, price_usd, margin / abs(notional), others)
            assert real is not None
            slope = abs(coins) * margin / abs(notional) - coins
            found, real = (Fraction(price) * slope * QUOTE for price in (position.liquidation_price, real))
            worst.see("liquidation price x slope of E - MM, from the exact formula", found, real, real)


@pytest.mark.slow
def test_pool_margin__worst_seen() -> None:
    worst, pools = Worst(), 0
    decided = {
        "liquidation": Decided(),
        "margin call, between caps": Decided(),
        "margin call, else": Decided(),
    }
    for twin in drawn_twins():
        for pair in pairs_of(twin):
            risk, exact = pair.risk, exact_of(pair)
            see_amounts(worst, pair, exact)
            see_prices(worst, pair, exact)
            excess = risk.equity - risk.maintenance_margin
            decided["liquidation"].see(pair.margin.liquidatable, risk.is_liquidatable, excess)
            row = f"margin call, {'between caps' if exact.scaled else 'else'}"
            excess = risk.equity - risk.initial_margin
            decided[row].see(pair.margin.called, not risk.is_initial_collateralized, excess)
            pools += 1
        if pools >= POOLS:
            break
    print(f"\n{pools:,} pools, quote quantums")
    worst.print()
    print_decided(decided)
    assert worst.rows["equity"][0] < 8
    assert worst.rows["maintenance margin"][0] < 17
    assert decided["liquidation"].farthest < 8 + 17


@pytest.mark.slow
def test_simulate_block__farthest_seen() -> None:
    decided = {name: Decided() for name in ("liquidation", "margin call, between caps", *LATER)}
    random = Random(0)
    for twin, _ in zip(drawn_twins(), range(SIMULATED), strict=False):
        if len(twin.pools) > 1:
            continue
        [pool] = twin.pools
        prices = draw_prices(random, twin.markets)
        hits = counted(document_of(twin, prices))[:, :, 0, 0]
        for s, markets in enumerate((twin.markets, at_prices(twin.markets, prices))):
            instant = instant_of(twin, pool, markets)
            call = f"margin call, {'between caps' if any(map(between_caps, markets.values())) else 'else'}"
            for mark, name in {
                LIQUIDATION: "liquidation",
                MARGIN_CALL: call,
                BANKRUPTCY: "bankruptcy",
            }.items():
                chain = instant.excess[mark] < 0 and (mark != LIQUIDATION or instant.required)
                decided[name].see(bool(hits[mark, s]), chain, instant.excess[mark])
    print("\nthe kernel's decisions")
    print_decided(decided)
    assert decided["liquidation"].differ < decided["liquidation"].count // 50
