"""Net collateral and margin requirements, and the predicates on them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pipeline.dydx.account import USDC, Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.funding import settle
from pipeline.dydx.market import Market, market_of


class UpdateResult(StrEnum):
    """What becomes of an update, by the chain's names."""

    SUCCESS = "Success"
    NEWLY_UNDERCOLLATERALIZED = "NewlyUndercollateralized"
    STILL_UNDERCOLLATERALIZED = "StillUndercollateralized"
    VIOLATES_ISOLATED_SUBACCOUNT_CONSTRAINTS = "ViolatesIsolatedSubaccountConstraints"
    WITHDRAWALS_AND_TRANSFERS_BLOCKED = "WithdrawalsAndTransfersBlocked"


class Risk(NamedTuple):
    """Equity (net collateral), initial and maintenance margin, quote quantums. `lib/margin/risk.go`."""

    equity: int = 0
    initial_margin: int = 0
    maintenance_margin: int = 0

    @property
    def is_initial_collateralized(self) -> bool:
        """Equity covers initial margin."""
        return self.equity >= self.initial_margin

    @property
    def is_maintenance_collateralized(self) -> bool:
        """Equity covers maintenance margin."""
        return self.equity >= self.maintenance_margin

    @property
    def is_liquidatable(self) -> bool:
        """Maintenance margin is positive and exceeds equity; at equality the account is safe."""
        return self.maintenance_margin > 0 and self.maintenance_margin > self.equity


def position_risk(market: Market, position: Position, custom_imf_ppm: int = 0) -> Risk:
    """What one position adds to an account. `x/perpetuals/lib/lib.go`."""
    equity = market.notional(position.quantums) + position.quote_balance
    return Risk(equity, *market.margins(position.quantums, custom_imf_ppm))


def settled_risk(account: Account, markets: Mapping[int, Market]) -> Risk:
    """The risk of an account whose funding is settled. `x/subaccounts/lib/updates.go GetRiskForSubaccount`.

    Errors: DydxError where it holds anything but USDC (`x/assets/lib`), or a perpetual that does not exist.
    """
    for asset, quantums in account.assets.items():
        if asset != USDC and quantums:
            raise DydxError(f"asset {asset} is no collateral: only USDC (asset {USDC}) is")
    risks = [
        position_risk(market_of(markets, perpetual_id), position, account.custom_imf_ppm.get(perpetual_id, 0))
        for perpetual_id, position in account.positions.items()
    ]
    return Risk(
        account.usdc + sum(risk.equity for risk in risks),
        sum(risk.initial_margin for risk in risks),
        sum(risk.maintenance_margin for risk in risks),
    )


def account_risk(account: Account, markets: Mapping[int, Market]) -> Risk:
    """The risk of an account as it stands: funding settled first, then added up over its positions."""
    return settled_risk(settle(account, markets)[0], markets)


def under_margin_result(before: Risk, after: Risk) -> UpdateResult:
    """Whether an update may leave an account below initial margin: only if it takes risk off.

    Maintenance margin may not grow, nor equity / maintenance margin fall; without maintenance margin on
    either side, equity must rise. `x/subaccounts/lib/updates.go
    IsValidStateTransitionForUndercollateralizedSubaccount`.
    """
    if before.is_initial_collateralized:
        refused = UpdateResult.NEWLY_UNDERCOLLATERALIZED
    else:
        refused = UpdateResult.STILL_UNDERCOLLATERALIZED
    if after.maintenance_margin > before.maintenance_margin:
        return refused
    if after.maintenance_margin == 0 or before.maintenance_margin == 0:
        neither = after.maintenance_margin == before.maintenance_margin == 0
        return UpdateResult.SUCCESS if neither and after.equity > before.equity else refused
    worse = after.equity * before.maintenance_margin < before.equity * after.maintenance_margin
    return refused if worse else UpdateResult.SUCCESS
