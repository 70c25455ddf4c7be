"""Philox against the published vectors, and the numbers made of its words."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from kernels import random
from kernels.jit import hot
from kernels.random import (
    JUMPS,
    LEVEL,
    MIXING,
    REGIME,
    SLOT_FACTORS,
    SLOT_STEP,
    draw_normal_lanes,
    draw_normal_pair,
    draw_normal_vector,
    draw_step_uniforms,
    draw_uniform,
    draw_uniforms,
    draw_words16,
    fine_uniform16,
    normals_of_words16,
    paths16,
    philox,
    uniform_of_words,
)
from kernels.simd import load, store
from kernels.structs import LANES, Key
from tests import oracle
from tests.kernels.problems import Floats, sample

Words = NDArray[np.uint32]

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


@hot
def words_at(seed: np.uint64, first: np.uint64, step: np.uint64, slot: int, out: Words) -> None:
    """The words (4, 16) of sixteen paths."""
    path, path_high = paths16(first)
    w0, w1, w2, w3 = draw_words16(seed, path, path_high, step, slot)
    store(out, (0, 0), w0)
    store(out, (1, 0), w1)
    store(out, (2, 0), w2)
    store(out, (3, 0), w3)


@hot
def make_normals(words: Words, out: Floats) -> None:
    """Both normals of words (2, n), n a multiple of sixteen: rows of out (2, n)."""
    for i in range(0, words.shape[1], 16):
        first, second = normals_of_words16(load(words, (0, i)), load(words, (1, i)))
        store(out, (0, i), first)
        store(out, (1, i), second)


@hot
def make_uniforms(words: Words, out: Floats) -> None:
    """The fine uniforms of words (2, n)."""
    for i in range(0, words.shape[1], 16):
        store(out, i, fine_uniform16(load(words, (0, i)), load(words, (1, i))))


def key_at(seed: int, path: int, step: int) -> Key:
    return Key(np.uint64(seed), np.uint64(path), np.uint64(step))


def normals_at(seed: int, step: int, slot: int, paths: int) -> Floats:
    """The normals of a slot (4, paths), from path 0 on."""
    blocks = []
    for first in range(0, paths, LANES):
        block = np.empty((4, LANES))
        draw_normal_lanes(key_at(seed, first, step), slot, block)
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def normals_of(radius: list[int], turn: list[int]) -> Floats:
    """The two normals (2, n) of each pair of words."""
    words = np.array([radius, turn], np.uint32)
    padded = np.ascontiguousarray(np.pad(words, ((0, 0), (0, -words.shape[1] % 16))))
    out = np.empty(padded.shape)
    make_normals(padded, out)
    return out[:, : words.shape[1]]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_philox__published_vectors(counter: oracle.Words, key: tuple[int, int], words: oracle.Words) -> None:
    got = philox(*(np.uint64(c) for c in (*counter, *key)))
    assert tuple(int(w) for w in got) == words
    assert oracle.philox(counter, key) == words


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_draw_words16__published_vectors(
    counter: oracle.Words, key: tuple[int, int], words: oracle.Words
) -> None:
    out = np.empty((4, 16), np.uint32)
    seed, path = np.uint64(key[0] | key[1] << 32), np.uint64(counter[0] | counter[1] << 32)
    words_at(seed, path, np.uint64(counter[2]), counter[3], out)
    assert tuple(int(w) for w in out[:, 0]) == words


def test_philox__random_counters_equal_oracle() -> None:
    rng = np.random.default_rng(1)
    for row in rng.integers(0, 2**32, (200, 6), dtype=np.uint64):
        got = tuple(int(w) for w in philox(*row))
        c = [int(x) for x in row]
        assert got == oracle.philox((c[0], c[1], c[2], c[3]), (c[4], c[5]))


@pytest.mark.parametrize("first", [0, 2**32 - 5, 2**62 - 3])
def test_draw_words16__sixteen_paths_equal_oracle(first: int) -> None:
    """The path's low word may overflow between the lanes."""
    out = np.empty((4, 16), np.uint32)
    for seed, step, slot in [(0, 0, 0), (2**64 - 1, 167, 1 << 8), (2**40 + 7, 8759, 1 << 30)]:
        words_at(np.uint64(seed), np.uint64(first), np.uint64(step), slot, out)
        for lane in range(16):
            words = oracle.philox_at(oracle.Place(seed, first + lane, step), slot)
            assert tuple(int(w) for w in out[:, lane]) == words


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


