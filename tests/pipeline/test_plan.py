"""The plan: what is read, completed and refused."""

from __future__ import annotations

import contextlib
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError, Problem
from pipeline.plan import Plan, json_schema, load_plan, plan_from_document
from tests.pipeline.documents import (
    small_document,
    spoil,
    tiered_document,
    tiered_venue,
    two_sided_jumps,
    wick_document,
    wicked_document,
)

REGIME = ("model", "regimes", "calm")
MATRIX = (*REGIME, "correlation")
SCENARIO = ("scenarios", 2)
SHOCK = {"effect": "shock", "at": "0h"}
POSITION = ("accounts", 1, "positions", 0)
CRISIS = ("model", "regimes", "crisis")
SIZE = ("volatility", "drift")
WICK = wick_document()


def refused(document: Any) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_plan_from_document__small() -> None:
    plan = plan_from_document(small_document())
    assert plan.as_of == datetime(2026, 5, 15, tzinfo=UTC)
    assert plan.simulation.step == timedelta(hours=1)
    assert plan.simulation.horizons[-1] == timedelta(days=1)
    assert plan.simulation.leverage == (0.5, 1.0, 2.0)
    assert plan.accounts[0].margin == "cross"
    assert plan.accounts[0].positions[1].size == -70.0
    assert [scenario.name for scenario in plan.scenarios] == ["baseline", "gap-down-10", "storm"]
    assert plan.limits[0].horizon == timedelta(days=1)


def test_plan_from_document__fills_in_defaults() -> None:
    plan = plan_from_document(small_document())
    calm, crisis = plan.model.regimes.values()
    assert calm.drift == {"BTC": 0.1, "ETH": 0.0}
    assert crisis.drift == {"BTC": 0.0, "ETH": 0.0}
    assert crisis.funding is None
    assert plan.venue.liquidation.max_liquidation_fee == 0.015
    assert plan.venue.markets["BTC-USD"].funding_interval == timedelta(hours=1)
    assert plan.document()["venue"]["liquidation"]["spread_to_maintenance_margin_ratio"] == 1.5


def test_plan_from_document__takes_python_values() -> None:
    document = small_document()
    document["as_of"] = datetime(2026, 5, 15, 2, tzinfo=timezone(timedelta(hours=2)))
    document["simulation"]["step"] = timedelta(hours=1)
    assert plan_from_document(document) == plan_from_document(small_document())


@pytest.mark.parametrize("text", ["2026-05-15", "2026-05-15T00:00:00", "2026-05-15T02:00:00+02:00"])
def test_plan_from_document__as_of_is_utc(text: str) -> None:
    plan = plan_from_document(spoil(small_document(), ("as_of",), text))
    assert plan.document()["as_of"] == "2026-05-15T00:00:00Z"


def test_plan_from_document__drives_fewer_assets_than_venue_lists() -> None:
    plan = plan_from_document(small_document())
    assert "SOL-USD" in plan.venue.markets
    assert "SOL" not in plan.model.assets


def test_plan_from_document__account_without_positions() -> None:
    plan = plan_from_document(spoil(small_document(), ("accounts", 1, "positions"), []))
    assert plan.accounts[1].positions == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("accounts", 0, "policies"), []),
        (("accounts", 0, "equity"), None),
        ((*REGIME, "wick"), None),
        ((*POSITION, "strike"), None),
        (("keep",), {}),
        (("replay",), False),
    ],
)
def test_plan_from_document__later_keys_that_ask_for_nothing(path: tuple[str | int, ...], value: Any) -> None:
    assert plan_from_document(spoil(small_document(), path, value)) == plan_from_document(small_document())


def test_plan_from_document__price_of_unheld_asset_may_be_missing() -> None:
    document = spoil(small_document(), ("accounts", 0, "positions", 1), ...)
    plan = plan_from_document(spoil(document, ("prices", "ETH"), ...))
    assert plan.prices == {"BTC": 61_250.0}


def test_plan_from_document__wicks_are_in_the_order_of_the_assets() -> None:
    document = wicked_document()
    down = document["model"]["regimes"]["calm"]["wick"]["down"]
    down["scale"] = dict(reversed(down["scale"].items()))
    plan = plan_from_document(document)
    wick = plan.model.regimes["calm"].wick
    assert wick is not None
    assert list(wick.down.scale) == ["BTC", "ETH"]
    assert plan_from_document(plan.document()) == plan


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("size",), 1, "known key"),
        (("up",), ..., "add `up:`"),
        (("up", "tail", "BTC"), ..., "add `BTC:`"),
        (("down", "scale", "BTCC"), 1, "did you mean `BTC`?"),
        (("down", "probability", "BTC"), 1.2, "at most 1"),
        (("down", "scale", "BTC"), -1, "at least 0"),
        (("down", "tail", "ETH"), 1.5, "at most 1"),
        (("up", "common"), -0.1, "at least 0"),
    ],
)
def test_plan_from_document__refuses_wicks(path: tuple[str, ...], value: Any, words: str) -> None:
    document = spoil(wicked_document(), ("model", "regimes", "calm", "wick", *path), value)
    (problem,) = refused(document)
    assert problem.where == ".".join(("plan: model.regimes.calm.wick", *path))
    assert words in problem.expected + problem.fix


