"""Whether a plan can have quantiles: it follows its paths, and has room for what is counted of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from kernels.structs import BINS, SPREADS
from pipeline.faults import Fault

CELL_BYTES = 8 * (SPREADS + 1) * BINS
MOST_CELLS = 2**26 // CELL_BYTES  # 64 MB a block
AXES = ("scenarios", "accounts", "leverages", "horizons")


def count_cells(plan: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """How many scenarios, accounts, leverages and horizons a plan's document has; any key may be missing."""
    simulation = plan.get("simulation")
    simulation = simulation if isinstance(simulation, Mapping) else {}
    axes = (
        plan.get("scenarios"),
        plan.get("accounts"),
        simulation.get("leverage", (1.0,)),
        simulation.get("horizons"),
    )
    a, b, c, d = (len(axis) if isinstance(axis, Sequence) else 0 for axis in axes)
    return a, b, c, d


def has_room(plan: Mapping[str, Any]) -> bool:
    """Whether what quantiles are read off is not too large."""
    return prod(count_cells(plan)) <= MOST_CELLS


def find_quantile_faults(plan: Mapping[str, Any]) -> Iterator[Fault]:
    """Quantiles that were asked for and can't be had."""
    simulation = plan.get("simulation", {})
    if not simulation.get("quantiles"):
        return
    at = ("simulation", "quantiles")
    if not simulation.get("resolve"):
        fix = "add `resolve: true`, or leave `quantiles` out"
        yield Fault(at, "true where `resolve` is: quantiles are of paths followed to their end", "true", fix)
    if simulation.get("contagion"):
        fix = "leave one of them out"
        yield Fault(
            at, "quantiles of accounts that don't move each other's prices", "true, with contagion", fix
        )
    if not has_room(plan):
        counts = count_cells(plan)
        shown = " x ".join(f"{count:,} {axis}" for count, axis in zip(counts, AXES, strict=True))
        got = f"true, with {prod(counts):,} cells: {shown}"
        fix = "take fewer of them, run parts of the book, or leave `quantiles` out"
        yield Fault(at, f"at most {MOST_CELLS:,} cells, 64 MB of counts a block", got, fix)