def test_draw_step_uniforms__equal_oracle() -> None:
    uniform = np.empty((4, LANES))
    for path, step in [(0, 0), (2**32 - 20, 7), (10**12, 8759)]:
        draw_step_uniforms(key_at(5, path, step), REGIME, uniform)
        for lane in (0, 19, 20, LANES - 1):
            want = oracle.draw_step_uniforms(oracle.Place(5, path + lane, step))
            assert tuple(uniform[[REGIME, MIXING, LEVEL, JUMPS], lane]) == want


def test_draw_step_uniforms__jumps_alone() -> None:
    uniform = np.full((4, LANES), 0.25)
    draw_step_uniforms(key_at(5, 0, 3), JUMPS, uniform)
    assert (uniform[:JUMPS] == 0.25).all()
    assert uniform[JUMPS, 1] == oracle.draw_step_uniforms(oracle.Place(5, 1, 3))[JUMPS]


def test_draw_step_uniforms__flat() -> None:
    blocks = []
    for start in range(0, sample(200_000, 512), LANES):
        block = np.empty((4, LANES))
        draw_step_uniforms(key_at(3, start, 5), REGIME, block)
        blocks.append(block)
    for values in np.concatenate(blocks, axis=1):
        assert kstest(values, "uniform").pvalue > 1e-4


def test_fine_uniform16__equal_oracle_down_to_the_smallest() -> None:
    rng = np.random.default_rng(2)
    small = [2**i for i in range(32)] + [0] * 16
    words = np.concatenate([rng.integers(0, 2**32, (2, 1024)), [small, rng.integers(0, 2**32, 48)]], axis=1)
    out = np.empty(words.shape[1])
    make_uniforms(np.ascontiguousarray(words, np.uint32), out)
    want = [oracle.fine_uniform(int(w), int(o)) for w, o in words.T]
    np.testing.assert_allclose(out, want, rtol=2.0**-23)


def test_normals_of_words16__farthest_words() -> None:
    farthest = math.sqrt(86.0 * math.log(2.0))  # 7.72
    quarter = 1 << 30
    first, second = normals_of([0] * 4, [0, quarter, 2 * quarter, 3 * quarter])
    np.testing.assert_allclose(first, [farthest, 0.0, -farthest, 0.0], rtol=2e-7, atol=1e-6)
    np.testing.assert_allclose(second, [0.0, farthest, 0.0, -farthest], rtol=2e-7, atol=1e-6)
    assert np.abs(normals_of([FULL], [FULL])).max() == 0.0  # the smallest radii are rounded to none


def test_draw_normal_lanes__equal_the_formula() -> None:
    """Within rounding to float32; where the radius is small its uniform, near one, is what is rounded."""
    worst = 0.0
    for path, step, slot in np.random.default_rng(3).integers(0, 2**31, (sample(300, 20), 3)):
        block = np.empty((4, LANES))
        draw_normal_lanes(key_at(99, path, step), int(slot), block)
        for lane in range(0, LANES, 7):
            want = np.array(
                oracle.draw_exact_normals(oracle.Place(99, int(path) + lane, int(step)), int(slot))
            )
            radius = np.hypot(want[::2], want[1::2]).repeat(2)
            bound = 5e-7 * np.maximum(radius, 1.0) + 1.2e-7 / radius
            worst = max(worst, float((np.abs(block[:, lane] - want) / bound).max()))
    assert worst < 1.0


