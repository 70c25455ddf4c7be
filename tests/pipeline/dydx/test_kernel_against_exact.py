"""The kernels' decisions against the chain's integers: at an instant, after funding, along a path."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor, log
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.blocks import Block
from pipeline.dydx.account import Account, Position
from pipeline.dydx.funding import index_delta, settle
from pipeline.dydx.market import Market
from pipeline.dydx.risk import account_risk
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import MILLION, clamp
from pipeline.engine import liquidatable_now, simulate_block
from pipeline.plan import plan_from_document
from tests.pipeline.dydx.tolerances import Span, gross_of, rounded, tolerance_of
from tests.pipeline.dydx.twins import (
    QUOTE,
    Twin,
    asset_of,
    at_prices,
    draw_twin,
    value_of,
    with_equity,
)

Markets = Mapping[int, Market]
ONE = Span(Fraction(-1), Fraction(1))
NOTHING = Span(Fraction(0), Fraction(0))
TIE = Fraction(1, 10**12)  # of notional and equity: how far below equality the kernel looks
YEAR_H = 8_760
RATE_PERIODS = YEAR_H // 8  # eight hours each
CLAMP_FACTOR = 6 * MILLION  # of the chain's genesis: funding_rate_clamp_factor_ppm


class Instant(NamedTuple):
    """A pool on the chain: equity less margin by mark, and by how much the kernel's may differ.

    `required`: maintenance margin is; `tie`: how far below equality the kernel looks.
    """

    excess: tuple[int, int, int]
    span: tuple[Span, Span, Span]
    required: bool
    tie: Fraction

    def hits(self, mark: int) -> bool | None:
        """Whether the kernel counts a hit; None where it may or may not."""
        if mark == LIQUIDATION and not self.required:
            return False
        return self.span[mark].is_negative(self.excess[mark])


def instant_of(twin: Twin, pool: Account, markets: Markets, added: Span = NOTHING) -> Instant:
    """A pool at some prices. The kernel adds values at `as_of` and then, and looks a bit below equality."""
    risk, allowed = account_risk(pool, markets), tolerance_of(twin, pool, markets)
    standing = account_risk(pool, twin.markets).equity
    gross = sum((abs(value_of(twin.markets[i], p.quantums)) for i, p in pool.positions.items()), Fraction(0))
    tie = TIE * (gross + abs(standing))
    own = rounded(gross_of(twin, pool, markets) + gross, 64).plus(Span(tie, tie)).plus(added)
    return Instant(
        (risk.equity - risk.initial_margin, risk.equity - risk.maintenance_margin, risk.equity),
        (allowed.free_collateral.plus(own), allowed.excess.plus(own), allowed.equity.plus(own)),
        risk.maintenance_margin > 0,
        tie,
    )


def any_of(hits: Sequence[bool | None]) -> bool | None:
    """Whether an account of several pools is hit."""
    return True if True in hits else None if None in hits else False


def scaled(twin: Twin, pool: Account, multiple: int) -> Account:
    """The pool, settled, with sizes so many times as large and the same equity, to a quantum."""
    settled, _ = settle(pool, twin.markets)
    positions = {
        i: dataclasses.replace(p, quantums=multiple * p.quantums) for i, p in settled.positions.items()
    }
    added = sum(
        (value_of(twin.markets[i], (multiple - 1) * p.quantums) for i, p in settled.positions.items()),
        Fraction(0),
    )
    return dataclasses.replace(settled, assets={0: settled.usdc - round(added)}, positions=positions)


def counted(document: dict[str, Any]) -> NDArray[np.int64]:
    """Hits (mark, scenario, leverage, horizon) of the one account on the one path."""
    text = json.dumps(plan_from_document(document).document())
    return simulate_block(text, Block(0, 0, 1, 0)).hits[:, :, 0]


def shock_to(markets: Markets, prices: Mapping[int, int]) -> dict[str, Any]:
    """An effect that brings assets to other prices of the chain at once."""
    moves = {asset_of(i): float(Fraction(price, markets[i].price) - 1) for i, price in prices.items()}
    return {"effect": "shock", "moves": moves}


def scenario(name: str, *effects: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "narrative": "Prices of the chain.", "effects": list(effects)}


def document_of(
    twin: Twin, *shocks: Mapping[int, int], leverage: Sequence[int] = (1,), monitoring: str = "close"
) -> dict[str, Any]:
    """A plan of a twin with a scenario for each set of prices, the first after `baseline`."""
    simulation = {"paths": 1, "step": "1h", "horizons": ["1h"], "monitoring": monitoring}
    return twin.document(
        simulation=simulation | {"leverage": list(map(float, leverage))},
        scenarios=["baseline", *(scenario(f"s{n}", shock_to(twin.markets, p)) for n, p in enumerate(shocks))],
    )


def draw_prices(random: Random, markets: Markets) -> dict[int, int]:
    """Prices of the chain between a fifth and five times what they are."""
    return {i: max(1, market.price * random.randint(200, 5_000) // 1_000) for i, market in markets.items()}


randoms = st.randoms(use_true_random=True)
counts = st.integers(0, 4)
twins = st.builds(draw_twin, randoms, counts, st.sampled_from(("cross", "mixed", "isolated")))
cross_twins = st.builds(draw_twin, randoms, counts, st.just("cross"))


@settings(deadline=None, max_examples=50)
@given(twins, randoms, st.sampled_from(("close", "bridge")))
def test_simulate_block__decides_an_instant_as_the_chain(twin, random, monitoring) -> None:
    shocks = [draw_prices(random, twin.markets) for _ in range(3)]
    leverage = (1, 3)
    document = document_of(twin, *shocks, leverage=leverage, monitoring=monitoring)
    hits, now = counted(document), liquidatable_now(plan_from_document(document))
    for s, prices in enumerate([{}, *shocks]):
        markets = at_prices(twin.markets, prices)
        for j, multiple in enumerate(leverage):
            instants = [instant_of(twin, scaled(twin, pool, multiple), markets, ONE) for pool in twin.pools]
            for mark in (MARGIN_CALL, LIQUIDATION, BANKRUPTCY):
                expected = any_of([instant.hits(mark) for instant in instants])
                if expected is not None:
                    assert hits[mark, s, j, 0] == expected
                    assert mark != LIQUIDATION or now[s, 0, j] == expected


def edges_of(
    twin: Twin, markets: Markets, added: Span = NOTHING, multiple: int = 1
) -> list[tuple[int, bool, Account]]:
    """The one pool of a twin a quantum beyond the band at these prices: mark, whether it is hit, the pool."""
    found = []
    for mark in (MARGIN_CALL, LIQUIDATION, BANKRUPTCY):
        for below in (False, True):
            [pool] = twin.pools
            for _ in range(2):  # the band moves a little with the cash
                there = instant_of(twin, scaled(twin, pool, multiple), markets, added)
                wanted = -floor(there.span[mark].high) - 2 if below else ceil(-there.span[mark].low) + 1
                pool = dataclasses.replace(pool, assets={0: pool.usdc + wanted - there.excess[mark]})
            found.append((mark, below and (mark != LIQUIDATION or there.required), pool))
    return found


def hits_of(document: dict[str, Any], twin: Twin, pools: Sequence[Account]) -> NDArray[np.int64]:
    """Hits (mark, scenario, pool, leverage, horizon), each pool of the twin an account of its own."""
    accounts = [dataclasses.replace(twin, pools=(pool,)).account(f"pool {n}") for n, pool in enumerate(pools)]
    text = json.dumps(plan_from_document(document | {"accounts": accounts}).document())
    return simulate_block(text, Block(0, 0, 1, 0)).hits


@settings(deadline=None, max_examples=50)
@given(cross_twins, randoms, st.sampled_from((1, 3)))
def test_simulate_block__decides_a_quantum_beyond_the_band(twin, random, multiple) -> None:
    prices = draw_prices(random, twin.markets)
    edges = edges_of(twin, at_prices(twin.markets, prices), ONE, multiple)
    document = document_of(twin, prices, leverage=sorted({1, multiple}))
    hits = hits_of(document, twin, [pool for _, _, pool in edges])
    for n, (mark, expected, _) in enumerate(edges):
        assert hits[mark, 1, n, -1, 0] == expected


def test_simulate_block__a_tie_stands() -> None:
    # 1 BTC at 60,000 needs 720 of maintenance and 1,200 of initial margin; equity is that, to the quantum
    market = Market(0, -10, 6_000_000_000, -5, Tier(20_000, 600_000))
    twin = Twin({0: market}, (Account({0: 0}, {0: Position(10**10)}),))
    pools = [with_equity(twin.pools[0], twin.markets, usd * QUOTE) for usd in (720, 1_200, 0)]
    assert [account_risk(pool, twin.markets).equity for pool in pools] == [720 * QUOTE, 1_200 * QUOTE, 0]
    hits = hits_of(document_of(twin), twin, pools)[:, 0, :, 0, 0]
    assert hits[LIQUIDATION].tolist() == [0, 0, 1]
    assert hits[MARGIN_CALL].tolist() == [1, 0, 1]
    assert hits[BANKRUPTCY].tolist() == [0, 0, 0]


def funding_span(rates_ppm: Mapping[int, int], pool: Account, hours: int) -> Span:
    """Equity in float64 less the chain's: an index moves by whole units, a settlement is floored.

    A unit costs a position |size| x 1e-6 quote quantums, its size in base quantums: 0.01 USD a BTC. The chain
    leaves off less than a unit an hour (and a 28,800th part of one), so it pays and receives less.
    """
    span = Span(Fraction(0), Fraction(1))
    for i, position in pool.positions.items():
        left = (1 + Fraction(1, 28_800)) * hours * Fraction(abs(position.quantums), MILLION)
        paid = rates_ppm[i] * position.quantums
        span = span.plus(Span(-left if paid > 0 else Fraction(0), left if paid < 0 else Fraction(0)))
    return span


def funded(markets: Markets, rates_ppm: Mapping[int, int], hours: int) -> Markets:
    """The markets after so many hours at these 8-hour rates, prices standing still."""
    return {
        i: dataclasses.replace(
            market, funding_index=market.funding_index + hours * index_delta(market, rates_ppm[i], 3_600)
        )
        for i, market in markets.items()
    }


@settings(deadline=None, max_examples=50)
@given(cross_twins, randoms, st.sampled_from((1, 8)))
def test_simulate_block__funding_is_the_chains_but_for_its_quantum(twin, random, hours) -> None:
    pool = settle(twin.pools[0], twin.markets)[0]
    twin = dataclasses.replace(twin, pools=(pool,))
    asked = {i: random.choice((0, 1, 125, random.randint(-100_000, 100_000))) for i in twin.markets}
    bounds = {i: market.tier.funding_clamp_ppm(CLAMP_FACTOR) for i, market in twin.markets.items()}
    rates = {i: clamp(rate, -bounds[i], bounds[i]) for i, rate in asked.items()}
    later = funded(twin.markets, rates, hours)
    added = funding_span(rates, pool, hours)
    edges = edges_of(twin, later, added)
    document = document_of(twin)
    document["simulation"]["horizons"] = [f"{hours}h"]
    annual = {asset_of(i): rate / MILLION * RATE_PERIODS for i, rate in asked.items()}
    document["model"]["regimes"]["only"]["funding"] = annual
    hits = hits_of(document, twin, [pool for _, _, pool in edges])
    for n, (mark, expected, edge) in enumerate(edges):
        first, last = instant_of(twin, edge, twin.markets), instant_of(twin, edge, later, added)
        assert last.hits(mark) == expected
        # equity that grows may have been below before
        if any_of([first.hits(mark), expected]) is not None:
            assert hits[mark, 0, n, 0, 0] == any_of([first.hits(mark), expected])


# 200,000 coins of open interest: 18 M USD at 90, the lower cap at 100, 40 M at 200, two thirds of the way up
SCALED = Market(0, -7, 9_000_000_000, -8, Tier(100_000, 500_000, 20_000_000 * QUOTE, 50_000_000 * QUOTE))
OPEN = dataclasses.replace(SCALED, open_interest=200_000 * 10**7)


def test_simulate_block__margin_call_by_open_interest_alone() -> None:
    # 100 long from 90 on 2,000: at 150 equity is 8,000 and 40 % of 15,000 is 6,000; at 200, 13,000 and 14,000
    twin = Twin({0: OPEN}, (Account({0: -7_000 * QUOTE}, {0: Position(100 * 10**7)}),))
    prices = [150 * 10**8, 200 * 10**8]
    risks = [account_risk(twin.pools[0], at_prices(twin.markets, {0: price})) for price in prices]
    assert risks == [
        (8_000 * QUOTE, 6_000 * QUOTE, 750 * QUOTE),
        (13_000 * QUOTE, 14_000 * QUOTE, 1_000 * QUOTE),
    ]
    hits = counted(document_of(twin, *({0: price} for price in prices)))[:, 1:, 0, 0]
    assert hits[MARGIN_CALL].tolist() == [0, 1]
    assert not hits[LIQUIDATION].any()
    # what the position needs without open interest: never called
    free = dataclasses.replace(twin, markets={0: SCALED})
    assert not counted(document_of(free, *({0: price} for price in prices)))[MARGIN_CALL].any()


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from((1, -1)),
    st.integers(10, 10_000),
    st.integers(105, 400),
    st.integers(0, 12),
    st.integers(-8, 12),
    st.one_of(st.none(), st.integers(100_000, 1_000_000)),
)
def test_simulate_block__called_in_the_hour_that_the_chain_calls(
    side, size, percent, interest, pace, custom
) -> None:
    """A price that drifts by `pace` percent an hour, and equity of `percent` of base initial margin."""
    market = dataclasses.replace(OPEN, open_interest=interest * 10**5 * 10**7)
    markets = {0: market}
    pool = Account({0: 0}, {0: Position(side * size * 10**7)}, {} if custom is None else {0: custom})
    base = abs(market.notional(pool.size(0))) * market.tier.initial_margin_ppm // MILLION
    twin = Twin(markets, (with_equity(pool, markets, base * percent // 100),))
    hours = 24
    expected: list[list[int]] = []
    for mark in (MARGIN_CALL, LIQUIDATION, BANKRUPTCY):
        below = []
        for hour in range(hours + 1):
            price = round(market.price * (1 + Fraction(pace, 100)) ** hour)
            excess = instant_of(twin, twin.pools[0], at_prices(markets, {0: price})).excess[mark]
            assume(
                abs(excess) > abs(market.notional(size)) // 10**4
            )  # far beyond what rounding the price does
            below.append(excess < 0)
        # what is below at the start counts in the first hour
        first = max(below.index(True), 1) if True in below else 0
        expected.append([int(hour == first) for hour in range(1, hours + 1)])
    document = document_of(twin)
    document["simulation"]["horizons"] = [f"{hour}h" for hour in range(1, hours + 1)]
    drift = {"effect": "drift", "add": log(1 + pace / 100) * YEAR_H}
    document["scenarios"] = ["baseline", scenario("drift", drift)]
    assert counted(document)[:, 1, 0].tolist() == expected
