"""The snapshot: against figures worked by hand, at the edges, and its laws."""

from __future__ import annotations

from math import inf, isnan, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.margin_now import Margin, margin_now, openable
from pipeline.plan import Account, Plan, Position, plan_from_document
from tests.cubes import plan_document, small_plan
from tests.pipeline.pool_books import BRACKETS, Document, document_of, tiered_venue

PLAN = small_plan()


def plan_of(collateral: float, positions: list[tuple[str, float, float]]) -> Plan:
    account = Account(
        name="desk",
        collateral={"USDC": float(collateral)},
        positions=tuple(
            Position(market=f"{asset}-USD", size=float(size), entry=float(entry))
            for asset, size, entry in positions
        ),
    )
    return PLAN.model_copy(update={"accounts": (account,)})


def margin_of(collateral: float, positions: list[tuple[str, float, float]]) -> Margin:
    return margin_now(plan_of(collateral, positions))["desk"]


def test_margin_now__worked_by_hand() -> None:
    margin = margin_now(PLAN)["basis"]
    # 4 x (60,000 - 59,000) and -70 x (3,000 - 3,100); notional 240,000 and -210,000
    assert margin.equity == 100_000 + 4_000 + 7_000
    assert margin.initial_margin == pytest.approx(0.02 * 450_000)
    assert margin.maintenance_margin == pytest.approx(0.012 * 450_000)
    assert margin.free_collateral == pytest.approx(111_000 - 9_000)
    assert margin.margin_ratio == pytest.approx(111_000 / 5_400)
    assert margin.gross_notional == 450_000
    assert margin.net_notional == 30_000
    assert margin.leverage == pytest.approx(450_000 / 111_000)
    assert margin.net_leverage == pytest.approx(30_000 / 111_000)
    assert margin.utilisation == pytest.approx(9_000 / 111_000)
    assert margin.concentration == pytest.approx(0.02 * 240_000 / 111_000)
    assert not margin.liquidatable


def test_margin_now__venue_documentation_example() -> None:
    # 10 BTC long at 60,000 and 200 ETH short at 3,000 on 13,400 of equity: maintenance 14,400
    margin = margin_of(13_400, [("BTC", 10, 60_000), ("ETH", -200, 3_000)])
    assert margin.maintenance_margin == pytest.approx(14_400)
    assert margin.liquidatable


def test_liquidatable__equity_equal_to_maintenance_stands() -> None:
    at = margin_of(720.0, [("BTC", 1, 60_000)])
    assert at.maintenance_margin == 720
    assert not at.liquidatable
    assert margin_of(nextafter(720.0, 0), [("BTC", 1, 60_000)]).liquidatable


def test_margin_now__account_without_positions() -> None:
    margin = margin_of(-500, [])
    assert not margin.liquidatable
    assert isnan(margin.margin_ratio)
    assert (margin.leverage, margin.utilisation, margin.concentration) == (0, 0, 0)


def test_margin_now__no_equity_carries_infinite_leverage() -> None:
    margin = margin_of(1_000, [("ETH", -10, 2_000)])
    assert margin.equity == -9_000
    assert margin.liquidatable
    assert (margin.leverage, margin.utilisation, margin.concentration) == (inf, inf, inf)
    assert margin.net_leverage == -inf


def test_openable__needs_initial_margin_at_the_multiple() -> None:
    plan = plan_of(2_400, [("BTC", 1, 60_000)])
    assert openable(plan, plan.accounts[0], 2)
    assert not openable(plan, plan.accounts[0], 2.001)


def tiered_plan(*accounts: Document, haircuts: dict[str, float] | None = None) -> Plan:
    """One market, BTC-PERP, at 60,000; brackets as in `BRACKETS`."""
    venue = tiered_venue({"BTC-PERP": {"asset": "BTC", "brackets": BRACKETS}}, haircuts)
    return plan_from_document(document_of(venue, {"BTC": 60_000.0}, *accounts))


def test_openable__steps_from_bracket_to_bracket() -> None:
    # notional 480,000 over 50; at twice the size 960,000 over 10
    account = {
        "name": "desk",
        "collateral": {"USD": 95_999},
        "positions": [{"market": "BTC-PERP", "size": 8, "entry": 60_000}],
    }
    plan = tiered_plan(account)
    assert margin_now(plan)["desk"].initial_margin == pytest.approx(9_600)
    assert openable(plan, plan.accounts[0], 1.04)
    assert not openable(plan, plan.accounts[0], 2)
    enough = tiered_plan(account | {"collateral": {"USD": 96_000}})
    assert openable(enough, enough.accounts[0], 2)


def test_openable__every_pool_must_be() -> None:
    account = {
        "name": "desk",
        "margin": "isolated",
        "position_mode": "hedge",
        "positions": [
            {"market": "BTC-PERP", "size": 1, "entry": 60_000, "collateral": 1_200},
            {"market": "BTC-PERP", "size": -1, "entry": 60_000, "collateral": 1e6},
        ],
    }
    plan = tiered_plan(account)
    assert openable(plan, plan.accounts[0], 1)
    assert not openable(plan, plan.accounts[0], 1.001)


