"""Simulated paths: the run's own, and the states beside prices by their laws."""

from __future__ import annotations

import json
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.structs import LIQUIDATION
from pipeline.blocks import Block
from pipeline.engine import simulate_block
from pipeline.errors import InputError, PlanError
from pipeline.model_file import write_model
from pipeline.paths import simulate_paths
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document
from tests.pipeline.moving_states import basis_document, moving_document

PATHS = 300


def implied(level: float, **rest: Any) -> dict[str, Any]:
    """Implied volatility of BTC."""
    return {
        "level": {"BTC": level},
        "half_life": {"BTC": "2d"},
        "deviation": {"BTC": 0.2},
        "correlation": {"BTC": -0.6},
        **rest,
    }


def whole_document() -> dict[str, Any]:
    """Every state that a model can have, and scenarios that touch them."""
    document = basis_document()
    moving = moving_document()["model"]["regimes"]
    for name, regime in document["model"]["regimes"].items():
        regime["funding"] = moving[name]["funding"]
        regime["funding_process"] = moving[name]["funding_process"]
        regime["implied_volatility"] = implied(0.5 if name == "calm" else 0.9)
        regime["depth"] = {"BTC": 1.0, "ETH": 1.0} if name == "calm" else {"BTC": 0.3, "ETH": 0.2}
    rows = {"low": {"low": 0.9, "high": 0.1}, "high": {"low": 0.3, "high": 0.7}}
    document["model"]["levels"] = {"scale": {"low": 0.5, "high": 1.8}, "transitions": rows}
    document["scenarios"] = [
        "baseline",
        "gap-down-10",
        {
            "name": "storm",
            "narrative": "Everything at once.",
            "effects": [
                {"effect": "regime", "force": "crisis", "at": "1h", "for": "4h"},
                {"effect": "basis", "add": -0.05, "at": "2h", "for": "3h"},
                {"effect": "funding", "multiply": -1, "add": 0.25, "at": "4h"},
                {"effect": "depth", "multiply": {"BTC": 0.1}, "at": "2h", "for": "1h"},
                {"effect": "implied_volatility", "multiply": 2, "add": {"BTC": 0.1}, "at": "3h", "for": "1h"},
                {"effect": "event", "up": 0.1, "down": -0.2, "at": "5h"},
            ],
        },
    ]
    return document


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_from_document(whole_document())


@pytest.mark.parametrize("scenario", ["baseline", "gap-down-10", "storm"])
def test_simulate_paths__are_those_of_the_run(plan: Plan, scenario: str) -> None:
    """Looked at when steps close, accounts valued from the paths are hit as often as the run counts."""
    found = simulate_paths(plan, PATHS, scenario)
    counts = simulate_block(json.dumps(plan.document()), Block(0, 0, PATHS, 0))
    s = [each.name for each in plan.scenarios].index(scenario)
    long_short, hedger = plan.accounts
    venue = plan.venues["bracketed"]
    start = simulate_paths(plan, 1).price * 0 + np.array([61_250.0, 3_020.0])
    assert plan.simulation.monitoring == "close"
    for j, multiple in enumerate(plan.simulation.leverage):
        # dYdX: at the coin's price, funding clamped far away; paid every hour
        pnl, margin, paid = 0.0, 0.0, 0.0
        for position, asset in zip(long_short.positions, ("BTC", "ETH"), strict=True):
            price, size = found.price.sel(asset=asset), multiple * position.size
            first = float(start.sel(asset=asset)[0, 0])
            pnl = pnl + size * (price - first) + position.size * (first - position.entry)
            margin = margin + abs(size) * price * 0.012
            paid = paid + (size * price * found.funding.sel(asset=asset) / 8760).cumsum("step")
        dead = 100_000 + pnl - paid < margin
        expected = dead.cumsum("step").sel(step=[1, 4, 24]) > 0
        hits = counts.hits[LIQUIDATION, s, 0, j].cumsum()
        assert hits.tolist() == expected.sum("path").to_numpy().tolist()
    assert hedger.collateral["BTC"] == 1.0
    assert venue.is_marked


