"""The capital that a book takes at an instant, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.compare import (
    AS_HELD,
    BY_STRATEGY,
    ISOLATED,
    ONE_POOL,
    Comparison,
    EqualChance,
    Range,
    compare_books,
    hold_book,
    pool_account,
)
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, tiered_document

BTC, ETH = 61_250.0, 3_020.0  # prices of the small plan


def book(*positions: dict[str, Any], **account: Any) -> dict[str, Any]:
    """The small plan with one account of these positions."""
    document = small_document()
    document["accounts"] = [
        {"name": "desk", "collateral": {"USDC": 50_000}, "positions": list(positions), **account}
    ]
    return document


def compare(document: dict[str, Any]) -> Comparison:
    plan = plan_from_document(document)
    (found,) = compare_books([hold_book(plan, plan.accounts[0])], [None])
    return found


LONG = {"market": "BTC-USD", "size": 2, "entry": 61_000}  # 500 of profit, 2,450 and 1,470 required
SHORT = {"market": "ETH-USD", "size": -40, "entry": 3_000}  # 800 of loss, 2,416 and 1,449.60 required


def test_compare_books__ways_need_the_same_while_no_pool_has_more_than_it_needs() -> None:
    found = compare(book(LONG, SHORT))
    assert found.committed == 50_000
    assert found.pools == {ONE_POOL: 1, ISOLATED: 2}
    assert found.instant == pytest.approx({ONE_POOL: 5_166, ISOLATED: 1_950 + 3_216})
    assert found.maintenance == pytest.approx({ONE_POOL: 3_219.6, ISOLATED: 970 + 2_249.6})


def test_compare_books__a_winners_surplus_helps_no_other_pool() -> None:
    found = compare(book({**LONG, "entry": 58_250}, SHORT))  # 6,000 of profit: 3,550 more than is required
    assert found.instant == pytest.approx({ONE_POOL: 0.0, ISOLATED: 3_216}, abs=1e-9)
    assert found.maintenance == pytest.approx({ONE_POOL: 0.0, ISOLATED: 2_249.6}, abs=1e-9)
    found = compare(book({**LONG, "entry": 59_250}, SHORT))  # 4,000
    assert found.instant == pytest.approx({ONE_POOL: 1_666, ISOLATED: 3_216})


def test_compare_books__one_position_is_the_same_either_way() -> None:
    found = compare(book(SHORT))
    assert found.instant == {ONE_POOL: pytest.approx(3_216), ISOLATED: found.instant[ONE_POOL]}


def test_compare_books__hedged_position_needs_both_legs_requirements() -> None:
    document = book(
        {"market": "BTC-USD", "size": 1, "entry": 51_250}, {"market": "BTC-B", "size": -1, "entry": 51_250}
    )
    markets = document["venue"]["markets"]
    markets["BTC-B"] = markets["BTC-USD"]
    found = compare(document)
    assert found.instant == pytest.approx({ONE_POOL: 2_450, ISOLATED: 11_225})  # the loser's 10,000 and 1,225


def test_compare_books__positions_of_size_zero_are_in_no_pool() -> None:
    found = compare(book(LONG, {**SHORT, "size": 0}))
    assert found.pools == {ONE_POOL: 1, ISOLATED: 1}
    assert compare(book()).pools == {ONE_POOL: 0, ISOLATED: 0}
    assert compare(book()).instant == {ONE_POOL: 0.0, ISOLATED: 0.0}


@pytest.mark.parametrize(
    ("strategies", "pools"),
    [
        (("a", "a", "b"), 2),
        (("a", "a", None), 2),
        (("a", "b", "c"), None),  # as isolated
        (("a", None, None), None),
        (("a", "a", "a"), None),  # as cross
    ],
)
def test_hold_book__by_strategy_where_it_is_a_way_of_its_own(
    strategies: tuple[str | None, ...], pools: int | None
) -> None:
    sides = (LONG, SHORT, {**LONG, "market": "BTC-B"})
    document = book(*({**p, "strategy": s} for p, s in zip(sides, strategies, strict=True)))
    document["venue"]["markets"]["BTC-B"] = document["venue"]["markets"]["BTC-USD"]
    assert compare(document).pools.get(BY_STRATEGY) == pools


@pytest.mark.parametrize(
    ("alone", "pools"),
    [((True, False, False), 2), ((True, True, False), None), ((False,) * 3, None), ((True,) * 3, None)],
)
def test_hold_book__as_held_where_some_positions_are_isolated(
    alone: tuple[bool, ...], pools: int | None
) -> None:
    sides = ({**LONG, "entry": 58_250}, SHORT, {**LONG, "market": "BTC-B"})
    apart = {"margin": "isolated", "collateral": 5_000}
    held = [p | apart if one else p for p, one in zip(sides, alone, strict=True)]
    document = book(*held, margin="mixed")
    document["venue"]["markets"]["BTC-B"] = document["venue"]["markets"]["BTC-USD"]
    found = compare(document)
    assert found.pools.get(AS_HELD) == pools
    if pools is not None:
        # the winner's surplus is locked up in its own pool; the loser and its neighbour share theirs
        assert found.instant[AS_HELD] == pytest.approx(0.0 + 2_416 + 800 + 2_450 - 500)


def test_hold_book__market_that_the_venue_keeps_apart_has_its_own_pool() -> None:
    document = book({**LONG, "strategy": "a"}, {**SHORT, "strategy": "a"}, margin="isolated")
    document["accounts"][0] |= {"collateral": {}}
    document["venue"]["markets"]["ETH-USD"]["isolated"] = True
    for position in document["accounts"][0]["positions"]:
        position["collateral"] = 4_000
    found = compare(document)
    assert found.pools == {ONE_POOL: 2, ISOLATED: 2}
    assert found.committed == 8_000
    assert found.instant[ONE_POOL] == found.instant[ISOLATED] == pytest.approx(5_166)


def test_hold_book__brackets_hedge_mode_and_coins() -> None:
    plan = plan_from_document(tiered_document())
    held = hold_book(plan, plan.accounts[1])
    assert held.coins
    assert held.committed == 20_000 + 1.5 * BTC + 2_000
    assert held.ways == {ONE_POOL: ((0, 1, 2),), AS_HELD: ((0, 1), (2,)), ISOLATED: ((0,), (1,), (2,))}
    # 122,500 at leverage 20 and 61,250 at 40, in the bracket of 1.5 % with cum 50 + 250 = 300
    initial, maintenance = (6_125, 1_531.25, 604), (1_537.5, 618.75, 302)
    profit = (500, -1_250, 100)
    assert held.at_initial_margin(ISOLATED) == pytest.approx(
        sum(i - p for i, p in zip(initial, profit, strict=True))
    )
    assert held.at_maintenance_margin(ISOLATED) == pytest.approx(
        sum(m - p for m, p in zip(maintenance, profit, strict=True))
    )
    assert held.at_initial_margin(ONE_POOL) == pytest.approx(held.at_initial_margin(ISOLATED))
    alone = pool_account(plan.accounts[1], (2,))
    assert (alone.collateral, alone.positions[0].collateral) == ({}, None)
    assert not alone.isolates(alone.positions[0])


def test_document__keys_and_nulls() -> None:
    equal = EqualChance(0.01, "7d", "baseline", 1_000, {ONE_POOL: Range(5.0, 4.0, None)})
    found = compare(book(LONG)).document()
    assert list(found) == ["name", "committed", "pools", "instant", "maintenance", "equal_probability"]
    assert found["equal_probability"] is None
    assert equal.document() == {
        **{"probability": 0.01, "horizon": "7d", "scenario": "baseline", "paths": 1_000},
        **{"cross": 5.0, "cross_low": 4.0, "cross_high": None},
    }