KOU = two_sided_jumps()


def test_plan_from_document__double_exponential_jumps_are_complete_or_refused() -> None:
    document = small_document()
    document["model"]["regimes"]["crisis"]["jumps"] = {"law": "double_exponential"}
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    found = [
        problem.where.removeprefix("plan: model.regimes.crisis.jumps.") for problem in caught.value.problems
    ]
    assert sorted(found) == ["down_mean", "intensity", "up_mean", "up_probability"]


REFUSALS: list[tuple[tuple[str | int, ...], Any, str, str]] = [
    # path, value (... removes it), where the problem lies, words it must hold
    # unknown keys, and what later versions will know
    (("nmae",), "x", "nmae", "did you mean `name`?"),
    (("simulation", "path"), 1, "simulation.path", "did you mean `paths`?"),
    (("accounts", 0, "colateral"), {}, "accounts[0].colateral", "did you mean `collateral`?"),
    ((*REGIME, "vol"), {}, "model.regimes.calm.vol", "did you mean `volatility`?"),
    (("venue", "markets", "BTC-USD", "initial"), 1, "venue.markets.BTC-USD.initial", "`initial_margin`"),
    ((*SCENARIO, "effects", 0, "until"), "4h", "scenarios[2].effects[0].until", "effect, force"),
    (("limits", 0, "maximum"), 1, "limits[0].maximum", "known key"),
    (("market_state",), {"BTC": 1}, "market_state.BTC", "`BTC`"),
    (("simulation", "precision"), {"max_paths": 1}, "simulation.precision", "not supported yet"),
    (("contagion",), True, "contagion", "known key"),
    (("accounts", 0, "policies"), [{}], "accounts[0].policies[0]", "a mapping with a key `kind`"),
    (
        ("accounts", 0, "policies"),
        [{"kind": "isolate", "above": 0.5, "collateral": 1}],
        "policies[0].market",
        "add `market:`",
    ),
    (("accounts", 0, "reserve"), 0, "accounts[0].reserve", "not supported yet"),
    ((*REGIME, "wick"), WICK, "model.regimes.crisis", "`wick:` in every regime, or in none"),
    (("simulation", "monitoring"), "wick", "simulation.monitoring", "a model without `wick:`"),
    (("venue", "rules"), "scan", "venue.rules", "`scan` is not supported yet"),
    (("scenarios", 1), "gas-spyke", "scenarios[1]", "did you mean `gas-spike`?"),
    ((*SCENARIO, "effects", 0, "effect"), "wick", "scenarios[2].effects[0].effect", "not supported yet"),
    (("limits", 1, "metric"), "reserve", "limits[1].metric", "`reserve` is not supported yet"),
    # unknown names, with the nearest
    ((*POSITION, "market"), "BTC-USDD", "accounts[1].positions[0].market", "did you mean `BTC-USD`?"),
    (("prices", "ETHH"), 1, "prices.ETHH", "did you mean `ETH`?"),
    ((*REGIME, "volatility", "BTCC"), 1, "model.regimes.calm.volatility.BTCC", "did you mean `BTC`?"),
    ((*REGIME, "drift"), {"EHT": 0}, "model.regimes.calm.drift.EHT", "did you mean `ETH`?"),
    (("model", "initial"), "clam", "model.initial", "did you mean `calm`?"),
    (("model", "initial"), {"clam": 1.0}, "model.initial.clam", "did you mean `calm`?"),
    (("model", "transitions", "clam"), {"calm": 1.0}, "model.transitions.clam", "did you mean `calm`?"),
    ((*SCENARIO, "effects", 0, "force"), "crsis", "scenarios[2].effects[0].force", "`crisis`?"),
    ((*SCENARIO, "effects", 1, "multiply"), {"BTCC": 2}, "effects[1].multiply.BTCC", "`BTC`?"),
    (("scenarios", 1), "gap-down10", "scenarios[1]", "did you mean `gap-down-10`?"),
    (("venue",), "dydx-v4-2026", "venue", "did you mean `dydx-v4-2026-03`?"),
    (("venues",), {"perps": "dydx-v4-2026"}, "venues.perps", "did you mean `dydx-v4-2026-03`?"),
    (("accounts", 0, "venue"), "dydx-v4-2026", "accounts[0].venue", "did you mean `dydx-v4-2026-03`?"),
    (("accounts", 0, "venue"), 3, "accounts[0].venue", "a venue"),
    (("accounts", 0, "fee_tier"), "vip", "accounts[0].fee_tier", "no `fee_tier`, as the venue has none"),
    (("accounts", 0, "position_mode"), "hedged", "accounts[0].position_mode", "did you mean `hedge`?"),
    ((*POSITION, "margin"), "crss", "accounts[1].positions[0].margin", "did you mean `cross`?"),
    (("accounts", 0, "margin"), "isolate", "accounts[0].margin", "did you mean `isolated`?"),
    (("venue", "fee_tiers"), {" ": {"taker": 0, "maker": 0}}, "venue.fee_tiers[' ']", "a name"),
    (("venues",), [], "venues", "a mapping"),
    (("model",), "crypto-minors", "model", "a path that ends in .yaml"),
    (("limits", 0, "metric"), "p_liq", "limits[0].metric", "did you mean `p_liquidation`?"),
    (("limits", 0, "scenario"), "base", "limits[0].scenario", "did you mean `baseline`?"),
    (("limits", 0, "account"), "bases", "limits[0].account", "did you mean `basis`?"),
    (("limits", 0, "horizon"), "2d", "limits[0].horizon", "1h, 4h, 1d"),
    (("limits", 0, "leverage"), 3, "limits[0].leverage", "0.5, 1, 2"),
    (("simulation", "monitoring"), "closed", "simulation.monitoring", "did you mean `close`?"),
    # numbers
    ((*REGIME, "volatility", "BTC"), -0.1, "model.regimes.calm.volatility.BTC", "at least 0"),
    ((*REGIME, "volatility", "BTC"), math.nan, "model.regimes.calm.volatility.BTC", "finite"),
    ((*REGIME, "volatility", "BTC"), math.inf, "model.regimes.calm.volatility.BTC", "finite"),
    ((*REGIME, "drift", "BTC"), math.nan, "model.regimes.calm.drift.BTC", "finite"),
    (("prices", "BTC"), 0, "prices.BTC", "above 0"),
    (("prices", "BTC"), -1, "prices.BTC", "above 0"),
    (("prices", "BTC"), math.inf, "prices.BTC", "finite"),
    ((*POSITION, "entry"), 0, "accounts[1].positions[0].entry", "above 0"),
    ((*POSITION, "size"), math.nan, "accounts[1].positions[0].size", "finite"),
    (("accounts", 0, "collateral", "USDC"), math.inf, "accounts[0].collateral.USDC", "finite"),
    (("simulation", "paths"), 0, "simulation.paths", "above 0"),
    (("simulation", "paths"), -5, "simulation.paths", "above 0"),
    (("simulation", "paths"), 1.5, "simulation.paths", "a whole number"),
    (("simulation", "seed"), -1, "simulation.seed", "at least 0"),
    (("simulation", "seed"), 2**64, "simulation.seed", "below"),
    (("simulation", "leverage"), [0, 1], "simulation.leverage[0]", "above 0"),
    (("simulation", "leverage"), [1, math.nan], "simulation.leverage[1]", "finite"),
    (("simulation", "leverage"), [2, 1], "simulation.leverage[1]", "ascending"),
    (("simulation", "leverage"), [1, 1], "simulation.leverage[1]", "each once"),
    (("simulation", "leverage"), [0.5, 2], "simulation.leverage", "contain 1"),
    (("simulation", "horizons"), ["0h"], "simulation.horizons[0]", "above zero"),
    (("simulation", "horizons"), ["-1h"], "simulation.horizons[0]", "a duration"),
    (("simulation", "horizons"), [3600], "simulation.horizons[0]", "a duration"),
    (("simulation", "horizons"), ["4h", "1h"], "simulation.horizons[1]", "ascending"),
    (("simulation", "horizons"), ["1h", "90m"], "simulation.horizons[1]", "a multiple of the step, 1h"),
    (("simulation", "step"), "2h", "simulation.step", "divides the model's, 1h"),
    (("simulation", "step"), "25m", "simulation.step", "divides the model's, 1h"),
    (("as_of",), "tomorrow", "as_of", "ISO 8601"),
    (("as_of",), 20260515, "as_of", "ISO 8601"),
    ((*CRISIS, "tail"), 2, "model.regimes.crisis.tail", "above 2"),
    ((*CRISIS, "jumps", "intensity"), -1, "model.regimes.crisis.jumps.intensity", "at least 0"),
    ((*CRISIS, "jumps", "correlation"), 1.1, "model.regimes.crisis.jumps.correlation", "at most 1"),
    ((*CRISIS, "jumps", "law"), "kou", "model.regimes.crisis.jumps.law", "normal, double_exponential"),
    ((*CRISIS, "jumps", "law"), ["normal"], "model.regimes.crisis.jumps.law", "the name of a law"),
    ((*CRISIS, "jumps"), 3, "model.regimes.crisis.jumps", "a mapping"),
    ((*CRISIS, "jumps", "up_mean"), {"BTC": 1}, "crisis.jumps.up_mean", "law, intensity, correlation, mean"),
    ((*CRISIS, "jumps"), KOU | {"mean": {"BTC": 1}}, "crisis.jumps.mean", "up_probability, up_mean"),
    ((*CRISIS, "jumps"), KOU | {"up_mean": {"BTC": 1}}, "crisis.jumps.up_mean.ETH", "none for `ETH`"),
    ((*CRISIS, "jumps"), KOU | {"down_mean": {"BTC": -0.1, "ETH": 0}}, "jumps.down_mean.BTC", "at least 0"),
    ((*CRISIS, "jumps"), KOU | {"up_probability": {"BTC": 1.1, "ETH": 0}}, "up_probability.BTC", "at most 1"),
    ((*CRISIS, "jumps"), KOU | {"correlation": [[1, 2], [2, 1]]}, "correlation[1][0]", "between -1 and 1"),
    ((*SCENARIO, "effects", 1, "multiply"), -1, "scenarios[2].effects[1].multiply.all", "at least 0"),
    ((*SCENARIO, "effects", 0, "at"), "30m", "scenarios[2].effects[0].at", "a multiple"),
    ((*SCENARIO, "effects", 0, "for"), "0h", "scenarios[2].effects[0].for", "above zero"),
    (("limits", 0, "max"), 1.5, "limits[0].max", "between 0 and 1"),
    (("limits", 0, "max"), -0.1, "limits[0].max", "at least 0"),
    # strings where numbers belong
    (("simulation", "paths"), "1e5", "simulation.paths", "YAML reads 1e5 as text"),
    (("prices", "BTC"), "61250", "prices.BTC", "without quotes"),
    (("prices", "BTC"), "much", "prices.BTC", "write a number"),
    (("prices", "BTC"), True, "prices.BTC", "a number"),
    ((*SCENARIO, "effects", 1, "multiply"), "1e1", "scenarios[2].effects[1].multiply", "YAML reads 1e5"),
    # probabilities and margin fractions
    (("model", "transitions", "calm", "calm"), 1.5, "model.transitions.calm.calm", "at most 1"),
    (("model", "transitions", "calm", "calm"), 0.99, "model.transitions.calm", "a sum of 0.995"),
    (("model", "transitions", "calm", "calm"), 0.995 + 2e-9, "model.transitions.calm", "sum to 1"),
    (("model", "transitions", "calm"), ..., "model.transitions.calm", "none for `calm`"),
    (("model", "initial"), {"calm": 0.5}, "model.initial", "a sum of 0.5"),
    (
        ("venue", "markets", "BTC-USD", "initial_margin"),
        1.2,
        "venue.markets.BTC-USD.initial_margin",
        "at most 1",
    ),
    (("venue", "taker_fee"), -0.1, "venue.taker_fee", "at least 0"),
    (
        ("venue", "markets", "BTC-USD", "maintenance_margin"),
        0.03,
        "BTC-USD.maintenance_margin",
        "initial margin",
    ),
    # correlations
    (MATRIX, [[1, 0.8], [0.7, 1]], "model.regimes.calm.correlation[1][0]", "symmetric"),
    (MATRIX, [[1, 1.2], [1.2, 1]], "model.regimes.calm.correlation[1][0]", "between -1 and 1"),
    (MATRIX, [[1, 0.8], [0.8, 0.9]], "model.regimes.calm.correlation[1][1]", "1 on the diagonal"),
    (MATRIX, [[1, 0.8]], "model.regimes.calm.correlation[0]", "square"),
    (MATRIX, [[1]], "model.regimes.calm.correlation", "2 rows"),
    (MATRIX, [[1, "0.8"], [0.8, 1]], "model.regimes.calm.correlation[0][1]", "without quotes"),
    (MATRIX, ..., "model.regimes.calm.correlation", "2 x 2"),
    ((*CRISIS, "jumps", "correlation"), [[1, 2], [2, 1]], "jumps.correlation[1][0]", "between -1 and 1"),
    # what must be there
    (("as_of",), ..., "as_of", "add `as_of:`"),
    (("simulation", "paths"), ..., "simulation.paths", "add `paths:`"),
    ((*REGIME, "volatility", "ETH"), ..., "model.regimes.calm.volatility.ETH", "none for `ETH`"),
    ((*REGIME, "funding"), {"BTC": 0.1}, "model.regimes.calm.funding.ETH", "none for `ETH`"),
    ((*CRISIS, "jumps", "mean"), {"BTC": 0.1}, "model.regimes.crisis.jumps.mean.ETH", "none for `ETH`"),
    (("prices", "ETH"), ..., "prices.ETH", "a price for `ETH`"),
    ((*POSITION, "market"), "SOL-USD", "accounts[1].positions[0].market", "the model drives"),
    (("scenarios", 0), ..., "scenarios", "`baseline`"),
    (("model", "initial"), "filtered", "model.initial", "filtered law"),
    (("limits", 0, "horizon"), ..., "limits[0].horizon", "a probability by then"),
    (("limits", 1, "horizon"), "1d", "limits[1].horizon", "as it stands"),
    # empty
    (("accounts",), [], "accounts", "at least 1"),
    (("scenarios",), [], "scenarios", "at least 1"),
    (("simulation", "horizons"), [], "simulation.horizons", "at least 1"),
    (("simulation", "leverage"), [], "simulation.leverage", "at least 1"),
    (("model", "assets"), [], "model.assets", "at least 1"),
    (("model", "regimes"), {}, "model.regimes", "at least 1"),
    (("venue", "markets"), {}, "venue.markets", "at least 1"),
    (("accounts", 0, "collateral"), {}, "accounts[0].collateral", "at least 1"),
    (("accounts", 0, "collateral"), ..., "accounts[0].collateral", "at least 1"),
    (("accounts", 0, "name"), "", "accounts[0].name", "a name"),
    (("name",), "  ", "name", "a name"),
    # twice
    (("accounts", 1, "name"), "basis", "accounts[1].name", "each account once"),
    (("scenarios", 2, "name"), "baseline", "scenarios[2].name", "each scenario once"),
    (("model", "assets"), ["BTC", "ETH", "BTC"], "model.assets[2]", "each asset once"),
    (("accounts", 0, "positions", 1, "market"), "BTC-USD", "accounts[0].positions[1].market", "nets them"),
    # rules of the venue and of the words themselves
    (("accounts", 0, "collateral"), {"BTC": 1}, "accounts[0].collateral.BTC", "only collateral"),
    (("scenarios", 2, "name"), "baseline", "scenarios[2].effects", "no effects"),
    (("model", "assets"), ["BTC", "all"], "model.assets[1]", "every asset"),
    (("venue", "markets", "BTC-USD", "type"), "option", "BTC-USD.type", "not supported yet"),
    # finite, and absurd
    (("model", "regimes", "calm", "volatility", "BTC"), 1e200, "calm.volatility.BTC", "1000"),
    (("model", "regimes", "calm", "drift"), {"BTC": -1e300}, "calm.drift.BTC", "at least -1e+06"),
    (
        (*SCENARIO, "effects"),
        [SHOCK | {"as": "log", "moves": {"all": 800}}],
        "moves.all",
        "factor of at most",
    ),
    ((*SCENARIO, "effects"), [SHOCK | {"moves": {"all": 1e6}}], "moves.all", "factor of at most"),
    # a name that would be a path
    (("name",), "../../evil", "name", "name a file"),
    (("name",), ".desk", "name", "name a file"),
    # more money than float64 can count to the cent
    (
        ("accounts", 0, "positions", 0, "size"),
        1e300,
        "accounts[0].positions[0].size",
        "at most 10,000,000,000,000",
    ),
    (("accounts", 0, "positions", 0, "entry"), 1e300, "accounts[0].positions[0].size", "check units"),
    (("accounts", 0, "collateral"), {"USDC": 1e14}, "accounts[0].collateral.USDC", "at most"),
    # wrong kinds
    (("accounts",), 3, "accounts", "a list"),
    (("simulation",), [], "simulation", "a mapping"),
    (("model", "regimes", "calm"), 3, "model.regimes.calm", "a mapping"),
    ((*SCENARIO, "effects"), [3], "scenarios[2].effects[0]", "a mapping"),
    ((*SCENARIO, "effects"), [{"effect": None, "at": []}], "scenarios[2].effects[0].effect", "an effect"),
    ((*CRISIS, "jumps", "correlation"), [], "jumps.correlation", "2 rows"),
    ((*SCENARIO, "effects"), [{}], "scenarios[2].effects[0]", "a key `effect`"),
]


