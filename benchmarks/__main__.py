"""`python -m benchmarks`: speed beside numpy, JAX and C++, what options and size cost, a job, a run, memory.

CPU time, not the clock's: other work on the machine lies less that way. Alternatives take turns, and what is
printed are medians. `--quick` prints the first three parts, `--plot FILE` draws the cost curves.
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
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.books import NINE, TWELVE, plan_book
from benchmarks.curves import draw_curves, time_curves
from benchmarks.peers import find_peers, prepare_kernel
from benchmarks.problem import Counts, lower_problem
from benchmarks.timing import time_in_turn, time_pair
from kernels.simulate import simulate_general_paths, simulate_paths
from kernels.structs import create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, load_plan, plan_from_document

ROOT = Path(__file__).parents[1]
DESK = "examples/desk.yaml"
# assets, accounts, leverages, and paths that take the kernel some 0.3 s
JOBS = ((8, 16, 8, 51_200), (16, 16, 8, 38_400), (64, 16, 8, 10_240), (64, 256, 8, 2_048))
PATHS = 25_600
TURNS = 7
MEMORY = (100_000, 1_000_000)
FEWEST = 20  # expected paths a cell must have for its counts to be compared
LARGE = (16, 16, 8)  # assets, accounts, leverages of the run whose memory and slope are measured
SLOPE = (200_000, 600_000)  # paths of two runs: what one path more costs is their difference


def compare_counts(first: Counts, second: Counts, paths: int, second_paths: int) -> NDArray[np.float64]:
    """Standard scores of the differences between counts of the same events on two sets of paths."""
    p = (first + second) / (paths + second_paths)
    fewer = min(paths, second_paths)
    likely = (p * fewer >= FEWEST) & ((1.0 - p) * fewer >= FEWEST)
    spread = np.sqrt(p * (1.0 - p) * (1.0 / paths + 1.0 / second_paths))
    return np.asarray((first / paths - second / second_paths)[likely] / spread[likely], np.float64)


def print_speed() -> None:
    """The kernel beside its peers, for several sizes of book."""
    peers, missing = find_peers()
    print(
        "million path-asset-steps a CPU-second, one thread: 168 hourly steps, 3 regimes, Student-t, watched"
    )
    print("at step ends, three marks; in brackets how many times as fast the kernel is")
    for line in missing:
        print(line)
    names = "".join(f"{peer.name:>18}" for peer in peers)
    print(f"{'assets':>8}{'accounts':>10}{'leverages':>11}{'kernel':>9}{names}")
    agreed = []
    for assets, accounts, leverages, paths in JOBS:
        problem = lower_problem(plan_book(assets, accounts, leverages))
        of_peers = [peer.paths(paths, assets) for peer in peers]
        of_all = np.array([paths, *of_peers])
        screens = [prepare_kernel(problem, paths)]
        screens += [peer.prepare(problem, n) for peer, n in zip(peers, of_peers, strict=True)]
        spent = np.array(time_in_turn(screens, TURNS)) / of_all  # (turns, 1 + peers) CPU seconds a path
        speed = 168 * assets / 1e6 / np.median(spent, axis=0)
        ratio = np.median(spent / spent[:, :1], axis=0)
        cells = "".join(
            f"{f'{of:.0f} ({times:.2f}x)':>18}" for of, times in zip(speed[1:], ratio[1:], strict=True)
        )
        print(f"{assets:8d}{accounts:10d}{leverages:11d}{speed[0]:9.0f}{cells}", flush=True)
        counts = screens[0]()
        for peer, screen, n in zip(peers, screens[1:], of_peers, strict=True):
            if peer.name == "C++ twin":
                agreed.append("equal" if (screen() == counts).all() else "NOT EQUAL")
            else:
                scores = compare_counts(counts, screen(), paths, n)
                agreed.append(f"{peer.name} |z| <= {np.abs(scores).max():.1f} of {scores.size}")
    print("counts: " + ", ".join(agreed))


def prepare_run(
    plan: Plan, paths: int, simulate: Callable[..., None] = simulate_paths
) -> Callable[[], object]:
    """The kernel, or one of the walks, on any plan, all its scenarios, ready to be called."""
    market, clock = lower_market(plan), lower_clock(plan)
    book = lower_book(plan, market, range(len(plan.accounts)))
    axes = plan.simulation
    sizes = (len(plan.scenarios), len(plan.accounts), len(axes.leverage), len(axes.horizons))
    return lambda: simulate(axes.seed, 0, paths, market, book, clock, create_tally(*sizes, True))


def print_curves(plot: str | None) -> None:
    """What a path costs, by the size of the problem."""
    curves = time_curves(lambda plan, paths: prepare_run(plan, paths), TURNS)
    print("\nCPU microseconds a path, one size varied from 16 assets, 16 accounts, 8 leverages, 168 steps")
    for curve in curves:
        cells = "".join(f"{f'{x}: {y:.1f}':>13}" for x, y in zip(curve.sizes, curve.cost_us, strict=True))
        print(f"  {curve.name:12}{cells}")
    if plot:
        draw_curves(curves, plot)


def print_options() -> None:
    """What scenarios and bridge monitoring cost, in units of the plain run: one scenario, close."""
    print("\ncost in CPU time, beside one scenario watched at step ends (8 assets, 16 accounts, 8 leverages)")
    size = (8, 16, 8)
    plain = prepare_run(plan_book(*size), PATHS // 4)
    for words, monitoring, scenarios in (
        ("nine scenarios", "close", NINE),
        ("twelve scenarios", "close", TWELVE),
        ("bridge", "bridge", NINE[:1]),
        ("nine scenarios, bridge", "bridge", NINE),
    ):
        paths = PATHS // 4 if monitoring == "close" else PATHS // 16
        pair = time_pair(plain, prepare_run(plan_book(*size, monitoring, scenarios), paths), TURNS)
        print(f"  {words:24}{pair.ratio * (PATHS // 4) / paths:6.1f}x", flush=True)


def print_shipped() -> None:
    """The shipped model, whose funding moves, at closes: the fast walk beside the general one."""
    print(f"\nCPU microseconds a path of {DESK} watched at closes")
    for words, scenarios in (("one scenario", TWELVE[:1]), ("twelve scenarios", TWELVE)):
        document = load_plan(ROOT / DESK).document() | {"scenarios": list(scenarios), "limits": []}
        document["simulation"]["monitoring"] = "close"
        plan, paths = plan_from_document(document), PATHS // (4 if len(scenarios) == 1 else 12)
        pair = time_pair(prepare_run(plan, paths), prepare_run(plan, paths, simulate_general_paths), TURNS)
        fast_us, general_us = pair.first_s / paths * 1e6, pair.second_s / paths * 1e6
        print(f"  {words:18}fast walk{fast_us:7.1f}   general walk{general_us:7.1f}   ratio{pair.ratio:5.1f}")


def print_run() -> None:
    """What a path more costs in a whole run, beside the bare kernel."""
    few, many = SLOPE
    run_us = (_ask(str(many))["cpu_s"] - _ask(str(few))["cpu_s"]) / (many - few) * 1e6
    problem = lower_problem(plan_book(*LARGE))
    kernel_us = median(row[0] for row in time_in_turn([prepare_kernel(problem, PATHS)], TURNS)) / PATHS * 1e6
    sizes = "{} assets, {} accounts, {} leverages".format(*LARGE)
    print(f"\nCPU microseconds a path of a whole run, on two threads ({sizes})")
    print(f"  run{run_us:8.1f}   kernel{kernel_us:8.1f}   ratio{run_us / kernel_us:6.2f}")


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
    print("\npeak resident memory of a run ({} assets, {} accounts, {} leverages)".format(*LARGE))
    for paths in MEMORY:
        print(f"  {paths:>9,} paths{_ask(str(paths))['peak_mib']:8.0f} MiB")


def main(arguments: list[str]) -> None:
    """Print everything, or with --quick the first three parts."""
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}\n")
    print_speed()
    print_options()
    print_shipped()
    if "--quick" not in arguments:
        print_curves(arguments[arguments.index("--plot") + 1] if "--plot" in arguments else None)
        print_run()
        print_job()
        print_memory()


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
