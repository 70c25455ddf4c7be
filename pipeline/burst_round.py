"""The M-step where steps may have bursts: one conditional maximum after the other, by sums over steps.

With y = (r - mean) / scale, the returns in units of the level, y = w L z + (1 + spread w n) d. What is not
seen is w, n, the burst, the state, and the returns that are missing. Given a state and a burst E(1 / w^2) is
the Student-t's weight u, and 1 + spread w n has mean `stretch` and, over w^2, variance `give`. Returns that
are missing are F y + (1 + spread w n) h, and something of their own: F the regression on those there, h what
is left of the move. Meng and Rubin (1993).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kernels.burst_inference import pull_kinds
from pipeline.burst_densities import Part, cut_parts
from pipeline.figures import Bursts, Figures
from pipeline.panel import Panel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Over steps, by level and regime, of bursts none first. Expectations given the returns, times shares.

    steps (M, K, J + 1) counts; weight (M, K): u / scale^2; pull (M, K, A): u y / scale; squares (M, K, A, A):
    u y y'; with s = 1 + spread w n: turn (M, K, J + 1): u s / scale; along (M, K, J + 1, A): u s y; own
    (M, K, J + 1): u s^2.
    """

    steps: Floats
    weight: Floats
    pull: Floats
    squares: Floats
    turn: Floats
    along: Floats
    own: Floats


def maximise_bursts(panel: Panel, figures: Figures, smoothed: Floats) -> Figures:
    """Means, moves, scatter, scales and law of bursts, each given those before; spread, nu and chains stay.

    smoothed (T, M, K): how much a step counts in each state.
    """
    sums, scales = add_up(panel, figures, smoothed), figures.scales
    moves = figures.with_none().moves
    shift = sums.pull.sum(axis=0) - sums.turn.sum(axis=0) @ moves
    shift /= sums.weight.sum(axis=0)[:, None]
    along = sums.along - sums.turn[..., None] * shift[:, None]
    cross = sums.pull[..., None] * shift[:, None]
    squares = sums.squares - cross - np.swapaxes(cross, -1, -2)
    squares += sums.weight[..., None, None] * shift[:, :, None] * shift[:, None]
    inverse = np.asarray(np.linalg.inv(figures.scatter), np.float64)
    moves[1:] = _fit_moves(moves[1:], inverse, along[:, :, 1:], sums.own[:, :, 1:])
    reach = np.einsum("mkja,jb->kab", along, moves)
    scatter = squares.sum(axis=0) - reach - np.swapaxes(reach, -1, -2)
    scatter += np.einsum("mkj,ja,jb->kab", sums.own, moves, moves)
    scatter /= sums.steps.sum(axis=(0, 2))[:, None, None]
    if len(scales) > 1:
        scales = _fit_scales(sums, scales, squares, along, moves, np.linalg.inv(scatter))
    by_level, by_burst = sums.steps.sum(axis=(1, 2)), sums.steps.sum(axis=(0, 1))
    # the geometric mean of the scales is the unit, so that they and the scatter don't drift apart
    unit = float(np.exp(by_level @ np.log(scales) / by_level.sum()))
    found = Bursts(by_burst[1:] / by_burst.sum(), moves[1:], figures.with_none().spread[1:])
    return replace(
        figures, means=figures.means + shift, scatter=scatter, scales=scales, bursts=found
    ).in_units(unit)


def _fit_moves(moves: Floats, inverse: Floats, along: Floats, own: Floats) -> Floats:
    """Moves (J, A) by least squares in units of each regime's scatter; an asset that a burst leaves alone
    stays alone."""
    found = np.zeros_like(moves)
    pulled = np.einsum("kab,mkjb->ja", inverse, along)
    weighed = np.einsum("kab,mkj->jab", inverse, own)
    for j, move in enumerate(moves):
        moved = np.flatnonzero(move)
        found[j, moved] = np.linalg.solve(weighed[j][np.ix_(moved, moved)], pulled[j, moved])
    return found