@pytest.mark.parametrize(("path", "value", "where", "words"), REFUSALS)
def test_plan_from_document__refuses(path: tuple[str | int, ...], value: Any, where: str, words: str) -> None:
    problems = refused(spoil(small_document(), path, value))
    mine = [problem for problem in problems if problem.where.endswith(where)]
    assert mine, [problem.where for problem in problems]
    assert any(words in str(problem) for problem in mine), str(mine[0])
    for problem in problems:
        assert all((problem.expected, problem.got, problem.fix))


# a fault that is expected to bring others with it
_WIDE = {
    ("scenarios",),
    ("model", "assets"),
    ("model", "regimes"),
    ("venue", "markets"),
    ("model",),
    ("venue",),
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (path, value)
        for path, value, _, _ in REFUSALS
        if path not in _WIDE and path[:1] != ("scenarios",) and path[-1] not in ("name", "step", "horizons")
    ],
)
def test_plan_from_document__one_fault_is_one_problem(path: tuple[str | int, ...], value: Any) -> None:
    problems = refused(spoil(small_document(), path, value))
    repeated = {"clam", "BTCC"}  # beside the unknown name, its right one is missing or the sum is off
    assert len(problems) == 1 or path[-1] in repeated or value in ({"clam": 1.0},), [str(p) for p in problems]


