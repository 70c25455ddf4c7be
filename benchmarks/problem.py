"""A plan as every peer gets it: the kernels' arrays, and what they leave out of the law of the tails."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.books import TAILS
from kernels.structs import MARKS, Book, Clock, Floats, Market
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan
from pipeline.slabs import keeps_joint

Counts = NDArray[np.int64]  # (MARKS, P, L, H) paths that have met the mark by that horizon
Screen = Callable[[], Counts]


class Problem(NamedTuple):
    """One scenario watched at step ends, without funding, shocks or jumps; one pool an account."""

    market: Market
    book: Book
    clock: Clock
    seed: int
    tails: tuple[float, ...]  # (K,) degrees of freedom
    accounts: int
    leverages: int
    horizons: int
    pairs: bool  # a run counts accounts liquidated together


def lower_problem(plan: Plan) -> Problem:
    """The problem that a plan of `plan_book` states."""
    market, clock = lower_market(plan), lower_clock(plan)
    axes = plan.simulation
    return Problem(
        market,
        lower_book(plan, market, range(len(plan.accounts))),
        clock,
        axes.seed,
        TAILS,
        len(plan.accounts),
        len(axes.leverage),
        len(axes.horizons),
        keeps_joint(plan),
    )


def rows_of(book: Book, assets: int) -> tuple[Floats, Floats]:
    """Each account's position in every asset (P, A), and its margin (MARKS, P, A) at a price of one."""
    size, requirement = np.zeros((book.base.size, assets)), np.zeros((MARKS, book.base.size, assets))
    for account in range(book.base.size):
        for n in range(book.start[account], book.start[account + 1]):
            size[account, book.asset[n]] += book.size[n]
            requirement[:, account, book.asset[n]] += book.requirement[:, n]
    return size, requirement


def by_leverage(ranked: Counts, book: Book) -> Counts:
    """Counts (MARKS, P, L, H) in order of leverage instead of in order of threshold."""
    counts = np.empty_like(ranked)
    for mark in range(MARKS):
        np.put_along_axis(counts[mark], book.leverage[..., None], ranked[mark], axis=1)
    return counts
