"""The benchmark compares like with like."""

from __future__ import annotations

import numpy as np

from benchmarks.__main__ import compare_counts, prepare_kernel, prepare_numpy
from benchmarks.books import plan_book
from benchmarks.timing import time_pair
from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL

PATHS = 6400


def test_screen_paths__counts_what_the_kernel_counts() -> None:
    plan = plan_book(assets=3, accounts=4, leverages=8)
    kernel, plain = prepare_kernel(plan, PATHS)(), prepare_numpy(plan, PATHS)()
    assert kernel.shape == plain.shape == (3, 1, 4, 8, 5)
    scores = compare_counts(kernel, plain, PATHS)
    assert scores.size > 60
    assert np.abs(scores).max() < 4.5
    # a book that is never hit, or one mark for another, would compare nothing
    last = plain[:, 0, :, -1, -1].sum(axis=-1)
    assert last[MARGIN_CALL] > last[LIQUIDATION] > last[BANKRUPTCY] > PATHS // 100
    assert np.abs(compare_counts(kernel[MARGIN_CALL], plain[LIQUIDATION], PATHS)).max() > 4.5


def test_time_pair__ratio_is_of_the_second_to_the_first() -> None:
    def work(rounds: int) -> None:
        for _ in range(rounds):
            np.linalg.inv(np.eye(40))

    pair = time_pair(lambda: work(50), lambda: work(1000), 3)
    assert pair.ratio > 5
    assert pair.second_s > pair.first_s > 0
