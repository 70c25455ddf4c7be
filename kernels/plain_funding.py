"""Funding of a tile's paths: what it pays the pools."""

from __future__ import annotations

import numpy as np

from kernels.jit import inlined
from kernels.plain import ROWS, TILE, Floats32, Plain, Words
from kernels.plain_rows import load_rows, store_rows, sum_rows
from kernels.simd import WIDTH, choose, load, spread, store, words


@inlined
def receive_funding(
    plain: Plain,
    parameters: int,
    step: int,
    regime: Words,
    price: Floats32,
    carry: Floats32,
    received: Floats32,
) -> None:
    """Add to received (R4, TILE) the funding of a step, at its last prices (A, TILE)."""
    for interval in range(plain.due.shape[0]):
        due = plain.due[interval, step]
        if due != 0.0:
            for v in range(0, TILE, WIDTH):
                k = load(regime, v)
                for a in range(price.shape[0]):
                    rate = spread(plain.rate, (parameters, 0, a))
                    for c in range(1, plain.regimes):
                        rate = choose(k == words(np.uint32(c)), spread(plain.rate, (parameters, c, a)), rate)
                    store(carry, (a, v), rate * load(price, (a, v)) * (0.0 - due))
            for block in range(plain.paying.shape[1]):
                start = load_rows(received, block * ROWS)
                sums = sum_rows(plain.paying[interval, block], price.shape[0], carry, start)
                store_rows(received, block * ROWS, sums)
