"""Runs over draws of the model's parameters: each path by its own draw, and what the cube makes of it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit, logit

from kernels.structs import LIQUIDATION
from pipeline.blocks import Block, draw_of, plan_blocks
from pipeline.engine import simulate_block
from pipeline.errors import PlanError
from pipeline.ledger import Ledger
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from pipeline.report import render_report
from pipeline.run import create_run, load_cube, name_run, run, simulate_run
from pipeline.spread import Spread
from pipeline.store import open_store
from pipeline.verdict import judge_limits
from tests.pipeline.documents import drawn_document, small_document, spoil
from tests.pipeline.test_report import Page
from tests.pipeline.test_verdict_table import said_in_terminal
from tests.runs import assert_same_counts

DRAWS = 5
PATHS = 2_048


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_from_document(drawn_document())


@pytest.fixture(scope="module")
def cube(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run(plan, tmp_path_factory.mktemp("draws"))


def stretches() -> list[tuple[int, int]]:
    """First path and number of paths of each draw."""
    ends = [draw * PATHS // DRAWS for draw in range(DRAWS + 1)]
    return [(start, end - start) for start, end in pairwise(ends)]


def hits_alone(plan: Plan, draw: int, first: int, paths: int) -> np.ndarray[Any, Any]:
    """What a plan on the model of one draw alone counts on these paths."""
    document = plan.document()
    document["model"] = plan.model.drawn(draw).document()
    document["simulation"]["parameter_uncertainty"] = False
    text = json.dumps(plan_from_document(document).document())
    return simulate_block(text, Block(0, first, paths, 0)).hits


# --- which path has which draw --------------------------------------------------------------------


@pytest.mark.parametrize(("paths", "draws"), [(2_048, 5), (1, 1), (64, 64), (65, 64), (200_000, 32)])
def test_draw_of__shares_the_paths_in_order_and_evenly(paths: int, draws: int) -> None:
    found = [draw_of(path, paths, draws) for path in range(paths)]
    assert found == sorted(found)
    counts = np.bincount(found, minlength=draws)
    assert len(counts) == draws
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("size", [None, 64, 100, 10**6])
@pytest.mark.parametrize("draws", [2, 5, 32, 40])
def test_plan_blocks__no_block_has_paths_of_two_draws(draws: int, size: int | None) -> None:
    blocks = plan_blocks(5_000, 2, size, draws)
    assert [block.first_path for block in blocks[::2]] == sorted({block.first_path for block in blocks})
    assert sum(block.paths for block in blocks) == 10_000
    assert [block.batch for block in blocks[::2]] == list(range(len(blocks) // 2))
    for block in blocks:
        last = block.first_path + block.paths - 1
        assert draw_of(block.first_path, 5_000, draws) == draw_of(last, 5_000, draws)


def test_simulate_block__refuses_paths_of_two_draws(plan: Plan) -> None:
    with pytest.raises(ValueError, match="draws 0 to 4"):
        simulate_block(json.dumps(plan.document()), Block(0, 0, PATHS, 0))


# --- the union of runs on each draw's model -------------------------------------------------------


def test_simulate_block__counts_what_the_draws_model_counts(plan: Plan) -> None:
    text = json.dumps(plan.document())
    seen = set()
    for draw, (first, paths) in enumerate(stretches()):
        hits = simulate_block(text, Block(0, first, paths, 0)).hits
        np.testing.assert_array_equal(hits, hits_alone(plan, draw, first, paths))
        assert not np.array_equal(hits, hits_alone(plan, (draw + 1) % DRAWS, first, paths))
        seen.add(hits.tobytes())
    assert len(seen) == DRAWS


def test_run__is_the_union_of_the_draws_runs(plan: Plan, cube: xr.Dataset) -> None:
    parts = [hits_alone(plan, draw, *stretch) for draw, stretch in enumerate(stretches())]
    expected = np.cumsum(sum(parts), axis=-1)
    np.testing.assert_array_equal(cube["liquidations"].values, expected[LIQUIDATION])
    assert (cube["paths"].values == PATHS).all()


@pytest.mark.parametrize("size", [64, 100, 1_000])
def test_run__is_the_same_in_blocks_of_any_size(
    plan: Plan, cube: xr.Dataset, size: int, tmp_path: Path
) -> None:
    assert_same_counts(run(plan, tmp_path, batch_paths=size), cube)


def test_run__is_the_same_by_processes_and_when_resumed(plan: Plan, cube: xr.Dataset, tmp_path: Path) -> None:
    named = name_run(plan, open_store(tmp_path))
    create_run(named)
    ledger = Ledger(named.store, named.run_id, plan)
    for block in ledger.blocks[3::2]:
        ledger.record(block, simulate_block(named.document, block))
    assert simulate_run(named, cluster="processes")
    assert_same_counts(load_cube(named), cube)


def test_lower_market__scenarios_mean_the_same_in_all_draws() -> None:
    """Betas and the wildest regime are the model's own, whatever a draw makes of volatilities."""
    document = drawn_document()
    crisis = document["model"]["parameter_draws"][0]["regimes"]["crisis"]
    crisis["volatility"] = {"BTC": 0.1, "ETH": 0.3}
    document["scenarios"][2]["effects"] = [
        {"effect": "shock", "moves": {"BTC": -0.1}, "beta": "BTC"},
        {"effect": "regime", "force": "wildest"},
    ]
    plan = plan_from_document(document)
    own, drawn = lower_market(plan), lower_market(plan, 0)
    np.testing.assert_array_equal(drawn.shocks, own.shocks)
    np.testing.assert_array_equal(drawn.forced, own.forced)
    assert not np.array_equal(drawn.volatility, own.volatility)


