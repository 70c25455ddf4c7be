"""Scenarios as data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.effects import Correlation, Shock
from pipeline.errors import PlanError
from pipeline.plan import plan_from_document
from pipeline.scenarios import SCENARIOS, load_scenario
from tests.pipeline.documents import small_document

SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
REPLAYS = [
    f"replay-{month}"
    for month in ("march-2020", "may-2021", "june-2022", "november-2022", "august-2024", "october-2025")
]


def test_load_scenario__the_library() -> None:
    assert set(SHIPPED) == {
        *("baseline", "gap-down-10", "gap-down-20", "gap-down-30", "gap-up-20", "flash-crash", "slow-grind"),
        *("volatility-storm", "correlation-one", "correlation-break", "funding-spike", "funding-flip"),
        *("oracle-lag", "oracle-outlier", "chain-halt", "stablecoin-depeg", "alt-collapse"),
        *REPLAYS,
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_load_scenario__shipped_tells_its_story(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.narrative.endswith(".")
    assert scenario.source
    assert scenario.severity
    assert (scenario.kind == "replay") == (name in REPLAYS)
    assert bool(scenario.effects) == (name != "baseline")
    if name not in REPLAYS:
        document = small_document()
        document["scenarios"] = ["baseline", *({name} - {"baseline"})]
        plan = plan_from_document(document)
        assert plan.scenarios[-1] == scenario
        assert plan_from_document(plan.document()) == plan


def test_load_scenario__gap_down_is_an_instant_move_at_the_start() -> None:
    for percent in (10, 20, 30):
        (effect,) = load_scenario(f"gap-down-{percent}").effects
        assert isinstance(effect, Shock)
        assert (effect.as_, effect.at, effect.moves) == ("percent", timedelta(0), {"all": -percent / 100})


def test_load_scenario__kinds_of_effect() -> None:
    assert [effect.effect for effect in load_scenario("slow-grind").effects] == ["drift"]
    assert [effect.effect for effect in load_scenario("volatility-storm").effects] == ["volatility", "tail"]
    assert [effect.effect for effect in load_scenario("funding-spike").effects] == ["funding"]
    one, apart = load_scenario("correlation-one").effects[0], load_scenario("correlation-break").effects[0]
    assert isinstance(one, Correlation)
    assert isinstance(apart, Correlation)
    assert (one.target, apart.target) == ("one", "zero")


def read(*effects: dict[str, Any]) -> Any:
    document = small_document()
    document["scenarios"][2] = {"name": "mine", "narrative": "Mine.", "effects": list(effects)}
    return plan_from_document(document).scenarios[2].effects


def test_scenario__combines_effects_over_time() -> None:
    shock, regime, tail = read(
        {"effect": "shock", "at": "4h", "moves": {"all": -0.1, "ETH": -0.2}, "as": "log"},
        {"effect": "regime", "force": "wildest", "at": "4h", "for": "8h", "start_only": False},
        {"effect": "tail", "df": 3, "for": "1d"},
    )
    assert (shock.at, shock.as_, shock.moves) == (timedelta(hours=4), "log", {"all": -0.1, "ETH": -0.2})
    assert (regime.at, regime.for_) == (timedelta(hours=4), timedelta(hours=8))
    assert (tail.at, tail.for_) == (timedelta(0), timedelta(days=1))


def test_scenario__one_number_stands_for_every_asset() -> None:
    drift, volatility, funding = read(
        {"effect": "drift", "add": -2},
        {"effect": "volatility", "multiply": {"ETH": 2}},
        {"effect": "funding", "multiply": -1},
    )
    assert drift.add == {"all": -2.0}
    assert volatility.multiply == {"ETH": 2.0}
    assert (funding.add, funding.multiply) == ({"all": 0.0}, -1.0)


def test_scenario__correlation_target_may_be_a_matrix() -> None:
    (effect,) = read({"effect": "correlation", "target": [[1, -0.5], [-0.5, 1]], "blend": 0.5})
    assert effect.target == ((1.0, -0.5), (-0.5, 1.0))


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ({"effect": "shock", "moves": {"all": -1}}, "above -1"),
        ({"effect": "shock", "moves": {}}, "at least 1"),
        ({"effect": "shock", "moves": {"all": -0.1}, "for": "1h"}, "instant and stays"),
        ({"effect": "shock", "moves": {"all": -0.1}, "as": "percents"}, "did you mean `percent`?"),
        ({"effect": "shock", "moves": {"all": -0.1}, "from": 1}, "not supported yet"),
        ({"effect": "shok", "moves": {"all": -0.1}}, "did you mean `shock`?"),
        ({"effect": "tail", "df": 2}, "above 2"),
        ({"effect": "correlation", "target": "one", "blend": 1.5}, "at most 1"),
        ({"effect": "correlation", "target": "two", "blend": 0.5}, "one"),
        ({"effect": "correlation", "target": [[1]], "blend": 0.5}, "2 rows"),
        ({"effect": "correlation", "target": [[1, 2], [2, 1]], "blend": 0.5}, "between -1 and 1"),
        ({"effect": "depth", "multiply": 0.1}, "not supported yet"),
    ],
)
def test_scenario__refuses(effect: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(effect)
    assert words in str(caught.value)
    assert all("scenarios[2].effects" in problem.where for problem in caught.value.problems)
