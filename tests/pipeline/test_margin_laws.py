"""Laws of margin at an instant, on generated books of both families, and the snapshot against plain formulae."""

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
