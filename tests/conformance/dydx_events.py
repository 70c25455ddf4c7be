"""Answers to the dYdX vectors that change accounts, by the name of their function.

Those in which the chain draws an order answer once for each that it may draw, beginning with the one given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

from pipeline.dydx.block import holders_of, liquidate_block
from pipeline.dydx.deleveraging import deleverage, deleverage_against, deleveraging_quote, offset_position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.fill import place_liquidation, settle_proposed_liquidation
from pipeline.dydx.funding import settle
from pipeline.dydx.insurance import InsuranceFund
from pipeline.dydx.isolated import pool_of
from pipeline.dydx.liquidation import LiquidationOrder, worst_first
from pipeline.dydx.state import State, update_accounts
from pipeline.dydx.update import is_success, update_results
from tests.conformance import dydx_records as read
from tests.conformance.inputs import Inputs, Unsupported

Answers = Iterator[dict[str, Any]]
PRICE_MODES = {"oracle": True, "bankruptcy_of_liquidated": False}  # whether at the oracle price
UPDATE_TYPES = ("CollatCheck", "Match", "Withdrawal", "Transfer", "Deposit")


class ConstantFund(InsuranceFund):
    """A fund that stays as it is, whatever comes in or goes out."""

    def receive(self, delta: int) -> None:
        pass


def update_subaccounts(inputs: Inputs) -> Answers:
    state = State(read.markets_of(inputs), read.accounts_of(inputs))
    records = inputs.need("updates")
    updates = [(record["subaccount"], read.update_of(record)) for record in records]
    outcome = update_accounts(state, updates, is_match=_is_match(inputs))
    answer: dict[str, Any] = {
        "success": is_success(outcome.results),
        "results": [str(result) for result in outcome.results],
        "subaccounts": _accounts(state),
    }
    if "self" in state.accounts:
        answer |= read.account_record(state.accounts["self"])
        payments = outcome.payments.get("self", {})
        answer["funding_payments_self"] = {str(key): paid for key, paid in payments.items()}
    yield answer


def can_update_subaccounts(inputs: Inputs) -> Answers:
    markets, accounts = read.markets_of(inputs), read.accounts_of(inputs)
    changes = [
        (settle(accounts[record["subaccount"]], markets)[0], read.update_of(record))
        for record in inputs.need("updates")
    ]
    results = update_results(changes, markets, is_match=_is_match(inputs))
    yield {"success": is_success(results), "results": [str(result) for result in results]}


def sort_liquidation_orders(inputs: Inputs) -> Answers:
    market, pair = read.market_of(inputs.need("market")), read.pair_of(inputs.need("clob_pair"))
    orders = [
        LiquidationOrder(str(index), market.perpetual_id, r["is_buy"], r["quantums"], r["subticks"])
        for index, r in enumerate(inputs.need("orders"))
    ]
    for drawn in permutations(orders):
        placed = worst_first(drawn, {market.perpetual_id: market}, {market.perpetual_id: pair})
        yield {"order": [int(order.account) for order in placed]}


def process_deleveraging(inputs: Inputs) -> Answers:
    accounts = {name: read.account_of(inputs.need(name)) for name in ("liquidated", "offsetting")}
    state = State(read.markets_of(inputs), accounts)
    at_oracle = read.one_of(PRICE_MODES, inputs.need("price_mode"))
    perpetual_id, delta = inputs.need("perpetual_id"), inputs.need("delta_quantums")
    quote = deleveraging_quote(state, "liquidated", perpetual_id, delta, at_oracle_price=at_oracle)
    deleverage_against(state, "liquidated", "offsetting", perpetual_id, delta, quote)
    yield {"success": True, **_accounts(state)}


def offset_position_(inputs: Inputs) -> Answers:
    start = State(read.markets_of(inputs), read.accounts_of(inputs))
    name, perpetual_id = inputs.need("liquidated"), inputs.need("perpetual_id")
    delta, at_oracle = inputs.need("delta_quantums"), inputs.take("is_final_settlement", False)
    holders = [other for other in start.accounts if other != name]
    for drawn in permutations(holders):
        state = copy.deepcopy(start)
        found = offset_position(state, name, perpetual_id, delta, drawn, at_oracle_price=at_oracle)
        yield {
            "subaccounts": _accounts(state),
            "quantums_remaining": found.left,
            "fills": dict(found.fills),
            "open_interest": state.markets[perpetual_id].open_interest,
        }


def liquidation_fills(inputs: Inputs) -> Answers:
    pairs = {int(key): read.pair_of(pair) for key, pair in inputs.need("clob_pairs").items()}
    state = _state(inputs)
    state.pairs = pairs
    matches: list[list[read.Record]] = []
    for record in inputs.need("fills"):
        read.only(
            record,
            "liquidated",
            "perpetual_id",
            "is_buy",
            "total_size",
            "new_match",
            "maker",
            "fill_amount",
        )
        if record["new_match"] or not matches:
            matches.append([])
        matches[-1].append(record)
    try:
        for fills in matches:
            head = fills[0]
            settle_proposed_liquidation(
                state,
                head["liquidated"],
                head["perpetual_id"],
                head["is_buy"],
                head["total_size"],
                [(read.order_of(record["maker"]), record["fill_amount"]) for record in fills],
            )
    except DydxError:
        yield {"rejected": True}
        return
    yield {
        "rejected": False,
        "usdc": {name: account.usdc for name, account in state.accounts.items()},
        "perpetual_positions": {
            name: account["perpetual_positions"] for name, account in _accounts(state).items()
        },
        "liquidation_info": _records(state),
    }


def liquidation_order_match(inputs: Inputs) -> Answers:
    record = read.only(
        inputs.need("liquidation_order"), "subaccount", "perpetual_id", "is_buy", "quantums", "subticks"
    )
    order = LiquidationOrder(
        record["subaccount"],
        record["perpetual_id"],
        record["is_buy"],
        record["quantums"],
        record["subticks"],
    )
    start = _state(inputs)
    start.pairs[order.perpetual_id] = read.pair_of(inputs.need("clob_pair"))
    start.books[order.perpetual_id] = read.book_of(inputs.need("book"))
    deleverages = inputs.need("deleverage_if_unfilled")
    for holders in _holder_orders(start, order.perpetual_id, is_long=order.is_buy):
        state = copy.deepcopy(start)
        filled = place_liquidation(state, order)
        if deleverages and filled == 0:
            deleverage(state, order.account, order.perpetual_id, holders)
        yield {"filled": filled, "subaccounts": _accounts(state), "liquidation_info": _records(state)}


def liquidation_block(inputs: Inputs) -> Answers:
    start = _state(inputs)
    held = {perpetual_id for account in start.accounts.values() for perpetual_id in account.positions}
    if len(held) != 1:
        raise Unsupported("positions in one market are expected, as there is one book")
    [perpetual_id] = held
    final = inputs.need("market_in_final_settlement")
    start.pairs[perpetual_id] = read.pair_of(inputs.need("clob_pair"), final_settlement=final)
    start.books[perpetual_id] = read.book_of(inputs.need("book"))
    daemon = start.accounts if inputs.need("deleveraging_daemon_has_positions") else {}
    for liquidatable, names in product(permutations(inputs.take("liquidatable", [])), permutations(daemon)):
        state = copy.deepcopy(start)
        liquidate_block(state, liquidatable, holders_of({name: daemon[name] for name in names}))
        yield {"subaccounts": _accounts(state), "liquidation_info": _records(state)}


def _is_match(inputs: Inputs) -> bool:
    kind = inputs.need("update_type")
    if kind not in UPDATE_TYPES:
        raise Unsupported(f"updates of type {kind!r}")
    return bool(kind == "Match")


def _state(inputs: Inputs) -> State:
    markets = read.markets_of(inputs)
    balance, constant = inputs.need("insurance_fund_balance"), inputs.take("insurance_fund_constant", False)
    fund = ConstantFund if constant else InsuranceFund
    return State(
        markets,
        read.accounts_of(inputs),
        config=read.config_of(inputs),
        maker_fee_ppm=inputs.take("maker_fee_ppm", 0),
        funds={pool_of(market): fund(balance) for market in markets.values()},
    )


def _holder_orders(state: State, perpetual_id: int, *, is_long: bool) -> Iterator[tuple[str, ...]]:
    return permutations(holders_of(state.accounts).get(perpetual_id, {}).get(is_long, ()))


def _accounts(state: State) -> dict[str, Any]:
    return {name: read.account_record(account) for name, account in state.accounts.items()}


def _records(state: State) -> dict[str, dict[str, int]]:
    records = {name: state.record(name) for name in state.accounts}
    return {
        name: {"notional_liquidated": r.notional_liquidated, "insurance_lost": r.insurance_lost}
        for name, r in records.items()
    }
