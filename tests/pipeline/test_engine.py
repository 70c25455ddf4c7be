from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from kernels.jit import hash_sources
from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline import (
    betas,
    blocks,
    correlation,
    effects,
    engine,
    groups,
    lower_book,
    lower_market,
    lower_timeline,
    margin_now,
    mixing,
    pools,
    requirement,
    slabs,
    spread,
)
from pipeline.blocks import Block
from pipeline.chain import stationary_law
from pipeline.engine import (
    NUMERIC_SOURCES,
    Counts,
    collect_tallies,
    hash_numerics,
    merge_counts,
    simulate_block,
    warm_kernels,
    zero_counts,
)
from pipeline.model import MarketModel
from pipeline.plan import plan_from_document
from tests.pipeline.documents import wicked_document
from tests.runs import hit_document


def counted(document: dict[str, Any], *pieces: tuple[int, int]) -> Counts:
    """Hits and joint counts of paths first .. first + count - 1, summed over the pieces."""
    text = json.dumps(plan_from_document(document).document())
    found = [simulate_block(text, Block(0, first, count, 0)) for first, count in pieces]
    return merge_counts(plan_from_document(document), [(0, counts) for counts in found])


def test_simulate_block__is_the_same_however_paths_are_cut() -> None:
    document = hit_document()
    whole = counted(document, (0, 500))
    cut = counted(document, (0, 64), (64, 129), (193, 1), (194, 306))
    np.testing.assert_array_equal(whole.hits, cut.hits)
    np.testing.assert_array_equal(whole.joint, cut.joint)
    assert whole.hits[LIQUIDATION, 0, 1].any()


def test_simulate_block__wicks_only_where_they_are_asked_for() -> None:
    document, wicked = hit_document(), wicked_document()
    bridge = counted(document, (0, 500))
    document["model"] = wicked["model"]
    np.testing.assert_array_equal(counted(document, (0, 500)).hits, bridge.hits)
    document["simulation"]["monitoring"] = "wick"
    wick = counted(document, (0, 500))
    at_end = [counts.hits.sum(axis=-1) for counts in (bridge, wick)]
    assert (at_end[1] >= at_end[0]).all()
    assert at_end[1].sum() > at_end[0].sum()


def test_simulate_block__is_the_same_however_accounts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    document = hit_document(300)
    document["accounts"][0]["collateral"]["USDC"] = 12_000
    whole = counted(document, (0, 300)).hits
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", 1)
    document["name"] = "in slabs of one"  # lowered books are remembered by the plan's text
    text = json.dumps(plan_from_document(document).document())
    for account in range(2):
        part = simulate_block(text, Block(0, 0, 300, account)).hits
        np.testing.assert_array_equal(part[:, :, 0], whole[:, :, account])
        assert part[LIQUIDATION].any()