def test_margin_now__brackets_worked_by_hand() -> None:
    (margin,) = margin_now(
        tiered_plan(
            {
                "name": "desk",
                "collateral": {"USD": 50_000},
                "positions": [{"market": "BTC-PERP", "size": -10, "entry": 61_000, "leverage": 5}],
            }
        )
    ).values()
    # 600,000 lies in the last bracket: 0.05 x 600,000 - 20,300, and 600,000 / 5
    assert margin.equity == 60_000
    assert margin.maintenance_margin == pytest.approx(9_700)
    assert margin.initial_margin == pytest.approx(120_000)
    assert margin.called
    assert not margin.liquidatable


def test_margin_now__haircuts_count_against_margin_and_not_against_bankruptcy() -> None:
    account: Document = {
        "name": "desk",
        "collateral": {"BTC": 1, "USD": 1_000},
        "positions": [{"market": "BTC-PERP", "size": 1, "entry": 120_000}],
    }
    haircuts = {"BTC": 0.1}
    # 60,000 less 6,000, 1,000, and a loss of 60,000
    margin = margin_now(tiered_plan(account, haircuts=haircuts))["desk"]
    assert margin.equity == -5_000
    assert margin.pools[0].full_equity == 1_000
    assert (margin.liquidatable, margin.bankrupt) == (True, False)
    assert margin.net_notional == 60_000  # of positions only
    account["collateral"]["USD"] = -1
    assert margin_now(tiered_plan(account, haircuts=haircuts))["desk"].bankrupt
    # coins owed are owed in full
    account["collateral"] = {"BTC": -1, "USD": 200_000}
    assert margin_now(tiered_plan(account, haircuts=haircuts))["desk"].equity == 80_000


def test_margin_now__pools_stand_and_fall_by_themselves() -> None:
    account: Document = {
        "name": "desk",
        "margin": "mixed",
        "position_mode": "hedge",
        "collateral": {"USD": 500_000},
        "positions": [
            {"market": "BTC-PERP", "size": 2, "entry": 60_000, "margin": "isolated", "collateral": 899},
            {"market": "BTC-PERP", "size": 2, "entry": 60_000},
            {"market": "BTC-PERP", "size": -2, "entry": 60_000, "margin": "isolated", "collateral": 1_800},
        ],
    }
    margin = margin_now(tiered_plan(account))["desk"]
    assert [pool.name for pool in margin.pools] == ["cross", "BTC-PERP long", "BTC-PERP short"]
    # each of them 120,000: 0.01 x 120,000 - 300
    assert [pool.maintenance_margin for pool in margin.pools] == pytest.approx([900, 900, 900])
    assert [pool.liquidatable for pool in margin.pools] == [False, True, False]
    assert margin.liquidatable
    assert margin.margin_ratio == pytest.approx(899 / 900)
    assert margin.equity == 502_699
    assert margin.maintenance_margin == pytest.approx(2_700)
    assert margin.free_collateral == pytest.approx(502_699 - 3 * 2_400)
    assert (margin.gross_notional, margin.net_notional) == (360_000, 120_000)
    assert not margin.bankrupt
    account["positions"][0]["collateral"] = -1
    assert margin_now(tiered_plan(account))["desk"].bankrupt


def test_margin_now__account_on_a_venue_of_its_own() -> None:
    account = {"name": "desk", "collateral": {"USDC": 720}, "positions": []}
    account["positions"] = [{"market": "BTC-USD", "size": 1, "entry": 60_000}]
    other = tiered_venue({"BTC-USD": {"asset": "BTC", "brackets": BRACKETS}}) | {"quote": "USDC"}
    document = plan_document() | {
        "venues": {"other": other},
        "accounts": [account, account | {"name": "elsewhere", "venue": "other"}],
    }
    margins = margin_now(plan_from_document(document))
    assert margins["desk"].maintenance_margin == pytest.approx(720)
    assert margins["elsewhere"].maintenance_margin == pytest.approx(300)


def test_margin_now__accounts_in_the_order_of_the_plan() -> None:
    names = [account["name"] for account in plan_document()["accounts"]]
    assert list(margin_now(PLAN)) == names


sizes = st.floats(-1_000, 1_000).map(lambda size: round(size, 3))
books = st.lists(st.tuples(st.sampled_from(["BTC", "ETH"]), sizes, st.floats(100, 100_000)), max_size=6)


@given(st.floats(-1e6, 1e6), books, st.randoms())
def test_margin_now__order_of_positions_changes_nothing(collateral, positions, random) -> None:
    shuffled = random.sample(positions, len(positions))
    assert str(margin_of(collateral, shuffled)) == str(margin_of(collateral, positions))


@given(st.floats(-1e6, 1e6), books, st.floats(0, 1e6))
def test_margin_now__more_collateral_never_makes_liquidatable(collateral, positions, added) -> None:
    before, after = margin_of(collateral, positions), margin_of(collateral + added, positions)
    assert after.liquidatable <= before.liquidatable
    assert after.maintenance_margin == before.maintenance_margin
