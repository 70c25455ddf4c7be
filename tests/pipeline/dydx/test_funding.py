from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.book import Order
from pipeline.dydx.errors import DydxError
from pipeline.dydx.funding import (
    funding_tick,
    impact_price,
    index_delta,
    premium_ppm,
    price_premium_ppm,
    sample_ppm,
    settle,
)
from pipeline.dydx.market import Pair
from pipeline.dydx.tier import Tier
from tests.pipeline.dydx.exchange import PLAIN

MARKETS = {
    1: replace(PLAIN, perpetual_id=1, funding_index=1),
    2: replace(PLAIN, perpetual_id=2, funding_index=1),
}
TIGHT = replace(PLAIN, tier=Tier(200_000, 900_000))  # rates within 6 x 2 %
PAIR = Pair(0)


def long(quantums: int) -> Position:
    return Position(quantums, funding_index=0)


def test_settle__rounds_toward_minus_infinity() -> None:
    paid, _ = settle(Account({0: 100}, {1: long(1_500_000)}), MARKETS)
    received, _ = settle(Account({0: 100}, {1: long(-1_500_000)}), MARKETS)
    assert (paid.usdc, received.usdc) == (98, 101)


def test_settle__one_floor_over_all_positions() -> None:
    settled, payments = settle(Account({0: 100}, {1: long(500_000), 2: long(500_000)}), MARKETS)
    assert settled.usdc == 99
    assert payments == {1: 1, 2: 1}


def test_settle__moves_every_position_to_the_index() -> None:
    settled, _ = settle(Account({0: 1}, {1: long(1_000_000), 2: Position(5, funding_index=1)}), MARKETS)
    assert [position.funding_index for position in settled.positions.values()] == [1, 1]
    assert settled.assets == {}
    assert settle(settled, MARKETS) == (settled, {})


def test_settle__refuses_an_unknown_perpetual() -> None:
    with pytest.raises(DydxError, match="perpetual 3 does not exist"):
        settle(Account({}, {3: long(1)}), MARKETS)


def test_funding_tick__default_is_added_before_the_clamp() -> None:
    market = replace(TIGHT, default_funding_ppm=-50_000)
    assert funding_tick(market, 150_000, 3_600, 6_000_000).rate_ppm == 100_000


@pytest.mark.parametrize(("premium", "rate"), [(150_000, 120_000), (-150_000, -120_000), (7, 7)])
def test_funding_tick__clamps_both_ways(premium: int, rate: int) -> None:
    assert funding_tick(TIGHT, premium, 3_600, 6_000_000).rate_ppm == rate


def test_funding_tick__refuses_what_does_not_fit() -> None:
    with pytest.raises(DydxError, match="32 bits"):
        funding_tick(replace(PLAIN, tier=Tier(10**6, 0)), 2**31, 3_600, 2**32)


@pytest.mark.parametrize(("rate", "delta"), [(1_001_999, 125), (-1_001_999, -125)])
def test_index_delta__rounds_toward_zero(rate: int, delta: int) -> None:
    market = replace(PLAIN, atomic_resolution=-9)
    assert index_delta(market, rate, 3_600) == delta


@pytest.mark.parametrize(
    ("votes", "cast", "least", "sample"),
    [
        ([1_000], 4, 2, 0),
        ([-5, -10], 4, 2, -3),
        ([5, 10], 4, 2, 3),
        ([1_000] * 7, 7, 15, 0),
        ([1_000] * 8, 8, 15, 1_000),
        ([], 0, 0, 0),
    ],
)
def test_sample_ppm__median_with_zeros_for_the_missing(
    votes: list[int], cast: int, least: int, sample: int
) -> None:
    assert sample_ppm(votes, cast, least) == sample


@pytest.mark.parametrize(
    ("samples", "taken", "least", "premium"),
    [([1_000] * 30, 30, 60, 500), ([-1], 1, 2, 0), ([-3], 2, 2, -1), ([9], 3, 2, 3), ([], 0, 0, 0)],
)
def test_premium_ppm__mean_with_zeros_for_the_missing(
    samples: list[int], taken: int, least: int, premium: int
) -> None:
    assert premium_ppm(samples, taken, least) == premium


def order(is_buy: bool, quantums: int, subticks: int) -> Order:
    return Order("maker", subticks, is_buy, quantums, subticks)


def test_impact_price__takes_the_last_order_in_part_and_rounds_the_size_up() -> None:
    # 10 at 3 cost 30, the other 12 buy 12/7 of one: 11.71 -> 12 for 42
    assert impact_price([order(False, 10, 3), order(False, 10, 7)], PAIR, 42) == Fraction(42, 12)


def test_impact_price__nothing_asked_costs_the_best() -> None:
    assert impact_price([order(False, 10, 3)], PAIR, 0) == 3


def test_impact_price__too_thin() -> None:
    assert impact_price([order(False, 10, 3)], PAIR, 31) is None
    assert impact_price([], PAIR, 0) is None


@pytest.mark.parametrize(
    ("price", "premium"),
    [(1_000, 0), (900, 111_111), (1_100, -81_818), (960, 0)],
)
def test_price_premium_ppm__outside_the_spread_only(price: int, premium: int) -> None:
    # at 960 the best bid is 990, but the notional reaches 954 on average; asks are at 1,010 throughout
    if price == 900:
        orders = [order(True, 10_000, 1_000), order(False, 10_000, 1_010)]
    else:
        orders = [order(True, 100, 990), order(True, 10_000, 950), order(False, 10_000, 1_010)]
    market = replace(PLAIN, price=price)
    assert price_premium_ppm(orders, PAIR, market, 1_010_000, 10**6) == premium


def test_price_premium_ppm__clamped() -> None:
    orders = [order(True, 100, 1_000)]
    assert price_premium_ppm(orders, PAIR, replace(PLAIN, price=1), 10_000, 5) == 5


def test_price_premium_ppm__refuses_an_index_of_zero_and_a_crossed_book() -> None:
    with pytest.raises(DydxError, match="above zero"):
        price_premium_ppm([], PAIR, replace(PLAIN, price=0), 1, 1)
    with pytest.raises(DydxError, match="crossed"):
        price_premium_ppm([order(True, 1, 5), order(False, 1, 5)], PAIR, PLAIN, 1, 1)
