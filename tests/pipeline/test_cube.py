"""The cube: tallies with labels and intervals, that xarray alone reads back as they were."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cube import build_cube, encoding
from pipeline.intervals import clopper_pearson, wilson
from pipeline.plan import plan_from_document
from pipeline.schema import EVENTS
from tests.cubes import PATHS, PROVENANCE, plan_document, small_cube, small_plan, small_tallies


def test_build_cube__labels_follow_the_plan() -> None:
    cube = small_cube()
    assert cube["liquidations"].dims == ("scenario", "account", "leverage", "horizon")
    assert cube["scenario"].values.tolist() == ["baseline", "gap-down-10", "storm"]
    assert cube["account"].values.tolist() == ["basis", "directional", "idle & <cash>"]
    assert cube["leverage"].values.tolist() == [0.5, 1, 2, 5]
    assert cube["horizon"].values.tolist() == np.array([4, 24, 168], "m8[h]").astype("m8[ns]").tolist()
    cell = {
        "scenario": "baseline",
        "account": "directional",
        "leverage": 1.0,
        "horizon": np.timedelta64(7, "D"),
    }
    assert cube["liquidations"].sel(cell) == 12_140


def test_build_cube__estimates_are_counts_over_paths_with_their_intervals() -> None:
    cell = small_cube().sel(scenario="baseline", account="directional", leverage=1.0).isel(horizon=2)
    assert cell["p_liquidation"] == 12_140 / PATHS
    assert (cell["p_liquidation_low"], cell["p_liquidation_high"]) == wilson(12_140, PATHS)
    assert cell["p_margin_call"] == 24_280 / PATHS
    assert cell["p_bankruptcy_high"] == wilson(12_140 // 3, PATHS)[1]


def test_build_cube__zero_counts_have_an_exact_upper_end() -> None:
    cell = small_cube().sel(scenario="baseline", account="basis", leverage=1.0).isel(horizon=2)
    assert cell["p_liquidation"] == cell["p_liquidation_low"] == 0
    assert cell["p_liquidation_high"] == clopper_pearson(0, PATHS)[1] > 0


def test_build_cube__liquidatable_now_is_certain_whatever_was_counted() -> None:
    tallies = small_tallies()
    liquidations = tallies.liquidations.copy()
    liquidations[1, 1, 3] = 5
    cube = build_cube(replace(tallies, liquidations=liquidations), small_plan(), PROVENANCE)
    cell = cube.sel(scenario="gap-down-10", account="directional", leverage=5.0)
    assert cell["liquidatable_now"] == 1
    for name in ("p_liquidation", "p_margin_call"):
        for end in ("", "_low", "_high"):
            assert np.all(cell[name + end] == 1)
    assert np.all(cell["p_bankruptcy"] < 1)
    assert np.all(cell["liquidations"] == 5)


def test_build_cube__leverage_coordinates() -> None:
    cube = small_cube()
    basis = cube.sel(account="basis")
    assert basis["gross_leverage"].values == pytest.approx(np.array([0.5, 1, 2, 5]) * 450_000 / 111_000)
    assert basis["net_leverage"].values == pytest.approx(np.array([0.5, 1, 2, 5]) * 30_000 / 111_000)
    assert cube.sel(account="directional")["openable"].values.tolist() == [True, True, True, True]
    poor = plan_document()["accounts"]
    poor[1]["collateral"]["USDC"] = 8_500  # equity 6,000; initial margin 3,000 at 1
    cube = build_cube(small_tallies(), small_plan(accounts=poor), PROVENANCE)
    assert cube.sel(account="directional")["openable"].values.tolist() == [True, True, True, False]


def test_build_cube__margin_now_is_the_snapshot() -> None:
    margin = small_cube()["margin_now"].sel(account="basis")
    assert margin.sel(quantity="equity") == 111_000
    assert margin.sel(quantity="net_notional") == 30_000


def test_build_cube__joint_liquidations_may_be_absent() -> None:
    cube = build_cube(replace(small_tallies(), joint=None), small_plan(), PROVENANCE)
    assert "joint_liquidations" not in cube
    assert "account_other" not in cube.dims


def test_build_cube__carries_the_whole_plan() -> None:
    cube = small_cube()
    assert plan_from_document(json.loads(cube.attrs["plan"])) == small_plan()
    assert cube.attrs["run_id"] == PROVENANCE.run_id
    assert cube.attrs["seed"] == 7


def test_build_cube__limits_change_nothing() -> None:
    limits = [{"metric": "p_liquidation", "horizon": "7d", "max": 0.01}]
    assert build_cube(small_tallies(), small_plan(limits=limits), PROVENANCE).identical(small_cube())


def test_build_cube__refuses_tallies_of_another_plan() -> None:
    with pytest.raises(ValueError, match="shape"):
        build_cube(small_tallies(), small_plan(accounts=plan_document()["accounts"][:2]), PROVENANCE)


@given(st.data())
def test_build_cube__probabilities_rise_with_the_horizon_where_counts_do(data: st.DataObject) -> None:
    rising = data.draw(st.lists(st.integers(0, PATHS), min_size=3, max_size=3).map(sorted))
    tallies = small_tallies()
    liquidations = np.broadcast_to(np.array(rising, np.int64), tallies.liquidations.shape)
    cube = build_cube(replace(tallies, liquidations=liquidations), small_plan(), PROVENANCE)
    for end in ("", "_low", "_high"):
        assert np.all(cube[f"p_liquidation{end}"].diff("horizon") >= 0)


def test_build_cube__intervals_hold_the_estimates() -> None:
    cube = small_cube()
    for event in EVENTS:
        p = cube[event.probability]
        assert np.all(cube[f"{event.probability}_low"] <= p)
        assert np.all(p <= cube[f"{event.probability}_high"])


def write_cube(cube: xr.Dataset, path: Path) -> None:
    with warnings.catch_warnings():
        # consolidated metadata spare readers one request a variable; zarr warns each writer of them
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        cube.to_zarr(path, encoding=encoding(cube))


def test_build_cube__survives_zarr_without_a_warning(tmp_path: Path) -> None:
    write_cube(small_cube(), tmp_path / "cube.zarr")
    back = xr.open_zarr(tmp_path / "cube.zarr")
    assert back.load().identical(small_cube())
    assert back["horizon"].dtype == "timedelta64[ns]"
    assert back["openable"].dtype == bool
    assert back.sel(scenario="storm", account="idle & <cash>")["paths"].values.min() == PATHS


def test_encoding__a_count_never_written_is_not_zero(tmp_path: Path) -> None:
    cube = small_cube()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        cube.chunk().to_zarr(tmp_path / "cube.zarr", encoding=encoding(cube), compute=False)
    back = xr.open_zarr(tmp_path / "cube.zarr")
    for name in ("liquidations", "joint_liquidations", "liquidatable_now", "paths"):
        assert np.all(back[name] == -1)
    assert np.all(np.isnan(back["p_liquidation"]))
