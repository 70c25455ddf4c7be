from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.dydx.errors import DydxError, LiquidationStopped
from pipeline.dydx.insurance import InsuranceFund, insurance_fund_delta
from pipeline.dydx.limits import (
    BlockRecord,
    check_block_limits,
    insurance_left,
    notional_left,
    position_limits,
)
from pipeline.dydx.liquidation import (
    LiquidationOrder,
    liquidation_order,
    next_liquidation_order,
    position_to_liquidate,
    size_to_liquidate,
    worst_first,
)
from tests.pipeline.dydx.exchange import (
    BTC,
    ETH,
    MAINNET,
    MARKETS,
    PAIRS,
    account,
    coins,
    exchange,
    subticks,
    two_sided,
    usd,
)


@pytest.mark.parametrize(
    ("btc", "limits"),
    [("0.01", (600, 600)), ("0.1", (1_000, 1_000)), ("-1", (1_000, 6_000)), ("100", (1_000, 600_000))],
)
def test_position_limits__least_and_portion(btc: str, limits: tuple[int, int]) -> None:
    found = position_limits(MARKETS[BTC], coins(btc), MAINNET)
    assert found == tuple(usd(limit) for limit in limits)


@pytest.mark.parametrize(
    ("btc", "done", "closed"),
    [
        ("0.01", 0, "-0.01"),  # less than 1,000 USDC: all of it
        ("0.1", 0, "-0.0166"),  # 1,000 USDC, in steps of 0.0001
        ("-10", 0, "1"),  # a tenth
        ("100", 0, "-1.6666"),  # 100,000 USDC a block
        ("100", 99_999, "-0.0001"),  # at least one step
        ("0.00005", 100_000, "-0.00005"),  # less than a step: all of it, whatever the limit
    ],
)
def test_size_to_liquidate__limits(btc: str, done: int, closed: str) -> None:
    record = BlockRecord(usd(done))
    size = size_to_liquidate(account(0, btc), MARKETS[BTC], PAIRS[BTC], record, MAINNET)
    assert size == coins(closed)


def test_size_to_liquidate__once_per_perpetual_and_block() -> None:
    with pytest.raises(DydxError, match="has been liquidated"):
        size_to_liquidate(account(0, 1), MARKETS[BTC], PAIRS[BTC], BlockRecord(perpetuals={BTC}), MAINNET)


def test_size_to_liquidate__refuses_no_position() -> None:
    with pytest.raises(DydxError, match="no position"):
        size_to_liquidate(account(5), MARKETS[BTC], PAIRS[BTC], BlockRecord(), MAINNET)


def test_limits_left__refuse_what_is_exceeded() -> None:
    spent = BlockRecord(MAINNET.max_notional_liquidated + 1, MAINNET.max_quantums_insurance_lost - 1)
    assert insurance_left(spent, BTC, MAINNET) == 1
    with pytest.raises(DydxError, match="notional"):
        notional_left(spent, BTC, MAINNET)


def test_check_block_limits__at_the_limit_and_beyond() -> None:
    config = replace(MAINNET, max_quantums_insurance_lost=5)
    record = BlockRecord(usd(40_000), 3)
    check_block_limits(record, MARKETS[BTC], coins(1), -2, config)
    check_block_limits(record, MARKETS[BTC], coins(1), 1_000, config)
    with pytest.raises(LiquidationStopped, match="notional"):
        check_block_limits(record, MARKETS[BTC], coins(1) + 1, 0, config)
    with pytest.raises(LiquidationStopped, match="insurance"):
        check_block_limits(record, MARKETS[BTC], coins(1), -3, config)


@pytest.mark.parametrize(
    ("offset", "done", "turn"), [(0, set(), BTC), (1, set(), ETH), (1, {ETH}, BTC), (2, set(), BTC)]
)
def test_position_to_liquidate__by_id_from_an_offset(offset: int, done: set[int], turn: int) -> None:
    assert position_to_liquidate(two_sided(), BlockRecord(perpetuals=done), offset) == turn


def test_position_to_liquidate__refuses_when_all_are_done() -> None:
    with pytest.raises(DydxError, match="no position is left"):
        position_to_liquidate(two_sided(), BlockRecord(perpetuals={BTC, ETH}))


def test_liquidation_order__worked_example() -> None:
    state = exchange({"a": two_sided()})
    assert liquidation_order(state, "a", BTC) == LiquidationOrder("a", BTC, False, coins(1), subticks(59_925))
    eth = liquidation_order(state, "a", ETH)
    assert (eth.is_buy, eth.quantums, eth.subticks) == (True, coins(20, ETH), subticks("3003.7", ETH))


def test_next_liquidation_order__none_where_safe() -> None:
    state = exchange({"a": account(14_400, 10, -200)})
    assert next_liquidation_order(state, "a") is None


def test_worst_first__distance_then_notional_then_as_given() -> None:
    def order(name: str, size: str, price: int) -> LiquidationOrder:
        return LiquidationOrder(name, BTC, price > 60_000, coins(size), subticks(price))

    given = [
        order("near", "9", 60_100),
        order("small", "1", 59_000),
        order("a", "2", 61_000),
        order("b", "2", 59_000),
    ]
    assert [one.account for one in worst_first(given, MARKETS, PAIRS)] == ["a", "b", "small", "near"]


@pytest.mark.parametrize(
    ("price", "delta"),
    [
        (59_000, -330),  # worse than bankruptcy: the fund pays
        (59_330, 0),
        (59_500, 170),  # what is above bankruptcy,
        (62_000, 930),  # but 1.5 % of the fill at most
    ],
)
def test_insurance_fund_delta__of_a_long(price: int, delta: int) -> None:
    found = insurance_fund_delta(two_sided(), MARKETS, BTC, -coins(1), subticks(price), PAIRS[BTC], MAINNET)
    assert found == usd(delta)


def test_insurance_fund_delta__of_a_short() -> None:
    def found(price: int) -> int:
        size = coins(1, ETH)
        return insurance_fund_delta(
            two_sided(), MARKETS, ETH, size, subticks(price, ETH), PAIRS[ETH], MAINNET
        )

    assert [found(price) for price in (3_040, 3_030, 2_900)] == [-usd("6.5"), usd("3.5"), usd("43.5")]


def test_insurance_fund_delta__refuses_nothing() -> None:
    with pytest.raises(DydxError, match="fill of nothing"):
        insurance_fund_delta(two_sided(), MARKETS, BTC, 0, 1, PAIRS[BTC], MAINNET)


@pytest.mark.parametrize(("delta", "covered"), [(-5, True), (-6, False), (3, True)])
def test_covers__down_to_nothing(delta: int, covered: bool) -> None:
    assert InsuranceFund(5).covers(delta) is covered
