"""Which paths and accounts belong to which block of work: integers only.

A block is the unit of fan-out, of resuming and of the ledger. How a plan is cut changes no count.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

PATH_BATCHES = 32  # parts of the paths: enough for progress, resuming and convergence
LANES = 64  # a batch is a multiple of the paths that a kernel takes side by side
LARGEST_BATCH = 1 << 20  # paths; beyond, there are more batches instead of longer ones


class Block(NamedTuple):
    """Paths first_path .. first_path + paths - 1 for the accounts of one slab."""

    batch: int
    first_path: int
    paths: int
    slab: int

    @property
    def key(self) -> str:
        """The block's name in the ledger."""
        return f"{self.batch:06d}-{self.slab:06d}"


def plan_blocks(paths: int, slabs: int, batch_paths: int | None = None, draws: int = 1) -> tuple[Block, ...]:
    """The blocks of a run, in order: batches of paths outermost, slabs of accounts within.

    Draws of the model's parameters have a stretch of paths each, see `draw_of`; no block has paths of two.
    """
    batches = -(-PATH_BATCHES // draws) * draws
    size = batch_paths or min(-(-paths // (batches * LANES)) * LANES, LARGEST_BATCH)
    ends = [number * paths // draws for number in range(draws + 1)]
    cuts = [
        (path, min(size, end - path)) for start, end in pairwise(ends) for path in range(start, end, size)
    ]
    return tuple(
        Block(batch, first_path, count, slab)
        for batch, (first_path, count) in enumerate(cuts)
        for slab in range(slabs)
    )


def draw_of(path: int, paths: int, draws: int) -> int:
    """Which draw a path is simulated with: they share the paths in order, as evenly as they can.

    Draw d has the paths from d paths // draws to (d + 1) paths // draws, the last one excluded.
    """
    return ((path + 1) * draws - 1) // paths
