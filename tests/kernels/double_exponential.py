"""Exact laws of a Brownian motion with drift and double-exponential jumps (Kou 2002; Kou and Wang 2003)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad


class Process(NamedTuple):
    """X(0) = 0: drift and volatility a year, jumps a year, up with a probability, the means of both ways."""

    drift: float
    volatility: float
    intensity: float
    up: float
    up_mean: float
    down_mean: float

    @property
    def mirrored(self) -> Process:
        """That of -X."""
        return Process(
            -self.drift, self.volatility, self.intensity, 1.0 - self.up, self.down_mean, self.up_mean
        )

    def exponent(self, u: complex) -> complex:
        """ln E exp(u X(1))."""
        jump = self.up / (1.0 - u * self.up_mean) + (1.0 - self.up) / (1.0 + u * self.down_mean)
        return self.drift * u + 0.5 * (self.volatility * u) ** 2 + self.intensity * (jump - 1.0)


def above_at(process: Process, level: float, years: float) -> float:
    """P(X(T) > level), by Gil-Pelaez's inversion of the characteristic function."""

    def integrand(u: float) -> float:
        return float((np.exp(years * process.exponent(1j * u) - 1j * u * level) / (1j * u)).real)

    furthest = 9.0 / (process.volatility * math.sqrt(years))
    return 0.5 + quad(integrand, 0.0, furthest, limit=400)[0] / math.pi


def above_by(process: Process, level: float, years: float, nodes: int = 24) -> float:
    """P(X(t) > level at some t <= T), level above 0: Kou and Wang's transform, inverted by Talbot's contour.

    E exp(-a tau) needs the two roots of exponent(x) = a with a positive real part; it is symmetric in them.
    """
    angle = np.arange(1, nodes) * math.pi / nodes
    cotangent = 1.0 / np.tan(angle)
    scale = 2.0 * nodes / 5.0 / years
    points = np.r_[scale, scale * angle * (cotangent + 1j)]
    slopes = np.r_[0.5, 1.0 + 1j * (angle + (angle * cotangent - 1.0) * cotangent)]
    values = np.array([_transform(process, level, complex(a)) / a for a in points])
    return float((np.exp(points * years) * values * slopes).real.sum() * scale / nodes)


def _transform(process: Process, level: float, a: complex) -> complex:
    eta, theta = 1.0 / process.up_mean, 1.0 / process.down_mean
    poles = np.polymul([-1.0, eta], [1.0, theta])
    jumps = process.intensity * (
        np.polymul([process.up * eta], [1.0, theta]) + np.polymul([(1.0 - process.up) * theta], [-1.0, eta])
    )
    smooth = np.array([0.5 * process.volatility**2, process.drift, -process.intensity - a])
    roots = np.roots(np.polyadd(np.polymul(smooth, poles), jumps))
    first, second = sorted(roots, key=lambda root: -root.real)[:2]
    return complex(
        (eta - first) / eta * second / (second - first) * np.exp(-level * first)
        + (second - eta) / eta * first / (second - first) * np.exp(-level * second)
    )
