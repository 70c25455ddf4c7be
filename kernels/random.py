"""Counter-based random numbers: every number is a pure function of (seed, path, step, slot).

Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC 2011): the key
is the seed, the counter is (path low, path high, step, slot). Nothing is drawn in sequence, so a number
does not depend on block size, worker, order, or on whether other numbers were drawn.

A slot is a block of four words: four standard normals, or the four uniforms of a step. Normals come sixteen
at a time in float32, by Box and Muller (1958), out to 7.7 standard deviations: rounded to one part in 1e7,
and drawn an order of magnitude faster than in float64.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.elementary16 import log16, sine_cosine16
from kernels.jit import hot, inlined
from kernels.simd import (
    WIDTH,
    Vector,
    bits,
    choose,
    choose_words,
    even_words,
    floats_of_bits,
    floats_of_signed,
    floats_of_words,
    fma,
    join,
    lane_numbers,
    lane_of,
    multiply_low,
    odd_words,
    root,
    store,
    wide,
    words,
)
from kernels.structs import LANES, Floats, Key

# Slots of one step. Each kind of number has a range of its own, whatever the scenario.
SLOT_STEP = 0  # four uniforms: next regime, t-mixing, next level, number of jumps
SLOT_FACTORS = 1 << 8  # normals: the diffusion's factors
SLOT_JUMP_SIZE = 1 << 16  # normals: the sum of a step's jumps, or each
SLOT_JUMP_TIME = 1 << 20  # uniforms: where in the step the jumps fall
SLOT_JUMP_SPLIT = 1 << 21  # normals: how the sum is shared among several jumps
SLOT_JUMP_PATH = 1 << 22  # normals: the diffusion at the times of the jumps
SLOT_BRIDGE = 1 << 23  # normals: how deep the path dips between step ends
SLOT_WICK = 1 << 24  # normals, down and up: the wicks' common part, then each asset of the model
SLOT_FUNDING = 1 << 27  # normals: common to all assets and spare, then by the model's assets
SLOT_BASIS = 1 << 28  # as SLOT_FUNDING; only where the basis starts: its shocks are factors of the returns
SLOT_VOLATILITY = 1 << 29  # as SLOT_FUNDING: implied volatility
SLOT_EVENT = 1 << 30  # two uniforms: which way an event goes, spare; then normals: its size, spare
SLOT_BURST = 1 << 31  # a normal, by the first two words: a burst's size; a uniform, by the others: which one
SLOT_ATTENDANCE = 3 << 30  # uniforms, in step 0: whether somebody is there to act, by policy of the account
SLOT_PICK = (3 << 30) + (1 << 20)  # uniforms: which position a venue liquidates, by look
SLOT_COUNTER = (3 << 30) + (1 << 29)  # uniforms: who is closed against a bankruptcy, by draw of the step

# Rows of the four uniforms of SLOT_STEP.
REGIME, MIXING, LEVEL, JUMPS = 0, 1, 2, 3

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_TEN_BITS = np.uint64(1023)
_DROP = np.uint64(12)


@inlined
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return the four 32-bit words of one Philox 4x32-10 block, each held in 64 bits."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0 = (p1 >> _HALF) ^ c1 ^ k0
        c1 = p1 & _LOW
        c2 = (p0 >> _HALF) ^ c3 ^ k1
        c3 = p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@inlined
def uniform_of_words(low: np.uint64, high: np.uint64) -> float:
    """Return a uniform in (0, 1) with 52 bits, from 2**-53 to 1 - 2**-53, symmetric about one half."""
    word = low | (high << _HALF)
    return float(np.uint64(_ONE_BITS | (word >> _DROP)).view(np.float64) - (1.0 - 2.0**-53))


@inlined
def coarse_uniform(word: np.uint64) -> float:
    """Return a uniform in (0, 1) with the upper 31 bits of a word."""
    return float((np.float64(word >> np.uint64(1)) + 0.5) * 2.0**-31)


@inlined
def fine_uniform(word: np.uint64, other: np.uint64) -> float:
    """Return a uniform in (0, 1) with 42 bits: those of a word, and ten of another."""
    return float((np.float64(word) + (np.float64(other & _TEN_BITS) + 0.5) * 2.0**-10) * 2.0**-32)


@inlined
def draw_uniforms(key: Key, slot: int) -> tuple[float, float]:
    """Return two uniforms in (0, 1)."""
    w0, w1, w2, w3 = philox(
        key.path & _LOW, key.path >> _HALF, key.step, np.uint64(slot), key.seed & _LOW, key.seed >> _HALF
    )
    return uniform_of_words(w0, w1), uniform_of_words(w2, w3)


@hot
def draw_uniform(key: Key, slot: int) -> float:
    """Return the first uniform of a slot."""
    return draw_uniforms(key, slot)[0]


@inlined
def philox16(
    path: Vector, path_high: Vector, step: Vector, slot: Vector, seed: np.uint64
) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the four words of sixteen blocks: Words16 each.

    A product of two words has 64 bits, so that even and odd lanes go through the rounds apart.
    """
    e0, e1, e2, e3 = even_words(path), even_words(path_high), even_words(step), even_words(slot)
    o0, o1, o2, o3 = odd_words(path), odd_words(path_high), odd_words(step), odd_words(slot)
    m0, m1 = wide(_M0), wide(_M1)
    k0, k1 = seed & _LOW, seed >> _HALF
    for _ in range(10):
        q0, q1 = wide(k0), wide(k1)
        p0, p1 = multiply_low(e0, m0), multiply_low(e2, m1)
        e0, e1, e2, e3 = (p1 >> 32) ^ e1 ^ q0, p1, (p0 >> 32) ^ e3 ^ q1, p0
        p0, p1 = multiply_low(o0, m0), multiply_low(o2, m1)
        o0, o1, o2, o3 = (p1 >> 32) ^ o1 ^ q0, p1, (p0 >> 32) ^ o3 ^ q1, p0
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return join(e0, o0), join(e1, o1), join(e2, o2), join(e3, o3)


