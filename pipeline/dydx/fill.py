"""Fills of liquidation orders: against the book, and as a block proposes them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.dydx.book import Order
from pipeline.dydx.errors import DydxError, LiquidationStopped, UpdateRefused
from pipeline.dydx.fees import trading_fee
from pipeline.dydx.insurance import insurance_fund_delta
from pipeline.dydx.limits import check_block_limits
from pipeline.dydx.liquidation import LiquidationOrder, liquidation_order
from pipeline.dydx.market import market_of
from pipeline.dydx.risk import UpdateResult, account_risk
from pipeline.dydx.state import State, trade


def fill(state: State, taker: LiquidationOrder, maker: Order, quantums: int) -> None:
    """One fill at the maker's price: positions, USDC, maker fee, insurance fund and the record of the block.

    The liquidated account pays no trading fee, the maker at least none (no rebate), rounded up.
    `x/clob/keeper/process_single_match.go`.

    Errors: LiquidationStopped where the fund or a limit stands against it, UpdateRefused where an account may
    not be updated so, DydxError where the two orders don't make such a match. Nothing has changed then.
    """
    market, pair = market_of(state.markets, taker.perpetual_id), state.pair(taker.perpetual_id)
    fund, record, book = (
        state.fund(taker.perpetual_id),
        state.record(taker.account),
        state.book(taker.perpetual_id),
    )
    _check_match(taker, maker, quantums, pair.step_base_quantums)
    delta = quantums if taker.is_buy else -quantums
    insurance = insurance_fund_delta(
        state.account(taker.account),
        state.markets,
        taker.perpetual_id,
        delta,
        maker.subticks,
        pair,
        state.limits(),
    )
    if not fund.covers(insurance):
        raise LiquidationStopped(f"the insurance fund can't pay {-insurance}: deleveraging is required")
    check_block_limits(record, market, quantums, insurance, state.limits())
    if quantums > book.remaining(maker):
        raise DydxError(f"a fill of {quantums} exceeds what is left of the maker's order")
    paid = pair.quote(maker.subticks, quantums)
    quote = -paid if taker.is_buy else paid
    fee = trading_fee(paid, max(state.maker_fee_ppm, 0))
    trade(
        state,
        taker.perpetual_id,
        [(taker.account, delta, quote - insurance), (maker.account, -delta, -quote - fee)],
    )
    fund.receive(insurance)
    record.add(abs(market.notional(quantums)), insurance)
    book.take(maker, quantums)


def place_liquidation(state: State, order: LiquidationOrder) -> int:
    """Matches an order against the book, and returns what was filled, base quantums; the rest is cancelled.

    Makers that may not be updated are taken off the book, and matching goes on; it stops where the insurance
    fund or a limit of the block does. The perpetual is done with for this account and block.
    `x/clob/memclob/memclob.go`.

    Errors: DydxError in final settlement, where nothing trades.
    """
    if state.pair(order.perpetual_id).final_settlement:
        raise DydxError(f"perpetual {order.perpetual_id} is in final settlement")
    book, left = state.book(order.perpetual_id), order.quantums
    for maker in book.opposite(order.is_buy):
        if left == 0 or not maker.meets(order.is_buy, order.subticks):
            break
        if maker.account == order.account:
            book.remove(maker)
            continue
        quantums = min(left, book.remaining(maker))
        try:
            fill(state, order, maker, quantums)
        except LiquidationStopped:
            break
        except UpdateRefused as refused:
            if refused.results[1] != UpdateResult.SUCCESS:
                book.remove(maker)
            continue
        left -= quantums
    state.record(order.account).perpetuals.add(order.perpetual_id)
    return order.quantums - left


def settle_proposed_liquidation(
    state: State,
    name: str,
    perpetual_id: int,
    is_buy: bool,
    total_size: int,
    fills: Sequence[tuple[Order, int]],
) -> None:
    """Makes a liquidation that a block proposes: the order is built anew and must agree.

    `x/clob/keeper/process_operations.go PersistMatchLiquidationToState`.

    Errors: DydxError where it does not hold. The chain throws the block away then, and the caller the state.
    """
    if not account_risk(state.account(name), state.markets).is_liquidatable:
        raise DydxError(f"{name} is not liquidatable")
    order = liquidation_order(state, name, perpetual_id)
    if (order.is_buy, order.quantums) != (is_buy, total_size):
        raise DydxError(f"the proposal is not the order that liquidates {name}: {order}")
    for maker, quantums in fills:
        fill(state, order, maker, quantums)
    state.record(name).perpetuals.add(perpetual_id)


def _check_match(taker: LiquidationOrder, maker: Order, quantums: int, step: int) -> None:
    if maker.account == taker.account:
        raise DydxError(f"{maker.account} would trade with itself")
    if not maker.meets(taker.is_buy, taker.subticks):
        raise DydxError(f"an order at {maker.subticks} does not cross a liquidation at {taker.subticks}")
    if not 0 < quantums <= min(maker.quantums, taker.quantums):
        raise DydxError(f"a fill of {quantums} is not within both orders")
    if quantums % step:
        raise DydxError(f"a fill of {quantums} is not in whole steps of {step}")