def test_plan_from_document__tells_all_problems_at_once() -> None:
    document = small_document()
    for path, value in (
        ((*REGIME, "volatility", "BTC"), -1),
        ((*REGIME, "volatility", "SOL"), 1),
        (("model", "transitions", "crisis", "crisis"), 0.5),
        (("simulation", "paths"), "1e5"),
        ((*POSITION, "market"), "BTC-USDD"),
        (("scenarios", 1), "gap-down-11"),
        (("venue", "markets", "ETH-USD", "maintenance_margin"), 0.5),
        (("limits", 1, "metric"), "reserve"),
    ):
        spoil(document, path, value)
    places = [problem.where for problem in refused(document)]
    assert sorted(places) == sorted(
        "plan: " + place
        for place in (
            "model.regimes.calm.volatility.BTC",
            "model.regimes.calm.volatility.SOL",
            "model.transitions.crisis",
            "simulation.paths",
            "accounts[1].positions[0].market",
            "scenarios[1]",
            "venue.markets.ETH-USD.maintenance_margin",
            "limits[1].metric",
        )
    )


def test_plan_from_document__names_what_breaks_a_correlation() -> None:
    document = small_document()
    document["model"] = three_assets([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    document["scenarios"] = ["baseline"]
    (problem,) = refused(document)
    assert problem.where == "plan: model.regimes.only.correlation"
    assert "smallest eigenvalue -0.8" in problem.got
    assert "BTC/SOL (-0.9)" in problem.got
    assert "`repair: nearest`" in problem.fix


def test_plan_from_document__repairs_a_correlation_on_request() -> None:
    document = small_document()
    document["model"] = three_assets([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], repair="nearest")
    document["scenarios"] = ["baseline"]
    plan = plan_from_document(document)
    regime = plan.model.regimes["only"]
    assert regime.repair_distance == pytest.approx(0.98, abs=0.02)
    assert regime.correlation[0][1] == pytest.approx(0.5, abs=0.01)
    assert any("repaired" in warning for warning in plan.warnings())
    assert plan_from_document(plan.document()) == plan


def three_assets(matrix: list[list[float]], **more: Any) -> dict[str, Any]:
    return {
        "step": "1h",
        "assets": ["BTC", "ETH", "SOL"],
        "regimes": {
            "only": {"volatility": {"BTC": 1, "ETH": 1, "SOL": 1}, "correlation": matrix, **more},
        },
    }


@pytest.mark.parametrize("document", [None, 3, "text", [], {}, {"name": "x"}])
def test_plan_from_document__refuses_what_is_no_plan(document: Any) -> None:
    assert refused(document)


def test_plan_from_document__refuses_odd_keys_and_endless_nesting() -> None:
    endless: dict[str, Any] = small_document()
    endless["model"]["calibration"] = endless["model"]
    assert "levels" in refused(endless)[0].expected
    odd = small_document()
    odd["prices"][3] = 1.0
    assert "keys that are text" in refused(odd)[0].expected


def test_document__reads_back_equal() -> None:
    plan = plan_from_document(small_document())
    text = json.dumps(plan.document(), allow_nan=False)
    again = plan_from_document(json.loads(text))
    assert again == plan
    assert json.dumps(again.document()) == text


def test_document__order_of_keys_means_nothing() -> None:
    document = small_document()
    document["prices"] = dict(reversed(document["prices"].items()))
    calm = document["model"]["regimes"]["calm"]
    calm["volatility"] = dict(reversed(calm["volatility"].items()))
    document["model"]["transitions"] = dict(reversed(document["model"]["transitions"].items()))
    original = plan_from_document(small_document())
    assert json.dumps(plan_from_document(document).document()) == json.dumps(original.document())


def test_load_plan__names_file_path_and_line(tmp_path: Path) -> None:
    document = spoil(small_document(), (*POSITION, "market"), "BTC-USDD")
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    line = path.read_text().splitlines().index("  - market: BTC-USDD") + 1
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    (problem,) = caught.value.problems
    assert problem.where == f"{path}: accounts[1].positions[0].market (line {line})"
    assert "accounts[1].positions[0].market" in str(caught.value)


def test_load_plan__parts_in_files_beside_it(tmp_path: Path) -> None:
    document = small_document()
    parts = tmp_path / "parts"
    parts.mkdir()
    for key, name in (("venue", "venue.yaml"), ("model", "model.json"), ("accounts", "book.yaml")):
        (parts / name).write_text(json.dumps(document[key]))
        document[key] = f"parts/{name}"
    (parts / "storm.yaml").write_text(json.dumps(document["scenarios"][2]))
    document["scenarios"][2] = "parts/storm.yaml"
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(document))
    plan = load_plan(path)
    assert (plan.venue.name, plan.model.name) == ("venue", "model")
    inline = plan_from_document(small_document())
    assert (plan.accounts, plan.scenarios) == (inline.accounts, inline.scenarios)


def test_load_plan__names_the_file_of_a_part(tmp_path: Path) -> None:
    document = small_document()
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(spoil(document["model"], ("assets", 0), "BTCC")))
    document["model"] = "model.yaml"
    document["scenarios"][1] = "missing.yaml"
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    places = [problem.where for problem in caught.value.problems]
    assert any(
        place.startswith(f"{tmp_path / 'model.yaml'}: regimes.calm.volatility.BTC") for place in places
    )
    assert str(tmp_path / "missing.yaml") in places


