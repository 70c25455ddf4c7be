"""Do assets fall together? Exceedance correlation and tail dependence, on history and under known laws.

Empirical figures take two series of returns; the references say what a normal, a mixture of normals or a
Student-t pair would show at the same thresholds. Finite-level figures must be compared with finite-level
references, never with the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pipeline.intervals import counted

Vector = NDArray[np.float64]
Tail = Literal["lower", "upper"]

# nodes of the rule over the Student-t mixing variable: 1e-12 for df from 2.1 to 1000
MIXING_NODES = 8_001
# exp(700) is near the largest float64
LONGEST_EXPONENT = 700.0


def exceedance_correlation(
    x: ArrayLike, y: ArrayLike, thresholds: Sequence[float], tail: Tail = "lower"
) -> xr.Dataset:
    """Correlation of two series over the rows where both lie beyond a threshold, by threshold.

    Both series (equal length, rows with a NaN left out) are standardised; `thresholds` are distances from the
    mean in standard deviations, towards the tail. `correlation` is NaN under three such rows; `joint` counts
    them and `p_joint`, `p_joint_low`, `p_joint_high` is their share with its 95 % interval for independent
    rows. Source: F. Longin and B. Solnik, J. Finance 56 (2001) 649; A. Ang and J. Chen, J. Financ. Econ. 63
    (2002) 443.
    """
    a, b = _rows(x, y)
    u, v = ((s - s.mean()) / s.std() * (1 if _upper(tail) else -1) for s in (a, b))
    beyond = [(u > theta) & (v > theta) for theta in thresholds]
    joint = np.array([int(rows.sum()) for rows in beyond])
    correlation = [np.corrcoef(u[k], v[k])[0, 1] if k.sum() >= 3 else np.nan for k in beyond]
    result = _by_threshold(correlation, joint / len(u), thresholds, tail)
    return result.assign({"joint": ("threshold", joint), **_interval("p_joint", "threshold", joint, len(u))})


def exceedance_correlation_normal(rho: float, thresholds: Sequence[float]) -> xr.Dataset:
    """`exceedance_correlation` of the bivariate normal with correlation `rho`; the same in both tails."""
    return exceedance_correlation_mixture([1.0], [1.0], [rho], thresholds)


def exceedance_correlation_mixture(
    weights: ArrayLike,
    sd: ArrayLike,
    rho: ArrayLike,
    thresholds: Sequence[float],
    mean: ArrayLike = 0.0,
    tail: Tail = "upper",
) -> xr.Dataset:
    """`exceedance_correlation` of a mixture of bivariate normals, one per regime, alike in both variables.

    `weights`, `sd`, `rho` and `mean` are (regime,); thresholds are in standard deviations of the mixture from
    its mean.
    """
    w, s, r, m = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (weights, sd, rho, mean)))
    if np.any(w < 0) or not np.isclose(w.sum(), 1.0) or np.any(s <= 0):
        raise ValueError("weights must sum to 1 without negative ones, and standard deviations be positive")
    centre = w @ m
    scale = np.sqrt(w @ (s**2 + (m - centre) ** 2))
    offset = (m - centre) * (1 if _upper(tail) else -1)
    return _mixture_exceedance(w, s / scale, r, offset / scale, thresholds, tail)


def exceedance_correlation_t(rho: float, df: float, thresholds: Sequence[float]) -> xr.Dataset:
    """`exceedance_correlation` of the bivariate Student-t with df > 2; the same in both tails."""
    if df <= 2:
        raise ValueError(f"a Student-t of unit variance has more than 2 degrees of freedom, got {df}")
    weight, scale = _mixing(df)
    return _mixture_exceedance(weight, scale * np.sqrt((df - 2) / df), rho, 0.0, thresholds, "upper")


def tail_dependence(x: ArrayLike, y: ArrayLike, levels: Sequence[float], tail: Tail = "lower") -> xr.Dataset:
    """chi(u) = P(both in their worst u) / u by ranks, with its 95 % interval, by level.

    The rows of x in its worst u are the trials, those where y is in its own worst u the successes. The
    interval takes rows as independent: where extremes come in runs (hours of one crash) it is too narrow.
    ValueError for a level outside (0, 1) or with less than one row.
    """
    a, b = _rows(x, y)
    sign = -1 if _upper(tail) else 1
    rank_a, rank_b = (np.argsort(np.argsort(sign * s, kind="stable")) for s in (a, b))
    # the guard keeps floor(0.29 * 100) at 29
    trials = np.array([int(np.floor(u * len(a) + 1e-9)) for u in levels])
    if np.any(trials < 1) or np.any(np.asarray(levels) >= 1):
        raise ValueError(f"{len(a)} rows can't show the levels {list(levels)}")
    joint = np.array([int(((rank_a < k) & (rank_b < k)).sum()) for k in trials])
    return xr.Dataset(
        {
            "chi": ("level", joint / trials, {"long_name": "tail dependence at the level", "units": "1"}),
            **_interval("chi", "level", joint, trials),
            "joint": ("level", joint),
            "trials": ("level", trials),
        },
        coords={"level": list(levels)},
        attrs={"tail": tail},
    )


def tail_dependence_t(rho: float, df: float) -> float:
    """Limit of chi(u) of the t copula as u goes to 0: 2 T_{df+1}(-sqrt((df+1)(1-rho)/(1+rho))).

    Source: P. Embrechts, A. McNeil and D. Straumann, in Risk Management: Value at Risk and Beyond (2002) 176.
    """
    from scipy.special import stdtr

    if not (-1 < rho <= 1 and df > 0):
        raise ValueError(f"expected -1 < rho <= 1 and df > 0, got rho={rho}, df={df}")
    return float(2 * stdtr(df + 1, -np.sqrt((df + 1) * (1 - rho) / (1 + rho))))


def tail_dependence_at_level_t(rho: float, df: float, level: float) -> float:
    """chi(u) = P(U <= u, V <= u) / u of the t copula at the level u; df = inf is the Gaussian copula."""
    from scipy.special import ndtri, stdtrit

    if not (0 < level < 1 and df > 0):
        raise ValueError(f"expected 0 < level < 1 and df > 0, got level={level}, df={df}")
    if np.isinf(df):
        return float(_orthant(np.asarray(-ndtri(level)), rho) / level)
    weight, scale = _mixing(df)
    return float(weight @ _orthant(-stdtrit(df, level) / scale, rho) / level)


def _mixture_exceedance(
    weight: Vector, sd: Vector, rho: ArrayLike, mean: ArrayLike, thresholds: Sequence[float], tail: Tail
) -> xr.Dataset:
    """Exceedance correlation above each threshold of mean + sd * (a bivariate normal), mixed by `weight`."""
    r = np.broadcast_to(np.asarray(rho, np.float64), weight.shape)
    m = np.broadcast_to(np.asarray(mean, np.float64), weight.shape)
    correlation, probability = [], []
    for theta in thresholds:
        p, first, second, product = _orthant_moments((theta - m) / sd, r)
        # of mean + sd z, from those of z
        total = weight @ p
        ex = weight @ (m * p + sd * first) / total
        exx = weight @ (m**2 * p + 2 * m * sd * first + sd**2 * second) / total
        exy = weight @ (m**2 * p + 2 * m * sd * first + sd**2 * product) / total
        correlation.append((exy - ex**2) / (exx - ex**2))
        probability.append(total)
    return _by_threshold(correlation, probability, thresholds, tail)


def _orthant(h: Vector, rho: ArrayLike) -> Vector:
    """P(x > h, y > h) of the standard bivariate normal, by Owen's T."""
    from scipy.special import ndtr, owens_t

    r = np.asarray(rho, np.float64)
    with np.errstate(divide="ignore"):
        slope = np.sqrt((1 - r) / (1 + r))
    return np.asarray(ndtr(-h) - 2 * owens_t(h, slope))


