"""The snapshot: against figures worked by hand, at the edges, and its laws."""

from __future__ import annotations

from math import inf, isnan, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.margin_now import Margin, margin_now
from pipeline.plan import Account, Position
from tests.cubes import plan_document, small_plan

PLAN = small_plan()


def margin_of(collateral: float, positions: list[tuple[str, float, float]]) -> Margin:
    account = Account(
        name="desk",
        collateral={"USDC": float(collateral)},
        positions=tuple(
            Position(market=f"{asset}-USD", size=float(size), entry=float(entry))
            for asset, size, entry in positions
        ),
    )
    return margin_now(PLAN.model_copy(update={"accounts": (account,)}))["desk"]


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
    margin = margin_of(2_400, [("BTC", 1, 60_000)])
    assert margin.openable(2)
    assert not margin.openable(2.001)


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