def test_load_plan__book_in_csv(tmp_path: Path) -> None:
    document = small_document()
    (tmp_path / "book.csv").write_text(
        "account,market,size,entry,collateral,strategy,bucket\n"
        "basis,BTC-USD,4,60100,100000,carry,\n"
        "basis,ETH-USD,-70,3105,,,tactical\n"
        "directional,BTC-USD,2,61000,25000,,\n"
    )
    document["accounts"] = "book.csv"
    assert plan_from_document(document, tmp_path) == plan_from_document(small_document())


def test_load_plan__names_row_and_column_of_a_book(tmp_path: Path) -> None:
    document = small_document()
    (tmp_path / "book.csv").write_text(
        "account,market,size,entry,collateral\nbasis,BTC-USD,4,60100,100000\nbasis,ETH-USDD,many,3105,\n"
    )
    document["accounts"] = "book.csv"
    with pytest.raises(PlanError) as caught:
        plan_from_document(document, tmp_path)
    by_place = {problem.where: problem for problem in caught.value.problems}
    assert by_place.keys() == {
        f"{tmp_path / 'book.csv'}: row 3, column market",
        f"{tmp_path / 'book.csv'}: row 3, column size",
    }
    assert "did you mean `ETH-USD`?" in by_place[f"{tmp_path / 'book.csv'}: row 3, column market"].fix


