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
        *("oracle-lag", "oracle-outlier", "chain-halt", "stablecoin-depeg", "alt-collapse", "basis-blowout"),
        *("liquidity-blackout", "gas-spike"),
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


WRONG = {"effect": "oracle", "multiply": {"BTC": 0.9}}


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
        ({"effect": "depth", "multiply": -0.1}, "at least 0"),
        ({"effect": "wick", "multiply": 0.1}, "not supported yet"),
        ({"effect": "basis", "add": -1}, "above -1"),
        ({"effect": "gas", "multiply": -1}, "at least 0"),
        ({"effect": "gas", "delay": "10m"}, "a multiple of the simulation's step"),
        ({"effect": "implied_volatility", "multiply": {"BTX": 2}}, "did you mean `BTC`?"),
        ({"effect": "shock", "moves": {"XRP": -0.1}}, "or an asset of the model"),
        ({"effect": "shock", "moves": {"alt": -0.1}}, "did you mean `alts`?"),
        ({"effect": "shock", "moves": {"all": -0.1}, "at": "90s"}, "a multiple of the simulation's step"),
        (
            {"effect": "shock", "moves": {"all": -0.1}, "stagger": "10m"},
            "a multiple of the simulation's step",
        ),
        ({"effect": "shock", "moves": {"ETH": -0.1}, "beta": "BTC"}, "a move of `BTC` among `moves`"),
        (
            {"effect": "shock", "moves": {"BTC": -0.1, "all": 0}, "beta": "BTC"},
            "assets by name beside `beta`",
        ),
        ({"effect": "shock", "moves": {"BTC": -0.1}, "beta": "XRP"}, "an asset of the model"),
        ({"effect": "correlation", "target": [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]], "blend": 1}, "2 rows"),
        ({"effect": "event", "up": 0.1, "down": -0.1}, "an event lies ahead"),
        ({"effect": "event", "up": 0.1, "down": -11, "at": "1h"}, "check the unit"),
        ({"effect": "event", "up": 0.1, "down": -0.1, "at": "1h", "for": "1h"}, "instant and stays"),
        ({"effect": "event", "up": 0.1, "at": "1h"}, "a value for `down`"),
        ({"effect": "event", "up": 0.1, "down": 0, "at": "1h", "probability": 1.2}, "at most 1"),
        ({"effect": "event", "up": 0.1, "down": 0, "at": "1h", "spread": -1}, "at least 0"),
        ({"effect": "event", "up": 0.1, "down": 0, "date": "2026-05-14"}, "a date after `as_of`"),
        (
            {"effect": "event", "up": 0.1, "down": 0, "date": "2026-05-15T06:00Z", "at": "1h"},
            "no `at` beside",
        ),
        ({"effect": "event", "up": 0.1, "down": 0, "date": "soon"}, "a UTC time in ISO 8601"),
        ({"effect": "event", "up": 0.1, "down": 0, "date": "2026-05-15T06:10Z"}, "a multiple of the"),
        ({"effect": "funding", "add": 1, "decay": "0h"}, "above zero"),
        ({"effect": "depeg", "asset": "USDT", "move": -0.1}, "`quote`, the quote currency"),
        ({"effect": "depeg", "asset": "BTC", "move": -1}, "above -1"),
        ({"effect": "loss", "share": 1.5}, "at most 1"),
        ({"effect": "loss", "share": 0.5, "accounts": ["bases"]}, "did you mean `basis`?"),
        ({"effect": "loss", "share": 0.5, "accounts": []}, "at least 1"),
        ({"effect": "halt", "for": "30m"}, "a multiple of the simulation's step"),
        ({"effect": "oracle"}, "one of `delay`, `freeze` and `multiply`"),
        ({"effect": "oracle", "delay": "1h", "freeze": True}, "`delay` and `freeze`"),
        ({"effect": "oracle", "delay": "30m"}, "a multiple of the simulation's step"),
        ({"effect": "oracle", "multiply": {"BTC": -0.5}}, "above 0"),
        ({"effect": "oracle", "multiply": {"BTX": 0.5}}, "did you mean `BTC`?"),
        ({"effect": "oracle", "delay": "1h", "confirm": "1h"}, "`confirm` beside `multiply` alone"),
        ({"effect": "oracle", "delay": "1h", "average": "1h"}, "`average` beside `multiply` alone"),
        ({"effect": "oracle", "freeze": True, "sources": {"of": 3, "wrong": 2}}, "`sources` beside"),
        (WRONG | {"sources": {"of": 3, "wrong": 4}}, "at most all of the sources, 3"),
        (WRONG | {"sources": {"of": 3, "wrong": 0}}, "at least 1"),
        (WRONG | {"sources": {"of": 3}}, "wrong"),
        (WRONG | {"average": "90m"}, "a multiple of the simulation's step"),
        (WRONG | {"average": "2h", "confirm": "1h"}, "one of `confirm` and `average`"),
    ],
)
def test_scenario__refuses(effect: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(effect)
    assert words in str(caught.value)
    assert all("scenarios[2].effects" in problem.where for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        (
            [{"effect": "halt", "for": "4h"}, {"effect": "oracle", "delay": "1h", "at": "3h"}],
            "one halt, delay or freeze at a time",
        ),
        (
            [{"effect": "halt", "at": "4h"}, {"effect": "oracle", "freeze": True, "at": "9h", "for": "1h"}],
            "one halt, delay or freeze at a time",
        ),
        (
            [{"effect": "event", "up": 0.1, "down": 0, "at": "3h"}] * 2,
            "one event at an instant",
        ),
        (
            [
                {
                    "effect": "replay",
                    "start": "2020-03-12",
                    "end": "2020-03-12T02:00Z",
                    "at": at,
                    "returns": {"BTC": [0, 0], "ETH": [0, 0]},
                }
                for at in ("1h", "2h")
            ],
            "one replay in place of the model at a time",
        ),
    ],
)
def test_scenario__refuses_what_cannot_hold_together(effects: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(*effects)
    assert [problem.expected for problem in caught.value.problems] == [words]
    assert caught.value.problems[0].where == "plan: scenarios[2].effects[1].at"


def test_scenario__one_after_another_is_fine() -> None:
    assert len(read({"effect": "halt", "for": "4h"}, {"effect": "oracle", "delay": "1h", "at": "4h"})) == 2


@pytest.mark.parametrize(
    "effect",
    [
        {"effect": "oracle", "multiply": {"all": 0.5}},
        {"effect": "depeg", "asset": "BTC", "move": -0.1, "for": "1h"},
        {
            "effect": "replay",
            "start": "2020-03-12",
            "end": "2020-03-12T01:00Z",
            "returns": {"BTC": [0], "ETH": [0]},
        },
    ],
)
def test_scenario__refuses_additive_returns_where_it_needs_logs(effect: dict[str, Any]) -> None:
    document = small_document()
    document["model"]["returns"] = "additive"
    document["scenarios"][2] = {"name": "mine", "narrative": "Mine.", "effects": [effect]}
    with pytest.raises(PlanError, match="a model of log returns"):
        plan_from_document(document)


def test_scenario__refuses_betas_to_what_never_moves() -> None:
    document = small_document()
    for regime in document["model"]["regimes"].values():
        regime["volatility"]["BTC"] = 0.0
    del document["model"]["regimes"]["crisis"]["jumps"]
    effect = {"effect": "shock", "moves": {"BTC": -0.1}, "beta": "BTC"}
    document["scenarios"][2] = {"name": "mine", "narrative": "Mine.", "effects": [effect]}
    with pytest.raises(PlanError, match="so that others have a beta to it"):
        plan_from_document(document)


def test_scenario__date_of_an_event_is_a_delay_in_the_resolved_plan() -> None:
    (effect,) = read({"effect": "event", "up": 0.05, "down": -0.05, "date": "2026-05-15T18:00:00Z"})
    assert effect.at == timedelta(hours=18)
    assert "date" not in effect.document()


def test_scenario__repairs_a_correlation_target_and_says_how_far() -> None:
    document = small_document()
    document["model"] = "crypto-majors"
    target = [[1.0 if i == j else 0.9 for j in range(8)] for i in range(8)]
    target[0][1] = target[1][0] = -0.9
    effect = {"effect": "correlation", "target": target, "blend": 0.5}
    document["scenarios"][2] = {"name": "mine", "narrative": "Mine.", "effects": [effect]}
    with pytest.raises(PlanError, match="add `repair: nearest`"):
        plan_from_document(document)
    effect["repair"] = "nearest"
    plan = plan_from_document(document)
    (found,) = plan.scenarios[2].effects
    assert isinstance(found, Correlation)
    assert found.repair_distance == pytest.approx(
        sum(
            (a - b) ** 2 for x, y in zip(found.target, target, strict=True) for a, b in zip(x, y, strict=True)
        )
        ** 0.5
    )
    assert [w for w in plan.warnings() if "repaired to the nearest valid one" in w]
    assert plan_from_document(plan.document()) == plan


def test_plan_warnings__a_class_without_assets() -> None:
    document = small_document()
    document["scenarios"] = ["baseline", "alt-collapse"]
    assert [w for w in plan_from_document(document).warnings() if "no asset among alts" in w]
