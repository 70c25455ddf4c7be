"""Bursts of a model: what is refused, what a plan makes of them, what they add to moments."""

from __future__ import annotations

import json
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.simulate import simulate_general_paths
from kernels.simulate import simulate_paths as simulate_paths_of
from kernels.structs import LIQUIDATION, create_tally
from pipeline.betas import mixed_covariance
from pipeline.blocks import Block, draw_of
from pipeline.bursts import MOST_BURSTS, Burst, burst_drift, burst_law, burst_products
from pipeline.engine import simulate_block
from pipeline.errors import PlanError
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.mixing import mixing_table
from pipeline.model import MarketModel, list_totals, model_from_document
from pipeline.model_file import write_model
from pipeline.paths import simulate_paths
from pipeline.plan import plan_from_document
from pipeline.report.assumptions import describe_model, list_not_modelled
from pipeline.scenario_faults import find_still
from pipeline.units import parse_duration
from pipeline.walks import describe_walk
from tests.pipeline.documents import drawn_document, small_document
from tests.pipeline.still_market import still_document

HOUR = 1 / 8760
FALL = {"per_year": 11.2, "move": {"BTC": -0.031, "ETH": -0.04}, "spread": 0.35}
RALLY = {"per_year": 26.1, "move": {"ETH": 0.034}, "spread": 0.6}
LEVELS = {
    "scale": {"low": 0.5, "high": 1.5},
    "transitions": {"low": {"low": 0.9, "high": 0.1}, "high": {"low": 0.3, "high": 0.7}},
}