def _orthant_moments(h: Vector, rho: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """P and the integrals of x, x^2 and x y over x > h, y > h, of the standard bivariate normal, |rho| < 1.

    Source: S. Rosenbaum, J. R. Stat. Soc. B 23 (1961) 405, for equal thresholds.
    """
    from scipy.special import ndtr

    if np.any(np.abs(rho) >= 1):
        raise ValueError("an exceedance correlation needs a correlation inside (-1, 1)")
    p = _orthant(h, rho)
    # density at the edge x = h times the probability that y is beyond h there
    edge = np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi) * ndtr(-h * np.sqrt((1 - rho) / (1 + rho)))
    corner = np.sqrt(1 - rho**2) / (2 * np.pi) * np.exp(-(h**2) / (1 + rho))
    first = (1 + rho) * edge
    second = p + (1 + rho**2) * h * edge + rho * corner
    product = rho * p + 2 * rho * h * edge + corner
    return p, first, second, product


def _mixing(df: float) -> tuple[Vector, Vector]:
    """Weights and scales sqrt(df / chi2_df), such that a Student-t is scale times a normal.

    A trapezoidal rule in log chi2: it converges exponentially, as the integrand vanishes at both ends.
    """
    from scipy.special import gammaln

    # near zero the density of t = log(chi2 / df) falls as exp(df t / 2), and a second moment takes exp(t)
    slope = df / 2 - 1 if df > 2 else df / 2
    low = -min(max(45.0 / slope, 12 * np.sqrt(2 / df)), LONGEST_EXPONENT)
    high = np.log(4 + 120.0 / df) if df < 20 else 12 * np.sqrt(2 / df)
    t, step = np.linspace(low, high, MIXING_NODES, retstep=True)
    log_density = df / 2 * (np.log(df / 2) + t - np.exp(t)) - gammaln(df / 2)
    return np.asarray(np.exp(log_density) * step), np.asarray(np.exp(-t / 2))


def _rows(x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"expected two series of one length, got shapes {a.shape} and {b.shape}")
    there = ~(np.isnan(a) | np.isnan(b))
    if there.sum() < 3:
        raise ValueError(f"expected at least three rows where both series have a value, got {there.sum()}")
    return a[there], b[there]


def _upper(tail: Tail) -> bool:
    if tail not in ("lower", "upper"):
        raise ValueError(f"expected tail 'lower' or 'upper', got {tail!r}")
    return tail == "upper"


def _interval(name: str, dim: str, successes: ArrayLike, trials: ArrayLike) -> dict[str, tuple[str, Vector]]:
    low, high = counted(successes, trials)
    return {f"{name}_low": (dim, low), f"{name}_high": (dim, high)}


def _by_threshold(
    correlation: ArrayLike, p_joint: ArrayLike, thresholds: Sequence[float], tail: Tail
) -> xr.Dataset:
    return xr.Dataset(
        {
            "correlation": (
                "threshold",
                np.asarray(correlation, np.float64),
                {"long_name": "exceedance correlation"},
            ),
            "p_joint": (
                "threshold",
                np.asarray(p_joint, np.float64),
                {"long_name": "P(both beyond the threshold)"},
            ),
        },
        coords={"threshold": [float(theta) for theta in thresholds]},
        attrs={"tail": tail},
    )
