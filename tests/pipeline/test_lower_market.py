from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, poisson

from kernels.structs import DOUBLE_EXPONENTIAL, NORMAL, Market
from pipeline.lower_market import lower_market, simulated_assets
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document, two_sided_jumps, wicked_document

STEP = 1 / 8760  # an hour, in years
CALM, CRISIS, BTC, ETH = 0, 1, 0, 1
STORM = 2


def plan_with(*effects: dict[str, Any], **simulation: Any) -> Plan:
    """The small plan, its third scenario with these effects."""
    document = small_document()
    document["scenarios"][STORM]["effects"] = list(effects)
    document["simulation"] |= simulation
    return plan_from_document(document)


def stormy(*effects: dict[str, Any], **simulation: Any) -> tuple[Market, int]:
    """The lowered market, and the parameter set of that scenario's first step."""
    market = lower_market(plan_with(*effects, **simulation))
    return market, int(market.parameters[STORM, 0])


def correlation_of(market: Market, parameters: int, regime: int) -> float:
    covariance = market.covariance[market.loading_of_set[parameters], regime]
    return float(covariance[0, 1] / sqrt(covariance[0, 0] * covariance[1, 1]))


def held_steps(market: Market) -> list[int]:
    """The steps in which the third scenario is not the baseline."""
    return np.flatnonzero(market.parameters[STORM] != market.parameters[0]).tolist()


def test_lower_market__figures_per_step() -> None:
    market = lower_market(plan_from_document(small_document()))
    assert market.spot.tolist() == [61_250, 3_020]
    assert market.parameters.shape == market.forced.shape == market.shock.shape == (3, 24)
    assert market.drift[0, CALM].tolist() == pytest.approx([0.1 * STEP, 0.0])
    assert market.drift[0, CRISIS].tolist() == [0.0, 0.0]
    root = sqrt(STEP)
    assert market.loading[0, CALM] == pytest.approx(
        root * np.array([[0.45, 0, 0, 0], [0.6 * 0.8, 0.6 * 0.6, 0, 0]])
    )
    assert market.volatility[0] == pytest.approx(root * np.array([[0.45, 0.6], [1.3, 1.6]]))
    assert market.covariance[0, CRISIS, BTC, ETH] == pytest.approx(0.95 * 1.3 * 1.6 * STEP)
    assert market.funding[0].tolist() == [[0.10, 0.08], [0.0, 0.0]]
    assert market.mixing[0].tolist() == [-1, 0]
    assert market.additive == 0
    assert market.substeps == 1
    assert market.has_funding == market.has_jumps == 1


def test_lower_market__laws_of_the_chain_are_cumulative() -> None:
    document = small_document()
    document["model"]["initial"] = {"crisis": 0.25, "calm": 0.75}
    market = lower_market(plan_from_document(document))
    assert market.initial.tolist() == [[0.75, 1.0]]
    assert market.level_scale.tolist() == market.level_initial.tolist() == [1.0]
    assert market.transitions.tolist() == pytest.approx(np.array([[0.995, 1.0], [0.04, 1.0]]))
    stationary = lower_market(plan_from_document(small_document())).initial
    assert stationary[0, 0] == pytest.approx(0.04 / 0.045)


def test_lower_market__levels_and_the_first_regime_given_the_level() -> None:
    document = small_document()
    rows = {"low": {"low": 0.9, "high": 0.1}, "high": {"low": 0.3, "high": 0.7}}
    document["model"]["levels"] = {"scale": {"low": 0.5, "high": 1.5}, "transitions": rows}
    market = lower_market(plan_from_document(document))
    assert market.level_scale.tolist() == [0.5, 1.5]
    assert market.level_initial == pytest.approx([0.75, 1.0])
    np.testing.assert_allclose(market.level_transitions, [[0.9, 1.0], [0.3, 1.0]])
    np.testing.assert_allclose(market.initial, [[0.04 / 0.045, 1.0]] * 2)  # stationary: no word on each other
    given = {"calm": {"low": 1.0}, "crisis": {"low": 0.25, "high": 0.75}}
    law = {"calm": 0.6, "crisis": 0.4}
    document["model"] |= {"initial": "filtered"}
    document["model"]["filtered"] = {"as_of": document["as_of"], "law": law, "levels": given}
    market = lower_market(plan_from_document(document))
    assert market.level_initial == pytest.approx([0.7, 1.0])
    np.testing.assert_allclose(market.initial, [[0.6 / 0.7, 1.0], [0.0, 1.0]], atol=1e-12)


