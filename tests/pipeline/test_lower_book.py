from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL, Book, Market
from pipeline.blocks import Block
from pipeline.engine import Counts, liquidatable_now, simulate_block
from pipeline.lower_book import TIE, find_liquidatable, lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document
from tests.runs import hit_document


def lowered(plan: Plan, *accounts: int) -> tuple[Market, Book]:
    """The arrays of some accounts, by number; of all if none is named."""
    market = lower_market(plan)
    return market, lower_book(plan, market, accounts or range(len(plan.accounts)))


def count(document: dict[str, Any]) -> Counts:
    """All paths and accounts of a plan in one block."""
    plan = plan_from_document(document)
    block = Block(0, 0, plan.simulation.paths, 0)
    return simulate_block(json.dumps(plan.document()), block)


def still_document(collateral: float, size: float = 1.0) -> dict[str, Any]:
    """One account with a long of one unit at 100, maintenance 1.2, in a market that never moves."""
    document = small_document()
    document["simulation"] |= {"paths": 3, "horizons": ["1h"]}
    document["model"] = {
        "step": "1h",
        "assets": ["BTC"],
        "initial": "stationary",
        "regimes": {"only": {"volatility": {"BTC": 0.0}}},
    }
    document["prices"] = {"BTC": 100.0}
    document["scenarios"] = ["baseline"]
    position = {"market": "BTC-USD", "size": size, "entry": 100.0}
    document["accounts"] = [{"name": "one", "collateral": {"USDC": collateral}, "positions": [position]}]
    document["limits"] = []
    return document


def test_lower_book__positions_and_requirements() -> None:
    _, book = lowered(plan_from_document(small_document()))
    assert book.start.tolist() == [0, 2, 4]
    assert book.size.tolist() == [4.0, -70.0, 2.0, 0.0]  # the second account is made even
    assert book.asset.tolist() == [0, 1, 0, 0]
    assert book.requirement[MARGIN_CALL] == pytest.approx([0.08, 1.4, 0.04, 0])
    assert book.requirement[LIQUIDATION] == pytest.approx([0.048, 0.84, 0.024, 0])
    assert not book.requirement[BANKRUPTCY].any()
    assert book.base.tolist() == pytest.approx([4 * 61_250 - 70 * 3_020, 2 * 61_250])
    assert book.initial.tolist() == pytest.approx([0.02 * (4 * 61_250 + 70 * 3_020), 0.02 * 2 * 61_250])
    assert book.only_asset.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("venue", "leverage", "leaps"),
    [
        ("binance-um-2026-09", None, 1),
        (
            "binance-um-2026-09",
            1,
            0,
        ),  # all of the notional is backed in every bracket: only maintenance bends
        ("dydx-v4-2026-03", None, 0),
    ],
)
def test_lower_book__where_initial_margin_jumps(venue: str, leverage: float | None, leaps: int) -> None:
    document = small_document()
    document["venue"] = venue
    quote, market = ("USDT", "BTCUSDT") if leaps or leverage else ("USDC", "BTC-USD")
    account: dict[str, Any] = {
        "name": "one",
        "collateral": {quote: 1e6},
        "positions": [{"market": market, "size": 10, "entry": 61_000}],
    }
    if leverage is not None:
        account["positions"][0]["leverage"] = leverage
    document["accounts"] = [account]
    document["limits"] = []
    _, book = lowered(plan_from_document(document))
    assert set(book.kinks.leaps.tolist()) == {leaps}


def test_lower_book__spread_is_the_books_own_volatility() -> None:
    market, book = lowered(plan_from_document(small_document()))
    long, short, root = 4 * 61_250 * 0.45, -70 * 3_020 * 0.6, np.sqrt(1 / 8760)
    variance = long**2 + short**2 + 2 * 0.8 * long * short
    assert book.spread[0, 0, 0] == pytest.approx(np.sqrt(variance) * root)
    assert book.spread[1, 0, 1] == pytest.approx(2 * 61_250 * 1.3 * root)
    assert book.spread.shape == (2, len(market.loading), 2)


