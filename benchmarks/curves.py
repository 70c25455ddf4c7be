"""What a path costs by assets, accounts, leverages, steps and scenarios: one of them varied at a time."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from benchmarks.books import HORIZONS, TWELVE, plan_book
from benchmarks.timing import time_in_turn
from pipeline.plan import Plan

SIZES: dict[str, tuple[int, ...]] = {
    "assets": (2, 4, 8, 16, 32, 64),
    "accounts": (1, 4, 16, 64, 256),
    "leverages": (1, 2, 4, 8, 16),
    "steps": (24, 72, 168, 336, 672),
    "scenarios": (1, 2, 4, 8, 12),
}
USUAL = {"assets": 16, "accounts": 16, "leverages": 8, "steps": 168, "scenarios": 1}
WORK = 20_000_000  # path-asset-steps of a timed call, of few accounts and one scenario


class Curve(NamedTuple):
    """Cost along one size."""

    name: str
    sizes: tuple[int, ...]
    cost_us: tuple[float, ...]  # CPU microseconds a path


def time_curves(prepare: Callable[[Plan, int], Callable[[], object]], turns: int) -> list[Curve]:
    """Every curve; all points of one are timed in turns."""
    curves = []
    for name, sizes in SIZES.items():
        points = [{**USUAL, name: size} for size in sizes]
        paths = [_paths_of(point) for point in points]
        calls = [prepare(_plan_of(point), n) for point, n in zip(points, paths, strict=True)]
        spent = time_in_turn(calls, turns)
        cost = (median(turn[i] for turn in spent) / n * 1e6 for i, n in enumerate(paths))
        curves.append(Curve(name, sizes, tuple(cost)))
    return curves


def draw_curves(curves: list[Curve], path: str) -> None:
    """Write the curves as one SVG, both axes logarithmic: a slope of one is cost in proportion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    for curve in curves:
        axes.plot(curve.sizes, curve.cost_us, marker="o", label=curve.name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("size, others as usual: " + ", ".join(f"{n} {name}" for name, n in USUAL.items()))
    axes.set_ylabel("CPU microseconds a path")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _plan_of(point: dict[str, int]) -> Plan:
    hours = (*(h for h in (1, 4, 24, 72, 168) if h < point["steps"]), point["steps"])
    horizons = HORIZONS if point["steps"] == USUAL["steps"] else tuple(f"{h}h" for h in hours)
    scenarios = TWELVE[: point["scenarios"]]
    return plan_book(
        point["assets"], point["accounts"], point["leverages"], "close", scenarios, horizons=horizons
    )


def _paths_of(point: dict[str, int]) -> int:
    rows = 1.0 + point["accounts"] / 16.0
    work = point["assets"] * point["steps"] * point["scenarios"] * rows
    return max(512, round(WORK / work / 512) * 512)
