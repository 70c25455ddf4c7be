"""The snapshot by position: published and worked figures, the edges, its laws, and the chain's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import sqrt
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.dydx import account as chain
from pipeline.dydx.market import Market
from pipeline.dydx.prices import bankruptcy_quote, fillable_price, liquidation_price
from pipeline.dydx.risk import account_risk
from pipeline.dydx.tier import Tier
from pipeline.margin_snapshot import AccountMargin, PositionMargin, daily_deviations, margin_snapshot
from pipeline.model import model_from_document
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document
from tests.pipeline.dydx.exchange import MAINNET
from tests.pipeline.pool_books import BRACKETS, Document, tiered_venue

USDC = 10**6  # quote quantums


def plan_of(equity: float, positions: Sequence[tuple[float, float, float]]) -> Plan:
    """One account; each position a market and asset of its own: size, mark, maintenance fraction."""
    assets = [f"A{i}" for i in range(len(positions))]
    document: dict[str, Any] = small_document() | {
        "prices": {asset: mark for asset, (_, mark, _) in zip(assets, positions, strict=True)},
        "model": {
            "step": "1h",
            "assets": assets,
            "regimes": {
                "only": {
                    "volatility": dict.fromkeys(assets, 0.5),
                    "correlation": [[float(i == j) for j in assets] for i in assets],
                }
            },
        },
        "scenarios": ["baseline"],
        "accounts": [
            {
                "name": "desk",
                "collateral": {"USDC": equity},
                "positions": [
                    {"market": asset, "size": size, "entry": mark}
                    for asset, (size, mark, _) in zip(assets, positions, strict=True)
                ],
            }
        ],
        "limits": [],
    }
    document["venue"]["markets"] = {
        asset: {"asset": asset, "initial_margin": 1.0, "maintenance_margin": fraction}
        for asset, (_, _, fraction) in zip(assets, positions, strict=True)
    }
    return plan_from_document(document)


def account_of(equity: float, *positions: tuple[float, float, float]) -> AccountMargin:
    return margin_snapshot(plan_of(equity, positions))[0]


def first_of(equity: float, *positions: tuple[float, float, float]) -> PositionMargin:
    return account_of(equity, *positions).positions[0]


def test_margin_snapshot__two_sided_book_worked_by_hand() -> None:
    account = account_of(13_400, (10, 60_000, 0.012), (-200, 3_000, 0.012))
    btc, eth = account.positions
    assert account.margin.maintenance_margin == pytest.approx(14_400, rel=1e-15)
    assert account.margin.liquidatable
    assert not account.margin.bankrupt
    assert (btc.notional, eth.notional) == (600_000, -600_000)
    assert (btc.mark, eth.mark) == (60_000, 3_000)
    assert btc.maintenance_margin == eth.maintenance_margin == 7_200
    assert btc.liquidation_price == pytest.approx(60_101.2146, abs=5e-5)
    # (13,400 + 600,000 - 7,200) / (200 x 1.012): the short, too, is past it
    assert eth.liquidation_price == pytest.approx(606_200 / 202.4, rel=1e-12)
    assert btc.distance_percent == pytest.approx(-100 * 1_000 / 592_800, rel=1e-9)
    assert btc.fillable_price == pytest.approx(59_925.00, abs=1e-8)
    assert eth.fillable_price == pytest.approx(3_003.75, abs=1e-9)
    assert btc.bankruptcy_price == pytest.approx(59_330.00, abs=1e-8)
    assert eth.bankruptcy_price == pytest.approx(3_033.50, abs=1e-9)


def test_margin_snapshot__maintenance_of_the_others_counts() -> None:
    position = first_of(5, (1, 100, 0.004), (1, 40, 0.1))
    assert position.liquidation_price == pytest.approx(99 / 0.996, rel=1e-14)
    assert position.liquidation_price == pytest.approx(99.3976, abs=5e-5)
    assert position.distance_percent == pytest.approx(100 - 99.3976, abs=5e-5)


def test_margin_snapshot__prices_of_the_venues_documentation() -> None:
    # one short ETH alone, and one beside 1,000 STRK
    assert first_of(1_000, (-3, 3_000, 0.05)).liquidation_price == pytest.approx(3_174.60, abs=0.005)
    cross = first_of(1_000, (-1.5, 3_000, 0.05), (1_000, 1.75, 0.1))
    assert cross.liquidation_price == pytest.approx(3_380.95, abs=0.005)
    # 100 USDC behind a short of 500 from 1, now at 2: closed at 1.2
    assert first_of(600 - 1_000, (-500, 2, 0.03)).bankruptcy_price == pytest.approx(1.2, rel=1e-14)


def test_margin_snapshot__long_that_equity_carries_to_zero_has_no_liquidation_price() -> None:
    position = first_of(60_000, (1, 60_000, 0.012))
    assert (position.liquidation_price, position.distance_percent, position.distance_daily_sd) == (None,) * 3
    # its whole equity is behind it: closed for nothing it would still leave some
    assert first_of(60_001, (1, 60_000, 0.012)).bankruptcy_price is None
    assert first_of(59_999, (1, 60_000, 0.012)).bankruptcy_price == pytest.approx(1, rel=1e-9)
    nearly = first_of(59_999, (1, 60_000, 0.012))
    assert nearly.liquidation_price == pytest.approx(1 / 0.988, rel=1e-9)


def test_margin_snapshot__short_that_no_fall_can_mend_has_no_liquidation_price() -> None:
    account = account_of(-3_100, (-1, 3_000, 0.05), (1, 60_000, 0.012))
    short, long = account.positions
    assert account.margin.liquidatable
    assert account.margin.bankrupt
    assert (short.liquidation_price, short.distance_percent) == (None, None)
    assert long.liquidation_price == pytest.approx((60_000 + 3_100 + 150) / 0.988, rel=1e-12)
    assert long.distance_percent is not None
    assert long.distance_percent < 0


def test_margin_snapshot__fillable_only_below_maintenance() -> None:
    assert first_of(720, (1, 60_000, 0.012)).fillable_price is None  # E == MM stands
    assert first_of(719.28, (1, 60_000, 0.012)).fillable_price == pytest.approx(
        60_000 * (1 - 0.001 * 0.018), rel=1e-12
    )
    # no wider than the spread, however deep under water
    assert first_of(-1e6, (1, 60_000, 0.012)).fillable_price == pytest.approx(60_000 * (1 - 0.018), rel=1e-14)
    assert first_of(-1e6, (-1, 60_000, 0.012)).fillable_price == pytest.approx(
        60_000 * (1 + 0.018), rel=1e-14
    )


def test_margin_snapshot__without_maintenance_nothing_is_liquidated() -> None:
    position = first_of(-10, (1, 100, 0.0))
    assert (position.liquidation_price, position.bankruptcy_price, position.fillable_price) == (None,) * 3


def test_margin_snapshot__position_without_maintenance_beside_one_with() -> None:
    free, charged = account_of(2, (1, 100, 0.0), (1, 100, 0.05)).positions
    assert free.liquidation_price == pytest.approx(103, rel=1e-14)
    assert free.bankruptcy_price == 100  # it carries no share of equity
    assert charged.bankruptcy_price == pytest.approx(98, rel=1e-14)


@pytest.mark.parametrize("position", [(0, 100, 0.05), (1, 100, 1.0)])
def test_margin_snapshot__mark_that_changes_no_excess(position: tuple[float, float, float]) -> None:
    moved = first_of(2, position, (1, 100, 0.05))
    assert (moved.liquidation_price, moved.distance_percent) == (None, None)


def test_margin_snapshot__position_of_no_size_has_no_prices() -> None:
    none, held = account_of(2, (0, 100, 0.05), (1, 100, 0.05)).positions
    assert (none.bankruptcy_price, none.fillable_price) == (None, None)
    assert held.fillable_price is not None


def test_bankrupt__only_below_zero() -> None:
    assert not account_of(0, (1, 100, 0.05)).margin.bankrupt
    assert account_of(-1e-9, (1, 100, 0.05)).margin.bankrupt


def test_margin_snapshot__tiny_positions_are_undefined_rather_than_infinite() -> None:
    for size in (1e-320, -1e-320):
        position = first_of(1e6, (size, 100, 0.05), (1, 100, 0.05))
        assert position.liquidation_price is None


def test_margin_snapshot__accounts_and_positions_in_the_order_of_the_plan() -> None:
    accounts = margin_snapshot(plan_from_document(small_document()))
    assert [account.name for account in accounts] == ["basis", "directional"]
    assert [position.market for position in accounts[0].positions] == ["BTC-USD", "ETH-USD"]


def test_daily_deviations__variances_weigh_by_the_initial_law() -> None:
    document = small_document()["model"]
    stationary = daily_deviations(model_from_document(document))
    assert stationary["BTC"] == pytest.approx(sqrt((8 * 0.45**2 + 1.3**2) / 9 / 365), rel=1e-9)
    calm = daily_deviations(model_from_document(document | {"initial": "calm"}))
    assert calm == {
        "BTC": pytest.approx(0.45 / sqrt(365), rel=1e-14),
        "ETH": pytest.approx(0.6 / sqrt(365), rel=1e-14),
    }


def test_margin_snapshot__distance_in_daily_deviations() -> None:
    position = first_of(5_000, (1, 60_000, 0.012))
    assert position.distance_percent == pytest.approx(100 * 4_280 / 59_280, rel=1e-12)
    assert position.distance_daily_sd == pytest.approx(4_280 / 59_280 / (0.5 / sqrt(365)), rel=1e-12)


def test_margin_snapshot__asset_that_does_not_move_has_no_distance_in_deviations() -> None:
    document = small_document()
    for regime in document["model"]["regimes"].values():
        regime["volatility"]["BTC"] = 0
    position = margin_snapshot(plan_from_document(document))[1].positions[0]
    assert position.distance_percent is not None
    assert position.distance_daily_sd is None


def test_document__keys_and_nulls() -> None:
    account = account_of(-1, (-1, 100, 0.05))
    document = account.document()
    assert list(document) == [
        *("name", "equity", "initial_margin", "maintenance_margin", "free_collateral", "margin_ratio"),
        *("leverage", "liquidatable", "bankrupt", "venue", "group", "fee_tier", "margin", "taker_fee"),
        *("pools", "positions", "caps"),
    ]
    assert document["leverage"] is None  # no equity to carry it
    assert document["margin_ratio"] == pytest.approx(-0.2)
    assert (document["liquidatable"], document["bankrupt"]) == (True, True)
    assert list(document["positions"][0]) == [
        *("market", "pool", "size", "mark", "notional", "initial_margin", "maintenance_margin"),
        *("liquidation_price", "distance_percent", "distance_daily_sd"),
        *("bankruptcy_price", "fillable_price"),
    ]
    (pool,) = document["pools"]
    assert list(pool) == [
        *("name", "equity", "initial_margin", "maintenance_margin", "free_collateral", "margin_ratio"),
        *("liquidatable", "bankrupt"),
    ]
    assert (pool["name"], document["positions"][0]["pool"]) == ("cross", "cross")


def test_document__account_without_positions_has_no_margin_ratio() -> None:
    plan = plan_of(-1, [(1, 100, 0.05)])
    emptied = plan.accounts[0].model_copy(update={"positions": ()})
    figures = {
        **{"equity": -1.0, "initial_margin": 0.0, "maintenance_margin": 0.0, "free_collateral": -1.0},
        **{"margin_ratio": None, "liquidatable": False, "bankrupt": True},
    }
    assert margin_snapshot(plan.model_copy(update={"accounts": (emptied,)}))[0].document() == {
        **{"name": "desk", **figures, "leverage": 0.0, "venue": "inline", "group": None, "fee_tier": None},
        **{"margin": "cross", "taker_fee": 0.0005, "pools": [{"name": "cross", **figures}], "positions": []},
        "caps": [],
    }


def mixed_account(*positions: Document) -> Document:
    """On a tiered venue beside the plan's own; the cross pool holds 1 BTC, of which 10 % don't count."""
    return {
        "name": "mixed",
        "margin": "mixed",
        "position_mode": "hedge",
        "venue": "tiers",
        "fee_tier": "vip",
        "group": "basis",
        "collateral": {"BTC": 1, "USD": 1_000},
        "positions": [{"market": "BTC-PERP", "entry": 60_000, **position} for position in positions],
    }


def mixed_plan(*positions: Document) -> Plan:
    """The small plan, and the mixed account as its last."""
    venue = tiered_venue({"BTC-PERP": {"asset": "BTC", "brackets": BRACKETS}}, {"BTC": 0.1})
    venue["fee_tiers"] = {"vip": {"taker": 0.0003, "maker": -0.0001}}
    document = small_document()
    return plan_from_document(
        document
        | {
            "venues": {"tiers": venue},
            "prices": {"BTC": 60_000, "ETH": 3_000},
            "accounts": [*document["accounts"], mixed_account(*positions)],
        }
    )


def test_margin_snapshot__pools_of_a_mixed_account_worked_by_hand() -> None:
    account = margin_snapshot(
        mixed_plan(
            {"size": 2, "margin": "isolated", "collateral": 10_000},
            {"size": 1, "leverage": 4},
            {"size": -1, "margin": "isolated", "collateral": 100},
        )
    )[-1]
    document = account.document()
    keys = ("venue", "group", "fee_tier", "margin", "taker_fee")
    assert [document[key] for key in keys] == ["tiers", "basis", "vip", "mixed", 0.0003]
    long, shared, short = account.positions
    # in the order of the plan, each in its own pool
    assert [position.pool for position in account.positions] == ["BTC-PERP long", "cross", "BTC-PERP short"]
    assert (long.size, shared.size, short.size) == (2, 1, -1)
    # 10,000 + 2 (p - 60,000) = 0.01 x 2 p - 300
    assert long.liquidation_price == pytest.approx(109_700 / 1.98)
    assert long.bankruptcy_price == pytest.approx(55_000)
    # 1,000 + 0.9 p + (p - 60,000) = 0.004 p, notional below 50,000
    assert shared.liquidation_price == pytest.approx(59_000 / 1.896)
    assert shared.bankruptcy_price == pytest.approx(59_000 / 2)
    assert (shared.initial_margin, shared.maintenance_margin) == pytest.approx((15_000, 300))
    # 100 behind 300: 100 - (p - 60,000) = 0.01 p - 300
    assert short.liquidation_price == pytest.approx(60_400 / 1.01)
    assert short.distance_percent == pytest.approx(100 * (60_400 / 1.01 / 60_000 - 1))
    assert short.bankruptcy_price == pytest.approx(60_100)
    assert [pool["liquidatable"] for pool in document["pools"]] == [False, False, True]
    assert document["liquidatable"]
    assert document["margin_ratio"] == pytest.approx(100 / 300)
    assert {position.fillable_price for position in account.positions} == {None}


def test_margin_snapshot__long_in_a_pool_that_is_short_is_liquidated_by_a_rise() -> None:
    # 1,000 + 0.9 p + (1 - 3) (p - 60,000): above 500,000 / 3 the short is in the last bracket
    account = margin_snapshot(mixed_plan({"size": 1}, {"size": -3}))[-1]
    long, short = account.positions
    # 121,000 - 1.1 p = 0.01 x 4 p - 600
    assert long.liquidation_price == short.liquidation_price == pytest.approx(121_600 / 1.14)
    assert long.distance_percent == short.distance_percent == pytest.approx(100 * (12_160 / 11.4 / 600 - 1))
    assert long.distance_percent > 0
    assert long.distance_daily_sd is not None
    assert long.distance_daily_sd > 0


marks = st.floats(1e-3, 1e5)
sizes = st.floats(1e-3, 1e4).flatmap(lambda size: st.sampled_from((size, -size)))
fractions = st.sampled_from((0.004, 0.012, 0.03, 0.05, 0.2))
books = st.lists(st.tuples(sizes, marks, fractions), min_size=1, max_size=4)


def equity_of(positions: Sequence[tuple[float, float, float]], ratio: float) -> float:
    return ratio * sum(abs(size) * mark * fraction for size, mark, fraction in positions)


def scale_of(equity: float, positions: Sequence[tuple[float, float, float]]) -> float:
    """What equity and maintenance are sums of: rounding is in proportion to it."""
    return abs(equity) + sum(abs(size) * mark for size, mark, _ in positions)


def marked(plan: Plan, asset: str, mark: float) -> AccountMargin:
    prices: Mapping[str, float] = {**plan.prices, asset: mark}
    return margin_snapshot(plan.model_copy(update={"prices": prices}))[0]


@given(books, st.floats(-3, 20))
def test_margin_snapshot__at_the_liquidation_price_equity_is_maintenance(positions, ratio) -> None:
    equity = equity_of(positions, ratio)
    plan = plan_of(equity, positions)
    for position in margin_snapshot(plan)[0].positions:
        price = position.liquidation_price
        if price is None:
            continue
        margin = marked(plan, position.market, price).margin
        scale = scale_of(equity, positions) + abs(position.size) * price
        assert abs(margin.equity - margin.maintenance_margin) <= 1e-12 * scale
        # a hair is what moves the sums by ten times their rounding
        hair = 1e-11 * scale / (abs(position.size) * (1 - 0.2)) + 1e-12 * price
        assume(hair < price)
        adverse = -hair if position.size > 0 else hair
        assert marked(plan, position.market, price + adverse).margin.liquidatable
        assert not marked(plan, position.market, price - adverse).margin.liquidatable


@given(books, st.floats(-3, 20))
def test_margin_snapshot__distance_has_the_sign_of_what_is_left(positions, ratio) -> None:
    account = account_of(equity_of(positions, ratio), *positions)
    for position in account.positions:
        if position.distance_percent is not None:
            assert (position.distance_percent < 0) == account.margin.liquidatable
            assert position.distance_daily_sd is not None
            assert (position.distance_daily_sd < 0) == account.margin.liquidatable


@given(books, st.floats(-3, 20))
def test_margin_snapshot__undefined_where_no_positive_price_flips_it(positions, ratio) -> None:
    equity = equity_of(positions, ratio)
    plan = plan_of(equity, positions)
    account = margin_snapshot(plan)[0]
    for position in account.positions:
        if position.liquidation_price is None:
            far = 1e-9 * position.mark
            margin = marked(plan, position.market, far).margin
            excess = margin.equity - margin.maintenance_margin
            rounding = 2e-9 * scale_of(equity, positions)
            # the end of its range that is best for a short, worst for a long
            assert excess <= rounding if position.size < 0 else excess >= -rounding


# sizes in base quantums (positive or negative), prices in the chain's integers, tiers of the venue
GRIDS = ((-10, -5), (-9, -6), (-7, -8), (-6, -9))
TIERS = (Tier(20_000, 600_000), Tier(50_000, 600_000), Tier(100_000, 500_000), Tier(10_000, 500_000))
exact_positions = st.tuples(
    st.integers(10**6, 10**12).flatmap(lambda size: st.sampled_from((size, -size))),
    st.integers(10**7, 10**10),
    st.sampled_from(GRIDS),
    st.sampled_from(TIERS),
)


@given(st.lists(exact_positions, min_size=1, max_size=3), st.fractions(-2, 3, max_denominator=1_000))
def test_margin_snapshot__agrees_with_the_chains_integers(positions, ratio) -> None:
    markets = {
        i: Market(i, grid[0], price, grid[1], tier) for i, (_, price, grid, tier) in enumerate(positions)
    }
    held = {i: chain.Position(size) for i, (size, *_) in enumerate(positions)}
    bare = account_risk(chain.Account({0: 0}, held), markets)
    assume(bare.maintenance_margin > 100)
    usdc = int(ratio * bare.maintenance_margin) - bare.equity
    exact_account = chain.Account({0: usdc}, held)
    risk = account_risk(exact_account, markets)

    coins = [Fraction(size) * Fraction(10) ** grid[0] for size, _, grid, _ in positions]
    oracle = [Fraction(price) * Fraction(10) ** grid[1] for _, price, grid, _ in positions]
    fraction = [
        Fraction(tier.initial_margin_ppm * tier.maintenance_fraction_ppm, 10**12) for *_, tier in positions
    ]
    equity = Fraction(usdc, USDC) + sum(s * p for s, p in zip(coins, oracle, strict=True))
    account = account_of(
        float(equity), *zip(map(float, coins), map(float, oracle), map(float, fraction), strict=True)
    )

    # float64's own error, in quote quantums; the rest is the chain's rounding of N and M per position
    count = len(positions)
    gross = sum(abs(s) * p for s, p in zip(coins, oracle, strict=True))
    own = 1e-14 * float(gross + abs(equity)) * USDC
    assert abs(account.margin.equity * USDC - risk.equity) < count + own
    assert abs(account.margin.maintenance_margin * USDC - risk.maintenance_margin) < 2 * count + 1 + own
    if abs(risk.equity - risk.maintenance_margin) > 3 * count + 1 + own:
        assert account.margin.liquidatable == risk.is_liquidatable

    # shares of equity by maintenance: an error in M is magnified by E / M, here at most 3
    off = (1 + 3) * (3 * count + 4) + 4 * own
    requirements = [abs(s) * p * m for s, p, m in zip(coins, oracle, fraction, strict=True)]
    for i, position in enumerate(account.positions):
        size = positions[i][0]
        exact = liquidation_price(
            equity, coins[i], oracle[i], fraction[i], sum(requirements) - requirements[i]
        )
        slack = 1e-13 * float((gross + abs(equity)) / abs(coins[i]) + oracle[i])
        assert abs((position.liquidation_price or 0.0) - float(exact or 0)) <= slack

        brought = bankruptcy_quote(exact_account, markets, i, -size)
        per_quantum = brought / size
        if position.bankruptcy_price is None:
            assert per_quantum * abs(size) <= off
        else:
            assert abs(position.bankruptcy_price * float(coins[i]) * USDC - brought) < off

        if risk.is_liquidatable and account.margin.liquidatable:
            worst = fillable_price(exact_account, markets, i, -size, MAINNET)
            assert position.fillable_price is not None
            assert abs(position.fillable_price * float(coins[i]) * USDC - float(worst * size)) < 1.5 * off
