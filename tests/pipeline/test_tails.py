"""Tails: references against two-dimensional quadrature, empirical figures against the references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm, t

from pipeline.tails import (
    exceedance_correlation,
    exceedance_correlation_mixture,
    exceedance_correlation_normal,
    exceedance_correlation_t,
    tail_dependence,
    tail_dependence_at_level_t,
    tail_dependence_t,
)

Floats = NDArray[np.float64]


def by_grid(density: object, theta: float, reach: float = 60.0, count: int = 400) -> tuple[float, float]:
    """Exceedance correlation and joint probability by a Gauss-Legendre rule in two dimensions."""
    node, weight = np.polynomial.legendre.leggauss(count)
    # v in (0, 1) -> theta + v^3 reach: nodes crowd at the edge, where the mass is
    v, w = (node + 1) / 2, weight / 2
    x, dx = theta + reach * v**3, 3 * reach * v**2 * w
    assert callable(density)
    mass = density(x[:, None], x[None, :]) * dx[:, None] * dx[None, :]
    p = mass.sum()
    ex, exx, exy = (mass.sum(axis=1) @ x) / p, (mass.sum(axis=1) @ x**2) / p, (x @ mass @ x) / p
    return (exy - ex**2) / (exx - ex**2), p


def normal_density(x: Floats, y: Floats, rho: float, sd: float = 1.0, mean: float = 0.0) -> Floats:
    q = ((x - mean) ** 2 - 2 * rho * (x - mean) * (y - mean) + (y - mean) ** 2) / (sd**2 * (1 - rho**2))
    return np.asarray(np.exp(-q / 2) / (2 * np.pi * sd**2 * np.sqrt(1 - rho**2)))


def draw_t(rho: float, df: float, rows: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], rows)
    drawn: Floats = z * np.sqrt(df / rng.chisquare(df, rows))[:, None]
    return drawn


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("theta", [-0.7, 0.0, 1.0, 2.0])
def test_exceedance_correlation_normal__by_quadrature(rho: float, theta: float) -> None:
    found = exceedance_correlation_normal(rho, [theta])
    correlation, p = by_grid(lambda x, y: normal_density(x, y, rho), theta, reach=12.0)
    # where both beyond is a matter of 1e-6, closed forms lose digits
    assert found.correlation.item() == pytest.approx(correlation, abs=1e-9 if p > 1e-5 else 1e-7)
    assert found.p_joint.item() == pytest.approx(p, rel=1e-9)
    assert found.p_joint.item() == pytest.approx(
        multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-theta, -theta]), abs=1e-7
    )


def test_exceedance_correlation_mixture__with_means_differs_between_tails() -> None:
    weights, sd, rho, mean = [0.8, 0.2], [0.8, 2.0], [0.4, 0.9], [0.1, -0.4]
    scale = np.sqrt(np.dot(weights, np.square(sd) + np.square(mean)))
    for tail, sign in (("upper", 1), ("lower", -1)):
        found = exceedance_correlation_mixture(weights, sd, rho, [0.5], mean, tail)  # type: ignore[arg-type]
        correlation, p = by_grid(
            lambda x, y, sign=sign: sum(
                w * normal_density(x, y, r, s, sign * m)
                for w, s, r, m in zip(weights, sd, rho, mean, strict=True)
            ),
            0.5 * scale,
            reach=24.0,
        )
        assert found.correlation.item() == pytest.approx(correlation, abs=1e-9)
        assert found.p_joint.item() == pytest.approx(p, rel=1e-9)
        assert found.attrs["tail"] == tail


@pytest.mark.parametrize(("rho", "df"), [(0.5, 6.0), (0.9, 4.5), (-0.3, 30.0)])
def test_exceedance_correlation_t__by_quadrature(rho: float, df: float) -> None:
    scale = np.sqrt((df - 2) / df)

    def density(x: Floats, y: Floats) -> Floats:
        q = (x**2 - 2 * rho * x * y + y**2) / (scale**2 * (1 - rho**2))
        return np.asarray((1 + q / df) ** (-df / 2 - 1) / (2 * np.pi * scale**2 * np.sqrt(1 - rho**2)))

    found = exceedance_correlation_t(rho, df, [0.8])
    # beyond the reach a share of about reach^(2 - df) of the second moment is left out
    correlation, p = by_grid(density, 0.8, reach=1e5, count=1500)
    assert found.correlation.item() == pytest.approx(correlation, abs=1e-7)
    assert found.p_joint.item() == pytest.approx(p, rel=1e-7)


def test_exceedance_correlation_t__tends_to_the_normal() -> None:
    thresholds = [0.0, 1.0, 2.0]
    near, normal = (
        exceedance_correlation_t(0.6, 1e7, thresholds),
        exceedance_correlation_normal(0.6, thresholds),
    )
    assert near.correlation.values == pytest.approx(normal.correlation.values, abs=1e-5)


@pytest.mark.parametrize("tail", ["lower", "upper"])
def test_exceedance_correlation__finds_the_reference(tail: str) -> None:
    drawn = draw_t(0.5, 1e9, 400_000, seed=3)
    thresholds = [0.0, 0.5, 1.0]
    found = exceedance_correlation(drawn[:, 0], drawn[:, 1], thresholds, tail)  # type: ignore[arg-type]
    expected = exceedance_correlation_normal(0.5, thresholds)
    error = 1 / np.sqrt(found.joint)
    assert np.all(np.abs(found.correlation - expected.correlation) < 4 * error)
    assert np.all(np.abs(found.p_joint - expected.p_joint) < 4 * np.sqrt(expected.p_joint / 400_000))
    assert np.all((found.p_joint_low < found.p_joint) & (found.p_joint < found.p_joint_high))


def test_exceedance_correlation__tells_the_tails_apart() -> None:
    rng = np.random.default_rng(5)
    common = -rng.exponential(size=20_000)
    x, y = common + 0.3 * rng.normal(size=20_000), common + 0.3 * rng.normal(size=20_000)
    lower, upper = (
        exceedance_correlation(x, y, [0.5], tail).correlation.item() for tail in ("lower", "upper")
    )
    assert lower > 0.8 > 0.3 > upper
    mirrored = exceedance_correlation(-x, -y, [0.5], "upper")
    assert mirrored.correlation.item() == pytest.approx(lower, abs=1e-12)


def test_exceedance_correlation__missing_rows_and_empty_tails() -> None:
    x = np.array([1.0, np.nan, -1.0, 2.0, 0.5])
    y = np.array([1.0, 3.0, -1.5, np.nan, 0.1])
    found = exceedance_correlation(x, y, [0.0, 5.0])
    assert found.joint.values.tolist() == [1, 0]
    assert np.isnan(found.correlation).all()
    assert found.p_joint_high.values[1] > 0
    with pytest.raises(ValueError, match="three rows"):
        exceedance_correlation(x[:2], y[:2], [0.0])
    with pytest.raises(ValueError, match="one length"):
        exceedance_correlation(x, y[:2], [0.0])
    with pytest.raises(ValueError, match="'left'"):
        exceedance_correlation(x, y, [0.0], "left")  # type: ignore[arg-type]


@given(st.floats(-0.95, 0.99), st.floats(0.3, 200), st.floats(1e-4, 0.6))
@settings(deadline=None)
def test_tail_dependence_at_level_t__by_conditional_law(rho: float, df: float, level: float) -> None:
    edge = t.ppf(level, df)

    def inner(u: float) -> float:
        x = t.ppf(u, df)
        return float(t.cdf((edge - rho * x) * np.sqrt((df + 1) / ((df + x**2) * (1 - rho**2))), df + 1))

    expected = quad(inner, 0, level, epsabs=1e-13, limit=400)[0] / level
    assert tail_dependence_at_level_t(rho, df, level) == pytest.approx(expected, abs=1e-7)


def test_tail_dependence_at_level_t__of_the_normal_copula() -> None:
    expected = multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]]).cdf([norm.ppf(0.01)] * 2) / 0.01
    assert tail_dependence_at_level_t(0.8, np.inf, 0.01) == pytest.approx(expected, abs=1e-6)


@given(st.floats(-0.9, 0.99), st.floats(1, 20))
@settings(deadline=None)
def test_tail_dependence_t__is_the_limit(rho: float, df: float) -> None:
    limit = tail_dependence_t(rho, df)
    near, nearer = (abs(tail_dependence_at_level_t(rho, df, u) - limit) for u in (1e-6, 1e-9))
    assert nearer <= near + 1e-9
    assert tail_dependence_t(1.0, df) == 1


@pytest.mark.parametrize(("rho", "df"), [(-1.0, 4), (1.1, 4), (0.5, 0)])
def test_tail_dependence_t__refuses(rho: float, df: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        tail_dependence_t(rho, df)


def test_references__refuse() -> None:
    with pytest.raises(ValueError, match="more than 2"):
        exceedance_correlation_t(0.5, 2.0, [0.0])
    with pytest.raises(ValueError, match="inside"):
        exceedance_correlation_normal(1.0, [0.0])
    with pytest.raises(ValueError, match="sum to 1"):
        exceedance_correlation_mixture([0.5, 0.6], [1, 1], [0, 0], [0.0])
    with pytest.raises(ValueError, match="level"):
        tail_dependence_at_level_t(0.5, 4, 1.0)


def test_tail_dependence__interval_covers_the_finite_level_reference() -> None:
    expected = tail_dependence_at_level_t(0.8, 4, 0.05)
    covered = 0
    for seed in range(200):
        drawn = draw_t(0.8, 4, 2_000, seed)
        found = tail_dependence(drawn[:, 0], drawn[:, 1], [0.05])
        covered += bool(found.chi_low.item() <= expected <= found.chi_high.item())
    # 95 % of 200 is 190, and 181 its lower 4-sigma end
    assert covered >= 178


def test_tail_dependence__extremes_of_dependence() -> None:
    x = np.random.default_rng(1).normal(size=1000)
    same, opposite = tail_dependence(x, x, [0.02]), tail_dependence(x, -x, [0.02])
    assert (same.chi.item(), same.trials.item()) == (1, 20)
    assert opposite.chi.item() == 0 < opposite.chi_high.item()
    assert tail_dependence(x, np.exp(x), [0.02, 0.1], "upper").chi.values.tolist() == [1, 1]


@pytest.mark.parametrize("level", [0.0005, 1.0, -0.1])
def test_tail_dependence__refuses_levels_that_no_row_shows(level: float) -> None:
    x = np.arange(1000.0)
    with pytest.raises(ValueError, match="can't show"):
        tail_dependence(x, x, [level])
