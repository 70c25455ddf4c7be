"""Capital at equal probability: held to the cube, to real accounts, and to deterministic markets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.structs import LIQUIDATION
from pipeline import capital
from pipeline.blocks import Block
from pipeline.capital import find_capital, find_fall
from pipeline.compare import BY_STRATEGY, ISOLATED, ONE_POOL, EqualChance, Range, hold_book
from pipeline.engine import simulate_block
from pipeline.plan import Plan, plan_from_document
from pipeline.run import run
from tests.pipeline.documents import drawn_document, small_document, tiered_document

PATHS = 2_048


def hit_document() -> dict[str, Any]:
    """The small plan, between the steps too, with books that are hit on a fair share of paths."""
    document = small_document()
    document["simulation"] |= {"paths": PATHS, "monitoring": "bridge"}
    document["accounts"][0]["collateral"]["USDC"] = 500
    document["accounts"][1]["collateral"]["USDC"] = 5_000
    return document


def hits(plan: Plan, scenario: int, horizon: int) -> list[int]:
    """Paths on which each account of a plan is liquidated, as the cube counts them."""
    block = Block(0, 0, plan.simulation.paths, 0)
    counts = simulate_block(json.dumps(plan.document()), block).hits[LIQUIDATION]
    unit = plan.simulation.leverage.index(1.0)
    return [int(n) for n in counts[scenario, :, unit, : horizon + 1].sum(axis=-1)]


def find(plan: Plan, *probabilities: float, scenario: int = 0, horizon: int = -1) -> tuple[EqualChance, ...]:
    books = [hold_book(plan, account) for account in plan.accounts]
    chosen, until = plan.scenarios[scenario], plan.simulation.horizons[horizon]
    found = find_capital(plan, books, chosen, until, probabilities)
    return tuple(equal for equal in found if equal is not None)


def tiered_cross() -> dict[str, Any]:
    document = tiered_document()
    document["simulation"] |= {"paths": PATHS, "monitoring": "bridge"}
    document["accounts"][0]["collateral"]["USDC"] = 500
    document["accounts"][1] |= {"margin": "cross", "collateral": {"USDT": 8_000}}
    del (
        document["accounts"][1]["positions"][2]["margin"],
        document["accounts"][1]["positions"][2]["collateral"],
    )
    return document


@pytest.mark.parametrize("build", [hit_document, tiered_cross])
@pytest.mark.parametrize(("scenario", "horizon"), [(0, 2), (0, 1), (1, 2), (2, 2)])
def test_find_capital__pool_with_what_is_committed_counts_what_the_cube_counts(
    build: Callable[[], dict[str, Any]], scenario: int, horizon: int
) -> None:
    plan = plan_from_document(build())
    counted = hits(plan, scenario, horizon)
    books = [hold_book(plan, account) for account in plan.accounts]
    walk = capital._start_walk(plan, plan.scenarios[scenario], plan.simulation.horizons[horizon], 1, None)
    for book, curves, count in zip(books, capital._count_alone(walk, books), counted, strict=True):
        (members,) = book.ways[ONE_POOL]
        curve = curves[members]
        here = np.argmin(np.abs(curve.amount - (book.committed + book.margins[members].equity)))
        assert curve.liquidated[here] == count
    assert any(0 < count < PATHS for count in counted)


def test_find_capital__over_draws_counts_what_the_cube_counts(tmp_path: Path) -> None:
    plan = plan_from_document(drawn_document())
    cube = run(plan, tmp_path).isel(scenario=2, horizon=2).sel(leverage=1.0)
    counted = cube["liquidations"].values
    assert any(0 < count < PATHS for count in counted)
    books = [hold_book(plan, account) for account in plan.accounts]
    walk = capital._start_walk(plan, plan.scenarios[2], plan.simulation.horizons[2], 1, None)
    for book, curves, count in zip(books, capital._count_alone(walk, books), counted, strict=True):
        (members,) = book.ways[ONE_POOL]
        curve = curves[members]
        here = np.argmin(np.abs(curve.amount - (book.committed + book.margins[members].equity)))
        assert curve.liquidated[here] == count


def test_find_capital__at_its_own_probability_a_pool_takes_what_is_committed() -> None:
    plan = plan_from_document(hit_document())
    own = [count / PATHS for count in hits(plan, 0, 2)]
    assert all(0.01 < p < 0.9 for p in own)
    for account, equal in zip(plan.accounts, find(plan, *own), strict=True):
        found, committed = equal.capital[ONE_POOL], account.collateral["USDC"]
        assert found.estimate is not None
        assert found.low is not None
        assert found.high is not None
        # the least of the amounts with that count, which is less than a level away
        assert 0.97 * committed < found.estimate <= committed * (1 + 1e-12)
        assert found.low < committed < found.high


def test_find_capital__isolated_is_what_real_isolated_accounts_need() -> None:
    # each leg alone at q, by its own cross capital; a real isolated account that is given just that is hit
    # with some probability p; and with p as the target the legs' capital must come back
    document = hit_document()
    legs = document["accounts"][0]["positions"]
    document["accounts"] = [
        {"name": leg["market"], "collateral": {"USDC": 1}, "positions": [leg]} for leg in legs
    ]
    plan = plan_from_document(document)
    shares = [equal.capital[ONE_POOL].estimate for equal in find(plan, 0.05, 0.05)]
    isolated = [{**leg, "collateral": share} for leg, share in zip(legs, shares, strict=True)]
    document["accounts"] = [{"name": "isolated", "margin": "isolated", "positions": isolated}]
    plan = plan_from_document(document)
    (count,) = hits(plan, 0, 2)
    assert 0.05 * PATHS < count <= 0.1 * PATHS + 1
    (equal,) = find(plan, count / PATHS)
    assert equal.capital[ISOLATED].estimate == pytest.approx(sum(s or 0.0 for s in shares), rel=0.01)


def test_find_capital__pool_with_surplus_neither_needs_capital_nor_is_liquidated() -> None:
    document = hit_document()
    winner, other = document["accounts"][0]["positions"]
    winner["entry"] = 20_000
    document["accounts"][1]["positions"] = [other]
    both, alone = find(plan_from_document(document), 0.05, 0.05)
    assert alone.capital[ISOLATED].estimate
    assert both.capital[ISOLATED].estimate == pytest.approx(alone.capital[ISOLATED].estimate, rel=0.01)
    assert both.capital[ONE_POOL].estimate == 0


def test_find_capital__one_position_is_the_same_either_way() -> None:
    plan = plan_from_document(hit_document())
    _, directional = find(plan, 0.05, 0.05)
    assert directional.capital[ONE_POOL] == directional.capital[ISOLATED]


def strategic_document() -> dict[str, Any]:
    """As `hit_document`, with two accounts more: ether alone, and the hedge and a long as two strategies."""
    document = hit_document()
    hedge = document["accounts"][0]["positions"]
    document["venue"]["markets"]["BTC-B"] = document["venue"]["markets"]["BTC-USD"]
    legs = [{**leg, "strategy": "spread"} for leg in hedge]
    legs.append({"market": "BTC-B", "size": 1, "entry": 61_250, "strategy": "long"})
    document["accounts"] += [
        {"name": "ether", "collateral": {"USDC": 30_000}, "positions": hedge[1:]},
        {"name": "desk", "collateral": {"USDC": 50_000}, "positions": legs},
    ]
    return document


def test_find_capital__strategies_lie_between_when_one_of_them_is_a_hedge() -> None:
    *_, equal = find(plan_from_document(strategic_document()), *[0.05] * 4)
    cross, strategy, isolated = (equal.capital[way].estimate for way in (ONE_POOL, BY_STRATEGY, ISOLATED))
    assert cross is not None
    assert strategy is not None
    assert isolated is not None
    assert cross < strategy < isolated


def test_find_capital__perfect_hedge_needs_capital_for_its_requirement_alone() -> None:
    document = hit_document()
    document["venue"]["markets"]["BTC-B"] = document["venue"]["markets"]["BTC-USD"]
    legs = [{"market": name, "size": size, "entry": 61_250} for name, size in (("BTC-USD", 1), ("BTC-B", -1))]
    document["accounts"] = [{"name": "hedged", "collateral": {"USDC": 5_000}, "positions": legs}]
    (equal,) = find(plan_from_document(document), 0.01)
    cross, isolated = equal.capital[ONE_POOL].estimate, equal.capital[ISOLATED].estimate
    assert cross is not None
    assert isolated is not None
    assert 1_470 < cross < 1_470 * 1.2  # maintenance of both legs, at a price that has risen
    assert isolated > 4 * cross


def still_document(drift: float, size: float, entry: float) -> dict[str, Any]:
    """One position in a market that only drifts, by `drift` in log over the day's end."""
    document = small_document()
    document["simulation"] |= {"paths": 64, "horizons": ["1d"]}
    regime = {"volatility": {"BTC": 0.0, "ETH": 0.0}, "drift": {"BTC": drift * 365}}
    document["model"] = {
        "step": "1h",
        "assets": ["BTC", "ETH"],
        "regimes": {"only": {**regime, "correlation": [[1, 0], [0, 1]]}},
    }
    document["scenarios"] = ["baseline"]
    document["accounts"] = [
        {
            "name": "desk",
            "collateral": {"USDC": 1},
            "positions": [{"market": "BTC-USD", "size": size, "entry": entry}],
        }
    ]
    document["limits"] = []
    return document


