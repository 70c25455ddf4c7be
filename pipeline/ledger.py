"""What a run has counted so far: tallies per block as zarr chunks, and a ledger that vouches for them.

A block's ledger entry is written after its chunks, with their hash; so whatever the ledger names is whole,
whoever was killed and whenever. Blocks that it names are never computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import groupby

import numpy as np
import zarr
from zarr.errors import ContainsArrayError

from pipeline.blocks import Block, draw_of, plan_blocks
from pipeline.engine import Counts, count_shapes, merge_counts
from pipeline.errors import RunError
from pipeline.plan import Plan
from pipeline.slabs import plan_slabs
from pipeline.spread import Spread
from pipeline.store import Store, run_key

AXES = {
    "hits": ("mark", "scenario", "account", "leverage", "horizon"),
    "joint": ("scenario", "horizon", "account", "account_other"),
    "last_pool": ("scenario", "account_of_several_pools", "leverage", "horizon"),
    "groups": ("moment", "scenario", "group", "leverage", "horizon"),
    "aftermath": ("outcome", "scenario", "account", "leverage", "horizon"),
    "breach": ("scenario", "account", "leverage", "leg"),
    "venue": ("moment", "scenario", "venue", "leverage", "horizon"),
    "histogram": ("kind", "scenario", "account", "leverage", "horizon", "bin"),
    "results": ("scenario", "account", "leverage", "horizon", "bin"),
    "passages": ("scenario", "account", "leverage", "time"),
    "discordant": ("way", "scenario", "account", "leverage", "horizon"),
}
NOT_WRITTEN = -1


class Ledger:
    """The ledger of one run, and the tallies it vouches for: arrays as in `Counts`, a chunk a block."""

    def __init__(self, store: Store, run_id: str, plan: Plan, batch_paths: int | None = None) -> None:
        """Open a run's ledger, making its arrays where there are none yet."""
        self.store = store
        self.run_id = run_id
        self.plan = plan
        slabs = plan_slabs(plan)
        self.shapes = [count_shapes(plan, slab) for slab in slabs]
        self.blocks = plan_blocks(plan.simulation.paths, len(slabs), batch_paths, plan.draws or 1)
        batches = self.blocks[-1].batch + 1
        cut = {"batch_paths": self.blocks[0].paths, "account_slab": max(map(len, slabs))}
        tallies = store.zarr(run_key(run_id, "tallies.zarr"))
        group = zarr.open_group(tallies, mode="a", zarr_format=3, attributes=dict(cut))
        if dict(group.attrs) != cut:
            raise RunError(
                f"run {run_id} was begun in blocks of another size, {dict(group.attrs)} and not {cut}, and "
                "the two can't be mixed. Go on as it was begun, or delete "
                f"{store.url(run_key(run_id))} to start again."
            )
        self.arrays: dict[str, zarr.Array] = {}  # type: ignore[type-arg]
        for name, axes in AXES.items():
            widest = tuple(map(max, zip(*(shapes[name] for shapes in self.shapes), strict=True)))
            if 0 not in widest:
                self.arrays[name] = _array(
                    group,
                    name,
                    (batches, len(slabs), *widest),
                    (1, 1, *widest),
                    ("batch", "slab", *axes),
                )

    def missing(self) -> tuple[Block, ...]:
        """The blocks that nobody has finished, in order."""
        done = set(self.store.list(run_key(self.run_id, "ledger")))
        return tuple(block for block in self.blocks if self._key(block) not in done)

    def record(self, block: Block, counts: Counts) -> None:
        """Keep what a block counted; from here on it counts as done."""
        for name, array in self.arrays.items():
            counted = getattr(counts, name)
            array[_cell(block, counted.shape)] = counted
        entry = {"paths": block.paths, "sha256": _digest(counts)}
        self.store.create(self._key(block), json.dumps(entry, sort_keys=True).encode())

    def total(self) -> tuple[Counts, Spread | None]:
        """The sum over all blocks, and what draws of the model's parameters differ by, if there are any.

        Each block is held against its hash; RunError where one does not fit.
        """
        if not self.plan.draws:
            return self._sum(self.blocks), None
        paths, draws = self.plan.simulation.paths, self.plan.draws
        total, spread = None, Spread()
        for _, blocks in groupby(self.blocks, lambda block: draw_of(block.first_path, paths, draws)):
            chosen = tuple(blocks)
            counts = self._sum(chosen)
            spread.add(counts.hits, sum(block.paths for block in chosen if block.slab == 0))
            total = counts if total is None else Counts(*map(np.add, total, counts))
        assert total is not None
        return total, spread

    def _sum(self, blocks: Iterable[Block]) -> Counts:
        return merge_counts(self.plan, ((block.slab, self._read(block)) for block in blocks))

    def digest(self) -> str:
        """A hash of every block's hash: two runs that counted the same have the same."""
        digest = hashlib.sha256()
        for block in self.blocks:
            digest.update(self.store.read(self._key(block)) or b"")
        return digest.hexdigest()

    def _read(self, block: Block) -> Counts:
        counts = Counts(
            **{
                name: np.asarray(self.arrays[name][_cell(block, shape)])
                if name in self.arrays
                else np.zeros(shape, np.int64)
                for name, shape in self.shapes[block.slab].items()
            }
        )
        entry = json.loads(self.store.read(self._key(block)) or b"{}")
        if entry.get("sha256") != _digest(counts):
            raise RunError(
                f"block {block.key} of run {self.run_id} is damaged: its counts don't fit their hash. "
                f"Delete {self.store.url(self._key(block))} and run the same command again."
            )
        return counts

    def _key(self, block: Block) -> str:
        return run_key(self.run_id, "ledger", f"{block.key}.json")


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dimensions: tuple[str, ...],
) -> zarr.Array:  # type: ignore[type-arg]
    """The group's array of that name, made if it is not there; never made anew, which would empty it."""
    try:
        return group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype="int64",
            fill_value=NOT_WRITTEN,
            dimension_names=dimensions,
            config={"write_empty_chunks": True},
        )
    except ContainsArrayError:
        found = group[name]
        assert isinstance(found, zarr.Array)
        return found


def _cell(block: Block, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """Where a block's counts lie: a slab smaller than the widest leaves the rest of its chunk alone."""
    return (block.batch, block.slab, *(slice(0, length) for length in shape))


def _digest(counts: Counts) -> str:
    digest = hashlib.sha256()
    for array in counts:
        digest.update(np.ascontiguousarray(array, "<i8").tobytes())
    return digest.hexdigest()


def count_paths(blocks: Iterable[Block]) -> int:
    """Paths of a set of blocks, each path counted once for every slab of accounts."""
    return sum(block.paths for block in blocks)