def test_lower_market__finer_steps_share_a_model_step() -> None:
    market = lower_market(plan_with(step="15m"))
    assert market.substeps == 4
    assert market.parameters.shape[1] == 96
    assert market.volatility[0, CALM, BTC] == pytest.approx(0.45 * sqrt(STEP / 4))


@pytest.mark.parametrize(
    ("target", "blend", "calm", "crisis"),
    [
        ("one", 0.9, 0.1 * 0.8 + 0.9, 0.1 * 0.95 + 0.9),
        ("zero", 0.5, 0.4, 0.475),
        ([[1, -0.5], [-0.5, 1]], 0.5, 0.15, 0.225),
        ("one", 1.0, 1.0, 1.0),
    ],
)
def test_lower_market__correlation_blend(target: Any, blend: float, calm: float, crisis: float) -> None:
    market, parameters = stormy({"effect": "correlation", "target": target, "blend": blend})
    assert correlation_of(market, parameters, CALM) == pytest.approx(calm)
    assert correlation_of(market, parameters, CRISIS) == pytest.approx(crisis)
    assert market.volatility[market.loading_of_set[parameters]] == pytest.approx(market.volatility[0])
    assert correlation_of(market, int(market.parameters[0, 0]), CALM) == pytest.approx(0.8)


@pytest.mark.parametrize(("df", "calm", "crisis"), [(3.0, 3.0, 3.0), (6.0, 6.0, 4.0), (4.0, 4.0, 4.0)])
def test_lower_market__tail_is_the_heavier_one(df: float, calm: float, crisis: float) -> None:
    from pipeline.mixing import mixing_table

    market, parameters = stormy({"effect": "tail", "df": df})
    tables = [market.mixing_tables[number] for number in market.mixing[parameters]]
    np.testing.assert_array_equal(tables[CALM], mixing_table(calm))
    np.testing.assert_array_equal(tables[CRISIS], mixing_table(crisis))
    assert market.mixing[0].tolist() == [-1, 0]
    assert len(market.mixing_tables) == len({df, 4.0})


def test_lower_market__drift_and_volatility_by_asset() -> None:
    market, parameters = stormy(
        {"effect": "drift", "add": {"all": -5.5, "ETH": 1.0}},
        {"effect": "volatility", "multiply": {"all": 2, "BTC": 3}},
        {"effect": "volatility", "multiply": {"ETH": 0.5}},
    )
    assert market.drift[parameters, CALM].tolist() == pytest.approx([(0.1 - 5.5) * STEP, 1.0 * STEP])
    assert market.drift[parameters, CRISIS].tolist() == pytest.approx([-5.5 * STEP, 1.0 * STEP])
    loading = market.loading_of_set[parameters]
    assert market.volatility[loading, CALM] == pytest.approx(sqrt(STEP) * np.array([0.45 * 3, 0.6]))


def test_lower_market__funding_is_multiplied_then_added() -> None:
    market, parameters = stormy({"effect": "funding", "multiply": 2, "add": {"BTC": 3.285}})
    assert market.funding[parameters].tolist() == pytest.approx(np.array([[0.2 + 3.285, 0.16], [3.285, 0.0]]))


