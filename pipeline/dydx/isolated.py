"""Isolated markets: what an account that holds one may trade, and which pool its collateral lies in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.dydx.account import USDC, Account
from pipeline.dydx.errors import DydxError
from pipeline.dydx.market import Market, market_of

CROSS_POOL = "cross"


class PoolTransfer(NamedTuple):
    """Collateral that moves from one pool to another, quote quantums."""

    source: str
    target: str
    amount: int


def pool_of(market: Market) -> str:
    """The collateral pool and insurance fund of a market: its own if isolated, else the one all share."""
    return f"isolated:{market.perpetual_id}" if market.isolated else CROSS_POOL


def pool_of_account(account: Account, markets: Mapping[int, Market]) -> str:
    """The pool that an account's collateral lies in: an isolated market's where it holds one."""
    pools = {pool_of(market_of(markets, perpetual_id)) for perpetual_id in account.positions}
    return min(pools - {CROSS_POOL}, default=CROSS_POOL)


def breaks_isolation(
    account: Account, perpetual_deltas: Mapping[int, int], markets: Mapping[int, Market]
) -> bool:
    """Whether changes of size would mix an isolated market with any other in one account.

    `x/subaccounts/keeper/isolated_subaccount.go`.

    Errors: DydxError where a perpetual does not exist.
    """
    if not perpetual_deltas:
        return False
    updated = {i for i in perpetual_deltas if market_of(markets, i).isolated}
    held = {i for i in account.positions if market_of(markets, i).isolated}
    if held:
        return set(perpetual_deltas) != held
    return bool(updated) and (bool(account.positions) or len(perpetual_deltas) > 1)


def pool_transfer(
    before: Account, after: Account, perpetual_deltas: Mapping[int, int], markets: Mapping[int, Market]
) -> PoolTransfer | None:
    """The collateral that changes pools where an update opens or closes an isolated position, or None.

    Opening takes all the USDC that the account had into the market's pool, closing takes back all it has
    left. `before` is settled. `x/subaccounts/keeper/isolated_subaccount.go
    GetIsolatedPerpetualStateTransition`.

    Errors: DydxError where that amount is negative.
    """
    for perpetual_id in perpetual_deltas:
        market = market_of(markets, perpetual_id)
        opened = perpetual_id in after.positions and perpetual_id not in before.positions
        closed = perpetual_id in before.positions and perpetual_id not in after.positions
        if not market.isolated or not (opened or closed):
            continue
        amount = before.assets.get(USDC, 0) if opened else after.assets.get(USDC, 0)
        if amount < 0:
            raise DydxError(f"collateral of {amount} can't change pools")
        if amount:
            pools = (CROSS_POOL, pool_of(market)) if opened else (pool_of(market), CROSS_POOL)
            return PoolTransfer(*pools, amount)
    return None