# --- the cube -------------------------------------------------------------------------------------


def test_build_cube__interval_over_draws_by_hand(plan: Plan, cube: xr.Dataset) -> None:
    share = np.array(
        [
            np.cumsum(hits_alone(plan, draw, first, paths), axis=-1)[LIQUIDATION] / paths
            for draw, (first, paths) in enumerate(stretches())
        ]
    )
    cell = {"scenario": 0, "account": 1, "leverage": 1, "horizon": 2}
    here = share[:, *cell.values()]
    p, s = here.mean(), here.std(ddof=1)
    half = 2.7764451 * s * np.sqrt(6 / 5) / (p * (1 - p))  # t of 4 degrees of freedom, 97.5 %
    found = cube.isel(cell)
    assert float(found["p_liquidation_model_low"]) == pytest.approx(expit(logit(p) - half), rel=1e-6)
    assert float(found["p_liquidation_model_high"]) == pytest.approx(expit(logit(p) + half), rel=1e-6)
    assert cube.attrs["draws"] == DRAWS


@pytest.mark.parametrize("event", ["p_liquidation", "p_margin_call", "p_bankruptcy"])
def test_build_cube__interval_over_draws_holds_that_of_the_simulation(cube: xr.Dataset, event: str) -> None:
    low, high = cube[f"{event}_model_low"], cube[f"{event}_model_high"]
    told = np.isfinite(low.values)
    assert told.any()
    assert (low <= cube[f"{event}_low"]).values[told].all()
    assert (high >= cube[f"{event}_high"]).values[told].all()
    count = np.minimum(cube[event] * PATHS, PATHS - cube[event] * PATHS).values
    certain = cube[f"{event}_low"].values == 1
    np.testing.assert_array_equal(told, (count > DRAWS - 0.5) | certain)


def test_spread__is_that_of_the_shares() -> None:
    hits = np.random.default_rng(1).integers(0, 20, (3, 3, 2, 2, 2, 4))
    spread = Spread()
    for paths, of_draw in zip((100, 101, 100), hits, strict=True):
        spread.add(of_draw, paths)
    share = np.cumsum(hits, axis=-1) / np.array([100, 101, 100]).reshape(3, 1, 1, 1, 1, 1)
    np.testing.assert_allclose(spread.total / 3, share.mean(axis=0))
    variance = spread.squares / 3 - (spread.total / 3) ** 2
    np.testing.assert_allclose(variance * 1.5, share.var(axis=0, ddof=1))


def test_run__without_uncertainty_has_no_interval_over_draws(tmp_path: Path) -> None:
    document = drawn_document(256)
    document["simulation"]["parameter_uncertainty"] = False
    plan = plan_from_document(document)
    assert plan.model.parameter_draws is None  # no number depends on them
    cube = run(plan, tmp_path)
    assert cube.attrs["draws"] == 0
    assert not [name for name in cube if "model" in str(name)]


# --- refusals -------------------------------------------------------------------------------------


def test_plan_from_document__refuses_uncertainty_without_draws() -> None:
    document = small_document()
    document["simulation"]["parameter_uncertainty"] = True
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    (problem,) = caught.value.problems
    assert problem.where.endswith("simulation.parameter_uncertainty")
    assert problem.got == "a model without `parameter_draws:`"
    assert "--draws 32" in problem.fix


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("simulation", "paths"), 319, "at least 64 paths for each of the model's 5 draws"),
        (("simulation", "parameter_uncertainty"), "yes", "true or false"),
    ],
)
def test_plan_from_document__refuses_uncertainty(path: tuple[str, ...], value: Any, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        plan_from_document(spoil(drawn_document(), path, value))
    assert plan_from_document(drawn_document(320)).draws == DRAWS


def test_plan_from_document__reads_back_equal(plan: Plan) -> None:
    assert plan_from_document(plan.document()) == plan


# --- words ----------------------------------------------------------------------------------------


def test_verdict_and_report__say_what_was_assessed(plan: Plan, cube: xr.Dataset) -> None:
    said = " ".join(said_in_terminal(cube, list(plan.limits)).split())
    page = Page(render_report(cube, judge_limits(cube, plan.limits))).text
    for text in (said, page):
        assert "not assessed." not in text.replace("form is not assessed.", "")
        assert "model [" in text
        assert "5 draws" in text
    assert "the form of the model is taken as given" in said
    assert "errors of the fitted figures are assessed by 5 draws" in page


def test_judge_limits__status_rests_on_the_simulation_alone(plan: Plan, cube: xr.Dataset) -> None:
    judgements = [each for each in judge_limits(cube, plan.limits) if each.model is not None]
    assert judgements
    for judgement in judgements:
        assert judgement.model is not None
        if np.isfinite(judgement.model[0]):
            assert judgement.model[0] < judgement.low
    moved = cube.copy()
    moved["p_liquidation_model_low"] = moved["p_liquidation_model_low"] * 0.0
    again = judge_limits(moved, plan.limits)
    assert [each.status for each in again] == [each.status for each in judge_limits(cube, plan.limits)]