@pytest.mark.parametrize(
    ("window", "steps"),
    [
        ({}, range(24)),
        ({"at": "2h"}, range(2, 24)),
        ({"at": "2h", "for": "3h"}, range(2, 5)),
        ({"for": "1h"}, range(1)),
        ({"at": "20h", "for": "30h"}, range(20, 24)),
        ({"at": "24h"}, range(0)),
        ({"at": "2d", "for": "1h"}, range(0)),
    ],
)
def test_lower_market__effects_hold_in_their_window(window: dict[str, str], steps: range) -> None:
    market = lower_market(plan_with({"effect": "funding", "add": 1.0, **window}))
    assert held_steps(market) == list(steps)


def test_lower_market__overlapping_windows_add_up() -> None:
    market = lower_market(
        plan_with(
            {"effect": "drift", "add": 1.0, "at": "1h", "for": "4h"},
            {"effect": "drift", "add": 2.0, "at": "3h", "for": "4h"},
        )
    )
    drifts = market.drift[market.parameters[STORM], CRISIS, BTC] / STEP
    assert drifts[:8] == pytest.approx([0, 1, 1, 3, 3, 2, 2, 0])
    assert len(market.drift) == 4  # equal ones once
    assert market.in_use.tolist() == [[1]] * 24  # drift changes no loading


def test_lower_market__loadings_are_wanted_only_while_they_hold() -> None:
    market = lower_market(plan_with({"effect": "volatility", "multiply": 2, "at": "1h", "for": "2h"}))
    assert market.in_use[:4].tolist() == [[1, 0], [1, 1], [1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ({"force": "crisis", "at": "1h", "for": "3h"}, [-1, 1, 1, 1, -1]),
        ({"force": "wildest", "start_only": True}, [1, -1, -1, -1, -1]),
        ({"force": "calmest", "at": "2h"}, [-1, -1, 0, 0, 0]),
        ({"force": "wildest", "at": "1h", "for": "3h", "start_only": True}, [-1, 1, -1, -1, -1]),
    ],
)
def test_lower_market__regimes_are_forced_in_their_window(
    effect: dict[str, Any], expected: list[int]
) -> None:
    market = lower_market(plan_with({"effect": "regime", **effect}))
    assert market.forced[STORM, :5].tolist() == expected
    assert set(market.forced[STORM, 5:].tolist()) == {expected[-1]}
    assert market.leader.tolist() == [0, 0, STORM]
    assert (market.forced[:STORM] == -1).all()


def test_lower_market__scenarios_without_a_forced_regime_share_one_chain() -> None:
    document = small_document()
    document["scenarios"].reverse()
    assert lower_market(plan_from_document(document)).leader.tolist() == [0, 1, 1]


def test_lower_market__shocks_at_one_instant_multiply() -> None:
    market = lower_market(
        plan_with(
            {"effect": "shock", "at": "2h", "moves": {"all": -0.1}},
            {"effect": "shock", "at": "2h", "as": "log", "moves": {"all": 0.2, "ETH": -0.3}},
            {"effect": "shock", "at": "5h", "moves": {"BTC": 0.5}},
            {"effect": "shock", "at": "1d", "moves": {"all": -0.9}},
        )
    )
    fallen = np.flatnonzero(market.shock[STORM] >= 0)
    assert fallen.tolist() == [2, 5]
    assert market.shocks[market.shock[STORM, 2]].tolist() == pytest.approx([0.9 * exp(0.2), 0.9 * exp(-0.3)])
    assert market.shocks[market.shock[STORM, 5]].tolist() == [1.5, 1.0]
    assert market.shocks[market.shock[1, 0]].tolist() == pytest.approx([0.9, 0.9])
    assert (market.shock[0] == -1).all()


def due_of(as_of: str, step: str, horizon: str, interval: str) -> np.ndarray[Any, Any]:
    document = small_document()
    document["as_of"] = as_of
    document["simulation"] |= {"step": step, "horizons": [horizon]}
    document["scenarios"], document["limits"] = ["baseline"], []
    document["model"]["step"] = step
    for market in document["venue"]["markets"].values():
        market["funding_interval"] = interval
    due, _ = lower_market(plan_from_document(document)).due
    hours: np.ndarray[Any, Any] = due * 8760
    return hours


