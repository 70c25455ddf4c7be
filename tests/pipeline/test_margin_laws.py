"""Margin at an instant on generated books of both families: against plain formulae, and its laws."""

from __future__ import annotations

from copy import deepcopy
from math import isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from pipeline.margin_now import Margin, margin_now, margin_of
from pipeline.margin_snapshot import AccountMargin, margin_snapshot
from pipeline.plan import plan_from_document
from pipeline.pools import pools_of
from tests.pipeline.pool_books import ASSETS, Document, Raw, books, isolates, raw_pools

ROUNDING = 1e-12  # of the amounts that are added up
# around the mark, and far from it either way
GRID = np.unique(np.concatenate([np.geomspace(1e-4, 1e4, 4_001), np.linspace(0.5, 2.0, 1_501)]))


def snapshot_of(document: Document) -> AccountMargin:
    return margin_snapshot(plan_from_document(document))[0]


def margin_of_document(document: Document) -> Margin:
    return margin_now(plan_from_document(document))["desk"]


def raw_of(document: Document, **moved: Any) -> list[Raw]:
    """The pools of the one account from plain formulae, some prices replaced."""
    return raw_pools(document["accounts"][0], document["venue"], {**document["prices"], **moved})


def pool_indices(document: Document) -> list[int]:
    """Of each position the index of its pool."""
    account = document["accounts"][0]
    alone = 0 if account["collateral"] or not all(isolates(account, p) for p in account["positions"]) else -1
    found = []
    for position in account["positions"]:
        alone += isolates(account, position)
        found.append(alone if isolates(account, position) else 0)
    return found


@given(books())
def test_margin_now__is_the_plain_formulae(document) -> None:
    margin = margin_of_document(document)
    pools = raw_of(document)
    assert len(margin.pools) == len(pools)
    for pool, raw in zip(margin.pools, pools, strict=True):
        slack = ROUNDING * (1.0 + raw.scale)
        assert pool.equity == pytest.approx(raw.equity, abs=slack)
        assert pool.full_equity == pytest.approx(raw.full_equity, abs=slack)
        assert pool.maintenance_margin == pytest.approx(raw.maintenance, abs=slack)
        # on the edge of a bracket rounding decides which
        if all(abs(edge) > ROUNDING for edge in edges_of(document)):
            assert pool.initial_margin == pytest.approx(raw.initial, abs=slack)
        if abs(raw.equity - raw.maintenance) > slack:
            assert pool.liquidatable == bool(raw.liquidatable)
    ratios = [pool.equity / pool.maintenance_margin for pool in margin.pools if pool.maintenance_margin > 0]
    assert margin.margin_ratio == pytest.approx(min(ratios, default=nan), nan_ok=True)


def edges_of(document: Document) -> list[float]:
    """Relative distances of notionals from the ends of their markets' brackets."""
    venue = document["venue"]
    return [
        abs(position["size"]) * document["prices"][market["asset"]] / bracket["up_to"] - 1.0
        for position in document["accounts"][0]["positions"]
        for market in [venue["markets"][position["market"]]]
        for bracket in market.get("brackets", ())[:-1]
    ]


@given(books())
def test_margin_snapshot__liquidation_price_is_the_nearest_flip_of_a_dense_scan(document) -> None:
    snapshot = snapshot_of(document)
    now = raw_of(document)
    for position, index in zip(snapshot.positions, pool_indices(document), strict=True):
        asset = document["venue"]["markets"][position.market]["asset"]
        raw, mark = now[index], document["prices"][asset]
        assume(abs(raw.equity - raw.maintenance) > ROUNDING * raw.scale)
        price = position.liquidation_price
        reach = np.inf if price is None else abs(price - mark) * (1 - 1e-9)
        grid = mark * GRID
        grid = grid[np.abs(grid - mark) < reach]
        scan = raw_of(document, **{asset: grid})[index]
        clear = np.abs(scan.equity - scan.maintenance) > ROUNDING * scan.scale
        # up to the price nothing changes
        assert not np.any(clear & (scan.liquidatable != raw.liquidatable))
        if price is None:
            continue
        event("flips")
        at = raw_of(document, **{asset: price})[index]
        hair = 1e-6 * (price if price > mark else -price)
        before, beyond = (raw_of(document, **{asset: x})[index] for x in (price - hair, price + hair))
        begins = before.maintenance == 0 or beyond.maintenance == 0
        assert begins or abs(at.equity - at.maintenance) <= ROUNDING * at.scale
        assert position.distance_percent is not None
        assert (position.distance_percent < 0) == bool(raw.liquidatable)
        if all(abs(pool.equity - pool.maintenance) > ROUNDING * pool.scale for pool in (before, beyond)):
            event("flips within a hair")
            assert bool(before.liquidatable) == bool(raw.liquidatable)
            assert bool(beyond.liquidatable) != bool(raw.liquidatable)


@given(books(), st.randoms())
def test_margin_snapshot__order_of_accounts_and_positions_changes_nothing(document, random) -> None:
    positions = document["accounts"][0]["positions"]
    order = random.sample(range(len(positions)), len(positions))
    shuffled = deepcopy(document)
    shuffled["accounts"][0]["positions"] = [positions[i] for i in order]
    place = random.randrange(2)
    shuffled["accounts"].insert(1 - place, {"name": "other", "collateral": {"USD": 1}, "positions": []})
    found = margin_snapshot(plan_from_document(shuffled))[place].document()
    expected = snapshot_of(document).document()
    assert found["positions"] == [expected["positions"][i] for i in order]
    for pools in (found["pools"], expected["pools"]):
        pools.sort(key=str)
    assert {**found, "positions": None} == {**expected, "positions": None}


