"""Runs with quantiles: exact however they are cut, laws of the cube, and back from the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline import slabs
from pipeline.plan import plan_from_document
from pipeline.quantiles_schema import QUANTILE_VARIABLES
from pipeline.run import run
from tests.pipeline.documents import resolved_document, small_document
from tests.pipeline.test_aftermath_run import counted

NAMES = ("equity_q", "min_equity_q", "min_margin_ratio_q", "shortfall_q", "max_drawdown_q")
ROOM = ("histogram", "results", "passages")


def document(paths: int = 600) -> dict[str, Any]:
    found = resolved_document(paths)
    found["simulation"]["quantiles"] = True
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    store = tmp_path_factory.mktemp("quantiles")
    run(plan_from_document(document()), store)
    (path,) = store.glob("runs/*/cube.zarr") or store.glob("*/cube.zarr")
    return xr.open_zarr(path).load()


@pytest.mark.parametrize("most", [1, 2])
def test_merge_counts__quantiles_are_the_same_however_a_run_is_cut(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slab of one holds nobody who holds anything."""
    whole = counted(document(), (0, 200))
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", most)
    named = document() | {"name": f"in slabs of {most}"}
    cut = counted(named, (0, 64), (64, 135), (199, 1))
    for name in (*ROOM, "aftermath"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)
        assert getattr(whole, name).any()


def test_run__quantiles_hang_together(stored: xr.Dataset) -> None:
    held = stored.sel(account=["basis", "directional", "short"])
    for name in NAMES:
        assert held[name].notnull().all()
        assert (held[name].diff("quantile").fillna(0) >= 0).all(), name
        assert not (held[f"{name}_low"] > held[name]).any(), name
        assert not (held[f"{name}_high"] < held[name]).any(), name
        assert held[f"{name}_high"].notnull().any()
        assert stored[name].sel(account="quiet").isnull().all()
    assert (held["min_equity_q"] <= held["equity_q"]).all()
    assert (held["min_equity_q"].diff("horizon") <= 0).all()
    assert (held["min_margin_ratio_q"].diff("horizon") <= 0).all()
    assert (held["max_drawdown_q"].diff("horizon") >= 0).all()
    losses = held["expected_shortfall"]
    assert (losses.diff("tail") >= 0).all()
    began = stored["margin_now"].sel(quantity="equity")
    assert (losses.sel(account="short") <= 3 * began.sel(account="short")).all()
    times = held["time_to_liquidation_q"]
    assert times.dtype.kind == "m"
    assert (times.max() <= stored["horizon"].max()).item()
    nobody = held["liquidations"].isel(horizon=-1) == 0
    np.testing.assert_array_equal(times.isnull().all("quantile"), nobody)


def test_run__differences_are_those_of_the_counts(stored: xr.Dataset) -> None:
    liquidations = stored["liquidations"].sel(account=["basis", "directional", "short"])
    up, down = (
        stored[name].sel(account=liquidations["account"]) for name in ("discordant_up", "discordant_down")
    )
    np.testing.assert_array_equal(up - down, liquidations - liquidations.sel(scenario="baseline"))
    assert up.any()
    assert down.any()


def test_run__funding_and_break_even_hang_together(stored: xr.Dataset) -> None:
    """Longs in a market that pays funding: paid, day by day, and sooner or later dearer than closing."""
    paid = stored["cost_mean"].sel(
        component="funding", account="directional", scenario="baseline", leverage=1
    )
    assert (paid > 0).all()
    days = stored["horizon"] / np.timedelta64(1, "D")
    even = stored["closing_cost"].sel(account="directional", leverage=1) / (paid / days)
    found = stored["break_even_days"].sel(account="directional", scenario="baseline", leverage=1)
    np.testing.assert_allclose(found, even)
    assert stored["break_even_days"].sel(account="quiet").isnull().all()


def test_run__shortfall_of_quantiles_and_of_means_is_one(stored: xr.Dataset) -> None:
    """No more than one path in a hundred is short where the 99 % quantile is nothing."""
    mean, high = stored["shortfall_mean"], stored["shortfall_q"].isel(quantile=-1)
    assert (mean.where(high > 0, np.nan).fillna(1) > 0).all()
    assert high.max() > 0


def test_run__nothing_of_it_where_nobody_asks(tmp_path: Path) -> None:
    plain = resolved_document(128)
    plain["simulation"]["quantiles"] = False
    found = run(plan_from_document(plain), tmp_path)
    assert not {variable.name for variable in QUANTILE_VARIABLES} & set(found.variables)
    assert "quantile" not in found.coords
    assert "forced_liquidations" in found


def test_run__quantiles_change_no_other_count(stored: xr.Dataset, tmp_path: Path) -> None:
    plain = resolved_document(600)
    plain["simulation"]["quantiles"] = False
    found = run(plan_from_document(plain), tmp_path)
    for name, variable in found.data_vars.items():
        np.testing.assert_array_equal(variable, stored[name], err_msg=str(name))


def test_simulation__small_plans_have_no_quantiles() -> None:
    plan = plan_from_document(small_document())
    assert not plan.simulation.quantiles
    assert not json.loads(json.dumps(plan.document()))["simulation"]["quantiles"]
