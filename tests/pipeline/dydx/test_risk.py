from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.risk import Risk, UpdateResult, account_risk, settled_risk, under_margin_result
from tests.pipeline.dydx.exchange import BTC, ETH, MARKETS, account, two_sided, usd

sizes = st.integers(-(10**15), 10**15)


def test_account_risk__worked_example() -> None:
    assert account_risk(two_sided(), MARKETS) == (usd(13_400), usd(24_000), usd(14_400))


def test_account_risk__settles_funding_first() -> None:
    markets = {BTC: replace(MARKETS[BTC], funding_index=1_000_000)}
    before = account(0, 1)
    assert account_risk(before, markets).equity == settled_risk(before, markets).equity - 10**10


def test_account_risk__custom_fraction_raises_initial_margin_only() -> None:
    plain = account(0, 1)
    raised = replace(plain, custom_imf_ppm={BTC: 500_000})
    assert account_risk(raised, MARKETS) == account_risk(plain, MARKETS)._replace(initial_margin=usd(30_000))


@pytest.mark.parametrize("quantums", [1, -1])
def test_account_risk__refuses_any_other_collateral(quantums: int) -> None:
    with pytest.raises(DydxError, match="asset 1 is no collateral"):
        account_risk(Account({0: 5, 1: quantums}), MARKETS)


def test_account_risk__nothing_of_another_asset_is_fine() -> None:
    assert account_risk(Account({0: 5, 1: 0}), MARKETS) == (5, 0, 0)


@given(sizes, sizes, st.integers(-(10**12), 10**12))
def test_account_risk__adds_over_positions(btc: int, eth: int, usdc: int) -> None:
    parts = [Account({0: usdc}), Account({}, {BTC: Position(btc)}), Account({}, {ETH: Position(eth)})]
    whole = Account({0: usdc}, {BTC: Position(btc), ETH: Position(eth)})
    risks = [account_risk(part, MARKETS) for part in parts]
    assert account_risk(whole, MARKETS) == tuple(sum(column) for column in zip(*risks, strict=True))


@pytest.mark.parametrize(
    ("risk", "liquidatable"),
    [(Risk(100, 0, 100), False), (Risk(99, 0, 100), True), (Risk(-1, 0, 0), False), (Risk(0, 0, 0), False)],
)
def test_is_liquidatable__strictly_below_and_with_positions(risk: Risk, liquidatable: bool) -> None:
    assert risk.is_liquidatable is liquidatable


STILL, NEWLY = UpdateResult.STILL_UNDERCOLLATERALIZED, UpdateResult.NEWLY_UNDERCOLLATERALIZED


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        (Risk(10, 20, 10), Risk(30, 40, 20), STILL),  # a better ratio, but more margin
        (Risk(20, 20, 10), Risk(30, 40, 20), NEWLY),
        (Risk(10, 20, 10), Risk(5, 20, 5), UpdateResult.SUCCESS),  # the same ratio
        (Risk(10, 20, 10), Risk(4, 20, 5), STILL),
        (Risk(-10, 20, 10), Risk(-5, 20, 5), UpdateResult.SUCCESS),
        (Risk(-10, 20, 10), Risk(-6, 20, 5), STILL),
        (Risk(-10, 20, 10), Risk(-1, 0, 0), STILL),  # closed, yet in debt
        (Risk(-10, 0, 0), Risk(-9, 0, 0), UpdateResult.SUCCESS),
        (Risk(-10, 0, 0), Risk(-10, 0, 0), STILL),
    ],
)
def test_under_margin_result__only_less_risk(before: Risk, after: Risk, result: UpdateResult) -> None:
    assert under_margin_result(before, after) is result