@given(books(), books())
def test_margin_snapshot__accounts_never_affect_one_another(document, neighbour) -> None:
    both = deepcopy(document)
    both["venues"] = {"next door": neighbour["venue"] | {"name": "next door"}}
    other = neighbour["accounts"][0] | {"name": "neighbour", "venue": "next door"}
    both["accounts"] = [other, *both["accounts"]]
    found = margin_snapshot(plan_from_document(both))[1]
    assert str(found.document()) == str(snapshot_of(document).document())


@given(books())
def test_margin_snapshot__isolated_positions_stand_as_they_would_alone(document) -> None:
    account = document["accounts"][0]
    snapshot = snapshot_of(document)
    for position, found in zip(account["positions"], snapshot.positions, strict=True):
        if isolates(account, position):
            alone = document | {"accounts": [account | {"collateral": {}, "margin": "isolated"}]}
            alone["accounts"][0]["positions"] = [{**position, "margin": "isolated"}]
            (expected,) = snapshot_of(alone).positions
            assert found.document() | {"pool": None} == expected.document() | {"pool": None}


@given(books(), st.floats(0, 1e4), st.sampled_from(("USD", *ASSETS)))
def test_margin_now__more_collateral_never_lowers_the_margin_ratio(document, added, asset) -> None:
    account = document["accounts"][0]
    assume(asset == "USD" or asset in document["venue"]["haircuts"])
    before = margin_of_document(document)
    richer = deepcopy(document)
    held = richer["accounts"][0]["collateral"]
    if held or account["margin"] != "isolated":
        held[asset] = held.get(asset, 0.0) + added
    for position in richer["accounts"][0]["positions"]:
        if "collateral" in position:
            position["collateral"] += added
    after = margin_of_document(richer)
    assert after.maintenance_margin == before.maintenance_margin
    assert after.margin_ratio >= before.margin_ratio or isnan(before.margin_ratio)
    assert after.liquidatable <= before.liquidatable
    assert after.bankrupt <= before.bankrupt


@given(books(), st.sampled_from((0.25, 4.0)), st.booleans())
def test_margin_snapshot__scales_with_amounts_and_with_prices(document, scale, by_price) -> None:
    """More coins at the same prices, or dearer coins: all amounts of money scale alike, to the last bit."""
    scaled = deepcopy(document)
    venue, account = scaled["venue"], scaled["accounts"][0]
    for tier in venue.get("tiers", {}).values():
        # open interest is in coins of the market, not the account's
        for cap in ("open_interest_lower_cap", "open_interest_upper_cap"):
            tier[cap] *= scale if by_price else 1.0
    for market in venue["markets"].values():
        for bracket in market.get("brackets", ())[:-1]:
            bracket["up_to"] *= scale
    coins, money = (1.0, scale) if by_price else (scale, scale)
    held = account["collateral"].items()
    account["collateral"] = {asset: n * (money if asset == "USD" else coins) for asset, n in held}
    dearer = scale if by_price else 1.0
    scaled["prices"] = {asset: price * dearer for asset, price in scaled["prices"].items()}
    for position in account["positions"]:
        position["size"] *= coins
        position["entry"] *= dearer
        if "collateral" in position:
            position["collateral"] *= money
    before, after = snapshot_of(document).document(), snapshot_of(scaled).document()
    for key in ("equity", "initial_margin", "maintenance_margin", "free_collateral"):
        assert after[key] == before[key] * scale
    for key in ("margin_ratio", "leverage", "liquidatable", "bankrupt"):
        assert after[key] == before[key]
    for one, other in zip(before["positions"], after["positions"], strict=True):
        for key in ("liquidation_price", "bankruptcy_price", "fillable_price"):
            assert other[key] == (None if one[key] is None else one[key] * dearer)
        assert other["distance_percent"] == one["distance_percent"]


@given(books(), st.data())
def test_pool_margin__maintenance_is_continuous_and_initial_never_less(document, data) -> None:
    plan = plan_from_document(document)
    pools = pools_of(plan, plan.accounts[0])
    holdings = [holding for pool in pools for holding in pool.holdings]
    assume(holdings)
    holding = data.draw(st.sampled_from(holdings))
    floors = [kink.floor for kink in (*holding.maintenance.kinks, *holding.initial.kinks)]
    price = data.draw(st.sampled_from((plan.prices[holding.asset], *floors)))
    below, at, above = (price * x for x in (1 - 1e-12, 1.0, 1 + 1e-12))
    margins = [margin_of(pools, {**plan.prices, holding.asset: x}).pools for x in (below, at, above)]
    gross = price * sum(abs(holding.size) for holding in holdings)
    for low, mid, high in zip(*margins, strict=True):
        slack = 1e-11 * (gross + mid.maintenance_margin)
        assert abs(high.maintenance_margin - low.maintenance_margin) <= slack
        for pool in (low, mid, high):
            assert pool.initial_margin >= pool.maintenance_margin * (1 - 1e-12)


@given(books(), st.floats(1, 10))
def test_margin_of__a_higher_multiple_never_mends_an_account(document, multiple) -> None:
    """Equity at as_of stays, and what is required only grows with size."""
    plan = plan_from_document(document)
    once, scaled = (margin_of(pools_of(plan, plan.accounts[0], x), plan.prices) for x in (1.0, multiple))
    assert scaled.equity == once.equity
    assert scaled.maintenance_margin >= once.maintenance_margin
    assert once.liquidatable <= scaled.liquidatable
    assert once.called <= scaled.called
