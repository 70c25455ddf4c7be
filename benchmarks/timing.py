"""CPU time of alternatives, taken in turns: what else runs on the machine then hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple


class Pair(NamedTuple):
    """CPU seconds of two alternatives, medians, and the median of their ratios, turn by turn."""

    first_s: float
    second_s: float
    ratio: float
    """Second over first."""


def time_in_turn(functions: Sequence[Callable[[], object]], turns: int) -> list[list[float]]:
    """CPU seconds of each function in each turn, after an untimed call of each, which may compile."""
    for function in functions:
        function()
    return [[_time(function) for function in functions] for _ in range(turns)]


def time_pair(first: Callable[[], object], second: Callable[[], object], turns: int) -> Pair:
    """Time two functions in turns."""
    spent = time_in_turn((first, second), turns)
    return Pair(median(a for a, _ in spent), median(b for _, b in spent), median(b / a for a, b in spent))


def _time(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start
