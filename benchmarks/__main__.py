"""`python -m benchmarks`: speed beside plain numpy, what options cost, where a job's time goes, memory.

CPU time, not the clock's: other work on the machine lies less that way. Alternatives take turns, and what is
printed are medians. `--quick` leaves out the whole job and memory.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.books import NINE, TAILS, plan_book
from benchmarks.numpy_screen import screen_paths
from benchmarks.timing import time_pair
from kernels.simulate import simulate_paths
from kernels.structs import MARKS, Book, create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan

ROOT = Path(__file__).parents[1]
DESK = "examples/desk.yaml"
PATHS = 12_800  # a multiple of the kernel's lanes: about 0.2 s of it
TURNS = 5
SIZES = ((8, 3, 8), (8, 16, 8), (16, 16, 8))  # assets, accounts, leverages
MEMORY = (100_000, 1_000_000)
FEWEST = 20  # expected paths a cell must have for its counts to be compared


def prepare_kernel(plan: Plan, paths: int) -> Callable[[], NDArray[np.int64]]:
    """The kernel on a plan, ready to be called: counts (MARKS, S, P, L, H), accumulated over horizons."""
    market, clock = lower_market(plan), lower_clock(plan)
    book = lower_book(plan, market, range(len(plan.accounts)))
    axes = plan.simulation

    def simulate() -> NDArray[np.int64]:
        tally = create_tally(
            len(plan.scenarios), len(plan.accounts), len(axes.leverage), len(axes.horizons), True
        )
        simulate_paths(axes.seed, 0, paths, market, book, clock, tally)
        return np.cumsum(tally.hits, axis=-1)

    return simulate


def prepare_numpy(plan: Plan, paths: int) -> Callable[[], NDArray[np.int64]]:
    """The same work in numpy: counts (MARKS, 1, P, L, H)."""
    market, clock = lower_market(plan), lower_clock(plan)
    book = lower_book(plan, market, range(len(plan.accounts)))

    def simulate() -> NDArray[np.int64]:
        ranked = screen_paths(plan.simulation.seed, paths, market, book, clock, TAILS)
        return _in_order(ranked, book)[:, None]

    return simulate


def compare_counts(first: NDArray[np.int64], second: NDArray[np.int64], paths: int) -> NDArray[np.float64]:
    """Standard scores of the differences between counts of the same events on two sets of paths."""
    p = (first + second) / (2.0 * paths)
    likely = (p * paths >= FEWEST) & ((1.0 - p) * paths >= FEWEST)
    spread = np.sqrt(2.0 * paths * p * (1.0 - p))
    return np.asarray((first - second)[likely] / spread[likely], np.float64)


def print_speed() -> None:
    """The kernel beside numpy, for several sizes of book."""
    print("million path-asset-steps a CPU-second, one thread, 168 hourly steps, 3 regimes, Student-t, close")
    print(
        f"{'assets':>8}{'accounts':>10}{'leverages':>11}{'kernel':>9}{'numpy':>8}{'ratio':>8}{'max |z|':>10}"
    )
    for assets, accounts, leverages in SIZES:
        plan = plan_book(assets, accounts, leverages)
        kernel, plain = prepare_kernel(plan, PATHS), prepare_numpy(plan, PATHS)
        pair = time_pair(kernel, plain, TURNS)
        scores = compare_counts(kernel(), plain(), PATHS)
        work = PATHS * 168 * assets / 1e6
        print(
            f"{assets:8d}{accounts:10d}{leverages:11d}{work / pair.first_s:9.0f}{work / pair.second_s:8.0f}"
            f"{pair.ratio:7.1f}x{np.abs(scores).max():7.1f} of {scores.size} counts"
        )


def print_options() -> None:
    """What bridge monitoring and scenarios cost, in units of the plain run: one scenario, close."""
    print("\ncost in CPU time, beside one scenario watched at step ends (8 assets, 3 accounts, 8 leverages)")
    plain = prepare_kernel(plan_book(8, 3, 8), PATHS)
    for words, monitoring, scenarios in (
        ("bridge", "bridge", NINE[:1]),
        ("nine scenarios", "close", NINE),
        ("nine scenarios, bridge", "bridge", NINE),
    ):
        pair = time_pair(plain, prepare_kernel(plan_book(8, 3, 8, monitoring, scenarios), PATHS), TURNS)
        print(f"  {words:24}{pair.ratio:6.1f}x")


def print_job() -> None:
    """Where the CPU time of `seawall run examples/desk.yaml` goes, with kernels compiled and cached."""
    with tempfile.TemporaryDirectory() as cache:
        compiled_s = _ask("compile", SEAWALL_CACHE=cache)["compile_s"]
    spent = _ask(DESK)
    print(f"\nCPU seconds of {DESK}, one thread: 200,000 paths, 9 scenarios, bridge")
    for stage, seconds in spent.items():
        print(f"  {stage:54}{seconds:7.1f}")
    print(f"  {'in all':54}{sum(spent.values()):7.1f}")
    print(f"  {'once after each change of the kernels: compile':54}{compiled_s:7.1f}")


def print_memory() -> None:
    """Peak memory of a run, for few and for many paths."""
    print("\npeak resident memory of a run (8 assets, 3 accounts, 8 leverages)")
    for paths in MEMORY:
        print(f"  {paths:>9,} paths{_ask(str(paths))['peak_mib']:8.0f} MiB")


def main(arguments: list[str]) -> None:
    """Print everything, or with --quick the first two parts."""
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}\n")
    print_speed()
    print_options()
    if "--quick" not in arguments:
        print_job()
        print_memory()


def _in_order(ranked: NDArray[np.int64], book: Book) -> NDArray[np.int64]:
    """Counts (MARKS, P, L, H) by leverage instead of by rank of threshold."""
    counts = np.empty_like(ranked)
    for mark in range(MARKS):
        np.put_along_axis(counts[mark], book.leverage[..., None], ranked[mark], axis=1)
    return counts


def _ask(asked: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.job", asked],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main(sys.argv[1:])
