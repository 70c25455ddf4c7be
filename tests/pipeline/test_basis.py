"""A basis from the plan to counts: who sees it, and how often it liquidates."""

from __future__ import annotations

import json
from math import exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from kernels.structs import LIQUIDATION
from pipeline.blocks import Block
from pipeline.engine import simulate_block
from pipeline.lower_book import lower_book
from pipeline.lower_market import lower_market, marked_assets
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, two_sided_jumps, wick_document
from tests.pipeline.moving_states import basis_document

BTC, ETH, BTC_PERP, ETH_PERP = range(4)
CALM = 0
HOUR = 1 / 8760


def test_lower_market__a_perpetual_is_its_asset_and_a_shock() -> None:
    market = lower_market(plan_from_document(basis_document()))
    assert market.spot.tolist() == [61_250, 3_020, 61_250, 3_020]
    assert market.spot_of.tolist() == [BTC, ETH, BTC, ETH]
    assert market.basis_law.level[CALM].tolist() == [0.002, -0.001]
    assert market.basis_law.kept[CALM] == pytest.approx([0.5, sqrt(0.5)])
    rows = market.loading[0, CALM]
    volatility, shock = 0.45 * sqrt(HOUR), 0.01 * sqrt(0.75)
    assert rows[BTC_PERP, 0] == pytest.approx(volatility + 0.3 * shock)
    apart = sqrt(0.5) * sqrt(0.91) * shock  # one share common to all, one its own
    assert rows[BTC_PERP, 1:5].tolist() == pytest.approx([0, apart, apart, 0])
    assert rows[ETH_PERP, [0, 1]].tolist() == rows[ETH, [0, 1]].tolist()
    assert rows[ETH_PERP, 3] == 0.0
    assert rows[ETH_PERP, [2, 4]] == pytest.approx([sqrt(0.5) * 0.02 * sqrt(0.5)] * 2)
    assert not rows[:2, 2:].any()
    assert market.depth.tolist() == [4, 4, 4, 8]


def test_lower_market__a_perpetual_jumps_and_wicks_with_its_asset() -> None:
    document = basis_document()
    for regime in document["model"]["regimes"].values():
        regime |= {"wick": wick_document(), "jumps": two_sided_jumps()}
    market = lower_market(plan_from_document(document))
    assert market.number.tolist() == [0, 1, 0, 1]
    perpetuals, spots = [BTC_PERP, ETH_PERP], [BTC, ETH]
    for of in (market.wick, market.wick_cut, market.jump_sides, market.jump_loading):
        assert of.shape[2] == 4
        np.testing.assert_array_equal(of[:, :, perpetuals], of[:, :, spots])
    assert market.jump_loading[0, CALM, ETH_PERP, 0] == 0.9


def test_lower_book__positions_on_tiered_venues_see_it_and_nothing_else() -> None:
    plan = plan_from_document(basis_document())
    book = lower_book(plan, lower_market(plan), (0, 1))
    legs = {
        (int(account), int(asset))
        for r, account in enumerate(book.account)
        for asset, size in zip(
            book.asset[book.start[r] : book.start[r + 1]],
            book.size[book.start[r] : book.start[r + 1]],
            strict=True,
        )
        if size
    }
    assert legs == {(0, BTC), (0, ETH), (1, BTC), (1, BTC_PERP), (1, ETH_PERP)}


def test_marked_assets__none_without_a_basis_or_without_such_a_venue() -> None:
    document = basis_document()
    assert marked_assets(plan_from_document(document)) == ("BTC", "ETH")
    document["accounts"].pop()
    assert marked_assets(plan_from_document(document)) == ()
    document = basis_document()
    for regime in document["model"]["regimes"].values():
        del regime["basis"]
    assert marked_assets(plan_from_document(document)) == ()
    document["scenarios"][2]["effects"] = [{"effect": "basis", "add": -0.1}]
    assert marked_assets(plan_from_document(document)) == ("BTC", "ETH")


def test_find_shocks__a_scenario_s_basis_comes_and_goes() -> None:
    """5 % below at the third hour, halving every hour: at its mean over each hour, on perpetuals alone."""
    document = basis_document()
    effects: list[dict[str, Any]] = [
        {"effect": "basis", "at": "2h", "for": "2h", "add": {"all": -0.05}, "decay": "1h"},
        {"effect": "shock", "moves": {"BTC": -0.1}, "at": "2h"},
    ]
    document["scenarios"][2]["effects"] = effects
    market = lower_market(plan_from_document(document))
    assert np.flatnonzero(market.shock[2] >= 0).tolist() == [2, 3, 4]
    first, second, last = (market.shocks[market.shock[2, t]] for t in (2, 3, 4))
    mean = 0.05 * 0.5 / log(2)  # over the first hour; half of it over the next
    assert first == pytest.approx([0.9, 1, 0.9 * (1 - mean), 1 - mean])
    assert second == pytest.approx([1, 1, *[(1 - mean / 2) / (1 - mean)] * 2])
    assert last == pytest.approx([1, 1, *[1 / (1 - mean / 2)] * 2])


