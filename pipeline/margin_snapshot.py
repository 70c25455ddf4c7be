"""The book as it stands, position by position: how far to liquidation, and the prices beyond it, in float64.

Liquidation, bankruptcy and fillable price are three different things; none stands for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum, inf, isfinite, sqrt
from typing import Any

from pipeline.caps_now import CapNow, caps_now
from pipeline.critical_prices import bankruptcy_prices, liquidation_moves
from pipeline.margin_now import Margin, PoolMargin, margin_of, pool_margin
from pipeline.plan import Account, MarketModel, Plan, Venue
from pipeline.pools import Holding, Pool, pools_of
from pipeline.venues import Liquidation

DAYS_A_YEAR = 365


@dataclass(frozen=True)
class PositionMargin:
    """A position at `as_of`: size in base units (negative is short), everything else in quote currency.

    `pool` names the pool that it stands in, `notional` is size x mark, with the sign of the size. Prices and
    distances are None where undefined:

    liquidation_price  the price of the position's asset nearest to the mark at which the equity of its pool
                       equals maintenance margin, that of the other positions included; all that the pool has
                       on the asset moves, coins held as collateral too, and other assets stand still
    distance_percent   the move from mark to liquidation price, whichever way it is, in percent of the mark;
                       negative where the pool is liquidatable, and would not be from there on
    distance_daily_sd  the same in daily standard deviations of the asset: `daily_deviations`
    bankruptcy_price   dydx_v4: where closing the position uses up its share of the pool's equity, shared by
                       maintenance margin; elsewhere the asset's price at which the pool's equity without
                       haircuts is zero, other assets standing still
    fillable_price     dydx_v4 only: the worst price a liquidation order accepts; None where the pool isn't
                       liquidatable
    """

    market: str
    pool: str
    size: float
    mark: float
    notional: float
    initial_margin: float
    maintenance_margin: float
    liquidation_price: float | None
    distance_percent: float | None
    distance_daily_sd: float | None
    bankruptcy_price: float | None
    fillable_price: float | None
    liquidatable: bool
    """Whether its pool is."""

    def document(self) -> dict[str, Any]:
        """The position as plain data, as `seawall margin --json` has it."""
        return {
            "market": self.market,
            "pool": self.pool,
            "size": self.size,
            "mark": self.mark,
            "notional": self.notional,
            "initial_margin": self.initial_margin,
            "maintenance_margin": self.maintenance_margin,
            "liquidation_price": self.liquidation_price,
            "distance_percent": self.distance_percent,
            "distance_daily_sd": self.distance_daily_sd,
            "bankruptcy_price": self.bankruptcy_price,
            "fillable_price": self.fillable_price,
        }


@dataclass(frozen=True)
class AccountMargin:
    """An account at `as_of`, its venue, its margin, its positions in the order of the plan, and its caps."""

    account: Account
    venue: Venue
    margin: Margin
    positions: tuple[PositionMargin, ...]
    caps: tuple[CapNow, ...]

    @property
    def name(self) -> str:
        """The account's name."""
        return self.account.name

    @property
    def taker_fee(self) -> float:
        """What the account pays for taking, as a fraction of notional: its fee tier's, or the venue's."""
        return self.venue.taker_fee_of(self.account.fee_tier)

    def document(self) -> dict[str, Any]:
        """The account as plain data, as `seawall margin --json` has it: None where a ratio is undefined."""
        account, margin = self.account, self.margin
        return {
            "name": account.name,
            "equity": margin.equity,
            "initial_margin": margin.initial_margin,
            "maintenance_margin": margin.maintenance_margin,
            "free_collateral": margin.free_collateral,
            "margin_ratio": _finite(margin.margin_ratio),
            "leverage": _finite(margin.leverage),
            "liquidatable": margin.liquidatable,
            "bankrupt": margin.bankrupt,
            "venue": account.venue or self.venue.name,
            "group": account.group,
            "fee_tier": account.fee_tier,
            "margin": account.kind,
            "taker_fee": self.taker_fee,
            "pools": [_pool_document(pool) for pool in margin.pools],
            "positions": [position.document() for position in self.positions],
            "caps": [
                {"what": cap.what, "cap": cap.cap, "value": _finite(cap.value), "broken": cap.is_broken}
                for cap in self.caps
            ],
        }


def margin_snapshot(plan: Plan) -> tuple[AccountMargin, ...]:
    """Every account and position of a plan at its prices, before any shock, in the plan's order."""
    deviations = daily_deviations(plan.model)
    return tuple(_account(plan, account, deviations) for account in plan.accounts)


