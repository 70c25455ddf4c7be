"""The float64 snapshot against the chain's integers, on generated accounts, within derived tolerances."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.market import Market
from pipeline.dydx.prices import bankruptcy_quote, fillable_price
from pipeline.dydx.risk import Risk, account_risk
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import MILLION
from pipeline.margin_now import PoolMargin
from pipeline.margin_snapshot import PositionMargin, margin_snapshot
from tests.pipeline.dydx.tolerances import Tolerance, gross_of, rounded, tolerance_of
from tests.pipeline.dydx.twins import (
    QUOTE,
    Twin,
    at_prices,
    coins_of,
    draw_twin,
    usd_of,
    value_of,
    with_equity,
)

# not by hypothesis' own random numbers, which are far from as diverse; positions it can take away
twins = st.builds(
    draw_twin,
    st.randoms(use_true_random=True),
    st.integers(0, 8),
    st.sampled_from(("cross", "mixed", "isolated")),
)


class Pair(NamedTuple):
    """A pool in both worlds."""

    twin: Twin
    pool: Account
    margin: PoolMargin
    positions: dict[int, PositionMargin]

    @property
    def risk(self) -> Risk:
        """The chain's."""
        return account_risk(self.pool, self.twin.markets)

    @property
    def tolerance(self) -> Tolerance:
        """How far float64 may lie from it."""
        return tolerance_of(self.twin, self.pool, self.twin.markets)

    def liquidatable_at(self, perpetual_id: int, price: int) -> bool | None:
        """The chain's predicate at another price of one perpetual; None within the tolerance of equality."""
        markets = at_prices(self.twin.markets, {perpetual_id: price})
        risk = account_risk(self.pool, markets)
        span = tolerance_of(self.twin, self.pool, markets).excess
        clear = span.is_negative(risk.equity - risk.maintenance_margin) is not None
        return risk.is_liquidatable if clear else None


def pairs_of(twin: Twin) -> list[Pair]:
    """The pools of a twin in both worlds."""
    [account] = margin_snapshot(twin.plan)
    assert len(account.margin.pools) == len(twin.pools)
    held = iter(account.positions)
    return [
        Pair(twin, pool, margin, {i: next(held) for i in pool.positions})
        for pool, margin in zip(twin.pools, account.margin.pools, strict=True)
    ]


def with_excess(pair: Pair, mark: str, excess: int) -> Pair:
    """The pool alone, its equity on the chain so many quantums above a margin."""
    equity = getattr(pair.risk, mark) + excess
    pool = with_equity(pair.pool, pair.twin.markets, equity)
    markets = {i: dataclasses.replace(m, isolated=False) for i, m in pair.twin.markets.items()}
    return pairs_of(dataclasses.replace(pair.twin, pools=(pool,), margin="cross", markets=markets))[0]


def quantums(amount: float) -> Fraction:
    """USD in quote quantums."""
    return Fraction(amount) * QUOTE


@settings(deadline=None)
@given(twins)
def test_pool_margin__amounts_are_the_chains(twin) -> None:
    for pair in pairs_of(twin):
        risk, margin, allowed = pair.risk, pair.margin, pair.tolerance
        assert allowed.equity.holds(quantums(margin.equity) - risk.equity)
        assert allowed.initial_margin.holds(quantums(margin.initial_margin) - risk.initial_margin)
        assert allowed.maintenance_margin.holds(quantums(margin.maintenance_margin) - risk.maintenance_margin)
        free = risk.equity - risk.initial_margin
        last = rounded(abs(quantums(margin.free_collateral)), 1)
        assert allowed.free_collateral.plus(last).holds(quantums(margin.free_collateral) - free)


@settings(deadline=None)
@given(twins)
def test_pool_margin__decides_as_the_chain_outside_the_band(twin) -> None:
    for pair in pairs_of(twin):
        risk, margin, allowed = pair.risk, pair.margin, pair.tolerance
        below = allowed.excess.is_negative(risk.equity - risk.maintenance_margin)
        if below is not None:
            assert margin.liquidatable == risk.is_liquidatable
        called = allowed.free_collateral.is_negative(risk.equity - risk.initial_margin)
        if called is not None:
            assert margin.called == (not risk.is_initial_collateralized)
        bankrupt = allowed.equity.is_negative(risk.equity)
        if bankrupt is not None:
            assert margin.bankrupt == (risk.equity < 0)