def test_simulate_paths__a_part_of_them_is_the_same_part(plan: Plan) -> None:
    whole = simulate_paths(plan, 200)
    part = simulate_paths(plan, 30, first_path=100)
    assert part.identical(whole.sel(path=slice(100, 129)))


def test_simulate_paths__marks_are_prices_and_the_change_of_the_basis(plan: Plan) -> None:
    state = plan_from_document(whole_document() | {"market_state": {"basis": {"BTC": 0.004}}})
    for scenario in ("baseline", "storm"):
        found = simulate_paths(state, PATHS, scenario).sel(asset="BTC")
        np.testing.assert_allclose(found.mark / found.price, (1 + found.basis) / 1.004, rtol=1e-10)
    calm = simulate_paths(state, PATHS).basis.sel(asset="BTC")
    storm = simulate_paths(state, PATHS, "storm").basis.sel(asset="BTC")
    np.testing.assert_allclose((1 + storm[:, 0]) / (1 + calm[:, 0]), 1.0)
    assert float(storm[:, 2:5].mean()) < float(calm[:, 2:5].mean()) - 0.03


def test_simulate_paths__implied_volatility_by_its_law() -> None:
    """From 60 %, in one regime of level 50 %: mean and variance of the log after a day; correlation -0.6."""
    document = small_document()
    calm = {**document["model"]["regimes"]["calm"], "implied_volatility": implied(0.5)}
    document["model"] |= {"regimes": {"calm": calm}, "transitions": {}, "initial": "calm"}
    document["scenarios"] = ["baseline"]
    document["market_state"] = {"implied_volatility": {"BTC": 0.6}}
    document["limits"] = []
    found = simulate_paths(plan_from_document(document), 20_000)
    assert found.implied_volatility.sel(asset="ETH").isnull().all()
    logs = np.log(found.implied_volatility.sel(asset="BTC")).to_numpy()
    kept = sqrt(0.5)  # half a half-life
    mean, variance = log(0.5) + kept * log(0.6 / 0.5), 0.04 * (1 - 0.5)
    assert logs[:, -1].mean() == pytest.approx(mean, abs=4 * sqrt(variance / 20_000))
    assert logs[:, -1].var() == pytest.approx(variance, rel=4 * sqrt(2 / 20_000))
    returns = np.diff(np.log(found.price.sel(asset="BTC")))
    shocks = logs[:, 1:] - log(0.5) - 2 ** (-1 / 48) * (logs[:, :-1] - log(0.5))
    assert np.corrcoef(returns.ravel(), shocks.ravel())[0, 1] == pytest.approx(-0.6, abs=0.01)


def test_simulate_paths__depth_is_the_regime_s_times_the_scenario_s(plan: Plan) -> None:
    found = simulate_paths(plan, PATHS, "storm")
    crisis = found.regime == 1
    assert found.attrs["regimes"] == ["calm", "crisis"]
    assert crisis[:, 1:5].all()
    assert not crisis.all()
    btc, eth = found.depth.sel(asset="BTC"), found.depth.sel(asset="ETH")
    np.testing.assert_array_equal(eth, np.where(crisis, 0.2, 1.0))
    np.testing.assert_allclose(btc[:, 2], 0.03)  # the third hour, in the crisis
    np.testing.assert_array_equal(btc[:, 6:], np.where(crisis[:, 6:], 0.3, 1.0))


