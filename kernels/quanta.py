"""Money in whole numbers: sums that are exact in any order."""

from __future__ import annotations

import numpy as np

from kernels.jit import inlined
from kernels.structs import Integers

MOST_QUANTA = 2.0**30  # of one group on one path: its square fits an integer
LOW_BITS = np.int64(0xFFFFFFFF)


@inlined
def add_money(value: float, quantum: float, sums: Integers, high: Integers, low: Integers) -> None:
    """Add an amount of money and its square, in whole quanta, to sums of one cell each."""
    count = np.int64(np.rint(min(max(value / quantum, -MOST_QUANTA), MOST_QUANTA)))
    square = count * count
    sums[0] += count
    high[0] += square >> 32
    low[0] += square & LOW_BITS
