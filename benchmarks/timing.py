"""CPU time of alternatives, taken in turns: what else runs on the machine then hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Pair(NamedTuple):
    """CPU seconds of two alternatives, medians, and the median of their ratios, turn by turn."""

    first_s: float
    second_s: float
    ratio: float
    """Second over first."""


def time_pair(first: Callable[[], object], second: Callable[[], object], turns: int) -> Pair:
    """Time two functions in turns, after one untimed call of the first, which may have to compile."""
    first()
    firsts, seconds = [], []
    for _ in range(turns):
        firsts.append(_time(first))
        seconds.append(_time(second))
    ratios = [b / a for a, b in zip(firsts, seconds, strict=True)]
    return Pair(median(firsts), median(seconds), median(ratios))


def _time(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start
