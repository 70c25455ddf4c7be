"""Windows of history as returns to replay: from a person's files to the plan."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.structs import LIQUIDATION
from pipeline.errors import DataError, PlanError
from pipeline.plan import Plan, plan_from_document
from pipeline.replay import load_event, load_window
from tests.pipeline.still_market import count, just_hit, still_document

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[2] / "../shared/data"))
START = datetime(2020, 3, 12, tzinfo=UTC)
CLOSES = {"A": [100, 90, 80, 81, 60], "B": [10, 10, 11, 11, 10], "C": [5, 5, 5, 5, 5]}
EVENTS = """event,start_utc,end_utc,kind,note
2020-03 COVID,2020-03-12 00:00,2020-03-12 04:00,broad crash,a note
2020-05 other,2020-05-01 00:00,2020-05-01 04:00,calm,another
"""


def write_history(folder: Path, closes: dict[str, list[float]] = CLOSES, minutes: int = 60) -> None:
    """`prices.csv` whose first bars close at the start, and `events.csv`."""
    rows = ["ts,symbol,close"]
    for asset, values in closes.items():
        for i, value in enumerate(values):
            opens = START + timedelta(minutes=minutes) * (i - 1)
            rows.append(f"{opens:%Y-%m-%dT%H:%M:%S},{asset},{value}")
    (folder / "prices.csv").write_text("\n".join(rows) + "\n")
    (folder / "events.csv").write_text(EVENTS)


def written(**keys: Any) -> dict[str, Any]:
    return {
        "effect": "replay",
        "file": "prices.csv",
        "start": "2020-03-12",
        "end": "2020-03-12T04:00Z",
        **keys,
    }


def read(folder: Path, effect: dict[str, Any], **plan: Any) -> Plan:
    document = still_document(effect)
    document["accounts"][0]["positions"].append({"market": "B-USD", "size": 1, "entry": 100})
    return plan_from_document({**document, **plan}, folder)


def refused(folder: Path, effect: dict[str, Any], **plan: Any) -> str:
    with pytest.raises(PlanError) as caught:
        read(folder, effect, **plan)
    assert all(
        "scenarios[1].effects[0]" in p.where or "history" in p.where or str(folder) in p.where
        for p in caught.value.problems
    )
    return str(caught.value)


def test_replay__returns_enter_the_resolved_plan(tmp_path: Path) -> None:
    write_history(tmp_path)
    plan = read(tmp_path, written())
    (effect,) = plan.document()["scenarios"][1]["effects"]
    assert sorted(effect["returns"]) == ["A", "B"]  # what is held
    assert effect["returns"]["A"] == pytest.approx(np.diff(np.log(CLOSES["A"])), abs=1e-7)
    assert effect["source"].startswith("prices.csv (sha256 ")
    assert (effect["start"], effect["end"]) == ("2020-03-12T00:00:00Z", "2020-03-12T04:00:00Z")
    again = plan_from_document(plan.document())
    assert again == plan
    assert plan_from_document(again.document()) == plan


def test_replay__event_by_name_equals_its_window(tmp_path: Path) -> None:
    write_history(tmp_path)
    by_window = read(tmp_path, written()).scenarios[1].effects[0]
    for name in ("2020-03 COVID", "covid", "march-2020", "2020-03"):
        effect = {"effect": "replay", "file": "prices.csv", "events": "events.csv", "event": name}
        found = read(tmp_path, effect).scenarios[1].effects[0]
        assert found.document() | {"source": ""} == by_window.document() | {"source": ""}
        assert found.document()["source"].endswith(", event 2020-03 COVID")


def test_replay__files_of_the_plans_history(tmp_path: Path) -> None:
    write_history(tmp_path)
    history = {"prices": "prices.csv", "events": "events.csv"}
    plan = read(tmp_path, {"effect": "replay", "event": "covid"}, history=history)
    by_window = read(tmp_path, written()).scenarios[1].effects[0]
    found = plan.scenarios[1].effects[0].document()
    assert found["returns"] == by_window.document()["returns"]
    assert found["source"].endswith("COVID")
    assert "history" not in plan.document()


def test_replay__shipped_one_on_ones_own_history(tmp_path: Path) -> None:
    hours = 27
    falling = {asset: [100 * exp(-0.02 * i) for i in range(hours + 1)] for asset in ("A", "BTC")}
    write_history(tmp_path, falling)
    document = still_document()
    document["model"]["assets"] = ["A", "B", "BTC"]
    regime = document["model"]["regimes"]["only"]
    regime["volatility"] = {"A": 0.5, "B": 0.5, "BTC": 0.5}
    document["scenarios"] = ["baseline", "replay-march-2020"]
    document["accounts"][0]["positions"].append({"market": "B-USD", "size": 1, "entry": 100})
    document["venue"]["markets"].pop("C-USD")
    document["prices"] = {"A": 100, "B": 100}
    plan = plan_from_document({**document, "history": {"prices": "prices.csv"}}, tmp_path)
    (effect,) = plan.document()["scenarios"][1]["effects"]
    assert effect["returns"]["A"] == [-0.02] * hours
    assert [w for w in plan.warnings() if "no history of B in the window" in w]
    with pytest.raises(PlanError, match="the path of your own history"):
        plan_from_document(document, tmp_path)


def test_replay__is_met_hour_by_hour(tmp_path: Path) -> None:
    """A stands at 90, 80, 81, 60: who dies at 80 dies by the second hour."""
    write_history(tmp_path)
    document = still_document(written(), collateral=just_hit(80.0) - 1e-3)
    hits = count(plan_from_document(document, tmp_path)).hits[LIQUIDATION, 1, 0, 0]
    assert hits.tolist() == [0, 64, 0, 0, 0, 0, 0, 0]


def test_replay__finer_bars_than_the_step(tmp_path: Path) -> None:
    quarter = [100.0, *(100 * exp(0.01 * i) for i in range(1, 17))]
    write_history(tmp_path, {"A": quarter, "B": quarter}, minutes=15)
    effect = read(tmp_path, written()).document()["scenarios"][1]["effects"][0]
    assert effect["returns"]["A"] == pytest.approx([0.04] * 4, abs=1e-7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "nowhere.csv"}, "nothing there"),
        ({"file": 3}, "the path of your own history"),
        ({"file": None}, "the path of your own history"),
        ({"start": "2020-03-12T00:30Z"}, "a window of whole steps of 1h"),
        ({"start": "2020-03-13"}, "a window of whole steps"),
        ({"start": "2019-03-12"}, "closes of all assets held"),
        (
            {"end": "2020-03-12T09:00Z"},
            "A: 5 of 10 closes missing, the first that of the bar at 2020-03-12T04:00",
        ),
        ({"start": "2021-03-12", "end": "2021-03-13"}, "B: bars from 2020-03-11T23:00:00.000 to"),
        ({"end": "1999-03-12"}, "a window of whole steps"),
        ({"end": "2060-03-12"}, "at most 200,000 returns"),
        ({"end": "soon"}, "a UTC time in ISO 8601"),
        ({"end": ...}, "the window to replay"),
        ({"event": "covid"}, "an event, or `start` and `end`"),
        ({"event": "covid", "start": ..., "end": ...}, "`events` of the plan's `history`"),
        ({"event": "ftx", "events": "events.csv", "start": ..., "end": ...}, "the name of one event"),
        ({"event": "2020", "events": "events.csv", "start": ..., "end": ...}, "2020-03 COVID, 2020-05 other"),
        ({"event": 2020, "events": "events.csv", "start": ..., "end": ...}, "write it in quotes"),
        (
            {"event": "x", "events": "prices.csv", "start": ..., "end": ...},
            "columns event, start_utc, end_utc",
        ),
        ({"event": "x", "events": "no.csv", "start": ..., "end": ...}, "a readable CSV file"),
        ({"missing": "beta"}, "an asset, as `missing` is `beta`"),
        ({"missing": "beta", "beta": "Z"}, "an asset of the model"),
        ({"for": "2h"}, "its window says how long"),
        ({"at": "90m"}, "a multiple of the simulation's step"),
        ({"mode": "instead"}, "`replace` or `add`"),
    ],
)
def test_replay__refuses(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write_history(tmp_path)
    effect = {key: value for key, value in written(**change).items() if value is not ...}
    assert words in refused(tmp_path, effect)


def test_replay__names_assets_without_history(tmp_path: Path) -> None:
    write_history(tmp_path, {"A": CLOSES["A"]})
    assert "B: none" in refused(tmp_path, written())
    by_beta = written(missing="beta", beta="A")
    assert "an asset that moves in the model" in refused(tmp_path, by_beta)
    model = still_document(by_beta)["model"]
    for regime in model["regimes"].values():
        regime["volatility"] = dict.fromkeys(regime["volatility"], 0.5)
    told = read(tmp_path, by_beta, model=model)
    assert sorted(told.document()["scenarios"][1]["effects"][0]["returns"]) == ["A"]
    assert "closes of all assets held" in refused(tmp_path, written(missing="beta", beta="B"))


def test_replay__columns_missing(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("ts,symbol,price\n2020-03-12,A,1\n")
    assert "a column named close" in refused(tmp_path, written())


def test_replay__history_of_the_plan_is_checked(tmp_path: Path) -> None:
    write_history(tmp_path)
    assert "did you mean `prices`?" in refused(tmp_path, written(), history={"price": "prices.csv"})
    assert "the path of a file" in refused(tmp_path, written(), history={"prices": 3})
    assert "a mapping" in refused(tmp_path, written(), history="prices.csv")


def test_replay__resolved_returns_must_fit(tmp_path: Path) -> None:
    write_history(tmp_path)
    document = read(tmp_path, written()).document()
    effect = document["scenarios"][1]["effects"][0]
    effect["returns"]["A"].pop()
    with pytest.raises(PlanError, match="a return for each step of the window, 4"):
        plan_from_document(document)
    del effect["returns"]["A"]
    with pytest.raises(PlanError, match="none of A"):
        plan_from_document(document)
    effect["returns"] = {"A": [0.0] * 4, "B": [0.0] * 4, "Z": [0.0] * 4}
    with pytest.raises(PlanError, match="an asset of the model"):
        plan_from_document(document)


def test_load_event__bad_times(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("event,start_utc,end_utc\nx,soon,later\n")
    with pytest.raises(DataError, match="row 2"):
        load_event(tmp_path / "e.csv", "x")


def test_load_window__of_real_history() -> None:
    """Bitcoin's hours of 12 March 2020 as they were; who had no perpetual then is named."""
    if not (DATA / "perp_1h.parquet").exists():
        pytest.skip("no market history here")
    window = load_event(DATA / "events.csv", "march-2020")
    found = load_window(
        DATA / "perp_1h.parquet", ["BTC", "ETH", "SOL"], window.start, window.end, timedelta(hours=1)
    )
    assert sorted(found.returns) == ["BTC", "ETH"]
    assert found.missing["SOL"].startswith("bars from 2023-01-01")
    assert len(found.returns["BTC"]) == 27
    assert min(found.returns["BTC"]) < log(0.85)
    assert sum(found.returns["BTC"]) < log(0.75)