@pytest.mark.parametrize(("drift", "size"), [(-0.1, 1.0), (0.1, -1.0), (0.1, 1.0)])
@pytest.mark.parametrize("entry", [61_250, 61_500, 60_900])
def test_find_capital__without_volatility_it_is_maintenance_at_the_worst_price(
    drift: float, size: float, entry: float
) -> None:
    plan = plan_from_document(still_document(drift, size, entry))
    equal = find(plan, 0.01)[0]
    moved = 61_250 * exp(drift)
    worst = max(0.012 * price - size * (price - entry) for price in (61_250, moved))
    found = equal.capital[ISOLATED].estimate
    assert found is not None
    # levels of equity lie less than 2 % apart, and the answer between two of them
    assert found == pytest.approx(worst, abs=0.02 * (worst + abs(entry - 61_250)))
    assert equal.capital[ONE_POOL] == equal.capital[ISOLATED]


def test_find_capital__nothing_where_profit_carries_the_book() -> None:
    equal = find(plan_from_document(still_document(0.0, 1.0, 50_000)), 0.1)[0]
    assert equal.capital[ONE_POOL] == Range(0.0, 0.0, 0.0)


def test_find_capital__no_upper_end_where_the_paths_are_too_few() -> None:
    plan = plan_from_document(hit_document())
    equal = find(plan, 1e-4, 1e-4)[1]
    found = equal.capital[ONE_POOL]
    assert found.high is None  # none of 2,048 paths: up to 0.18 %
    assert found.estimate is not None


