"""Deleveraging: closing a position against the accounts on the other side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.dydx.account import Account
from pipeline.dydx.errors import DydxError, UpdateRefused
from pipeline.dydx.market import Market, market_of
from pipeline.dydx.prices import bankruptcy_quote
from pipeline.dydx.risk import account_risk
from pipeline.dydx.state import State, trade

MAX_ACCOUNTS_WALKED = 500  # a validator's flag, the chain's default


class Deleveraging(NamedTuple):
    """What was closed against whom, base quantums without sign, and what is left, signed."""

    fills: tuple[tuple[str, int], ...]
    left: int


def deleveraging_prices(
    account: Account, markets: Mapping[int, Market], final_settlement: bool
) -> tuple[bool, bool]:
    """Whether an account is deleveraged at the bankruptcy price, and whether at the oracle price.

    The first where equity is negative; else the second in a market in final settlement; else neither.
    `x/clob/keeper/deleveraging.go CanDeleverageSubaccount`.
    """
    bankrupt = account_risk(account, markets).equity < 0
    return bankrupt, final_settlement and not bankrupt


def deleverage_against(
    state: State, name: str, other: str, perpetual_id: int, delta: int, quote: int
) -> None:
    """Closes `delta` of an account's position against the other's, for so many quote quantums; no fees.

    `x/clob/keeper/deleveraging.go ProcessDeleveraging`.

    Errors: DydxError unless `delta` closes some or all of both positions; UpdateRefused where an account may
    not be updated so: their bankruptcy prices don't overlap.
    """
    size, other_size = state.account(name).size(perpetual_id), state.account(other).size(perpetual_id)
    closes = size * delta < 0 and other_size * delta > 0
    if not closes or abs(delta) > min(abs(size), abs(other_size)):
        raise DydxError(f"a change of {delta} does not close positions of {size} and {other_size}")
    trade(state, perpetual_id, [(name, delta, quote), (other, -delta, -quote)])


def offset_position(
    state: State,
    name: str,
    perpetual_id: int,
    delta: int,
    holders: Sequence[str],
    *,
    at_oracle_price: bool = False,
    max_accounts_walked: int = MAX_ACCOUNTS_WALKED,
) -> Deleveraging:
    """Closes up to `delta` of a position against holders in the given order, as much as each has.

    Those on the same side, without a position, or whose update is refused are passed over. The chain walks
    from a pseudo-random start, without a ranking. `x/clob/keeper/deleveraging.go
    OffsetSubaccountPerpetualPosition`.
    """
    left, fills = delta, []
    for other in holders[:max_accounts_walked]:
        if left == 0:
            break
        other_size = state.account(other).size(perpetual_id)
        if other_size * left <= 0:
            continue
        part = left if abs(left) <= abs(other_size) else other_size
        try:
            quote = deleveraging_quote(state, name, perpetual_id, part, at_oracle_price=at_oracle_price)
        except DydxError:
            continue  # as the chain does where the position has no bankruptcy price for this part
        try:
            deleverage_against(state, name, other, perpetual_id, part, quote)
        except UpdateRefused:
            continue
        left -= part
        fills.append((other, abs(part)))
    return Deleveraging(tuple(fills), left)


def deleveraging_quote(
    state: State, name: str, perpetual_id: int, delta: int, *, at_oracle_price: bool
) -> int:
    """What closing `delta` brings the account, quote quantums, at its bankruptcy or the oracle price."""
    if at_oracle_price:
        return market_of(state.markets, perpetual_id).notional(-delta)
    return bankruptcy_quote(state.account(name), state.markets, perpetual_id, delta)


def deleverage(
    state: State,
    name: str,
    perpetual_id: int,
    holders: Sequence[str],
    max_accounts_walked: int = MAX_ACCOUNTS_WALKED,
) -> Deleveraging | None:
    """Deleverages the whole position where that is due; None where it is not, or there is none.

    `holders` are accounts on the other side. `x/clob/keeper/deleveraging.go MaybeDeleverageSubaccount`.
    """
    account, final = state.account(name), state.pair(perpetual_id).final_settlement
    at_bankruptcy, at_oracle = deleveraging_prices(account, state.markets, final)
    if not (at_bankruptcy or at_oracle) or perpetual_id not in account.positions:
        return None
    return offset_position(
        state,
        name,
        perpetual_id,
        -account.size(perpetual_id),
        holders,
        at_oracle_price=at_oracle,
        max_accounts_walked=max_accounts_walked,
    )
