"""The book as it stands at `as_of`: equity, margins and the ratios people watch, per account, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, fsum, inf, nan

from pipeline.plan import Account, Plan
from pipeline.pools import Pool, pools_of


@dataclass(frozen=True)
class PoolMargin:
    """A pool at some prices, in quote currency. `equity` has haircuts taken off, `full_equity` has not."""

    name: str
    equity: float
    full_equity: float
    initial_margin: float
    maintenance_margin: float

    @property
    def free_collateral(self) -> float:
        """What could be withdrawn: E - IM."""
        return self.equity - self.initial_margin

    @property
    def margin_ratio(self) -> float:
        """E / MM; not a number where no maintenance margin is required."""
        return self.equity / self.maintenance_margin if self.maintenance_margin > 0 else nan

    @property
    def liquidatable(self) -> bool:
        """The venue's condition: MM > 0 and E < MM. Strict, so that E == MM stands."""
        return self.maintenance_margin > 0 and self.equity < self.maintenance_margin

    @property
    def called(self) -> bool:
        """E < IM: a margin call. Nothing more can be opened."""
        return self.equity < self.initial_margin

    @property
    def bankrupt(self) -> bool:
        """Equity without haircuts below zero: all collateral is lost, and more."""
        return self.full_equity < 0


@dataclass(frozen=True)
class Margin:
    """One account at `as_of`; units and definitions: `pipeline.schema.QUANTITIES`, in this order.

    Equity and margins are sums over its pools; the margin ratio is that of the pool where it is lowest.
    """

    equity: float
    initial_margin: float
    maintenance_margin: float
    free_collateral: float
    margin_ratio: float
    gross_notional: float
    net_notional: float
    leverage: float
    utilisation: float
    concentration: float
    pools: tuple[PoolMargin, ...]

    @property
    def liquidatable(self) -> bool:
        """Whether any of its pools is."""
        return any(pool.liquidatable for pool in self.pools)

    @property
    def called(self) -> bool:
        """Whether any of its pools is below initial margin."""
        return any(pool.called for pool in self.pools)

    @property
    def bankrupt(self) -> bool:
        """Whether any of its pools is."""
        return any(pool.bankrupt for pool in self.pools)

    @property
    def net_leverage(self) -> float:
        """Net notional over equity, negative for a short book."""
        return copysign(carried(abs(self.net_notional), self.equity), self.net_notional)


def margin_now(plan: Plan) -> dict[str, Margin]:
    """Every account of a plan by name, in the plan's order, at the plan's prices and before any shock."""
    return {account.name: margin_of(pools_of(plan, account), plan.prices) for account in plan.accounts}


def margin_of(pools: Sequence[Pool], prices: dict[str, float]) -> Margin:
    """An account that consists of these pools, at these prices of every asset it holds."""
    margins = tuple(pool_margin(pool, prices) for pool in pools)
    held = [(holding, prices[holding.asset]) for pool in pools for holding in pool.holdings]
    notional = [holding.size * price for holding, price in held]
    largest = max((holding.initial.at(price) for holding, price in held), default=0.0)

    # fsum is exact, so the order of positions changes nothing
    equity = fsum(pool.equity for pool in margins)
    im = fsum(pool.initial_margin for pool in margins)
    mm = fsum(pool.maintenance_margin for pool in margins)
    gross = fsum(map(abs, notional))
    return Margin(
        equity=equity,
        initial_margin=im,
        maintenance_margin=mm,
        free_collateral=equity - im,
        margin_ratio=min((pool.margin_ratio for pool in margins if pool.maintenance_margin > 0), default=nan),
        gross_notional=gross,
        net_notional=fsum(notional),
        leverage=carried(gross, equity),
        utilisation=carried(im, equity),
        concentration=carried(largest, equity),
        pools=margins,
    )


def pool_margin(pool: Pool, prices: dict[str, float]) -> PoolMargin:
    """A pool at these prices: E = cash + sum v + sum q (p - p0); IM and MM are sums over its positions.

    v = (1 - haircut) c S of c > 0 coins at price S, c S of c < 0.
    """
    full = pool.equity(prices)
    return PoolMargin(
        name=pool.name,
        equity=full - pool.withheld(prices),
        full_equity=full,
        initial_margin=fsum(holding.initial.at(prices[holding.asset]) for holding in pool.holdings),
        maintenance_margin=fsum(holding.maintenance.at(prices[holding.asset]) for holding in pool.holdings),
    )


def openable(plan: Plan, account: Account, multiple: float) -> bool:
    """Whether an account could be opened at this leverage multiple: E >= IM in every pool."""
    return not any(pool_margin(pool, plan.prices).called for pool in pools_of(plan, account, multiple))


def carried(load: float, equity: float) -> float:
    """A load over the equity that carries it: infinite where there is none, zero where nothing is carried."""
    if load == 0:
        return 0.0
    return load / equity if equity > 0 else inf
