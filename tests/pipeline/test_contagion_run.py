"""Accounts in one market, from a plan to the cube: a cascade worked by hand, and laws of what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline.blocks import Block
from pipeline.engine import simulate_block
from pipeline.path_replay import replay_path
from pipeline.plan import Plan, plan_from_document
from pipeline.run import run
from tests.pipeline.crowded_market import DEPTH, IMPACT, crowded_document
from tests.pipeline.documents import small_document
from tests.runs import assert_same_counts

# 94 after the fall. `first` needs 4,700 and has 4,000: it goes. `second` needs 2,350 and has 2,400: it
# stands, until what `first` sells has pushed the mark.
MARK = 94.0
FIRST, SECOND = 1_000 * MARK, 500 * MARK


def paid(upon: float, notional: float) -> float:
    """What an order slips after so much has been taken."""
    return IMPACT * ((upon + notional) ** 2 - upon**2) / DEPTH


def pushed(taken: float) -> float:
    """The share by which so much sold moves the mark: the slippage of the last unit."""
    return 2 * IMPACT * taken / DEPTH


def cube_of(document: dict[str, Any], folder: Path) -> xr.Dataset:
    return run(plan_from_document(document), folder)


def test_run__a_cascade_of_two_by_arithmetic(tmp_path: Path) -> None:
    after_first = MARK * (1 - pushed(FIRST))
    assert 5_400 - 500 * (100 - MARK) > 0.05 * 500 * MARK
    assert 5_400 - 500 * (100 - after_first) < 0.05 * 500 * after_first
    cube = cube_of(crowded_document(), tmp_path)
    cell = cube.sel(scenario="s", venue="inline", leverage=1)
    assert cell["cascades"].values.tolist() == [0, 64, 64]
    assert cell["accounts_liquidated_mean"].values.tolist() == [0, 2, 2]
    np.testing.assert_allclose(cell["closed_notional_mean"][1:], FIRST + SECOND, rtol=1e-6)
    np.testing.assert_allclose(cell["price_pushed_mean"][1:], pushed(FIRST + SECOND), rtol=1e-5)
    assert not cell["fund_exhausted"].any()
    assert not cell["socialised_loss_mean"].any()
    untouched = cube["liquidations"].sel(scenario="s", leverage=1).isel(horizon=-1)
    assert untouched.values.tolist() == [64, 0, 0]
    slipped = cube["cost_mean"].sel(scenario="s", leverage=1, component="slippage").isel(horizon=-1)
    expected = [paid(0, FIRST), paid(FIRST, SECOND), 0]
    np.testing.assert_allclose(slipped, expected, rtol=1e-4)
    assert not cube["accounts_liquidated_mean"].sel(scenario="baseline").any()


def test_run__the_fund_is_shared_and_what_it_lacks_others_lose(tmp_path: Path) -> None:
    fall, mark = 0.14, 86.0
    cube = cube_of(crowded_document(fall, fund=3_000), tmp_path)
    owed = [14_000 - 10_000 + paid(0, 1_000 * mark), 7_000 - 5_400 + paid(1_000 * mark, 500 * mark)]
    assert owed[0] > 3_000
    cell = cube.sel(scenario="s", venue="inline", leverage=1).isel(horizon=-1)
    assert cell["fund_exhausted"] == 64
    np.testing.assert_allclose(cell["fund_drawn_mean"], 3_000, rtol=1e-6)
    np.testing.assert_allclose(cell["socialised_loss_mean"], sum(owed) - 3_000, rtol=1e-5)


@pytest.mark.parametrize("lasting", [0.0, 0.25, 1.0])
def test_replay_path__says_what_pushed_the_marks(lasting: float) -> None:
    plan = plan_from_document(crowded_document(lasting=lasting))
    told = replay_path(plan, "s", "second", 1, 3)
    moved = pushed(FIRST + SECOND)
    np.testing.assert_allclose(told.own_marks[:, 0], [100, 100, MARK, MARK, MARK])
    stays = MARK * (1 - lasting * moved)
    np.testing.assert_allclose(told.marks[:, 0], [100, 100, MARK * (1 - moved), stays, stays])
    said = [event.words for event in told.events if event.kind == "pushed"]
    at = f"{MARK * (1 - moved):.6g}"
    assert said == [
        f"orders in the book push A-USD down by 0.56 %, to {at}: 0.56 % below its own path",
    ]
    assert [event.kind for event in told.events] == ["shock", "pushed", "liquidated"]
    assert told.breached is None
    assert told.counted["forced_liquidations"]
    assert abs(told.bridge.difference) < 1e-6
    assert told.bridge.slippage == pytest.approx(paid(FIRST, SECOND))
    assert told.events[-1].money["slippage"] == pytest.approx(told.bridge.slippage)
    assert "own_marks" in told.document()


def busy_plan(paths: int = 70) -> Plan:
    """The small plan at closes, its accounts crowded into thin books."""
    document = small_document()
    document["simulation"] |= {"paths": paths, "leverage": [1, 2], "contagion": {"lasting": 0.5}}
    document["limits"] = []
    document["venue"]["insurance_fund"] = 5_000
    for market in document["venue"]["markets"].values():
        market["execution"] = {"depth": 300_000, "impact": 0.03}
    basis, directional = document["accounts"]
    basis["collateral"]["USDC"] = 20_000
    policy = {"kind": "ladder", "rungs": [{"below": 3, "close": 0.5}]}
    document["accounts"] = [
        basis,
        {**directional, "collateral": {"USDC": 12_000}, "policies": [policy]},
        {**directional, "name": "third", "collateral": {"USDC": 9_000}},
        {**directional, "name": "other", "positions": [{"market": "BTC-USD", "size": -1, "entry": 61_000}]},
    ]
    return plan_from_document(document)


def test_simulate_block__venues_are_counted_the_same_however_paths_are_cut() -> None:
    text = json.dumps(busy_plan().document())
    whole = simulate_block(text, Block(0, 0, 70, 0))
    parts = [simulate_block(text, Block(0, first, count, 0)) for first, count in ((0, 64), (64, 6))]
    for name, counts in whole._asdict().items():
        np.testing.assert_array_equal(sum(getattr(part, name) for part in parts), counts, err_msg=name)
    assert whole.venue[:, 2].any()


def test_run__first_passages_are_of_the_book_untouched_and_apart(tmp_path: Path) -> None:
    plan = busy_plan(64)
    together = run(plan, tmp_path)
    document = plan.document()
    del document["simulation"]["contagion"]
    apart = run(plan_from_document(document), tmp_path)
    for name in ("liquidations", "margin_calls", "bankruptcies", "joint_liquidations"):
        np.testing.assert_array_equal(together[name], apart[name])
    assert not any("venue" in variable.dims for variable in apart.variables.values())
    forced = together["forced_liquidations"].sum("account") / 64
    mean = together["accounts_liquidated_mean"].isel(venue=0)
    np.testing.assert_allclose(mean, forced.transpose(*mean.dims))
    assert (together["forced_liquidations"] != apart["forced_liquidations"]).any()
    assert (together["price_pushed_mean"].diff("horizon") >= 0).all()
    assert_same_counts(run(plan, tmp_path / "batches", batch_paths=64), together)


def test_replay_path__of_a_book_adds_up_to_what_is_counted() -> None:
    plan = busy_plan()
    counts = simulate_block(json.dumps(plan.document()), Block(0, 0, 12, 0)).aftermath
    for a, account in enumerate(plan.accounts):
        told = [replay_path(plan, "storm", account.name, 1, path) for path in range(12)]
        assert sum(replay.counted["forced_liquidations"] for replay in told) == counts[0, 2, a, 0, -1]
        for replay in told:
            assert abs(replay.bridge.difference) < 1e-6
            for name, amount in (("slippage", replay.bridge.slippage), ("others", replay.bridge.others)):
                total = sum(event.money.get(name, 0.0) for event in replay.events)
                assert total == pytest.approx(amount, abs=1e-6), (account.name, replay.path, name)
            json.dumps(replay.document(), allow_nan=False)
    assert counts[0, 2, :, 0, -1].sum() > 0
