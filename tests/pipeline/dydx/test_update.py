from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError, UpdateRefused
from pipeline.dydx.risk import UpdateResult
from pipeline.dydx.state import State, trade, update_accounts
from pipeline.dydx.tier import Tier
from pipeline.dydx.update import Update, apply_update, open_interest_deltas, update_results
from tests.pipeline.dydx.exchange import PLAIN

SCALED = replace(PLAIN, perpetual_id=0, tier=Tier(100_000, 500_000, 1_000, 2_000), open_interest=1_000)
LONE = replace(PLAIN, perpetual_id=9, isolated=True)
MARKETS = {0: SCALED, 1: replace(PLAIN, perpetual_id=1), 9: LONE, 10: replace(LONE, perpetual_id=10)}


def holding(usdc: int = 10_000, **sizes: int) -> Account:
    return Account({0: usdc}, {int(key[1:]): Position(size) for key, size in sizes.items()})


def test_apply_update__drops_what_is_zero_and_starts_at_the_index() -> None:
    markets = {0: replace(SCALED, funding_index=5), 1: MARKETS[1]}
    after = apply_update(holding(10, p1=3), Update({0: -10}, {0: 2, 1: -3}), markets)
    assert after == Account({}, {0: Position(2, funding_index=5)})


@pytest.mark.parametrize(
    ("sizes", "deltas", "change"),
    [((0, 0), (500, -500), 500), ((0, 500), (500, -500), 0), ((-100, 250), (300, -300), -50)],
)
def test_open_interest_deltas__change_of_all_longs(
    sizes: tuple[int, int], deltas: tuple[int, int], change: int
) -> None:
    changes = [(holding(p0=size), Update({}, {0: delta})) for size, delta in zip(sizes, deltas, strict=True)]
    assert open_interest_deltas(changes) == ({0: change} if change else {})


@pytest.mark.parametrize(
    "deltas",
    [[{0: 5}], [{0: 5}, {0: -4}], [{0: 5}, {0: 5}], [{0: 5}, {1: -5}], [{0: 5, 1: 1}, {0: -5, 1: -1}]],
)
def test_open_interest_deltas__refuses_what_is_no_match(deltas: list[dict[int, int]]) -> None:
    with pytest.raises(DydxError, match="match"):
        open_interest_deltas([(holding(), Update({}, delta)) for delta in deltas])


def test_trade__initial_margin_is_at_open_interest_after_the_match() -> None:
    # 500 more of open interest scale 10 % to 55 %: 275 of the 500 bought
    for usdc, allowed in ((275, True), (274, False)):
        state = State(MARKETS, {"a": holding(usdc), "b": holding()})
        if allowed:
            trade(state, 0, [("a", 500, -500), ("b", -500, 500)])
            assert state.markets[0].open_interest == 1_500
        else:
            before = copy.deepcopy(state)
            with pytest.raises(UpdateRefused) as refused:
                trade(state, 0, [("a", 500, -500), ("b", -500, 500)])
            assert refused.value.results == ("NewlyUndercollateralized", "Success")
            assert state == before


def test_trade__refuses_open_interest_below_zero() -> None:
    state = State(MARKETS, {"a": holding(p0=-5_000), "b": holding(p0=5_000)})
    with pytest.raises(DydxError, match="negative"):
        trade(state, 0, [("a", 5_000, -5_000), ("b", -5_000, 5_000)])


def test_update_accounts__a_match_of_other_kind_leaves_open_interest() -> None:
    state = State(dict(MARKETS), {"a": holding()})
    outcome = update_accounts(state, [("a", Update({0: -5}, {0: 5}))], is_match=False)
    assert (outcome.results, state.markets[0].open_interest) == ((UpdateResult.SUCCESS,), 1_000)


def test_update_accounts__refuses_two_updates_of_an_account() -> None:
    with pytest.raises(DydxError, match="more than one update"):
        update_accounts(State(MARKETS, {}), [("a", Update({}, {}))] * 2, is_match=False)


def test_update_accounts__settles_also_what_it_does_not_touch() -> None:
    markets = MARKETS | {1: replace(MARKETS[1], funding_index=1_000_000)}
    state = State(markets, {"a": holding(10_000, p1=7)})
    outcome = update_accounts(state, [("a", Update({0: 1}, {}))], is_match=False)
    assert outcome.payments == {"a": {1: 7}}
    assert state.accounts["a"] == Account({0: 9_994}, {1: Position(7, funding_index=1_000_000)})


ISOLATED = UpdateResult.VIOLATES_ISOLATED_SUBACCOUNT_CONSTRAINTS


@pytest.mark.parametrize(
    ("held", "deltas", "broken"),
    [
        ({}, {9: 1}, False),
        ({"p9": 5}, {9: 1}, False),
        ({"p9": 5}, {0: 1}, True),
        ({"p9": 5}, {10: 1}, True),
        ({"p9": 5}, {}, False),
        ({"p0": 5}, {9: 1}, True),
        ({"p0": 5}, {1: 1}, False),
        ({}, {0: 1, 9: 1}, True),
        ({}, {9: 1, 10: 1}, True),
        ({}, {0: 1, 1: 1}, False),
    ],
)
def test_update_results__isolated_markets_stand_alone(
    held: dict[str, int], deltas: dict[int, int], broken: bool
) -> None:
    [result] = update_results([(holding(**held), Update({}, deltas))], MARKETS, is_match=False)
    assert (result is ISOLATED) is broken


def test_update_accounts__isolated_collateral_changes_pools() -> None:
    state = State(dict(MARKETS), {"a": holding(1_000)})
    opened = update_accounts(state, [("a", Update({0: -100}, {9: 100}))], is_match=False)
    assert opened.transfers == (("cross", "isolated:9", 1_000),)
    more = update_accounts(state, [("a", Update({0: -100}, {9: 100}))], is_match=False)
    assert more.transfers == ()
    closed = update_accounts(state, [("a", Update({0: 150}, {9: -200}))], is_match=False)
    assert closed.transfers == (("isolated:9", "cross", 950),)


def test_update_accounts__refuses_to_open_isolated_on_debt() -> None:
    state = State(dict(MARKETS), {"a": holding(-10)})
    with pytest.raises(DydxError, match="can't change pools"):
        update_accounts(state, [("a", Update({0: 1_000}, {9: 100}))], is_match=False)
