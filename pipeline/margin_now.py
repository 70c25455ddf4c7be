"""The book as it stands at `as_of`: equity, margins and the ratios people watch, per account, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, fsum, inf, nan

from pipeline.plan import Account, Plan


@dataclass(frozen=True)
class Margin:
    """One account at `as_of`; units and definitions: `pipeline.schema.QUANTITIES`, in this order."""

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

    @property
    def liquidatable(self) -> bool:
        """The venue's condition: MM > 0 and E < MM. Strict, so that E == MM stands."""
        return self.maintenance_margin > 0 and self.equity < self.maintenance_margin

    @property
    def net_leverage(self) -> float:
        """Net notional over equity, negative for a short book."""
        return copysign(_carried(abs(self.net_notional), self.equity), self.net_notional)

    def openable(self, multiple: float) -> bool:
        """Whether the book could be opened at this leverage multiple: E >= IM."""
        return self.equity >= multiple * self.initial_margin


def margin_now(plan: Plan) -> dict[str, Margin]:
    """Every account of a plan by name, in the plan's order, at the plan's prices and before any shock.

    With size q, price p, entry p0 and margin fractions i, m of each position:
    E = collateral + sum q (p - p0), IM = sum |q| p i, MM = sum |q| p m.
    """
    return {account.name: _margin(plan, account) for account in plan.accounts}


def _margin(plan: Plan, account: Account) -> Margin:
    markets = [plan.venue.markets[position.market] for position in account.positions]
    prices = [plan.prices[market.asset] for market in markets]
    held = list(zip(account.positions, prices, strict=True))
    notional = [position.size * price for position, price in held]
    collateral = [
        amount * (1.0 if asset == plan.venue.quote else plan.prices[asset])
        for asset, amount in account.collateral.items()
    ]
    profit = [position.size * (price - position.entry) for position, price in held]
    initial = [abs(n) * market.initial_margin for n, market in zip(notional, markets, strict=True)]
    maintenance = [abs(n) * market.maintenance_margin for n, market in zip(notional, markets, strict=True)]

    # fsum is exact, so the order of positions changes nothing
    equity, im, mm = fsum(collateral + profit), fsum(initial), fsum(maintenance)
    gross = fsum(map(abs, notional))
    return Margin(
        equity=equity,
        initial_margin=im,
        maintenance_margin=mm,
        free_collateral=equity - im,
        margin_ratio=equity / mm if mm > 0 else nan,
        gross_notional=gross,
        net_notional=fsum(notional),
        leverage=_carried(gross, equity),
        utilisation=_carried(im, equity),
        concentration=_carried(max(initial, default=0.0), equity),
    )


def _carried(load: float, equity: float) -> float:
    """A load over the equity that carries it: infinite where there is none, zero where nothing is carried."""
    if load == 0:
        return 0.0
    return load / equity if equity > 0 else inf