def test_load_plan__prices_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(
        "ts,symbol,close\n"
        "2026-05-14T22:00:00Z,BTC,61000\n2026-05-14T23:00:00Z,BTC,61250\n2026-05-15T00:00:00Z,BTC,70000\n"
        "2026-05-14T22:00:00Z,ETH,3000\n2026-05-14T23:00:00Z,ETH,3020\n"
    )
    document = small_document()
    document["prices"] = {"file": "bars.csv"}
    assert plan_from_document(document, tmp_path) == plan_from_document(small_document())
    document["prices"]["att"] = "2026-05-15"
    (problem,) = refused_in(document, tmp_path)
    assert problem.where == "plan: prices.att"
    document["prices"] = {"file": "nowhere.csv"}
    (problem,) = refused_in(document, tmp_path)
    assert problem.where == str(tmp_path / "nowhere.csv")


def refused_in(document: Any, base: Path) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document, base)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "well-formed YAML"),
        ("", "an empty document"),
        ("- 1\n- 2", "a mapping of the plan's parts"),
        ("name: a\nname: b\n", "`name` again"),
        ("[" * 40 + "]" * 40, "levels of nesting"),
        ("a: &a " + "x\nb: [" + "*a," * 200_001 + "]", "values, aliases written out"),
        ("name: !!python/object:os.system x", "the tag"),
    ],
)
def test_load_plan__refuses_bad_text(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match=words):
        load_plan(path)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "\0.yaml"])
