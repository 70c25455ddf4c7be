"""Runs that follow what comes after a breach: the same however they are cut, and what counts must agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline import slabs
from pipeline.blocks import Block
from pipeline.engine import Counts, merge_counts, simulate_block
from pipeline.ledger import Ledger
from pipeline.plan import plan_from_document
from pipeline.run import run
from tests.pipeline.documents import drawn_document, resolved_document, small_document
from tests.runs import assert_same_counts

ENDS = ("", "_low", "_high")


def counted(document: dict[str, Any], *pieces: tuple[int, int]) -> Counts:
    """What paths first .. first + count - 1 count, summed over the pieces and all slabs."""
    plan = plan_from_document(document)
    text = json.dumps(plan.document())
    blocks = [Block(0, *piece, slab) for piece in pieces for slab in range(len(slabs.plan_slabs(plan)))]
    return merge_counts(plan, [(block.slab, simulate_block(text, block)) for block in blocks])


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run(plan_from_document(resolved_document()), tmp_path_factory.mktemp("resolved"))


def test_simulate_block__what_follows_is_the_same_however_paths_are_cut() -> None:
    whole = counted(resolved_document(), (0, 300))
    cut = counted(resolved_document(), (0, 64), (64, 129), (193, 1), (194, 106))
    for name, counts in whole._asdict().items():
        np.testing.assert_array_equal(getattr(cut, name), counts, err_msg=name)
    assert whole.aftermath[:, :, 1].any()
    assert whole.breach[:, 0, :, 4].any()  # the isolated position of the widest account


@pytest.mark.parametrize("most", [1, 2])
def test_merge_counts__what_follows_is_the_same_however_accounts_are_cut(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slab of one holds nobody who holds anything."""
    document = resolved_document(300)
    document["accounts"][0]["group"] = document["accounts"][3]["group"] = "desk"
    whole = counted(document, (0, 300))
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", most)
    document["name"] = f"in slabs of {most}"  # lowered books are remembered by the plan's text
    cut = counted(document, (0, 300))
    for name in ("hits", "groups", "aftermath", "breach"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)
        assert getattr(whole, name).any()


def test_simulate_block__first_passages_are_of_the_book_untouched() -> None:
    document = resolved_document()
    resolved = counted(document, (0, 300))
    for account in document["accounts"]:
        account.pop("policies", None)
    document["simulation"]["resolve"] = False
    plain = counted(document, (0, 300))
    np.testing.assert_array_equal(resolved.hits, plain.hits)
    np.testing.assert_array_equal(resolved.joint, plain.joint)
    assert plain.aftermath.shape == (27, 3, 0, 3, 3)
    assert plain.breach.size == 0


def test_run__cube_of_what_follows_hangs_together(cube: xr.Dataset) -> None:
    last = cube.isel(horizon=-1)
    forced = cube["forced_liquidations"]
    np.testing.assert_array_equal(last["first_breach"].sum("market"), last["forced_liquidations"])
    assert forced.sum() > 0
    assert (cube["partial_liquidations"] + cube["closed_out"] <= forced).all()
    assert (last["policy_fired_needlessly"] <= last["policy_fired"]).all()
    assert last["policy_fired_needlessly"].sum() > 0
    for name in ("forced_liquidations", "managed_bankruptcies", "policy_fired"):
        assert (cube[name].diff("horizon") >= 0).all(), name
    assert (cube["cost_mean"].drop_sel(component="funding").diff("horizon") >= 0).all()
    assert (cube["forced_liquidations"].sel(account=["basis", "short"]) <= cube["liquidations"]).all()
    silent = cube["policy_fired"].sel(account=["basis", "quiet", "short"])
    assert not silent.any()
    assert not forced.sel(account="quiet").any()
    ended = cube["cost_mean"].sel(account="directional", leverage=1, scenario="baseline").isel(horizon=-1)
    assert (ended.drop_sel(component="funding") > 0).all()
    assert cube["market"].values.tolist() == ["BTC-USD", "ETH-USD", "ETHB-USD"]


def test_run__what_follows_is_the_same_by_processes_and_in_other_batches(
    cube: xr.Dataset, tmp_path: Path
) -> None:
    plan = plan_from_document(resolved_document())
    assert_same_counts(run(plan, tmp_path / "processes", "processes"), cube)
    assert_same_counts(run(plan, tmp_path / "batches", batch_paths=192), cube)


def test_run__nothing_of_it_where_nothing_is_followed(tmp_path: Path) -> None:
    document = small_document()
    document["simulation"]["paths"] = 128
    found = run(plan_from_document(document), tmp_path)
    assert not {"forced_liquidations", "cost_mean", "first_breach", "component", "market"} & set(
        found.variables
    )


def test_run__books_that_hold_nothing_have_nothing_that_follows(tmp_path: Path) -> None:
    document = resolved_document(128)
    document["accounts"] = [document["accounts"][2]]
    document["simulation"]["resolve"] = True
    found = run(plan_from_document(document), tmp_path)
    assert not found["forced_liquidations"].any()
    assert found["p_forced_liquidation_high"].min() > 0


def test_run__over_draws_each_path_is_followed_with_its_own(tmp_path: Path) -> None:
    document = drawn_document(640)
    document["simulation"]["resolve"] = True
    plan = plan_from_document(document)
    found = run(plan, tmp_path)
    assert found["forced_liquidations"].sum() > 0
    last = found.isel(horizon=-1)
    np.testing.assert_array_equal(last["first_breach"].sum("market"), last["forced_liquidations"])
    text = json.dumps(plan.document())
    alone = [simulate_block(text, Block(d, 128 * d, 128, 0)).aftermath for d in range(5)]
    np.testing.assert_array_equal(sum(alone)[0], found["forced_liquidations"])
    assert not np.array_equal(alone[0], alone[4])


def test_ledger__keeps_what_follows(tmp_path: Path) -> None:
    from pipeline.run import create_run, name_run
    from pipeline.store import open_store

    plan = plan_from_document(resolved_document(128))
    named = name_run(plan, open_store(tmp_path))
    create_run(named)
    ledger = Ledger(named.store, named.run_id, plan)
    for block in ledger.blocks:
        ledger.record(block, simulate_block(named.document, block))
    total, _ = Ledger(named.store, named.run_id, plan).total()
    expected = counted(resolved_document(128), (0, 128))
    np.testing.assert_array_equal(total.aftermath, expected.aftermath)
    np.testing.assert_array_equal(total.breach, expected.breach)
    assert expected.aftermath.any()
