from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.block import DEFAULT_FLAGS, Flags, holders_of, liquidate_block
from pipeline.dydx.deleveraging import deleverage, deleverage_against, offset_position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.insurance import InsuranceFund
from pipeline.dydx.market import Pair
from pipeline.dydx.state import State
from tests.pipeline.dydx.exchange import (
    BTC,
    ETH,
    MARKETS,
    PAIRS,
    account,
    bid,
    coins,
    exchange,
    two_sided,
    usd,
)

RICH = account(1_000_000)
BROKE = account(-60_100, 1)  # equity -100
FINAL = {BTC: replace(PAIRS[BTC], final_settlement=True), ETH: PAIRS[ETH]}


def blocked(state: State, *liquidatable: str, flags: Flags = DEFAULT_FLAGS) -> list[tuple[str, int]]:
    placed = liquidate_block(state, liquidatable, holders_of(state.accounts), flags=flags)
    return [(order.account, filled) for order, filled in placed]


def test_deleverage_against__at_bankruptcy_price_clears_the_debt() -> None:
    state = exchange({"a": BROKE, "s": account(200_000, -1)})
    assert deleverage(state, "a", BTC, ["s"]) == ((("s", coins(1)),), 0)
    assert state.accounts["a"] == Account({}, {})
    assert state.accounts["s"] == account(200_000 - 60_100)


def test_deleverage__only_where_equity_is_negative() -> None:
    state = exchange({"a": account(-60_000, 1), "s": account(200_000, -1)})
    assert deleverage(state, "a", BTC, ["s"]) is None


@pytest.mark.parametrize(("usdc", "left"), [(-59_000, 1_000), (-60_100, 0)])
def test_deleverage__final_settlement_is_at_oracle_price_unless_bankrupt(usdc: int, left: int) -> None:
    state = exchange({"a": account(usdc, 1), "s": account(200_000, -1)}, pairs=FINAL)
    deleverage(state, "a", BTC, ["s"])
    assert state.accounts["a"].usdc == usd(left)


def test_offset_position__walks_in_order_and_passes_over() -> None:
    accounts = {
        "a": account(-60_100, 1),
        "same": account(0, 5),
        "none": RICH,
        "near": account(60_050, -1),  # bankrupt at 60,050: the prices don't overlap
        "half": account(200_000, "-0.4"),
        "rest": account(700_000, -9),
    }
    state = exchange(accounts)
    found = offset_position(state, "a", BTC, -coins(1), ["same", "none", "near", "half", "rest"])
    assert found == ((("half", coins("0.4")), ("rest", coins("0.6"))), 0)
    short = offset_position(
        exchange(accounts), "a", BTC, -coins(1), ["near", "half", "rest"], max_accounts_walked=2
    )
    assert short == ((("half", coins("0.4")),), -coins("0.6"))


@pytest.mark.parametrize("delta", [coins(1), -coins(2), 0])
def test_deleverage_against__refuses_what_does_not_close_both(delta: int) -> None:
    state = exchange({"a": BROKE, "s": account(200_000, -5)})
    with pytest.raises(DydxError, match="does not close"):
        deleverage_against(state, "a", "s", BTC, delta, 0)


def test_liquidate_block__worst_first_one_position_each() -> None:
    state = exchange(
        {"mild": two_sided(), "worse": account(8_000, 10, -200), "m": RICH}, bid("m", "1.5", 60_000)
    )
    assert blocked(state, "mild", "worse") == [("worse", coins(1)), ("mild", coins("0.5"))]
    assert state.accounts["worse"].size(ETH) == coins(-200, ETH)


def test_liquidate_block__position_offset() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, bid("m", 1, 60_000))
    [(order, filled)] = liquidate_block(state, ["a"], {}, position_offset=1)
    assert (order.perpetual_id, filled) == (ETH, 0)