def daily_deviations(model: MarketModel) -> dict[str, float]:
    """Per asset the standard deviation of a day's return, as a fraction: sqrt(sum_k law_k vol_k^2 / 365).

    `law` is the model's initial law over the regimes, `vol` their annualised volatility, at the level of the
    start. Jumps, bursts, and changes of regime or level within the day, are left out.
    """
    law = (model.initial_law() * model.initial_variance()).tolist()
    weighed = list(zip(law, model.regimes.values(), strict=True))
    return {
        asset: sqrt(fsum(p * regime.volatility[asset] ** 2 for p, regime in weighed) / DAYS_A_YEAR)
        for asset in model.assets
    }


def _account(plan: Plan, account: Account, deviations: Mapping[str, float]) -> AccountMargin:
    venue, pools = plan.venue_of(account), pools_of(plan, account)
    found = [
        position
        for pool in pools
        for position in _positions(pool, plan.prices, venue.block_liquidation, deviations)
    ]
    # pools hold the cross positions first, then the isolated ones
    order = sorted(range(len(found)), key=lambda i: account.isolates(account.positions[i]))
    placed = dict(zip(order, found, strict=True))
    positions = tuple(placed[i] for i in range(len(found)))
    return AccountMargin(account, venue, margin_of(pools, plan.prices), positions, caps_now(plan, account))


def _positions(
    pool: Pool, prices: dict[str, float], rules: Liquidation | None, deviations: Mapping[str, float]
) -> list[PositionMargin]:
    """Those of a pool, in its order; `rules`: how dydx_v4 liquidates, None elsewhere."""
    margin = pool_margin(pool, prices)
    moves, bankruptcy = liquidation_moves(pool, prices), bankruptcy_prices(pool, prices)
    found = []
    for holding in pool.holdings:
        asset, mark = holding.asset, prices[holding.asset]
        move = moves.get(asset)
        distance = None if move is None else abs(move) / mark
        if distance is not None and margin.liquidatable:
            distance = -distance
        deviation = deviations[asset]
        found.append(
            PositionMargin(
                market=holding.position.market,
                pool=pool.name,
                size=holding.size,
                mark=mark,
                notional=holding.size * mark,
                initial_margin=holding.initial.at(mark),
                maintenance_margin=holding.maintenance.at(mark),
                liquidation_price=None if move is None else mark + move,
                distance_percent=None if distance is None else 100.0 * distance,
                distance_daily_sd=None if distance is None or deviation == 0 else distance / deviation,
                bankruptcy_price=bankruptcy.get(asset)
                if rules is None
                else _shared_bankruptcy_price(margin, mark, holding),
                fillable_price=None if rules is None else _fillable_price(margin, mark, holding, rules),
                liquidatable=margin.liquidatable,
            )
        )
    return found


def _shared_bankruptcy_price(margin: PoolMargin, mark: float, holding: Holding) -> float | None:
    """P - E (MM_i / MM) / s, with MM_i = |s| P m. `GetBankruptcyPriceInQuoteQuantums` of the chain."""
    if holding.size == 0 or margin.maintenance_margin <= 0:
        return None
    fraction = holding.maintenance.slope / holding.size
    return _positive(mark * (1.0 - fraction * (margin.equity / margin.maintenance_margin)))


def _fillable_price(margin: PoolMargin, mark: float, holding: Holding, rules: Liquidation) -> float | None:
    """P less, for a short plus, rating x spread x P m; rating = adjustment x (1 - E / MM) within [0, 1].

    `GetFillablePrice` of the chain.
    """
    if holding.size == 0 or not margin.liquidatable:
        return None
    fraction = holding.maintenance.slope / holding.size
    rating = rules.bankruptcy_adjustment * (1.0 - margin.equity / margin.maintenance_margin)
    spread = rules.spread_to_maintenance_margin_ratio * fraction
    return _positive(mark * (1.0 - min(max(rating, 0.0), 1.0) * spread))


def _positive(price: float) -> float | None:
    return price if 0 < price < inf else None


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _pool_document(pool: PoolMargin) -> dict[str, Any]:
    return {
        "name": pool.name,
        "equity": pool.equity,
        "initial_margin": pool.initial_margin,
        "maintenance_margin": pool.maintenance_margin,
        "free_collateral": pool.free_collateral,
        "margin_ratio": _finite(pool.margin_ratio),
        "liquidatable": pool.liquidatable,
        "bankrupt": pool.bankrupt,
    }
