"""What follows a breach: from sums over paths to the cube's figures, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from kernels import structs
from pipeline.aftermath import markets_of, summarise_aftermath
from pipeline.plan import plan_from_document
from pipeline.tallies import Tallies
from tests.cubes import resolved_document, small_tallies

PATHS = 1_000
CELL = (0, 1, 1, 2)  # baseline, directional, leverage 1, the last horizon


def tallies_of(rows: dict[int, Any], breach: dict[tuple[int, ...], int] | None = None) -> Tallies:
    """Tallies whose sums in one cell are these; in others nothing happened."""
    tallies = small_tallies()
    none = np.zeros_like(tallies.liquidations)
    sums = np.zeros((structs.AFTERMATHS, *none.shape), np.int64)
    for row, value in rows.items():
        sums[(row, *CELL)] = value
    legs = np.zeros((*none.shape[:3], 2), np.int64)
    for at, count in (breach or {}).items():
        legs[at] = count
    return replace(
        tallies,
        liquidations=none,
        margin_calls=none,
        bankruptcies=none,
        joint=None,
        paths=PATHS,
        aftermath=sums,
        breach=legs,
        money_quantum=np.array([1.0, 0.25, 8.0]),
    )


def found_for(tallies: Tallies) -> dict[str, Any]:
    return summarise_aftermath(tallies, plan_from_document(resolved_document()))


def moments(row: int, values: np.ndarray[Any, Any]) -> dict[int, int]:
    squares = [int(value) ** 2 for value in values]
    return {
        row: int(values.sum()),
        row + 1: sum(square >> 32 for square in squares),
        row + 2: sum(square & 0xFFFFFFFF for square in squares),
    }


def test_summarise_aftermath__means_and_intervals_are_those_of_the_paths() -> None:
    rng = np.random.default_rng(5)
    rows = (
        structs.SHORTFALLS,
        structs.SHARES,
        structs.PAID_FEES,
        structs.PAID_SLIPPAGE,
        structs.PAID_TO_FUND,
        structs.PAID_GAS,
    )
    samples = {row: rng.integers(0, 1 << 24, PATHS) * rng.integers(0, 2, PATHS) for row in rows}
    sums = {key: value for row in rows for key, value in moments(row, samples[row]).items()}
    found = found_for(tallies_of(sums))
    figures = {
        structs.SHORTFALLS: ("shortfall_mean", (), 0.25),
        structs.SHARES: ("share_liquidated_mean", (), 2.0**-24),
        structs.PAID_FEES: ("cost_mean", (0,), 0.25 / 256),
        structs.PAID_SLIPPAGE: ("cost_mean", (1,), 0.25 / 256),
        structs.PAID_TO_FUND: ("cost_mean", (2,), 0.25 / 256),
        structs.PAID_GAS: ("cost_mean", (3,), 0.25 / 256),
    }
    for row, (name, component, unit) in figures.items():
        sample = unit * samples[row]
        half = 1.959963984540054 * sample.std(ddof=1) / np.sqrt(PATHS)
        expected = [sample.mean(), sample.mean() - half, sample.mean() + half]
        got = [found[f"{name}{end}"][(*CELL, *component)] for end in ("", "_low", "_high")]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_summarise_aftermath__funding_may_be_received() -> None:
    sample = np.random.default_rng(8).integers(-(1 << 24), 1 << 23, PATHS)
    found = found_for(tallies_of(moments(structs.PAID_FUNDING, sample)))
    half = 1.959963984540054 * 0.25 * sample.std(ddof=1) / np.sqrt(PATHS)
    mean = 0.25 * sample.mean()
    got = [found[f"cost_mean{end}"][(*CELL, 4)] for end in ("", "_low", "_high")]
    np.testing.assert_allclose(got, [mean, mean - half, mean + half], rtol=1e-12)
    assert np.isinf(found["break_even_days"][CELL])


def test_summarise_aftermath__money_is_in_quanta_of_each_account() -> None:
    tallies = tallies_of({})
    sums = tallies.aftermath
    assert sums is not None
    sums[structs.SHORTFALLS] = PATHS
    mean = found_for(tallies)["shortfall_mean"]
    assert np.unique(mean[:, 0]) == 1.0
    assert np.unique(mean[:, 1]) == 0.25
    assert np.unique(mean[:, 2]) == 8.0


@pytest.mark.parametrize(
    ("row", "counts", "probability"),
    [
        (structs.FORCED_PATHS, "forced_liquidations", "p_forced_liquidation"),
        (structs.PARTIAL_PATHS, "partial_liquidations", "p_partial_liquidation"),
        (structs.CLOSED_PATHS, "closed_out", "p_closed_out"),
        (structs.BANKRUPT_PATHS, "managed_bankruptcies", "p_managed_bankruptcy"),
        (structs.ACTED_PATHS, "policy_fired", "p_policy_fired"),
    ],
)
def test_summarise_aftermath__counts_and_probabilities(row: int, counts: str, probability: str) -> None:
    found = found_for(tallies_of({row: 37}))
    assert found[counts][CELL] == found[counts].sum() == 37
    assert found[probability][CELL] == 0.037
    p, n, z = 0.037, PATHS, 1.959963984540054
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found[f"{probability}_high"][CELL] == pytest.approx((p + z**2 / (2 * n)) / (1 + z**2 / n) + half)
    others = [name for name in found if name.startswith("p_") and not name.startswith(probability)]
    assert not any(found[name].any() for name in others if not name.endswith("_high"))


def test_summarise_aftermath__never_a_bare_zero() -> None:
    found = found_for(tallies_of({}))
    bound = beta.ppf(0.975, 1, PATHS)
    for name, values in found.items():
        if name.startswith("p_") and name.endswith("_high"):
            np.testing.assert_allclose(values, bound)
        if name == "cost_mean_high":
            assert np.isnan(values[..., :-1]).all()
            assert (values[..., -1] == 0).all()  # of funding: paid or received on every path
        elif name.endswith("_mean_high"):
            assert np.isnan(values).all()
        if name.endswith("_mean_low"):
            assert (values == 0).all()


def test_summarise_aftermath__first_breach_is_by_market() -> None:
    breach = {(0, 0, 1, 0): 5, (0, 0, 1, 1): 7, (2, 1, 3, 0): 11}
    plan = plan_from_document(resolved_document())
    assert markets_of(plan) == ("BTC-USD", "ETH-USD")
    found = summarise_aftermath(tallies_of({}, breach), plan)["first_breach"]
    assert found.shape == (3, 3, 4, 2)
    assert found[0, 0, 1].tolist() == [5, 7]
    assert found[2, 1, 3].tolist() == [0, 11]  # directional holds ETH alone
    assert found.sum() == 23


def test_summarise_aftermath__needlessly_is_of_the_last_horizon() -> None:
    found = found_for(tallies_of({structs.NEEDLESS_PATHS: 3}))["policy_fired_needlessly"]
    assert found.shape == (3, 3, 4)
    assert found[CELL[:3]] == found.sum() == 3