@inlined
def fine_uniform16(word: Vector, other: Vector) -> Vector:
    """Uniforms in (0, 1], from 2**-43: near zero ten bits of the other word tell them further apart."""
    rest = floats_of_words(other & 1023) + 0.5
    return fma(floats_of_words(word), 2.0**-32, rest * 2.0**-42)


@inlined
def normals_of_words16(radius: Vector, turn: Vector) -> tuple[Vector, Vector]:
    """Two vectors of independent standard normals, made of two of words."""
    r = root(log16(fine_uniform16(radius, turn)) * -2.0)
    # the upper two bits of the turn say which quarter, the others where in it
    sine, cosine = sine_cosine16(floats_of_signed(turn << 2) * (0.5 * math.pi * 2.0**-32))
    swap = (turn & 0x40000000) == words(0)
    signed = floats_of_bits(bits(r) ^ (turn & 0x80000000))
    return signed * choose(swap, cosine, sine), signed * choose(swap, sine, cosine)


@inlined
def draw_words16(
    seed: np.uint64, path: Vector, path_high: Vector, step: np.uint64, slot: int
) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the four words of a slot for sixteen paths, whose low and high words are given."""
    return philox16(path, path_high, words(np.uint32(step)), words(np.uint32(slot)), seed)


@inlined
def paths16(first: np.uint64) -> tuple[Vector, Vector]:
    """Return the low and high words of sixteen paths."""
    low = lane_numbers(np.uint32(first & _LOW))
    high = np.uint32(first >> _HALF)
    return low, choose_words(low < words(np.uint32(first & _LOW)), words(high) + 1, words(high))


@inlined
def join_path(low: np.uint32, high: np.uint32) -> np.uint64:
    """Return a path's number by its two words."""
    return np.uint64(np.uint64(low) | (np.uint64(high) << _HALF))


@inlined
def draw_normals16(
    seed: np.uint64, path: Vector, path_high: Vector, step: np.uint64, slot: int
) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the four standard normals of a slot for sixteen paths."""
    w0, w1, w2, w3 = draw_words16(seed, path, path_high, step, slot)
    first, second = normals_of_words16(w0, w1)
    third, fourth = normals_of_words16(w2, w3)
    return first, second, third, fourth


@inlined
def draw_step_uniforms(key: Key, first_row: int, uniform: Floats) -> None:
    """Fill uniform (4, LANES) from a row on: next regime, t-mixing, next level, number of jumps.

    That of the mixing has 42 bits, made of two words as `fine_uniform16` makes them.
    """
    for v in range(LANES):
        path = key.path + np.uint64(v)
        w0, w1, w2, w3 = philox(
            path & _LOW, path >> _HALF, key.step, np.uint64(SLOT_STEP), key.seed & _LOW, key.seed >> _HALF
        )
        if first_row == REGIME:
            uniform[REGIME, v] = coarse_uniform(w0)
            uniform[MIXING, v] = fine_uniform(w1, w0)
            uniform[LEVEL, v] = coarse_uniform(w2)
        uniform[JUMPS, v] = coarse_uniform(w3)


@hot
def draw_normal_lanes(key: Key, slot: int, normal: Floats) -> None:
    """Fill rows 0 to 3 of normal (rows, LANES) with a slot's, from the path in the key onward."""
    for v in range(0, LANES, WIDTH):
        path, path_high = paths16(key.path + np.uint64(v))
        first, second, third, fourth = draw_normals16(key.seed, path, path_high, key.step, slot)
        store(normal, (0, v), first)
        store(normal, (1, v), second)
        store(normal, (2, v), third)
        store(normal, (3, v), fourth)


@hot
def draw_normal_pair(key: Key, slot: int, first: Floats, second: Floats) -> None:
    """Fill two arrays (LANES,) with the first two normals of a slot, from the path in the key onward."""
    for v in range(0, LANES, WIDTH):
        path, path_high = paths16(key.path + np.uint64(v))
        w0, w1, _, _ = draw_words16(key.seed, path, path_high, key.step, slot)
        one, other = normals_of_words16(w0, w1)
        store(first, v, one)
        store(second, v, other)


@hot
def draw_normal_vector(key: Key, slot: int, normal: Floats) -> None:
    """Fill normal (F,), F a multiple of four, with the standard normals of F / 4 slots of one path."""
    path, path_high = words(np.uint32(key.path & _LOW)), words(np.uint32(key.path >> _HALF))
    for j in range(0, normal.shape[0], 4 * WIDTH):
        slots = lane_numbers(np.uint32(slot + j // 4))
        w0, w1, w2, w3 = philox16(path, path_high, words(np.uint32(key.step)), slots, key.seed)
        first, second = normals_of_words16(w0, w1)
        third, fourth = normals_of_words16(w2, w3)
        for i in range(min(WIDTH, (normal.shape[0] - j) // 4)):
            normal[j + 4 * i] = lane_of(first, i)
            normal[j + 4 * i + 1] = lane_of(second, i)
            normal[j + 4 * i + 2] = lane_of(third, i)
            normal[j + 4 * i + 3] = lane_of(fourth, i)