def test_load_plan__refuses_unreadable_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match="expected"):
        load_plan(tmp_path / name)


def test_json_schema__accepts_written_and_resolved_plans() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    validator.validate(small_document())
    validator.validate(plan_from_document(small_document()).document())
    document = tiered_document()
    validator.validate(document)
    validator.validate(plan_from_document(document).document())
    validator.validate(spoil(document, ("accounts", 1, "venue"), tiered_venue()))
    validator.validate(spoil(document, ("venues", "bracketed"), "dydx-v4-2026-03"))
    assert not validator.is_valid(spoil(document, ("venues", "bracketed"), 3))
    assert not validator.is_valid(spoil(small_document(), ("simulation", "paths"), "many"))
    assert not validator.is_valid(spoil(small_document(), ("accounts", 0, "colateral"), {}))


finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-6, 1e6)
fraction = st.floats(0, 1)
hours = st.integers(1, 500).map(lambda n: f"{n}h")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    document = small_document()
    simulation = document["simulation"]
    simulation["seed"] = draw(st.integers(0, 2**64 - 1))
    simulation["horizons"] = [f"{n}h" for n in sorted(draw(st.sets(st.integers(1, 500), min_size=1)))]
    document["limits"] = [
        {"metric": "p_bankruptcy", "horizon": simulation["horizons"][-1], "max": draw(fraction)}
    ]
    simulation["leverage"] = sorted({1.0, *draw(st.sets(positive, max_size=4))})
    regime = document["model"]["regimes"]["calm"]
    regime["volatility"] = {"BTC": draw(st.floats(0, 5)), "ETH": draw(st.floats(0, 5))}
    rho, stay = draw(st.floats(-1, 1)), draw(fraction)
    regime["correlation"] = [[1, rho], [rho, 1]]
    regime["tail"] = draw(st.none() | st.floats(2.001, 100))
    document["model"]["initial"] = {"calm": stay, "crisis": 1 - stay}
    document["model"]["transitions"]["calm"] = {"calm": stay, "crisis": 1 - stay}
    document["accounts"][0]["positions"][0] = {
        "market": "BTC-USD",
        "size": draw(finite),
        "entry": draw(positive),
    }
    document["accounts"][1]["collateral"]["USDC"] = draw(finite)
    document["scenarios"].append(
        {
            "name": "drawn",
            "narrative": "As it comes.",
            "effects": [
                {"effect": "shock", "at": draw(hours), "moves": {"all": draw(st.floats(-0.99, 5))}},
                {
                    "effect": "drift",
                    "add": draw(finite | st.fixed_dictionaries({"BTC": finite})),
                    "for": draw(hours),
                },
                {
                    "effect": "correlation",
                    "target": draw(st.sampled_from(["one", "zero"])),
                    "blend": draw(fraction),
                },
                {"effect": "funding", "add": draw(finite)},
            ],
        }
    )
    return document


