"""Inference where a step may have a burst: densities, weights and distances in one regime.

Shapes: n steps, A assets, M levels, J kinds of step: one for each burst, the first for none. The law is that
of `pipeline.figures`. near (n,) is the squared distance of returns from the regime's mean, in units of its
scatter; along (n, J) their product with each move; size (J,) a move's with itself; give (J,) the variance of
1 + spread w n, given the returns, over w^2; constant (M, J) what of the log density is not the returns'.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.elementary import exp, log
from kernels.jit import inlined, njit

Floats = NDArray[np.float64]

LEAST = -700.0  # logarithms of shares are cut here, where they are nothing
UNLIKELY = 1e-9  # a state less likely than this in a step says nothing of its bursts
RARE = 1e-6  # the same of a burst in a state, where there are many of them


class Law(NamedTuple):
    """What a regime and its bursts are like; nu is infinite where it is Gaussian."""

    scales: Floats  # (M,)
    size: Floats  # (J,)
    give: Floats  # (J,)
    constant: Floats  # (M, J)
    nu: float
    assets: int


@inlined
def weigh_kinds(near: float, along: Floats, law: Law, m: int, square: Floats, share: Floats) -> float:
    """Return the log density of a step's returns in level m, over all kinds of step.

    Fill square (J,), the distances from each burst's place in units of its scatter, and share (J,), P(kind).
    """
    kinds, per = law.size.shape[0], 1.0 / law.scales[m]
    for j in range(kinds):
        past = along[j] * per - law.size[j]
        square[j] = near * per * per - along[j] * per - past * (1.0 + law.give[j] * past)
    if math.isinf(law.nu):
        for j in range(kinds):
            share[j] = law.constant[m, j] - 0.5 * square[j]
    else:
        power = 0.5 * (law.nu + law.assets)
        for j in range(kinds):
            share[j] = law.constant[m, j] - power * log(1.0 + square[j] / law.nu)
    most = -np.inf
    for j in range(kinds):
        most = max(most, share[j])
    for j in range(kinds):
        share[j] = exp(max(share[j] - most, LEAST))
    total = 0.0
    for j in range(kinds):
        total += share[j]
    for j in range(kinds):
        share[j] /= total
    return most + log(total)


@njit
def fill_kinds(near: Floats, along: Floats, law: Law, densities: Floats, shares: Floats) -> None:
    """Fill densities (n, M), logarithms, and shares (n, M, J), P(kind | state, returns), if it has rows."""
    kinds = law.size.shape[0]
    square, share = np.empty(kinds), np.empty(kinds)
    for i in range(near.shape[0]):
        for m in range(law.scales.shape[0]):
            densities[i, m] = weigh_kinds(near[i], along[i], law, m, square, share)
            if shares.shape[0] > 0:
                for j in range(kinds):
                    shares[i, m, j] = share[j]


@njit
def pull_kinds(
    near: Floats,
    along: Floats,
    law: Law,
    smoothed: Floats,
    heavy: Floats,
    turned: Floats,
    steps: Floats,
    own: Floats,
) -> None:
    """Fill heavy (n, M) and turned (n, M, J); add to steps (M, J) and own (M, J).

    smoothed (n, M): how much each step counts. With u = E(1 / w^2) and s the mean of 1 + spread w n: heavy is
    u over all kinds, turned u s, own adds up u s^2 + give, steps the counts.
    """
    kinds = law.size.shape[0]
    square, share = np.empty(kinds), np.empty(kinds)
    for i in range(near.shape[0]):
        for m in range(law.scales.shape[0]):
            heavy[i, m] = 0.0
            for j in range(kinds):
                turned[i, m, j] = 0.0
            if smoothed[i, m] < UNLIKELY:
                continue
            weigh_kinds(near[i], along[i], law, m, square, share)
            for j in range(kinds):
                count = smoothed[i, m] * share[j]
                weight = count * (law.nu + law.assets) / (law.nu + square[j])
                stretch = 1.0 + law.give[j] * (along[i, j] / law.scales[m] - law.size[j])
                heavy[i, m] += weight
                turned[i, m, j] = weight * stretch
                steps[m, j] += count
                own[m, j] += weight * stretch * stretch + count * law.give[j]


@njit
def list_squares(
    near: Floats, along: Floats, law: Law, smoothed: Floats, squares: Floats, weights: Floats
) -> int:
    """List distances, and how much each counts, of kinds that are not RARE in a step; return how many.

    squares and weights have room for all kinds of the states that are not UNLIKELY.
    """
    kinds = law.size.shape[0]
    square, share = np.empty(kinds), np.empty(kinds)
    found = 0
    for i in range(near.shape[0]):
        for m in range(law.scales.shape[0]):
            if smoothed[i, m] >= UNLIKELY:
                weigh_kinds(near[i], along[i], law, m, square, share)
                for j in range(kinds):
                    if smoothed[i, m] * share[j] > RARE:
                        squares[found], weights[found] = square[j], smoothed[i, m] * share[j]
                        found += 1
    return found