def test_lower_book__thresholds_descend_and_remember_their_leverage() -> None:
    _, book = lowered(plan_from_document(small_document()))
    equity = np.array([100_000 + 4 * (61_250 - 60_100) + 70 * (3_105 - 3_020), 25_000 + 2 * 250.0])
    gross = np.array([4 * 61_250 + 70 * 3_020, 2 * 61_250])
    for p in range(2):
        assert book.leverage[p].tolist() == [2, 1, 0]  # the greatest leverage is hit first
        multiples = np.array([2, 1, 0.5])
        slack = TIE * (gross[p] + equity[p] / multiples)
        for mark in range(3):
            assert book.threshold[mark, p] == pytest.approx(-equity[p] / multiples - slack, rel=1e-15)
        assert (np.diff(book.threshold[0, p]) < 0).all()
    assert book.unit == 1


def test_lower_book__negative_equity_turns_the_order_round() -> None:
    document = small_document()
    document["accounts"][1]["positions"][0]["entry"] = 90_000
    _, book = lowered(plan_from_document(document))
    assert book.leverage[1].tolist() == [0, 1, 2]
    assert (book.threshold[LIQUIDATION, 1] > 0).all()


def test_lower_book__slab_is_the_same_as_in_the_whole() -> None:
    plan = plan_from_document(small_document())
    _, whole = lowered(plan)
    _, second = lowered(plan, 1)
    assert second.start.tolist() == [0, 2]
    np.testing.assert_array_equal(second.size, whole.size[2:])
    np.testing.assert_array_equal(second.threshold, whole.threshold[:, 1:])
    np.testing.assert_array_equal(second.spread, whole.spread[1:])


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize(
    ("collateral", "hit"), [(1.2, False), (1.2 - 1e-7, True), (1.2 + 1e-7, False), (2.4, False)]
)
def test_lower_book__equity_at_the_requirement_stands(collateral: float, hit: bool, monitoring: str) -> None:
    document = still_document(collateral)
    document["simulation"]["monitoring"] = monitoring
    document["simulation"]["leverage"] = [1.0]
    plan = plan_from_document(document)
    assert liquidatable_now(plan).ravel().tolist() == [hit]
    assert count(document).hits[LIQUIDATION].ravel().tolist() == [3 * hit]


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize(("margin", "collateral"), [("cross", {"USDC": 0.0}), ("isolated", {})])
def test_lower_book__an_account_that_holds_nothing_stands(
    margin: str, collateral: dict[str, float], monitoring: str
) -> None:
    document = still_document(0.0)
    document["simulation"]["monitoring"] = monitoring
    document["accounts"] = [{"name": "desk", "margin": margin, "collateral": collateral, "positions": []}]
    assert not count(document).hits.any()
    assert not liquidatable_now(plan_from_document(document)).any()


@pytest.mark.parametrize("leverage", [0.1, 1 / 3, 0.7, 1.7, 3.3, 7.0])
def test_lower_book__ties_stand_at_any_leverage(leverage: float) -> None:
    # equity equals maintenance at that leverage, with figures that have no exact binary form
    document = still_document(round(1.2 * leverage, 12))
    document["prices"] = {"BTC": 100.0}
    document["simulation"]["leverage"] = sorted({leverage, leverage * 1.001, 1.0, 0.05})
    index = document["simulation"]["leverage"].index(leverage)
    plan = plan_from_document(document)
    found = liquidatable_now(plan)[0, 0]
    assert not found[: index + 1].any()
    assert found[index + 1 :].all()
    np.testing.assert_array_equal(count(document).hits[LIQUIDATION, 0, 0, :, 0] > 0, found)