def test_simulate_block__one_account_that_cannot_takes_all_to_the_general_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However accounts are cut: else a count would depend on who is in the same slab."""
    document = hit_document(300)
    document["name"] = "in slabs of one, one of them in a group"
    document["accounts"][1]["group"] = "a"
    document["simulation"]["monitoring"] = "close"
    for regime in document["model"]["regimes"].values():
        regime.pop("jumps", None)
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", 1)
    text = json.dumps(plan_from_document(document).document())
    taken = []
    monkeypatch.setattr("pipeline.engine.simulate_paths", lambda *given: taken.append(given[7]))
    for slab in range(2):
        simulate_block(text, Block(0, 0, 300, slab))
    assert taken == ["groups of accounts"] * 2


def test_merge_counts__puts_accounts_and_groups_in_the_plans_order(monkeypatch: pytest.MonkeyPatch) -> None:
    document = hit_document(300)
    account = document["accounts"][1]
    isolated = {
        "name": "alone",
        "margin": "isolated",
        "positions": [
            {"market": "BTC-USD", "size": 1, "entry": 61_250, "margin": "isolated", "collateral": 3_000},
            {"market": "ETH-USD", "size": -20, "entry": 3_020, "margin": "isolated", "collateral": 3_000},
        ],
    }
    document["accounts"] = [
        {**account, "name": "first", "group": "b"},
        isolated,
        {**account, "name": "second", "group": "a"},
        {**account, "name": "third", "group": "b", "collateral": {"USDC": 15_000}},
    ]
    whole = counted(document, (0, 300))
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", 2)
    document["name"] = "in slabs of two"
    plan = plan_from_document(document)
    text = json.dumps(plan.document())
    assert slabs.plan_slabs(plan) == ((0, 3), (1, 2))
    cut = merge_counts(plan, [(slab, simulate_block(text, Block(0, 0, 300, slab))) for slab in range(2)])
    for name in ("hits", "last_pool", "groups"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))
        assert getattr(cut, name).any()


def test_simulate_block__other_seed_other_paths() -> None:
    document = hit_document()
    first = counted(document, (0, 500))
    other_paths = counted(document, (500, 500))
    document["simulation"]["seed"] = 8
    other_seed = counted(document, (0, 500))
    assert not np.array_equal(first.hits, other_paths.hits)
    assert not np.array_equal(first.hits, other_seed.hits)


def test_collect_tallies__accumulates_over_horizons() -> None:
    plan = plan_from_document(hit_document())
    hits = np.arange(3 * 3 * 2 * 3 * 3).reshape(3, 3, 2, 3, 3)
    joint = np.arange(3 * 3 * 2 * 2).reshape(3, 3, 2, 2)
    tallies = collect_tallies(zero_counts(plan, (0, 1))._replace(hits=hits, joint=joint), plan)
    assert tallies.margin_calls[0, 0].tolist() == [[0, 1, 3], [3, 7, 12], [6, 13, 21]]
    for mark, name in ((MARGIN_CALL, "margin_calls"), (LIQUIDATION, "liquidations")):
        assert (getattr(tallies, name)[..., 2] == hits[mark].sum(axis=-1)).all()
    assert (tallies.bankruptcies[..., 1] == hits[BANKRUPTCY, ..., :2].sum(axis=-1)).all()
    assert tallies.joint is not None
    assert (tallies.joint[:, 2] == joint.sum(axis=1)).all()
    assert tallies.paths == 2_048


@pytest.mark.parametrize(
    "counts",
    [
        engine,
        lower_market,
        lower_timeline,
        lower_book,
        betas,
        effects,
        mixing,
        correlation,
        margin_now,
        pools,
        requirement,
        slabs,
        spread,
        blocks,
        groups,
        MarketModel.initial_law,
        MarketModel.regime_named,
        stationary_law,
    ],
)
def test_hash_numerics__covers_every_source_that_counts(counts: Any) -> None:
    assert Path(str(inspect.getsourcefile(counts))).name in NUMERIC_SOURCES


def test_hash_numerics__changes_with_any_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(str(pipeline.__file__)).parent
    for name in NUMERIC_SOURCES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    hash_anew = hash_numerics.__wrapped__  # a process keeps the first answer
    before = hash_anew()
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "engine.py"))
    assert hash_anew() == before
    seen = {before}
    for name in NUMERIC_SOURCES:
        with (tmp_path / name).open("ab") as source:
            source.write(b"# changed\n")
        seen.add(hash_anew())
    monkeypatch.setattr(engine, "hash_sources", lambda: "other kernels")
    seen.add(hash_anew())
    assert len(seen) == len(NUMERIC_SOURCES) + 2


def test_warm_kernels__names_the_sources_it_ran() -> None:
    assert warm_kernels() == hash_numerics() != hash_sources()


def test_collect_tallies__keeps_what_only_some_plans_have() -> None:
    document = hit_document()
    plain = plan_from_document(document)
    assert collect_tallies(zero_counts(plain, (0, 1)), plain).all_pools is None
    document["accounts"][0]["positions"][0] |= {"margin": "isolated", "collateral": 30_000}
    document["accounts"][1]["group"] = "desk"
    plan = plan_from_document(document)
    tallies = collect_tallies(counted(document, (0, 500)), plan)
    assert tallies.all_pools is not None
    assert tallies.groups is not None
    assert tallies.quantum.shape == (1,)
    np.testing.assert_array_equal(tallies.all_pools[:, 1], tallies.liquidations[:, 1])
    assert (tallies.all_pools[:, 0] < tallies.liquidations[:, 0]).any()
    assert not (tallies.all_pools[:, 0] > tallies.liquidations[:, 0]).any()
