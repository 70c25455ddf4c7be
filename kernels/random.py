"""Counter-based random numbers: every number is a pure function of (seed, path, step, slot).

Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC 2011): the key
is the seed, the counter is (path low, path high, step, slot). Nothing is drawn in sequence, so a number
does not depend on block size, worker, order, or on whether other numbers were drawn.
"""

from __future__ import annotations

import numpy as np

from kernels.elementary import log, sine_cosine
from kernels.jit import hot, inlined
from kernels.structs import Floats, Key

# Slots of one step. Each kind of number has a range of its own, whatever the scenario.
SLOT_REGIME = 0  # two uniforms: next regime, t-mixing
SLOT_JUMPS = 1  # two uniforms: number of jumps, spare
SLOT_FACTORS = 1 << 8  # pairs of normals: the diffusion's factors
SLOT_JUMP_SIZE = 1 << 16  # pairs of normals: the sum of a step's jumps, or each
SLOT_JUMP_TIME = 1 << 20  # uniforms: where in the step the jumps fall
SLOT_JUMP_SPLIT = 1 << 21  # pairs of normals: how the sum is shared among several jumps
SLOT_JUMP_PATH = 1 << 22  # pairs of normals: the diffusion at the times of the jumps
SLOT_BRIDGE = 1 << 23  # pairs of normals: how deep the path dips between step ends
SLOT_WICK = 1 << 24  # pairs of normals, down and up: the wicks' common part, then each asset of the model
SLOT_EVENT = 1 << 30  # two uniforms: which way an event goes, spare; then a pair of normals: its size, spare

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_ONE_BITS = np.uint64(0x3FF0000000000000)
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
def draw_uniforms(key: Key, slot: int) -> tuple[float, float]:
    """Return two uniforms in (0, 1)."""
    w0, w1, w2, w3 = philox(
        key.path & _LOW, key.path >> _HALF, key.step, np.uint64(slot), key.seed & _LOW, key.seed >> _HALF
    )
    return uniform_of_words(w0, w1), uniform_of_words(w2, w3)


@inlined
def draw_normals(key: Key, slot: int) -> tuple[float, float]:
    """Return two independent standard normals (Box and Muller 1958), out to 8.5 standard deviations."""
    u, turn = draw_uniforms(key, slot)
    radius = np.sqrt(-2.0 * log(u))
    sine, cosine = sine_cosine(turn)
    return radius * cosine, radius * sine


@hot
def draw_uniform(key: Key, slot: int) -> float:
    """Return the first uniform of a slot."""
    return draw_uniforms(key, slot)[0]


@hot
def draw_normal_vector(key: Key, slot: int, normal: Floats) -> None:
    """Fill normal (F,), F even, with the standard normals of F / 2 slots."""
    for j in range(0, normal.shape[0], 2):
        normal[j], normal[j + 1] = draw_normals(key, slot + j // 2)
