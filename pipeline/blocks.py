"""Which paths and accounts belong to which block of work: integers only.

A block is the unit of fan-out, of resuming and of the ledger. How a plan is cut changes no count.
"""

from __future__ import annotations

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


def plan_blocks(paths: int, slabs: int, batch_paths: int | None = None) -> tuple[Block, ...]:
    """The blocks of a run, in order: batches of paths outermost, slabs of accounts within."""
    size = batch_paths or min(-(-paths // (PATH_BATCHES * LANES)) * LANES, LARGEST_BATCH)
    return tuple(
        Block(batch, first_path, min(size, paths - first_path), slab)
        for batch, first_path in enumerate(range(0, paths, size))
        for slab in range(slabs)
    )
