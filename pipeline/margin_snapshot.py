"""The book as it stands, position by position: how far to liquidation, and the prices beyond it, in float64.

Liquidation, bankruptcy and fillable price are three different things; none stands for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, fsum, inf, isfinite, sqrt
from typing import Any

from pipeline.margin_now import Margin, margin_now
from pipeline.plan import MarketModel, Plan, Position
from pipeline.venues import Liquidation

DAYS_A_YEAR = 365


@dataclass(frozen=True)
class PositionMargin:
    """A position at `as_of`: size in base units (negative is short), everything else in quote currency.

    `notional` is size x mark, with the sign of the size. Prices and distances are None where undefined:

    liquidation_price  the mark of this market at which equity equals maintenance margin, all other marks
                       fixed and the maintenance of the other positions included
    distance_percent   the adverse move from mark to liquidation price, in percent of the mark: down for a
                       long, up for a short; negative where the mark is past it, the account liquidatable
    distance_daily_sd  the same in daily standard deviations of the asset: `daily_deviations`
    bankruptcy_price   where closing the position uses up its share of equity, shared by maintenance margin
    fillable_price     the worst price a liquidation order accepts; None where the account isn't liquidatable
    """

    market: str
    size: float
    mark: float
    notional: float
    maintenance_margin: float
    liquidation_price: float | None
    distance_percent: float | None
    distance_daily_sd: float | None
    bankruptcy_price: float | None
    fillable_price: float | None

    def document(self) -> dict[str, Any]:
        """The position as plain data, as `seawall margin --json` has it."""
        return {
            "market": self.market,
            "size": self.size,
            "notional": self.notional,
            "liquidation_price": self.liquidation_price,
            "distance_percent": self.distance_percent,
            "distance_daily_sd": self.distance_daily_sd,
            "bankruptcy_price": self.bankruptcy_price,
            "fillable_price": self.fillable_price,
        }


@dataclass(frozen=True)
class AccountMargin:
    """An account at `as_of`: its margin, and its positions in the order of the plan."""

    name: str
    margin: Margin
    positions: tuple[PositionMargin, ...]

    @property
    def bankrupt(self) -> bool:
        """E < 0: all collateral is lost, and more."""
        return self.margin.equity < 0

    def document(self) -> dict[str, Any]:
        """The account as plain data, as `seawall margin --json` has it: None where a ratio is undefined."""
        margin = self.margin
        return {
            "name": self.name,
            "equity": margin.equity,
            "initial_margin": margin.initial_margin,
            "maintenance_margin": margin.maintenance_margin,
            "free_collateral": margin.free_collateral,
            "margin_ratio": margin.margin_ratio if isfinite(margin.margin_ratio) else None,
            "leverage": margin.leverage if isfinite(margin.leverage) else None,
            "liquidatable": margin.liquidatable,
            "bankrupt": self.bankrupt,
            "positions": [position.document() for position in self.positions],
        }


def margin_snapshot(plan: Plan) -> tuple[AccountMargin, ...]:
    """Every account and position of a plan at its prices, before any shock, in the plan's order."""
    margins, deviations = margin_now(plan), daily_deviations(plan.model)
    return tuple(
        AccountMargin(
            account.name,
            margins[account.name],
            tuple(
                _position(plan, margins[account.name], position, deviations) for position in account.positions
            ),
        )
        for account in plan.accounts
    )


def daily_deviations(model: MarketModel) -> dict[str, float]:
    """Per asset the standard deviation of a day's return, as a fraction: sqrt(sum_k law_k vol_k^2 / 365).

    `law` is the model's initial law over the regimes, `vol` their annualised volatility. Jumps and changes
    of regime within the day are left out.
    """
    law = model.initial_law().tolist()
    weighed = list(zip(law, model.regimes.values(), strict=True))
    return {
        asset: sqrt(fsum(p * regime.volatility[asset] ** 2 for p, regime in weighed) / DAYS_A_YEAR)
        for asset in model.assets
    }


def liquidation_distance(margin: Margin, notional: float, maintenance_fraction: float) -> float | None:
    """The adverse move of one mark at which E = MM, as a fraction of the mark; None where there is none.

    p* = (E - s p - M_o) / (|s| m - s) less the mark p, over it: (E - MM) / (|N| (1 - m)) for a long,
    (E - MM) / (|N| (1 + m)) for a short. So the others' maintenance M_o is nobody's to sum, or to forget.
    """
    cushion = abs(notional) * (1.0 - copysign(maintenance_fraction, notional))
    # with a maintenance margin of zero an account is never liquidatable
    if cushion <= 0 or margin.maintenance_margin <= 0:
        return None
    return (margin.equity - margin.maintenance_margin) / cushion


def _position(plan: Plan, margin: Margin, position: Position, deviations: dict[str, float]) -> PositionMargin:
    market = plan.venue.markets[position.market]
    mark, fraction = plan.prices[market.asset], market.maintenance_margin
    notional = position.size * mark
    distance = liquidation_distance(margin, notional, fraction)
    liquidation = None if distance is None else _price(mark, notional, distance)
    if liquidation is None:
        distance = None  # no positive price lies at it
    deviation = deviations[market.asset]
    return PositionMargin(
        market=position.market,
        size=position.size,
        mark=mark,
        notional=notional,
        maintenance_margin=abs(notional) * fraction,
        liquidation_price=liquidation,
        distance_percent=None if distance is None else 100.0 * distance,
        distance_daily_sd=None if distance is None or deviation == 0 else distance / deviation,
        bankruptcy_price=_bankruptcy_price(margin, mark, notional, fraction),
        fillable_price=_fillable_price(margin, mark, notional, fraction, plan.venue.liquidation),
    )


def _bankruptcy_price(margin: Margin, mark: float, notional: float, fraction: float) -> float | None:
    """P - E (MM_i / MM) / s, with MM_i = |s| P m. `GetBankruptcyPriceInQuoteQuantums` of the chain."""
    if notional == 0 or margin.maintenance_margin <= 0:
        return None
    return _price(mark, notional, fraction * (margin.equity / margin.maintenance_margin))


def _fillable_price(
    margin: Margin, mark: float, notional: float, fraction: float, rules: Liquidation
) -> float | None:
    """P less, for a short plus, rating x spread x P m; rating = adjustment x (1 - E / MM) within [0, 1].

    `GetFillablePrice` of the chain.
    """
    if notional == 0 or not margin.liquidatable:
        return None
    rating = rules.bankruptcy_adjustment * (1.0 - margin.equity / margin.maintenance_margin)
    spread = rules.spread_to_maintenance_margin_ratio * fraction
    return _price(mark, notional, min(max(rating, 0.0), 1.0) * spread)


def _price(mark: float, notional: float, adverse: float) -> float | None:
    """Where an adverse move (a fraction) leads: down for a long, up for a short; None if not positive."""
    price = mark * (1.0 - copysign(1.0, notional) * adverse)
    return price if 0 < price < inf else None