def test_lower_market__funding_is_paid_at_utc_marks() -> None:
    # from 05:30 in hours: the step from 07:30 to 08:30 holds the mark at 08:00, and so on every 8 h
    off_mark = due_of("2026-05-15T05:30:00Z", "1h", "1d", "8h")
    assert np.flatnonzero(off_mark).tolist() == [2, 10, 18]
    assert off_mark[2] == pytest.approx(8)
    # a payment at as_of itself is history; the one at the last step's end counts
    on_mark = due_of("2026-05-15T00:00:00Z", "1h", "1d", "8h")
    assert np.flatnonzero(on_mark).tolist() == [7, 15, 23]
    assert due_of("2026-05-15T00:00:00Z", "1h", "4h", "1h") == pytest.approx(np.ones(4))
    assert due_of("2026-05-15T00:00:00Z", "30m", "2h", "1h") == pytest.approx(np.array([0, 1, 0, 1]))
    assert due_of("2026-05-15T00:30:00Z", "4h", "8h", "1h") == pytest.approx(np.array([4, 4]))


def test_lower_market__has_one_row_of_payments_for_each_interval() -> None:
    document = small_document()
    document["venue"]["markets"]["ETH-USD"]["funding_interval"] = "8h"
    due = lower_market(plan_from_document(document)).due
    assert due.shape == (3, 24)  # the last is of collateral, which pays none
    assert np.count_nonzero(due, axis=1).tolist() == [24, 3, 0]
    assert due.sum(axis=1) == pytest.approx([1 / 365, 1 / 365, 0])


def six_assets(held: tuple[str, ...]) -> Plan:
    """Six assets A to F, all correlated by 0.5; one account holds some of them."""
    document = small_document()
    names = "ABCDEF"
    document["model"]["assets"] = list(names)
    document["model"]["regimes"] = {
        "only": {
            "volatility": dict.fromkeys(names, 0.5),
            "correlation": np.where(np.eye(6) > 0, 1.0, 0.5).tolist(),
        }
    }
    del document["model"]["transitions"]
    fractions = {"initial_margin": 0.02, "maintenance_margin": 0.012}
    document["venue"]["markets"] = {f"{a}-USD": {"asset": a, **fractions} for a in names}
    document["prices"] = dict.fromkeys(names, 10)
    document["scenarios"] = ["baseline"]
    positions = [{"market": f"{a}-USD", "size": 1.0, "entry": 10} for a in held]
    document["accounts"] = [{"name": "one", "collateral": {"USDC": 5}, "positions": positions}]
    document["limits"] = []
    return plan_from_document(document)


@pytest.mark.parametrize(
    ("held", "depth", "factors"),
    [(("A",), [4], 4), (("D", "B"), [4, 4], 4), (("B", "E"), [4, 8], 8), (("F",), [8], 8), ((), [4], 4)],
)
def test_lower_market__simulates_what_is_held_and_pads_its_factors(
    held: tuple[str, ...], depth: list[int], factors: int
) -> None:
    plan = six_assets(held)
    assert simulated_assets(plan) == (tuple(sorted(held)) or ("A",))
    market = lower_market(plan)
    assert market.depth.tolist() == depth
    assert market.loading.shape == (1, 1, len(depth), factors)
    full = np.linalg.cholesky(np.where(np.eye(6) > 0, 1.0, 0.5)) * 0.5 * sqrt(STEP)
    rows = ["ABCDEF".index(a) for a in simulated_assets(plan)]
    padded = np.pad(full, ((0, 0), (0, 2)))[rows, :factors]
    assert market.loading[0, 0] == pytest.approx(padded)
    for row, deep in zip(market.loading[0, 0], depth, strict=True):
        assert (row[deep:] == 0).all()


def test_simulated_assets__leaves_out_positions_of_size_zero() -> None:
    document = small_document()
    document["accounts"][0]["positions"][1]["size"] = 0.0
    assert simulated_assets(plan_from_document(document)) == ("BTC",)


