"""`seawall margin --compare`, as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import cli
from flows.compare_command import INTERRUPTED
from pipeline.plan import load_plan
from pipeline.run import run
from tests.runs import hit_document, write_plan


def margin(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["margin", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[float]]:
    """A plan, a store where its run is finished, and each account's P(liquidation) in the baseline."""
    folder = tmp_path_factory.mktemp("compare")
    document = hit_document()
    document["accounts"].append({"name": "empty", "collateral": {"USDC": 7}, "positions": []})
    plan = write_plan(folder, document)
    cube = run(load_plan(plan), folder / "runs")
    chances = cube["p_liquidation"].sel(scenario="baseline", leverage=1.0).isel(horizon=-1)
    return plan, folder / "runs", chances.values.tolist()


def compare(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    assert margin(*arguments, "--compare", "--json") == 0
    out, _ = capsys.readouterr()
    assert out.count("\n") == 1
    found = json.loads(out)
    assert list(found) == ["accounts", "comparison"]
    assert [each["name"] for each in found["accounts"]] == [each["name"] for each in found["comparison"]]
    comparison: list[dict[str, Any]] = found["comparison"]
    return comparison


def test_compare__without_a_run_only_the_instant(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    options = (plan, "--compare", "--store", tmp_path / "none")
    assert margin(*options, "--json") == 0
    out, err = capsys.readouterr()
    basis = json.loads(out)["comparison"][0]
    # 2 % of 61,250 x 4 and of 3,020 x 70 are 4,900 and 4,228; profits are 4,600 and 5,950
    assert basis["instant"] == pytest.approx({"cross": 0.0, "isolated": 300.0})
    assert basis["equal_probability"] is None
    assert f"seawall run {plan} --store {tmp_path / 'none'}" in err
    assert not (tmp_path / "none").exists()
    assert margin(*options) == 0
    out, err = capsys.readouterr()
    assert "basis" in out
    assert "equal P" not in out
    assert "seawall run" in err


def test_compare__with_a_run_equal_chances_too(
    capsys: pytest.CaptureFixture[str], finished: tuple[Path, Path, list[float]]
) -> None:
    plan, store, own = finished
    basis, directional, empty = compare(capsys, plan, "--store", store)
    assert own[0] == 0
    equal = basis["equal_probability"]
    assert (equal["probability"], equal["horizon"], equal["scenario"]) == (0.01, "1d", "baseline")
    assert equal["cross_low"] < equal["cross"] < equal["cross_high"]
    assert equal["cross_high"] < equal["isolated_low"]  # a hedge
    equal = directional["equal_probability"]
    assert 0 < own[1] < 1
    assert equal["probability"] == own[1]
    assert equal["cross"] == equal["isolated"] == pytest.approx(25_000, rel=0.03)
    assert (empty["committed"], empty["equal_probability"]) == (7, None)


def test_compare__options_choose_the_cell(
    capsys: pytest.CaptureFixture[str], finished: tuple[Path, Path, list[float]]
) -> None:
    plan, store, _ = finished
    options = ("--horizon", "240m", "--scenario", "storm", "--probability", "0.2")
    basis, directional, _ = compare(capsys, plan, "--store", store, *options)
    for found in (basis["equal_probability"], directional["equal_probability"]):
        assert (found["probability"], found["horizon"], found["scenario"]) == (0.2, "4h", "storm")
    (again, _, _) = compare(capsys, plan, "--store", store, "--probability", "0.2")
    assert again["equal_probability"]["cross"] != basis["equal_probability"]["cross"]


def test_compare__table_on_stdout_progress_on_stderr(
    capsys: pytest.CaptureFixture[str], finished: tuple[Path, Path, list[float]]
) -> None:
    plan, store, _ = finished
    assert margin(plan, "--compare", "--store", store) == 0
    out, err = capsys.readouterr()
    assert "P = 1 %" in out
    assert "2,048 paths of the plan's run" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    assert "2,048 of 2,048 paths" in err


def test_compare__another_plan_is_not_this_run(
    capsys: pytest.CaptureFixture[str], finished: tuple[Path, Path, list[float]], tmp_path: Path
) -> None:
    other = write_plan(tmp_path, hit_document(paths=1_024))
    found = compare(capsys, other, "--store", finished[1])
    assert [each["equal_probability"] for each in found] == [None, None]


def test_compare__bad_options_are_told_all_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = write_plan(tmp_path, hit_document())
    bad = ("--scenario", "basline", "--horizon", "5 days", "--probability", "1")
    assert margin(plan, "--compare", *bad) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for said in ("3 problems", "did you mean `baseline`?", "use one of: 1h, 4h, 1d", "write 0.01 for 1 %"):
        assert said in err


@pytest.mark.parametrize("option", [("--horizon", "1d"), ("--scenario", "baseline"), ("--probability", "0")])
def test_compare__its_options_without_it_are_refused(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert margin(write_plan(tmp_path, hit_document()), *option) == 2
    assert f"{option[0]} goes with --compare" in capsys.readouterr().err


def test_compare__interrupted(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    finished: tuple[Path, Path, list[float]],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.capital.simulate_paths", interrupt)
    assert margin(finished[0], "--compare", "--store", finished[1]) == INTERRUPTED
    out, err = capsys.readouterr()
    assert out == ""
    assert "Interrupted" in err
