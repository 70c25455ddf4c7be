"""Whole plans on the screen against the formulae, each leverage and pool valued by itself."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.blocks import Block
from pipeline.engine import collect_tallies, liquidatable_now, merge_counts, simulate_block
from pipeline.plan import plan_from_document
from tests.pipeline.pool_books import Document, Raw, books, raw_pools

LEVERAGES = [0.25, 0.5, 1.0, 1.5, 3.0, 10.0]
PATHS = 3
ROUNDING = 1e-9  # of the amounts that are added up: closer to an edge than this, either side is right
moves = st.floats(-0.9, 2.0).map(lambda move: round(move, 3))


def screened(document: Document, gaps: list[dict[str, float]]) -> Document:
    """The book at several leverages, in a market that gaps at `as_of` and never moves again."""
    screened = deepcopy(document)
    for regime in screened["model"]["regimes"].values():
        regime["volatility"] = dict.fromkeys(regime["volatility"], 0.0)
    screened["simulation"] |= {"paths": PATHS, "horizons": ["1h"], "leverage": LEVERAGES}
    screened["scenarios"] = ["baseline"] + [
        {"name": f"gap-{i}", "narrative": "A gap.", "effects": [{"effect": "shock", "moves": gap}]}
        for i, gap in enumerate(gaps)
    ]
    return screened


def valued(document: Document, gap: dict[str, float], leverage: float) -> list[Raw]:
    """Every pool after a gap at a leverage: what was made by `as_of` stays as it is, the rest scales.

    A position of l times the size, entered at p - (p - p0) / l, has the same profit at the mark p.
    """
    account = deepcopy(document["accounts"][0])
    prices = document["prices"]
    for position in account["positions"]:
        mark = prices[document["venue"]["markets"][position["market"]]["asset"]]
        position["entry"] = mark - (mark - position["entry"]) / leverage
        position["size"] *= leverage
    after = {asset: price * (1.0 + gap.get(asset, 0.0)) for asset, price in prices.items()}
    return raw_pools(account, document["venue"], after)


def decided(document: Document, gaps: list[dict[str, float]]) -> tuple[NDArray[np.bool_], ...]:
    """By mark, scenario and leverage: is any pool hit, are all liquidated, and what is in doubt."""
    shape = (3, 1 + len(gaps), len(LEVERAGES))
    hit, every, doubtful = (np.zeros(shape, np.bool_) for _ in range(3))
    for s, gap in enumerate([{}, *gaps]):
        for j, leverage in enumerate(LEVERAGES):
            at_risk = []
            for pool in valued(document, gap, leverage):
                slack = ROUNDING * (1.0 + pool.scale)
                edges = (pool.equity - pool.initial, pool.equity - pool.maintenance, pool.full_equity)
                doubtful[:, s, j] |= [abs(edge) < slack for edge in edges]
                hit[MARGIN_CALL, s, j] |= edges[0] < 0
                hit[LIQUIDATION, s, j] |= bool(pool.liquidatable)
                hit[BANKRUPTCY, s, j] |= edges[2] < 0
                if pool.maintenance > 0:
                    at_risk.append(bool(pool.liquidatable))
            every[LIQUIDATION, s, j] = bool(at_risk) and all(at_risk)
    return hit, every, doubtful


@settings(max_examples=60, deadline=None)
@given(books(), st.lists(moves, min_size=9, max_size=9), st.sampled_from(["close", "bridge"]))
def test_simulate_block__is_brute_force_per_leverage_and_pool(
    document: Any, drawn: list[float], monitoring: str
) -> None:
    assets = list(document["prices"])
    gaps = [dict(zip(assets, drawn[3 * i :], strict=False)) for i in range(3)]
    spread = screened(document, gaps)
    spread["simulation"]["monitoring"] = monitoring
    hit, every, doubtful = decided(spread, gaps)
    plan = plan_from_document(spread)
    counts = merge_counts(plan, [(0, simulate_block(json.dumps(plan.document()), Block(0, 0, PATHS, 0)))])
    tallies = collect_tallies(counts, plan)
    found = counts.hits[:, :, 0, :, 0]
    # a bracket's edge may also fall on either side of a price
    assert set(np.unique(found)) <= {0, PATHS}
    for mark in (MARGIN_CALL, LIQUIDATION, BANKRUPTCY):
        clear = ~doubtful[mark]
        np.testing.assert_array_equal((found[mark] > 0)[clear], hit[mark][clear])
    clear = ~doubtful[LIQUIDATION]
    np.testing.assert_array_equal(liquidatable_now(plan)[:, 0][clear], hit[LIQUIDATION][clear])
    all_pools = tallies.liquidations if tallies.all_pools is None else tallies.all_pools
    np.testing.assert_array_equal((all_pools[:, 0, :, 0] > 0)[clear], every[LIQUIDATION][clear])
    hits = hit[LIQUIDATION]
    event(f"liquidated at low leverage and not at high: {(hits[:, :-1] & ~hits[:, 1:]).any()}")
    event(f"some pools but not all: {(hits & ~every[LIQUIDATION]).any()}")