def test_lower_market__jumps() -> None:
    market = lower_market(plan_from_document(small_document()))
    mean = 12 * STEP
    law = market.jump_law[0, CRISIS]
    assert law[:3] == pytest.approx(poisson.cdf([0, 1, 2], mean), abs=1e-15)
    assert law[-1] == 1.0
    assert market.jump_law[0, CALM].tolist() == [1.0] * len(law)
    assert market.jump_mean[0, CRISIS].tolist() == [-0.04, -0.05]
    assert market.jump_loading[0, CRISIS] == pytest.approx(
        np.array([[0.03, 0, 0, 0], [0.04 * 0.9, 0.04 * sqrt(1 - 0.81), 0, 0]])
    )
    assert not market.jump_loading[0, CALM].any()


def test_lower_market__double_exponential_jumps() -> None:
    document = small_document()
    document["model"]["regimes"]["crisis"]["jumps"] = two_sided_jumps()
    market = lower_market(plan_from_document(document))
    assert market.jump_sizes.tolist() == [[NORMAL, DOUBLE_EXPONENTIAL]] * len(market.drift)
    np.testing.assert_array_equal(market.jump_sides[0, CRISIS], [[0.3, 0.03, 0.05], [0.4, 0.04, 0.07]])
    assert not market.jump_sides[0, CALM].any()
    assert not market.jump_mean.any()
    root = market.jump_loading[0, CRISIS]
    np.testing.assert_allclose(root @ root.T, [[1.0, 0.9], [0.9, 1.0]])
    np.testing.assert_allclose(market.jump_law[0, CRISIS, :3], poisson.cdf([0, 1, 2], 12 * STEP))


def test_lower_market__double_exponential_jumps_of_what_is_held() -> None:
    document = small_document()
    document["model"]["regimes"]["crisis"]["jumps"] = two_sided_jumps() | {"correlation": 1}
    document["accounts"] = document["accounts"][1:]
    document["accounts"][0]["positions"] = [{"market": "ETH-USD", "size": 1, "entry": 3000}]
    market = lower_market(plan_from_document(document))
    np.testing.assert_array_equal(market.jump_sides[0, CRISIS], [[0.4, 0.04, 0.07]])
    np.testing.assert_allclose(market.jump_loading[0, CRISIS], [[1.0, 0.0, 0.0, 0.0]])


def test_lower_market__wicks_of_what_is_held() -> None:
    document = wicked_document()
    document["accounts"] = document["accounts"][1:]
    document["accounts"][0]["positions"] = [{"market": "ETH-USD", "size": 1, "entry": 3000}]
    document["model"]["regimes"]["crisis"]["wick"]["up"]["probability"]["ETH"] = 0
    document["model"]["regimes"]["crisis"]["wick"]["up"]["lean"] = {"ETH": 0.2}
    market = lower_market(plan_from_document(document))
    assert market.number.tolist() == [1]  # the second of the model: it keeps its random numbers
    np.testing.assert_array_equal(market.wick[0, :, 0], [[0.4, 0.9, 0.0, 0.0]] * 2)
    assert market.wick[1, :, 0, 3].tolist() == [0.0, 0.2]
    np.testing.assert_array_equal(market.wick_common, [[0.8, 0.6]] * 2)
    assert market.wick_cut[0, 0, 0] == pytest.approx(norm.isf(0.4))
    assert market.wick_cut[1, 1, 0] == 100.0
    assert not lower_market(plan_from_document(small_document())).wick.any()


def test_lower_market__no_jumps_no_funding_additive() -> None:
    document = small_document()
    del document["model"]["regimes"]["crisis"]["jumps"], document["model"]["regimes"]["calm"]["funding"]
    document["model"]["returns"] = "additive"
    market = lower_market(plan_from_document(document))
    assert (market.has_jumps, market.has_funding, market.additive) == (0, 0, 1)
    assert market.jump_law.tolist() == [[[1.0], [1.0]]] * len(market.drift)
