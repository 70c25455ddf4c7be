"""Bursts in a tile: the paths that have one size it by themselves, in float64, as in the general walk."""

from __future__ import annotations

import numpy as np

from kernels.bursts import choose_burst, size_burst
from kernels.jit import hot
from kernels.plain import TILE, Bursts, Floats32, Integers, Words
from kernels.random import SLOT_BURST, draw_words16, fine_uniform, normals_of_words16, uniform_of_words
from kernels.simd import WIDTH, floats, lanes_of, load, lowest_bit, store, words
from kernels.structs import Floats


@hot
def draw_plain_bursts(
    bursts: Bursts, seed: np.uint64, step: int, path: Words, word: Words, normal: Floats32, found: Integers
) -> int:
    """Return how many paths (2, TILE) of a tile have a burst: in found (2, TILE) their lanes, and which one.

    normal (TILE,) is of their sizes; word (2, TILE) is room. All are drawn by the model's step, in each of
    the steps within it: that takes no room, which would have to be sorted with the paths.
    """
    model_step = np.uint64(step - step % bursts.substeps)
    count = 0
    for v in range(0, TILE, WIDTH):
        path_low, path_high = load(path, (0, v)), load(path, (1, v))
        w0, w1, w2, w3 = draw_words16(seed, path_low, path_high, model_step, SLOT_BURST)
        likely = lanes_of(words(bursts.bound) >= w3)
        if likely != 0:
            store(word, (0, v), w2)
            store(word, (1, v), w3)
            store(normal, v, normals_of_words16(w0, w1)[0])
        while likely != 0:
            lane = v + lowest_bit(likely)
            likely = np.uint32(likely & (likely - np.uint32(1)))
            uniform = uniform_of_words(np.uint64(word[0, lane]), np.uint64(word[1, lane]))
            burst = choose_burst(bursts.burst_law, uniform)
            if burst >= 0:
                found[0, count], found[1, count] = lane, burst
                count += 1
    return count


@hot
def size_plain_bursts(
    bursts: Bursts,
    found: Integers,
    normal: Floats32,
    word: Words,
    level: Words,
    regime: Words,
    size: Floats,
) -> None:
    """size (n,): what to multiply the moves of bursts found (2, n) by. The others as in `Room`, of a tile."""
    for i in range(found.shape[1]):
        lane, burst = found[0, i], found[1, i]
        uniform = fine_uniform(np.uint64(word[0, lane]), np.uint64(word[1, lane]))
        m, k = int(level[lane]), int(regime[lane])
        size[i] = size_burst(bursts, burst, m, k, uniform, float(normal[lane]))


@hot
def lay_bursts(moves: Floats, found: Integers, size: Floats, move: Floats32) -> None:
    """move (A, TILE): what bursts found (2, n), of such moves (U, A) and sizes (n,), add to log returns."""
    for a in range(move.shape[0]):
        for v in range(0, TILE, WIDTH):
            store(move, (a, v), floats(0.0))
    for i in range(found.shape[1]):
        lane, burst = found[0, i], found[1, i]
        for a in range(move.shape[0]):
            move[a, lane] = size[i] * moves[burst, a]