def test_find_capital__falls_as_the_probability_rises() -> None:
    plan = plan_from_document(hit_document())
    chances = (0.01, 0.03, 0.1, 0.5)
    for way in (ONE_POOL, ISOLATED):
        amounts = [find(plan, p, p)[0].capital[way].estimate or 0.0 for p in chances]
        assert amounts == sorted(amounts, reverse=True)
        assert len(set(amounts)) == len(chances)


@pytest.mark.parametrize(("name", "value"), [("MOST_POOLS", 1), ("threads", 1), ("threads", 3)])
def test_find_capital__slabs_and_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    plan = plan_from_document(strategic_document())
    chances = (0.05, 0.02, 0.05, 0.02)
    expected = find(plan, *chances)
    if name == "threads":
        monkeypatch.setattr("os.cpu_count", lambda: value)
    else:
        monkeypatch.setattr(capital, name, value)
    assert find(plan, *chances) == expected


def test_find_capital__account_without_positions_has_none() -> None:
    document = hit_document()
    document["accounts"].append({"name": "empty", "collateral": {"USDC": 1}, "positions": []})
    plan = plan_from_document(document)
    books = [hold_book(plan, account) for account in plan.accounts]
    told: list[tuple[int, int]] = []
    found = find_capital(
        plan, books, plan.scenarios[0], timedelta(days=1), [0.05] * 3, lambda *pair: told.append(pair)
    )
    assert [equal is None for equal in found] == [False, False, True]
    assert told[-1] == (PATHS, PATHS)


def test_find_fall__by_hand() -> None:
    curve, amount = np.array([1.0, 0.8, 0.4, 0.4, 0.0]), np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    targets = np.array([1.0, 0.9, 0.8, 0.6, 0.4, 0.1, 0.0])
    np.testing.assert_allclose(find_fall(curve, amount, targets), [0, 5, 10, 15, 20, 37.5, 40])
    assert np.isnan(find_fall(curve[:4], amount[:4], np.array([0.3]))).all()