def test_liquidate_block__deleverages_only_what_got_no_fill() -> None:
    whole = exchange({"a": BROKE, "m": RICH, "s": account(200_000, -1)}, fund=5_000)
    partly = exchange(
        {"a": BROKE, "m": RICH, "s": account(200_000, -1)}, bid("m", "0.01", 60_000), fund=5_000
    )
    assert blocked(whole, "a") == [("a", 0)]
    assert whole.accounts["a"].positions == {}
    assert blocked(partly, "a") == [("a", coins("0.01"))]
    assert partly.accounts["a"].size(BTC) == coins("0.99")


def test_liquidate_block__a_safe_account_without_fill_is_left_alone() -> None:
    state = exchange({"a": two_sided(), "s": account(2_000_000, -20)})
    assert blocked(state, "a", "s") == [("a", 0)]
    assert state.accounts["a"] == two_sided()


def test_liquidate_block__is_built_anew_before_placing() -> None:
    # the milder account buys back from the worse one, below the oracle price, and is safe before its turn
    state = exchange(
        {"worse": account(-59_900, 1), "mild": account(60_700, -1), "m": RICH},
        bid("mild", "0.1", 59_500),
        fund=1_000,
    )
    assert blocked(state, "worse", "mild") == [("worse", coins("0.1"))]


def test_liquidate_block__final_settlement_closes_all_at_oracle_price() -> None:
    state = exchange({"l": account(10_000, 1), "s": account(200_000, -1)}, bid("l", 1, 60_000), pairs=FINAL)
    assert blocked(state) == []
    assert (state.accounts["l"], state.accounts["s"]) == (account(70_000), account(140_000))


def test_liquidate_block__in_final_settlement_nothing_trades() -> None:
    state = exchange(
        {"a": BROKE, "m": RICH, "s": account(200_000, -1)}, bid("m", 1, 60_000), pairs=FINAL, fund=10**6
    )
    assert blocked(state, "a") == [("a", 0)]
    assert state.accounts["m"] == RICH
    assert state.accounts["a"].positions == {}


def test_liquidate_block__flags() -> None:
    accounts = {"a": BROKE, "b": BROKE, "s": account(400_000, -2)}
    assert blocked(exchange(accounts), "a", "b", flags=Flags(liquidations=1)) == [("a", 0)]
    state = exchange(accounts)
    blocked(state, "a", "b", flags=Flags(deleveragings=1))
    assert [bool(state.accounts[name].positions) for name in "ab"] == [False, True]
    state = exchange(accounts)
    blocked(state, "a", flags=Flags(accounts_walked=0))
    assert state.accounts["a"] == BROKE


def test_liquidate_block__records_start_anew() -> None:
    state = exchange({"a": two_sided(), "m": RICH}, bid("m", 5, 60_000))
    first, second = blocked(state, "a"), blocked(state, "a")
    assert first == [("a", coins(1))]
    assert second == [("a", coins("0.9"))]


def test_liquidate_block__an_isolated_market_has_its_own_fund() -> None:
    lone = replace(MARKETS[BTC], isolated=True)
    state = exchange({"a": BROKE, "m": RICH}, bid("m", 1, 59_000), fund=10**6, markets={BTC: lone})
    assert blocked(state, "a") == [("a", 0)]
    state = exchange({"a": BROKE, "m": RICH}, bid("m", 1, 59_000), fund=0, markets={BTC: lone})
    state.funds["isolated:0"] = InsuranceFund(usd(10**6))
    [(_, filled)] = blocked(state, "a")
    assert filled == coins("0.1")
    assert state.funds["cross"].balance == 0
    assert state.funds["isolated:0"].balance < usd(10**6)


def test_holders_of__by_side() -> None:
    accounts = {
        "a": account(0, 1, -1),
        "b": account(0, -1),
        "c": Account({}, {BTC: Position(0, quote_balance=1)}),
    }
    assert holders_of(accounts) == {BTC: {True: ["a"], False: ["b"]}, ETH: {True: [], False: ["a"]}}


def test_state__refuses_without_book_or_parameters() -> None:
    with pytest.raises(DydxError, match="no order book"):
        State(dict(MARKETS), {}).pair(BTC)
    with pytest.raises(DydxError, match="parameters"):
        State(dict(MARKETS), {}, pairs={BTC: Pair(-9)}).limits()
