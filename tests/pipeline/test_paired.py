"""Scenarios held against the baseline on the same paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.intervals import paired_difference
from pipeline.paired import summarise_pairs
from tests.cubes import PATHS, small_plan, small_tallies, spread_out


def test_paired_difference__by_hand() -> None:
    low, high = paired_difference([9, 0, 100], [1, 0, 0], 100)
    p, q, n = 10 / 102, 2 / 102, 102
    half = 1.959963984540054 * np.sqrt((p + q - (p - q) ** 2) / n)
    assert (low[0], high[0]) == pytest.approx((p - q - half, p - q + half))
    assert low[1] == -high[1] < 0
    assert high[2] == 1.0


@pytest.mark.parametrize(("up", "down"), [(0.1, 0.02), (0.01, 0.01)])
def test_paired_difference__covers(up: float, down: float) -> None:
    rng = np.random.default_rng(9)
    counts = rng.multinomial(500, [up, down, 1 - up - down], 4_000)
    low, high = paired_difference(counts[:, 0], counts[:, 1], 500)
    covered = (low <= up - down) & (up - down <= high)
    assert 0.93 < covered.mean() < 0.985


def test_summarise_pairs__differences_are_those_of_the_probabilities() -> None:
    tallies = replace(small_tallies(), **spread_out(small_tallies()))
    found = summarise_pairs(tallies, small_plan())
    p = tallies.liquidations / PATHS
    np.testing.assert_allclose(found["p_liquidation_difference"], p - p[:1], atol=1e-15)
    low, high = (found[f"p_liquidation_difference_{end}"] for end in ("low", "high"))
    assert (low[1:] < found["p_liquidation_difference"][1:]).all()
    assert (found["p_liquidation_difference"][1:] <= high[1:]).all()
    assert not low[0].any()
    assert not high[0].any()