@settings(deadline=None, max_examples=50)
@given(twins)
def test_pool_margin__decides_as_the_chain_a_quantum_beyond_the_band(twin) -> None:
    for pair in pairs_of(twin):
        for mark in ("maintenance_margin", "initial_margin"):
            span = pair.tolerance.excess if mark == "maintenance_margin" else pair.tolerance.free_collateral
            # one more, as the cash that is moved is rounded too
            for excess in (ceil(-span.low) + 1, -floor(span.high) - 2):
                moved = with_excess(pair, mark, excess)
                if mark == "initial_margin":
                    assert moved.margin.called == (excess < 0)
                elif moved.risk.maintenance_margin:
                    assert moved.margin.liquidatable == moved.risk.is_liquidatable == (excess < 0)


# Figures that binary has exactly, so that float64 rounds nothing and the band is empty: sizes in fours of
# coins, prices and open interest that are powers of two but for a small factor, fractions in powers of two.
# The factor puts open interest below the caps (below 4), on them (4 and 8), between, or above.
LOWER, UPPER = 2**26 * QUOTE, 2**27 * QUOTE
dyadic_positions = st.tuples(
    st.integers(1, 2**8),
    st.sampled_from((4, -4)),
    st.tuples(st.integers(0, 12), st.integers(1, 16)),
    st.tuples(
        st.sampled_from((62_500, 125_000, 500_000, 1_000_000)),
        st.sampled_from((125_000, 250_000, 500_000, 1_000_000)),
        st.sampled_from(((0, 0), (LOWER, UPPER))),
    ),
)


def dyadic_twin(drawn: list[tuple[int, int, tuple[int, int], tuple[int, int, tuple[int, int]]]]) -> Twin:
    """One pool of such positions: size and side, exponent and factor of the price, tier."""
    markets, positions = {}, {}
    for i, (fours, side, (exponent, factor), (initial, share, caps)) in enumerate(drawn):
        price, interest = factor * 2**exponent * 10**5, 2 ** (24 - exponent) * 10**7
        markets[i] = Market(i, -7, price, -5, Tier(initial, share, *caps), interest)
        positions[i] = Position(fours * side * 10**7)
    return Twin(markets, (Account({0: 0}, positions),))


@settings(deadline=None)
@given(st.lists(dyadic_positions, min_size=1, max_size=8), st.sampled_from((-1, 0, 1)))
def test_pool_margin__decides_ties_to_the_quantum(drawn, excess) -> None:
    [bare] = pairs_of(dyadic_twin(drawn))
    assert quantums(bare.margin.equity) == bare.risk.equity
    assert quantums(bare.margin.initial_margin) == bare.risk.initial_margin
    assert quantums(bare.margin.maintenance_margin) == bare.risk.maintenance_margin
    at_maintenance = with_excess(bare, "maintenance_margin", excess)
    assert at_maintenance.margin.liquidatable == at_maintenance.risk.is_liquidatable == (excess < 0)
    at_initial = with_excess(bare, "initial_margin", excess)
    assert at_initial.margin.called == (not at_initial.risk.is_initial_collateralized) == (excess < 0)


def share_slack(pair: Pair, perpetual_id: int) -> Fraction | None:
    """How far off the position's share of equity may be; None where that has no bound.

    It is equity x own maintenance margin / that of all, so an error of the margins counts as often as equity
    is the margin of all.
    """
    risk, allowed = pair.risk, pair.tolerance
    alone = Account(positions={perpetual_id: pair.pool.positions[perpetual_id]})
    own = tolerance_of(pair.twin, alone, pair.twin.markets).maintenance_margin.widest
    least = risk.maintenance_margin - allowed.maintenance_margin.widest
    if least <= 0:
        return None
    size = pair.pool.size(perpetual_id)
    weight = Fraction(pair.twin.markets[perpetual_id].margins(size)[1], risk.maintenance_margin)
    off = (own + weight * allowed.maintenance_margin.widest) / least
    return weight * allowed.equity.widest + (abs(risk.equity) + allowed.equity.widest) * off


