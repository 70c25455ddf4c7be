"""Laws of jump sizes: moments of one jump, and of two assets' together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

from pipeline.jumps import DoubleExponentialJumps, NormalJumps

UP, UP_MEAN, DOWN_MEAN = {"A": 0.4, "B": 0.25}, {"A": 0.05, "B": 0.02}, {"A": 0.03, "B": 0.08}


def two_sided(correlation: float, up: dict[str, float] = UP) -> DoubleExponentialJumps:
    return DoubleExponentialJumps(
        law="double_exponential",
        intensity=3.0,
        correlation=correlation,
        up_probability=up,
        up_mean=UP_MEAN,
        down_mean=DOWN_MEAN,
    )


def move(score: float, asset: str) -> float:
    """The move at a normal's quantile."""
    upper, lower, p = norm.sf(score), norm.cdf(score), UP[asset]
    return float(
        UP_MEAN[asset] * np.log(p / upper) if upper < p else -DOWN_MEAN[asset] * np.log((1 - p) / lower)
    )


def test_moments__normal() -> None:
    jumps = NormalJumps(
        intensity=1.0, mean={"A": 0.1, "B": -0.2}, volatility={"A": 0.3, "B": 0.4}, correlation=0.5
    )
    mean, square = jumps.moments("BA")
    np.testing.assert_allclose(mean, [-0.2, 0.1])
    np.testing.assert_allclose(square, [0.04 + 0.16, 0.01 + 0.09])
    np.testing.assert_allclose(jumps.products("AB"), [[0.1, -0.02 + 0.06], [-0.02 + 0.06, 0.2]])


def test_moments__double_exponential() -> None:
    mean, square = two_sided(0.3).moments("AB")
    np.testing.assert_allclose(mean, [0.4 * 0.05 - 0.6 * 0.03, 0.25 * 0.02 - 0.75 * 0.08])
    np.testing.assert_allclose(
        square, [2 * (0.4 * 0.05**2 + 0.6 * 0.03**2), 2 * (0.25 * 0.02**2 + 0.75 * 0.08**2)]
    )
    np.testing.assert_allclose(np.diag(two_sided(0.3).products("AB")), square)


@pytest.mark.parametrize("rho", [-0.6, 0.5, 0.9])
def test_products__by_quadrature(rho: float) -> None:
    def integrand(e: float, z: float) -> float:
        other = rho * z + np.sqrt(1 - rho**2) * e
        return float(move(z, "A") * move(other, "B") * norm.pdf(z) * norm.pdf(e))

    want = dblquad(integrand, -7, 7, -7, 7, epsabs=1e-7, epsrel=1e-4)[0]
    assert two_sided(rho).products("AB")[0, 1] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("up", [0.0, 0.4, 1.0])
def test_products__the_same_quantile_for_both(up: float) -> None:
    jumps = two_sided(1.0, {"A": up, "B": up})
    want = 2 * (up * 0.05 * 0.02 + (1 - up) * 0.03 * 0.08)
    assert jumps.products("AB")[0, 1] == pytest.approx(want, rel=1e-4)
    assert two_sided(0.0).products("AB")[0, 1] == pytest.approx(0.002 * -0.055)


def test_ordered__every_mapping_by_the_assets() -> None:
    jumps = two_sided(0.5).ordered("BA")
    assert list(jumps.up_mean) == list(jumps.down_mean) == list(jumps.up_probability) == ["B", "A"]
    assert jumps == two_sided(0.5)
    assert jumps.sides("BA").tolist() == [[0.25, 0.02, 0.08], [0.4, 0.05, 0.03]]
