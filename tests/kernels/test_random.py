"""Philox against the published vectors, and the numbers made of its words."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest, norm

from kernels import random
from kernels.market import draw_normal_lanes, draw_uniform_lanes
from kernels.random import (
    SLOT_FACTORS,
    draw_normal_vector,
    draw_normals,
    draw_uniform,
    draw_uniforms,
    philox,
    uniform_of_words,
)
from kernels.structs import LANES, Key
from tests import oracle
from tests.kernels.problems import Floats, sample

FULL = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL, FULL, FULL, FULL), (FULL, FULL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def key_at(seed: int, path: int, step: int) -> Key:
    return Key(np.uint64(seed), np.uint64(path), np.uint64(step))


def normals_at(seed: int, step: int, slot: int, paths: int) -> Floats:
    """Both normals of a slot (2, paths), from path 0 on."""
    blocks = []
    for first in range(0, paths, LANES):
        block = np.empty((2, LANES))
        draw_normal_lanes(key_at(seed, first, step), slot, block[0], block[1])
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def words_of_uniform(cell: int) -> tuple[int, int]:
    """The two words (low, high) whose upper 52 bits of 64 are this cell, the dropped bits all ones."""
    word = cell << 12 | 0xFFF
    return word & FULL, word >> 32


def draw_normals_of(radius_cell: int, turn_cell: int) -> tuple[float, float]:
    """What `draw_normals` makes of given words: Philox is run backwards to find where they are drawn."""
    seed = 0x0123456789ABCDEF
    words = (*words_of_uniform(radius_cell), *words_of_uniform(turn_cell))
    c = oracle.invert_philox(words, (seed & FULL, seed >> 32))
    return draw_normals(key_at(seed, c[0] | c[1] << 32, c[2]), c[3])


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_philox__published_vectors(counter: oracle.Words, key: tuple[int, int], words: oracle.Words) -> None:
    got = philox(*(np.uint64(c) for c in (*counter, *key)))
    assert tuple(int(w) for w in got) == words
    assert oracle.philox(counter, key) == words
    assert oracle.invert_philox(words, key) == counter


def test_philox__random_counters_equal_oracle() -> None:
    rng = np.random.default_rng(1)
    for row in rng.integers(0, 2**32, (200, 6), dtype=np.uint64):
        got = tuple(int(w) for w in philox(*row))
        c = [int(x) for x in row]
        assert got == oracle.philox((c[0], c[1], c[2], c[3]), (c[4], c[5]))


@pytest.mark.parametrize("seed", [0, 7, 2**32, 2**64 - 1])
@pytest.mark.parametrize("path", [0, 2**32 - 1, 2**32, 2**62])
def test_draw_uniforms__counter_is_path_step_slot_and_key_is_seed(seed: int, path: int) -> None:
    for step, slot in [(0, 0), (167, 1), (8759, 1 << 23)]:
        got = draw_uniforms(key_at(seed, path, step), slot)
        assert got == oracle.draw_uniforms(oracle.Place(seed, path, step), slot)
        assert draw_uniform(key_at(seed, path, step), slot) == got[0]


def test_uniform_of_words__extremes_stay_inside() -> None:
    assert uniform_of_words(np.uint64(0), np.uint64(0)) == 2.0**-53
    assert uniform_of_words(np.uint64(FULL), np.uint64(FULL)) == 1.0 - 2.0**-53
    below = uniform_of_words(np.uint64(FULL), np.uint64(0x7FFFFFFF))
    above = uniform_of_words(np.uint64(0), np.uint64(0x80000000))
    assert 0.5 - below == above - 0.5 == 2.0**-53


def test_uniform_of_words__equal_oracle() -> None:
    rng = np.random.default_rng(2)
    for low, high in rng.integers(0, 2**32, (500, 2), dtype=np.uint64):
        assert uniform_of_words(low, high) == oracle.uniform_of_words(int(low), int(high))


def test_draw_uniforms__flat() -> None:
    first, second = [], []
    for start in range(0, sample(200_000, 512), LANES):
        block = np.empty((2, LANES))
        draw_uniform_lanes(key_at(3, start, 5), 0, block[0], block[1])
        first.append(block[0])
        second.append(block[1])
    for values in (np.concatenate(first), np.concatenate(second)):
        assert kstest(values, "uniform").pvalue > 1e-4


def test_draw_normals__farthest_words() -> None:
    farthest = math.sqrt(106.0 * math.log(2.0))
    assert draw_normals_of(0, 0)[0] == pytest.approx(farthest, rel=1e-15)
    assert draw_normals_of(0, 2**51)[0] == pytest.approx(-farthest, rel=1e-15)
    assert draw_normals_of(0, 2**50)[1] == pytest.approx(farthest, rel=1e-15)
    nearest = math.hypot(*draw_normals_of(2**52 - 1, 12345))
    assert nearest == pytest.approx(math.sqrt(2.0 * 2.0**-53), rel=1e-9)


def test_draw_normals__equal_oracle() -> None:
    rng = np.random.default_rng(3)
    for path, step, slot in rng.integers(0, 2**32, (300, 3)):
        got = draw_normals(key_at(99, path, step), int(slot))
        want = oracle.draw_normals(oracle.Place(99, int(path), int(step)), int(slot))
        np.testing.assert_allclose(got, want, rtol=0.0, atol=8e-15)


def test_draw_normals__tail_counts_to_seven_sigma() -> None:
    """Words laid evenly within each halving of u weigh the tails without waiting for them to come up."""
    weight, value = [], []
    turns = [int((i + 0.5) * 2**52 / 128) for i in range(128)]
    for octave in range(1, 50):
        for i in range(16):
            cell = int(2.0 ** (52 - octave) * (1.0 + (i + 0.5) / 16))
            pairs = [draw_normals_of(cell, turn) for turn in turns[:: 1 if sample(4000) == 4000 else 8]]
            value.append(np.ravel(pairs))
            weight.append(2.0**-octave / 16)
    z, w = np.array(value), np.array(weight)[:, None]
    for level in range(8):
        for side in (1.0, -1.0):
            found = float((w * (side * z > level)).sum()) / z.shape[1]
            assert found == pytest.approx(norm.sf(level), rel=0.05)


def test_draw_normals__moments() -> None:
    z = normals_at(4, 2, SLOT_FACTORS, sample(400_000, 2048)).ravel()
    n = z.size
    for power, moment, spread in [
        (1, 0.0, 1.0),
        (2, 1.0, 2.0),
        (3, 0.0, 15.0),
        (4, 3.0, 96.0),
        (6, 15.0, 10170.0),
    ]:
        assert abs((z**power).mean() - moment) < 4.5 * math.sqrt(spread / n), power
    assert kstest(z, "norm").pvalue > 1e-4


def test_draw_normals__slots_steps_paths_and_seeds_uncorrelated() -> None:
    paths = sample(40_000, 1024)
    columns = [
        normals_at(seed, step, slot, paths)
        for seed in (5, 6)
        for step in (0, 1, 2**31)
        for slot in (SLOT_FACTORS, SLOT_FACTORS + 1, random.SLOT_BRIDGE, random.SLOT_JUMP_SIZE)
    ]
    z = np.concatenate(columns)
    z = np.concatenate([z, z[:4, np.r_[1:paths, 0]], z[:4, np.r_[64:paths, 0:64]]])  # neighbours, next lanes
    for series in (z, z**2 - 1.0, np.sign(z) * (np.abs(z) > 1.5)):
        correlation = np.corrcoef(series) * math.sqrt(paths)
        # 1540 pairs: 5.5 is passed by chance once in 17,000 such tests
        assert np.abs(correlation - np.diag(np.diag(correlation))).max() < 5.5


def test_draw_normal_vector__two_to_a_slot() -> None:
    key = key_at(8, 1000, 3)
    vector = np.empty(8)
    draw_normal_vector(key, SLOT_FACTORS, vector)
    pairs = [draw_normals(key, SLOT_FACTORS + j) for j in range(4)]
    np.testing.assert_array_equal(vector, np.ravel(pairs))


def test_draw_normal_lanes__a_lane_a_path() -> None:
    first, second = np.empty(LANES), np.empty(LANES)
    near_wrap = 2**32 - 3  # the path's low word overflows inside the lanes
    draw_normal_lanes(key_at(8, near_wrap, 3), 9, first, second)
    for v in (0, 2, 3, LANES - 1):
        assert (first[v], second[v]) == draw_normals(key_at(8, near_wrap + v, 3), 9)


def test_slots__ranges_do_not_meet() -> None:
    """60 assets and 20 jumps in a step keep within the slots of their kind."""
    factors, jumps = 60, 20
    used = [
        (random.SLOT_REGIME, 1),
        (random.SLOT_JUMPS, 1),
        (random.SLOT_FACTORS, factors // 2),
        (random.SLOT_JUMP_SIZE, jumps * factors),
        (random.SLOT_JUMP_TIME, jumps),
        (random.SLOT_JUMP_SPLIT, jumps * factors),
        (random.SLOT_JUMP_PATH, jumps * factors),
        (random.SLOT_BRIDGE, (jumps + 1) * factors),
    ]
    for (slot, width), (following, _) in pairwise(used):
        assert slot + width <= following