def test_normals_of_words16__tail_counts_to_seven_sigma() -> None:
    """Words laid evenly within each halving of u weigh the tails without waiting for them to come up."""
    turns = [int((i + 0.5) * 2**32 / 128) for i in range(128)][:: 1 if sample(4000) == 4000 else 8]
    radius, turn, weight = [], [], []
    for octave in range(1, 33):
        for i in range(16):
            radius += [int(2.0 ** (32 - octave) * (1.0 + (i + 0.5) / 16))] * len(turns)
            turn += turns
            weight += [2.0**-octave / 16] * len(turns)
    for rest in range(1024):  # the radius' word is zero: the lower bits of the turn's decide
        radius += [0] * 8
        turn += [((8 * j + rest % 8) << 26) | rest for j in range(8)]
        weight += [2.0**-32 / 1024 * len(turns) / 8] * 8
    z, w = normals_of(radius, turn), np.array(weight) / len(turns)
    for level in range(8):
        for values in z:
            for side in (1.0, -1.0):
                found = float(w[side * values > level].sum())
                assert found == pytest.approx(norm.sf(level), rel=0.05)


def test_draw_normal_lanes__moments() -> None:
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


def test_draw_normal_lanes__slots_steps_paths_and_seeds_uncorrelated() -> None:
    paths = sample(40_000, 1024)
    columns = [
        normals_at(seed, step, slot, paths)
        for seed in (5, 6)
        for step in (0, 1, 2**31)
        for slot in (SLOT_FACTORS, SLOT_FACTORS + 1, random.SLOT_BRIDGE)
    ]
    z = np.concatenate(columns)
    z = np.concatenate([z, z[:4, np.r_[1:paths, 0]], z[:4, np.r_[64:paths, 0:64]]])  # neighbours, next lanes
    for series in (z, z**2 - 1.0, np.sign(z) * (np.abs(z) > 1.5)):
        correlation = np.corrcoef(series) * math.sqrt(paths)
        # 3160 pairs: 5.7 is passed by chance once in 25,000 such tests
        assert np.abs(correlation - np.diag(np.diag(correlation))).max() < 5.7


@pytest.mark.parametrize("length", [4, 12, 64, 68])
def test_draw_normal_vector__four_to_a_slot(length: int) -> None:
    """One path, its slots in lanes: the same bits as many paths, one slot."""
    key, vector = key_at(8, 1000, 3), np.empty(length)
    draw_normal_vector(key, SLOT_FACTORS, vector)
    block = np.empty((4, LANES))
    for j in range(0, length, 4):
        draw_normal_lanes(key, SLOT_FACTORS + j // 4, block)
        np.testing.assert_array_equal(vector[j : j + 4], block[:, 0])


def test_draw_normal_lanes__a_lane_a_path() -> None:
    near_wrap = 2**32 - 3  # the path's low word overflows inside the lanes
    block, vector = np.empty((4, LANES)), np.empty(4)
    draw_normal_lanes(key_at(8, near_wrap, 3), 9, block)
    for v in (0, 2, 3, LANES - 1):
        draw_normal_vector(key_at(8, near_wrap + v, 3), 9, vector)
        np.testing.assert_array_equal(block[:, v], vector)
    first, second = np.empty(LANES), np.empty(LANES)
    draw_normal_pair(key_at(8, near_wrap, 3), 9, first, second)
    np.testing.assert_array_equal(block[:2], [first, second])


def test_slots__ranges_do_not_meet() -> None:
    """60 assets and 20 jumps in a step keep within the slots of their kind."""
    factors, jumps = 60, 20
    used = [
        (SLOT_STEP, 1),
        (random.SLOT_FACTORS, factors // 4),
        (random.SLOT_JUMP_SIZE, jumps * factors),
        (random.SLOT_JUMP_TIME, jumps),
        (random.SLOT_JUMP_SPLIT, jumps * factors),
        (random.SLOT_JUMP_PATH, jumps * factors),
        (random.SLOT_BRIDGE, (jumps + 1) * factors),
        (random.SLOT_WICK, 1 + factors),
        (random.SLOT_FUNDING, 1 + factors),
        (random.SLOT_BASIS, 1 + factors),
        (random.SLOT_VOLATILITY, 1 + factors),
        (random.SLOT_EVENT, 2),
        (random.SLOT_BURST, 1),
        (2**32, 0),
    ]
    for (slot, width), (following, _) in pairwise(used):
        assert slot + width <= following
