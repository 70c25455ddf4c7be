"""Pools: what margin is computed on. A cross account is one, an isolated position has one of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from math import fsum
from typing import NamedTuple

from pipeline.plan import Account, Plan, Position
from pipeline.requirement import (
    Requirement,
    initial_requirement,
    is_linear_in_size,
    maintenance_requirement,
)

CROSS = "cross"


class Coin(NamedTuple):
    """Collateral other than the quote currency: units of an asset (negative: owed), and its haircut."""

    asset: str
    amount: float
    haircut: float

    @property
    def withheld(self) -> float:
        """What the haircut takes off, per unit of price; nothing off what is owed."""
        return self.haircut * max(self.amount, 0.0)


class Holding(NamedTuple):
    """A position in a pool, at its size there: its asset, funding interval and margin rules."""

    position: Position
    size: float
    asset: str
    interval: timedelta
    initial: Requirement
    maintenance: Requirement


@dataclass(frozen=True)
class Pool:
    """Collateral and the positions that share it. `cash` is in the quote currency; `linear`: margin required
    is proportional to the size of the book."""

    name: str
    cash: float
    coins: tuple[Coin, ...]
    holdings: tuple[Holding, ...]
    linear: bool

    def equity(self, prices: dict[str, float]) -> float:
        """Collateral at its full value, and profit since entry: sum of size x (price - entry)."""
        return fsum(
            [
                self.cash,
                *(coin.amount * prices[coin.asset] for coin in self.coins),
                *(h.position.size * (prices[h.asset] - h.position.entry) for h in self.holdings),
            ]
        )

    def withheld(self, prices: dict[str, float]) -> float:
        """What haircuts take off collateral before it is compared with margin required."""
        return fsum(coin.withheld * prices[coin.asset] for coin in self.coins)


def pools_of(plan: Plan, account: Account, multiple: float = 1.0) -> tuple[Pool, ...]:
    """The pools of an account, its positions at that multiple of their size.

    First the cross pool, if there is collateral or a cross position in it (in an isolated account: what is
    not assigned to a position, and at no risk); then each isolated position in the book's order, named by its
    market, and by its side where both are held. `Pool.equity` is that of the book at multiple 1, whatever the
    multiple: profit made by `as_of` does not scale.
    """
    venue = plan.venue_of(account)
    cash = account.collateral.get(venue.quote, 0.0)
    coins = tuple(
        Coin(asset, amount, venue.haircuts.get(asset, 0.0))
        for asset, amount in account.collateral.items()
        if asset != venue.quote
    )
    shared = [position for position in account.positions if not account.isolates(position)]
    alone = [position for position in account.positions if account.isolates(position)]
    held = Counter(position.market for position in alone)
    pools = []
    if account.collateral or shared:
        pools.append(_pool(plan, account, CROSS, cash, coins, shared, multiple))
    for position in alone:
        assert position.collateral is not None
        side = "" if held[position.market] == 1 else " short" if position.size < 0 else " long"
        name = position.market + side
        pools.append(_pool(plan, account, name, position.collateral, (), [position], multiple))
    return tuple(pools)


def _pool(
    plan: Plan,
    account: Account,
    name: str,
    cash: float,
    coins: tuple[Coin, ...],
    positions: list[Position],
    multiple: float,
) -> Pool:
    venue = plan.venue_of(account)
    markets = [venue.markets[position.market] for position in positions]
    holdings = [
        Holding(
            position,
            multiple * position.size,
            market.asset,
            market.funding_interval,
            initial_requirement(venue, market, multiple * position.size, position.leverage),
            maintenance_requirement(venue, market, multiple * position.size),
        )
        for position, market in zip(positions, markets, strict=True)
    ]
    linear = all(is_linear_in_size(venue, market) for market in markets)
    return Pool(name, cash, coins, tuple(holdings), linear)