def test_lower_book__zero_size_and_no_positions_are_never_liquidated() -> None:
    document = hit_document(256)
    document["accounts"] += [
        {"name": "empty", "collateral": {"USDC": 10}, "positions": []},
        {
            "name": "flat",
            "collateral": {"USDC": 10},
            "positions": [{"market": "BTC-USD", "size": 0.0, "entry": 61_000}],
        },
    ]
    plan = plan_from_document(document)
    _, book = lowered(plan)
    assert book.start.tolist() == [0, 2, 4, 4, 4]
    assert (book.threshold[LIQUIDATION, 2:] == -np.inf).all()
    hits = count(document).hits
    assert not hits[:, :, 2:].any()
    assert hits[LIQUIDATION, :, 1].any()


def test_lower_book__no_maintenance_means_no_liquidation_but_bankruptcy() -> None:
    document = hit_document(512)
    document["venue"]["markets"]["BTC-USD"] |= {"maintenance_margin": 0.0, "initial_margin": 0.0}
    hits = count(document).hits
    assert not hits[LIQUIDATION, :, 1].any()
    assert hits[BANKRUPTCY, 2, 1].any()
    np.testing.assert_array_equal(hits[BANKRUPTCY, :, 1], hits[MARGIN_CALL, :, 1])


def test_find_liquidatable__after_shocks_at_time_zero() -> None:
    document = small_document()
    document["scenarios"][2]["effects"] = [{"effect": "shock", "moves": {"all": -0.15}}]
    plan = plan_from_document(document)
    market, book = lowered(plan)
    expected = np.zeros((3, 2, 3), bool)
    prices = np.array([61_250.0, 3_020.0])
    for s, factor in enumerate([1.0, 0.9, 0.85]):
        for p, account in enumerate(plan.accounts):
            for j, multiple in enumerate([0.5, 1, 2]):
                equity = account.collateral["USDC"]
                maintenance = 0.0
                for position in account.positions:
                    a = ["BTC-USD", "ETH-USD"].index(position.market)
                    equity += position.size * (prices[a] - position.entry)
                    equity += multiple * position.size * prices[a] * (factor - 1)
                    maintenance += multiple * 0.012 * abs(position.size) * prices[a] * factor
                expected[s, p, j] = equity < maintenance
    np.testing.assert_array_equal(find_liquidatable(market, book, lower_clock(plan)), expected)
    assert expected.any()
    assert not expected.all()


@pytest.mark.parametrize("alone", [0, 1])
def test_lower_book__an_accounts_numbers_do_not_depend_on_others(alone: int) -> None:
    document = hit_document(1_000)
    document["accounts"][0]["collateral"]["USDC"] = 12_000
    together = count(document)
    document["accounts"] = [document["accounts"][alone]]
    by_itself = count(document)
    np.testing.assert_array_equal(by_itself.hits[:, :, 0], together.hits[:, :, alone])
    assert by_itself.hits[LIQUIDATION].any()
    np.testing.assert_array_equal(by_itself.joint[:, :, 0, 0], together.joint[:, :, alone, alone])


def test_lower_clock__horizon_of_each_step() -> None:
    plan = plan_from_document(small_document())
    clock = lower_clock(plan)
    assert clock.steps == 24
    assert clock.horizon.tolist() == [0, 1, 1, 1] + [2] * 20
    assert clock.bridge == 0


def test_lower_book__clamps_on_funding_are_those_of_each_market() -> None:
    """6 x 0.8 % per 8 h of a dydx_v4 market, what is stated for an hour; none for collateral."""
    document = small_document()
    document["venue"]["markets"]["ETH-USD"]["funding_cap"] = 0.01
    document["accounts"][0]["collateral"]["BTC"] = 1.0
    document["venue"]["haircuts"] = {"BTC": 0.05}
    plan = plan_from_document(document)
    book = lower_book(plan, lower_market(plan), (0,))
    assert book.funding_cap[:3] == pytest.approx([0.048 * 3 * 365, 0.01 * 8760, np.inf])
