"""Leverage that an account sets for perpetuals: it raises initial margin, and touches nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pipeline.dydx.account import Account
from pipeline.dydx.errors import DydxError
from pipeline.dydx.market import Market, market_of
from pipeline.dydx.risk import account_risk


def set_leverage(
    account: Account, markets: Mapping[int, Market], custom_imf_ppm: Mapping[int, int]
) -> Account:
    """The account with these initial margin fractions (ppm) by perpetual, beside those it has for others.

    Equity must cover initial margin, but the check sees these fractions alone: what is set for other
    perpetuals counts for nothing in it. `x/subaccounts/keeper/leverage.go UpdateLeverage`.

    Errors: DydxError where a fraction is below its tier's, and where equity does not cover initial margin.
    """
    for perpetual_id, ppm in sorted(custom_imf_ppm.items()):
        least = market_of(markets, perpetual_id).tier.initial_margin_ppm
        if ppm < least:
            raise DydxError(f"{ppm} ppm of perpetual {perpetual_id} is below its tier's {least}")
    risk = account_risk(dataclasses.replace(account, custom_imf_ppm=custom_imf_ppm), markets)
    if custom_imf_ppm and not risk.is_initial_collateralized:
        raise DydxError(f"equity of {risk.equity} does not cover an initial margin of {risk.initial_margin}")
    return dataclasses.replace(account, custom_imf_ppm={**account.custom_imf_ppm, **custom_imf_ppm})