def priced(pair: Pair) -> Iterator[tuple[int, PositionMargin, int, Fraction, Fraction]]:
    """Of each position: id, float64's view, size, notional, and float64's roundings of its prices."""
    for i, position in pair.positions.items():
        size = pair.pool.size(i)
        notional = abs(value_of(pair.twin.markets[i], size))
        yield i, position, size, notional, rounded(notional + abs(pair.risk.equity), 16).high


@settings(deadline=None)
@given(twins)
def test_bankruptcy_price__is_the_chains(twin) -> None:
    for pair in pairs_of(twin):
        for i, position, size, _, own in priced(pair):
            if pair.risk.maintenance_margin == 0:
                assert position.bankruptcy_price is None
                with pytest.raises(DydxError, match="without maintenance margin"):
                    bankruptcy_quote(pair.pool, twin.markets, i, -size)
                continue
            quote, share = bankruptcy_quote(pair.pool, twin.markets, i, -size), share_slack(pair, i)
            if share is None:
                continue
            slack = share + 2 + own  # the notional truncated, the share floored
            if position.bankruptcy_price is None:
                assert quote * (1 if size > 0 else -1) <= slack
            else:
                brought = Fraction(position.bankruptcy_price) * coins_of(twin.markets[i], size) * QUOTE
                assert abs(brought - quote) <= slack


@settings(deadline=None)
@given(twins)
def test_fillable_price__is_the_chains(twin) -> None:
    spread = Fraction(twin.config.spread_to_maintenance_margin_ratio_ppm, MILLION)
    adjustment = Fraction(twin.config.bankruptcy_adjustment_ppm, MILLION)
    for pair in pairs_of(twin):
        for i, position, size, notional, own in priced(pair):
            if not pair.margin.liquidatable:
                assert position.fillable_price is None
                continue
            share = share_slack(pair, i)
            if share is None or not pair.risk.is_liquidatable:
                continue
            # the rating times the position's margin moves with its share of equity, and is at most the margin
            rated = min(adjustment * (2 + share), notional)
            slack = 1 + spread * (2 + rated) + own * (1 + spread * adjustment)
            coins = abs(coins_of(twin.markets[i], size))
            found = Fraction(position.fillable_price or 0) * coins * QUOTE  # none: not above zero
            try:
                worst = fillable_price(pair.pool, twin.markets, i, -size, twin.config) * abs(size)
            except DydxError:  # a spread beyond the price itself
                assert found <= slack
                continue
            assert abs(found - worst) <= slack


@settings(deadline=None)
@given(twins)
def test_liquidation_price__is_where_the_chain_changes_its_mind(twin) -> None:
    for pair in pairs_of(twin):
        for i, position in pair.positions.items():
            market, size = twin.markets[i], pair.pool.size(i)
            fraction = Fraction(market.tier.initial_margin_ppm * market.tier.maintenance_fraction_ppm, 10**12)
            # what a price unit changes of equity less maintenance margin
            per_unit = abs(value_of(market, size, 1)) * (1 - fraction if size > 0 else 1 + fraction)
            if position.liquidation_price is None:
                now = pair.liquidatable_at(i, market.price)
                for price in (market.price // 100, market.price * 100):
                    assert pair.liquidatable_at(i, price) in (None, now) or now is None
                continue
            units = Fraction(position.liquidation_price) / usd_of(market, 1)
            there = tolerance_of(twin, pair.pool, at_prices(twin.markets, {i: ceil(units) + 1}))
            here = gross_of(twin, pair.pool, twin.markets)
            step = 1 + ceil((there.excess.widest + rounded(here, 16).high) / per_unit)
            low, high = floor(units) - step, ceil(units) + step
            outward, inward = (low, high) if size > 0 else (high, low)
            for price, below in ((outward, True), (inward, False)):
                if price > 0:
                    risk = account_risk(pair.pool, at_prices(twin.markets, {i: price}))
                    # less than a quantum of notional needs no margin
                    assert risk.is_liquidatable == (below and risk.maintenance_margin > 0)
