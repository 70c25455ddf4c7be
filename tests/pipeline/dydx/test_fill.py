from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from pipeline.dydx.errors import DydxError, LiquidationStopped, UpdateRefused
from pipeline.dydx.fill import fill, place_liquidation, settle_proposed_liquidation
from pipeline.dydx.liquidation import LiquidationOrder, liquidation_order
from pipeline.dydx.state import State
from tests.pipeline.dydx.exchange import (
    BTC,
    MAINNET,
    PAIRS,
    account,
    bid,
    coins,
    exchange,
    offer,
    subticks,
    two_sided,
    usd,
)

RICH = account(1_000_000)


def sell(size: str | int = 1, price: str | int = 59_000) -> LiquidationOrder:
    return LiquidationOrder("a", BTC, False, coins(size), subticks(price))


def money(state: State) -> int:
    return sum(one.usdc for one in state.accounts.values()) + sum(
        fund.balance for fund in state.funds.values()
    )


def test_fill__at_the_makers_price_with_fees() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, maker_fee_ppm=100)
    maker = bid("m", 1, "59500.0001")
    fill(state, sell(), maker, coins(1))
    paid = usd("59500.0001")
    assert state.accounts["a"].usdc == usd(13_400) + usd(59_330)  # all above bankruptcy is the fee
    assert state.accounts["m"].usdc == usd(1_000_000) - paid - usd("5.950001")  # rounded up
    assert state.fund(BTC).balance == paid - usd(59_330)
    assert state.record("a").notional_liquidated == usd(60_000)  # at the oracle price
    assert state.accounts["a"].size(BTC) == coins(9)
    assert state.accounts["m"].size(BTC) == coins(1)


def test_fill__no_rebate_for_the_maker() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, maker_fee_ppm=-110)
    before = money(state)
    fill(state, sell(), bid("m", 1, 60_000), coins(1))
    assert money(state) == before


def test_fill__the_fund_pays_and_it_counts() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, fund=330)
    before = money(state)
    fill(state, sell(), bid("m", 1, 59_000), coins(1))
    assert (state.fund(BTC).balance, state.record("a").insurance_lost) == (0, usd(330))
    assert money(state) == before


def test_fill__refused_changes_nothing() -> None:
    cases = [
        (exchange({"a": two_sided(), "m": RICH}, fund=329), bid("m", 1, 59_000), LiquidationStopped),
        (exchange({"a": two_sided(), "m": account(1)}), bid("m", 1, 59_500), UpdateRefused),
        (exchange({"a": two_sided(), "m": RICH}), bid("m", 1, 58_999), DydxError),
        (exchange({"a": two_sided(), "m": RICH}), offer("m", 1, 59_500), DydxError),
        (exchange({"a": two_sided(), "m": RICH}), bid("a", 1, 59_500), DydxError),
        (exchange({"a": two_sided(), "m": RICH}), bid("m", "0.9", 59_500), DydxError),
    ]
    for state, maker, error in cases:
        state.record("a")
        before = copy.deepcopy(state)
        with pytest.raises(error):
            fill(state, sell(), maker, coins(1))
        assert state == before


@pytest.mark.parametrize("quantums", [0, 1, coins(1) + 10**6])
def test_fill__refuses_sizes(quantums: int) -> None:
    state = exchange({"a": two_sided(), "m": RICH})
    with pytest.raises(DydxError):
        fill(state, sell(), bid("m", 2, 59_500), quantums)


def test_fill__block_limits_hold_for_the_sum_of_fills() -> None:
    state = exchange({"a": two_sided(), "m": RICH})
    maker = bid("m", 10, 59_500)
    fill(state, sell(10), maker, coins(1))
    with pytest.raises(LiquidationStopped, match="notional"):
        fill(state, sell(10), maker, coins(1))
    fill(state, sell(10), maker, coins("0.5"))


def test_place_liquidation__price_then_time_to_the_limit() -> None:
    state = exchange(
        {"a": two_sided(), "m": RICH, "n": RICH},
        bid("m", "0.1", 59_900, 1),
        bid("n", "0.1", 59_950),
        bid("m", "0.1", 59_950, 2),
        bid("n", "0.5", 59_000, 3),
    )
    assert place_liquidation(state, sell("0.25", 59_900)) == coins("0.25")
    assert [state.accounts[name].size(BTC) for name in "nm"] == [coins("0.1"), coins("0.15")]
    assert [order.client_id for order in state.book(BTC).opposite(is_buy=False)] == [1, 3]


def test_place_liquidation__stops_where_the_fund_is_empty() -> None:
    state = exchange(
        {"a": two_sided(), "m": RICH},
        bid("m", "0.5", 59_330, 1),
        bid("m", 1, 59_329, 2),
        bid("m", 1, 59_320, 3),
    )
    assert place_liquidation(state, sell()) == coins("0.5")
    assert len(state.book(BTC).resting) == 2


def test_place_liquidation__passes_over_makers_that_may_not() -> None:
    state = exchange(
        {"a": two_sided(), "poor": account(1), "m": RICH},
        bid("poor", 1, 59_900),
        bid("a", 1, 59_800),
        bid("m", 1, 59_700),
    )
    assert place_liquidation(state, sell()) == coins(1)
    assert state.book(BTC).resting == {}
    assert state.accounts["poor"] == account(1)


def test_place_liquidation__once_per_perpetual_and_block() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, bid("m", "0.1", 59_950), bid("m", 9, 59_950, 1))
    place_liquidation(state, sell("0.1"))
    assert state.record("a").perpetuals == {BTC}
    with pytest.raises(DydxError, match="has been liquidated"):
        liquidation_order(state, "a", BTC)
    with pytest.raises(DydxError, match="has been liquidated"):
        place_liquidation(state, sell("0.1"))


def test_place_liquidation__refuses_final_settlement() -> None:
    state = exchange({"a": two_sided()}, pairs={BTC: replace(PAIRS[BTC], final_settlement=True)})
    with pytest.raises(DydxError, match="final settlement"):
        place_liquidation(state, sell())


def test_settle_proposed_liquidation__must_be_the_order_and_cross() -> None:
    maker = bid("m", 1, 59_950)
    for size, is_buy, price in (
        (1, False, 59_950),
        (2, False, 59_950),
        (1, True, 59_950),
        (1, False, 59_924),
    ):
        state = exchange({"a": two_sided(), "m": RICH})
        proposal = (
            state,
            "a",
            BTC,
            is_buy,
            coins(size),
            [(replace(maker, subticks=subticks(price)), coins(1))],
        )
        if (size, is_buy, price) == (1, False, 59_950):
            settle_proposed_liquidation(*proposal)
            assert state.accounts["a"].size(BTC) == coins(9)
            assert state.record("a").perpetuals == {BTC}
        else:
            with pytest.raises(DydxError):
                settle_proposed_liquidation(*proposal)


def test_settle_proposed_liquidation__refuses_a_safe_account() -> None:
    state = exchange({"a": account(14_400, 10, -200), "m": RICH})
    with pytest.raises(DydxError, match="not liquidatable"):
        settle_proposed_liquidation(state, "a", BTC, False, coins(1), [])


def test_settle_proposed_liquidation__fills_of_one_maker_add_up() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, config=replace(MAINNET, max_liquidation_fee_ppm=0))
    maker = bid("m", "0.6", 59_950)
    with pytest.raises(DydxError, match="what is left"):
        settle_proposed_liquidation(
            state, "a", BTC, False, coins(1), [(maker, coins("0.5")), (maker, coins("0.5"))]
        )
