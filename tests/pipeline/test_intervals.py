"""Intervals: against conformance cases, an outside library, and their own laws."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from pipeline.intervals import clopper_pearson, counted, over_draws, wilson

ROOT = Path(__file__).parents[2]
CONFORMANCE = Path(os.environ.get("SEAWALL_CONFORMANCE", ROOT.parent / "shared" / "conformance"))


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 10_000_000))
    return draw(st.integers(0, n)), n


@pytest.mark.skipif(not CONFORMANCE.exists(), reason=f"no conformance cases in {CONFORMANCE}")
def test_intervals__agree_with_conformance_cases() -> None:
    cases = json.loads((CONFORMANCE / "exact_cases.json").read_text())["cases"]
    for case in cases:
        if not (isinstance(case["expected"], dict) and "wilson" in case["expected"]):
            continue
        k, n = case["inputs"]["successes"], case["inputs"]["trials"]
        for function in (wilson, clopper_pearson):
            expected = np.array(case["expected"][function.__name__])
            assert np.array(function(k, n)) == pytest.approx(expected, abs=1e-9), case["id"]


@given(counts(), st.sampled_from([0.8, 0.95, 0.99]))
def test_intervals__agree_with_statsmodels(pair: tuple[int, int], level: float) -> None:
    k, n = pair
    assert np.array(wilson(k, n, level)) == pytest.approx(
        proportion_confint(k, n, 1 - level, "wilson"), abs=1e-12
    )
    assert np.array(clopper_pearson(k, n, level)) == pytest.approx(
        proportion_confint(k, n, 1 - level, "beta"), abs=1e-12
    )


@given(counts())
def test_intervals__hold_the_estimate_and_stay_inside_0_1(pair: tuple[int, int]) -> None:
    k, n = pair
    for function in (wilson, clopper_pearson, counted):
        low, high = function(k, n)
        assert 0 <= low <= k / n <= high <= 1
        assert low < high


@given(counts())
def test_intervals__mirror_for_failures(pair: tuple[int, int]) -> None:
    k, n = pair
    for function in (wilson, clopper_pearson, counted):
        low, high = function(k, n)
        mirrored_low, mirrored_high = function(n - k, n)
        assert np.array([1 - mirrored_high, 1 - mirrored_low]) == pytest.approx(
            np.array([low, high]), abs=1e-12
        )


def test_counted__zero_of_200_000_is_below_0_0018_percent() -> None:
    low, high = counted(0, 200_000)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 200_000), rel=1e-12)
    assert f"{100 * high:.4f}" == "0.0018"


def test_counted__is_wilson_between_the_ends() -> None:
    k = np.arange(1, 20)
    assert np.array_equal(counted(k, 20), wilson(k, 20))


def test_wilson__is_elementwise() -> None:
    low, high = wilson(np.array([[0, 3], [5, 10]]), 10)
    assert low.shape == high.shape == (2, 2)
    assert (low[1, 0], high[1, 0]) == wilson(5, 10)


def test_wilson__covers_about_95_percent() -> None:
    k = np.random.default_rng(1).binomial(2_000, 0.03, 20_000)
    low, high = wilson(k, 2_000)
    assert 0.94 < np.mean((low <= 0.03) & (high >= 0.03)) < 0.96


@pytest.mark.parametrize(
    ("k", "n", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 1.0), (1, 5, 0.0)]
)
@pytest.mark.parametrize("function", [wilson, clopper_pearson, counted])
def test_intervals__refuse_impossible_counts(function, k, n, level):
    with pytest.raises(ValueError):
        function(k, n, level)


# --- over draws of a model's parameters -----------------------------------------------------------


def covered(p: float, spread: float, draws: int, paths: int, runs: int, seed: int = 1) -> float:
    """How often the interval holds the probability under one more draw, log odds being normal over draws."""
    rng = np.random.default_rng(seed)
    true = expit(logit(p) + spread * rng.standard_normal((runs, draws + 1)))
    found = rng.binomial(paths // draws, true[:, :draws]) * (draws / paths)
    low, high = over_draws(found.mean(axis=1), found.std(axis=1, ddof=1), draws)
    told = np.isfinite(low)
    return float(np.mean((low <= true[:, draws])[told] & (true[:, draws] <= high)[told]))


@pytest.mark.parametrize("draws", [8, 16, 32, 64])
def test_over_draws__covers_one_more_draw(draws: int) -> None:
    """A nominal 95 %: at most 3 points short, but where draws lie apart by a factor of e either way."""
    for p in (0.3, 0.05, 0.01, 0.001, 0.0002):
        for spread in (0.1, 0.3, 0.6):
            assert covered(p, spread, draws, 200_000, 2_000) > 0.92, (p, spread)
        assert covered(p, 1.0, draws, 200_000, 2_000) > 0.88, p


def test_over_draws__with_many_paths_it_is_not_too_wide_either() -> None:
    assert 0.93 < covered(0.05, 0.3, 32, 10**8, 20_000) < 0.97


def test_over_draws__by_hand() -> None:
    low, high = over_draws([0.1, 0.0, 1.0], [0.02, 0.0, 0.0], 32)
    half = 2.0395134 * 0.02 * np.sqrt(33 / 32) / 0.09
    assert low[0] == pytest.approx(expit(logit(0.1) - half))
    assert high[0] == pytest.approx(expit(logit(0.1) + half))
    assert np.isnan([low[1:], high[1:]]).all()


def test_over_draws__refuses_one_draw() -> None:
    with pytest.raises(ValueError, match="at least 2 draws"):
        over_draws(0.1, 0.01, 1)
