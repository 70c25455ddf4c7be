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
import pytest
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
from pipeline.dydx.units import MILLION
from pipeline.engine import liquidatable_now, simulate_block
from pipeline.lower_book import TIE
from pipeline.plan import plan_from_document
from tests.pipeline.dydx.tolerances import Span, gross_of, rounded, tolerance_of
from tests.pipeline.dydx.twins import (
    QUOTE,
    Twin,
    asset_of,
    at_prices,
    draw_twin,
    usd_of,
    value_of,
    with_equity,
)

Markets = Mapping[int, Market]
ONE = Span(Fraction(-1), Fraction(1))
NOTHING = Span(Fraction(0), Fraction(0))
YEAR_H = 8_760
RATE_PERIODS = YEAR_H // 8  # eight hours each


class Instant(NamedTuple):
    """A pool on the chain: equity less margin by mark, and by how much the kernel's may differ."""

    excess: tuple[int, int, int]
    span: tuple[Span, Span, Span]
    required: bool

    def hits(self, mark: int) -> bool | None:
        """Whether the kernel counts a hit; None where it may or may not."""
        if mark == LIQUIDATION and not self.required:
            return False
        return self.span[mark].is_negative(self.excess[mark])


def instant_of(twin: Twin, pool: Account, markets: Markets, added: Span = NOTHING) -> Instant:
    """A pool at some prices. The kernel adds up values at `as_of` and then, and looks a bit below equality."""
    risk, allowed = account_risk(pool, markets), tolerance_of(twin, pool, markets)
    standing = account_risk(pool, twin.markets).equity
    gross = sum((abs(value_of(twin.markets[i], p.quantums)) for i, p in pool.positions.items()), Fraction(0))
    tie = Fraction(TIE) * (gross + abs(standing))
    own = rounded(gross_of(twin, pool, markets) + gross, 64).plus(Span(tie, tie)).plus(added)
    return Instant(
        (risk.equity - risk.initial_margin, risk.equity - risk.maintenance_margin, risk.equity),
        (allowed.free_collateral.plus(own), allowed.excess.plus(own), allowed.equity.plus(own)),
        risk.maintenance_margin > 0,
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


def shock_to(markets: Markets, prices: Mapping[int, int], at: str = "0s") -> dict[str, Any]:
    """An effect that brings assets to other prices of the chain."""
    moves = {asset_of(i): float(Fraction(price, markets[i].price) - 1) for i, price in prices.items()}
    return {"effect": "shock", "at": at, "moves": moves}


def scenario(name: str, *effects: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "narrative": "Prices of the chain.", "effects": list(effects)}


def document_of(
    twin: Twin, *shocks: Mapping[int, int], leverage: Sequence[int] = (1,), monitoring: str = "close"
):
    """A plan of a twin with a scenario for each set of prices, the first after `baseline`."""
    simulation = {"paths": 1, "step": "1h", "horizons": ["1h"], "monitoring": monitoring}
    return twin.document(
        simulation=simulation | {"leverage": list(map(float, leverage))},
        scenarios=["baseline", *(scenario(f"s{n}", shock_to(twin.markets, p)) for n, p in enumerate(shocks))],
    )


def draw_prices(random: Random, markets: Markets) -> dict[int, int]:
    """Prices of the chain between a fifth and five times what they are."""
    return {i: max(1, market.price * random.randint(200, 5_000) // 1_000) for i, market in markets.items()}


randoms = st.randoms(use_true_random=False)
twins = randoms.map(lambda random: draw_twin(random, 4))


@settings(deadline=None)
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


def edges_of(twin: Twin, markets: Markets, added: Span = NOTHING) -> list[tuple[int, bool, Account]]:
    """The one pool of a twin, by mark, on either side of the band at these prices: mark, hit, pool."""
    found = []
    for mark in (MARGIN_CALL, LIQUIDATION, BANKRUPTCY):
        for below in (False, True):
            [pool] = twin.pools
            for _ in range(2):  # the band moves a little with the cash
                there = instant_of(twin, pool, markets, added)
                wanted = -floor(there.span[mark].high) - 2 if below else ceil(-there.span[mark].low) + 1
                equity = account_risk(pool, markets).equity + wanted - there.excess[mark]
                pool = with_equity(pool, markets, equity)
            found.append((mark, below and (mark != LIQUIDATION or there.required), pool))
    return found


def lone_twin(random: Random) -> Twin:
    """One pool of up to four positions."""
    twin = draw_twin(random, 4)
    pool = max(twin.pools, key=lambda pool: len(pool.positions))
    markets = {i: dataclasses.replace(market, isolated=False) for i, market in twin.markets.items()}
    return dataclasses.replace(twin, pools=(pool,), margin="cross", markets=markets)


def hits_of(document: dict[str, Any], twin: Twin, pools: Sequence[Account]) -> NDArray[np.int64]:
    """Hits (mark, scenario, pool, horizon), each pool of the twin's markets an account of its own."""
    accounts = [dataclasses.replace(twin, pools=(pool,)).account(f"pool {n}") for n, pool in enumerate(pools)]
    text = json.dumps(plan_from_document(document | {"accounts": accounts}).document())
    return simulate_block(text, Block(0, 0, 1, 0)).hits[:, :, :, 0]


@settings(deadline=None)
@given(randoms.map(lone_twin), randoms)
def test_simulate_block__decides_a_quantum_beyond_the_band(twin, random) -> None:
    prices = draw_prices(random, twin.markets)
    edges = edges_of(twin, at_prices(twin.markets, prices))
    hits = hits_of(document_of(twin, prices), twin, [pool for _, _, pool in edges])
    for n, (mark, expected, _) in enumerate(edges):
        assert hits[mark, 1, n, 0] == expected


def test_simulate_block__a_tie_stands() -> None:
    # 1 BTC at 60,000 needs 720 of maintenance and 1,200 of initial margin; equity is that, to the quantum
    market = Market(0, -10, 6_000_000_000, -5, Tier(20_000, 600_000))
    twin = Twin({0: market}, (Account({0: 0}, {0: Position(10**10)}),))
    pools = [with_equity(twin.pools[0], twin.markets, usd * QUOTE) for usd in (720, 1_200, 0)]
    assert [account_risk(pool, twin.markets).equity for pool in pools] == [720 * QUOTE, 1_200 * QUOTE, 0]
    hits = hits_of(document_of(twin), twin, pools)[:, 0, :, 0]
    assert hits[LIQUIDATION].tolist() == [0, 0, 1]
    assert hits[MARGIN_CALL].tolist() == [1, 0, 1]
    assert hits[BANKRUPTCY].tolist() == [0, 0, 0]


def funding_span(markets: Markets, pool: Account, hours: int) -> Span:
    """What float64 pays less than the chain: the index moves by whole units, and a settlement is floored.

    A unit costs a position |size| x 1e-6 quote quantums, size in base quantums: 0.01 USD a BTC. The chain
    leaves off less than a unit an hour (the inner of its two truncations, a 28,800th part of one more), so it
    pays and receives less than float64 does.
    """
    span = Span(Fraction(0), Fraction(1))
    for i, position in pool.positions.items():
        left = (1 + Fraction(1, 28_800)) * hours * Fraction(abs(position.quantums), MILLION)
        pays = (markets[i].funding_index > position.funding_index) == (position.quantums > 0)
        span = span.plus(Span(-left, Fraction(0)) if pays else Span(Fraction(0), left))
    return span
