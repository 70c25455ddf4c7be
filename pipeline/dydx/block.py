"""The liquidations of one block, in the chain's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.dydx.account import Account
from pipeline.dydx.deleveraging import MAX_ACCOUNTS_WALKED, deleverage
from pipeline.dydx.fill import place_liquidation
from pipeline.dydx.liquidation import LiquidationOrder, next_liquidation_order, worst_first
from pipeline.dydx.state import State

# accounts of each perpetual, long and short, as last reported by the liquidation daemon
Holders = Mapping[int, Mapping[bool, Sequence[str]]]


class Flags(NamedTuple):
    """What a validator attempts per block; the chain's defaults. `x/clob/flags/flags.go`."""

    liquidations: int = 50
    deleveragings: int = 10
    accounts_walked: int = MAX_ACCOUNTS_WALKED


DEFAULT_FLAGS = Flags()


def holders_of(accounts: Mapping[str, Account]) -> dict[int, dict[bool, list[str]]]:
    """The accounts with a position, per perpetual and per side (True: long), in the given order."""
    found: dict[int, dict[bool, list[str]]] = {}
    for name, account in accounts.items():
        for perpetual_id, position in account.positions.items():
            if position.quantums:
                sides = found.setdefault(perpetual_id, {True: [], False: []})
                sides[position.quantums > 0].append(name)
    return found


def liquidate_block(
    state: State,
    liquidatable: Sequence[str],
    holders: Holders,
    *,
    position_offset: int = 0,
    flags: Flags = DEFAULT_FLAGS,
) -> list[tuple[LiquidationOrder, int]]:
    """Liquidates accounts, worst first, one position each; deleverages where nothing was filled.

    The caller passes what the chain draws: the order of `liquidatable` and of `holders`, and the position
    offset. Positions in markets in final settlement are deleveraged too. Returns each order and what was
    filled of it, base quantums. `x/clob/keeper/liquidations.go LiquidateSubaccountsAgainstOrderbook`,
    `x/clob/abci.go`.
    """
    state.records.clear()
    first = [
        next_liquidation_order(state, name, position_offset) for name in liquidatable[: flags.liquidations]
    ]
    placed, unfilled = [], []
    for sorted_order in worst_first((order for order in first if order), state.markets, state.pairs):
        # built anew: what went before may have changed it
        order = next_liquidation_order(state, sorted_order.account, position_offset)
        if order is None:
            continue
        final = state.pair(order.perpetual_id).final_settlement
        filled = 0 if final else place_liquidation(state, order)
        placed.append((order, filled))
        if filled == 0:
            unfilled.append((order.account, order.perpetual_id))
    for name, perpetual_id in (unfilled + _in_final_settlement(state, holders))[: flags.deleveragings]:
        is_long = state.account(name).size(perpetual_id) > 0
        others = holders.get(perpetual_id, {}).get(not is_long, ())
        deleverage(state, name, perpetual_id, others, flags.accounts_walked)
    return placed


def _in_final_settlement(state: State, holders: Holders) -> list[tuple[str, int]]:
    return [
        (name, perpetual_id)
        for perpetual_id, sides in holders.items()
        if state.pair(perpetual_id).final_settlement
        for is_long in (True, False)
        for name in sides[is_long]
    ]