def still_document(known: float | None, size: float, **simulation: Any) -> dict[str, Any]:
    """One regime, prices that stand still, a basis that moves; the account on the tiered venue alone."""
    document = basis_document(correlation={}, level={"BTC": 0.0, "ETH": 0.0})
    document["simulation"] |= {"horizons": ["1h"], "leverage": [1], **simulation}
    calm = {**document["model"]["regimes"]["calm"], "volatility": {"BTC": 0.0, "ETH": 0.0}, "drift": {}}
    calm["funding"] = {"BTC": 0.0, "ETH": 0.0}
    document["model"] |= {"regimes": {"calm": calm}, "transitions": {}, "initial": "calm"}
    if known is not None:
        document["market_state"] = {"basis": {"BTC": known}}
    document["scenarios"], document["limits"] = ["baseline"], []
    document["accounts"][1] |= {"collateral": {"USDT": 1_500}}
    document["accounts"][1]["positions"] = [{"market": "BTCUSDT", "size": size, "entry": 61_250}]
    return document


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize(("known", "size"), [(0.01, 1.0), (None, 1.0), (0.0, -1.0)])
def test_simulate_block__as_often_as_the_law_says(known: float | None, size: float, monitoring: str) -> None:
    """Spot stands still: a margin of 1,500 dies where exp(change of basis) passes its critical price.

    Over an hour of half-life 1 h from b: mean -b/2, deviation 1 % sqrt(3/4); where b is not known, over its
    law in the long run. Between the hour's ends a bridge with the shock's variance has the rest.
    """
    document = still_document(known, size, monitoring=monitoring)
    plan = plan_from_document(document)
    market = plan.venues["bracketed"].markets["BTCUSDT"]
    paths = 60_000
    counts = simulate_block(json.dumps(plan.document()), Block(0, 0, paths, 0))
    share = counts.hits[LIQUIDATION, 0, 1, 0, 0] / paths
    prices = 61_250 * np.exp(np.linspace(-0.2, 0.2, 400_001))
    notional = np.abs(size) * prices
    bracket = next(b for b in market.brackets if b.up_to is None or b.up_to > 70_000)
    maintenance = notional * bracket.maintenance_margin - bracket.cum
    dead = 1_500 + size * (prices - 61_250) < maintenance
    edge = log(prices[dead].max() / 61_250 if size > 0 else prices[dead].min() / 61_250)
    start = np.array([0.0 if known is None else log(1 + known)])
    if known is None:
        start = 0.01 * norm.ppf((np.arange(4_000) + 0.5) / 4_000)
    mean, deviation = -0.5 * start, 0.01 * sqrt(0.75)
    side = -1.0 if size > 0 else 1.0
    end = norm.cdf(side * (mean - edge) / deviation)
    if monitoring == "bridge":  # reflection: ends inside, yet got there
        barrier, drift = side * edge, side * mean
        end = end + np.exp(2 * drift * barrier / deviation**2) * norm.cdf((-barrier - drift) / deviation)
    expected = float(end.mean())
    assert 0.001 < expected < 0.3
    assert abs(share - expected) < 4 * sqrt(expected / paths)


def test_simulate_block__a_hedge_with_its_own_coin_fails_by_the_basis_alone() -> None:
    document = basis_document()
    document["accounts"][1]["positions"] = document["accounts"][1]["positions"][:1]
    document["accounts"][1]["collateral"] = {"BTC": 1.0, "USDT": -60_300}
    document["venues"]["bracketed"]["haircuts"] = {"BTC": 0.0}
    counts = {}
    for name in ("with", "without"):
        if name == "without":
            for regime in document["model"]["regimes"].values():
                del regime["basis"]
        plan = plan_from_document(document)
        counts[name] = simulate_block(json.dumps(plan.document()), Block(0, 0, 4_096, 0)).hits[LIQUIDATION]
    at_one = plan.simulation.leverage.index(1)
    # without it what is left is maintenance that grows with the price
    often, seldom = (int(counts[name][0, 1, at_one].sum()) for name in ("with", "without"))
    assert seldom < 5
    assert often > 1_000
    # accounts on dYdX are what they were
    np.testing.assert_array_equal(counts["with"][:, 0], counts["without"][:, 0])


def test_warnings__a_basis_that_nobody_sees() -> None:
    document = small_document()
    document["scenarios"] = ["baseline", "basis-blowout"]
    said = plan_from_document(document).warnings()
    assert [text for text in said if text.startswith("scenario basis-blowout") and "changes nothing" in text]
    document = basis_document()
    document["scenarios"] = ["baseline", "basis-blowout"]
    said = plan_from_document(document).warnings()
    assert not [text for text in said if text.startswith("scenario basis-blowout") and "nothing" in text]


def test_basis_blowout__perpetuals_fall_by_what_it_says() -> None:
    document = basis_document()
    document["scenarios"] = ["baseline", "basis-blowout"]
    market = lower_market(plan_from_document(document))
    first = market.shocks[market.shock[1, 1]]
    mean = (1 - 2 ** (-1 / 6)) * 6 / log(2)
    assert first == pytest.approx([1, 1, 1 - 0.03 * mean, 1 - 0.03 * mean])
    assert exp(np.log(market.shocks[market.shock[1][market.shock[1] >= 0]]).sum(axis=0)[2]) < 1.0
