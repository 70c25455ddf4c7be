"""The order that liquidates: which position, how much of it, at which limit, in which turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from pipeline.dydx.account import Account
from pipeline.dydx.errors import DydxError
from pipeline.dydx.limits import BlockRecord, LiquidationConfig, notional_left, position_limits
from pipeline.dydx.market import Market, Pair, market_of
from pipeline.dydx.prices import fillable_price, fillable_subticks
from pipeline.dydx.risk import account_risk
from pipeline.dydx.state import State
from pipeline.dydx.units import clamp, round_to_multiple


@dataclass(frozen=True, slots=True)
class LiquidationOrder:
    """An immediate-or-cancel order that closes a position: base quantums, limit in subticks."""

    account: str
    perpetual_id: int
    is_buy: bool
    quantums: int
    subticks: int


def position_to_liquidate(account: Account, record: BlockRecord, offset: int = 0) -> int:
    """The perpetual whose turn it is: by id from an offset on, the first not yet liquidated in this block.

    The chain draws the offset; the caller passes it. `x/clob/keeper/liquidations.go`.

    Errors: DydxError where there is none.
    """
    ids = sorted(account.positions)
    turns = (ids[(i + offset) % len(ids)] for i in range(len(ids)))
    for perpetual_id in turns:
        if perpetual_id not in record.perpetuals:
            return perpetual_id
    raise DydxError("no position is left to liquidate")


def size_to_liquidate(
    account: Account,
    market: Market,
    pair: Pair,
    record: BlockRecord,
    config: LiquidationConfig,
) -> int:
    """The signed change of a position, base quantums: what the limits allow, in whole steps.

    The whole position where its notional fits, or it is no larger than a step.
    `x/clob/keeper/liquidations.go GetLiquidatablePositionSizeDelta`.

    Errors: DydxError where there is no position, or it is done with in this block.
    """
    size, step = account.size(market.perpetual_id), pair.step_base_quantums
    if market.perpetual_id not in account.positions:
        raise DydxError(f"no position in perpetual {market.perpetual_id}")
    most = position_limits(market, size, config)[1]
    cap = min(most, notional_left(record, market.perpetual_id, config))
    if abs(market.notional(size)) <= cap or abs(size) <= step:
        return -size
    quantums = clamp(round_to_multiple(market.size(cap), step, up=False), step, abs(size))
    return -quantums if size > 0 else quantums


def liquidation_order(state: State, name: str, perpetual_id: int) -> LiquidationOrder:
    """The order that liquidates a position now.

    `x/clob/keeper/liquidations.go GetLiquidationOrderForPerpetual`.
    """
    account, market, pair = (
        state.account(name),
        market_of(state.markets, perpetual_id),
        state.pair(perpetual_id),
    )
    delta = size_to_liquidate(account, market, pair, state.record(name), state.limits())
    price = fillable_price(account, state.markets, perpetual_id, delta, state.limits())
    return LiquidationOrder(
        account=name,
        perpetual_id=perpetual_id,
        is_buy=delta > 0,
        quantums=abs(delta),
        subticks=fillable_subticks(price, delta < 0, pair),
    )


def next_liquidation_order(state: State, name: str, offset: int = 0) -> LiquidationOrder | None:
    """The order for the position whose turn it is; None where the account is not liquidatable."""
    account = state.account(name)
    if not account_risk(account, state.markets).is_liquidatable:
        return None
    return liquidation_order(state, name, position_to_liquidate(account, state.record(name), offset))


def worst_first(
    orders: Iterable[LiquidationOrder], markets: Mapping[int, Market], pairs: Mapping[int, Pair]
) -> list[LiquidationOrder]:
    """The orders by how far their limit lies from the oracle price, then by notional, both descending.

    Further ties keep the given order; the chain breaks them by the hash of the order.
    `x/clob/keeper/liquidations.go SortLiquidationOrders`.
    """

    def rank(order: LiquidationOrder) -> tuple[Fraction, int]:
        market = market_of(markets, order.perpetual_id)
        oracle = pairs[order.perpetual_id].oracle_subticks(market)
        return -abs(order.subticks - oracle) / oracle, -market.notional(order.quantums)

    return sorted(orders, key=rank)