def _fit_scales(
    sums: Sums, scales: Floats, squares: Floats, along: Floats, moves: Floats, inverse: Floats
) -> Floats:
    """Scales (M,): 1 / scale is the positive root of a square, as the burst's place grows with the scale."""
    upon = scales**2 * np.einsum("kab,mkab->m", inverse, squares)
    toward = scales * np.einsum("ja,kab,mkjb->m", moves, inverse, along)
    count = moves.shape[1] * sums.steps.sum(axis=(1, 2))
    return np.asarray(2.0 * upon / (toward + np.sqrt(toward**2 + 4.0 * count * upon)))


def add_up(panel: Panel, figures: Figures, smoothed: Floats) -> Sums:
    """The sums over all steps that have any returns."""
    total = [_add_part(part, figures, smoothed) for part in cut_parts(panel, figures)]
    return Sums(*(sum(getattr(each, name) for each in total) for name in Sums.__dataclass_fields__))


def _add_part(part: Part, figures: Figures, smoothed: Floats) -> Sums:
    """The sums over the rows of one pattern, what is missing at what it is expected to be."""
    rows, there, scales = part.pattern.rows, part.pattern.there, figures.scales
    levels, regimes, kinds = len(scales), len(figures.nu), len(part.moves)
    by_state = (levels, regimes)
    steps, own, turn = (np.zeros((regimes, levels, kinds)) for _ in range(3))
    along = np.zeros((*by_state, kinds, len(there)))
    weight, pull = np.zeros(by_state), np.zeros((*by_state, len(there)))
    squares = np.zeros((*by_state, len(there), len(there)))
    heavy, turned = np.empty((len(rows), levels)), np.empty((len(rows), levels, kinds))
    for k, law in enumerate(part.laws):
        centred, near, along_moves = part.project(k)
        counts = np.ascontiguousarray(smoothed[rows, :, k])
        pull_kinds(near, along_moves, law, counts, heavy, turned, steps[k], own[k])
        turn[k] = turned.sum(axis=0) / scales[:, None]
        flat = turned.reshape(len(rows), -1).T @ centred
        along[:, k] = flat.reshape(levels, kinds, -1) / scales[:, None, None]
        by_level = heavy / scales**2
        weight[:, k] = by_level.sum(axis=0)
        pull[:, k] = by_level.T @ centred
        for m in range(levels):
            squares[m, k] = (centred * by_level[:, m, None]).T @ centred
    steps, turn, own = (np.swapaxes(each, 0, 1) for each in (steps, turn, own))
    found = Sums(steps, weight, pull, squares, turn, along, own)
    return _fill(part, figures, found) if len(part.pattern.missing) else found


def _fill(part: Part, figures: Figures, sums: Sums) -> Sums:
    """The sums over all assets, from those over the assets there."""
    there, missing = part.pattern.there, part.pattern.missing
    regimes, assets = figures.means.shape
    fill, spare = np.zeros((regimes, assets, len(there))), np.zeros((regimes, assets, assets))
    fill[:, there, np.arange(len(there))] = 1.0
    across = figures.scatter[:, missing[:, None], there]
    fill[:, missing] = slopes = across @ part.inverse
    own = figures.scatter[:, missing[:, None], missing]
    spare[:, missing[:, None], missing] = own - slopes @ np.swapaxes(across, -1, -2)
    # (K, J + 1, A), zero where there are returns
    rest = figures.with_none().moves - np.einsum("kab,jb->kja", fill, part.moves)
    along = np.einsum("kab,mkjb->mkja", fill, sums.along)
    crossed = np.einsum("mkja,kjb->mkab", along, rest)
    squares = np.einsum("kab,mkbc,kdc->mkad", fill, sums.squares, fill) + crossed
    squares += np.swapaxes(crossed, -1, -2) + np.einsum("mkj,kja,kjb->mkab", sums.own, rest, rest)
    squares += sums.steps.sum(axis=-1)[..., None, None] * spare
    pull = np.einsum("kab,mkb->mka", fill, sums.pull) + np.einsum("mkj,kja->mka", sums.turn, rest)
    return replace(sums, pull=pull, squares=squares, along=along + sums.own[..., None] * rest)