def bursting(*bursts: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """The small plan with bursts in its model."""
    document = small_document()
    document["model"] |= {"bursts": list(bursts or (FALL, RALLY)), **rest}
    return document


def model_with(*bursts: dict[str, Any], **rest: Any) -> MarketModel:
    return model_from_document(bursting(*bursts, **rest)["model"])


def faults_of(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(PlanError) as caught:
        model_from_document(document)
    return {
        problem.where: f"{problem.expected}; {problem.got}; {problem.fix}"
        for problem in caught.value.problems
    }


def test_bursts__an_asset_left_out_does_not_move() -> None:
    model = model_with()
    assert model.bursts[1].move == {"BTC": 0.0, "ETH": 0.034}
    assert model_from_document(model.document()) == model
    assert model_from_document(small_document()["model"]).bursts == ()


@pytest.mark.parametrize(
    ("burst", "where", "words"),
    [
        ({"move": {}}, "bursts[0].move", "say who moves"),
        ({"move": {"BTC": 0.0, "ETH": 0.0}}, "bursts[0].move", "not 0"),
        ({"move": {"BTX": 0.1}}, "bursts[0].move.BTX", "did you mean `BTC`?"),
        ({"move": {"BTC": float("nan")}}, "bursts[0].move.BTC", "finite"),
        ({"move": {"BTC": 21.0}}, "bursts[0].move.BTC", "20"),
        ({"per_year": 0.0}, "bursts[0].per_year", "above 0"),
        ({"per_year": -1.0}, "bursts[0].per_year", "above 0"),
        ({"per_year": float("inf")}, "bursts[0].per_year", "finite"),
        ({"spread": -0.1}, "bursts[0].spread", "at least 0"),
        ({"spread": "wide"}, "bursts[0].spread", "number"),
        ({"often": 1}, "bursts[0].often", "known key"),
        ({"per_year": 9000.0}, "bursts[0].per_year", "at most one burst a model step on average"),
    ],
)
def test_bursts__refused(burst: dict[str, Any], where: str, words: str) -> None:
    found = faults_of(bursting(FALL | burst)["model"])
    assert any(place.startswith(f"model: {where}") and words in text for place, text in found.items()), found


def test_bursts__tells_all_that_is_wrong_at_once() -> None:
    wrong = [
        {"per_year": 9000, "move": {"BTX": 0.1}, "spread": -1},
        {"per_year": -1, "move": {}, "spread": 0},
    ]
    assert set(faults_of(bursting(*wrong)["model"])) == {
        f"model: bursts[{at}" for at in ("0].move.BTX", "0].spread", "0].per_year", "1].per_year", "1].move")
    }
    many = bursting(*[FALL | {"per_year": 0.1}] * (MOST_BURSTS + 1))
    assert f"at most {MOST_BURSTS}" in str(faults_of(many["model"]))


def test_burst_law__at_most_one_a_step() -> None:
    bursts = model_with().bursts
    law = burst_law(bursts, parse_duration("1h"))
    comes = 1.0 - exp(-37.3 * HOUR)
    assert law.tolist() == pytest.approx([comes * 11.2 / 37.3, comes])
    assert burst_law((), parse_duration("1h")).tolist() == []


# --- what a plan makes of them --------------------------------------------------------------------


def stormy(*effects: dict[str, Any], **model: Any) -> Any:
    """The lowered market and the parameter set of the third scenario's first step."""
    document = bursting(**model)
    document["scenarios"][2]["effects"] = list(effects)
    market = lower_market(plan_from_document(document))
    return market, int(market.parameters[2, 0])


def test_lower_market__bursts() -> None:
    market, _ = stormy({"effect": "tail", "df": 3.0})
    assert market.burst_move[0].tolist() == [[-0.031, -0.04], [0.0, 0.034]]
    np.testing.assert_allclose(market.burst_spread, np.array([[1.0], [sqrt(2.0)]]) * [0.35, 0.6])
    assert market.burst_mixing.tolist() == [-1, market.mixing[0, 1]]
    assert len(market.burst_law) == 2


def test_lower_market__bursts_have_the_models_own_tails() -> None:
    document = bursting()
    document["scenarios"][2]["effects"] = [{"effect": "tail", "df": 3.0}]
    document["scenarios"].reverse()  # the heavier tail is the first that is needed
    market = lower_market(plan_from_document(document))
    np.testing.assert_array_equal(market.mixing_tables[market.mixing[0, 1]], mixing_table(3.0))
    np.testing.assert_array_equal(market.mixing_tables[market.burst_mixing[1]], mixing_table(4.0))


def test_lower_market__volatility_scales_bursts_and_nothing_else_touches_them() -> None:
    market, louder = stormy(
        {"effect": "volatility", "multiply": {"all": 2, "BTC": 3}},
        {"effect": "volatility", "multiply": {"ETH": 0.5}},
        {"effect": "tail", "df": 3.0},
        {"effect": "drift", "add": -5.0},
        {"effect": "correlation", "target": "one", "blend": 0.9},
        {"effect": "regime", "force": "crisis"},
    )
    np.testing.assert_allclose(market.burst_move[louder], [[-0.093, -0.04], [0.0, 0.034]])
    assert market.burst_move[0].tolist() == [[-0.031, -0.04], [0.0, 0.034]]


def test_lower_market__still_assets_under_more_volatility_have_bursts_of_their_own() -> None:
    """Where nothing but bursts differs between two sets they are two all the same."""
    still = dict.fromkeys(("BTC", "ETH"), 0.0)
    document = bursting()
    for regime in document["model"]["regimes"].values():
        regime["volatility"] = still
    document["scenarios"][2]["effects"] = [{"effect": "volatility", "multiply": 2}]
    market = lower_market(plan_from_document(document))
    assert market.burst_move[market.parameters[2, 0], 0].tolist() == [-0.062, -0.08]
    assert market.burst_move[market.parameters[0, 0], 0].tolist() == [-0.031, -0.04]


def test_lower_market__without_bursts_has_none() -> None:
    market = lower_market(plan_from_document(small_document()))
    assert market.burst_law.shape == (0,)
    assert market.burst_move.shape == (len(market.drift), 0, 2)
    assert market.burst_spread.shape == (2, 0)


def still(*effects: dict[str, Any], step: str = "1h", **model: Any) -> dict[str, Any]:
    """A market in which nothing but bursts moves: A, B alone or together in half of the hours."""
    document = still_document(*effects)
    bursts = [
        {"per_year": 3000.0, "move": {"A": -0.02, "B": -0.03}, "spread": 0.0},
        {"per_year": 3000.0, "move": {"B": 0.05}, "spread": 0.5},
    ]
    document["model"] |= {"bursts": bursts, **model}
    document["simulation"]["step"] = step
    document["accounts"][0]["positions"].append({"market": "B-USD", "size": 1.0, "entry": 100.0})
    return document


def returns_of(
    document: dict[str, Any], paths: int = 640, scenario: str = "baseline"
) -> np.ndarray[Any, Any]:
    """Log returns (path, step, asset)."""
    price = simulate_paths(plan_from_document(document), paths, scenario).price.values
    whole = np.concatenate([np.full_like(price[:, :1], 100.0), price], axis=1)
    found: np.ndarray[Any, Any] = np.diff(np.log(whole), axis=1)
    return found


def test_simulate_paths__bursts_alone() -> None:
    found = returns_of(still())
    a, b = found[..., 0], found[..., 1]
    together, alone = np.isclose(a, -0.02), (np.abs(a) < 1e-12) & (np.abs(b) > 1e-12)
    comes = 1.0 - exp(-6000.0 * HOUR)
    for share in (together.mean(), alone.mean()):
        assert share == pytest.approx(comes / 2.0, abs=4.0 * sqrt(comes / 2.0 / a.size))
    assert (together | alone | (np.abs(found).max(axis=-1) < 1e-12)).all()
    np.testing.assert_allclose(b[together], -0.03)
    sizes = b[alone] / 0.05
    assert sizes.mean() == pytest.approx(1.0, abs=4 * 0.5 / sqrt(sizes.size))
    assert sizes.std() == pytest.approx(0.5, rel=0.15)


def test_simulate_paths__only_held_assets_keep_their_bursts() -> None:
    whole, alone = still(), still()
    alone["accounts"][0]["positions"].pop(0)
    np.testing.assert_array_equal(returns_of(alone, 64)[..., 0], returns_of(whole, 64)[..., 1])


def test_simulate_paths__finer_steps_share_a_burst() -> None:
    found = returns_of(still(step="15m"), 256)
    hours = found.reshape(256, -1, 4, 2)
    np.testing.assert_allclose(hours, hours[:, :, :1].repeat(4, axis=2), atol=1e-12)
    share = np.isclose(hours.sum(axis=2)[..., 0], -0.02).mean()
    comes = 1.0 - exp(-6000.0 * HOUR)
    assert share == pytest.approx(comes / 2.0, abs=4.0 * sqrt(comes / 2.0 / (256 * 8)))


def test_simulate_paths__volatility_scales_them_and_a_replay_has_none() -> None:
    names, hours = ("A", "B"), 4
    window = {"start": "2026-05-01T00:00:00Z", "end": "2026-05-01T04:00:00Z", "at": "2h"}
    history = {name: [0.01 * (1 + i) for i in range(hours)] for name in names}
    louder = {"effect": "volatility", "multiply": {"A": 3, "B": 2}}
    for mode in ("replace", "add"):
        document = still(louder, {"effect": "replay", "mode": mode, "returns": history, **window})
        name = document["scenarios"][1]["name"]
        base, storm = returns_of(document, 64), returns_of(document, 64, name)
        scaled = base * [3.0, 2.0]
        scaled[:, 2:6] = (scaled[:, 2:6] if mode == "add" else 0.0) + 0.01 * np.arange(1, 5)[:, None]
        np.testing.assert_allclose(storm, scaled, atol=1e-12)


def test_simulate_paths__heavier_tails_of_a_scenario_leave_them_alone() -> None:
    document = still({"effect": "tail", "df": 2.5})
    document["model"]["regimes"]["only"]["tail"] = 6.0
    base, storm = returns_of(document, 64), returns_of(document, 64, document["scenarios"][1]["name"])
    assert base.any()
    np.testing.assert_array_equal(storm, base)


def test_simulate_paths__levels_scale_them() -> None:
    document = still(levels=LEVELS)
    found = simulate_paths(plan_from_document(document), 128)
    moves = returns_of(document, 128)[..., 0]
    scale = np.array([0.5, 1.5])[found.level.values]
    came = np.abs(moves) > 1e-12
    assert set(scale[came]) == {0.5, 1.5}
    np.testing.assert_allclose(moves[came], -0.02 * scale[came])


def test_simulate_block__both_walks_have_the_same_bursts() -> None:
    """Of the one asset held of three, in steps finer than the model's, under effects."""
    window = {"start": "2026-05-01T00:00:00Z", "end": "2026-05-01T02:00:00Z", "at": "2h"}
    returns = {name: [-0.004, 0.004] * 4 for name in ("A", "B")}
    added = {"effect": "replay", "mode": "add", "returns": returns, **window}
    louder = {"effect": "volatility", "multiply": {"A": 3, "B": 2}, "at": "1h", "for": "4h"}
    document = still(louder, added, {"effect": "tail", "df": 3.0}, step="15m", levels=LEVELS)
    document["simulation"] |= {"monitoring": "close", "paths": 1024}
    regime = document["model"]["regimes"]["only"]
    regime |= {"volatility": {"A": 0.5, "B": 0.6, "C": 0.7}, "tail": 5.0}
    document["accounts"][0]["collateral"] = {"USDC": 5.0}
    document["accounts"][0]["positions"].pop(0)
    plan = plan_from_document(document)
    market, clock = lower_market(plan), lower_clock(plan)
    book = lower_book(plan, market, range(len(plan.accounts)))
    assert describe_walk(plan) == "the fast walk"
    tallies = []
    for simulate in (simulate_paths_of, simulate_general_paths):
        tallies.append(create_tally(2, 1, 1, 8, joint=True))
        simulate(3, 0, 1024, market, book, clock, tallies[-1])
    np.testing.assert_array_equal(tallies[0].hits, tallies[1].hits)
    hit = tallies[0].hits[LIQUIDATION].sum(axis=(1, 2, 3))
    assert (hit > 200).all()
    assert (hit < 1000).all()


def test_simulate_paths__perpetuals_move_with_their_asset() -> None:
    from tests.pipeline.moving_states import basis_document

    document = basis_document()
    document["model"]["bursts"] = [{"per_year": 5000.0, "move": {"BTC": -0.5}, "spread": 0.0}]
    found = simulate_paths(plan_from_document(document), 64)
    gap = np.log(found.mark.sel(asset="BTC") / found.price.sel(asset="BTC"))
    steps = gap.diff("step").values
    assert np.abs(steps).max() < 0.2 < float(np.abs(np.log(found.price.sel(asset="BTC")).diff("step")).max())


def test_simulate_block__bursts_count_on_a_worker_and_by_draw() -> None:
    document = drawn_document()
    document["model"]["bursts"] = [{"per_year": 4000.0, "move": {"BTC": -0.1}, "spread": 0.3}]
    document["model"]["parameter_draws"][1]["bursts"] = []
    document["simulation"]["parameter_uncertainty"] = True
    plan = plan_from_document(document)
    text = json.dumps(plan.document())
    draws = [draw_of(path, plan.simulation.paths, 5) for path in range(plan.simulation.paths)]
    louder, without = (simulate_block(text, Block(0, draws.index(n), 64, 0)).hits.sum() for n in (0, 1))
    assert louder > 2 * without


def test_drawn__own_bursts_the_models_or_none() -> None:
    document = drawn_document()["model"]
    document["bursts"] = [FALL]
    draws = document["parameter_draws"]
    draws[1]["bursts"] = [RALLY, FALL | {"per_year": 20.0}]
    draws[2]["bursts"] = []
    model = model_from_document(document)
    assert [len(model.drawn(n).bursts) for n in range(4)] == [1, 2, 0, 1]
    assert model.drawn(0).bursts == model.bursts
    assert model.drawn(1).bursts[1].per_year == 20.0
    assert model_from_document(model.document()) == model
    draws[1]["bursts"] = [FALL | {"move": {"BTX": 1.0}}]
    draws[3]["bursts"] = [FALL | {"per_year": 9000.0}]
    found = faults_of(document)
    assert set(found) == {
        "model: parameter_draws[1].bursts[0].move.BTX",
        "model: parameter_draws[3].bursts[0].per_year",
    }


# --- moments and words ----------------------------------------------------------------------------


def test_burst_moments__of_simulated_returns() -> None:
    """Drift and products a year against bursts drawn here, one at most in a step."""
    bursts = [
        Burst(per_year=3000, move={"A": 0.02}, spread=0.4),
        Burst(per_year=2000, move={"A": -0.03, "B": 0.01}, spread=0.0),
    ]
    rng, steps, step = np.random.default_rng(5), 400_000, parse_duration("1h")
    which = np.searchsorted(burst_law(bursts, step), rng.random(steps))
    sizes = 1.0 + np.array([0.4, 0.0, 0.0])[which] * rng.standard_t(6.0, steps)
    x = np.array([[0.02, 0.0], [-0.03, 0.01], [0.0, 0.0]])[which] * sizes[:, None]
    error = 5.0 * x.std(axis=0) / sqrt(steps) / HOUR
    assert (np.abs(x.mean(axis=0) / HOUR - burst_drift(bursts, ("A", "B"), step)) < error).all()
    np.testing.assert_allclose(
        x.T @ x / steps / HOUR, burst_products(bursts, ("A", "B"), step, 6.0), rtol=0.02
    )


def test_totals__drift_and_volatility_with_bursts_at_the_mean_level() -> None:
    model = model_with(levels=LEVELS)  # mean scale 0.75, mean square 0.75
    factor = (1.0 - exp(-37.3 * HOUR)) / (37.3 * HOUR)
    rates = np.array([11.2, 26.1]) * factor
    assert model.total_drift("calm") == pytest.approx(
        {"BTC": 0.1 - 0.75 * rates[0] * 0.031, "ETH": 0.75 * (-rates[0] * 0.04 + rates[1] * 0.034)}
    )
    eth = 0.04**2 * rates[0] * (1 + 0.35**2 * 2) + 0.034**2 * rates[1] * (1 + 0.6**2 * 2)
    jumps = 12 * (0.05**2 + 0.04**2)
    assert model.total_volatility("crisis")["ETH"] == pytest.approx(sqrt(1.6**2 + jumps + 0.75 * eth))


def test_mixed_covariance__bursts_by_the_tail_of_each_regime() -> None:
    plain, model = (
        model_from_document(small_document()["model"] | {"levels": LEVELS}),
        model_with(levels=LEVELS),
    )
    calm, crisis = model.stationary_law()
    factor = 0.75 * (1.0 - exp(-37.3 * HOUR)) / (37.3 * HOUR)
    both = 11.2 * 0.031 * 0.04 * (1 + 0.35**2 * (calm + crisis * 2.0))
    added = mixed_covariance(model) - mixed_covariance(plain)
    assert added[0, 1] == added[1, 0] == pytest.approx(factor * both)
    assert added[1, 1] > added[0, 1] > added[0, 0] > 0.0


def test_find_still__what_bursts_move_does_not_stand_still() -> None:
    document = still()["model"]
    assert find_still(document) == {"C"}


def test_list_totals__regimes_with_bursts_then_each_burst() -> None:
    lines = list(list_totals(model_with()))
    assert [line.split(",")[0] for line in lines[:2]] == ["regime calm", "regime crisis"]
    assert "a year with jumps and bursts: BTC -0.2465 and" in lines[0]
    assert lines[2:] == [
        "burst 11.2 times a year, log return in one step: BTC −3.1 %, ETH −4 %, sizes spread by 0.35 of that",
        "burst 26.1 times a year, log return in one step: ETH +3.4 %, sizes spread by 0.6 of that",
    ]


def test_describe_model__bursts_in_rows_and_notes() -> None:
    document = plan_from_document(bursting()).document()
    table = describe_model(document["model"])
    rows = dict(table.rows)
    assert rows["drift BTC, with jumps and bursts"][0] == "−24.6 %"
    assert rows["volatility BTC, with jumps and bursts"][0] == "46.3 %"
    assert table.notes[1].startswith("Burst 11.2 times a year, log return in one step: BTC −3.1 %")
    assert len(table.notes) == 3


def test_list_not_modelled__bursts_that_draws_do_not_have() -> None:
    document = drawn_document()
    document["model"]["bursts"] = [FALL]
    plan = plan_from_document(document).document()
    assert "wicks, jumps and bursts are not drawn" in list_not_modelled(plan)[0]
    for draw in document["model"]["parameter_draws"]:
        draw["bursts"] = [FALL]
    assert "wicks and jumps are not drawn" in list_not_modelled(plan_from_document(document).document())[0]


def test_write_model__bursts_are_read_back_and_none_is_left_out(tmp_path: Path) -> None:
    for model in (model_with(), model_from_document(small_document()["model"])):
        path = tmp_path / "model.yaml"
        write_model(model, path)
        again = plan_from_document(small_document() | {"model": str(path)}).model
        assert again.bursts == model.bursts
        assert ("\nbursts:" in path.read_text()) == bool(model.bursts)
