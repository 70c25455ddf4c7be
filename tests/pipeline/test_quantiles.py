"""Quantiles read off bins: against sorting, and what must hold between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from kernels.quantiles import FLAT, find_bin, find_bin_above, find_ratio_bin
from kernels.structs import (
    AT_HORIZON,
    BINS,
    DRAWDOWN,
    LOWEST_EQUITY,
    LOWEST_RATIO,
    RESULT,
    SHORT_OF,
    SPREADS,
    TIMES,
)
from pipeline.plan import plan_from_document
from pipeline.quantiles import rank_interval, summarise_quantiles
from pipeline.quantiles_schema import QUANTILES, TAILS
from pipeline.tallies import Tallies
from tests.cubes import resolved_document, small_tallies

PATHS = 4_000
SCALE, BEGAN, QUANTUM = 20_000.0, 30_000.0, 0.25
CELL = (0, 1, 1, 2)  # baseline, directional, leverage 1, the last horizon
Floats = np.ndarray[Any, np.dtype[np.float64]]


def tallies_of(values: dict[int, Floats], times: dict[int, int] | None = None) -> Tallies:
    """Tallies of paths with these values, of which money is less what there was, in one cell."""
    tallies = small_tallies()
    shape = tallies.liquidations.shape
    histogram = np.zeros((SPREADS, *shape, BINS), np.int64)
    results = np.zeros((*shape, BINS), np.int64)
    for kind, sample in values.items():
        for value in sample.tolist():
            if kind == LOWEST_RATIO:
                number = find_ratio_bin(value)
            elif kind in (SHORT_OF, DRAWDOWN):
                number = find_bin_above(value, 1 / (FLAT * SCALE))
            else:
                number = find_bin(value, 1 / (FLAT * SCALE))
            histogram[(kind, *CELL, number)] += 1
            if kind == RESULT:
                results[(*CELL, number)] += round(value / QUANTUM)
    passages = np.zeros((*shape[:3], TIMES), np.int64)
    for number, count in (times or {}).items():
        passages[(*CELL[:3], number)] = count
    return replace(
        tallies,
        money_quantum=np.full(3, QUANTUM),
        histogram=histogram,
        results=results,
        passages=passages,
        scale=np.full(shape[1:3], SCALE),
        began=np.full(3, BEGAN),
        liquidatable_now=np.zeros_like(tallies.liquidatable_now),
    )


def found_for(tallies: Tallies) -> dict[str, Any]:
    return summarise_quantiles(tallies, plan_from_document(resolved_document()))


def samples(rng: np.random.Generator) -> dict[str, Floats]:
    """Bodies that books have: narrow, wide, and one with a heap where accounts are closed out."""
    heap = rng.uniform(-20_500, -18_500, PATHS // 5)
    return {
        "narrow": 500 * rng.standard_normal(PATHS),
        "wide": 8_000 * rng.standard_t(4, PATHS),
        "closed out": np.concatenate([heap, 15_000 * rng.standard_normal(PATHS - len(heap))]),
    }


@pytest.mark.parametrize("name", ["narrow", "wide", "closed out"])
def test_summarise_quantiles__as_by_sorting_within_a_hundredth_of_scale(name: str) -> None:
    sample = samples(np.random.default_rng(3))[name]
    values = {
        AT_HORIZON: sample,
        LOWEST_EQUITY: np.minimum(sample - 300, 0),
        SHORT_OF: np.maximum(-sample - 5_000, 0),
        DRAWDOWN: abs(sample),
        LOWEST_RATIO: np.exp(sample / 15_000),
    }
    found = found_for(tallies_of(values))
    names = {
        "equity_q": (AT_HORIZON, BEGAN),
        "min_equity_q": (LOWEST_EQUITY, BEGAN),
        "shortfall_q": (SHORT_OF, 0.0),
        "max_drawdown_q": (DRAWDOWN, 0.0),
        "min_margin_ratio_q": (LOWEST_RATIO, 0.0),
    }
    for variable, (kind, began) in names.items():
        expected = np.quantile(values[kind], QUANTILES, method="inverted_cdf") + began
        within = 0.01 * SCALE
        if kind == LOWEST_RATIO:
            within = np.where(expected > 0.25, 0.02 * expected, 0.1)  # below 1/4 there is one bin
        got = found[variable][CELL]
        body = (np.array(QUANTILES) > 0.01) & (np.array(QUANTILES) < 0.95)  # further out bins are wider
        np.testing.assert_array_less(abs(got - expected)[body], np.broadcast_to(within, 7)[body], variable)
        np.testing.assert_allclose(
            got, expected, rtol=0.03, atol=0.1 if kind == LOWEST_RATIO else 0.02 * SCALE
        )
        assert (np.diff(got) >= 0).all()
        assert (found[f"{variable}_low"][CELL] <= got).all()
        assert (found[f"{variable}_high"][CELL] >= got).all()


def test_summarise_quantiles__intervals_are_the_values_of_their_ranks() -> None:
    sample = np.sort(samples(np.random.default_rng(4))["wide"])
    found = found_for(tallies_of({AT_HORIZON: sample}))
    for i, level in enumerate(QUANTILES):
        low = int(binom.ppf(0.025, PATHS, level))
        high = int(binom.ppf(0.975, PATHS, level)) + 1
        for end, rank, side in (("low", low, -1), ("high", high, 1)):
            got = found[f"equity_q_{end}"][CELL][i] - BEGAN
            # out to the edge of its bin, and no further
            assert 0 <= side * (got - sample[rank - 1]) <= 0.13 * SCALE


def test_summarise_quantiles__nothing_where_nobody_was() -> None:
    found = found_for(tallies_of({}))
    for name, values in found.items():
        assert (np.isnat(values) if name.startswith("time") else np.isnan(values)).all(), name


def test_summarise_quantiles__atoms_and_open_ends() -> None:
    ratios = np.concatenate([np.full(500, -1.0), np.full(1_500, 1e9), np.full(2_000, np.inf)])
    values = {
        LOWEST_RATIO: ratios,
        SHORT_OF: np.concatenate([np.zeros(3_900), np.full(100, 1e12)]),
        LOWEST_EQUITY: np.zeros(PATHS),
        AT_HORIZON: np.concatenate([np.full(2_000, -1e12), np.full(2_000, 1e12)]),
    }
    found = found_for(tallies_of(values))
    ratio = found["min_margin_ratio_q"][CELL]
    assert ratio[:2].tolist() == [0, 0]
    assert 50 < ratio[2] < 70  # 1e9 is beyond the last bin's edge
    assert np.isinf(ratio[4:]).all()
    short = found["shortfall_q"][CELL]
    assert short[:6].tolist() == [0] * 6
    assert short[6] == pytest.approx(7.5 * SCALE, rel=0.05)
    assert (found["min_equity_q"][CELL] == BEGAN).all()
    equity = found["equity_q"][CELL]
    assert equity[[0, -1]] - BEGAN == pytest.approx([-7.5 * SCALE, 7.5 * SCALE], rel=0.05)


@pytest.mark.parametrize("name", ["narrow", "wide", "closed out"])
def test_summarise_quantiles__expected_shortfall_is_the_mean_of_the_worst(name: str) -> None:
    sample = samples(np.random.default_rng(5))[name]
    found = found_for(tallies_of({RESULT: sample}))
    for i, tail in enumerate(TAILS):
        worst = np.sort(sample)[: round((1 - tail) * PATHS)]
        assert found["expected_shortfall"][CELL][i] == pytest.approx(
            -worst.mean(), rel=2e-3, abs=1e-3 * SCALE
        )
        reach = found["expected_shortfall_high"][CELL][i] - found["expected_shortfall"][CELL][i]
        edge = tail * (worst.mean() - worst.max()) ** 2
        by_hand = 1.959963984540054 * np.sqrt((worst.var() + edge) / len(worst))
        assert 0.97 * by_hand <= reach <= 1.1 * by_hand + 0.05 * SCALE  # the bin of the tail's edge
    few = found_for(tallies_of({RESULT: sample[:90]}))["expected_shortfall"][CELL]
    assert np.isnan(few).tolist() == [False, True]


def test_summarise_quantiles__what_bins_cannot_tell_is_in_the_intervals() -> None:
    """Outcomes that lie in two bins, as a calm hour's do."""
    sample = np.sort(0.003 * SCALE * np.random.default_rng(6).standard_normal(PATHS))
    found = found_for(tallies_of({RESULT: sample, AT_HORIZON: sample}))
    for i, level in enumerate(QUANTILES):
        ends = [found[f"equity_q_{end}"][CELL][i] - BEGAN for end in ("low", "high")]
        assert ends[0] <= np.quantile(sample, level) <= ends[1]
    for i, tail in enumerate(TAILS):
        loss = -sample[: round((1 - tail) * PATHS)].mean()
        ends = [found[f"expected_shortfall_{end}"][CELL][i] for end in ("low", "high")]
        assert ends[0] <= loss <= ends[1]


