from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.leverage import set_leverage
from pipeline.dydx.risk import account_risk
from tests.pipeline.dydx.exchange import PLAIN

# 10 % of initial margin each
MARKETS = {7: PLAIN, 8: replace(PLAIN, perpetual_id=8)}
ACCOUNT = Account({0: 100}, {7: Position(100), 8: Position(-100)})


def test_set_leverage__beside_what_is_set() -> None:
    first = set_leverage(ACCOUNT, MARKETS, {7: 200_000})
    both = set_leverage(first, MARKETS, {8: 300_000})
    assert both.custom_imf_ppm == {7: 200_000, 8: 300_000}
    assert set_leverage(both, MARKETS, {7: 100_000}).custom_imf_ppm == {7: 100_000, 8: 300_000}
    assert account_risk(both, MARKETS).initial_margin == 50
    assert set_leverage(both, MARKETS, {}) == both


def test_set_leverage__at_least_the_tiers_fraction() -> None:
    assert set_leverage(ACCOUNT, MARKETS, {7: 100_000}).custom_imf_ppm == {7: 100_000}
    with pytest.raises(DydxError, match="99999 ppm of perpetual 7 is below its tier's 100000"):
        set_leverage(ACCOUNT, MARKETS, {8: 500_000, 7: 99_999})
    with pytest.raises(DydxError, match="perpetual 5 does not exist"):
        set_leverage(ACCOUNT, MARKETS, {5: 500_000})


def test_set_leverage__equity_must_cover_initial_margin() -> None:
    # equity is 100; 10 for the other position, so 90 % of this one may be asked for
    assert set_leverage(ACCOUNT, MARKETS, {7: 900_000}).custom_imf_ppm == {7: 900_000}
    with pytest.raises(DydxError, match="equity of 100 does not cover an initial margin of 101"):
        set_leverage(ACCOUNT, MARKETS, {7: 910_000})
    unfunded = replace(ACCOUNT, positions={7: Position(100, funding_index=-1_000_000), 8: Position(-100)})
    with pytest.raises(DydxError, match="does not cover"):
        set_leverage(replace(unfunded, assets={0: 100}), MARKETS, {7: 900_000})


def test_set_leverage__checks_with_the_fractions_named_alone() -> None:
    first = set_leverage(ACCOUNT, MARKETS, {7: 900_000})
    both = set_leverage(first, MARKETS, {8: 900_000})
    assert account_risk(both, MARKETS).initial_margin == 180
    assert not account_risk(both, MARKETS).is_initial_collateralized
    assert set_leverage(both, MARKETS, {}) == both