@settings(max_examples=60, deadline=None)
@given(documents())
def test_document__reads_back_equal_whatever_the_plan(document: dict[str, Any]) -> None:
    plan = plan_from_document(document)
    text = json.dumps(plan.document(), allow_nan=False)
    again = plan_from_document(json.loads(text))
    assert again == plan
    assert json.dumps(again.document()) == text


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            *("baseline", "1h", "calm", "BTC", "BTC-USD", "stationary", "dydx_v4", "one", "all", "shock"),
            *("tiered", "bracketed", "isolated", "hedge", "dydx-v4-2026-03", "?", "USDT"),
        ]
    )
)
keys = st.sampled_from(
    [
        *Plan.model_fields,
        "regimes",
        "assets",
        "step",
        "horizons",
        "leverage",
        "markets",
        "positions",
        "effects",
        "venue",
        "tiers",
        "brackets",
        "collateral",
        "policies",
        "kind",
        "rungs",
        "liquidation",
        "style",
    ]
) | st.text(max_size=5)
garbage = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def places(document: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(document, dict):
        return found + [place for key, value in document.items() for place in places(value, (*path, key))]
    if isinstance(document, list):
        return found + [place for i, value in enumerate(document) for place in places(value, (*path, i))]
    return found


def full_document() -> dict[str, Any]:
    """The tiered plan, with liquidity tiers on its dydx_v4 venue: more places for things to go wrong."""
    document = tiered_document()
    document["venue"]["tiers"] = {"large": {"initial_margin": 0.02, "maintenance_fraction": 0.6}}
    document["venue"]["markets"]["BTC-USD"]["tier"] = "large"
    document["accounts"][0]["venue"] = tiered_venue() | {"name": "second"}
    document["accounts"][0] |= {"collateral": {"USDT": 1}, "positions": [], "margin": "isolated"}
    document["venue"]["markets"]["BTC-USD"]["execution"] = {"depth": 1e6, "impact": 0.01, "law": "linear"}
    document["venues"]["bracketed"]["liquidation"] = {"style": "partial", "fee": 0.01}
    document["accounts"][1]["policies"] = [
        {"kind": "top_up", "below": 2, "amount": 1, "reserve": 2, "delay": "1h"},
        {"kind": "ladder", "rungs": [{"below": 2, "close": 0.5}], "markets": ["BTCUSDT"]},
        {"kind": "stop", "drawdown": 0.5, "probability": 0.5},
        {"kind": "stop", "market": "ETHUSDT", "price": 2_000},
        {"kind": "rebalance", "target": 2, "low": 1, "high": 3},
    ]
    return document


PLACES = places(full_document())


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), garbage), min_size=1, max_size=3))
def test_plan_from_document__garbage_in_a_plan_raises_nothing_but_plan_errors(
    edits: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    document = full_document()
    for path, value in edits:
        try:
            spoil(document, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier edit took the place away
    with contextlib.suppress(PlanError):
        plan_from_document(document)


@settings(max_examples=150, deadline=None)
@given(garbage)
def test_plan_from_document__garbage_raises_nothing_but_plan_errors(document: Any) -> None:
    with pytest.raises(PlanError):
        plan_from_document(document)
