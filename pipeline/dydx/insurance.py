"""The insurance fund."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.dydx.account import Account
from pipeline.dydx.errors import DydxError
from pipeline.dydx.limits import LiquidationConfig
from pipeline.dydx.market import Market, Pair
from pipeline.dydx.prices import bankruptcy_quote
from pipeline.dydx.units import times_ppm


@dataclass
class InsuranceFund:
    """The balance of one fund, quote quantums. Cross markets share one, an isolated market has its own."""

    balance: int = 0

    def covers(self, delta: int) -> bool:
        """Whether it can pay; what it receives it can always take. `x/clob/keeper/deleveraging.go`."""
        return delta >= 0 or self.balance + delta >= 0

    def receive(self, delta: int) -> None:
        """Adds what comes in; negative goes out."""
        self.balance += delta


def insurance_fund_delta(
    account: Account,
    markets: Mapping[int, Market],
    perpetual_id: int,
    delta: int,
    subticks: int,
    pair: Pair,
    config: LiquidationConfig,
) -> int:
    """What a liquidation fill brings the fund, quote quantums; negative: what the fund pays.

    `delta` is the signed change of the position, base quantums. Worse than bankruptcy: the fund pays the
    difference. Better: the account pays it, up to the liquidation fee on what was filled.
    `x/clob/keeper/liquidations.go GetLiquidationInsuranceFundDelta`.

    Errors: DydxError unless `delta` closes some or all of the position.
    """
    if delta == 0:
        raise DydxError("a fill of nothing does not concern the insurance fund")
    paid = pair.quote(subticks, abs(delta))
    quote = -paid if delta > 0 else paid
    difference = quote - bankruptcy_quote(account, markets, perpetual_id, delta)
    if difference <= 0:
        return difference
    return min(difference, times_ppm(paid, config.max_liquidation_fee_ppm))
