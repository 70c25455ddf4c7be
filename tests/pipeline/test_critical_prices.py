"""Liquidation and bankruptcy prices of a pool by hand: brackets, both directions, coins, hedged legs."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.critical_prices import bankruptcy_prices, liquidation_moves
from pipeline.plan import plan_from_document
from pipeline.pools import Pool, pools_of
from tests.pipeline.pool_books import BRACKETS, document_of, tiered_venue

MARK = 60_000.0


def pool_of(
    collateral: dict[str, float],
    *legs: tuple[float, float],
    mark: float = MARK,
    brackets: list[dict[str, Any]] = BRACKETS,
    haircut: float = 0.0,
    multiple: float = 1.0,
) -> tuple[Pool, dict[str, float]]:
    """A cross pool of legs (size, entry) in one market on BTC, and the prices it stands at."""
    account = {
        "name": "desk",
        "position_mode": "hedge",
        "collateral": collateral,
        "positions": [{"market": "BTC-PERP", "size": size, "entry": entry} for size, entry in legs],
    }
    venue = tiered_venue({"BTC-PERP": {"asset": "BTC", "brackets": brackets}}, {"BTC": haircut})
    plan = plan_from_document(document_of(venue, {"BTC": mark}, account))
    (pool,) = pools_of(plan, plan.accounts[0], multiple)
    return pool, plan.prices


def liquidation_prices(pool: Pool, prices: dict[str, float]) -> dict[str, float]:
    return {asset: prices[asset] + move for asset, move in liquidation_moves(pool, prices).items()}


def test_liquidation_moves__in_the_bracket_it_stands_in() -> None:
    # 10,000 + 2 (p - 60,000) = 0.01 x 2 p - 300
    found = liquidation_prices(*pool_of({"USD": 10_000}, (2, MARK)))
    assert found == {"BTC": pytest.approx(109_700 / 1.98, rel=1e-14)}


def test_liquidation_moves__fall_into_a_lower_bracket() -> None:
    # below 25,000 the rate is 0.004: 80,000 + 2 (p - 60,000) = 0.004 x 2 p
    found = liquidation_prices(*pool_of({"USD": 80_000}, (2, MARK)))
    assert found == {"BTC": pytest.approx(40_000 / 1.992, rel=1e-14)}


def test_liquidation_moves__short_rises_into_a_higher_bracket() -> None:
    # above 100,000 the rate is 0.05: 250,000 - 5 (p - 60,000) = 0.05 x 5 p - 20,300
    found = liquidation_prices(*pool_of({"USD": 250_000}, (-5, MARK)))
    assert found == {"BTC": pytest.approx(570_300 / 5.25, rel=1e-14)}


def test_liquidation_moves__exactly_where_a_bracket_ends() -> None:
    # at 25,000 notional is 50,000 and maintenance margin 200: 70,200 - 2 x 35,000
    found = liquidation_prices(*pool_of({"USD": 70_200}, (2, MARK)))
    assert found == {"BTC": pytest.approx(25_000, rel=1e-14)}


@pytest.mark.parametrize(("size", "price"), [(2, 45_000 / 1.992), (-2, 55_300 / 2.02)])
def test_liquidation_moves__from_where_a_bracket_ends(size: float, price: float) -> None:
    # 5,000 + 2 (p - 25,000) = 0.004 x 2 p; 5,000 - 2 (p - 25,000) = 0.01 x 2 p - 300
    found = liquidation_prices(*pool_of({"USD": 5_000}, (size, 25_000), mark=25_000))
    assert found == {"BTC": pytest.approx(price, rel=1e-14)}


def test_liquidation_moves__hedged_legs_are_charged_each() -> None:
    # nothing is gained or lost, but margin rises: 4,000 = 2 (0.01 x 3 p - 300)
    found = liquidation_prices(*pool_of({"USD": 4_000}, (3, MARK), (-3, MARK)))
    assert found == {"BTC": pytest.approx(4_600 / 0.06, rel=1e-14)}


STEEP = [
    {"up_to": 500_000.0, "maintenance_margin": 0.004, "max_leverage": 100.0},
    {"maintenance_margin": 0.05, "max_leverage": 10.0},
]


@pytest.mark.parametrize(
    ("cash", "mark", "price"),
    [
        # E - MM rises by 0.1 - 0.0796 a dollar below 50,000, where the long leaves its first bracket; it
        # falls by 0.4396 above, and by 0.895 from 500,000 / 9.9 on
        (4_000, 45_000, 500_000 / 9.9 + (520 - (500_000 / 9.9 - 50_000) * 0.4396) / 0.895),
        (3_600, 45_000, 45_000 - 18 / 0.0204),
        # liquidatable: the way back up, and the way back down
        (3_500, 45_000, 45_000 + 82 / 0.0204),
        (13_000, 60_000, 60_000 - 700 / 0.895),
    ],
)
def test_liquidation_moves__nearest_of_the_two_sides(cash: float, mark: float, price: float) -> None:
    found = liquidation_prices(*pool_of({"USD": cash}, (10, mark), (-9.9, mark), mark=mark, brackets=STEEP))
    assert found == {"BTC": pytest.approx(price, rel=1e-12)}


def test_liquidation_moves__coin_behind_a_short_is_lost_with_its_fall() -> None:
    # 1 BTC, and half of a short from 20,000 at 61,000: E = 20,000 + (p - 61,000) / 2 and MM = 0.012 x p / 2
    flat = [{"maintenance_margin": 0.012, "max_leverage": 50.0}]
    pool = pool_of({"BTC": 1}, (-1, 20_000), mark=61_000, brackets=flat, multiple=0.5)
    assert liquidation_prices(*pool) == {"BTC": pytest.approx(10_500 / 0.494, rel=1e-14)}
    # at its full size a short covers the coin: E = 20,000 whatever the price, MM = 0.012 p
    pool = pool_of({"BTC": 1}, (-1, 20_000), mark=61_000, brackets=flat)
    assert liquidation_prices(*pool) == {"BTC": pytest.approx(20_000 / 0.012, rel=1e-14)}


def test_liquidation_moves__haircut_takes_cover_away() -> None:
    # E = -20,000 + 0.9 p - (p - 60,000), MM = 0.01 p - 300
    found = liquidation_prices(*pool_of({"USD": -20_000, "BTC": 1}, (-1, MARK), haircut=0.1))
    assert found == {"BTC": pytest.approx(40_300 / 0.11, rel=1e-14)}
    # coins owed have none: E = 70,000 - p + (p - 60,000), MM = 0.01 p - 300, above 500,000 0.05 p - 20,300
    found = liquidation_prices(*pool_of({"USD": 70_000, "BTC": -1}, (1, MARK), haircut=0.1))
    assert found == {"BTC": pytest.approx(30_300 / 0.05, rel=1e-14)}


def test_liquidation_moves__several_markets_on_one_asset_move_together() -> None:
    markets = {name: {"asset": "BTC", "brackets": BRACKETS} for name in ("BTC-PERP", "BTC-QUARTER")}
    account = {
        "name": "desk",
        "collateral": {"USD": 15_000},
        "positions": [
            {"market": "BTC-PERP", "size": 2, "entry": MARK},
            {"market": "BTC-QUARTER", "size": -1, "entry": MARK},
        ],
    }
    plan = plan_from_document(document_of(tiered_venue(markets), {"BTC": MARK}, account))
    (pool,) = pools_of(plan, plan.accounts[0])
    # 15,000 + (p - 60,000) = 0.01 x 2 p - 300 + 0.004 p, the short's notional below 50,000
    wanted = pytest.approx(44_700 / 0.976, rel=1e-14)
    assert liquidation_prices(pool, plan.prices) == {"BTC": wanted}


def test_liquidation_moves__none_where_margin_is_never_required() -> None:
    never = [{"maintenance_margin": 0.0, "max_leverage": 50.0}]
    assert liquidation_prices(*pool_of({"USD": -1_000}, (-1, MARK), brackets=never)) == {}
    assert liquidation_prices(*pool_of({"USD": -1_000})) == {}


def test_bankruptcy_prices__equity_without_haircuts_is_zero() -> None:
    assert bankruptcy_prices(*pool_of({"USD": 10_000}, (2, MARK))) == {"BTC": pytest.approx(55_000)}
    assert bankruptcy_prices(*pool_of({"USD": 10_000}, (-2, MARK))) == {"BTC": pytest.approx(65_000)}
    # bankrupt: the price that would mend it
    assert bankruptcy_prices(*pool_of({"USD": -10_000}, (2, MARK))) == {"BTC": pytest.approx(65_000)}
    # 10,000 + p + (p - 60,000), whatever the haircut
    coins = pool_of({"USD": 10_000, "BTC": 1}, (1, MARK), haircut=0.3)
    assert bankruptcy_prices(*coins) == {"BTC": pytest.approx(25_000)}


def test_bankruptcy_prices__none_where_equity_lasts() -> None:
    assert bankruptcy_prices(*pool_of({"USD": 120_000}, (2, MARK))) == {}
    assert bankruptcy_prices(*pool_of({"USD": 10_000}, (2, MARK), (-2, MARK))) == {}
