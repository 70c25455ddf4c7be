"""What became of venues whose accounts share a market: variables of the cube, and the words for them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.venue_summary import (
    count_untouched,
    find_worst_scenario,
    has_venues,
    summarise_venues,
    venue_records,
)
from pipeline.wording import Chance
from tests.cubes import PATHS, resolved_cube, shared_cube, shared_tallies

HIT = 12_140  # paths of directional, baseline, leverage 1, a week


def test_summarise_venues__variables_are_sums_over_paths() -> None:
    cell = shared_cube().sel(scenario="baseline", venue="inline", leverage=1).isel(horizon=-1)
    assert cell["cascades"] == HIT // 2
    assert cell["fund_exhausted"] == HIT // 3
    assert cell["p_cascade"] == HIT // 2 / PATHS
    assert cell["accounts_liquidated_mean"] == pytest.approx(2 * HIT / PATHS)
    assert cell["closed_notional_mean"] == pytest.approx(4_000 * HIT / PATHS)
    assert cell["fund_drawn_mean"] == pytest.approx(100 * HIT / PATHS)
    assert cell["socialised_loss_mean"] == pytest.approx(20 * (HIT // 3) / PATHS)
    assert cell["price_pushed_mean"] == pytest.approx(0.25 * HIT / PATHS)
    p = HIT / PATHS
    half = 1.959964 * 2 * np.sqrt(p * (1 - p) / (PATHS - 1))
    assert cell["accounts_liquidated_mean_high"] - 2 * p == pytest.approx(half)
    nothing = shared_cube().sel(leverage=0.5)
    assert np.isnan(nothing["closed_notional_mean_high"]).all()
    assert (nothing["closed_notional_mean_low"] == 0).all()


def test_count_untouched__mean_and_interval_from_pairs() -> None:
    tallies, cube = shared_tallies(), shared_cube()
    mean, low, high = count_untouched(cube, "inline")
    total = tallies.liquidations[:, :, 1].sum(axis=1)
    np.testing.assert_allclose(mean, total / PATHS)
    # of the book only directional is liquidated at leverage 1, so that the number is 0 or 1
    half = 1.959964 * np.sqrt(mean * (1 - mean) / (PATHS - 1))
    np.testing.assert_allclose(high - mean, half, rtol=1e-6)
    np.testing.assert_allclose(low, np.maximum(mean - half, 0), rtol=1e-6)
    _, low, high = count_untouched(cube.drop_vars("joint_liquidations"), "inline")
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_summarise_venues__words() -> None:
    baseline, gap, _ = summarise_venues(shared_cube())
    assert (baseline.venue, baseline.scenario, baseline.accounts) == ("inline", "baseline", 3)
    assert baseline.untouched == Chance("0.0607", "[0.0597, 0.0617]")
    assert baseline.liquidated == Chance("0.1214", "[0.1193, 0.1235]")
    assert baseline.cascade.estimate == "3.03 %"
    assert baseline.exhausted.estimate == "2.02 %"
    assert baseline.pushed == Chance("1.517 %", "[1.491, 1.544]")
    assert baseline.closed.estimate == "242.8"
    assert (baseline.drawn.estimate, baseline.socialised.estimate) == ("6.07", "0.405")
    assert gap.scenario == "gap-down-10"
    assert find_worst_scenario(shared_cube()) == "gap-down-10"
    assert find_worst_scenario(shared_cube().sel(scenario=["baseline"])) == "baseline"


def test_venue_records__are_json_by_venue_and_scenario() -> None:
    records = json.loads(json.dumps(venue_records(shared_cube()), allow_nan=False))
    assert [record["scenario"] for record in records] == ["baseline", "gap-down-10", "storm"]
    first = records[0]
    assert (first["venue"], first["horizon"], first["accounts"], first["paths"]) == ("inline", "7d", 3, PATHS)
    assert first["cascades"] == HIT // 2
    assert first["untouched_liquidated_mean"] == HIT / PATHS
    assert first["accounts_liquidated_mean"] == pytest.approx(2 * HIT / PATHS)
    assert first["socialised_loss_mean_low"] > 0


def test_venue_records__none_where_accounts_are_apart() -> None:
    assert venue_records(resolved_cube()) == []
    assert summarise_venues(resolved_cube()) == ()
    assert not has_venues(resolved_cube())