def test_rank_interval__the_textbooks_ranks_of_a_median() -> None:
    low, high = rank_interval(np.array([100, 5]), np.array([0.5, 0.99]))
    assert (low[0, 0], high[0, 0]) == (39, 61)  # between the 40th and the 61st of 100
    assert np.isnan(high[0, 1])
    assert np.isnan(low[1, 0])


@pytest.mark.parametrize("level", [0.05, 0.5])
def test_rank_interval__covers(level: float) -> None:
    rng = np.random.default_rng(6)
    low, high = (int(end[0, 0]) for end in rank_interval(np.array([400]), np.array([level])))
    uniform = np.sort(rng.random((4_000, 400)), axis=1)
    covered = (uniform[:, low] <= level) & (uniform[:, high - 1] >= level)
    assert 0.945 < covered.mean() < 0.985


def test_summarise_quantiles__times_are_ends_of_steps_among_those_who_are_liquidated() -> None:
    plan = plan_from_document(resolved_document())
    tallies = tallies_of({}, {0: 10, 2: 80, 4: 10})
    found = summarise_quantiles(tallies, plan)
    steps = found["time_to_liquidation_q"][CELL[:3]] / np.timedelta64(plan.simulation.step)
    last = plan.simulation.horizons[-1] / plan.simulation.step
    stretch = -(-int(last) // TIMES)
    assert steps.tolist() == [stretch * s for s in (1, 1, 3, 3, 3, 5, 5)]
    low, high = (found[f"time_to_liquidation_q_{end}"][CELL[:3]] for end in ("low", "high"))
    assert np.isnat(low).tolist() == [True, *[False] * 6]
    assert np.isnat(high).tolist() == [*[False] * 6, True]
    assert np.isnat(found["time_to_liquidation_q"]).sum() == 3 * 3 * 4 * 7 - 7
    now = tallies.liquidatable_now.copy()
    now[CELL[:3]] = True
    at_once = summarise_quantiles(replace(tallies, liquidatable_now=now), plan)
    assert not at_once["time_to_liquidation_q"][CELL[:3]].astype(int).any()