def test_simulate_paths__level_in_force(plan: Plan) -> None:
    """It multiplies what the step does, follows its own chain, and is the same under every scenario."""
    found, storm = simulate_paths(plan, 4_000), simulate_paths(plan, 4_000, "storm")
    assert found.attrs["levels"] == ["low", "high"]
    np.testing.assert_array_equal(found.level, storm.level)
    level = found.level.to_numpy()
    stayed = [(level[:, 1:] == level[:, :-1])[level[:, :-1] == m].mean() for m in (0, 1)]
    assert stayed == pytest.approx([0.9, 0.7], abs=0.02)
    moves = np.diff(np.log(found.price.sel(asset="BTC")), axis=1)
    calm = found.regime.to_numpy()[:, 1:] == 0
    low, high = (np.median(np.abs(moves[calm & (level[:, 1:] == m)])) for m in (0, 1))
    assert high / low == pytest.approx(1.8 / 0.5, rel=0.1)


def test_simulate_paths__scenarios_change_states_for_as_long_as_they_say() -> None:
    document = whole_document()
    del document["scenarios"][2]["effects"][0]  # the forced regime: chains are the same
    free = plan_from_document(document)
    calm, storm = (simulate_paths(free, PATHS, name).sel(asset="BTC") for name in ("baseline", "storm"))
    np.testing.assert_allclose(storm.implied_volatility[:, 3], 2 * calm.implied_volatility[:, 3] + 0.1)
    np.testing.assert_array_equal(storm.implied_volatility[:, 4:], calm.implied_volatility[:, 4:])
    np.testing.assert_allclose(storm.funding[:, 4:], 0.25 - calm.funding[:, 4:])
    moved = np.unique(np.round(np.log(storm.price / calm.price)[:, 5:], 9))
    assert moved.tolist() == [-0.2, 0.1]


def test_simulate_paths__what_a_model_lacks_is_nan() -> None:
    document = small_document()
    for regime in document["model"]["regimes"].values():
        regime.pop("funding", None)
    found = simulate_paths(plan_from_document(document), 10)
    for name in ("mark", "funding", "basis", "implied_volatility", "depth"):
        assert found[name].isnull().all(), name
    assert found.price.notnull().all()
    assert found.attrs["levels"] == []
    assert not found.level.any()
    assert str(found.time[0].to_numpy())[:16] == "2026-05-15T01:00"


def test_simulate_paths__names_what_is_wrong(plan: Plan) -> None:
    with pytest.raises(InputError) as error:
        simulate_paths(plan, 0, "baselin")
    assert [problem.where for problem in error.value.problems] == ["scenario", "paths"]
    assert "did you mean `baseline`?" in str(error.value)


@pytest.mark.parametrize("name", ["liquidity-blackout", "gas-spike"])
def test_warnings__what_no_first_passage_reads(name: str) -> None:
    document = small_document()
    document["scenarios"] = ["baseline", name]
    plan = plan_from_document(document)
    told = [text for text in plan.warnings() if text.startswith(f"scenario {name}: ")]
    assert sum("resolve: true" in text for text in told) == 1
    hits = simulate_block(json.dumps(plan.document()), Block(0, 0, 512, 0)).hits
    np.testing.assert_array_equal(hits[:, 0], hits[:, 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": {"BTC": -0.5}}, "above zero"),
        ({"half_life": {}}, "a value for each underlying"),
        ({"level": {"BTC": 0.5, "ETH": 0.6}}, "a value for each underlying"),
        ({"level": {"BTX": 0.5}}, "an asset of the model"),
    ],
)
def test_model__implied_volatility_refused(change: dict[str, Any], words: str) -> None:
    document = whole_document()
    document["model"]["regimes"]["calm"]["implied_volatility"] |= change
    with pytest.raises(PlanError) as error:
        plan_from_document(document)
    assert words in str(error.value)


def test_write_model__states_are_read_back_equal(plan: Plan, tmp_path: Path) -> None:
    write_model(plan.model, tmp_path / "whole.yaml")
    document = whole_document() | {"model": str(tmp_path / "whole.yaml")}
    again = plan_from_document(document).model
    assert again.regimes == plan.model.regimes
