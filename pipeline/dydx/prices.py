"""Three prices, none the other: of liquidation, of bankruptcy, and the worst a liquidation accepts."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from pipeline.dydx.account import Account
from pipeline.dydx.errors import DydxError
from pipeline.dydx.limits import LiquidationConfig
from pipeline.dydx.market import Market, Pair, market_of
from pipeline.dydx.risk import Risk, account_risk
from pipeline.dydx.units import MILLION, clamp, divide_up, round_to_multiple

UINT64_MAX = 2**64 - 1


def liquidation_price(
    equity: Fraction,
    size: Fraction,
    price: Fraction,
    maintenance_fraction: Fraction,
    other_maintenance: Fraction,
) -> Fraction | None:
    """The price at which equity equals maintenance margin, all other prices fixed; None where there is none.

    (equity - size price - other maintenance) / (|size| fraction - size): USD, coins (signed), USD per coin,
    the maintenance margin fraction, and USD of maintenance that the other positions need. Algebra, without
    rounding.
    """
    slope = abs(size) * maintenance_fraction - size
    if slope == 0:
        return None
    found = (equity - size * price - other_maintenance) / slope
    return found if found > 0 else None


def bankruptcy_quote(account: Account, markets: Mapping[int, Market], perpetual_id: int, delta: int) -> int:
    """The quote quantums that closing `delta` base quantums brings where it uses up its share of equity.

    -dN - floor(equity x |dM| / total maintenance): each position carries its share of equity by maintenance
    margin; dN and dM are differences of whole positions. Rounding spares the insurance fund.
    `x/clob/keeper/liquidations.go GetBankruptcyPriceInQuoteQuantums`.

    Errors: DydxError unless `delta` closes some or all of the position.
    """
    market, size = _closable(account, markets, perpetual_id, delta)
    total = _with_maintenance(account_risk(account, markets))
    notional = market.notional(size + delta) - market.notional(size)
    maintenance = market.margins(size + delta)[1] - market.margins(size)[1]
    return -notional - total.equity * abs(maintenance) // total.maintenance_margin


def fillable_price(
    account: Account, markets: Mapping[int, Market], perpetual_id: int, delta: int, config: LiquidationConfig
) -> Fraction:
    """The worst price a liquidation of the position accepts, quote quantums per base quantum, exact.

    (N - rating x spread x M) / size, the rating being adjustment x (1 - equity / total maintenance) in [0,
    1]; N and M are of the whole position, whatever part is closed. `x/clob/keeper/liquidations.go
    GetFillablePrice`.

    Errors: DydxError unless `delta` closes some or all of the position, and where the price is negative.
    """
    market, size = _closable(account, markets, perpetual_id, delta)
    total = _with_maintenance(account_risk(account, markets))
    adjustment = Fraction(config.bankruptcy_adjustment_ppm, MILLION)
    rating = adjustment * (1 - Fraction(total.equity, total.maintenance_margin))
    spread = Fraction(config.spread_to_maintenance_margin_ratio_ppm, MILLION) * market.margins(size)[1]
    price = (market.notional(size) - max(Fraction(0), min(rating, Fraction(1))) * spread) / size
    if price < 0:
        raise DydxError(f"the fillable price of perpetual {perpetual_id} is negative")
    return price


def fillable_subticks(price: Fraction, is_long: bool, pair: Pair) -> int:
    """A fillable price as a limit in subticks, whole ticks, at least one: up for a long, down for a short.

    `price` in quote quantums per base quantum. `x/clob/keeper/liquidations.go
    ConvertFillablePriceToSubticks`.
    """
    exact = price / Fraction(10) ** pair.quantum_conversion_exponent
    whole = divide_up(exact.numerator, exact.denominator) if is_long else exact.numerator // exact.denominator
    tick = pair.subticks_per_tick
    return clamp(
        round_to_multiple(whole, tick, up=is_long), tick, round_to_multiple(UINT64_MAX, tick, up=False)
    )


def _closable(
    account: Account, markets: Mapping[int, Market], perpetual_id: int, delta: int
) -> tuple[Market, int]:
    market, size = market_of(markets, perpetual_id), account.size(perpetual_id)
    if size * delta >= 0 or abs(delta) > abs(size):
        raise DydxError(
            f"a change of {delta} does not close a position of {size} in perpetual {perpetual_id}"
        )
    return market, size


def _with_maintenance(total: Risk) -> Risk:
    if total.maintenance_margin == 0:
        raise DydxError("an account without maintenance margin has no bankruptcy or fillable price")
    return total
