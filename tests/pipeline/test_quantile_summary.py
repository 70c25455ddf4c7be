"""Where accounts come to, in a few words."""

from __future__ import annotations

import json

import pytest

from pipeline.quantile_summary import quantile_record, summarise_quantiles_of
from pipeline.report.html import render_report
from tests.cubes import full_cube, resolved_cube


def test_summarise_quantiles_of__figures_are_those_of_the_last_horizon() -> None:
    basis, directional, idle = summarise_quantiles_of(full_cube(), ("baseline", "storm", "baseline"))
    assert (directional.account, directional.scenario) == ("directional", "storm")
    equity = full_cube()["equity_q"].sel(account="basis", leverage=1, scenario="baseline").isel(horizon=-1)
    assert basis.equity == tuple(f"{float(equity.sel(quantile=q)):,.0f}" for q in (0.05, 0.5, 0.95))
    assert basis.loss == directional.loss == "250"
    assert (basis.time, directional.time) == ("never", "7d")
    assert (idle.equity, idle.ratio, idle.time) == (("–",) * 3, "–", "never")
    assert summarise_quantiles_of(resolved_cube()) == ()


def test_quantile_record__is_json() -> None:
    record = json.loads(json.dumps(quantile_record(full_cube(), "directional"), allow_nan=False))
    assert list(record["equity_q"]) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
    assert record["expected_shortfall"] == {"0.95": pytest.approx(250), "0.99": pytest.approx(250)}
    assert record["time_to_liquidation_q"]["0.5"] == 7 * 86_400
    idle = quantile_record(full_cube(), "idle & <cash>")
    assert idle["min_margin_ratio_q"]["0.5"] is None
    assert quantile_record(resolved_cube(), "directional") == {}


def test_report__has_a_table_of_them_where_they_are() -> None:
    basis = summarise_quantiles_of(full_cube())[0]
    page = render_report(full_cube(), [])
    assert "Where they come to" in page
    for figure in (*basis.equity, basis.ratio):
        assert f'<td class="n">{figure}</td>' in page
    assert "Where they come to" not in render_report(resolved_cube(), [])
