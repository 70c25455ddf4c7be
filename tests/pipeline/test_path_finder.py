"""Paths worth a look are the ones that their replays show."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.path_finder import Found, Outcome, choose_paths, find_path, find_paths, follow_paths, name_paths
from pipeline.path_replay import PathReplay, replay_path
from pipeline.path_walk import choose_cell
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.desk_paths import PATHS, busy_document

CELL = ("storm", "directional", 1.0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_from_document(busy_document())


@pytest.fixture(scope="module")
def told(plan: Plan) -> list[PathReplay]:
    return [replay_path(plan, *CELL, path) for path in range(PATHS)]


def test_follow_paths__are_the_replays(plan: Plan, told: list[PathReplay]) -> None:
    """To the last bit, though all other scenarios are left out."""
    outcomes = list(follow_paths(plan, choose_cell(plan, *CELL), PATHS))
    for outcome, replay in zip(outcomes, told, strict=True):
        assert outcome.ended == replay.equity[-1].sum() - replay.bridge.others - replay.bridge.topped_up
        assert outcome.lowest_ratio == replay.margin_ratio[1:].min()
        forced = [event.step for event in replay.events if event.kind in ("liquidated", "deleveraged")]
        assert outcome.forced == (forced[0] if forced else None)


def test_find_paths__worst_median_and_nearest(plan: Plan, told: list[PathReplay]) -> None:
    found = find_paths(plan, *CELL)
    assert list(found) == ["worst", "median", "nearest"]
    worst = min(told, key=lambda replay: replay.bridge.ended - replay.bridge.others - replay.bridge.topped_up)
    assert found["worst"].path == worst.path
    missed = [replay for replay in told if not replay.counted["forced_liquidations"]]
    nearest = min(missed, key=lambda replay: float(replay.margin_ratio[1:].min()))
    assert found["nearest"].path == nearest.path
    assert told[found["median"].path].counted["forced_liquidations"]


def test_choose_paths__by_hand(plan: Plan) -> None:
    outcomes = [
        Outcome(0, 5_000.0, 1.5, None),
        Outcome(1, -250.0, -0.5, 30),
        Outcome(2, 10.0, 0.9, 7),
        Outcome(3, 9_000.0, 1.01, None),
        Outcome(4, 20.0, 0.9, 11),
        Outcome(5, 9_000.0, np.inf, None),
    ]
    found = choose_paths(outcomes, plan)
    assert {what: each.path for what, each in found.items()} == {"worst": 1, "median": 4, "nearest": 3}
    assert (
        found["worst"].sentence == "worst of the first 6 paths: path 1, 250 short at the end, net of top-ups"
    )
    assert found["median"].sentence == "median of 3 liquidated of the first 6 paths: path 4, within 12h"
    assert found["nearest"].sentence == (
        "nearest miss of the first 6 paths: path 3, margin ratio down to 1.01"
    )
    assert list(choose_paths(outcomes[:1], plan)) == ["worst", "nearest"]


def test_find_path__refuses_what_is_not_there() -> None:
    document = busy_document()
    for account in document["accounts"]:
        account["collateral"] = {"USDC": 10_000_000}
    with pytest.raises(InputError, match="a path on which the venue liquidates among the first 40"):
        find_path(plan_from_document(document), *CELL, "median")


def test_name_paths__looks_at_fewer_where_there_is_more_to_do(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.path_finder.AT_ONCE", 24 * 10 * 2)
    named = name_paths(plan, ["basis", "directional"])
    assert list(named) == ["basis", "directional"]
    assert all("first 10 paths" in found["worst"].sentence for found in named.values())


def test_name_paths__a_book_that_is_walked_whole_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    document = busy_document()
    document["simulation"] |= {"monitoring": "close", "contagion": {"lasting": 1}}
    asked = []

    def find(plan: Plan, scenario: str, account: str, leverage: float, most: int) -> dict[str, Found]:
        asked.append(most)
        return {}

    monkeypatch.setattr("pipeline.path_finder.find_paths", find)
    monkeypatch.setattr("pipeline.path_finder.AT_ONCE", 24 * 10)
    for crowd in (16, 1):
        monkeypatch.setattr("pipeline.path_finder.CROWD", crowd)
        name_paths(plan_from_document(document), ["basis"])
    assert asked == [10, 10 // len(document["accounts"])]


def test_name_paths__leaves_out_accounts_that_nothing_happens_to() -> None:
    document = busy_document()
    document["accounts"].append({"name": "empty", "collateral": {"USDC": 7}, "positions": []})
    plan = plan_from_document(document)
    assert list(name_paths(plan, ["empty", "basis"])) == ["basis"]
    with pytest.raises(InputError, match="`empty`, which has neither"):
        replay_path(plan, "baseline", "empty", 1, 0)
