"""Accounts that are refused: their collateral, pools, modes, leverages and prices."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.account_faults import MOST_IN_GROUP, find_group_faults
from pipeline.errors import PlanError, Problem
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, spoil, tiered_document

POSITIONS = ("accounts", 1, "positions")
BTC = {"market": "BTC-USD", "size": 1, "entry": 60_000}
ETH = {"market": "ETH-USD", "size": -1, "entry": 3_000}
ALONE = {"margin": "isolated", "collateral": 1_000}


def refused(document: dict[str, Any]) -> Problem:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        # collateral
        (("collateral", "ETH"), 1, "collateral.ETH", "`USDT` or what else the venue takes: BTC"),
        (("collateral",), {}, "collateral", "only of isolated accounts it may be left out"),
        (("collateral", "BTC"), 1e300, "collateral.BTC", "at most 10,000,000,000,000"),
        (("collateral", "BTC"), 1e9, "collateral.BTC", "6.12e+13"),
        (("positions", 2, "collateral"), 1e14, "positions[2].collateral", "at most 10,000,000,000,000"),
        # pools
        (("positions", 2, "collateral"), ..., "positions[2].collateral", "add `collateral:`, in the quote"),
        (("positions", 2, "collateral"), None, "positions[2].collateral", "as the position is isolated"),
        (("positions", 0, "collateral"), 100, "positions[0].collateral", "add `margin: isolated`"),
        # modes
        (("position_mode",), "one_way", "positions[1].market", "set `position_mode: hedge`"),
        (("positions", 1, "size"), 1, "positions[1].market", "one position a market and side"),
        # fees and leverage
        (("fee_tier",), "vipp", "fee_tier", "did you mean `vip`?"),
        (
            ("positions", 0, "leverage"),
            75.1,
            "positions[0].leverage",
            "at most 75, the greatest leverage of `BTCUSDT`",
        ),
        (("positions", 2, "leverage"), 26, "positions[2].leverage", "at most 25"),
        (("positions", 0, "leverage"), 0.5, "positions[0].leverage", "at least 1"),
        # the market is its own venue's
        (("positions", 0, "market"), "BTC-USD", "positions[0].market", "did you mean `BTCUSDT`?"),
    ],
)
def test_find_account_faults__tiered(path: tuple[str | int, ...], value: Any, where: str, words: str) -> None:
    problem = refused(spoil(tiered_document(), ("accounts", 1, *path), value))
    assert problem.where == f"plan: accounts[1].{where}"
    assert words in str(problem)


@pytest.mark.parametrize(
    ("account", "where", "words"),
    [
        ({"position_mode": "hedge"}, "position_mode", "dydx_v4 nets the positions of a market"),
        ({"fee_tier": "1"}, "fee_tier", "the venue has none"),
        ({"collateral": {"BTC": 1}}, "collateral.BTC", "the only collateral that dydx_v4 takes"),
        ({"positions": [BTC, BTC]}, "positions[1].market", "as dydx_v4 nets them"),
        (
            {"positions": [BTC | ALONE, BTC | ALONE]},
            "positions[1].market",
            "one isolated position a market and side",
        ),
        ({"positions": [BTC | {"leverage": 51}]}, "positions[0].leverage", "at most 50"),
        (
            {"margin": "isolated", "positions": [BTC]},
            "positions[0].collateral",
            "as the position is isolated",
        ),
        (
            {"margin": "isolated", "positions": [BTC | {"margin": "cross"}]},
            "positions[0].margin",
            "set `margin: mixed`",
        ),
    ],
)
def test_find_account_faults__dydx(account: dict[str, Any], where: str, words: str) -> None:
    document = small_document()
    document["accounts"][1] |= account
    problem = refused(document)
    assert problem.where == f"plan: accounts[1].{where}"
    assert words in str(problem)


@pytest.mark.parametrize(
    "account",
    [
        {"positions": [BTC, BTC | ALONE]},
        {"positions": [BTC | ALONE, BTC | ALONE | {"size": -1}]},
        {"positions": [BTC | {"leverage": 50}, ETH | ALONE]},
        {"margin": "isolated", "collateral": {}, "positions": [BTC | ALONE, ETH | {"collateral": -5}]},
        {"margin": "mixed", "positions": [BTC | {"margin": "cross"}, ETH | ALONE]},
    ],
)
def test_find_account_faults__right_ones_have_none(account: dict[str, Any]) -> None:
    document = small_document()
    document["accounts"][1] |= account
    plan_from_document(document)


def test_find_account_faults__isolated_account_without_collateral() -> None:
    document = small_document()
    document["accounts"][1] |= {"margin": "isolated", "positions": [BTC | ALONE]}
    del document["accounts"][1]["collateral"]
    assert plan_from_document(document).accounts[1].collateral == {}


def test_find_account_faults__isolated_market_shares_no_pool() -> None:
    document = small_document()
    document["venue"]["markets"]["BTC-USD"]["isolated"] = True
    document["accounts"][0]["positions"][0] |= ALONE  # beside ETH, but in a pool of its own
    plan_from_document(document)
    document["accounts"][1]["positions"] = [ETH, BTC]
    problem = refused(document)
    assert problem.where == "plan: accounts[1].positions[1].market"
    assert "`BTC-USD` in a pool of its own" in problem.expected
    assert "`margin: isolated`" in problem.fix


def test_find_account_faults__hedge_without_a_side_twice() -> None:
    document = tiered_document()
    alone = {"market": "ETHUSDT", "entry": 3_000, **ALONE}
    document["accounts"][1]["positions"] = [alone | {"size": 1}, alone | {"size": -1}]
    plan_from_document(document)
    document["accounts"][1]["positions"].append(alone | {"size": 2})
    problem = refused(document)
    assert problem.where == "plan: accounts[1].positions[2].market"
    assert "first in position 1" in problem.got


def test_find_account_faults__one_way_in_each_pool() -> None:
    document = tiered_document()
    document["accounts"][1]["position_mode"] = "one_way"
    document["accounts"][1]["positions"][1] |= ALONE
    plan_from_document(document)


def test_find_account_faults__tiered_venue_without_haircuts() -> None:
    document = spoil(tiered_document(), ("venues", "bracketed", "haircuts"), {})
    assert "`USDT`: the quote currency is the only collateral that the venue takes" in str(refused(document))


def test_find_account_faults__collateral_that_the_model_does_not_drive() -> None:
    document = spoil(tiered_document(), ("venues", "bracketed", "haircuts", "SOL"), 0.1)
    problem = refused(spoil(document, ("accounts", 1, "collateral", "SOL"), 10))
    assert problem.where == "plan: accounts[1].collateral.SOL"
    assert "a model that has SOL" in problem.fix


def test_find_price_faults__collateral() -> None:
    document = tiered_document()
    document["accounts"][0]["positions"] = []
    document["accounts"][1]["positions"] = []
    del document["prices"]["BTC"]
    problem = refused(document)
    assert problem.where == "plan: prices.BTC"
    assert "`hedger` holds it as collateral" in problem.got


def test_find_group_faults__too_many_accounts_in_a_group() -> None:
    accounts = [{"group": "desk"} for _ in range(MOST_IN_GROUP)]
    assert not list(find_group_faults([*accounts, {"group": "other"}, {}]))
    (fault,) = find_group_faults([*accounts, {}, {"group": "desk"}, {"group": "desk"}])
    assert fault.loc == ("accounts", MOST_IN_GROUP + 1, "group")
    assert "at most 500 accounts" in fault.expected
