"""`seawall replay`, as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows import cli
from flows.run_command import find_worth
from pipeline.path_finder import find_path
from pipeline.path_replay import replay_path
from pipeline.plan import plan_from_document
from pipeline.run import create_run, name_run
from pipeline.store import open_store
from tests.pipeline.desk_paths import PATHS, busy_document


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay") / "runs"


@pytest.fixture(scope="module")
def run_id(store: Path) -> str:
    run = name_run(plan_from_document(busy_document()), open_store(store))
    create_run(run)
    return run.run_id


def replay(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_replay__tells_a_path(store: Path, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = (run_id[:6], "--store", store, "--scenario", "storm", "--account", "directional")
    assert replay(*options, "--path", 5) == 0
    out, err = capsys.readouterr()
    assert "Path 5 of small: directional" in out
    assert "scenario storm, seed 7, steps of 1h" in out
    assert "the scenario moves prices: BTC −8 %, ETH −10 %" in out
    assert "the halt is over" in out
    assert "The parts add up, to the cent." in out
    assert max(map(len, out.splitlines())) <= 100
    assert not err
    assert replay(*options, "--path", 5, "--all") == 0
    whole, _ = capsys.readouterr()
    assert "quiet" not in whole
    assert sum(line.startswith("2026-05-1") for line in whole.splitlines()) == 25


def test_replay__as_json_is_the_replay(
    store: Path, run_id: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "path.svg"
    options = (run_id, "--store", store, "--scenario", "storm", "--account", "basis", "--leverage", 2)
    assert replay(*options, "--path", 7, "--json", "--picture", picture) == 0
    out, err = capsys.readouterr()
    found: dict[str, Any] = json.loads(out)
    expected = replay_path(plan_from_document(busy_document()), "storm", "basis", 2, 7)
    assert found == json.loads(json.dumps(expected.document()))
    assert found["times"][0] == "2026-05-15T00:00:00Z"
    assert str(picture) in err
    assert picture.read_text().startswith("<?xml")


def test_replay__finds_paths(store: Path, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = (run_id, "--store", store, "--scenario", "storm", "--account", "left-alone")
    assert replay(*options, "--find", "worst") == 0
    out, err = capsys.readouterr()
    found = find_path(plan_from_document(busy_document()), "storm", "left-alone", 1, "worst")
    assert found.sentence in err.replace("\n", " ")
    assert f"Path {found.path} of small: left-alone" in out


def test_replay__another_version_is_told(
    store: Path, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store / "runs" / "f00dfeedf00dfeed"
    folder.mkdir()
    (folder / "plan.json").write_text((store / "runs" / run_id / "plan.json").read_text())
    assert replay("f00d", "--store", store, "--account", "basis", "--path", 0) == 0
    _, err = capsys.readouterr()
    assert "made by another version" in err


def test_replay__refusals(
    store: Path, run_id: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(*arguments: object) -> str:
        assert replay(*arguments, "--store", store) == 2
        out, err = capsys.readouterr()
        assert not out
        assert "Traceback" not in err
        return err

    err = refused(run_id, "--path", PATHS, "--account", "left_alone", "--scenario", "strm", "--leverage", 3)
    assert "4 problems" in err
    assert "did you mean `left-alone`?" in err
    assert "an account of the plan" in refused(run_id, "--path", 0)
    assert "one of the two" in refused(run_id, "--account", "basis")
    assert "one of the two" in refused(run_id, "--account", "basis", "--path", 0, "--find", "worst")
    assert "worst, median, nearest" in refused(run_id, "--account", "basis", "--find", "wurst")
    wrong = refused(run_id, "--account", "basis", "--path", 0, "--picture", tmp_path / "no" / "a.gif")
    assert "2 problems" in wrong
    assert "name.svg or name.png" in wrong
    assert "the id of a run in it" in refused("nothing", "--path", 0)
    assert "the id of a run in it" in refused("", "--path", 0)


def test_find_worth__names_paths_of_the_accounts_most_at_risk() -> None:
    plan = plan_from_document(busy_document())
    names = ["basis", "directional", "left-alone", "never-asked"]
    chances = np.zeros((2, 4, 2, 3))
    chances[0, :, 0, -1] = [0.1, 0.3, 0.2, 0.0]
    cube = xr.Dataset(
        {"p_liquidation": (("scenario", "account", "leverage", "horizon"), chances)},
        {"scenario": ["baseline", "storm"], "account": names, "leverage": [1.0, 2.0]},
    )
    head, *lines = find_worth(plan, cube, "f00d --store runs")
    assert head == "Paths worth a look, in the baseline:"
    sentences, commands = lines[::2], lines[1::2]
    assert [line.split(":")[0].strip() for line in sentences if "worst" in line] == [
        "directional",
        "left-alone",
        "basis",
    ]
    found = find_path(plan, "baseline", "directional", 1.0, "worst")
    assert sentences[0] == f"  directional: {found.sentence}"
    assert commands[0] == f"    seawall replay f00d --store runs --path {found.path} --account directional"
