from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.market import Pair
from pipeline.dydx.prices import bankruptcy_quote, fillable_price, fillable_subticks, liquidation_price
from tests.pipeline.dydx.exchange import (
    BTC,
    ETH,
    MAINNET,
    MARKETS,
    PAIRS,
    PLAIN,
    account,
    coins,
    subticks,
    two_sided,
    usd,
)


@pytest.mark.parametrize(
    ("equity", "size", "price", "fraction", "other", "expected"),
    [
        ("13400", "10", "60000", "0.012", "7200", "60101.2146"),
        ("1000", "-3", "3000", "0.05", "0", "3174.6032"),
        ("1000", "-1.5", "3000", "0.05", "175", "3380.9524"),
        ("5", "1", "100", "0.004", "4", "99.3976"),
    ],
)
def test_liquidation_price__worked_examples(
    equity: str, size: str, price: str, fraction: str, other: str, expected: str
) -> None:
    found = liquidation_price(*map(Fraction, (equity, size, price, fraction, other)))
    assert found is not None
    assert round(found, 4) == Fraction(expected)


def test_liquidation_price__undefined() -> None:
    one = Fraction(1)
    assert liquidation_price(one, Fraction(0), one, one, one) is None
    assert liquidation_price(one, one, one, one, one) is None  # a maintenance margin of all the notional
    assert liquidation_price(Fraction(10), one, one, Fraction(0), Fraction(0)) is None  # below zero


def test_bankruptcy_quote__worked_example() -> None:
    assert bankruptcy_quote(two_sided(), MARKETS, BTC, -coins(10)) == usd(593_300)
    assert bankruptcy_quote(two_sided(), MARKETS, ETH, coins(200, ETH)) == -usd(606_700)
    assert bankruptcy_quote(two_sided(), MARKETS, BTC, -coins(1)) == usd(59_330)


@pytest.mark.parametrize(("usdc", "quote"), [(1, 23), (-1, 24)])
def test_bankruptcy_quote__spares_the_fund(usdc: int, quote: int) -> None:
    # 23 of a long of 45 carry a third of the maintenance margin; a third of the equity is floored
    holder = Account({0: usdc - 45}, {7: Position(45)})
    assert bankruptcy_quote(holder, {7: PLAIN}, 7, -23) == quote


def test_fillable_price__worked_example() -> None:
    btc = fillable_price(two_sided(), MARKETS, BTC, -coins(1), MAINNET)
    eth = fillable_price(two_sided(), MARKETS, ETH, coins(1, ETH), MAINNET)
    assert (btc, eth) == (Fraction(59_925, 10**4), Fraction("3003.75") / 10**3)


@pytest.mark.parametrize(("usdc", "price"), [(-59_280, 60_000), (-60_000, 58_920), (-70_000, 58_920)])
def test_fillable_price__spread_from_none_to_its_most(usdc: int, price: int) -> None:
    # one BTC: from a maintenance margin of 720 down to no equity, 1.5 x 1.2 %, and no further
    found = fillable_price(account(usdc, 1), MARKETS, BTC, -coins(1), MAINNET)
    assert found == Fraction(price, 10**4)


def test_fillable_price__no_spread_above_maintenance_margin() -> None:
    assert fillable_price(account(0, 1), MARKETS, BTC, -1, MAINNET) == Fraction(60_000, 10**4)


def test_fillable_price__refuses_below_zero() -> None:
    wide = replace(MAINNET, spread_to_maintenance_margin_ratio_ppm=100_000_000)
    with pytest.raises(DydxError, match="negative"):
        fillable_price(account(-60_000, 1), MARKETS, BTC, -1, wide)


@pytest.mark.parametrize(
    ("price", "is_long", "expected"),
    [
        ("12.345", True, 1_300),
        ("12.345", False, 1_200),
        ("12", True, 1_200),
        ("0", True, 100),
        ("0", False, 100),
    ],
)
def test_fillable_subticks__up_for_a_long_down_for_a_short(price: str, is_long: bool, expected: int) -> None:
    assert fillable_subticks(Fraction(price), is_long, Pair(-2, 1, 100)) == expected


def test_fillable_subticks__part_of_a_tick_counts() -> None:
    # 1,200.001 subticks are more than twelve ticks
    assert fillable_subticks(Fraction("12.00001"), True, Pair(-2, 1, 100)) == 1_300


def test_fillable_subticks__within_64_bits() -> None:
    assert fillable_subticks(Fraction(2**70), False, Pair(0, 1, 100)) == 2**64 - 2**64 % 100


def test_fillable_subticks__in_usd() -> None:
    price = fillable_price(two_sided(), MARKETS, BTC, -coins(1), MAINNET)
    assert fillable_subticks(price, True, PAIRS[BTC]) == subticks(59_925)


@pytest.mark.parametrize("delta", [0, 1, -coins(10) - 1])
def test_prices__refuse_what_does_not_close(delta: int) -> None:
    with pytest.raises(DydxError, match="does not close"):
        bankruptcy_quote(two_sided(), MARKETS, BTC, delta)
    with pytest.raises(DydxError, match="does not close"):
        fillable_price(two_sided(), MARKETS, BTC, delta, MAINNET)


def test_prices__refuse_an_account_without_maintenance_margin() -> None:
    free = {BTC: replace(MARKETS[BTC], price=0)}
    with pytest.raises(DydxError, match="without maintenance margin"):
        bankruptcy_quote(account(1, 1), free, BTC, -1)
